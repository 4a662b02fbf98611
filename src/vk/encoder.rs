//! Turns a [`Recording`] into Vulkan commands, with barriers where two commands touch the same bytes.

use std::ops::Range;

use ash::vk;

use super::{
    Named, device::Device, import::Stretch, memory::Buffer, pipeline::Pipelines, timing::Timestamps,
};
use crate::{
    error::DeviceError,
    kernel::{Binding, BufferId, Command, Recording},
};

/// Bytes that a command touches.
struct Access {
    buffer: BufferId,
    bytes: Range<u64>,
    writes: bool,
}

/// What has been touched since the last barrier.
#[derive(Default)]
struct Hazards(Vec<Access>);

impl Hazards {
    /// Adds a command's accesses; true if a barrier has to come before it.
    fn add(&mut self, accesses: Vec<Access>) -> bool {
        let clash = |a: &Access, b: &Access| {
            a.buffer == b.buffer
                && (a.writes || b.writes)
                && a.bytes.start < b.bytes.end
                && b.bytes.start < a.bytes.end
        };
        let barrier = accesses.iter().any(|new| self.0.iter().any(|old| clash(old, new)));
        if barrier {
            self.0.clear();
        }
        self.0.extend(accesses);
        barrier
    }
}

/// Where descriptor sets of one slot come from; reset before every recording.
pub(crate) struct Descriptors {
    pool: vk::DescriptorPool,
    sets: u32,
    bindings: u32,
}

impl Descriptors {
    /// An empty pool; it grows with the recordings.
    pub fn new() -> Self {
        Self { pool: vk::DescriptorPool::null(), sets: 0, bindings: 0 }
    }

    /// Makes room for a recording's sets and forgets the last one's, which the device has finished with.
    fn reset(&mut self, device: &Device, recording: &Recording) -> Result<(), DeviceError> {
        let (mut sets, mut bindings) = (0, 0);
        for command in &recording.commands {
            if let Command::Dispatch { bindings: bound, .. } = command {
                sets += 1;
                bindings += bound.len() as u32;
            }
        }
        if sets <= self.sets && bindings <= self.bindings {
            if sets == 0 {
                return Ok(());
            }
            let flags = vk::DescriptorPoolResetFlags::empty();
            // SAFETY: the pool belongs to the device and no set of it is in use: the slot is idle.
            return unsafe { device.raw.reset_descriptor_pool(self.pool, flags) }
                .named("vkResetDescriptorPool");
        }
        self.destroy(device);
        let sizes = [vk::DescriptorPoolSize::default()
            .ty(vk::DescriptorType::STORAGE_BUFFER)
            .descriptor_count(bindings)];
        let create = vk::DescriptorPoolCreateInfo::default().max_sets(sets).pool_sizes(&sizes);
        // SAFETY: a valid description; what it points to outlives the call.
        self.pool = unsafe { device.raw.create_descriptor_pool(&create, None) }
            .named("vkCreateDescriptorPool")?;
        (self.sets, self.bindings) = (sets, bindings);
        Ok(())
    }

    fn allocate(
        &self,
        device: &Device,
        layout: vk::DescriptorSetLayout,
    ) -> Result<vk::DescriptorSet, DeviceError> {
        let layouts = [layout];
        let create = vk::DescriptorSetAllocateInfo::default()
            .descriptor_pool(self.pool)
            .set_layouts(&layouts);
        // SAFETY: pool and layout belong to the device; the pool is used by this thread only.
        let sets = unsafe { device.raw.allocate_descriptor_sets(&create) };
        Ok(sets.named("vkAllocateDescriptorSets")?[0])
    }

    /// Frees the pool. The device has finished with its sets.
    pub fn destroy(&mut self, device: &Device) {
        // SAFETY: the pool belongs to the device or is null, and its sets are not in use.
        unsafe { device.raw.destroy_descriptor_pool(self.pool, None) };
        *self = Self::new();
    }
}

