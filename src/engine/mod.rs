//! Moves blocks through CPU workers and the accelerator, and hands them back in order, within the memory limit.
//!
//! The caller's thread does all input and output. For each block it takes a set of [`Buffers`], fills one, and
//! submits it; finished blocks come back in the order of submission, with their buffers, which it recycles.
//! There are only as many sets as the memory limit allows: when none is left the caller has to take a finished
//! block first. That is all there is of backpressure.
//!
//! ```text
//! caller -- submit --> workers (all stages) -----------------------------------> order -- next --> caller
//!              \                                                                /
//!               `--> workers (model) --> device thread (entropy) --> workers --'
//! ```
//!
//! A block has up to three stages: the model makes streams of it, or opens its payload; their parts are coded (the
//! entropy stage); the model puts the payload, or the block, together. On the CPU one worker does all of them at once.
//!
//! A block that comes alone is coded on the caller's thread when the caller asks for it: a small input never
//! starts a thread. Where workers leave the caller's thread no core, it does their tasks while it would wait.

pub(crate) mod accel;
mod block;
mod budget;
mod bytes;
mod channel;
mod coder;
mod desk;
mod device;
mod kept;
mod order;
mod planning;
mod policy;
mod pool;
mod returns;
mod route;
#[cfg(test)]
mod sim;
mod station;
mod submission;
mod task;
pub mod testing;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::TryRecvError,
    time::{Duration, Instant},
};

pub use self::kept::release_idle;
use self::{
    accel::Idle,
    budget::Plan,
    device::{Surroundings, start_fleet},
    kept::Purpose,
    planning::{caller_codes, cores, demand, plan, plan_with, shrink, threads},
    pool::Pool,
    route::{Devices, Opening},
    task::{BlockTask, Placing},
};
pub(crate) use self::{
    block::{Block, Buffers, Finished, Side, Work},
    budget::scratch,
    bytes::{Bytes, Held},
    coder::{Coder, Rest},
    returns::Wait,
    route::Route,
};
use crate::{
    Assignment, Options, Pipeline,
    error::{DeviceError, Error, Result},
    format::BlockKind,
    sched::{Spawner, panic_message},
    telemetry::{Recorder, Row, Run},
};

/// Bytes of a payload whose copying costs more than handing it over.
const WORTH_A_TASK: usize = 16 << 10;
/// Bytes at their places from which on copies go past the processor's caches: a shorter result is sooner read from there.
const PAST_CACHES: u64 = 16 << 20;
/// Raw bytes in flight beside a device that takes none: so many that it pays to give it some.
const WINDOW: u64 = 16 << 20;
/// A lone block of no more raw bytes is sooner done by the caller's thread than a device's is ready for it.
const LONE: u32 = 512 << 10;
/// How often a wait looks at the cancellation token. (One in which the caller codes looks after each task.)
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// What an engine is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// The most raw bytes in a block.
    pub block_size: u32,
    /// The pipeline, or the most demanding one.
    pub pipeline: Pipeline,
    /// The level at which blocks are encoded; `None` if they are decoded.
    pub level: Option<u8>,
    /// Whether blocks that are decoded get their checksum computed.
    pub verifies: bool,
    /// Bytes of the memory limit that the caller keeps for itself.
    pub reserve: u64,
}

impl Config {
    fn is_stored(&self) -> bool {
        self.pipeline == Pipeline::Stored
    }
}

/// See the [module](self).
pub(crate) struct Engine<'a> {
    options: Options,
    config: Config,
    plan: Plan,
    /// The caller's thread is one of the plan's workers: it codes while it would wait.
    codes: bool,
    purpose: Purpose,
    /// Sets of buffers that exist, and those of them that nobody uses.
    sets: usize,
    spare: Vec<Buffers<'a>>,
    /// Blocks submitted so far: the next one's number.
    submitted: u64,
    /// Blocks that have come back.
    taken: u64,
    /// Blocks beside those whose payload is being copied to its place.
    placing: usize,
    /// Bytes of payloads that have been sent to their places.
    placed: u64,
    /// A block that came when no other was in flight and no thread runs, as long as it is alone.
    lone: Option<(u64, Block<'a>)>,
    /// For that block; dropped when threads are started.
    coder: Option<Coder>,
    route: Route,
    /// Devices beside the CPU that are open and whose threads begin with the second block.
    waiting: Vec<Idle>,
    /// A device that will be added when it is open.
    opening: Option<Opening>,
    /// Devices were open that blocks of this pipeline do not need.
    unused_devices: bool,
    /// Blocks go from where the caller has them to where it wants them, and need no memory of the engine's.
    places: bool,
    /// Bytes of the memory limit that the caller counts on.
    kept: u64,
    began: Instant,
    pool: Option<Pool<'a>>,
    spawner: Spawner<'a>,
    run: Run,
    /// For the caller's thread.
    recorder: Recorder,
    /// Bytes of all buffers, as they were found last, and of the devices' staging memory.
    bytes: u64,
}

