//! From a batch of blocks to a [`Recording`]: pure functions. Buffers come in the same order with the same roles in
//! every plan of a direction, so that allocations sized by `capacity` serve every batch within its limits.

mod decode;
mod encode;

pub(crate) use decode::RUNS;
pub(crate) use decode::{COMPACT_ID, TABLE_LOG_ID, UNIT_ID};
pub use decode::{CodedBlock, DecodePlan};
pub(crate) use encode::{COUNT_WORDS, TABLE_WORDS};
pub use encode::{EncodePlan, RawBlock};

use bytemuck::Pod;

use super::{
    find,
    recording::{Binding, BufferDesc, BufferId, Command, Recording, Role},
};

/// The most raw bytes of a batch: word numbers then stay far below 2^32. A device's largest storage buffer may ask
/// for less: see [`max_raw_bytes`].
pub const MAX_RAW_BYTES: usize = 1 << 30;
/// The most blocks of a batch.
pub const MAX_BLOCKS: usize = 16 << 10;
/// `maxComputeWorkGroupCount` that every device has.
const MAX_GROUPS: u32 = 65_535;

/// The most raw bytes of a batch none of whose buffers exceeds `range` bytes. The 128 MiB that every device can bind
/// hold 64 MiB.
pub fn max_raw_bytes(range: u64) -> usize {
    let fits = |raw_bytes: usize| {
        let blocks = (raw_bytes >> 12).min(MAX_BLOCKS);
        let buffers =
            [EncodePlan::capacity(blocks, raw_bytes), DecodePlan::capacity(blocks, raw_bytes)];
        buffers.iter().flatten().all(|buffer| buffer.size <= range)
    };
    // Whole mebibytes, from the most down.
    (1..=MAX_RAW_BYTES >> 20)
        .rev()
        .map(|mebibytes| mebibytes << 20)
        .find(|&bytes| fits(bytes))
        .unwrap_or(0)
}

/// A buffer of so many words; at least one, since Vulkan has no empty buffers.
fn words(name: &'static str, words: u64, role: Role) -> BufferDesc {
    BufferDesc { name, size: 4 * words.max(1), role }
}

fn dispatch(
    recording: &mut Recording,
    kernel: &'static str,
    groups: u32,
    push: &impl Pod,
    (spec, segments): (&[(u32, u32)], Option<u32>),
    buffers: &[BufferId],
) {
    let whole = |&buffer: &BufferId| {
        let size = recording.buffers[buffer.0 as usize].size;
        Binding { buffer, offset: 0, size }
    };
    let bindings: Vec<Binding> = buffers.iter().map(whole).collect();
    debug_assert!(
        find(kernel).is_some_and(|desc| desc.bindings.len() == bindings.len()
            && desc.push_bytes as usize == size_of_val(push)),
        "{kernel} takes other arguments"
    );
    let push = bytemuck::bytes_of(push).to_vec();
    let groups = groups.min(MAX_GROUPS);
    recording.commands.push(Command::Dispatch {
        kernel,
        bindings,
        push,
        spec: spec.to_vec(),
        segments,
        groups,
    });
}

/// The push constants of a kernel that has none.
const NO_PUSH: [u8; 0] = [];

fn check_limits(blocks: usize, raw_bytes: usize, segment_log: u8) {
    assert!((1..=MAX_BLOCKS).contains(&blocks), "{blocks} blocks");
    assert!(raw_bytes <= MAX_RAW_BYTES, "{raw_bytes} raw bytes");
    assert!((12..=16).contains(&segment_log), "segment log {segment_log}");
}
