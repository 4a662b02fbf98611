//! The engine with a device made of the CPU's coder that can misbehave in every way that the seam allows.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use super::{
    accel::{Accelerator, BatchLimit, Done, Job, Work as Parts},
    *,
};
use crate::{BlockFault, DeviceError, Simd, block::Encoded};

/// What a [`Fake`] does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    None,
    /// Finishes the blocks of all batches in flight at once, the last first.
    Backward,
    /// Refuses the submission of this number.
    RefuseSubmit(usize),
    /// Is lost when it is polled for this time.
    LoseAtPoll(usize),
    /// Gives only some of the blocks back then.
    KeepBlocks,
    /// Says of every block that it cannot be coded.
    Fault,
    Panic,
    /// Takes so many milliseconds for a batch.
    Slow(u64),
}

/// What a [`Fake`] has seen.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub submissions: AtomicUsize,
    pub jobs: AtomicUsize,
    pub most_in_flight: AtomicUsize,
    polls: AtomicUsize,
}

pub(crate) struct Fake {
    coder: Coder,
    trouble: Trouble,
    batch: usize,
    slots: usize,
    in_flight: VecDeque<Vec<Job>>,
    seen: Arc<Seen>,
}

impl Fake {
    pub fn new(trouble: Trouble, batch: usize, slots: usize) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        let coder = Coder::new(Simd::Scalar, true).unwrap();
        let in_flight = VecDeque::new();
        (Self { coder, trouble, batch, slots, in_flight, seen: Arc::clone(&seen) }, seen)
    }

    fn code(&mut self, mut job: Job) -> Done {
        if let Parts::Decode { parts, .. } = &job.work {
            let coded = parts.iter().any(|part| part.encoded.kind == BlockKind::Coded);
            assert!(coded, "trivial blocks are not worth the way");
        }
        let outcome = match self.trouble {
            Trouble::Fault => Err(BlockFault::Stream),
            _ => self.coder.code_parts(&mut job.work),
        };
        Done { job, outcome }
    }
}

impl Accelerator for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn batch_limit(&self) -> BatchLimit {
        BatchLimit { parts: self.batch, raw_bytes: 1 << 20 }
    }

    fn slots(&self) -> usize {
        self.slots
    }

    fn staging_bytes(&self) -> u64 {
        1 << 20
    }

    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), (DeviceError, Vec<Job>)> {
        let parts: usize = jobs.iter().map(|job| job.work.parts()).sum();
        assert!(!jobs.is_empty() && parts <= self.batch);
        assert!(self.in_flight.len() < self.slots);
        let number = self.seen.submissions.fetch_add(1, Relaxed);
        if self.trouble == Trouble::RefuseSubmit(number) {
            let error = DeviceError::Vulkan { call: "vkQueueSubmit", result: "no".to_owned() };
            return Err((error, jobs));
        }
        self.seen.jobs.fetch_add(jobs.len(), Relaxed);
        self.in_flight.push_back(jobs);
        let in_flight = self.in_flight.iter().map(Vec::len).sum();
        self.seen.most_in_flight.fetch_max(in_flight, Relaxed);
        Ok(())
    }

    fn poll(&mut self, wait: bool) -> Result<Vec<Done>, (DeviceError, Vec<Job>)> {
        assert!(wait && !self.in_flight.is_empty());
        let number = self.seen.polls.fetch_add(1, Relaxed);
        let mut jobs: Vec<Job> = match self.trouble {
            Trouble::Panic => panic!("the driver said no"),
            Trouble::LoseAtPoll(at) if at == number => {
                return Err((DeviceError::Lost, self.in_flight.drain(..).flatten().collect()));
            }
            Trouble::KeepBlocks => {
                return Err((
                    DeviceError::Lost,
                    self.in_flight.drain(..).flatten().skip(1).collect(),
                ));
            }
            Trouble::Backward => self.in_flight.drain(..).flatten().collect(),
            _ => self.in_flight.pop_front().unwrap(),
        };
        if let Trouble::Slow(milliseconds) = self.trouble {
            thread::sleep(Duration::from_millis(milliseconds));
        }
        if self.trouble == Trouble::Backward {
            jobs.reverse();
        }
        Ok(jobs.into_iter().map(|job| self.code(job)).collect())
    }
}

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
    let buffers = Buffers { raw: raw(number), ..Buffers::default() };
    let work = Work::Encode { level: 3, table_log: None };
    coder.code(0, Block { buffers, pipeline, segment_log: 12, work }).buffers.payload
}

