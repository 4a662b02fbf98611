//! Memory of the host's that a device copies to and from where it is.

use std::{
    ops::Range,
    ptr::{self, NonNull},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use ash::vk;

use super::{Named, device::Device};
use crate::{error::DeviceError, host_buffer::Region};

/// How devices reach the chunks of a [`Region`].
pub(crate) struct Imports(Mutex<Vec<Reach>>);

/// How one does.
struct Reach {
    device: Arc<Device>,
    chunks: Vec<Chunk>,
}

#[derive(Clone)]
enum Chunk {
    Untried,
    Imported(Arc<Import>),
    /// The driver would not.
    Refused,
}

/// Bytes of an import. The import goes before the region, whose memory it has.
#[derive(Clone)]
pub(crate) struct Stretch {
    pub import: Arc<Import>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Keeps the memory.
    _region: Arc<Region>,
    _reaching: Arc<()>,
}

impl Stretch {
    /// Adds what follows behind so many bytes, and these, if it does.
    pub fn join(&mut self, next: &Self, between: u64) -> bool {
        let follows = Arc::ptr_eq(&self.import, &next.import)
            && self.offset + self.size + between == next.offset;
        if follows {
            self.size += between + next.size;
        }
        follows
    }
}

impl Imports {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Reach>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a device let go of the memory, which it is done with.
    pub fn forget(&self, device: &Device) {
        let mut all = self.lock();
        let known = all.iter().position(|reach| ptr::eq(&*reach.device, device));
        let forgotten = known.map(|known| all.swap_remove(known));
        drop(all);
        drop(forgotten); // Which takes the driver a while.
    }
}

/// Why a device does not reach some bytes.
enum Unreached {
    /// They have not been imported.
    Yet,
    ForGood,
}

/// The bytes of a region as a device reaches them, front to back, if it reaches all.
fn look(
    device: &Device,
    region: &Arc<Region>,
    bytes: Range<usize>,
) -> Result<Vec<Stretch>, Unreached> {
    let all = region.imports().lock();
    let known = all.iter().find(|reach| ptr::eq(&*reach.device, device));
    let known = known.ok_or(Unreached::Yet)?;
    let mut stretches = Vec::new();
    for number in bytes.start / region.chunk..=(bytes.end.max(1) - 1) / region.chunk {
        let chunk = region.chunk_range(number);
        let import = match &known.chunks[number] {
            Chunk::Imported(import) => Arc::clone(import),
            Chunk::Untried => return Err(Unreached::Yet),
            Chunk::Refused => return Err(Unreached::ForGood),
        };
        let range = bytes.start.max(chunk.start)..bytes.end.min(chunk.end);
        stretches.push(Stretch {
            import,
            offset: (range.start - chunk.start) as u64,
            size: range.len() as u64,
            _region: Arc::clone(region),
            _reaching: Arc::clone(&device.reaching),
        });
    }
    Ok(stretches)
}

impl Region {
    fn chunk_range(&self, number: usize) -> Range<usize> {
        let start = number * self.chunk;
        start..(start + self.chunk).min(self.size())
    }
}

/// Imports the chunks of a region that nobody has tried, one after the other, until there are none or it is to stop.
/// Or until nobody else has the region.
pub(super) fn import_all(device: &Arc<Device>, region: &Arc<Region>, stop: &AtomicBool) {
    for number in 0..region.size().div_ceil(region.chunk) {
        let mut all = region.imports().lock();
        let known = all.iter().position(|reach| Arc::ptr_eq(&reach.device, device));
        let known = known.unwrap_or_else(|| {
            let chunks = vec![Chunk::Untried; region.size().div_ceil(region.chunk)];
            all.push(Reach { device: Arc::clone(device), chunks });
            all.len() - 1
        });
        let untried = matches!(all[known].chunks[number], Chunk::Untried);
        drop(all); // Whoever looks does not wait for the driver.
        if stop.load(Relaxed) || Arc::strong_count(region) == 1 {
            return;
        }
        if !untried {
            continue;
        }
        let bytes = region.chunk_range(number);
        // SAFETY: the region has these bytes and keeps them as long as its imports.
        let import = unsafe { Import::new(device, region.start().add(bytes.start), bytes.len()) };
        let chunk = match import {
            Ok(import) => Chunk::Imported(Arc::new(import)),
            Err(error) => {
                let name = &device.info.name;
                log::debug!("{name} does not reach the caller's memory: {error}");
                if !matches!(error, DeviceError::Unsupported { .. }) {
                    return; // Another run may try again.
                }
                Chunk::Refused
            }
        };
        let mut all = region.imports().lock();
        if let Some(known) = all.iter_mut().find(|reach| Arc::ptr_eq(&reach.device, device)) {
            known.chunks[number] = chunk;
        }
    }
}

/// Has memory imported while the device works: the driver takes longer for that than the processor for a copy, so that nobody waits for it.
/// Until then copies are made.
#[derive(Default)]
pub(crate) struct Importer {
    /// The thread, and the regions that it has been given and will be.
    thread: Option<(JoinHandle<()>, mpsc::Sender<Weak<Region>>)>,
    wanted: Vec<Weak<Region>>,
    stop: Arc<AtomicBool>,
}

impl Importer {
    /// The bytes of a region as the device reaches them, front to back; nothing if it does not reach all, or not yet.
    pub fn reach(
        &mut self,
        device: &Arc<Device>,
        region: &Arc<Region>,
        bytes: Range<usize>,
    ) -> Option<Vec<Stretch>> {
        match look(device, region, bytes) {
            Ok(stretches) => Some(stretches),
            Err(Unreached::Yet) => {
                self.want(device, region);
                None
            }
            Err(Unreached::ForGood) => None,
        }
    }

    /// Has it imported, if it has not been told so already.
    fn want(&mut self, device: &Arc<Device>, region: &Arc<Region>) {
        if self.wanted.iter().any(|wanted| ptr::eq(wanted.as_ptr(), &**region)) {
            return;
        }
        if self.thread.is_none() {
            let (sender, regions) = mpsc::channel::<Weak<Region>>();
            let (device, stop) = (Arc::clone(device), Arc::clone(&self.stop));
            let import = move || {
                let there = regions.iter().filter_map(|region| region.upgrade());
                there.for_each(|region| import_all(&device, &region, &stop));
            };
            let thread = thread::Builder::new().name("ranvil-import".to_owned()).spawn(import);
            self.thread = thread.ok().map(|thread| (thread, sender));
        }
        if let Some((_, sender)) = &self.thread
            && sender.send(Arc::downgrade(region)).is_ok()
        {
            self.wanted.push(Arc::downgrade(region));
        }
    }

    /// Has it stop, and waits for that: what is left is imported when it is wanted again.
    pub fn stop(&mut self) {
        self.wanted.clear();
        self.stop.store(true, Relaxed);
        if let Some((thread, sender)) = self.thread.take() {
            drop(sender);
            let _ = thread.join(); // What it could not import is copied.
        }
        self.stop.store(false, Relaxed);
    }
}

impl Drop for Importer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A buffer over memory of the host's.
pub(crate) struct Import {
    pub buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    device: Arc<Device>,
    /// As long as it lives, it is counted.
    _count: Arc<()>,
}

/// Devices may have few allocations at once: imports leave most of them to others.
const MOST_OF_ALLOCATIONS: u32 = 4;

const HOST_ALLOCATION: vk::ExternalMemoryHandleTypeFlags =
    vk::ExternalMemoryHandleTypeFlags::HOST_ALLOCATION_EXT;
const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::TRANSFER_SRC.as_raw() | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

impl Import {
    /// # Safety
    /// There are so many bytes, and they stay as long as this. Who has a copy to or from it done sees to it that nobody else is at
    /// these bytes meanwhile.
    unsafe fn new(
        device: &Arc<Device>,
        start: NonNull<u8>,
        size: usize,
    ) -> Result<Self, DeviceError> {
        let unsupported = |missing: &str| DeviceError::Unsupported {
            device: device.info.name.clone(),
            missing: missing.to_owned(),
        };
        let Some(extension) = &device.host_memory else {
            return Err(unsupported("VK_EXT_external_memory_host"));
        };
        let aligned = extension.alignment as usize;
        if !(start.as_ptr() as usize | size).is_multiple_of(aligned) {
            return Err(unsupported("imports of memory that is not aligned more"));
        }
        let limit = device.offer.limits.max_memory_allocation_count / MOST_OF_ALLOCATIONS;
        let count = Arc::clone(&device.imports);
        if Arc::strong_count(&count) > limit as usize {
            let result = "too many buffers are imported".to_owned();
            return Err(DeviceError::Vulkan { call: "vkAllocateMemory", result });
        }
        let raw = &device.raw;
        let mut external =
            vk::ExternalMemoryBufferCreateInfo::default().handle_types(HOST_ALLOCATION);
        let create =
            vk::BufferCreateInfo::default().size(size as u64).usage(USAGE).push_next(&mut external);
        // SAFETY: a valid description; the device can import such buffers, as was asked when it was opened.
        let buffer = unsafe { raw.create_buffer(&create, None) }.named("vkCreateBuffer")?;
        // From here on dropping the import destroys it.
        let memory = vk::DeviceMemory::null();
        let mut import = Self { buffer, memory, device: Arc::clone(device), _count: count };
        // SAFETY: the buffer was made from this device.
        let requirements = unsafe { raw.get_buffer_memory_requirements(buffer) };
        let types = extension.memory_types(start)? & requirements.memory_type_bits;
        let fits = requirements.size <= size as u64;
        let kind = device.coherent_type(types).filter(|_| fits);
        let kind = kind.ok_or_else(|| unsupported("a coherent type for the host's memory"))?;
        let mut pointer = vk::ImportMemoryHostPointerInfoEXT::default()
            .handle_type(HOST_ALLOCATION)
            .host_pointer(start.as_ptr().cast());
        let allocate = vk::MemoryAllocateInfo::default()
            .allocation_size(size as u64)
            .memory_type_index(kind)
            .push_next(&mut pointer);
        // SAFETY: pointer and size are aligned as the device wants it, the memory is there as long as the import (the caller's
        // promise), and the type is one that takes it and the buffer.
        unsafe {
            import.memory = raw.allocate_memory(&allocate, None).named("vkAllocateMemory")?;
            raw.bind_buffer_memory(buffer, import.memory, 0).named("vkBindBufferMemory")?;
        }
        Ok(import)
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        // SAFETY: both belong to the device or are null, and no work uses them: it would hold the import.
        unsafe {
            self.device.raw.destroy_buffer(self.buffer, None);
            self.device.raw.free_memory(self.memory, None);
        }
    }
}

/// What is needed to import memory of the host's.
pub(crate) struct HostMemory {
    /// Pointers and sizes are multiples of it.
    alignment: u64,
    device: vk::Device,
    functions: ash::ext::external_memory_host::Device,
}

impl HostMemory {
    pub fn new(instance: &ash::Instance, device: &ash::Device, alignment: u64) -> Self {
        let functions = ash::ext::external_memory_host::Device::new(instance, device);
        Self { alignment, device: device.handle(), functions }
    }

    /// The memory types that take what is at `start`, a bit for each.
    fn memory_types(&self, start: NonNull<u8>) -> Result<u32, DeviceError> {
        let mut properties = vk::MemoryHostPointerPropertiesEXT::default();
        // SAFETY: the extension is enabled, the pointer is aligned and points to memory that the process has.
        unsafe {
            (self.functions.fp().get_memory_host_pointer_properties_ext)(
                self.device,
                HOST_ALLOCATION,
                start.as_ptr().cast(),
                &mut properties,
            )
        }
        .result()
        .named("vkGetMemoryHostPointerPropertiesEXT")?;
        Ok(properties.memory_type_bits)
    }
}

/// The alignment of imports, if the device can import buffers that it copies to and from.
pub(super) fn alignment(
    instance: &ash::Instance,
    physical: vk::PhysicalDevice,
    properties: &vk::PhysicalDeviceExternalMemoryHostPropertiesEXT<'_>,
) -> Option<u64> {
    let info =
        vk::PhysicalDeviceExternalBufferInfo::default().usage(USAGE).handle_type(HOST_ALLOCATION);
    let mut external = vk::ExternalBufferProperties::default();
    // SAFETY: the device has Vulkan 1.2 and the extension of the handle type.
    unsafe {
        instance.get_physical_device_external_buffer_properties(physical, &info, &mut external);
    }
    use vk::ExternalMemoryFeatureFlags as F;
    let features = external.external_memory_properties.external_memory_features;
    let alone = features.contains(F::IMPORTABLE) && !features.contains(F::DEDICATED_ONLY);
    alone.then_some(properties.min_imported_host_pointer_alignment)
}
