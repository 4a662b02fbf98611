//! What a load or an unload holds of a slot: its lease, and its own part of a mapped buffer.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{
            AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use crate::{
    engine::{
        Held,
        accel::{Load, Outcome, Stay, Unload, Waker, Work},
    },
    error::BlockFault,
    vk::window::Window,
};

/// What loads, unloads and what these lend share with the slot of their batch, as long as they live.
pub(super) type Lease = Arc<Use>;

pub(super) struct Use {
    /// Loads that have been called.
    loaded: AtomicUsize,
    /// Unloads, and bytes that they lent, that are alive.
    out: AtomicUsize,
    waker: Waker,
}

impl Use {
    pub fn new(waker: Waker) -> Self {
        Self { loaded: AtomicUsize::new(0), out: AtomicUsize::new(0), waker }
    }

    /// For the next batch.
    pub fn again(&self) -> Self {
        Self::new(Arc::clone(&self.waker))
    }

    /// How many loads have been called.
    pub fn loaded(&self) -> usize {
        self.loaded.load(Relaxed)
    }

    /// Whether unloads or what they lent are alive. If not, what they held of the slot is gone.
    pub fn is_out(&self) -> bool {
        self.out.load(Acquire) > 0
    }
}

/// A load that does `copy`, which may return the checksum.
pub(super) fn load(
    lease: &Lease,
    copy: impl FnOnce(&Work<'_>) -> Option<u32> + Send + 'static,
) -> Load {
    // What `copy` has of the slot goes first, called or not.
    let pending = (copy, Arc::clone(lease));
    Box::new(move |work| {
        let (copy, lease) = pending;
        let crc = copy(work);
        // Whoever starts the batch has been told of the call by other means.
        lease.loaded.fetch_add(1, Relaxed);
        crc
    })
}

/// An unload that does `copy`.
pub(super) fn unload(
    lease: &Lease,
    copy: impl FnOnce(&mut Work<'_>) -> Result<Outcome, BlockFault> + Send + 'static,
) -> Unload {
    // What `copy` has of the slot goes first, called or not.
    let pending = (copy, Out::new(lease));
    Box::new(move |work, _| {
        let (copy, out) = pending;
        let outcome = copy(work);
        drop(out);
        outcome
    })
}

/// An unload that does `copy`, or leaves the bytes of the only part where they are, for its work to hold, if that says so.
pub(super) fn lend(
    lease: &Lease,
    share: Share,
    copy: impl FnOnce(&mut Work<'_>, &Share, Stay) -> (Outcome, bool) + Send + 'static,
) -> Unload {
    let lent = HeldShare { share, _out: Out::new(lease) };
    Box::new(move |work, stay| {
        let (outcome, stays) = copy(work, &lent.share, stay);
        if let (Work::Encode { payload, .. }, true) = (work, stays) {
            payload.hold(Box::new(lent));
        }
        Ok(outcome)
    })
}

/// Keeps a slot from its next batch. The last of them to go wakes the submission thread.
struct Out(Lease);

impl Out {
    fn new(lease: &Lease) -> Self {
        lease.out.fetch_add(1, Relaxed);
        Self(Arc::clone(lease))
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        if self.0.out.fetch_sub(1, AcqRel) == 1 {
            (self.0.waker)();
        }
    }
}

/// A share that an unload has lent. Its fields go in this order.
struct HeldShare {
    share: Share,
    _out: Out,
}

impl fmt::Debug for HeldShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes of a slot")
    }
}

impl Held for HeldShare {
    fn bytes(&self) -> &[u8] {
        self.share.parts().next().unwrap_or_default()
    }
}

/// One job's part of a buffer.
pub(super) struct Share {
    window: Window,
    /// Where the job's parts lie in it.
    ranges: Vec<Range<usize>>,
}

impl Share {
    /// Whether the host reads it through its caches.
    pub fn is_cached(&self) -> bool {
        self.window.is_cached()
    }

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
