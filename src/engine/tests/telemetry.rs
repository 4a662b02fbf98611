//! What an engine records of devices that work, are slow, or fail.

use super::*;
use crate::{SchedulerStats, SideStats, Telemetry};

/// Runs `blocks` blocks through an engine and drops it.
fn stats_of(route: Route, config: Config, blocks: u64) -> SchedulerStats {
    stats_after(route, config, |engine| {
        run(engine, blocks);
        blocks
    })
}

/// The same with an engine that `work` takes so many blocks from as it says.
fn stats_after(
    route: Route,
    config: Config,
    work: impl FnOnce(&mut Engine<'static>) -> u64,
) -> SchedulerStats {
    let telemetry = Telemetry::new();
    let options = options().telemetry(telemetry.clone());
    let mut engine = Engine::new(&options, route, config).unwrap();
    let blocks = work(&mut engine);
    assert_eq!(telemetry.last_run(), None, "the run goes on");
    drop(engine);
    let stats = telemetry.last_run().unwrap();
    check(&stats, blocks, config.pipeline.model().is_some());
    stats
}

/// What holds for every run: each block counts once at each stage.
fn check(stats: &SchedulerStats, blocks: u64, model: bool) {
    assert_eq!((stats.runs, stats.total.is_zero()), (1, false));
    let stages = if model { 2 } else { 1 };
    for (index, stage) in stats.stages.iter().enumerate() {
        let sides = [stage.cpu, stage.gpu, stage.retried];
        let expected = if index < stages { blocks } else { 0 };
        assert_eq!(sides.iter().map(|side| side.blocks).sum::<u64>(), expected, "{stats:?}");
        assert!(sides.iter().all(|side| side.raw_bytes == 4096 * side.blocks));
    }
    let mut by_devices = SideStats::default();
    stats.devices.iter().for_each(|device| by_devices += *device);
    assert_eq!(by_devices, stats.stages[stages - 1].gpu, "{stats:?}");
    // The caller, two workers and at most two submission threads.
    let most = 5 * stats.total;
    let parts = [stats.stage_compute, stats.queue_wait, stats.queue_admin, stats.gpu_handoff];
    assert!(parts.iter().all(|part| *part <= most), "{stats:?}");
    assert!(stats.tracked_time() + stats.idle_tail <= most);
    assert!(!stats.stage_compute.is_zero() && stats.threads <= 2);
}

#[test]
fn a_device_that_works_is_the_side_of_every_block() {
    for pipeline in [Pipeline::Rans, Pipeline::Lzseqr] {
        let config = Config { pipeline, ..CONFIG };
        let (fake, seen) = Fake::new(Trouble::None, 4, 2);
        let stats = stats_of(strict(fake), config, 100);
        let entropy = usize::from(pipeline.model().is_some());
        assert_eq!(stats.stages[entropy].gpu.blocks, 100);
        assert_eq!(stats.stages[0].cpu.blocks, 100 * entropy as u64);
        assert_eq!(stats.gpu_batches, seen.batches.load(Relaxed) as u64);
        assert!(!stats.gpu_handoff.is_zero() && stats.overhead() > 0.0);
        assert_eq!((stats.device_failures, stats.hedged_blocks, stats.reclaimed_blocks), (0, 0, 0));
    }
}

/// As long as none has finished anything, the next block goes to the one that has least.
#[test]
fn each_of_several_devices_has_its_own_count() {
    let (first, one) = Fake::new(Trouble::Hold, 2, 2);
    let (second, two) = Fake::new(Trouble::Hold, 2, 2);
    let mut blocks = 0;
    let stats = stats_after(strict_list(vec![first, second]), CONFIG, |engine| {
        blocks = submit_all(engine);
        [&one, &two].into_iter().for_each(|seen| seen.released.store(true, Relaxed));
        (0..blocks).for_each(|number| assert_ne!(take(engine, number), Side::Cpu));
        blocks
    });
    let found: Vec<_> = stats.devices.iter().map(|device| device.blocks).collect();
    assert_eq!(found, [&one, &two].map(|seen| seen.jobs.load(Relaxed) as u64));
    assert!(blocks > 10);
    assert_eq!(found, [blocks.div_ceil(2), blocks / 2], "equal devices share");
}

#[test]
fn a_device_that_fails_is_counted_and_so_are_the_blocks_it_had() {
    for trouble in [Trouble::RefusePlan(3), Trouble::RefuseStart(3), Trouble::LoseAt(3)] {
        let (fake, _) = Fake::new(trouble, 4, 2);
        let stats = stats_of(strict(fake), CONFIG, 100);
        let stage = &stats.stages[0];
        assert_eq!(stats.device_failures, 1, "{trouble:?}");
        assert!(stage.gpu.blocks > 0 && stage.retried.blocks > 0, "{trouble:?}: {stats:?}");
        // What waited when it failed, and what was to go there afterwards.
        let refused = stats.sends_disconnected;
        assert!(0 < refused && refused <= stage.cpu.blocks, "{trouble:?}: {stats:?}");
    }
    let (fake, _) = Fake::new(Trouble::Fault, 4, 2);
    let stats = stats_of(strict(fake), CONFIG, 100);
    assert_eq!((stats.stages[0].retried.blocks, stats.device_failures), (100, 0));
}

#[test]
fn what_a_stalled_device_had_is_counted_as_taken_back() {
    let (fake, seen) = Fake::new(Trouble::Stall, 2, 1);
    // It is believed to be far faster than a worker: the first block is its own, and nobody takes that from its channel.
    let config = believing(98, &fake, 1, 1e6);
    let stats = stats_of(shared(vec![fake]), config, 400);
    assert_eq!(stats.stages[0].cpu.blocks, 400);
    // Whatever it was given it keeps, so whoever waited for that did it as well.
    let had = seen.jobs.load(Relaxed) as u64;
    assert!(had > 0);
    assert_eq!((stats.hedged_blocks, stats.gpu_batches), (had, 0), "{stats:?}");
}

#[test]
fn engines_of_one_run_are_one_run() {
    let telemetry = Telemetry::new();
    let options = options().telemetry(telemetry.clone());
    let whole = Run::begin(Some(&telemetry), "test");
    for _ in 0..3 {
        let mut engine =
            Engine::in_run(&whole, &options, Route::cpu(), CONFIG, Spawner::free()).unwrap();
        run(&mut engine, 20);
    }
    assert_eq!(telemetry.total().runs, 0);
    drop(whole);
    let stats = telemetry.total();
    check(&stats, 60, false);
    assert_eq!((stats.runs, stats.sends_full, stats.gpu_batches), (1, 0, 0));
    assert!(stats.gpu_handoff.is_zero() && stats.gpu_busy.is_zero());
}

#[test]
fn memory_is_that_of_the_buffers_and_the_devices() {
    let alone = stats_of(Route::cpu(), CONFIG, 50).peak_memory;
    // A raw block and its payload at least, and no more than the plan's sets.
    assert!((4096..=6 * 2 * (4096 + 4096)).contains(&alone), "{alone}");
    let (fake, _) = Fake::new(Trouble::None, 4, 2);
    let staging = fake.staging_bytes();
    let stats = stats_of(strict(fake), CONFIG, 50);
    assert!(stats.peak_memory > staging, "{stats:?}");
}
