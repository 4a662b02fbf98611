//! What a load or an unload holds of a slot: its lease, and its own part of a mapped buffer.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    engine::accel::{Load, Outcome, Unload, Work},
    error::BlockFault,
    vk::window::Window,
};

/// Every load and unload of a batch holds one, so that the slot knows when all of them are gone. It counts the loads
/// that have been called.
pub(super) type Lease = Arc<AtomicUsize>;

/// A load that does `copy`.
pub(super) fn load(lease: &Lease, copy: impl FnOnce(&Work<'_>) + Send + 'static) -> Load {
    let lease = Arc::clone(lease);
    Box::new(move |work| {
        copy(work);
        // Whoever starts the batch has been told of the call by other means.
        lease.fetch_add(1, Relaxed);
    })
}

/// An unload that does `copy`.
pub(super) fn unload(
    lease: &Lease,
    copy: impl FnOnce(&mut Work<'_>) -> Result<Outcome, BlockFault> + Send + 'static,
) -> Unload {
    let lease = Arc::clone(lease);
    Box::new(move |work| {
        let outcome = copy(work);
        drop(lease);
        outcome
    })
}

/// One job's part of a buffer.
pub(super) struct Share {
    window: Window,
    /// Where the job's parts lie in it.
    ranges: Vec<Range<usize>>,
}

impl Share {
    /// The bytes of each part.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|range| &self.window.bytes()[range.clone()])
    }

    /// The bytes of part `number`, to be written.
    pub fn part_mut(&mut self, number: usize) -> &mut [u8] {
        &mut self.window.bytes_mut()[self.ranges[number].clone()]
    }
}

/// Deals a buffer out to jobs, front to back.
pub(super) struct Deal {
    rest: Window,
    /// Where `rest` begins in the buffer.
    start: usize,
}

impl Deal {
    pub fn new(whole: Window) -> Self {
        Self { rest: whole, start: 0 }
    }

    /// The next job's part, from its ranges of the buffer.
    ///
    /// # Panics
    /// If the ranges are not in ascending order, behind all that were dealt out before, and within the buffer.
    pub fn share(&mut self, mut ranges: Vec<Range<usize>>) -> Share {
        let begin = ranges.first().map_or(self.start, |range| range.start);
        let end = ranges.last().map_or(begin, |range| range.end);
        self.rest.split_to(begin - self.start);
        let window = self.rest.split_to(end - begin);
        self.start = end;
        for range in &mut ranges {
            *range = range.start - begin..range.end - begin;
        }
        Share { window, ranges }
    }
}
