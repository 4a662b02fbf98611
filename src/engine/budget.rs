//! How many workers and blocks in flight the memory limit allows.

use super::accel::{Accelerator, Idle};
use crate::{
    Pipeline,
    error::{Error, Result},
    model::LzCoder,
};

/// What a payload may take beyond its block's raw size, and a buffer beyond its content: a block that does not
/// shrink is noticed only when its table has been written.
pub(super) const PAYLOAD_SLACK: usize = 2 << 10;
/// Scratch memory of a codec: tables, and streams of segments before their length is known.
const CODEC: u64 = 512 << 10;
/// What an adapter keeps for itself: small buffers, queues of headers.
const ADAPTER: u64 = 128 << 10;

/// So many workers are slower with more blocks than two each, which are then in no cache.
const FEW_WORKERS: u64 = 4;

/// Blocks in flight that keep so many workers busy: two each, so that one waits while another is coded, and beyond a few workers a third, since
/// what is done waits for those before it (docs/DECISIONS.md, "From slice to slice").
pub(super) fn in_flight(workers: u64) -> u64 {
    2 * workers + workers.saturating_sub(FEW_WORKERS)
}

/// Bytes of the streams that a model may make of a block, or that a payload may have for one.
pub(super) fn streams_bound(block_size: usize) -> usize {
    block_size + block_size / 2
}

/// What coding takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Demand {
    /// The most raw bytes of a block.
    pub block_size: u32,
    /// Scratch memory of each thread that codes.
    pub scratch: u64,
    /// Buffers of a block in flight.
    pub buffers: u64,
}

/// Scratch memory for coding blocks of a pipeline, encoding them at `level` or decoding them.
pub(crate) fn scratch(pipeline: Pipeline, block_size: u32, level: Option<u8>) -> u64 {
    let model = pipeline.model().map_or(0, |model| match level {
        Some(level) => LzCoder::memory(block_size as usize, model, level),
        None => LzCoder::decode_memory(block_size as usize),
    });
    CODEC + model
}

impl Demand {
    /// For blocks of a pipeline, encoding them at `level` or decoding them, with or without a device.
    pub fn new(pipeline: Pipeline, block_size: u32, level: Option<u8>, device: bool) -> Self {
        let block = u64::from(block_size) + PAYLOAD_SLACK as u64;
        let streams = streams_bound(block_size as usize) as u64;
        // Where a device codes streams, the block waits meanwhile, and so does the tail of its payload.
        let streams_in_flight = match (pipeline.model(), level) {
            (Some(_), Some(_)) if device => 2 * streams + block,
            (Some(_), None) if device => streams,
            _ => 0,
        };
        let buffers = 2 * block + streams_in_flight;
        // A worker that does what a late device has needs an output of its own; and while two share an input, whoever is
        // done first copies it.
        let backup = if device { 2 * streams.max(block) } else { 0 };
        Self { block_size, scratch: scratch(pipeline, block_size, level) + backup, buffers }
    }
}

/// What devices take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Staging {
    /// Host memory of their slots.
    pub bytes: u64,
    /// Blocks that they hold, and that wait for them.
    pub blocks: u64,
    /// How many they are: each submission thread may do a worker's tasks.
    pub devices: u64,
}

impl Staging {
    /// `None` without devices.
    pub fn of(devices: &[Idle], block_size: u32) -> Option<Self> {
        let one = |device: &dyn Accelerator| {
            let limit = device.batch_limit();
            let blocks = limit.parts.min(limit.raw_bytes / block_size as usize + 1) as u64;
            // One batch waits beside those in flight.
            let blocks = blocks.saturating_mul(device.slots() as u64 + 1);
            Self { bytes: device.staging_bytes(), blocks, devices: 1 }
        };
        devices.iter().map(|device| one(&**device)).reduce(|a, b| Self {
            bytes: a.bytes.saturating_add(b.bytes),
            blocks: a.blocks.saturating_add(b.blocks),
            devices: a.devices + b.devices,
        })
    }
}

