//! Which bytes of a buffer go through its staging, and which the device copies from or to memory of the caller's.

use std::{
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use super::{import::Stretch, memory::Memory};
use crate::{
    host_buffer,
    kernel::{BufferId, plan::DecodePlan},
};

/// Fewer bytes are sooner copied by the processor than the device has begun with a copy of its own.
const LEAST: usize = 16 << 10;

/// Bytes between payloads that a copy takes along.
const GAP: u64 = 4 * (DecodePlan::MOST_GAP as u64 + 1);

/// How many sides of jobs devices have been planned to reach themselves.
static DIRECT_JOBS: AtomicUsize = AtomicUsize::new(0);

/// How many sides of jobs devices have been planned to reach themselves in this process.
pub fn direct_jobs() -> usize {
    DIRECT_JOBS.load(Relaxed)
}

/// What goes up or comes down of one buffer in one run.
pub(crate) struct Transfers {
    pub buffer: BufferId,
    copies: Vec<Transfer>,
    /// Bytes between two ranges that may be copied with them.
    gap: u64,
    /// How many of them do not go through staging.
    direct: usize,
}

/// Bytes of a buffer.
pub(crate) struct Transfer {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Their other side; staging, at the same offset, if it is none.
    pub stretch: Option<Stretch>,
}

impl Transfers {
    pub fn new(buffer: BufferId) -> Self {
        Self { buffer, copies: Vec::new(), gap: 0, direct: 0 }
    }

    /// For a buffer that takes what lies between its ranges elsewhere along with them.
    pub fn with_gaps(buffer: BufferId) -> Self {
        Self { gap: GAP, ..Self::new(buffer) }
    }

    /// Whether the device reaches any of the caller's memory in it. If not, it is a copy of the whole buffer.
    pub fn is_direct(&self) -> bool {
        self.direct > 0
    }

    pub fn copies(&self) -> &[Transfer] {
        &self.copies
    }

    /// Adds a job's ranges of the buffer. If it is but one, and its other side is `callers`, as many bytes of the caller's memory, the
    /// device may reach them itself: then it is true. Else they go through staging.
    ///
    /// # Safety
    /// If it is true, nobody writes these bytes, nor reads them if the buffer comes down, from the start of a run with these transfers until it has
    /// finished or the device is idle, and they stay borrowed as long.
    pub unsafe fn add(
        &mut self,
        memory: &Memory,
        ranges: &[Range<usize>],
        callers: Option<&[u8]>,
    ) -> bool {
        let stretches = match ranges {
            [range] if memory.device.reaches_host_memory() && range.len() >= LEAST => callers
                .filter(|callers| callers.len() == range.len())
                .and_then(host_buffer::find)
                .and_then(|(region, bytes)| memory.reach(&region, bytes)),
            _ => None,
        };
        for range in ranges {
            let (mut offset, size) = (range.start as u64, range.len() as u64);
            let Some(stretches) = &stretches else {
                self.push(Transfer { offset, size, stretch: None });
                continue;
            };
            for stretch in stretches {
                self.push(Transfer { offset, size: stretch.size, stretch: Some(stretch.clone()) });
                offset += stretch.size;
            }
        }
        if stretches.is_some() {
            self.direct += 1;
            DIRECT_JOBS.fetch_add(1, Relaxed);
        }
        stretches.is_some()
    }

    fn push(&mut self, next: Transfer) {
        let gap = self.gap;
        if !self.copies.last_mut().is_some_and(|last| last.join(&next, gap)) {
            self.copies.push(next);
        }
    }
}

impl Transfer {
    /// Adds what follows on both sides, if it does, behind at most so many bytes.
    fn join(&mut self, next: &Self, gap: u64) -> bool {
        let end = self.offset + self.size;
        let joined = match (&mut self.stretch, &next.stretch) {
            (Some(stretch), Some(next_stretch)) => match next.offset.checked_sub(end) {
                Some(between) if between <= gap => stretch.join(next_stretch, between),
                _ => false,
            },
            // What lies between parts is nobody's, here and there.
            (None, None) => (end..=end + gap.max(3)).contains(&next.offset),
            _ => false,
        };
        if joined {
            self.size = next.offset + next.size - self.offset;
        }
        joined
    }
}

/// The transfers of a buffer, if they are not a copy of the whole.
pub(crate) fn of<'t>(transfers: &[&'t Transfers], buffer: BufferId) -> Option<&'t Transfers> {
    transfers.iter().copied().find(|transfers| transfers.is_direct() && transfers.buffer == buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_staging_is_copied_in_as_few_stretches_as_it_lies_in() {
        let mut transfers = Transfers::new(BufferId(3));
        for range in [0..101, 104..200, 200..204, 300..400, 403..404] {
            let (offset, size) = (range.start, range.end - range.start);
            transfers.push(Transfer { offset, size, stretch: None });
        }
        let found: Vec<_> =
            transfers.copies().iter().map(|copy| copy.offset..copy.offset + copy.size).collect();
        assert_eq!(found, [0..204, 300..404]);
        assert!(of(&[&transfers], BufferId(3)).is_none(), "the whole buffer is one copy");
    }
}
