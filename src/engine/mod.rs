//! Moves blocks through CPU workers and the accelerator, and hands them back in order, within the memory limit.
//!
//! The caller's thread does all input and output. For each block it takes a set of [`Buffers`], fills one, and
//! submits it; finished blocks come back in the order of submission, with their buffers, which it recycles.
//! There are only as many sets as the memory limit allows: when none is left the caller has to take a finished
//! block first. That is all there is of backpressure.
//!
//! ```text
//! caller -- submit --> workers -----------------------------> order -- next --> caller
//!              \                                             /
//!               `--> device thread --> workers (checksum) --'
//! ```
//!
//! A block that comes alone is coded on the caller's thread when the caller asks for it: a small input never
//! starts a thread.

pub(crate) mod accel;
mod budget;
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

use self::{accel::Accelerator, budget::Plan, device::Device, order::Reorder, task::BlockTask};
pub(crate) use self::{
    accel::{Job, Outcome, Work},
    route::Route,
    task::{Coder, Finished, Side},
};
use crate::{
    Options,
    error::{Error, Result},
    format::BlockKind,
    sched::{self, Scheduler, panic_message},
};

/// Threads beyond this number are of no use to anybody, and each takes memory before it starts.
const MAX_THREADS: usize = 1024;
/// How often a wait looks at the cancellation token.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// The memory of one block in flight. Both buffers grow to little more than the block size.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub raw: Vec<u8>,
    pub payload: Vec<u8>,
}

/// What an engine is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// The most raw bytes in a block.
    pub block_size: u32,
    /// Whether blocks go through the coder and are worth a device; else they are stored.
    pub coded: bool,
    /// Whether blocks that are decoded get their checksum computed.
    pub verifies: bool,
    /// Bytes of the memory limit that the caller keeps for itself.
    pub reserve: u64,
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
    lone: Option<Job>,
    coder: Coder,
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
        let coder = Coder::new(options.simd, config.coded, config.verifies)?;
        let (undecided, device) = match route {
            Route::Cpu => (false, None),
            Route::Auto => (true, None),
            Route::Device(accelerator) => (false, Some(accelerator).filter(|_| config.coded)),
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

    /// Whether it does for blocks of up to `block_size` raw bytes that are `coded`, or else stored.
    pub fn fits(&self, block_size: u32, coded: bool) -> bool {
        self.config.block_size >= block_size && (self.config.coded || !coded)
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
    pub fn recycle(&mut self, work: Work) {
        let (Work::Encode { raw, payload, .. } | Work::Decode { raw, payload, .. }) = work;
        self.release(Buffers { raw, payload });
    }

    /// The same.
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
        if !self.config.coded {
            return Ok(());
        }
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
            let (sender, done) = mpsc::channel();
            let (simd, config) = (self.options.simd, self.config);
            let coder = move || {
                Coder::new(simd, config.coded, config.verifies)
                    .expect("the caller's thread has made one")
            };
            let workers = Arc::new(Scheduler::new(self.plan.workers, coder, sender.clone()));
            Pool { device: None, workers, sender, done }
        })
    }

    /// Starts work on a block. Its buffers are from [`acquire`](Self::acquire).
    pub fn submit(&mut self, work: Work) {
        let job = Job { id: self.submitted, work };
        self.submitted += 1;
        if self.in_flight() == 1 && self.pool.is_none() {
            self.lone = Some(job);
            return;
        }
        let lone = self.lone.take();
        let pool = self.pool();
        lone.into_iter().chain([job]).for_each(|job| pool.place(job));
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
            if let Some(job) = self.lone.take_if(|_| wait) {
                let coded = catch_unwind(AssertUnwindSafe(|| self.coder.code(job, Side::Cpu)));
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
    /// Routes a job. Only coded blocks are worth a way to the device and back.
    fn place(&self, job: Job) {
        let trivial = match &job.work {
            Work::Encode { .. } => false,
            Work::Decode { kind, .. } => *kind != BlockKind::Coded,
        };
        let refused = match &self.device {
            Some((device, Share::All)) if !trivial => device.send(job),
            Some((device, Share::Spare)) if !trivial => device.offer(job),
            _ => Err(job),
        };
        if let Err(job) = refused {
            self.workers.spawn(BlockTask::Code(job, Side::Cpu));
        }
    }
}

fn plan(options: &Options, config: &Config, accelerator: Option<&dyn Accelerator>) -> Result<Plan> {
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads.min(MAX_THREADS),
    };
    Plan::new(options.memory_limit, config.reserve, config.block_size, threads, accelerator)
}

/// Gives `buffer` this length without over-allocating, as buffers are counted against the memory limit. New
/// bytes are zero; old ones keep their values.
pub(crate) fn resize_exact(buffer: &mut Vec<u8>, length: usize) {
    buffer.reserve_exact(length.saturating_sub(buffer.len()));
    buffer.resize(length, 0);
}