/// Records the commands of `recording` over `buffers` into a command buffer that is being recorded.
///
/// # Panics
/// If a binding reaches past its buffer, is misaligned, or does not match its kernel: the plan is wrong.
pub(crate) fn encode(
    device: &Device,
    commands: vk::CommandBuffer,
    recording: &Recording,
    buffers: &[&Buffer],
    pipelines: &mut Pipelines,
    descriptors: &mut Descriptors,
    mut timestamps: Option<&mut Timestamps>,
) -> Result<(), DeviceError> {
    descriptors.reset(device, recording)?;
    if let Some(timestamps) = timestamps.as_deref_mut() {
        timestamps.begin(commands, recording.commands.len());
    }
    let mut hazards = Hazards::default();
    for command in &recording.commands {
        let accesses = accesses(command, pipelines);
        for access in &accesses {
            let buffer = buffers[access.buffer.0 as usize];
            assert!(access.bytes.end <= buffer.size, "a binding reaches past its buffer");
        }
        if hazards.add(accesses) {
            barrier(device, commands);
        }
        match command {
            Command::Dispatch { .. } => {
                dispatch(device, commands, command, buffers, pipelines, descriptors)?;
            }
            Command::Copy { from, to: (target, offset) } => {
                let source = buffers[from.buffer.0 as usize];
                let target = buffers[target.0 as usize];
                copy(device, commands, source, from.offset, target, *offset, from.size);
            }
            Command::Fill { range, value } => {
                assert!(range.offset % 4 == 0 && range.size % 4 == 0 && range.size > 0);
                let buffer = buffers[range.buffer.0 as usize].raw;
                // SAFETY: the range lies in the buffer (checked above) and is made of whole words.
                unsafe {
                    device.raw.cmd_fill_buffer(commands, buffer, range.offset, range.size, *value);
                }
            }
        }
        if let Some(timestamps) = timestamps.as_deref_mut() {
            timestamps.mark(commands, command);
        }
    }
    Ok(())
}

/// The bytes that a command touches.
fn accesses(command: &Command, pipelines: &Pipelines) -> Vec<Access> {
    let access = |binding: &Binding, writes| Access {
        buffer: binding.buffer,
        bytes: binding.offset..binding.offset + binding.size,
        writes,
    };
    match command {
        Command::Dispatch { kernel, bindings, .. } => {
            let declared = pipelines.kernel(kernel).bindings;
            assert_eq!(bindings.len(), declared.len(), "{kernel}: one buffer for each binding");
            bindings.iter().zip(declared).map(|(b, desc)| access(b, desc.writes)).collect()
        }
        Command::Copy { from, to: (buffer, offset) } => {
            let to = Binding { buffer: *buffer, offset: *offset, size: from.size };
            let overlap = to.buffer == from.buffer
                && to.offset < from.offset + from.size
                && from.offset < to.offset + to.size;
            assert!(!overlap, "a copy overlaps itself");
            vec![access(from, false), access(&to, true)]
        }
        Command::Fill { range, .. } => vec![access(range, true)],
    }
}

fn dispatch(
    device: &Device,
    commands: vk::CommandBuffer,
    command: &Command,
    buffers: &[&Buffer],
    pipelines: &mut Pipelines,
    descriptors: &Descriptors,
) -> Result<(), DeviceError> {
    let Command::Dispatch { kernel, bindings, push, spec, segments, groups } = command else {
        unreachable!("called for dispatches");
    };
    let pipeline = pipelines.get(kernel, spec, *segments)?;
    let layout = pipeline.layout.pipeline;
    assert_eq!(push.len(), pipeline.kernel.push_bytes as usize, "{kernel}: push constants");
    assert!(*groups <= 65_535, "{kernel}: too many workgroups");
    let limits = &device.offer.limits;
    let infos: Vec<_> = bindings
        .iter()
        .map(|binding| {
            assert!(binding.offset % limits.min_storage_buffer_offset_alignment == 0);
            vk::DescriptorBufferInfo {
                buffer: buffers[binding.buffer.0 as usize].raw,
                offset: binding.offset,
                range: binding.size,
            }
        })
        .collect();
    if infos.iter().any(|info| info.range > u64::from(limits.max_storage_buffer_range)) {
        return Err(DeviceError::Unsupported {
            device: device.info.name.clone(),
            missing: format!("storage buffers as large as the kernel {kernel} is to bind"),
        });
    }
    let set = descriptors.allocate(device, pipeline.layout.set)?;
    let writes: Vec<_> = pipeline
        .kernel
        .bindings
        .iter()
        .zip(&infos)
        .map(|(binding, info)| {
            vk::WriteDescriptorSet::default()
                .dst_set(set)
                .dst_binding(binding.binding)
                .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                .buffer_info(std::slice::from_ref(info))
        })
        .collect();
    let compute = vk::PipelineBindPoint::COMPUTE;
    // SAFETY: all handles belong to the device; bindings lie in their buffers, are aligned and in range, and match
    // the layout; push constants have the layout's size; the workgroup count is within every device's limit.
    unsafe {
        device.raw.update_descriptor_sets(&writes, &[]);
        device.raw.cmd_bind_pipeline(commands, compute, pipeline.raw);
        device.raw.cmd_bind_descriptor_sets(commands, compute, layout, 0, &[set], &[]);
        if !push.is_empty() {
            let stage = vk::ShaderStageFlags::COMPUTE;
            device.raw.cmd_push_constants(commands, layout, stage, 0, push);
        }
        if *groups > 0 {
            device.raw.cmd_dispatch(commands, *groups, 1, 1);
        }
    }
    Ok(())
}