#[cfg(test)]
impl Engine<'static> {
    /// An engine that follows `route`, in a run of its own.
    ///
    /// # Errors
    /// An impossible option or memory limit.
    pub fn new(options: &Options, route: Route, config: Config) -> Result<Self> {
        let what = if config.level.is_some() { "compress" } else { "decompress" };
        let run = Run::begin(options.telemetry.as_ref(), what);
        Self::in_run(&run, options, route, config, Spawner::free())
    }
}

impl<'a> Engine<'a> {
    /// An engine that follows `route`, as a part of a run, with threads from `spawner`.
    ///
    /// # Errors
    /// An impossible option or memory limit.
    pub fn in_run(
        run: &Run,
        options: &Options,
        mut route: Route,
        config: Config,
        spawner: Spawner<'a>,
    ) -> Result<Self> {
        let assignment = route.entropy(config.pipeline)?;
        let devices = std::mem::replace(&mut route.devices, Devices::None);
        let unused_devices = assignment == Assignment::Cpu && matches!(devices, Devices::Open(_));
        let devices = match devices {
            _ if config.is_stored() || assignment == Assignment::Cpu => Vec::new(),
            Devices::None => Vec::new(),
            later @ Devices::Later(_) => {
                route.devices = later;
                Vec::new()
            }
            Devices::Open(mut devices) => {
                shrink(options, &config, &mut devices);
                devices
            }
        };
        let plan = plan(options, &config, &devices)?;
        let codes = devices.is_empty() && caller_codes(plan.workers, cores());
        let Config { pipeline, level, verifies, .. } = config;
        let demand = demand(&config, &devices);
        let purpose = Purpose { demand, pipeline, level, verifies, simd: options.simd };
        kept::begin(&purpose, &plan);
        let kept = kept::coder(&purpose).map(Ok);
        let coder = Some(kept.unwrap_or_else(|| Coder::new(options.simd, verifies))?);
        let mut engine = Self {
            options: options.clone(),
            config,
            plan,
            codes,
            purpose,
            sets: 0,
            spare: Vec::new(),
            submitted: 0,
            taken: 0,
            placing: 0,
            placed: 0,
            lone: None,
            coder,
            route,
            waiting: Vec::new(),
            opening: None,
            unused_devices,
            places: false,
            kept: config.reserve,
            began: Instant::now(),
            pool: None,
            spawner,
            run: run.clone(),
            recorder: run.recorder(Row::Caller),
            bytes: 0,
        };
        let small = pipeline.model().is_some() || config.block_size <= LONE;
        if assignment == Assignment::Auto && small {
            engine.waiting = devices;
        } else if !devices.is_empty() {
            engine.start_devices(devices)?;
        }
        Ok(engine)
    }

    /// Whether it does for blocks of up to `block_size` raw bytes of `pipeline`.
    pub fn fits(&self, block_size: u32, pipeline: Pipeline) -> bool {
        let demands =
            |pipeline: Pipeline| (pipeline != Pipeline::Stored, pipeline.model().is_some());
        let device =
            self.unused_devices && self.route.entropy(pipeline).ok() != Some(Assignment::Cpu);
        let demands = demands(self.config.pipeline) >= demands(pipeline);
        self.config.block_size >= block_size && demands && !device
    }

    /// Whether the assignment of stages suits blocks of `pipeline`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if it does not.
    pub fn accepts(&self, pipeline: Pipeline) -> Result<()> {
        self.route.entropy(pipeline).map(drop)
    }

    /// For what the caller's thread does beside the engine.
    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Bytes of the memory limit that the engine leaves to the caller.
    pub fn spare_memory(&self) -> u64 {
        self.options.memory_limit - self.plan.bytes + self.config.reserve
    }

