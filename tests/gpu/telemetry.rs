//! Statistics and the trace of runs on a device.

use std::collections::BTreeMap;

use ranvil::{Options, Pipeline, Telemetry};
use serde_json::Value;

use super::{ALICE, selector};

const BLOCK: usize = 1 << 14;

/// The device is the side of the entropy stage, and its queues have rows within the run.
pub fn of_a_device() {
    for (pipeline, stage) in [(Pipeline::Rans, 0), (Pipeline::Lzseqr, 1)] {
        let telemetry = Telemetry::with_trace(100_000);
        let options = Options::new().pipeline(pipeline).threads(2).device(selector());
        let options = options.block_size(BLOCK).unwrap().telemetry(telemetry.clone());
        let coded = options.compress(ALICE).unwrap();
        expect(&telemetry, pipeline, stage);
        assert!(options.decompress(&coded).unwrap() == ALICE);
        expect(&telemetry, pipeline, stage);
        assert_eq!(telemetry.total().runs, 2);
        expect_trace(&telemetry, stage);
    }
}

fn expect(telemetry: &Telemetry, pipeline: Pipeline, stage: usize) {
    let stats = telemetry.last_run().unwrap();
    let blocks = ALICE.len().div_ceil(BLOCK) as u64;
    let here = stats.stages[stage];
    assert_eq!(here.gpu.blocks + here.cpu.blocks, blocks, "{pipeline}: {stats:?}");
    assert_eq!(here.gpu.raw_bytes + here.cpu.raw_bytes, ALICE.len() as u64);
    // A block that a model stores is not worth the way, and the last one is short.
    assert!(here.gpu.blocks + 1 >= blocks && here.retried.blocks == 0, "{pipeline}: {stats:?}");
    assert_eq!(stats.stages[0].cpu.blocks, if stage == 0 { 0 } else { blocks });
    assert!(stats.gpu_batches > 0 && !stats.gpu_busy.is_zero(), "{pipeline}: {stats:?}");
    assert!(stats.gpu_busy <= stats.total && !stats.gpu_handoff.is_zero());
    assert_eq!(stats.device_failures, 0);
}

fn expect_trace(telemetry: &Telemetry, stage: usize) {
    let mut json = Vec::new();
    telemetry.write_trace(&mut json).unwrap();
    let trace: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(trace["otherData"]["dropped_events"], 0);
    let mut rows = BTreeMap::new();
    let mut spans = BTreeMap::<(u64, u64), Vec<(f64, f64)>>::new();
    let mut names = BTreeMap::<u64, Vec<String>>::new();
    for event in trace["traceEvents"].as_array().unwrap() {
        let row = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
        let name = event["name"].as_str().unwrap();
        if name == "thread_name" {
            rows.insert(row, event["args"]["name"].as_str().unwrap().to_owned());
        }
        if event["ph"] == "X" {
            let (begin, length) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            spans.entry(row).or_default().push((begin, begin + length));
            names.entry(row.0).or_default().push(name.to_owned());
        }
    }
    for pid in [1, 2] {
        let of_run: Vec<_> = spans.iter().filter(|((run, _), _)| *run == pid).collect();
        let is_queue = |row: &(u64, u64)| {
            [": upload", ": compute", ": download"].iter().any(|queue| rows[row].ends_with(queue))
        };
        let compute = of_run.iter().find(|(row, _)| rows[row].ends_with(": compute"));
        assert!(compute.is_some(), "{rows:?}");
        // Each begins no sooner than the one before it ended, to within a nanosecond.
        for (row, spans) in &of_run {
            let apart = spans.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 0.001_5);
            assert!(apart, "{}: {spans:?}", rows[row]);
        }
        // What a device did for a block lies between the first load and the last thing that the host did.
        let host = of_run.iter().filter(|(row, _)| !is_queue(row)).flat_map(|(_, spans)| *spans);
        let (first, last) = host
            .fold((f64::MAX, 0.0_f64), |(first, last), span| (first.min(span.0), last.max(span.1)));
        let device = of_run.iter().filter(|(row, _)| is_queue(row)).flat_map(|(_, spans)| *spans);
        for (begin, end) in device {
            assert!(*begin >= first && *end <= last, "{begin} to {end} in {first} to {last}");
        }
        let names = &names[&pid];
        // A slice is restored where it is: nothing is read.
        let io = if pid == 1 { Some("write") } else { None };
        for wanted in ["form", "load", "start", "unload"].into_iter().chain(io) {
            assert!(names.iter().any(|name| name == wanted), "{wanted} of {names:?}");
        }
        let model = if pid == 1 { "model" } else { "open" };
        assert_eq!(names.iter().any(|name| name == model), stage == 1);
    }
}
