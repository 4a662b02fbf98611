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
//! starts a thread.

pub(crate) mod accel;
mod block;
mod budget;
mod coder;
mod device;
mod order;
mod route;
mod task;
#[cfg(test)]
pub(crate) mod tests;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    thread,
    time::Duration,
};

use self::{
    accel::{Accelerator, Job},
    budget::{Demand, Plan},
    device::Device,
    order::Reorder,
    task::BlockTask,
};
pub(crate) use self::{
    block::{Block, Buffers, Finished, Side, Work},
    budget::scratch,
    coder::{Coder, Rest},
    route::Route,
};
use crate::{
    Options, Pipeline,
    error::{Error, Result},
    format::BlockKind,
    sched::{self, Forage, Scheduler, panic_message},
};

/// Threads beyond this number are of no use to anybody, and each takes memory before it starts.
const MAX_THREADS: usize = 1024;
/// How often a wait looks at the cancellation token.
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
pub(crate) struct Engine {
    options: Options,
    config: Config,
    plan: Plan,
    /// Sets of buffers that exist, and those of them that nobody uses.
    sets: usize,
    spare: Vec<Buffers>,
    /// Blocks submitted so far: the next one's number.
    submitted: u64,
    /// A block that came when no other was in flight and no thread runs, as long as it is alone.
    lone: Option<(u64, Block)>,
    /// For that block; dropped when threads are started.
    coder: Option<Coder>,
    order: Reorder,
    /// Whether a device may still be added when the content turns out to be large.
    undecided: bool,
    pool: Option<Pool>,
}

/// The threads, from the second block on.
struct Pool {
    device: Option<(Device, Share)>,
    workers: Arc<Scheduler<BlockTask>>,
    sender: Sender<sched::Outcome<Finished>>,
    done: Receiver<sched::Outcome<Finished>>,
}

/// What the device gets of the blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    /// All; it was chosen explicitly.
    All,
    /// What it has room for.
    Spare,
}

impl Engine {
    /// An engine that follows `route`.
    ///
    /// # Errors
    /// An impossible option or memory limit.
    pub fn new(options: &Options, route: Route, config: Config) -> Result<Self> {
        let coder = Some(Coder::new(options.simd, config.verifies)?);
        let (undecided, device) = match route {
            Route::Cpu => (false, None),
            // Where there is a model, its stages take the CPU so long that a device would spare it little.
            Route::Auto => (!config.is_stored() && config.pipeline.model().is_none(), None),
            Route::Device(accelerator) => {
                (false, Some(accelerator).filter(|_| !config.is_stored()))
            }
        };
        let mut engine = Self {
            options: options.clone(),
            config,
            plan: plan(options, &config, device.as_deref())?,
            sets: 0,
            spare: Vec::new(),
            submitted: 0,
            lone: None,
            coder,
            order: Reorder::default(),
            undecided,
            pool: None,
        };
        if let Some(accelerator) = device {
            engine.start_device(accelerator, Share::All)?;
        }
        Ok(engine)
    }

    /// Whether it does for blocks of up to `block_size` raw bytes of `pipeline`.
    pub fn fits(&self, block_size: u32, pipeline: Pipeline) -> bool {
        let demands =
            |pipeline: Pipeline| (pipeline != Pipeline::Stored, pipeline.model().is_some());
        self.config.block_size >= block_size && demands(self.config.pipeline) >= demands(pipeline)
    }

    /// Bytes of the memory limit that the engine leaves to the caller.
    pub fn spare_memory(&self) -> u64 {
        self.options.memory_limit - self.plan.bytes + self.config.reserve
    }

    /// Blocks that have been submitted and not yet come back.
    pub fn in_flight(&self) -> u64 {
        self.submitted - self.order.due()
    }

    /// Buffers for a block; `None` while as many are in use as the memory limit allows.
    pub fn acquire(&mut self) -> Option<Buffers> {
        self.spare.pop().or_else(|| {
            (self.sets < self.plan.sets).then(|| {
                self.sets += 1;
                Buffers::default()
            })
        })
    }

    /// Takes back the buffers of [`acquire`](Self::acquire).
    pub fn release(&mut self, buffers: Buffers) {
        if self.sets > self.plan.sets {
            self.sets -= 1; // A device's staging has taken the place.
        } else {
            self.spare.push(buffers);
        }
    }