fn submit(engine: &mut Engine, number: u64) {
    let mut buffers = engine.acquire().expect("buffers are free");
    buffers.raw.clear();
    buffers.raw.extend(raw(number));
    let pipeline = engine.config.pipeline;
    let work = Work::Encode { level: 3, table_log: None };
    engine.submit(Block { buffers, pipeline, segment_log: 12, work });
}

fn take(engine: &mut Engine, number: u64) -> Side {
    let block = engine.next(true).unwrap().expect("a block is in flight");
    assert_eq!((block.id, block.crc), (number, crc32c::crc32c(&raw(number))));
    assert!(block.buffers.raw == raw(number));
    assert!(block.buffers.payload == payload(engine.config.pipeline, number));
    assert_eq!(block.outcome.unwrap().kind, BlockKind::Coded);
    engine.release(block.buffers);
    block.side
}

/// Runs as many blocks through as the engine has buffers for, again and again. Who coded how many?
fn run(engine: &mut Engine, blocks: u64) -> [u64; 3] {
    let mut sides = [0; 3];
    let (mut submitted, mut taken) = (0, 0);
    while taken < blocks {
        while submitted < blocks && (engine.sets < engine.plan.sets || !engine.spare.is_empty()) {
            submit(engine, submitted);
            submitted += 1;
        }
        sides[take(engine, taken) as usize] += 1;
        taken += 1;
    }
    assert!(engine.next(true).unwrap().is_none());
    sides
}

#[test]
fn a_lone_block_starts_no_thread_and_the_second_does() {
    let mut engine = Engine::new(&options(), Route::Cpu, CONFIG).unwrap();
    for number in 0..3 {
        submit(&mut engine, number);
        assert!(engine.next(false).unwrap().is_none(), "it is coded only when it is waited for");
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
        let mut engine = Engine::new(&options, Route::Cpu, CONFIG).unwrap();
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
        let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), CONFIG).unwrap();
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
        (Trouble::RefuseSubmit(3), None),
        (Trouble::LoseAtPoll(4), None),
    ] {
        for pipeline in [Pipeline::Lzr, Pipeline::Lzseqr] {
            let config = Config { pipeline, ..CONFIG };
            let (fake, _) = Fake::new(trouble, 6, 2);
            let device = Route::Device(Box::new(fake));
            let mut engine = Engine::new(&options(), device, config).unwrap();
            let sides = run(&mut engine, 40);
            assert!(expected.is_none_or(|expected| sides == expected), "{trouble:?}: {sides:?}");
            assert_eq!(sides[2] > 0, expected.is_none(), "{trouble:?}: {sides:?}");

            let (fake, _) = Fake::new(trouble, 6, 2);
            let device = Route::Device(Box::new(fake));
            let config = Config { level: None, ..config };
            let mut engine = Engine::new(&options(), device, config).unwrap();
            for number in 0..40 {
                let mut buffers = engine.acquire().unwrap();
                buffers.payload = payload(pipeline, number);
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

fn take_decoded(engine: &mut Engine, number: u64) {
    let block = engine.next(true).unwrap().expect("a block is in flight");
    block.outcome.unwrap();
    assert!(block.buffers.raw == raw(number), "block {number}");
    assert_eq!(block.crc, crc32c::crc32c(&raw(number)));
    engine.release(block.buffers);
}

/// More parts than a batch takes are no reason to fail, or to wait.
#[test]
fn a_block_too_large_for_a_batch_is_coded_by_the_cpu() {
    let config = Config { pipeline: Pipeline::Lzseqr, ..CONFIG };
    let (fake, seen) = Fake::new(Trouble::None, 0, 1);
    let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), config).unwrap();
    assert_eq!(run(&mut engine, 5), [5, 0, 0]);
    assert_eq!(seen.jobs.load(Relaxed), 0);
}

#[test]
fn the_buffers_bound_what_is_in_flight() {
    let (fake, _) = Fake::new(Trouble::None, 100, 4);
    let least = match Engine::new(&options().memory_limit(0), Route::Device(Box::new(fake)), CONFIG)
    {
        Err(Error::MemoryLimit { needed, .. }) => needed,
        other => panic!("{:?}", other.err()),
    };
    let (fake, seen) = Fake::new(Trouble::Slow(1), 100, 4);
    let options = options().memory_limit(least + 50_000);
    let mut engine = Engine::new(&options, Route::Device(Box::new(fake)), CONFIG).unwrap();
    let sets = engine.plan.sets;
    assert!((2..=6).contains(&sets), "{sets}");
    assert_eq!(run(&mut engine, 50), [0, 50, 0]);
    assert!(seen.most_in_flight.load(Relaxed) <= sets);
}

#[test]
fn a_refused_submission_is_coded_by_the_cpu_once() {
    let (fake, seen) = Fake::new(Trouble::RefuseSubmit(3), 1, 2);
    let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), CONFIG).unwrap();
    assert_eq!(run(&mut engine, 20), [0, 19, 1]);
    assert_eq!(seen.submissions.load(Relaxed), 20);
}

