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
mod tests;

use std::{
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::Duration,
};

pub(crate) use self::{
    accel::{Accelerator, Outcome, Work},
    budget::Plan,
    task::{Finished, Side},
};
use self::{
    accel::Job,
    device::Device,
    order::Reorder,
    route::Route,
    task::{BlockTask, Coder},
};
use crate::{
    CancelToken, Options, Progress,
    coder::Codec,
    error::{Error, Result},
    sched::{self, Scheduler},
};

/// How often a wait looks at the cancellation token.
const CANCEL_POLL: Duration = Duration::from_millis(20);

/// The memory of one block in flight. Both grow to the block size at most.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub raw: Vec<u8>,
    pub payload: Vec<u8>,
}

/// See the [module](self).
pub(crate) struct Engine {
    threads: usize,
    memory_limit: u64,
    cancel: Option<CancelToken>,
    coder: Coder,
    plan: Plan,
    route: Route,
    /// Sets of buffers that exist, and those of them that nobody uses.
    sets: usize,
    spare: Vec<Buffers>,
    /// Blocks submitted so far: the next one's number.
    submitted: u64,
    /// A block that came when no other was in flight, as long as it is alone.
    lone: Option<Job>,
    order: Reorder,
    done: Receiver<sched::Outcome<Finished>>,
    // Dropped in this order: the device thread passes tasks to the workers.
    device: Option<Device>,
    workers: Arc<Scheduler<BlockTask>>,
    sender: Sender<sched::Outcome<Finished>>,
}

impl Engine {
    /// An engine for blocks of up to `block_size` raw bytes. `coded` tells whether there is work for a device;
    /// an explicit choice of a device is checked in any case.
    ///
    /// # Errors
    /// An impossible option, device or memory limit.
    pub fn new(options: &Options, block_size: u32, coded: bool, checksum: bool) -> Result<Self> {
        let route = Route::choose(options)?;
        Self::with_route(options, route, block_size, coded, checksum)
    }

    /// The same with a route that is already known.
    pub fn with_route(
        options: &Options,
        mut route: Route,
        block_size: u32,
        coded: bool,
        checksum: bool,
    ) -> Result<Self> {
        let coder = Coder { codec: Codec::new(options.simd)?, checksum };
        let accelerator = route.take_accelerator().filter(|_| coded);
        if !coded {
            route = Route::Cpu;
        }
        let threads = match options.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let (sender, done) = mpsc::channel();
        let limit = options.memory_limit;
        let plan = Plan::new(limit, block_size, threads, accelerator.as_deref())?;
        let workers = Arc::new(new_workers(options, &plan, checksum, sender.clone()));
        let mut engine = Self {
            threads,
            memory_limit: limit,
            cancel: options.cancel.clone(),
            coder,
            plan,
            route,
            sets: 0,
            spare: Vec::new(),
            submitted: 0,
            lone: None,
            order: Reorder::default(),
            done,
            device: None,
            workers,
            sender,
        };
        if let Some(accelerator) = accelerator {
            engine.start_device(accelerator)?;
        }
        Ok(engine)
    }
}
