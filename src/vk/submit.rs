//! A slot: buffers that persist, and one recording at a time in flight over them.
//!
//! With transfer queues a run is three submissions, chained by the slot's timeline semaphore: copy up, compute, copy
//! down. While one slot computes, others copy. Without them it is one submission. A slot never waits for another:
//! each has its own buffers.

use std::sync::Arc;

use ash::vk;

use super::{
    Named,
    device::Device,
    encoder::{self, Descriptors},
    memory::{Buffer, Memory},
    pipeline::Pipelines,
    timing::Timestamps,
};
use crate::{
    error::DeviceError,
    kernel::{BufferDesc, BufferId, Recording, Role},
};

/// A buffer of a slot, and the staging buffer through which the host fills or reads it, if it cannot directly.
struct SlotBuffer {
    role: Role,
    device: Buffer,
    staging: Option<Buffer>,
}

impl SlotBuffer {
    fn host(&self) -> &Buffer {
        self.staging.as_ref().unwrap_or(&self.device)
    }
}

/// A part of a Download buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub buffer: BufferId,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

pub(crate) struct Slot {
    buffers: Vec<SlotBuffer>,
    commands: Commands,
    descriptors: Descriptors,
    pub timestamps: Option<Timestamps>,
    timeline: vk::Semaphore,
    /// The value that the timeline has once all submissions so far have finished.
    value: u64,
    memory: Arc<Memory>,
}

/// Command buffers of a slot, one pool for each family.
struct Commands {
    compute_pool: vk::CommandPool,
    compute: vk::CommandBuffer,
    transfer_pool: vk::CommandPool,
    upload: vk::CommandBuffer,
    download: vk::CommandBuffer,
    /// For [`Slot::fetch`], which follows while `download` is not yet recorded anew.
    fetch: vk::CommandBuffer,
}

impl Slot {
    pub fn new(memory: &Arc<Memory>) -> Result<Self, DeviceError> {
        let device = &memory.device;
        let mut kind = vk::SemaphoreTypeCreateInfo::default()
            .semaphore_type(vk::SemaphoreType::TIMELINE)
            .initial_value(0);
        let create = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
        // SAFETY: a valid description; timeline semaphores are enabled.
        let timeline =
            unsafe { device.raw.create_semaphore(&create, None) }.named("vkCreateSemaphore")?;
        let mut slot = Self {
            buffers: Vec::new(),
            commands: Commands::null(),
            descriptors: Descriptors::new(),
            timestamps: None,
            timeline,
            value: 0,
            memory: Arc::clone(memory),
        };
        slot.commands.create(device)?;
        Ok(slot)
    }

    fn device(&self) -> &Arc<Device> {
        &self.memory.device
    }

    /// Makes the buffers at least as large as described. Keeps those that are. The slot is idle.
    pub fn reserve(&mut self, buffers: &[BufferDesc]) -> Result<(), DeviceError> {
        let fits = |old: &SlotBuffer, new: &BufferDesc| {
            old.role == new.role && old.device.size >= new.size
        };
        if self.buffers.len() == buffers.len()
            && self.buffers.iter().zip(buffers).all(|(old, new)| fits(old, new))
        {
            return Ok(());
        }
        // The old ones go first, so that the two never exist together.
        self.buffers.clear();
        for desc in buffers {
            let (device, staging) = self.memory.buffer(desc.name, desc.size.max(4), desc.role)?;
            self.buffers.push(SlotBuffer { role: desc.role, device, staging });
        }
        Ok(())
    }

    /// An Upload buffer, to be filled before a run. The slot is idle.
    pub fn upload(&mut self, buffer: BufferId) -> &mut [u8] {
        let slot = &mut self.buffers[buffer.0 as usize];
        assert_eq!(slot.role, Role::Upload, "the host fills Upload buffers only");
        slot.staging.as_mut().unwrap_or(&mut slot.device).bytes_mut()
    }

    /// A Download buffer, to be read after a run has finished.
    pub fn download(&self, buffer: BufferId) -> &[u8] {
        let slot = &self.buffers[buffer.0 as usize];
        assert_eq!(slot.role, Role::Download, "the host reads Download buffers only");
        slot.host().bytes()
    }

