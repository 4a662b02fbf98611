//! How large batches are and how many run at once.

use crate::{
    device::DeviceKind,
    engine::accel::BatchLimit,
    error::DeviceError,
    format::MAX_BLOCK_LOG,
    kernel::{
        BufferDesc, Role,
        plan::{DecodePlan, EncodePlan, MAX_BLOCKS, max_raw_bytes},
    },
    vk::{device::Device, submit::Slot},
};

/// A batch holds at least the streams that a model makes of the largest block, which are hardly larger than it.
const MIN_RAW_BYTES: usize = (1 << MAX_BLOCK_LOG) + (256 << 10);
/// A batch takes at least as many parts: those are cut to multiples of 4 KiB.
const MIN_PARTS: usize = MIN_RAW_BYTES >> 12;
/// Raw bytes of a batch that goes over a link to the device: enough to hide what a submission takes, and few enough for a
/// ring that is soon allocated and stays in the host's caches (docs/DECISIONS.md, "Host to host").
const LINK_BATCH: usize = 16 << 20;
/// Raw bytes that a slot has room for in any case.
const LEAST_ROOM: usize = 1 << 20;
/// The same of one that was too small once, as far as the limit allows.
const GROWN: usize = LINK_BATCH;
/// What one subgroup works on at a time: a segment of the default size.
const SEGMENT: usize = 16 << 10;

pub(super) struct Ring {
    pub slots: usize,
    pub limit: BatchLimit,
    /// Host memory that all slots take.
    pub staging_bytes: u64,
}

/// What a ring is to be like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub slots: usize,
    /// The most raw bytes of a batch.
    pub raw_bytes: usize,
}

impl Shape {
    /// What suits the device.
    pub fn of(device: &Device) -> Self {
        // One batch is loaded, one goes up, one is worked on, one comes down, one is unloaded, and one lies between;
        // without queues of their own for the copies, the device works on one while the host loads another and unloads a
        // third.
        let slots = if device.transfer.is_some() { 6 } else { 3 };
        // A slot takes less than eight times its raw bytes of the device's memory.
        let share = device.info.memory_bytes / (8 * slots as u64 + 8);
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        // Over a link the copies take longer than the kernels, filled or not.
        let most = if device.transfer.is_some() { LINK_BATCH } else { usize::MAX };
        Self { slots, raw_bytes: wave(device).min(share).min(most) }
    }
}

/// The largest ring of this shape within `budget` bytes of host memory.
pub(super) fn ring(device: &Device, shape: Shape, budget: u64) -> Ring {
    let most = max_raw_bytes(device.max_buffer());
    fit(shape.slots.max(1), shape.raw_bytes.min(most), budget)
}

/// The largest ring of at most so many slots and raw bytes, but at least one block.
fn fit(mut slots: usize, wanted: usize, budget: u64) -> Ring {
    let mut raw_bytes = wanted.max(MIN_RAW_BYTES) & !(SEGMENT - 1);
    loop {
        let limit =
            BatchLimit { parts: (raw_bytes / SEGMENT).clamp(MIN_PARTS, MAX_BLOCKS), raw_bytes };
        let staging_bytes = slots as u64 * staging(limit);
        if staging_bytes <= budget || (slots == 1 && raw_bytes == MIN_RAW_BYTES) {
            return Ring { slots, limit, staging_bytes };
        }
        if raw_bytes > MIN_RAW_BYTES {
            raw_bytes = (raw_bytes / 8 * 7).max(MIN_RAW_BYTES) & !(SEGMENT - 1);
        } else {
            slots -= 1;
        }
    }
}

/// Makes room in a slot for a batch: no more than it needs, since memory that the device reads and writes takes long to get,
/// and a short stream shall not wait for what it does not use. But a slot that has to grow gets [`GROWN`] at least, as a
/// submission thread that waits for memory (20 ms for 16 MiB on an H200) keeps all batches waiting.
pub(super) fn reserve(
    slot: &mut Slot,
    limit: BatchLimit,
    parts: usize,
    raw_bytes: usize,
    capacity: fn(usize, usize) -> Vec<BufferDesc>,
) -> Result<(), DeviceError> {
    let buffers = |least| {
        let room = room(limit, parts, raw_bytes.max(least));
        capacity(room.parts, room.raw_bytes)
    };
    let needed = buffers(LEAST_ROOM);
    if slot.is_too_small(&needed) && slot.reserve(&buffers(GROWN)).is_ok() {
        return Ok(());
    }
    slot.reserve(&needed)
}

/// A half, a quarter and so on of `limit` that still holds so much, or all of it.
fn room(limit: BatchLimit, parts: usize, raw_bytes: usize) -> BatchLimit {
    let halves = |room: &BatchLimit| {
        Some(BatchLimit { parts: room.parts / 2, raw_bytes: room.raw_bytes / 2 })
    };
    std::iter::successors(Some(limit), halves)
        .take_while(|room| room.parts >= parts && room.raw_bytes >= raw_bytes)
        .last()
        .unwrap_or(limit)
}

/// Raw bytes that fill the device once.
fn wave(device: &Device) -> usize {
    if let Some(subgroups) = device.offer.resident_subgroups {
        return (subgroups as usize).saturating_mul(SEGMENT);
    }
    match device.info.kind {
        DeviceKind::Discrete | DeviceKind::Other => 64 << 20,
        DeviceKind::Integrated | DeviceKind::Virtual => 16 << 20,
        DeviceKind::Cpu => 2 << 20,
    }
}

/// Host memory of one slot.
fn staging(limit: BatchLimit) -> u64 {
    let host = |buffers: Vec<BufferDesc>| -> u64 {
        let seen = buffers.iter().filter(|desc| desc.role != Role::Device);
        seen.map(|desc| desc.size).sum()
    };
    let BatchLimit { parts, raw_bytes } = limit;
    host(EncodePlan::capacity(parts, raw_bytes)).max(host(DecodePlan::capacity(parts, raw_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_a_half_of_a_half_of_the_limit() {
        let mib =
            |raw_bytes: usize| BatchLimit { parts: 64 * raw_bytes, raw_bytes: raw_bytes << 20 };
        for (limit, parts, raw_bytes, expected) in [
            (16, 1, LEAST_ROOM, 1),
            (16, 1, LEAST_ROOM + 1, 2),
            (16, 65, LEAST_ROOM, 2),
            (16, 1, GROWN, 16),
            (138, 1, GROWN, 17),
            (4, 1, GROWN, 4),
        ] {
            let found = room(mib(limit), parts, raw_bytes);
            assert_eq!(
                found.raw_bytes >> 20,
                expected,
                "{parts} parts, {raw_bytes} of {limit} MiB"
            );
        }
    }

    #[test]
    fn a_ring_keeps_to_its_budget() {
        for budget in [12 << 20, 20 << 20, 64 << 20, 128 << 20, 1 << 30] {
            let ring = fit(3, 138 << 20, budget);
            assert!(ring.staging_bytes <= budget, "{} of {budget}", ring.staging_bytes);
            assert!(ring.staging_bytes > budget / 2 || ring.limit.raw_bytes >= 138 << 20);
        }
        let least = fit(3, 138 << 20, 0);
        assert_eq!((least.slots, least.limit.raw_bytes), (1, MIN_RAW_BYTES));
        assert_eq!(fit(2, 5, u64::MAX).limit.raw_bytes, MIN_RAW_BYTES);
    }
}
