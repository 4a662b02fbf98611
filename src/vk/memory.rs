//! Buffers in device memory and in memory that the host sees.

use std::{
    ops::Range,
    ptr::NonNull,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use ash::vk;
use gpu_allocator::{
    AllocationSizes, AllocatorDebugSettings, MemoryLocation,
    vulkan::{Allocation, AllocationCreateDesc, AllocationScheme, Allocator, AllocatorCreateDesc},
};

use super::{
    Named,
    device::Device,
    import::{Importer, Stretch},
};
use crate::{
    error::DeviceError,
    host_buffer::{self, Region},
    kernel::Role,
};

/// Allocates buffers. Small ones share blocks of this many bytes, larger ones get memory of their own.
const BLOCK: u64 = 4 << 20;

/// A mappable part of device memory smaller than this is left to the graphics of other programs.
const LARGE_BAR: u64 = 1 << 30;

/// The device's memory. Dropped before the device, which it holds.
pub(crate) struct Memory {
    allocator: Mutex<Allocator>,
    /// How many buffers have been made.
    made: AtomicUsize,
    families: Vec<u32>,
    /// Kernels read from where the host writes.
    direct_upload: bool,
    /// The host reads from where kernels write.
    direct_download: bool,
    importer: Mutex<Importer>,
    pub device: Arc<Device>,
}

/// Who touches a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Device,
    /// The host writes, kernels read.
    Upload,
    /// Kernels write, the host reads.
    Download,
    /// The host writes, a copy reads.
    StagingUpload,
    /// A copy writes, the host reads.
    StagingDownload,
}

impl Memory {
    pub fn new(device: Arc<Device>) -> Result<Arc<Self>, DeviceError> {
        let allocator = Allocator::new(&AllocatorCreateDesc {
            instance: device.instance.raw.clone(),
            device: device.raw.clone(),
            physical_device: device.physical,
            debug_settings: AllocatorDebugSettings::default(),
            buffer_device_address: false,
            allocation_sizes: AllocationSizes::new(BLOCK, BLOCK),
        })
        .map_err(allocation_error)?;
        use vk::MemoryPropertyFlags as M;
        let mapped = M::DEVICE_LOCAL | M::HOST_VISIBLE | M::HOST_COHERENT;
        // With a transfer queue, copies run beside the kernels and the host writes to its own memory.
        let bar = device.transfer.is_none() && largest_heap(&device, mapped) >= LARGE_BAR;
        let unified = device.unified_memory() && largest_heap(&device, mapped) > 0;
        Ok(Arc::new(Self {
            allocator: Mutex::new(allocator),
            made: AtomicUsize::new(0),
            families: device.families(),
            direct_upload: unified || bar,
            importer: Mutex::default(),
            direct_download: unified && largest_heap(&device, mapped | M::HOST_CACHED) > 0,
            device,
        }))
    }

    /// The bytes of a region as the device reaches them, front to back; nothing if it does not reach all, or not yet.
    pub fn reach(&self, region: &Arc<Region>, bytes: Range<usize>) -> Option<Vec<Stretch>> {
        self.importer().reach(&self.device, region, bytes)
    }

    /// Stops importing the caller's memory. Imports that have been made stay.
    pub fn stop_importing(&self) {
        self.importer().stop();
    }

    fn importer(&self) -> MutexGuard<'_, Importer> {
        self.importer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many buffers have been made.
    pub fn made(&self) -> usize {
        self.made.load(Relaxed)
    }

    /// A buffer for kernels with this role, and its staging buffer if the host does not see it.
    pub fn buffer(
        self: &Arc<Self>,
        name: &str,
        size: u64,
        role: Role,
    ) -> Result<(Buffer, Option<Buffer>), DeviceError> {
        let (place, staging) = match role {
            Role::Device => (Place::Device, None),
            Role::Upload if self.direct_upload => (Place::Upload, None),
            Role::Upload => (Place::Device, Some(Place::StagingUpload)),
            Role::Download if self.direct_download => (Place::Download, None),
            Role::Download => (Place::Device, Some(Place::StagingDownload)),
            Role::Report => (Place::Download, None),
        };
        self.made.fetch_add(1, Relaxed);
        let buffer = self.allocate(name, size, place)?;
        let staging = staging.map(|place| self.allocate(name, size, place)).transpose()?;
        Ok((buffer, staging))
    }