    /// Blocks that have been submitted and not yet come back.
    pub fn in_flight(&self) -> u64 {
        self.submitted - self.taken
    }

    /// Buffers for a block; `None` while as many are in use as the memory limit allows.
    pub fn acquire(&mut self) -> Option<Buffers<'a>> {
        if self.spare.is_empty() {
            self.collect();
        }
        self.spare.pop().or_else(|| {
            (self.sets < self.window()).then(|| {
                self.sets += 1;
                kept::buffers(&self.purpose).unwrap_or_default()
            })
        })
    }

    /// How many sets of buffers there may be now. What the plan has for devices is made as they take blocks: memory that is
    /// touched for the first time costs more than coding a block, and what stays in the caches less.
    fn window(&self) -> usize {
        let fleet = self.pool.as_ref().and_then(|pool| pool.surroundings.desk.fleet());
        let Some(fleet) = fleet.filter(|_| !self.places) else { return self.plan.sets };
        let block_size = u64::from(self.config.block_size);
        let held = fleet.held().div_ceil(block_size) as usize;
        let usual = budget::in_flight(self.plan.workers as u64).max(WINDOW / block_size);
        self.plan.sets.min(1 + usual as usize + 2 * held)
    }

    /// Takes back the buffers of [`acquire`](Self::acquire).
    pub fn release(&mut self, mut buffers: Buffers<'a>) {
        buffers.payload.let_go();
        if self.sets > self.plan.sets {
            self.sets -= 1; // A device's staging has taken the place.
            self.bytes -= buffers.found as u64;
        } else {
            self.spare.push(buffers);
        }
    }

    /// Takes back the buffers of payloads that have reached their places.
    fn collect(&mut self) {
        let Some(pool) = self.pool.as_ref().filter(|_| self.placing > 0) else { return };
        for buffers in pool.returns.take_buffers() {
            self.placing -= 1;
            self.release(buffers);
        }
    }

    /// Has the payload of a block that has come back copied to `place`, which is as long, and takes the buffers back.
    pub fn place(&mut self, block: Finished<'a>, place: &'a mut [u8]) {
        let Finished { id, buffers, outcome, .. } = block;
        let stored = outcome.is_ok_and(|encoded| encoded.kind == BlockKind::Stored);
        let worth_a_task = place.len() >= WORTH_A_TASK;
        self.placed += place.len() as u64;
        let past_caches = worth_a_task && self.placed > PAST_CACHES;
        let placing = Placing { id, buffers, stored, place, past_caches };
        match self.pool.as_ref().filter(|_| worth_a_task) {
            Some(pool) => {
                self.placing += 1;
                pool.surroundings.workers.spawn_urgent(BlockTask::Place(placing));
            }
            None => self.release(placing.copy()),
        }
    }

    /// Waits until all payloads are at their places.
    ///
    /// # Errors
    /// Those of [`next`](Self::next).
    pub fn settle(&mut self) -> Result<()> {
        self.collect();
        while self.placing > 0 {
            self.next(Wait::Buffers)?;
            self.collect();
        }
        Ok(())
    }

    /// Keeps so many bytes of the memory limit for the caller, whatever is added later.
    pub fn keep(&mut self, bytes: u64) {
        self.kept = self.kept.max(bytes);
    }

    #[cfg(test)]
    pub fn kept(&self) -> u64 {
        self.kept
    }

    /// Announces that the content has at least so many raw bytes, of which `done` have been taken in. A device may be
    /// worth its start now.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn expect_content(&mut self, raw_bytes: u64, done: u64) -> Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        // Where blocks are waited for, it is not the CPU that has too much to do.
        let is_full = self.in_flight() + 1 >= self.plan.sets as u64;
        // With a model most of the work is the CPU's in any case.
        if self.config.pipeline.model().is_none()
            && is_full
            && route::worth_opening(raw_bytes.saturating_sub(done), done, seconds)
            && let Devices::Later(open) = std::mem::replace(&mut self.route.devices, Devices::None)
        {
            // Buffers in use cannot be taken back: staging gets what the present plan leaves.
            self.opening = Opening::begin(open, self.spare_memory().saturating_sub(self.kept));
        }
        match self.opening.as_ref().map(|opening| opening.result.try_recv()) {
            None | Some(Err(TryRecvError::Empty)) => {}
            Some(opened) => {
                self.opening = None;
                self.add(opened.ok().flatten().into_iter().collect());
            }
        }
        Ok(())
    }

    /// Adds devices beside the CPU, if there is memory for them beside what there is already.
    fn add(&mut self, devices: Vec<Idle>) {
        if devices.is_empty() {
            return;
        }
        let config = Config { reserve: self.kept, ..self.config };
        let threads = threads(&self.options, 0); // Those that there are cannot be taken back.
        let added = plan_with(&self.options, &config, &devices, threads).and_then(|plan| {
            if plan.workers < self.plan.workers || plan.sets < self.plan.sets {
                let limit = self.options.memory_limit;
                return Err(Error::MemoryLimit { needed: limit + self.plan.bytes, limit });
            }
            self.plan = plan;
            self.config = config;
            self.start_devices(devices)
        });
        if let Err(error) = added {
            log::debug!("no device beside the CPU: {error}");
        }
    }

    fn start_devices(&mut self, devices: Vec<Idle>) -> Result<()> {
        devices.iter().for_each(|device| log::debug!("blocks go to {}", device.name()));
        self.bytes += devices.iter().map(|device| device.staging_bytes()).sum::<u64>();
        self.recorder.memory(self.bytes);
        let pool = self.pool();
        let name = devices[0].name().to_owned();
        let started = start_fleet(devices, pool.workload, &pool.surroundings);
        pool.devices = started.map_err(|error| DeviceError::Unsupported {
            device: name,
            missing: format!("a thread of its own: {error}"),
        })?;
        Ok(())
    }

    /// Starts what waits for the second block.
    fn start_waiting(&mut self) {
        let devices = std::mem::take(&mut self.waiting);
        if !devices.is_empty()
            && let Err(error) = self.start_devices(devices)
        {
            log::warn!("the CPU does without devices: {error}");
        }
    }

    fn pool(&mut self) -> &mut Pool<'a> {
        self.pool.get_or_insert_with(|| {
            self.coder.take().into_iter().for_each(|coder| kept::keep_coder(&self.purpose, coder));
            let entropy = self.route.entropy(self.config.pipeline);
            let shared = entropy.is_ok_and(|side| side == Assignment::Auto);
            let workers = self.plan.workers - usize::from(self.codes);
            let (run, spawner) = (self.run.clone(), self.spawner.clone());
            let cancel = self.options.cancel.clone();
            Pool::new(self.purpose, shared, workers, self.taken, run, spawner, cancel)
        })
    }

    /// Starts work on a block. Its buffers are from [`acquire`](Self::acquire).
    pub fn submit(&mut self, mut block: Block<'a>) {
        self.recorder.begin();
        self.recorder.submitted();
        self.measure(&mut block.buffers);
        self.places = matches!(block.buffers.raw, Bytes::Place(_));
        let id = self.submitted;
        self.submitted += 1;
        if self.in_flight() == 1 && self.pool.is_none() {
            self.lone = Some((id, block));
            return;
        }
        let lone = self.lone.take();
        for (id, block) in lone.into_iter().chain([(id, block)]) {
            // The engine was made for such blocks.
            let assignment = self.route.entropy(block.pipeline).unwrap_or(Assignment::Cpu);
            self.start_waiting();
            self.pool();
            let pool = self.pool.as_ref().expect("just made");
            pool.place(id, block, assignment, &mut self.recorder);
        }
    }

    /// Looks how large buffers have become.
    fn measure(&mut self, buffers: &mut Buffers<'_>) {
        if !self.run.is_on() {
            return;
        }
        let bytes = buffers.bytes();
        self.bytes = self.bytes + bytes as u64 - buffers.found as u64;
        buffers.found = bytes;
        self.recorder.memory(self.bytes);
    }

    /// Hands a block back.
    fn arrive(&mut self, mut block: Finished<'a>) -> Finished<'a> {
        debug_assert_eq!(block.id, self.taken);
        self.taken += 1;
        if let Some(pool) = &self.pool {
            pool.surroundings.desk.set_due(self.taken);
        }
        self.measure(&mut block.buffers);
        block.count(&mut self.recorder);
        block
    }

    /// Says that no more blocks will be submitted before those in flight have come back. Workers that have nothing else to
    /// do look after what devices hold, where they may.
    fn drain(&self) {
        if let Some(Pool { surroundings, .. }) = &self.pool
            && surroundings.shared
            && let Some(fleet) = surroundings.desk.fleet()
            && !surroundings.desk.set_draining(true)
        {
            let held = fleet.held().div_ceil(u64::from(self.config.block_size));
            let helpers = held.min(self.plan.workers as u64);
            (0..helpers).for_each(|_| surroundings.workers.nudge());
        }
    }

    /// Says that no more blocks will be submitted for now: devices begin with what there is.
    pub fn submitted_all(&self) {
        self.pool.iter().for_each(Pool::submitted_all);
    }

    /// The next block in order. `None` if it is not there and not [waited](Wait) for, if none is in flight, or if there are
    /// free buffers and those will do.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Internal`] if a task panicked.
    pub fn next(&mut self, wait: Wait) -> Result<Option<Finished<'a>>> {
        loop {
            self.check_cancelled()?;
            if let Some(lone) = self.lone.take_if(|_| wait != Wait::No) {
                return self.code(lone).map(Some);
            }
            let Some(pool) = &self.pool else { return Ok(None) };
            if let Some(block) = pool.returns.pop().map_err(Error::Internal)? {
                return Ok(Some(self.arrive(block)));
            }
            let expected = match wait {
                Wait::No => false,
                Wait::Block => self.in_flight() > 0,
                Wait::Buffers => {
                    let before = self.placing;
                    self.collect();
                    self.placing == before && self.in_flight() + before as u64 > 0
                }
            };
            if !expected {
                return Ok(None);
            }
            if !self.help() {
                self.sleep(wait);
            }
        }
    }

    /// Does what waits for a worker instead of waiting itself, if it may. Beside a device it may not: that waits for the caller.
    fn help(&mut self) -> bool {
        let Some(pool) = self.pool.as_mut().filter(|_| self.codes) else { return false };
        let Pool { surroundings: Surroundings { desk, workers, .. }, scratch, .. } = pool;
        if desk.fleet().is_some_and(|fleet| !fleet.stations.iter().all(|one| one.is_lost())) {
            return false;
        }
        self.recorder.begin();
        workers.take_part(scratch, &mut self.recorder)
    }

    /// Codes a block on the caller's thread.
    fn code(&mut self, (id, block): (u64, Block<'a>)) -> Result<Finished<'a>> {
        let coder = self.coder.as_mut().expect("no thread has been started");
        let recorder = &mut self.recorder;
        recorder.begin();
        let coded = catch_unwind(AssertUnwindSafe(|| task::code(id, block, coder, recorder)));
        match coded {
            Ok(block) => Ok(self.arrive(block)),
            Err(panic) => {
                // The old one may be half changed, and must not get into another run.
                self.coder = Some(Coder::new(self.purpose.simd, self.purpose.verifies)?);
                Err(Error::Internal(format!("block {id}: {}", panic_message(panic))))
            }
        }
    }

    /// Waits for what is to come, or until it is time to look whether it has been cancelled.
    fn sleep(&self, wait: Wait) {
        if let Some(pool) = &self.pool {
            self.drain();
            pool.returns.wait(wait, self.options.cancel.as_ref().map(|_| CANCEL_POLL));
        }
    }

    /// # Errors
    /// [`Error::Cancelled`], if it is so.
    pub fn check_cancelled(&self) -> Result<()> {
        match &self.options.cancel {
            Some(token) if token.is_cancelled() => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        if self.in_flight() + self.placing as u64 == 0 {
            self.pool.iter().for_each(Pool::finish);
        }
        // The workers' coders follow when they end.
        let coder = self.coder.take();
        coder.into_iter().for_each(|coder| kept::keep_coder(&self.purpose, coder));
        self.spare.drain(..).for_each(|buffers| kept::keep_buffers(&self.purpose, buffers));
    }
}

/// Gives `buffer` this length without over-allocating, as buffers are counted against the memory limit. New
/// bytes are zero; old ones keep their values.
pub(crate) fn resize_exact(buffer: &mut Vec<u8>, length: usize) {
    buffer.reserve_exact(length.saturating_sub(buffer.len()));
    buffer.resize(length, 0);
}