#[test]
fn a_lost_device_gets_nothing_more_and_its_blocks_are_coded_by_the_cpu_once() {
    let (fake, seen) = Fake::new(Trouble::LoseAtPoll(5), 1, 2);
    let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), CONFIG).unwrap();
    let [cpu, device, retried] = run(&mut engine, 30);
    assert_eq!((cpu + device + retried, device), (30, 5));
    let submitted = seen.jobs.load(Relaxed) as u64;
    assert_eq!(retried, submitted - device, "what was on the device, and only that");
    assert!((1..=2).contains(&retried));
}

#[test]
fn blocks_that_the_device_cannot_encode_are_encoded_by_the_cpu() {
    let (fake, _) = Fake::new(Trouble::Fault, 4, 2);
    let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), CONFIG).unwrap();
    assert_eq!(run(&mut engine, 20), [0, 0, 20]);
}

#[test]
fn a_device_layer_that_panics_or_keeps_blocks_frees_who_waits() {
    for (trouble, expected) in
        [(Trouble::Panic, "the driver said no"), (Trouble::KeepBlocks, "kept")]
    {
        let (fake, _) = Fake::new(trouble, 4, 2);
        let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), CONFIG).unwrap();
        submit(&mut engine, 0);
        match engine.next(true) {
            Err(Error::Internal(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{other:?}"),
        }
        // Nothing is stuck; without the thread the CPU takes over.
        submit(&mut engine, 1);
    }
}

#[test]
fn beside_the_cpu_a_device_gets_what_it_has_room_for() {
    let (fake, seen) = Fake::new(Trouble::Slow(5), 2, 1);
    let mut engine = Engine::new(&options(), Route::Cpu, CONFIG).unwrap();
    engine.plan = plan(&options(), &CONFIG, Some(&fake)).unwrap();
    engine.start_device(Box::new(fake), Share::Spare).unwrap();
    let [cpu, device, retried] = run(&mut engine, 400);
    assert_eq!((cpu + device, retried), (400, 0));
    assert_eq!(device, seen.jobs.load(Relaxed) as u64);
    assert!(device > 0 && cpu > 0, "{cpu} on the CPU, {device} on the device");
}

#[test]
fn cancelling_ends_a_wait_for_a_slow_device() {
    let token = crate::CancelToken::new();
    let (fake, _) = Fake::new(Trouble::Slow(300), 4, 2);
    let options = options().cancel(token.clone());
    let mut engine = Engine::new(&options, Route::Device(Box::new(fake)), CONFIG).unwrap();
    let canceller = thread::spawn(move || token.cancel());
    let error = (0..).find_map(|number| {
        submit(&mut engine, number);
        engine.next(true).map(|block| engine.release(block.unwrap().buffers)).err()
    });
    assert!(matches!(error, Some(Error::Cancelled)));
    canceller.join().unwrap();
}

#[test]
fn stored_frames_need_no_device() {
    let (fake, seen) = Fake::new(Trouble::None, 4, 2);
    let config = Config { pipeline: Pipeline::Stored, ..CONFIG };
    let mut engine = Engine::new(&options(), Route::Device(Box::new(fake)), config).unwrap();
    submit(&mut engine, 0);
    let block = engine.next(true).unwrap().unwrap();
    assert_eq!(block.outcome.unwrap().kind, BlockKind::Stored);
    assert_eq!(seen.jobs.load(Relaxed), 0);
}
