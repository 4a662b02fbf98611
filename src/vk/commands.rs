//! Command buffers of a slot.

use ash::vk;

use super::{Named, device::Device};
use crate::error::DeviceError;

/// One pool for each family, and a command buffer for each submission of a batch.
pub(crate) struct Commands {
    compute_pool: vk::CommandPool,
    transfer_pool: vk::CommandPool,
    pub compute: vk::CommandBuffer,
    pub upload: vk::CommandBuffer,
    pub download: vk::CommandBuffer,
    /// For what is fetched later, while `download` is not yet recorded anew.
    pub fetch: vk::CommandBuffer,
}

impl Commands {
    /// None yet.
    pub fn null() -> Self {
        Self {
            compute_pool: vk::CommandPool::null(),
            transfer_pool: vk::CommandPool::null(),
            compute: vk::CommandBuffer::null(),
            upload: vk::CommandBuffer::null(),
            download: vk::CommandBuffer::null(),
            fetch: vk::CommandBuffer::null(),
        }
    }

    /// Without transfer queues the compute family's pool serves for all. What was created before an error is destroyed
    /// with the rest.
    pub fn create(&mut self, device: &Device) -> Result<(), DeviceError> {
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
    pub fn reset(&self, device: &Device) -> Result<(), DeviceError> {
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

    /// Frees them. The device has finished with them.
    pub fn destroy(&self, device: &Device) {
        // SAFETY: the pools belong to the device or are null, and nothing of theirs is in use.
        unsafe {
            device.raw.destroy_command_pool(self.compute_pool, None);
            device.raw.destroy_command_pool(self.transfer_pool, None);
        }
    }
}

/// Begins to record a command buffer, once for each reset.
pub(crate) fn begin(device: &Device, commands: vk::CommandBuffer) -> Result<(), DeviceError> {
    let once =
        vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
    // SAFETY: the pool was reset after the device finished with the command buffer.
    unsafe { device.raw.begin_command_buffer(commands, &once) }.named("vkBeginCommandBuffer")
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
