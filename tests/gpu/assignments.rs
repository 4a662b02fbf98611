//! Stages on either side: the same bytes, and the statistics say that each stage ran where it was assigned.

use std::io::Read;

use ranvil::{Assignment, DeviceSelector, Error, Options, Pipeline, SchedulerStats, Telemetry};

use crate::{common::FILES, selector};

/// Small, so that a few real files make a stream of many batches.
const BLOCK_SIZE: usize = 1 << 14;

/// Devices, and the assignments of stage 0 and 1.
type Choice = (Vec<DeviceSelector>, [Assignment; 2]);

pub fn interchangeable() {
    use Assignment::{Auto, Cpu, Gpu};
    let one = || vec![selector()];
    let two = || vec![selector(), selector()];
    let raw: Vec<u8> = FILES.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let blocks = raw.len().div_ceil(BLOCK_SIZE) as u64;

    for (pipeline, choices) in [
        (Pipeline::Rans, [(one(), [Gpu, Cpu]), (one(), [Auto, Auto]), (two(), [Gpu, Cpu])]),
        (Pipeline::Lzseqr, [(one(), [Cpu, Gpu]), (one(), [Auto, Auto]), (two(), [Cpu, Gpu])]),
    ] {
        let cpu = (one(), [Cpu, Cpu]);
        let (expected, stats) = compress(pipeline, &cpu, &raw);
        expect(pipeline, &cpu, &stats, blocks);
        for choice in &choices {
            let (coded, stats) = compress(pipeline, choice, &raw);
            assert!(coded == expected, "{pipeline}, {choice:?}: another frame");
            expect(pipeline, choice, &stats, blocks);
            assert_eq!(stats.stages.map(|stage| stage.retried.blocks), [0, 0]);

            let (back, stats) = decompress(pipeline, choice, &coded);
            assert!(back == raw, "{pipeline}, {choice:?}: other bytes");
            expect(pipeline, choice, &stats, blocks);
        }
    }
    refused();
}

fn options(pipeline: Pipeline, (devices, [stage0, stage1]): &Choice) -> (Options, Telemetry) {
    let telemetry = Telemetry::new();
    let options = Options::new().pipeline(pipeline).threads(2).block_size(BLOCK_SIZE).unwrap();
    let options = options.devices(devices.clone()).stage0(*stage0).stage1(*stage1);
    (options.telemetry(telemetry.clone()), telemetry)
}

fn compress(pipeline: Pipeline, choice: &Choice, raw: &[u8]) -> (Vec<u8>, SchedulerStats) {
    let (options, telemetry) = options(pipeline, choice);
    let coded = options.compress(raw).unwrap();
    (coded, telemetry.last_run().unwrap())
}

fn decompress(pipeline: Pipeline, choice: &Choice, coded: &[u8]) -> (Vec<u8>, SchedulerStats) {
    let (options, telemetry) = options(pipeline, choice);
    let mut back = Vec::new();
    options.decompressor(coded).unwrap().read_to_end(&mut back).unwrap();
    (back, telemetry.last_run().unwrap())
}

/// Blocks that do not shrink need no device when they are decoded, and parts that do not shrink neither.
fn expect(pipeline: Pipeline, choice: &Choice, stats: &SchedulerStats, blocks: u64) {
    let entropy = usize::from(pipeline.model().is_some());
    for (place, stage) in stats.stages.iter().enumerate().take(entropy + 1) {
        let (cpu, gpu) = (stage.cpu.blocks, stage.gpu.blocks);
        assert_eq!(cpu + gpu, blocks, "{pipeline}, {choice:?}, stage {place}: {stats:?}");
        match choice.1[place] {
            Assignment::Gpu => assert!(gpu > blocks * 3 / 4, "{pipeline}, {choice:?}: {stats:?}"),
            Assignment::Cpu => assert_eq!(gpu, 0, "{pipeline}, {choice:?}: {stats:?}"),
            Assignment::Auto => assert!(place == entropy || gpu == 0),
        }
    }
    let strict = choice.1[entropy] == Assignment::Gpu;
    assert!(!strict || (stats.gpu_batches > 0 && !stats.gpu_busy.is_zero()), "{stats:?}");
    let sum: u64 = stats.stages[entropy].cpu.raw_bytes + stats.stages[entropy].gpu.raw_bytes;
    assert!(sum > 0, "{stats:?}");
}

/// Nothing is quietly replaced.
fn refused() {
    let reasons = [
        Options::new().pipeline(Pipeline::Lzr).device(selector()).stage0(Assignment::Gpu),
        Options::new().device(DeviceSelector::Cpu).stage1(Assignment::Gpu),
        Options::new().devices([DeviceSelector::Auto, selector()]),
    ];
    for options in reasons {
        match options.compress(b"Some text that is not coded.") {
            Err(Error::InvalidOption { .. }) => {}
            other => panic!("{options:?}: {other:?}"),
        }
    }
}
