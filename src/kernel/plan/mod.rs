//! From a batch of blocks to a [`Recording`]: pure functions. Buffers come in the same order with the same roles in
//! every plan of a direction, so that allocations sized by `capacity` serve every batch within its limits.

mod decode;
mod encode;

pub use decode::{CodedBlock, DecodePlan};
pub use encode::EncodePlan;
pub(crate) use encode::{TABLE_WORDS, stream_space};

use bytemuck::Pod;

use super::{
    find,
    recording::{Binding, BufferDesc, BufferId, Command, Recording, Role},
};

/// Raw bytes of a batch whose buffers all stay within the 128 MiB that every device can bind. A batch may hold more
/// where the device binds more.
pub const MAX_RAW_BYTES: usize = 64 << 20;
/// The most blocks of a batch.
pub const MAX_BLOCKS: usize = 16 << 10;
/// Beyond this, positions in 16-bit words would not fit the kernels' integers.
const MOST_RAW_BYTES: usize = 1 << 30;
/// `maxComputeWorkGroupCount` that every device has.
const MAX_GROUPS: u32 = 65_535;

/// A buffer of so many words; at least one, since Vulkan has no empty buffers.
fn words(name: &'static str, words: u64, role: Role) -> BufferDesc {
    BufferDesc { name, size: 4 * words.max(1), role }
}

fn dispatch(
    recording: &mut Recording,
    kernel: &'static str,
    groups: u32,
    push: &impl Pod,
    spec: &[(u32, u32)],
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
        groups,
    });
}

fn check_limits(blocks: usize, raw_bytes: usize, segment_log: u8) {
    assert!((1..=MAX_BLOCKS).contains(&blocks), "{blocks} blocks");
    assert!(raw_bytes <= MOST_RAW_BYTES, "{raw_bytes} raw bytes");
    assert!((12..=16).contains(&segment_log), "segment log {segment_log}");
}