/// How an engine divides its memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// Worker threads, of which the caller's may be [one](super::planning::caller_codes); 0 if there is memory for one block
    /// only, or one thread only and no device: the caller's thread then codes.
    pub workers: usize,
    /// Sets of buffers: the blocks that may be in flight, with the one that the caller fills or empties.
    pub sets: usize,
    /// Bytes that all this takes at most.
    pub bytes: u64,
}

impl Plan {
    /// The plan within `limit` bytes less `reserve` for the caller.
    ///
    /// # Errors
    /// [`Error::MemoryLimit`] if one block, or one block and a worker beside the device, does not fit.
    pub fn new(
        limit: u64,
        reserve: u64,
        demand: Demand,
        threads: usize,
        staging: Option<Staging>,
    ) -> Result<Self> {
        let Demand { scratch, buffers, .. } = demand;
        let Staging { bytes, blocks, devices } = staging.unwrap_or_default();
        let bytes = bytes.saturating_add(devices * scratch);
        let fixed = ADAPTER.saturating_add(reserve).saturating_add(bytes);
        // The least: one block, coded by the caller's thread; with a device a worker and another block.
        let least_sets = if staging.is_some() { 2 } else { 1 };
        let least = fixed.saturating_add(scratch + least_sets * buffers);
        if least > limit {
            return Err(Error::MemoryLimit { needed: least, limit });
        }

        // The caller fills or empties one block while each worker has another.
        let room = limit - fixed - buffers;
        let alone = threads <= 1 && staging.is_none();
        let most = if alone { 0 } else { threads.max(1) as u64 };
        let workers = (room / (scratch + buffers)).min(most);
        let wanted = in_flight(workers).saturating_add(blocks); // And what the devices take.
        let scratch = workers.max(1) * scratch;
        let sets = 1 + wanted.min((room - scratch) / buffers);
        let bytes = fixed + scratch + sets * buffers;
        Ok(Self { workers: workers as usize, sets: sets as usize, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_stays_within_its_limit_and_uses_what_helps() {
        for (pipeline, block_log, level) in [
            (Pipeline::Rans, 12, Some(3)),
            (Pipeline::Stored, 18, None),
            (Pipeline::Fse, 20, None),
            (Pipeline::Lzr, 12, Some(1)),
            (Pipeline::Lzseqr, 20, Some(3)),
            (Pipeline::Lzseqf, 22, Some(9)),
            (Pipeline::Lzseqr, 22, None),
        ] {
            let demand = Demand::new(pipeline, 1 << block_log, level, false);
            let least = match Plan::new(0, 0, demand, 1, None) {
                Err(Error::MemoryLimit { needed, limit: 0 }) => needed,
                other => panic!("{other:?}"),
            };
            assert!(Plan::new(least - 1, 0, demand, 1, None).is_err());
            let smallest = Plan::new(least, 0, demand, 64, None).unwrap();
            assert_eq!(smallest, Plan { workers: 0, sets: 1, bytes: least });
            assert!(Plan::new(least, 1, demand, 64, None).is_err());
            for extra in (0..1 << 28).step_by(999_999) {
                for threads in [1, 3, 64] {
                    let plan = Plan::new(least + extra, 0, demand, threads, None).unwrap();
                    assert!(plan.bytes <= least + extra, "{plan:?} of {}", least + extra);
                    assert!(plan.workers <= threads && plan.sets > plan.workers);
                    assert!(threads > 1 || (plan.workers, plan.sets) == (0, 1));
                    assert!(
                        plan.sets <= 1 + 3 * threads
                            && (threads > 4 || plan.sets <= 1 + 2 * threads)
                    );
                }
            }
            let ample = Plan::new(u64::MAX, 0, demand, 64, None).unwrap();
            assert_eq!((ample.workers, ample.sets), (64, 189));
        }
    }
}
