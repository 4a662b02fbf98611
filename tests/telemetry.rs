//! Statistics and traces of real data on the CPU, through the public interface.

mod common;

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    thread,
};

use ranvil::{
    CancelToken, DeviceSelector, Error, Options, Pipeline, SchedulerStats, Telemetry,
    collect_process_stats, process_stats,
};
use serde_json::Value;

use common::{ALICE, FILES};

const BLOCK: usize = 16 << 10;

fn options() -> Options {
    Options::new().device(DeviceSelector::Cpu).threads(2).block_size(BLOCK).unwrap()
}

/// Decompresses a stream: its blocks have buffers, which those between slices do not.
fn read(options: &Options, coded: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    options.decompressor(coded).unwrap().read_to_end(&mut raw).unwrap();
    raw
}

/// Checks the last run of `telemetry`, which coded `raw` with buffers for its blocks.
fn expect_run(telemetry: &Telemetry, raw: &[u8], pipeline: Pipeline) -> SchedulerStats {
    let stats = expect_blocks(telemetry, raw, pipeline);
    // At least a block, at most every set of buffers there may be.
    assert!(stats.peak_memory >= raw.len().min(BLOCK) as u64, "{stats:?}");
    assert!(stats.peak_memory <= 256 << 20);
    stats
}

/// Checks the last run of `telemetry`, which coded `raw`.
fn expect_blocks(telemetry: &Telemetry, raw: &[u8], pipeline: Pipeline) -> SchedulerStats {
    let stats = telemetry.last_run().expect("a run has ended");
    let stages = match pipeline {
        Pipeline::Rans | Pipeline::Fse | Pipeline::Huff | Pipeline::Stored => 1,
        _ => 2,
    };
    for (index, stage) in stats.stages.iter().enumerate() {
        let expected = if index < stages { (raw.len().div_ceil(BLOCK), raw.len()) } else { (0, 0) };
        let found = (stage.cpu.blocks as usize, stage.cpu.raw_bytes as usize);
        assert_eq!(found, expected, "{pipeline}, stage {index}");
        assert_eq!((stage.gpu.blocks, stage.retried.blocks), (0, 0));
    }
    let threads = stats.threads as u32 + 1; // with the caller's
    let parts = [stats.stage_compute, stats.queue_wait, stats.queue_admin, stats.idle_tail];
    assert!(parts.iter().all(|&part| part <= threads * stats.total), "{stats:?}");
    assert!(stats.tracked_time() + stats.idle_tail <= threads * stats.total, "{stats:?}");
    assert!(!stats.stage_compute.is_zero() && (0.0..1.0).contains(&stats.overhead()));
    assert!(stats.gpu_handoff.is_zero() && stats.gpu_busy.is_zero() && stats.gpu_batches == 0);
    assert_eq!((stats.runs, stats.sends_full, stats.sends_disconnected), (1, 0, 0));
    assert_eq!((stats.reclaimed_blocks, stats.hedged_blocks, stats.device_failures), (0, 0, 0));
    stats
}

#[test]
fn every_block_counts_once_at_each_stage() {
    for pipeline in
        [Pipeline::Rans, Pipeline::Huff, Pipeline::Lzseqr, Pipeline::Lzh, Pipeline::Stored]
    {
        for (name, raw) in FILES {
            let telemetry = Telemetry::new();
            let options = options().pipeline(pipeline).telemetry(telemetry.clone());
            let coded = options.compress(raw).unwrap();
            // Blocks that are stored go from slice to slice as well.
            let expect = if pipeline == Pipeline::Stored { expect_blocks } else { expect_run };
            let stats = expect(&telemetry, raw, pipeline);
            assert_eq!(stats.threads.clamp(1, 2), stats.threads, "{name}");
            assert!(read(&options, &coded) == raw);
            expect_run(&telemetry, raw, pipeline);
            assert!(options.decompress(&coded).unwrap() == raw);
            let stats = expect_blocks(&telemetry, raw, pipeline);
            assert_eq!(stats.peak_memory, 0, "between slices nothing is copied");
            assert_eq!(telemetry.total().runs, 3);
        }
    }
}

#[test]
fn a_block_alone_is_the_callers() {
    let telemetry = Telemetry::new();
    let options = options().telemetry(telemetry.clone());
    let raw = &ALICE[..BLOCK];
    let coded = options.compress(raw).unwrap();
    assert_eq!(expect_run(&telemetry, raw, Pipeline::Lzseqr).threads, 0);
    options.decompress(&coded).unwrap();
    assert_eq!(expect_blocks(&telemetry, raw, Pipeline::Lzseqr).threads, 0);
    // Nothing at all is a run as well.
    options.compress(b"").unwrap();
    let stats = telemetry.last_run().unwrap();
    assert_eq!((stats.runs, stats.stages[0].cpu.blocks), (1, 0));
}

#[test]
fn frames_with_other_blocks_are_one_run() {
    let telemetry = Telemetry::new();
    let mut coded = options().compress(ALICE).unwrap();
    let larger = options().block_size(4 * BLOCK).unwrap().pipeline(Pipeline::Fse);
    coded.extend(larger.compress(ALICE).unwrap());
    let raw = options().telemetry(telemetry.clone()).decompress(&coded).unwrap();
    assert_eq!(raw.len(), 2 * ALICE.len());
    let stats = telemetry.total();
    let (small, large) = (ALICE.len().div_ceil(BLOCK), ALICE.len().div_ceil(4 * BLOCK));
    assert_eq!(stats.runs, 1);
    // Whoever works in both counts once. One may be so fast that no other is called.
    assert!((1..=2).contains(&stats.threads), "{stats:?}");
    assert_eq!(stats.stages[0].cpu.blocks as usize, small + large);
    assert_eq!(stats.stages[1].cpu.blocks as usize, small);
}