    /// Starts a recording: its Upload buffers go up, its commands run, and those Download buffers come down that
    /// `eager` names. The slot is idle and its buffers have been [reserved](Self::reserve).
    pub fn run(
        &mut self,
        pipelines: &mut Pipelines,
        recording: &Recording,
        eager: &[BufferId],
    ) -> Result<(), DeviceError> {
        let device = Arc::clone(self.device());
        let transfer = device.transfer;
        self.commands.reset(&device)?;
        let (compute, upload, download) =
            (self.commands.compute, self.commands.upload, self.commands.download);
        let parts: Vec<Part> = eager
            .iter()
            .map(|&buffer| Part {
                buffer,
                offset: 0,
                size: recording.buffers[buffer.0 as usize].size,
            })
            .collect();

        if let Some(transfer) = transfer
            && self.stages(Role::Upload)
        {
            begin(&device, upload)?;
            self.record_upload(upload, recording);
            self.submit(transfer.upload, upload)?;
        }
        begin(&device, compute)?;
        if transfer.is_none() && self.stages(Role::Upload) {
            self.record_upload(compute, recording);
            encoder::barrier(&device, compute);
        }
        let buffers: Vec<&Buffer> = self.buffers.iter().map(|slot| &slot.device).collect();
        encoder::encode(
            &device,
            compute,
            recording,
            &buffers,
            pipelines,
            &mut self.descriptors,
            self.timestamps.as_mut(),
        )?;
        if transfer.is_none() && self.stages(Role::Download) && !parts.is_empty() {
            encoder::barrier(&device, compute);
            self.record_download(compute, &parts);
        }
        encoder::host_barrier(&device, compute, true);
        self.submit(device.compute.raw, compute)?;
        if let Some(transfer) = transfer
            && self.stages(Role::Download)
            && !parts.is_empty()
        {
            begin(&device, download)?;
            self.record_download(download, &parts);
            encoder::host_barrier(&device, download, false);
            self.submit(transfer.download, download)?;
        }
        Ok(())
    }

    /// Brings parts of Download buffers down after a run has finished; at once if the host sees them anyway.
    pub fn fetch(&mut self, parts: &[Part]) -> Result<(), DeviceError> {
        if parts.iter().all(|part| self.buffers[part.buffer.0 as usize].staging.is_none()) {
            return Ok(());
        }
        let device = Arc::clone(self.device());
        let commands = self.commands.fetch;
        begin(&device, commands)?;
        self.record_download(commands, parts);
        encoder::host_barrier(&device, commands, false);
        let queue = device.transfer.map_or(device.compute.raw, |transfer| transfer.download);
        self.submit(queue, commands)
    }

    /// Whether everything submitted has finished.
    pub fn finished(&self) -> Result<bool, DeviceError> {
        // SAFETY: the semaphore belongs to the device and is a timeline.
        let value = unsafe { self.device().raw.get_semaphore_counter_value(self.timeline) };
        Ok(value.named("vkGetSemaphoreCounterValue")? >= self.value)
    }

    /// Waits until everything submitted has finished.
    pub fn wait(&self) -> Result<(), DeviceError> {
        let (semaphores, values) = ([self.timeline], [self.value]);
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: as above.
        unsafe { self.device().raw.wait_semaphores(&wait, u64::MAX) }.named("vkWaitSemaphores")?;
        // On a lost device a wait may succeed although the work will never be done.
        if self.finished()? { Ok(()) } else { Err(DeviceError::Lost) }
    }

    fn stages(&self, role: Role) -> bool {
        self.buffers.iter().any(|slot| slot.role == role && slot.staging.is_some())
    }

    fn record_upload(&self, commands: vk::CommandBuffer, recording: &Recording) {
        for (slot, desc) in self.buffers.iter().zip(&recording.buffers) {
            if let (Role::Upload, Some(staging)) = (slot.role, &slot.staging) {
                encoder::copy(self.device(), commands, staging, 0, &slot.device, 0, desc.size);
            }
        }
    }

    fn record_download(&self, commands: vk::CommandBuffer, parts: &[Part]) {
        for part in parts {
            let slot = &self.buffers[part.buffer.0 as usize];
            if let (Role::Download, Some(staging)) = (slot.role, &slot.staging) {
                let &Part { offset, size, .. } = part;
                encoder::copy(self.device(), commands, &slot.device, offset, staging, offset, size);
            }
        }
    }

