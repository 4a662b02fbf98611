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
pub(crate) struct Channel<'a> {
    credits: BatchLimit,
    state: Mutex<State<'a>>,
}

#[derive(Default)]
struct State<'a> {
    /// By [`Class`], oldest first.
    queues: [VecDeque<Job<'a>>; 3],
    parts: usize,
    raw_bytes: usize,
    /// Those of them that are strict jobs'.
    strict_bytes: usize,
    /// The last block that was refused for want of credits, of those that nobody has worked on.
    last_refused: Option<u64>,
    closed: bool,
}

/// Why a job was not taken. It comes back.
#[derive(Debug)]
pub(crate) enum Refused<'a> {
    /// No credits are left.
    Full(Job<'a>),
    /// The device is not used any more.
    Disconnected(Job<'a>),
}

impl<'a> Channel<'a> {
    pub fn new(credits: BatchLimit) -> Self {
        Self { credits, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a job over if there are credits for it. A strict one needs none.
    #[allow(clippy::result_large_err, reason = "the job comes back")]
    pub fn send(&self, job: Job<'a>) -> Result<(), Refused<'a>> {
        let mut state = self.lock();
        let parts = state.parts + job.work.parts();
        let raw_bytes = state.raw_bytes + job.work.raw_bytes();
        let full = parts > self.credits.parts || raw_bytes > self.credits.raw_bytes;
        match job {
            job if state.closed => Err(Refused::Disconnected(job)),
            job if full && !job.strict => {
                if job.class == Class::First {
                    state.last_refused = state.last_refused.max(Some(job.id));
                }
                Err(Refused::Full(job))
            }
            job => {
                state.strict_bytes += if job.strict { job.work.raw_bytes() } else { 0 };
                (state.parts, state.raw_bytes) = (parts, raw_bytes);
                state.queues[job.class as usize].push_back(job);
                Ok(())
            }
        }
    }

    /// Raw bytes of the strict jobs that wait.
    pub fn strict_bytes(&self) -> usize {
        self.lock().strict_bytes
    }

    /// Whether the job that is to be served next is a block behind this one, and blocks were refused. It is asked of the first block that waits for a
    /// worker: refusals of those before are forgotten. (Beside other devices that may be too soon: then a block waits until the channel is dry.)
    pub fn has_overtaken(&self, id: u64) -> bool {
        let mut state = self.lock();
        state.last_refused = state.last_refused.filter(|&refused| refused >= id);
        let next = state.queues.iter().find_map(|queue| queue.front());
        let is_later = next.is_some_and(|job| job.class == Class::First && job.id > id);
        is_later && state.last_refused.is_some()
    }

    /// Whether a block was refused that has not been forgotten.
    pub fn has_refused(&self) -> bool {
        self.lock().last_refused.is_some()
    }

    /// The job that is to be served next, if it is acceptable.
    pub fn next(&self, accept: impl FnOnce(&Job<'_>) -> bool) -> Option<Job<'a>> {
        let mut state = self.lock();
        let queue = state.queues.iter_mut().find(|queue| !queue.is_empty())?;
        let job = if accept(queue.front()?) { queue.pop_front() } else { None }?;
        state.release(&job);
        Some(job)
    }

    /// Raw bytes of the job that [`withdraw`](Self::withdraw) would take.
    pub fn last_bytes(&self) -> Option<usize> {
        let state = self.lock();
        let job = state.queues.iter().rev().find_map(|queue| queue.back())?;
        (!job.strict).then(|| job.work.raw_bytes())
    }

    /// Takes the job back that would be served last, if it is not strict and acceptable.
    pub fn withdraw(&self, accept: impl FnOnce(&Job<'_>) -> bool) -> Option<Job<'a>> {
        let mut state = self.lock();
        let queue = state.queues.iter_mut().rev().find(|queue| !queue.is_empty())?;
        let acceptable = |job: &Job<'_>| !job.strict && accept(job);
        let job = if acceptable(queue.back()?) { queue.pop_back() } else { None }?;
        state.release(&job);
        Some(job)
    }

    /// Refuses jobs from now on, and gives back those that wait.
    pub fn close(&self) -> Vec<Job<'a>> {
        let mut state = self.lock();
        state.closed = true;
        (state.parts, state.raw_bytes, state.strict_bytes) = (0, 0, 0);
        state.queues.iter_mut().flat_map(|queue| queue.drain(..)).collect()
    }
}

impl State<'_> {
    fn release(&mut self, job: &Job<'_>) {
        self.parts -= job.work.parts();
        self.raw_bytes -= job.work.raw_bytes();
        self.strict_bytes -= if job.strict { job.work.raw_bytes() } else { 0 };
    }
}

const _: () = assert!(Class::Later as usize == 0 && Class::First as usize == 2);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        block::{Coder, EncodePart},
        engine::{Bytes, accel::Work},
    };

    fn job(id: u64, class: Class, bytes: usize) -> Job<'static> {
        let part = EncodePart { range: 0..bytes, coder: Coder::Rans, table_log: None };
        let (raw, payload) = (Arc::default(), Bytes::default());
        let work = Work::Encode { raw, parts: vec![part], segment_log: 14, payload };
        Job { id, work, class, strict: false, in_place: false, rest: None }
    }

    fn strict(id: u64, bytes: usize) -> Job<'static> {
        Job { strict: true, ..job(id, Class::First, bytes) }
    }

    fn channel(parts: usize, raw_bytes: usize) -> Channel<'static> {
        Channel::new(BatchLimit { parts, raw_bytes })
    }

    fn ids(channel: &Channel<'_>) -> Vec<u64> {
        std::iter::from_fn(|| channel.next(|_| true)).map(|job| job.id).collect()
    }

    #[test]
    fn later_stages_come_before_fused_ones_and_those_before_first_ones() {
        use Class::{First, Fused, Later};
        let channel = channel(100, 100);
        for (id, class) in [First, Later, Fused, First, Fused, Later].into_iter().enumerate() {
            channel.send(job(id as u64, class, 1)).unwrap();
        }
        let last = channel.withdraw(|_| true).unwrap();
        assert_eq!(last.id, 3, "what would be served last is taken back first");
        assert_eq!(ids(&channel), [1, 5, 2, 4, 0]);
    }

    #[test]
    fn credits_are_spent_in_blocks_and_in_bytes_and_come_back() {
        for (channel, room) in [(channel(3, 1000), 3), (channel(100, 1000), 4)] {
            for round in 0..3 {
                for id in 0..room {
                    channel.send(job(id, Class::First, 250)).unwrap();
                }
                match channel.send(job(9, Class::Later, 250)) {
                    Err(Refused::Full(job)) => assert_eq!(job.id, 9),
                    other => panic!("round {round}: {other:?}"),
                }
                if round == 0 {
                    (0..room).for_each(|_| drop(channel.withdraw(|_| true).unwrap()));
                } else {
                    assert_eq!(ids(&channel).len() as u64, room);
                }
            }
        }
    }

    #[test]
    fn a_strict_block_needs_no_credits_and_is_not_taken_back() {
        let channel = channel(1, 10);
        for id in 0..5 {
            channel.send(strict(id, 10)).unwrap();
        }
        assert!(matches!(channel.send(job(5, Class::First, 1)), Err(Refused::Full(_))));
        assert!(channel.withdraw(|_| true).is_none());
        assert_eq!(ids(&channel), [0, 1, 2, 3, 4]);
        channel.send(job(5, Class::First, 1)).unwrap();
    }

    #[test]
    fn blocks_that_wait_since_the_channel_was_full_are_known_to_be_overtaken() {
        let channel = channel(2, 1000);
        let send = |id, class| channel.send(job(id, class, 1)).is_ok();
        assert!(send(0, Class::First) && send(1, Class::First) && !channel.has_refused());
        assert!(!send(2, Class::First) && !send(3, Class::First) && channel.has_refused());
        assert!(!channel.has_overtaken(2), "those before it are served first");
        assert_eq!(ids(&channel), [0, 1]);
        assert!(!channel.has_overtaken(2), "nothing waits");
        assert!(send(4, Class::First) && channel.has_overtaken(2) && channel.has_overtaken(3));
        assert!(send(9, Class::Later) && !channel.has_overtaken(3), "it is served before any");
        assert_eq!(ids(&channel), [9, 4]);
        assert!(channel.has_refused() && !channel.has_overtaken(4) && !channel.has_refused());
        assert!(send(5, Class::First) && send(6, Class::First) && !send(7, Class::Fused));
        assert!(!channel.has_refused(), "others do not wait for a worker");
    }

    #[test]
    fn what_is_not_acceptable_stays() {
        let channel = channel(4, 100);
        channel.send(job(0, Class::First, 60)).unwrap();
        assert!(channel.next(|job| job.work.raw_bytes() < 60).is_none());
        assert!(channel.withdraw(|job| job.work.raw_bytes() < 60).is_none());
        assert_eq!(ids(&channel), [0]);
    }

    #[test]
    fn a_closed_channel_gives_back_what_waits_and_refuses_even_strict_blocks() {
        let channel = channel(4, 100);
        channel.send(job(0, Class::First, 1)).unwrap();
        channel.send(strict(1, 1)).unwrap();
        let mut waiting: Vec<_> = channel.close().into_iter().map(|job| job.id).collect();
        waiting.sort_unstable();
        assert_eq!(waiting, [0, 1]);
        for job in [job(2, Class::First, 1), strict(2, 1)] {
            assert!(matches!(channel.send(job), Err(Refused::Disconnected(_))));
        }
        assert!(ids(&channel).is_empty());
    }
}