#[test]
fn concurrent_runs_do_not_mix_and_the_process_has_their_sum() {
    // No other test of this file may look at the process's totals.
    let before = process_stats();
    assert_eq!(before, SchedulerStats::default());
    collect_process_stats(true);
    let handles: Vec<Telemetry> = (0..4).map(|_| Telemetry::new()).collect();
    thread::scope(|scope| {
        for (telemetry, (_, raw)) in handles.iter().zip(FILES) {
            scope.spawn(move || {
                let options = options().telemetry(telemetry.clone());
                let coded = options.compress(raw).unwrap();
                expect_run(telemetry, raw, Pipeline::Lzseqr);
                options.decompress(&coded).unwrap();
                expect_blocks(telemetry, raw, Pipeline::Lzseqr);
            });
        }
    });
    collect_process_stats(false);
    let sum: SchedulerStats = handles.iter().map(Telemetry::total).sum();
    assert_eq!(sum.runs, 8);
    // Tests beside this one may have begun runs of their own meanwhile.
    let process = process_stats();
    assert!(process.runs >= sum.runs && process.total >= sum.total);
    assert!(process.stage_compute >= sum.stage_compute);
    assert!(process.stages[0].cpu.blocks >= sum.stages[0].cpu.blocks);
}

#[test]
fn cancelled_failed_and_dropped_runs_are_counted() {
    let telemetry = Telemetry::new();
    let options = options().telemetry(telemetry.clone());
    let coded = options.compress(ALICE).unwrap();

    let token = CancelToken::new();
    let mut compressor = options.clone().cancel(token.clone()).compressor(Vec::new()).unwrap();
    compressor.write_all(ALICE).unwrap();
    token.cancel();
    assert!(matches!(compressor.finish(), Err(Error::Cancelled)));
    assert_eq!(telemetry.total().runs, 2, "a cancelled one");

    let mut damaged = coded.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    assert!(options.decompress(&damaged).is_err());
    let stats = telemetry.last_run().unwrap();
    assert_eq!(telemetry.total().runs, 3, "a failed one");
    assert!(stats.stages[0].cpu.raw_bytes <= ALICE.len() as u64);

    let mut decompressor = options.decompressor(&coded[..]).unwrap();
    decompressor.read_exact(&mut [0; 100]).unwrap();
    assert_eq!(telemetry.total().runs, 3, "it is under way");
    drop(decompressor);
    assert_eq!(telemetry.total().runs, 4, "a dropped one");
    assert!(telemetry.last_run().unwrap().stages[0].cpu.blocks > 0);

    let mut compressor = options.compressor(Vec::new()).unwrap();
    compressor.write_all(ALICE).unwrap();
    drop(compressor);
    assert_eq!(telemetry.total().runs, 5);
}

#[test]
fn a_trace_shows_every_block_in_its_row() {
    let telemetry = Telemetry::with_trace(10_000);
    let options = options().telemetry(telemetry.clone());
    let coded = options.compress(ALICE).unwrap();
    assert!(read(&options, &coded) == ALICE);
    let mut json = Vec::new();
    telemetry.write_trace(&mut json).unwrap();
    let trace: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(trace["otherData"]["dropped_events"], 0);
    let events = trace["traceEvents"].as_array().unwrap();

    for (process, caller, worker) in
        [("ranvil compress", "write", "encode"), ("ranvil decompress", "read", "decode")]
    {
        let name = |event: &&Value, kind: &str| event["name"] == kind;
        let meta = events
            .iter()
            .find(|event| name(event, "process_name") && event["args"]["name"] == process)
            .expect("a process for each run");
        let pid = &meta["pid"];
        let rows: Vec<&Value> = events
            .iter()
            .filter(|event| event["pid"] == *pid && name(event, "thread_name"))
            .collect();
        let names: BTreeSet<&str> =
            rows.iter().map(|row| row["args"]["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), rows.len());
        // Where the caller codes it may be so fast that it does all blocks.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(names.contains("caller") && (names.len() > 1 || cores <= 2), "{names:?}");
        assert!(names.is_subset(&["caller", "worker 0", "worker 1"].into()), "{names:?}");
        let mut coded = Vec::new();
        let mut moved = Vec::new();
        for row in &rows {
            let mut end = 0.0;
            let of_row = |event: &&Value| {
                event["ph"] == "X" && event["pid"] == *pid && event["tid"] == row["tid"]
            };
            for event in events.iter().filter(of_row) {
                let (ts, dur) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
                assert!(ts + 0.000_5 >= end && dur >= 0.0, "{event} begins before {end}");
                end = ts + dur;
                let block = event["args"]["block"].as_u64().unwrap();
                match event["name"].as_str().unwrap() {
                    name if name == caller => moved.push(block),
                    name if name == worker => {
                        assert_eq!(event["args"]["stages"], serde_json::json!([0, 1]));
                        coded.push((block, event["args"]["bytes"].as_u64().unwrap() as usize));
                    }
                    name => panic!("{name}"),
                }
            }
        }
        coded.sort();
        let blocks = ALICE.chunks(BLOCK).map(<[u8]>::len);
        assert!(coded.into_iter().eq((0..).zip(blocks)), "{process}");
        assert!(moved.into_iter().eq(0..ALICE.len().div_ceil(BLOCK) as u64), "{process}");
    }
}
