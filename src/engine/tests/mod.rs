//! The engine with devices that work, are slow, or fail.

mod batches;
mod cancel;
mod desk;
mod fake;
mod join;
mod lent;
mod opening;
mod pace;
mod service;
mod telemetry;

use std::{
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

pub(crate) use self::fake::{Fake, Seen, Trouble};
use super::{
    accel::Accelerator,
    policy::{
        CpuPrior, DevicePrior,
        memory::{self, Workload},
    },
    *,
};
use crate::{Simd, Telemetry, block::Encoded};

const CONFIG: Config = Config {
    block_size: 4096,
    pipeline: Pipeline::Rans,
    level: Some(3),
    verifies: true,
    reserve: 0,
};

fn options() -> Options {
    Options::new().threads(2).simd(Simd::Scalar)
}

/// Block `number`: compressible, and like no other.
fn raw(number: u64) -> Vec<u8> {
    (0..4096u64).map(|i| (i * i / 64 % 50 + number) as u8).collect()
}

/// The payload of that block at level 3, from one worker that does all stages.
fn payload(pipeline: Pipeline, number: u64) -> Vec<u8> {
    let mut coder = Coder::new(Simd::Scalar, true).unwrap();
    let buffers = Buffers { raw: Bytes::Own(raw(number)), ..Buffers::default() };
    let work = Work::Encode { level: 3, table_log: None };
    coder.code(0, Block { buffers, pipeline, segment_log: 12, work }).buffers.payload.to_vec()
}

/// A route to one device, and nowhere else.
fn strict(fake: Fake) -> Route {
    Route::open(vec![Idle::new(fake)], Assignment::Gpu)
}

fn idle(fakes: Vec<Fake>) -> Vec<Idle> {
    fakes.into_iter().map(Idle::new).collect()
}

/// A route to several, and nowhere else.
fn strict_list(fakes: Vec<Fake>) -> Route {
    Route::open(idle(fakes), Assignment::Gpu)
}

/// A route to devices and the CPU.
fn shared(fakes: Vec<Fake>) -> Route {
    Route::open(idle(fakes), Assignment::Auto)
}

/// A configuration of this `level` alone, and the belief that a byte takes the device and a worker so many nanoseconds.
/// Where the pipeline has no model a level is nothing but a name for what is believed: each test that needs one has its own.
fn believing(level: u8, fake: &Fake, device: u64, worker: f64) -> Config {
    let config = Config { pipeline: Pipeline::Huff, level: Some(level), ..CONFIG };
    let workload = Workload { pipeline: config.pipeline, level: config.level };
    let mut prior = DevicePrior::default();
    prior.learn(true, 4096, 4096 * device);
    memory::remember(workload, &[fake.uuid()], (vec![prior], CpuPrior::assumed(worker)));
    config
}

/// Submits as many blocks as there are sets of buffers. How many?
fn submit_all(engine: &mut Engine<'_>) -> u64 {
    let sets = engine.plan.sets as u64;
    (0..sets).for_each(|number| submit(engine, number));
    sets
}

fn submit(engine: &mut Engine<'_>, number: u64) {
    let mut buffers = engine.acquire().expect("buffers are free");
    buffers.raw = Bytes::Own(raw(number));
    let pipeline = engine.config.pipeline;
    let work = Work::Encode { level: 3, table_log: None };
    engine.submit(Block { buffers, pipeline, segment_log: 12, work });
}

fn take(engine: &mut Engine<'_>, number: u64) -> Side {
    let block = engine.next(Wait::Block).unwrap().expect("a block is in flight");
    assert_eq!((block.id, block.crc), (number, crc32c::crc32c(&raw(number))));
    assert!(block.buffers.raw[..] == raw(number));
    assert!(block.buffers.payload[..] == payload(engine.config.pipeline, number));
    assert_eq!(block.outcome.unwrap().kind, BlockKind::Coded);
    engine.release(block.buffers);
    block.side
}

/// Runs as many blocks through as the engine has buffers for, again and again. Who coded how many?
fn run(engine: &mut Engine<'_>, blocks: u64) -> [u64; 3] {
    let mut sides = [0; 3];
    let (mut submitted, mut taken) = (0, 0);
    while taken < blocks {
        while submitted < blocks && (engine.sets < engine.plan.sets || !engine.spare.is_empty()) {
            submit(engine, submitted);
            submitted += 1;
        }
        let side = match take(engine, taken) {
            Side::Cpu => 0,
            Side::Device(_) => 1,
            Side::Retried => 2,
        };
        sides[side] += 1;
        taken += 1;
    }
    assert!(engine.next(Wait::Block).unwrap().is_none());
    sides
}

#[test]
fn a_device_costs_workers_where_there_are_many() {
    for (cores, devices, expected) in
        [(1, 1, 1), (7, 1, 7), (8, 1, 7), (16, 0, 16), (16, 1, 14), (16, 3, 14), (32, 2, 29)]
    {
        assert_eq!(planning::workers(cores, devices), expected, "{cores} cores, {devices} devices");
    }
}

#[test]
fn without_a_core_of_its_own_the_callers_thread_is_one_that_codes() {
    for (threads, cores, expected) in
        [(0, 1, false), (1, 1, false), (2, 1, true), (2, 2, true), (2, 3, false), (16, 16, false)]
    {
        assert_eq!(planning::caller_codes(threads, cores), expected, "{threads} on {cores}");
    }
    let cores = planning::cores().max(2);
    for threads in [cores, cores + 1] {
        let codes = planning::caller_codes(threads, cores);
        let mut engine = Engine::new(&options().threads(threads), Route::cpu(), CONFIG).unwrap();
        // Workers may be the sooner, but not always.
        for number in (0..100_000).step_by(2) {
            [number, number + 1].into_iter().for_each(|number| submit(&mut engine, number));
            for number in [number, number + 1] {
                take(&mut engine, number);
            }
            let pool = engine.pool.as_ref().expect("there are two blocks");
            assert_eq!(pool.surroundings.workers.threads(), threads - usize::from(codes));
            assert!(codes || pool.scratch.is_none());
            if codes == pool.scratch.is_some() {
                break;
            }
        }
        let pool = engine.pool.as_ref().expect("there were two blocks");
        assert_eq!(pool.scratch.is_some(), codes, "{threads} threads");
    }
}

#[test]
fn a_lone_block_starts_no_thread_and_the_second_does() {
    let mut engine = Engine::new(&options(), Route::cpu(), CONFIG).unwrap();
    for number in 0..3 {
        submit(&mut engine, number);
        assert!(engine.next(Wait::No).unwrap().is_none(), "it is coded only when it is waited for");
        take(&mut engine, number);
        assert!(engine.pool.is_none());
    }
    submit(&mut engine, 3);
    submit(&mut engine, 4);
    assert!(engine.pool.is_some());
    take(&mut engine, 3);
    take(&mut engine, 4);
}

#[test]
fn blocks_come_back_in_order_within_the_memory_limit() {
    for limit in [700 << 10, 1300 << 10, 4 << 20, 256 << 20] {
        let options = options().memory_limit(limit);
        let mut engine = Engine::new(&options, Route::cpu(), CONFIG).unwrap();
        assert_eq!(run(&mut engine, 100), [100, 0, 0]);
        assert!(engine.sets <= engine.plan.sets);
    }
}

#[test]
fn an_explicit_device_gets_every_block_in_any_order() {
    for (trouble, batch, slots) in [
        (Trouble::None, 1, 1),
        (Trouble::None, 4, 3),
        (Trouble::Backward, 1, 3),
        (Trouble::Backward, 5, 2),
        (Trouble::Slow(1), 2, 2),
    ] {
        let (fake, seen) = Fake::new(trouble, batch, slots);
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        assert_eq!(run(&mut engine, 60), [0, 60, 0], "{trouble:?}");
        assert_eq!(seen.jobs.load(Relaxed), 60);
        assert!(seen.most_in_flight.load(Relaxed) <= batch * slots);
    }
}

/// The stages of a block on workers and device in turn, with and without trouble, both ways.
#[test]
fn a_device_codes_the_parts_of_blocks_with_a_model() {
    for (trouble, expected) in [
        (Trouble::None, Some([0, 40, 0])),
        (Trouble::Backward, Some([0, 40, 0])),
        (Trouble::Slow(1), Some([0, 40, 0])),
        (Trouble::RefusePlan(3), None),
        (Trouble::RefuseStart(3), None),
        (Trouble::LoseAt(4), None),
    ] {
        for pipeline in [Pipeline::Lzr, Pipeline::Lzseqr] {
            let config = Config { pipeline, ..CONFIG };
            let (fake, _) = Fake::new(trouble, 6, 2);
            let device = strict(fake);
            let mut engine = Engine::new(&options(), device, config).unwrap();
            let sides = run(&mut engine, 40);
            assert!(expected.is_none_or(|expected| sides == expected), "{trouble:?}: {sides:?}");
            assert_eq!(sides[2] > 0, expected.is_none(), "{trouble:?}: {sides:?}");

            let (fake, _) = Fake::new(trouble, 6, 2);
            let device = strict(fake);
            let config = Config { level: None, ..config };
            let mut engine = Engine::new(&options(), device, config).unwrap();
            for number in 0..40 {
                let mut buffers = engine.acquire().unwrap();
                buffers.payload = Bytes::Own(payload(pipeline, number));
                let encoded = Encoded { kind: BlockKind::Coded, table_log: 0 };
                let work = Work::Decode { encoded, raw_size: 4096 };
                engine.submit(Block { buffers, pipeline, segment_log: 12, work });
                if number >= 2 {
                    take_decoded(&mut engine, number - 2);
                }
            }
            take_decoded(&mut engine, 38);
            take_decoded(&mut engine, 39);
        }
    }
}

fn take_decoded(engine: &mut Engine<'_>, number: u64) {
    let block = engine.next(Wait::Block).unwrap().expect("a block is in flight");
    block.outcome.unwrap();
    assert!(block.buffers.raw[..] == raw(number), "block {number}");
    assert_eq!(block.crc, crc32c::crc32c(&raw(number)));
    engine.release(block.buffers);
}

/// More parts than a batch takes are no reason to fail, or to wait.
#[test]
fn a_block_too_large_for_a_batch_is_coded_by_the_cpu() {
    let config = Config { pipeline: Pipeline::Lzseqr, ..CONFIG };
    let (fake, seen) = Fake::new(Trouble::None, 0, 1);
    let mut engine = Engine::new(&options(), strict(fake), config).unwrap();
    assert_eq!(run(&mut engine, 5), [5, 0, 0]);
    assert_eq!(seen.jobs.load(Relaxed), 0);
}

#[test]
fn the_buffers_bound_what_is_in_flight() {
    let (fake, _) = Fake::new(Trouble::None, 100, 4);
    let least = match Engine::new(&options().memory_limit(0), strict(fake), CONFIG) {
        Err(Error::MemoryLimit { needed, .. }) => needed,
        other => panic!("{:?}", other.err()),
    };
    let (fake, seen) = Fake::new(Trouble::Slow(1), 100, 4);
    let options = options().memory_limit(least + 50_000);
    let mut engine = Engine::new(&options, strict(fake), CONFIG).unwrap();
    let sets = engine.plan.sets;
    assert!((2..=6).contains(&sets), "{sets}");
    assert_eq!(run(&mut engine, 50), [0, 50, 0]);
    assert!(seen.most_in_flight.load(Relaxed) <= sets);
}

#[test]
fn a_device_that_fails_gets_nothing_more_and_its_blocks_are_coded_by_the_cpu_once() {
    for trouble in [
        Trouble::RefusePlan(0),
        Trouble::RefusePlan(5),
        Trouble::RefuseStart(5),
        Trouble::LoseAt(0),
        Trouble::LoseAt(5),
    ] {
        let (fake, seen) = Fake::new(trouble, 1, 2);
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        let [cpu, device, retried] = run(&mut engine, 30);
        assert_eq!(cpu + device + retried, 30, "{trouble:?}");
        let refused = u64::from(matches!(trouble, Trouble::RefusePlan(_)));
        let submitted = seen.jobs.load(Relaxed) as u64 + refused;
        assert_eq!(retried, submitted - device, "{trouble:?}: what it was given, and only that");
        assert!((1..=2).contains(&retried), "{trouble:?}: {retried}");
    }
}

#[test]
fn blocks_that_the_device_cannot_encode_are_encoded_by_the_cpu() {
    let (fake, _) = Fake::new(Trouble::Fault, 4, 2);
    let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
    assert_eq!(run(&mut engine, 20), [0, 0, 20]);
}

#[test]
fn a_device_layer_that_panics_or_keeps_blocks_frees_who_waits() {
    for (trouble, expected) in
        [(Trouble::Panic, "the driver said no"), (Trouble::KeepBlocks, "kept")]
    {
        let (fake, _) = Fake::new(trouble, 4, 2);
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        submit(&mut engine, 0);
        match engine.next(Wait::Block) {
            Err(Error::Internal(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{other:?}"),
        }
        // Nothing is stuck: without the thread the CPU takes over. What the device kept never comes.
        submit(&mut engine, 1);
        let returns = &engine.pool.as_ref().expect("the device has threads").returns;
        while !returns.has_any() {
            thread::yield_now();
        }
    }
}

#[test]
fn beside_a_device_the_caller_does_a_small_lone_block_itself() {
    let (fake, seen) = Fake::new(Trouble::None, 4, 2);
    // The device is believed to be much faster.
    let config = believing(97, &fake, 1, 1e12);
    let mut engine = Engine::new(&options(), shared(vec![fake]), config).unwrap();
    for number in 0..3 {
        submit(&mut engine, number);
        assert_eq!(take(&mut engine, number), Side::Cpu);
    }
    assert!(engine.pool.is_none() && seen.jobs.load(Relaxed) == 0, "no thread is started");
    // The second in flight starts them.
    (3..5).for_each(|number| submit(&mut engine, number));
    assert!(engine.pool.is_some() && engine.waiting.is_empty());
    for number in 3..5 {
        take(&mut engine, number);
    }
    assert!(seen.jobs.load(Relaxed) > 0, "the device had the first of them");
    // A large one is the policy's.
    let config = Config { block_size: 1 << 20, ..config };
    let (fake, _) = Fake::new(Trouble::None, 4, 2);
    let engine = Engine::new(&options(), shared(vec![fake]), config).unwrap();
    assert!(engine.pool.is_some() && engine.waiting.is_empty());
}

/// Who does how many is a matter of speed, the sums are not.
#[test]
fn beside_a_device_every_block_is_done_once() {
    let (fake, seen) = Fake::new(Trouble::Slow(5), 2, 1);
    let mut engine = Engine::new(&options(), shared(vec![fake]), CONFIG).unwrap();
    let [cpu, device, retried] = run(&mut engine, 400);
    assert_eq!((cpu + device, retried), (400, 0));
    let given = seen.jobs.load(Relaxed) as u64;
    assert!(device <= given, "{device} of {given}");
}

/// The device takes two blocks and its channel two more, until it is allowed to finish them: all others are refused, and
/// lost is none of them.
#[test]
fn a_full_channel_sends_a_shared_block_to_the_cpu() {
    let (fake, seen) = Fake::new(Trouble::Hold, 2, 1);
    // It takes 100 ms for a byte, and a worker longer: nobody takes anything back from it.
    let config = believing(99, &fake, 100_000_000, 1e12);
    let telemetry = Telemetry::new();
    let options = options().telemetry(telemetry.clone());
    let mut engine = Engine::new(&options, shared(vec![fake]), config).unwrap();
    let sets = submit_all(&mut engine);
    assert!(sets > 4);
    let workers = &engine.pool.as_ref().expect("the device has threads").surroundings.workers;
    while workers.queued() > 0 {
        thread::yield_now(); // The device may take them as well once it has a slot again.
    }
    seen.released.store(true, Relaxed);
    for number in 0..sets {
        take(&mut engine, number);
    }
    drop(engine);
    let stats = telemetry.last_run().unwrap();
    assert!(stats.sends_full > 0, "{stats:?}");
    let (cpu, device) = (stats.stages[0].cpu.blocks, stats.stages[0].gpu.blocks);
    assert!(cpu + device == sets && cpu >= sets - 4, "{stats:?}");
    assert!((1..=4).contains(&seen.jobs.load(Relaxed)), "{seen:?}");
}

#[test]
fn a_channel_that_never_empties_holds_up_no_shared_block_and_keeps_strict_ones() {
    let (fake, _) = Fake::new(Trouble::Stall, 2, 1);
    let mut engine = Engine::new(&options(), shared(vec![fake]), CONFIG).unwrap();
    let sets = submit_all(&mut engine);
    assert!(sets > 4);
    for number in 0..sets {
        assert_eq!(take(&mut engine, number), Side::Cpu, "the device stalls");
    }

    let (fake, _) = Fake::new(Trouble::Slow(20), 2, 1);
    let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
    for number in 0..submit_all(&mut engine) {
        assert_eq!(take(&mut engine, number), Side::Device(0), "whatever waits there");
    }
}

#[test]
fn several_devices_share_the_blocks_and_one_may_fail() {
    for trouble in [Trouble::None, Trouble::Slow(1), Trouble::LoseAt(3), Trouble::RefusePlan(0)] {
        for strict in [true, false] {
            let route = if strict { strict_list } else { shared };
            let (first, _) = Fake::new(Trouble::Slow(1), 2, 2);
            let (second, seen) = Fake::new(trouble, 3, 2);
            let mut engine = Engine::new(&options(), route(vec![first, second]), CONFIG).unwrap();
            let sides = run(&mut engine, 100);
            assert_eq!(sides.iter().sum::<u64>(), 100);
            let fails = matches!(trouble, Trouble::LoseAt(_) | Trouble::RefusePlan(_));
            assert!(fails || sides[2] == 0, "{trouble:?}: {sides:?}");
            // Beside the CPU it depends on their speeds.
            assert!(!strict || seen.batches.load(Relaxed) > 0, "the second one is used");
        }
    }
}

/// A stage that panics, wherever it is, ends the run with an error; nothing hangs.
#[test]
fn a_panic_while_a_block_is_copied_is_an_error() {
    let (fake, _) = Fake::new(Trouble::PanicInLoad, 2, 2);
    let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
    submit(&mut engine, 0);
    match engine.next(Wait::Block) {
        Err(Error::Internal(message)) => assert_eq!(message, "block 0: no copy of this"),
        other => panic!("{other:?}"),
    }
}

/// Whatever a device and the workers hold at that moment.
#[test]
fn an_engine_may_be_dropped_at_any_time() {
    let troubles = [Trouble::None, Trouble::Slow(3), Trouble::Stall, Trouble::LoseAt(1)];
    for (round, trouble) in troubles.into_iter().cycle().take(80).enumerate() {
        let (fake, _) = Fake::new(trouble, 3, 2);
        let route = if round % 2 == 0 { strict(fake) } else { shared(vec![fake]) };
        let mut engine = Engine::new(&options(), route, CONFIG).unwrap();
        let blocks = (round / 4 % 8) as u64;
        (0..blocks).for_each(|number| submit(&mut engine, number));
        if round % 3 == 0 {
            thread::sleep(Duration::from_micros(50 * round as u64));
        }
    }
}

#[test]
fn a_stalled_device_and_64_workers_stay_within_the_buffers() {
    let (fake, _) = Fake::new(Trouble::Stall, 16, 2);
    let options = options().threads(64).memory_limit(64 << 20);
    let mut engine = Engine::new(&options, shared(vec![fake]), CONFIG).unwrap();
    assert!(engine.plan.bytes <= 64 << 20);
    for round in 0..3 {
        let first = engine.submitted;
        let mut blocks = 0;
        while engine.sets < engine.plan.sets || !engine.spare.is_empty() {
            submit(&mut engine, first + blocks);
            blocks += 1;
        }
        assert_eq!(blocks, engine.plan.sets as u64, "round {round}");
        (0..blocks).for_each(|number| assert_eq!(take(&mut engine, first + number), Side::Cpu));
        assert_eq!(engine.sets, engine.plan.sets);
    }
}

#[test]
fn a_device_is_given_up_for_another_engine_unless_it_failed() {
    for (trouble, parked) in [
        (Trouble::None, 1),
        (Trouble::Slow(1), 1),
        (Trouble::Fault, 1),
        (Trouble::RefusePlan(1), 0),
        (Trouble::RefuseStart(1), 0),
        (Trouble::LoseAt(1), 0),
    ] {
        let (fake, seen) = Fake::new(trouble, 2, 2);
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        run(&mut engine, 20);
        assert_eq!(seen.parked.load(Relaxed), 0, "{trouble:?}: it is in use");
        drop(engine);
        assert_eq!(seen.parked.load(Relaxed), parked, "{trouble:?}");
    }
    let (fake, seen) = Fake::new(Trouble::Panic, 2, 2);
    let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
    submit(&mut engine, 0);
    assert!(engine.next(Wait::Block).is_err());
    drop(engine);
    assert_eq!(seen.parked.load(Relaxed), 0, "it panicked");
}

/// Opening it took longer than many a run.
#[test]
fn a_device_that_was_opened_in_vain_is_given_up_for_another_engine() {
    type Case = (&'static str, fn(Fake));
    let cases: [Case; 5] = [
        ("no engine takes the route", |fake| drop(strict(fake))),
        ("the stage is the CPU's", |fake| {
            let route = Route::open(vec![Idle::new(fake)], Assignment::Cpu);
            drop(Engine::new(&options(), route, CONFIG).unwrap());
        }),
        ("stored blocks need none", |fake| {
            let config = Config { pipeline: Pipeline::Stored, ..CONFIG };
            drop(Engine::new(&options(), strict(fake), config).unwrap());
        }),
        ("there is no memory for an engine", |fake| {
            let engine = Engine::new(&options().memory_limit(1 << 20), strict(fake), CONFIG);
            assert!(matches!(engine.err(), Some(Error::MemoryLimit { .. })));
        }),
        ("there is no memory for another device", |fake| {
            let options = options().memory_limit(2 << 20);
            let mut engine = Engine::new(&options, Route::cpu(), CONFIG).unwrap();
            engine.add(vec![Idle::new(fake)]);
            assert!(engine.pool.is_none(), "it is refused");
        }),
    ];
    for (case, use_in_vain) in cases {
        let (fake, seen) = Fake::new(Trouble::None, 2, 2);
        use_in_vain(fake);
        assert_eq!(seen.parked.load(Relaxed), 1, "{case}");
    }
}

/// The device never finishes what it has: nothing but the cancellation ends the wait.
#[test]
fn cancelling_ends_a_wait_for_a_stalled_device() {
    let token = crate::CancelToken::new();
    let (fake, seen) = Fake::new(Trouble::Stall, 4, 2);
    let options = options().cancel(token.clone());
    let mut engine = Engine::new(&options, strict(fake), CONFIG).unwrap();
    let canceller = thread::spawn(move || {
        while seen.batches.load(Relaxed) == 0 {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(5)); // The wait has begun.
        token.cancel();
    });
    submit(&mut engine, 0);
    assert!(matches!(engine.next(Wait::Block), Err(Error::Cancelled)));
    assert!(matches!(engine.next(Wait::Buffers), Err(Error::Cancelled)), "it stays so");
    canceller.join().unwrap();
}

#[test]
fn stored_frames_need_no_device() {
    let (fake, seen) = Fake::new(Trouble::None, 4, 2);
    let config = Config { pipeline: Pipeline::Stored, ..CONFIG };
    let mut engine = Engine::new(&options(), strict(fake), config).unwrap();
    submit(&mut engine, 0);
    let block = engine.next(Wait::Block).unwrap().unwrap();
    assert_eq!(block.outcome.unwrap().kind, BlockKind::Stored);
    assert_eq!(seen.jobs.load(Relaxed), 0);
}
