//! What waits for a device: a bounded queue in the order of service.
//!
//! Its credits are those of one batch, in parts and in bytes, beside the batches that the device has. Sending never blocks: a
//! worker whose block is refused does it itself. Only jobs that are for a device and nobody else go beyond the
//! credits; the blocks in flight bound them.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::accel::{BatchLimit, Class, Job};

/// See the [module](self).
pub(crate) struct Channel {
    credits: BatchLimit,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By [`Class`], oldest first.
    queues: [VecDeque<Job>; 3],
    parts: usize,
    raw_bytes: usize,
    closed: bool,
}

/// Why a job was not taken. It comes back.
#[derive(Debug)]
pub(crate) enum Refused {
    /// No credits are left.
    Full(Job),
    /// The device is not used any more.
    Disconnected(Job),
}

impl Channel {
    pub fn new(credits: BatchLimit) -> Self {
        Self { credits, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job over if there are credits for it. A strict one needs none.
    #[allow(clippy::result_large_err, reason = "the job comes back")]
    pub fn send(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.lock();
        let parts = state.parts + job.work.parts();
        let raw_bytes = state.raw_bytes + job.work.raw_bytes();
        let full = parts > self.credits.parts || raw_bytes > self.credits.raw_bytes;
        match job {
            job if state.closed => Err(Refused::Disconnected(job)),
            job if full && !job.strict => Err(Refused::Full(job)),
            job => {
                (state.parts, state.raw_bytes) = (parts, raw_bytes);
                state.queues[job.class as usize].push_back(job);
                Ok(())
            }
        }
    }

    /// The job that is to be served next, if it is acceptable.
    pub fn next(&self, accept: impl FnOnce(&Job) -> bool) -> Option<Job> {
        let mut state = self.lock();
        let queue = state.queues.iter_mut().find(|queue| !queue.is_empty())?;
        let job = if accept(queue.front()?) { queue.pop_front() } else { None }?;
        state.release(&job);
        Some(job)
    }

    /// Takes the job back that would be served last, if it is not strict and acceptable.
    pub fn withdraw(&self, accept: impl FnOnce(&Job) -> bool) -> Option<Job> {
        let mut state = self.lock();
        let queue = state.queues.iter_mut().rev().find(|queue| !queue.is_empty())?;
        let acceptable = |job: &Job| !job.strict && accept(job);
        let job = if acceptable(queue.back()?) { queue.pop_back() } else { None }?;
        state.release(&job);
        Some(job)
    }

    /// Refuses jobs from now on, and gives back those that wait.
    pub fn close(&self) -> Vec<Job> {
        let mut state = self.lock();
        state.closed = true;
        (state.parts, state.raw_bytes) = (0, 0);
        state.queues.iter_mut().flat_map(|queue| queue.drain(..)).collect()
    }
}

impl State {
    fn release(&mut self, job: &Job) {
        self.parts -= job.work.parts();
        self.raw_bytes -= job.work.raw_bytes();
    }
}

const _: () = assert!(Class::Later as usize == 0 && Class::First as usize == 2);