/// Makes everything before it visible to everything after it, on this queue.
pub(crate) fn barrier(device: &Device, commands: vk::CommandBuffer) {
    use vk::{AccessFlags as A, PipelineStageFlags as S};
    let stages = S::COMPUTE_SHADER | S::TRANSFER;
    let writes = A::SHADER_WRITE | A::TRANSFER_WRITE;
    memory_barrier(
        device,
        commands,
        (stages, writes),
        (stages, writes | A::SHADER_READ | A::TRANSFER_READ),
    );
}

/// Makes the writes of copies, and of kernels where the queue has them, visible to the host.
pub(crate) fn host_barrier(device: &Device, commands: vk::CommandBuffer, kernels: bool) {
    use vk::{AccessFlags as A, PipelineStageFlags as S};
    let mut from = (S::TRANSFER, A::TRANSFER_WRITE);
    if kernels {
        from = (from.0 | S::COMPUTE_SHADER, from.1 | A::SHADER_WRITE);
    }
    memory_barrier(device, commands, from, (S::HOST, A::HOST_READ));
}

fn memory_barrier(
    device: &Device,
    commands: vk::CommandBuffer,
    from: (vk::PipelineStageFlags, vk::AccessFlags),
    to: (vk::PipelineStageFlags, vk::AccessFlags),
) {
    let memory = vk::MemoryBarrier::default().src_access_mask(from.1).dst_access_mask(to.1);
    let flags = vk::DependencyFlags::empty();
    // SAFETY: the command buffer is being recorded, on a queue that has these stages.
    unsafe {
        device.raw.cmd_pipeline_barrier(commands, from.0, to.0, flags, &[memory], &[], &[]);
    }
}

/// Copies bytes between buffers; nothing if `size` is 0.
///
/// # Panics
/// If a range reaches past its buffer.
pub(crate) fn copy(
    device: &Device,
    commands: vk::CommandBuffer,
    from: &Buffer,
    from_offset: u64,
    to: &Buffer,
    to_offset: u64,
    size: u64,
) {
    assert!(from.holds(from_offset, size) && to.holds(to_offset, size), "{PAST_THE_END}");
    let region = vk::BufferCopy { src_offset: from_offset, dst_offset: to_offset, size };
    copy_region(device, commands, from.raw, to.raw, region);
}

/// Copies from memory of the host's.
///
/// # Panics
/// If it reaches past the buffer.
pub(crate) fn take_in(
    device: &Device,
    commands: vk::CommandBuffer,
    from: &Stretch,
    to: &Buffer,
    to_offset: u64,
) {
    let &Stretch { ref import, offset, size, .. } = from;
    assert!(to.holds(to_offset, size), "{PAST_THE_END}");
    let region = vk::BufferCopy { src_offset: offset, dst_offset: to_offset, size };
    copy_region(device, commands, import.buffer, to.raw, region);
}

/// Copies to memory of the host's.
///
/// # Panics
/// If it reaches past the buffer.
pub(crate) fn bring_out(
    device: &Device,
    commands: vk::CommandBuffer,
    from: &Buffer,
    from_offset: u64,
    to: &Stretch,
) {
    let &Stretch { ref import, offset, size, .. } = to;
    assert!(from.holds(from_offset, size), "{PAST_THE_END}");
    let region = vk::BufferCopy { src_offset: from_offset, dst_offset: offset, size };
    copy_region(device, commands, from.raw, import.buffer, region);
}

const PAST_THE_END: &str = "a copy reaches past its buffer";

fn copy_region(
    device: &Device,
    commands: vk::CommandBuffer,
    from: vk::Buffer,
    to: vk::Buffer,
    region: vk::BufferCopy,
) {
    if region.size == 0 {
        return;
    }
    // SAFETY: both ranges lie in their buffers, as the callers have seen or a stretch does of itself, and the command buffer is being
    // recorded.
    unsafe { device.raw.cmd_copy_buffer(commands, from, to, &[region]) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(buffer: u32, bytes: Range<u64>, writes: bool) -> Access {
        Access { buffer: BufferId(buffer), bytes, writes }
    }

    #[test]
    fn a_barrier_stands_between_a_write_and_what_touches_its_bytes() {
        let mut hazards = Hazards::default();
        assert!(!hazards.add(vec![access(0, 0..8, true), access(1, 0..8, false)]));
        assert!(!hazards.add(vec![access(0, 8..16, false)]), "other bytes");
        assert!(!hazards.add(vec![access(2, 0..8, true)]), "another buffer");
        assert!(!hazards.add(vec![access(1, 0..8, false)]), "two reads");
        assert!(hazards.add(vec![access(0, 4..12, false)]), "read after write");
        assert!(hazards.add(vec![access(0, 11..12, true)]), "write after read");
        assert!(hazards.add(vec![access(0, 11..12, true)]), "write after write");
        assert!(!hazards.add(vec![access(2, 0..8, false)]), "before the last barrier");
    }
}
