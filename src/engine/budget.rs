//! How many workers and blocks in flight the memory limit allows.

use crate::{
    engine::accel::Accelerator,
    error::{Error, Result},
};

/// What a payload may take beyond its block's raw size, and a buffer beyond its content: a block that does not
/// shrink is noticed only when its table has been written.
pub(super) const PAYLOAD_SLACK: usize = 2 << 10;
/// Scratch memory of a codec: tables, and streams of segments before their length is known.
const SCRATCH: u64 = 512 << 10;
/// What an adapter keeps for itself: small buffers, queues of headers.
const ADAPTER: u64 = 128 << 10;

/// How an engine divides its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Worker threads; 0 if there is memory for one block only, which the caller's thread then codes.
    pub workers: usize,
    /// Sets of buffers: the blocks that may be in flight, with the one that the caller fills or empties.
    pub sets: usize,
    /// Bytes that all this takes at most.
    pub bytes: u64,
}

impl Plan {
    /// The plan for blocks of up to `block_size` bytes, within `limit` bytes less `reserve` for the caller.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`] if one block, or one block and a worker beside the device, does not fit.
    pub fn new(
        limit: u64,
        reserve: u64,
        block_size: u32,
        threads: usize,
        accelerator: Option<&dyn Accelerator>,
    ) -> Result<Self> {
        let set = 2 * (u64::from(block_size) + PAYLOAD_SLACK as u64);
        let staging = accelerator.map_or(0, |a| a.staging_bytes());
        // The least: one block, coded by the caller's thread; with a device also a worker for checksums.
        let least_workers = u64::from(accelerator.is_some());
        let least = (ADAPTER + SCRATCH + set)
            .saturating_add(reserve)
            .saturating_add(staging)
            .saturating_add(least_workers * (SCRATCH + set));
        let room = limit.checked_sub(least).ok_or(Error::MemoryLimit { needed: least, limit })?;

        let affordable = room / (SCRATCH + set) + least_workers;
        let workers = affordable.min(threads.max(1) as u64);
        // Two blocks per worker, so that one waits while the other is coded; and batches for the device, one
        // being filled beside those in flight.
        let batches = accelerator
            .map_or(0, |a| (a.batch_limit().blocks as u64).saturating_mul(a.slots() as u64 + 1));
        let wanted = (2 * workers).saturating_add(batches);
        let more = (room + least_workers * (SCRATCH + set)).saturating_sub(workers * SCRATCH) / set;
        let sets = 1 + wanted.min(more);
        let bytes = least - least_workers * (SCRATCH + set) + workers * SCRATCH + (sets - 1) * set;
        Ok(Self { workers: workers as usize, sets: sets as usize, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_stays_within_its_limit_and_uses_what_helps() {
        for block_log in [12, 18, 20] {
            let block = 1 << block_log;
            let least = match Plan::new(0, 0, block, 1, None) {
                Err(Error::MemoryLimit { needed, limit: 0 }) => needed,
                other => panic!("{other:?}"),
            };
            assert!(Plan::new(least - 1, 0, block, 1, None).is_err());
            let smallest = Plan::new(least, 0, block, 64, None).unwrap();
            assert_eq!(smallest, Plan { workers: 0, sets: 1, bytes: least });
            assert!(Plan::new(least, 1, block, 64, None).is_err());
            for extra in (0..1 << 28).step_by(999_999) {
                for threads in [1, 3, 64] {
                    let plan = Plan::new(least + extra, 0, block, threads, None).unwrap();
                    assert!(plan.bytes <= least + extra, "{plan:?} of {}", least + extra);
                    assert!(plan.workers <= threads && plan.sets > plan.workers);
                    assert!(plan.sets <= 1 + 2 * threads);
                }
            }
            let ample = Plan::new(u64::MAX, 0, block, 64, None).unwrap();
            assert_eq!((ample.workers, ample.sets), (64, 129));
        }
    }
}