    fn allocate(
        self: &Arc<Self>,
        name: &str,
        size: u64,
        place: Place,
    ) -> Result<Buffer, DeviceError> {
        use vk::BufferUsageFlags as U;
        let usage = match place {
            Place::StagingUpload => U::TRANSFER_SRC,
            Place::StagingDownload => U::TRANSFER_DST,
            _ => U::STORAGE_BUFFER | U::TRANSFER_SRC | U::TRANSFER_DST,
        };
        let mut create = vk::BufferCreateInfo::default().size(size).usage(usage);
        if self.families.len() > 1 {
            create = create
                .sharing_mode(vk::SharingMode::CONCURRENT)
                .queue_family_indices(&self.families);
        }
        let device = &self.device.raw;
        // SAFETY: `create` is a valid description and the device is alive.
        let raw = unsafe { device.create_buffer(&create, None) }.named("vkCreateBuffer")?;
        // From here on dropping the buffer destroys it.
        let mut buffer = Buffer { raw, size, allocation: None, memory: Arc::clone(self) };
        // SAFETY: the buffer was created from this device.
        let mut requirements = unsafe { device.get_buffer_memory_requirements(raw) };
        let location = match place {
            Place::Device => MemoryLocation::GpuOnly,
            Place::Upload | Place::StagingUpload => MemoryLocation::CpuToGpu,
            Place::Download | Place::StagingDownload => MemoryLocation::GpuToCpu,
        };
        if place == Place::StagingUpload {
            requirements.memory_type_bits = self.host_only(requirements.memory_type_bits);
        }
        let allocation = self
            .allocator
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .allocate(&AllocationCreateDesc {
                name,
                requirements,
                location,
                linear: true,
                allocation_scheme: AllocationScheme::GpuAllocatorManaged,
            })
            .map_err(allocation_error)?;
        // SAFETY: memory and offset fit the buffer's requirements and the memory is not bound elsewhere.
        let bound =
            unsafe { device.bind_buffer_memory(raw, allocation.memory(), allocation.offset()) };
        buffer.allocation = Some(allocation);
        bound.named("vkBindBufferMemory")?;
        if matches!(place, Place::Download | Place::StagingDownload) && !buffer.is_cached() {
            log::debug!("{}: the host reads {name} uncached, slowly", self.device.info.name);
        }
        Ok(buffer)
    }

    /// Leaves device-local memory out of the types, if there are others: the copy is to read the host's memory.
    fn host_only(&self, types: u32) -> u32 {
        let memory = self.device.memory.memory_types_as_slice();
        let local = memory.iter().enumerate().filter(|(_, memory_type)| {
            memory_type.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL)
        });
        let host = local.fold(types, |types, (index, _)| types & !(1 << index));
        let mappable = memory.iter().enumerate().any(|(index, memory_type)| {
            let flags =
                vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
            host & (1 << index) != 0 && memory_type.property_flags.contains(flags)
        });
        if mappable { host } else { types }
    }
}

impl Drop for Memory {
    /// The device is done with everything: it lets go of the caller's memory as well.
    fn drop(&mut self) {
        self.stop_importing();
        host_buffer::forget(&self.device);
    }
}

/// Bytes of the largest heap with a memory type that has all these properties.
fn largest_heap(device: &Device, properties: vk::MemoryPropertyFlags) -> u64 {
    let heaps = device.memory.memory_heaps_as_slice();
    let types = device.memory.memory_types_as_slice().iter();
    types
        .filter(|memory_type| memory_type.property_flags.contains(properties))
        .map(|memory_type| heaps[memory_type.heap_index as usize].size)
        .max()
        .unwrap_or(0)
}

fn allocation_error(error: gpu_allocator::AllocationError) -> DeviceError {
    DeviceError::Vulkan { call: "allocating device memory", result: error.to_string() }
}

/// A buffer bound to memory; both are released when it is dropped, by whichever thread. The slot that uses it keeps it
/// until the device has finished with it.
pub(crate) struct Buffer {
    pub raw: vk::Buffer,
    /// Bytes.
    pub size: u64,
    allocation: Option<Allocation>,
    memory: Arc<Memory>,
}

impl Buffer {
    /// Where the host sees its `size` bytes, if it does: there as long as the buffer lives. The memory is always coherent,
    /// so that no range needs to be flushed or invalidated.
    pub fn mapped(&self) -> Option<NonNull<u8>> {
        Some(self.allocation.as_ref()?.mapped_ptr()?.cast())
    }

    /// Whether it has so many bytes from there on.
    pub fn holds(&self, offset: u64, size: u64) -> bool {
        offset.checked_add(size).is_some_and(|end| end <= self.size)
    }

    /// Whether the host reads it through its caches. Where it does not, reading is slower by an order of magnitude.
    pub fn is_cached(&self) -> bool {
        let flags = self.allocation.as_ref().map(Allocation::memory_properties);
        flags.is_some_and(|flags| flags.contains(vk::MemoryPropertyFlags::HOST_CACHED))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: the buffer belongs to this device, which no longer uses it.
        unsafe { self.memory.device.raw.destroy_buffer(self.raw, None) };
        if let Some(allocation) = self.allocation.take() {
            let mut allocator =
                self.memory.allocator.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = allocator.free(allocation) {
                log::error!("releasing a buffer's memory: {error}");
            }
        }
    }
}
