//! Stages on either side: the same bytes, and the statistics say that each stage ran where it was assigned.

use std::io::Read;

use ranvil::{
    Assignment, DeviceSelector, Error, Options, Pipeline, SchedulerStats, Telemetry,
    testing::{Gpu, assume_cpu, forget_rates},
};

use crate::{
    BUDGET,
    common::{ALICE, FILES},
    selector,
};

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

    for (pipeline, strict) in [(Pipeline::Rans, [Gpu, Cpu]), (Pipeline::Lzseqr, [Cpu, Gpu])] {
        let choices =
            [one(), two()].map(|devices| [(devices.clone(), strict), (devices, [Auto; 2])]);
        let cpu = (one(), [Cpu, Cpu]);
        let (expected, stats) = compress(pipeline, &cpu, &raw);
        expect(pipeline, &cpu, &stats, blocks);
        for choice in choices.iter().flatten() {
            // A device of which nothing is known gets blocks to learn from, however fast the others are.
            forget_rates();
            let (coded, stats) = compress(pipeline, choice, &raw);
            assert!(coded == expected, "{pipeline}, {choice:?}: another frame");
            expect(pipeline, choice, &stats, blocks);
            assert_eq!(stats.stages.map(|stage| stage.retried.blocks), [0, 0]);

            forget_rates();
            let (back, stats) = decompress(pipeline, choice, &coded);
            assert!(back == raw, "{pipeline}, {choice:?}: other bytes");
            expect(pipeline, choice, &stats, blocks);
        }
    }
    auto_goes_by_what_is_known();
    a_full_channel();
    refused();
}

/// What `Auto` does depends on speeds: so the device's are measured, and it is told that the CPU is far faster or slower.
fn auto_goes_by_what_is_known() {
    use Assignment::{Auto, Cpu, Gpu};
    let raw: Vec<u8> = FILES.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let blocks = raw.len().div_ceil(BLOCK_SIZE) as u64;
    let devices = |count, stages| (vec![selector(); count], stages);
    let both = [(Pipeline::Rans, [Gpu, Cpu]), (Pipeline::Lzseqr, [Cpu, Gpu])];
    for ((pipeline, strict), count) in both.into_iter().flat_map(|one| [(one, 1), (one, 2)]) {
        let entropy = usize::from(pipeline.model().is_some());
        let (expected, _) = compress(pipeline, &devices(1, [Cpu, Cpu]), &raw);
        let run = |level: Option<u8>, stages| {
            let choice = devices(count, stages);
            let (bytes, stats) = match level {
                Some(_) => compress(pipeline, &choice, &raw),
                None => decompress(pipeline, &choice, &expected),
            };
            assert!(bytes == *level.map_or(&raw, |_| &expected), "{pipeline}, {choice:?}");
            expect(pipeline, &choice, &stats, blocks);
            stats
        };
        for (cpu, level) in [(1e-4, Some(3)), (1e-4, None), (1e6, Some(3)), (1e6, None)] {
            forget_rates();
            run(level, strict);
            assume_cpu(pipeline, level, cpu);
            let stats = run(level, [Auto; 2]);
            // What an idle worker took back, or did as well, had been given to the device.
            let given =
                stats.stages[entropy].gpu.blocks + stats.reclaimed_blocks + stats.hedged_blocks;
            let what = format!("{pipeline}, level {level:?}, {cpu} ns/B: {stats:?}");
            if cpu < 1.0 {
                assert!(given < blocks / 3, "{given} of {blocks}, {what}");
            } else {
                assert!(given > blocks / 2, "{given} of {blocks}, {what}");
            }
        }
    }
    forget_rates();
}

/// A device that is slower than the caller submits has no room at some time: the CPU does those blocks.
fn a_full_channel() {
    const BLOCKS: usize = 6000;
    let raw: Vec<u8> =
        (0..BLOCKS).flat_map(|block| &ALICE[23 * block..][..4096]).copied().collect();
    let telemetry = Telemetry::new();
    let options = Options::new().pipeline(Pipeline::Rans).threads(2).block_size(4096).unwrap();
    let options = options.device(selector()).memory_limit(64 << 20);
    forget_rates();
    options.compress(&raw[..raw.len() / 8]).unwrap(); // Its speed is measured.
    let options = options.stage0(Assignment::Auto);
    assume_cpu(Pipeline::Rans, Some(3), 1e6);
    let coded = options.clone().telemetry(telemetry.clone()).compress(&raw).unwrap();
    forget_rates();
    assert!(coded == options.device(DeviceSelector::Cpu).compress(&raw).unwrap(), "other bytes");
    let stats = telemetry.last_run().unwrap();
    let stage = &stats.stages[0];
    assert_eq!(stage.cpu.blocks + stage.gpu.blocks, BLOCKS as u64, "{stats:?}");
    let given = stage.gpu.blocks + stats.reclaimed_blocks + stats.hedged_blocks;
    assert!(given > 100, "{given} of {BLOCKS} went to the device: {stats:?}");
    // Hardware may be fast enough.
    let software = Gpu::open(&selector(), BUDGET).unwrap().info().software;
    assert!(!software || stats.sends_full > 0, "{stats:?}");
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
    let by_devices: Vec<u64> = stats.devices.iter().map(|device| device.blocks).collect();
    assert_eq!(by_devices.iter().sum::<u64>(), stats.stages[entropy].gpu.blocks, "{stats:?}");
    assert!(by_devices.len() <= choice.0.len(), "{stats:?}");
    if strict {
        assert_eq!(by_devices.len(), choice.0.len(), "{stats:?}");
        assert!(by_devices.iter().all(|&blocks| blocks > 0), "each has its share: {stats:?}");
    }
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