    /// Announces that the content has at least so many raw bytes.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn expect_content(&mut self, raw_bytes: u64) -> Result<()> {
        if !self.undecided || raw_bytes < route::LARGE {
            return Ok(());
        }
        self.undecided = false;
        // Buffers in use cannot be taken back: staging gets what the present plan leaves.
        let left = self.options.memory_limit - self.plan.bytes;
        if let Some(accelerator) = route::open_hardware(left) {
            match plan(&self.options, &self.config, Some(accelerator.as_ref())) {
                Ok(plan) => {
                    self.plan = plan;
                    self.start_device(accelerator, Share::Spare)?;
                }
                Err(error) => log::debug!("no device beside the CPU: {error}"),
            }
        }
        Ok(())
    }

    fn start_device(&mut self, accelerator: Box<dyn Accelerator>, share: Share) -> Result<()> {
        log::debug!("blocks go to {}", accelerator.name());
        let pool = self.pool();
        let device = Device::start(accelerator, Arc::clone(&pool.workers), pool.sender.clone())?;
        pool.device = Some((device, share));
        Ok(())
    }

    fn pool(&mut self) -> &mut Pool {
        self.pool.get_or_insert_with(|| {
            self.coder = None;
            let (sender, done) = mpsc::channel();
            let (simd, verifies) = (self.options.simd, self.config.verifies);
            let coder =
                move |_| Coder::new(simd, verifies).expect("the caller's thread has made one");
            let forage = |_, _: &mut crate::telemetry::Recorder| Forage::Sleep(None);
            let run = crate::telemetry::Run::begin(self.options.telemetry.as_ref(), "test");
            let workers = Scheduler::new(self.plan.workers, coder, forage, &run, sender.clone());
            let workers = Arc::new(workers);
            Pool { device: None, workers, sender, done }
        })
    }

    /// Starts work on a block. Its buffers are from [`acquire`](Self::acquire).
    pub fn submit(&mut self, block: Block) {
        let id = self.submitted;
        self.submitted += 1;
        if self.in_flight() == 1 && self.pool.is_none() {
            self.lone = Some((id, block));
            return;
        }
        let lone = self.lone.take();
        let pool = self.pool();
        lone.into_iter().chain([(id, block)]).for_each(|(id, block)| pool.place(id, block));
    }

    /// The next block in order, or `None` if none is in flight. With `wait` it is waited for; else `None` can
    /// also mean that it is not ready.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Internal`] if a task panicked.
    pub fn next(&mut self, wait: bool) -> Result<Option<Finished>> {
        loop {
            self.check_cancelled()?;
            if let Some(block) = self.order.pop() {
                return Ok(Some(block));
            }
            if self.in_flight() == 0 {
                return Ok(None);
            }
            if let Some((id, block)) = self.lone.take_if(|_| wait) {
                let coder = self.coder.as_mut().expect("no thread has been started");
                let coded = catch_unwind(AssertUnwindSafe(|| coder.code(id, block)));
                let block = coded.map_err(|panic| Error::Internal(panic_message(panic)))?;
                self.order.insert(block);
            } else {
                match self.receive(wait) {
                    Some(sched::Outcome::Finished(block)) => self.order.insert(block),
                    Some(sched::Outcome::Panicked(message)) => {
                        return Err(Error::Internal(message));
                    }
                    None if wait => {} // Time to look whether it has been cancelled.
                    None => return Ok(None),
                }
            }
        }
    }

    fn receive(&self, wait: bool) -> Option<sched::Outcome<Finished>> {
        let pool = self.pool.as_ref()?;
        let gone = || sched::Outcome::Panicked("the workers are gone".to_owned());
        match (wait, &self.options.cancel) {
            (true, None) => Some(pool.done.recv().unwrap_or_else(|_| gone())),
            (true, Some(_)) => match pool.done.recv_timeout(CANCEL_POLL) {
                Err(RecvTimeoutError::Timeout) => None,
                outcome => Some(outcome.unwrap_or_else(|_| gone())),
            },
            (false, _) => match pool.done.try_recv() {
                Err(TryRecvError::Empty) => None,
                outcome => Some(outcome.unwrap_or_else(|_| gone())),
            },
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

impl Pool {
    /// Routes a block. Only coded ones are worth a way to the device and back.
    fn place(&self, id: u64, block: Block) {
        let trivial = match block.work {
            Work::Encode { .. } => block.pipeline == Pipeline::Stored,
            Work::Decode { encoded, .. } => encoded.kind != BlockKind::Coded,
        };
        let device = self.device.as_ref().filter(|(device, share)| {
            !trivial && (*share == Share::All || device.sender().has_room())
        });
        let task = match device {
            None => BlockTask::All(id, block),
            Some((device, _)) if block.pipeline.model().is_some() => {
                BlockTask::Prepare(id, block, device.sender().clone())
            }
            Some((device, _)) => match device.sender().send(Job::whole(id, block)) {
                Ok(()) => return,
                Err(job) => BlockTask::StandIn(job, Side::Cpu),
            },
        };
        self.workers.spawn(task);
    }
}

fn plan(options: &Options, config: &Config, accelerator: Option<&dyn Accelerator>) -> Result<Plan> {
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads.min(MAX_THREADS),
    };
    let Config { block_size, pipeline, level, reserve, .. } = *config;
    let demand = Demand::new(pipeline, block_size, level, accelerator.is_some());
    Plan::new(options.memory_limit, reserve, demand, threads, accelerator)
}

/// Gives `buffer` this length without over-allocating, as buffers are counted against the memory limit. New
/// bytes are zero; old ones keep their values.
pub(crate) fn resize_exact(buffer: &mut Vec<u8>, length: usize) {
    buffer.reserve_exact(length.saturating_sub(buffer.len()));
    buffer.resize(length, 0);
}
