//! Runs without an engine.

use std::{collections::BTreeMap, thread, time::Duration};

use serde_json::Value;

use super::*;

const PIECE: Piece = Piece { name: "entropy", stages: &[1], block: 7, bytes: 4096 };

/// Takes time, however coarse the clock is.
fn spend() {
    let begin = clock();
    while clock() < begin + 1000 {}
}

#[test]
fn the_clock_does_not_go_back() {
    let times: Vec<u64> = (0..1000).map(|_| clock()).collect();
    assert!(times.is_sorted());
}

#[test]
fn a_run_sums_what_its_threads_recorded_and_ends_with_the_last_of_them() {
    let telemetry = Telemetry::new();
    let run = Run::begin(Some(&telemetry), "test");
    assert!(run.is_on());
    let mut caller = run.recorder(Row::Caller);
    caller.begin();
    caller.submitted();
    caller.lap(Kind::Admin);
    thread::scope(|scope| {
        for index in [0, 3] {
            let mut worker = run.recorder(Row::Worker(index));
            scope.spawn(move || {
                worker.lap(Kind::Admin);
                worker.piece(Kind::Compute, PIECE, spend);
                worker.block(1, 4096, |stage| &mut stage.gpu);
                worker.count(|stats| &mut stats.sends_full);
                worker.memory(10 + index as u64);
                spend();
                worker.lap(Kind::Wait);
            });
        }
    });
    // A worker of a later engine of the same run.
    drop(run.recorder(Row::Worker(3)));
    drop(run);
    assert_eq!(telemetry.last_run(), None, "the caller is still there");
    drop(caller);

    let stats = telemetry.last_run().unwrap();
    assert_eq!((stats.runs, stats.threads, stats.sends_full, stats.peak_memory), (1, 2, 2, 13));
    assert_eq!(stats.stages[1].gpu, SideStats { blocks: 2, raw_bytes: 8192 });
    assert_eq!(stats.stages[0], StageStats::default());
    let micro = Duration::from_micros(1);
    assert!(stats.stage_compute >= 2 * micro && stats.stage_compute <= 2 * stats.total);
    assert!(stats.idle_tail >= 2 * micro && stats.idle_tail <= 2 * stats.total, "{stats:?}");
    assert_eq!(stats.queue_wait, Duration::ZERO, "nothing was submitted after the waits");
    assert_eq!(telemetry.total(), stats);
}

#[test]
fn waits_before_a_later_submission_are_queue_wait() {
    let telemetry = Telemetry::new();
    let run = Run::begin(Some(&telemetry), "test");
    let mut caller = run.recorder(Row::Caller);
    let mut gone = run.recorder(Row::Worker(0));
    let mut stays = run.recorder(Row::Worker(1));
    caller.begin();
    caller.submitted();
    spend();
    gone.lap(Kind::Wait);
    stays.lap(Kind::Wait);
    drop(gone);
    caller.begin();
    caller.submitted();
    stays.begin();
    drop((caller, stays, run));
    let stats = telemetry.last_run().unwrap();
    assert!(stats.queue_wait >= Duration::from_micros(2), "{stats:?}");
    assert_eq!(stats.idle_tail, Duration::ZERO);
}

#[test]
fn runs_with_other_handles_do_not_mix_and_the_process_counts_when_asked() {
    // The only test in this process that turns the switch on.
    let (one, two) = (Telemetry::new(), Telemetry::new());
    let record = |telemetry: Option<&Telemetry>, blocks: usize| {
        let run = Run::begin(telemetry, "test");
        let mut recorder = run.recorder(Row::Caller);
        (0..blocks).for_each(|_| recorder.block(0, 1, |stage| &mut stage.retried));
        run
    };
    record(Some(&one), 1);
    assert_eq!(process_stats(), SchedulerStats::default());

    collect_process_stats(true);
    let under_way = record(Some(&two), 2);
    record(Some(&one), 4);
    record(None, 8);
    collect_process_stats(false);
    assert!(!record(None, 16).is_on());
    drop(under_way);

    let blocks = |stats: &SchedulerStats| stats.stages[0].retried.blocks;
    assert_eq!((blocks(&one.total()), one.total().runs), (5, 2));
    assert_eq!((blocks(&two.total()), two.total().runs), (2, 1));
    assert_eq!(blocks(&one.last_run().unwrap()), 4);
    // Runs of other tests in this process may have begun meanwhile.
    let process = process_stats();
    assert!(process.runs >= 3 && blocks(&process) >= 2 + 4 + 8, "{process:?}");
}

/// Events of complete spans, by the names of their process and row.
fn rows(trace: &Value) -> BTreeMap<(String, String), Vec<&Value>> {
    let events = trace["traceEvents"].as_array().unwrap();
    let name = |kind: &str, of: &Value| {
        let is = |event: &&Value| {
            event["name"] == kind
                && event["pid"] == of["pid"]
                && (kind == "process_name" || event["tid"] == of["tid"])
        };
        let found: Vec<&Value> = events.iter().filter(is).collect();
        assert_eq!(found.len(), 1, "{kind} of {of}");
        found[0]["args"]["name"].as_str().unwrap().to_owned()
    };
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    for event in events.iter().filter(|event| event["ph"] == "X") {
        let row = (name("process_name", event), name("thread_name", event));
        rows.entry(row).or_default().push(event);
    }
    rows
}