    /// Ends a command buffer and submits it behind everything that the slot has submitted.
    fn submit(&mut self, queue: vk::Queue, commands: vk::CommandBuffer) -> Result<(), DeviceError> {
        let (after, done) = ([self.value], [self.value + 1]);
        let (semaphores, buffers) = ([self.timeline], [commands]);
        let stages = [vk::PipelineStageFlags::ALL_COMMANDS];
        let mut values = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&after)
            .signal_semaphore_values(&done);
        let submit = vk::SubmitInfo::default()
            .wait_semaphores(&semaphores)
            .wait_dst_stage_mask(&stages)
            .command_buffers(&buffers)
            .signal_semaphores(&semaphores)
            .push_next(&mut values);
        let device = &self.memory.device.raw;
        // SAFETY: the command buffer was being recorded; this thread is the queue's only user; what `submit` points
        // to outlives the call; buffers and pipelines outlive the work, since the slot's owner waits for it first.
        unsafe {
            device.end_command_buffer(commands).named("vkEndCommandBuffer")?;
            device.queue_submit(queue, &[submit], vk::Fence::null()).named("vkQueueSubmit")?;
        }
        self.value += 1;
        Ok(())
    }
}

fn begin(device: &Device, commands: vk::CommandBuffer) -> Result<(), DeviceError> {
    let once =
        vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
    // SAFETY: the pool was reset after the device finished with the command buffer.
    unsafe { device.raw.begin_command_buffer(commands, &once) }.named("vkBeginCommandBuffer")
}

impl Commands {
    fn null() -> Self {
        Self {
            compute_pool: vk::CommandPool::null(),
            compute: vk::CommandBuffer::null(),
            transfer_pool: vk::CommandPool::null(),
            upload: vk::CommandBuffer::null(),
            download: vk::CommandBuffer::null(),
            fetch: vk::CommandBuffer::null(),
        }
    }

    /// Without transfer queues the compute family's pool serves for all.
    fn create(&mut self, device: &Device) -> Result<(), DeviceError> {
        self.compute_pool = create_pool(device, device.compute.family)?;
        self.compute = allocate(device, self.compute_pool)?;
        let pool = match device.transfer {
            Some(transfer) => {
                self.transfer_pool = create_pool(device, transfer.family)?;
                self.transfer_pool
            }
            None => self.compute_pool,
        };
        self.upload = allocate(device, pool)?;
        self.download = allocate(device, pool)?;
        self.fetch = allocate(device, pool)?;
        Ok(())
    }

    /// Forgets what the command buffers hold. The device has finished with them.
    fn reset(&self, device: &Device) -> Result<(), DeviceError> {
        let flags = vk::CommandPoolResetFlags::empty();
        for pool in [self.compute_pool, self.transfer_pool] {
            if pool != vk::CommandPool::null() {
                // SAFETY: no command buffer of the pool is in use: the slot is idle.
                unsafe { device.raw.reset_command_pool(pool, flags) }
                    .named("vkResetCommandPool")?;
            }
        }
        Ok(())
    }
}

fn create_pool(device: &Device, family: u32) -> Result<vk::CommandPool, DeviceError> {
    let create = vk::CommandPoolCreateInfo::default()
        .flags(vk::CommandPoolCreateFlags::TRANSIENT)
        .queue_family_index(family);
    // SAFETY: a valid description of a pool for a family of this device.
    unsafe { device.raw.create_command_pool(&create, None) }.named("vkCreateCommandPool")
}

fn allocate(device: &Device, pool: vk::CommandPool) -> Result<vk::CommandBuffer, DeviceError> {
    let create = vk::CommandBufferAllocateInfo::default()
        .command_pool(pool)
        .level(vk::CommandBufferLevel::PRIMARY)
        .command_buffer_count(1);
    // SAFETY: the pool belongs to the device.
    let commands = unsafe { device.raw.allocate_command_buffers(&create) };
    Ok(commands.named("vkAllocateCommandBuffers")?[0])
}

impl Drop for Slot {
    fn drop(&mut self) {
        let device = Arc::clone(self.device());
        // After a failure work may still be in flight; waiting for none costs nothing.
        if !matches!(self.finished(), Ok(true)) {
            device.wait_idle();
        }
        self.descriptors.destroy(&device);
        // SAFETY: these belong to the device, which has finished with them; null handles are allowed.
        unsafe {
            device.raw.destroy_command_pool(self.commands.compute_pool, None);
            device.raw.destroy_command_pool(self.commands.transfer_pool, None);
            device.raw.destroy_semaphore(self.timeline, None);
        }
    }
}