fn parse(telemetry: &Telemetry) -> Value {
    let mut json = Vec::new();
    telemetry.write_trace(&mut json).unwrap();
    serde_json::from_slice(&json)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&json)))
}

#[test]
fn a_trace_has_a_row_for_each_worker_and_queue() {
    let telemetry = Telemetry::with_trace(100);
    let run = Run::begin(Some(&telemetry), "compress");
    run.name_device(1, "A \"quoted\"\n\\ dévice\u{1}");
    let mut worker = run.recorder(Row::Worker(12));
    spend();
    worker.lap_piece(Kind::Compute, PIECE);
    worker.lap(Kind::Admin);
    worker.lap_piece(Kind::Handoff, Piece { name: "load", stages: &[], block: 1 << 40, bytes: 5 });
    let mut submission = run.recorder(Row::Submission(1));
    let now = clock();
    let span = |name, queue, begin, end| Span { name, queue, begin, end };
    submission.arrived(
        1,
        8,
        &[
            span("copy", Queue::Upload, 0, now - 400),
            span("kernel", Queue::Compute, now - 500, now - 200),
            span("kernel", Queue::Compute, now - 300, now - 100),
            span("copy", Queue::Download, now - 50, u64::MAX),
        ],
    );
    drop((worker, submission, run));

    let trace = parse(&telemetry);
    let rows = rows(&trace);
    let names: Vec<&str> = rows.keys().map(|(_, row)| row.as_str()).collect();
    let device = "A \"quoted\"\n\\ dévice\u{1}";
    let queue = |name: &str| format!("{device}: {name}");
    assert_eq!(names, [&queue("compute"), &queue("download"), &queue("upload"), "worker 12"]);
    assert!(rows.keys().all(|(process, _)| process == "ranvil compress"));
    for events in rows.values() {
        let times = events.iter().map(|event| {
            let (begin, length) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            (begin, begin + length)
        });
        let times: Vec<(f64, f64)> = times.collect();
        assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 0.000_5), "{times:?}");
        assert!(times.iter().all(|(begin, end)| begin <= end));
    }
    let worker = &rows[&("ranvil compress".to_owned(), "worker 12".to_owned())];
    assert_eq!(worker[0]["args"], serde_json::json!({ "block": 7, "bytes": 4096, "stages": [1] }));
    assert!(worker[0]["dur"].as_f64().unwrap() >= 1.0, "microseconds");
    assert_eq!(worker[1]["args"]["block"], 1u64 << 40);
    assert_eq!(trace["otherData"]["dropped_events"], 0);

    let stats = telemetry.last_run().unwrap();
    assert_eq!(stats.gpu_batches, 1);
    // All of them overlap or meet but the last, which ends now.
    assert!(stats.gpu_busy >= Duration::from_nanos(350) && stats.gpu_busy <= stats.total);
}

#[test]
fn two_devices_of_one_name_have_rows_of_their_own() {
    let telemetry = Telemetry::with_trace(100);
    let run = Run::begin(Some(&telemetry), "compress");
    for (index, name) in ["same", "other", "same"].into_iter().enumerate() {
        run.name_device(index, name);
        run.recorder(Row::Submission(index)).lap_batch(Kind::Handoff, "form", 3);
    }
    drop(run);
    let trace = parse(&telemetry);
    let rows = rows(&trace);
    let names: Vec<&str> = rows.keys().map(|(_, row)| row.as_str()).collect();
    assert_eq!(names, ["other: submission", "same [0]: submission", "same [2]: submission"]);
    assert!(rows.values().all(|events| events.len() == 1 && events[0]["args"]["batch"] == 3));
}

#[test]
fn a_trace_is_bounded_and_counts_what_it_dropped() {
    let telemetry = Telemetry::with_trace(10);
    for events in [4, 9, 3] {
        let run = Run::begin(Some(&telemetry), "test");
        let mut worker = run.recorder(Row::Worker(0));
        (0..events).for_each(|_| worker.lap_piece(Kind::Compute, PIECE));
    }
    let trace = parse(&telemetry);
    let count = |ph: &str| {
        trace["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == ph).count()
    };
    assert_eq!(count("X"), 10);
    assert_eq!(count("M"), 2 * 3, "the third run has no event left, so no rows either");
    assert_eq!(trace["otherData"]["dropped_events"], 6);
    assert_eq!(telemetry.total().runs, 3, "statistics know no bound");
}

#[test]
fn without_a_trace_there_are_no_events() {
    let telemetry = Telemetry::new();
    Run::begin(Some(&telemetry), "test").recorder(Row::Caller).lap_piece(Kind::Compute, PIECE);
    let trace = parse(&telemetry);
    assert_eq!(trace["traceEvents"], serde_json::json!([]));
    assert_eq!(telemetry.total().runs, 1);
}
