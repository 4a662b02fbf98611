//! Memory of the host that devices read and write where it is.
#![allow(unsafe_code)]

use std::{
    alloc::{self, Layout},
    collections::BTreeMap,
    fmt, mem,
    ops::{Deref, DerefMut, Range},
    process,
    ptr::NonNull,
    slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    error::{Error, Result},
    vk::{Device, Imports},
};

/// Every device takes memory that begins and ends at multiples of so many bytes: the most that Vulkan lets one ask for.
const UNIT: usize = 64 << 10;
/// From so many bytes on memory begins where a huge page may.
const HUGE: usize = 2 << 20;

/// Bytes that are imported at once: few enough that a device's thread is not kept from its batches for long (the driver locks each
/// page), and many enough that copies are rarely cut.
const CHUNK: usize = 64 << 20;

/// Bytes that devices read and write where they are, without a copy of the processor's between: what other interfaces call pinned,
/// or page-locked, memory.
///
/// It is used as any slice. Where the input of [`Options::compress_into`](crate::Options::compress_into), or input or output of
/// [`Options::decompress_into`](crate::Options::decompress_into), lies in one, a device with memory of its own fetches the blocks that it
/// does from there by itself, and brings decoded ones there (blocks of 16 KiB and more, of pipelines without a model). That leaves the cores to
/// the blocks that they do themselves. What is compressed is copied to its place by the processor as ever.
/// Devices that cannot, and those that share the host's memory, work as with any other slice.
///
/// When a device first meets a buffer, the driver locks its pages, which takes some 30 to 50 µs a MiB on Linux with NVIDIA's driver, and half of
/// that to unlock them: more than copying it once. A thread does it beside the first run, which copies meanwhile. So it is for memory that is
/// used again: allocate it once, not for each call. Pages that are locked cannot be paged out, whether a run is under way or not, until the buffer
/// is dropped or the device is closed (see [`release_idle`](crate::release_idle)). They do not count against the memory limit.
///
/// A child that is forked can use what it has of a buffer, but devices do not reach it there.
///
/// ```
/// use ranvil::{DeviceSelector, HostBuffer, Options};
///
/// let options = Options::new();
/// # let options = options.device(DeviceSelector::Cpu);
/// let mut raw = HostBuffer::new(1 << 20)?;
/// raw.fill(7); // Or read a file into it.
/// let mut coded = HostBuffer::new(options.compress_bound(raw.len())?)?;
/// let length = options.compress_into(&raw, &mut coded)?;
///
/// let mut back = HostBuffer::new(raw.len())?;
/// options.decompress_into(&coded[..length], &mut back)?;
/// assert!(back[..] == raw[..]);
/// # Ok::<(), ranvil::Error>(())
/// ```
pub struct HostBuffer {
    region: Arc<Region>,
    length: usize,
}

impl HostBuffer {
    /// So many zeros.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is no memory for them.
    pub fn new(length: usize) -> Result<Self> {
        in_chunks(length, CHUNK)
    }
}

/// One of so many zeros that devices import so many bytes at once of.
pub(crate) fn in_chunks(length: usize, chunk: usize) -> Result<HostBuffer> {
    assert!(chunk > 0 && chunk.is_multiple_of(UNIT), "chunks of whole units");
    let region = Arc::new(Region::new(length, chunk)?);
    regions().insert(region.start.as_ptr() as usize, Arc::clone(&region));
    Ok(HostBuffer { region, length })
}

impl Drop for HostBuffer {
    /// No device is at the bytes: whoever lets one at them borrows the buffer until it is done.
    fn drop(&mut self) {
        let region = regions().remove(&(self.region.start.as_ptr() as usize));
        drop(region); // Behind the lock: a driver may take a while to unlock pages.
    }
}

impl Deref for HostBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the region has so many bytes, which have been zeroed and live as long as this. They are this buffer's: a device
        // reads or writes only what somebody has borrowed from it, and until that borrow ends.
        unsafe { slice::from_raw_parts(self.region.start.as_ptr(), self.length) }
    }
}

impl DerefMut for HostBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; the buffer is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.region.start.as_ptr(), self.length) }
    }
}

impl AsRef<[u8]> for HostBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for HostBuffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for HostBuffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HostBuffer").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The memory of a [`HostBuffer`], which lives as long as the buffer or a device that is at it.
pub(crate) struct Region {
    start: NonNull<u8>,
    size: usize,
    /// What was allocated, in which it lies.
    base: NonNull<u8>,
    layout: Layout,
    /// The process that made it.
    process: u32,
    /// Bytes that a device imports at once.
    pub chunk: usize,
    /// How devices reach it.
    imports: Imports,
}

// SAFETY: it owns its bytes as a `Box<[u8]>` does, and does not touch them itself.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn new(length: usize, chunk: usize) -> Result<Self> {
        let out_of_memory = || Error::OutOfMemory { needed: length as u64 };
        let size = length.max(1).checked_next_multiple_of(UNIT).ok_or_else(out_of_memory)?;
        let align = if size < HUGE { UNIT } else { HUGE };
        // Aligned by hand, since allocators clear what they align, and thereby touch every page.
        let room = size.checked_add(align).ok_or_else(out_of_memory)?;
        let layout = Layout::from_size_align(room, 1).map_err(|_| out_of_memory())?;
        // SAFETY: the layout has at least one unit.
        let base = unsafe { alloc::alloc_zeroed(layout) };
        let base = NonNull::new(base).ok_or_else(out_of_memory)?;
        let skip = (base.as_ptr() as usize).next_multiple_of(align) - base.as_ptr() as usize;
        // SAFETY: it skips less than `align` bytes, and there are as many more than `size`.
        let start = unsafe { base.add(skip) };
        let (process, imports) = (process::id(), Imports::new());
        Ok(Self { start, size, base, layout, process, chunk, imports })
    }

    /// Where it begins: at a multiple of [`UNIT`] bytes.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes that it has, a multiple of [`UNIT`].
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether it is this process that made it. What a child has of it from before it was forked no device of its own reaches, and its
    /// parent's devices are not its to call.
    fn is_here(&self) -> bool {
        self.process == process::id()
    }

    pub fn imports(&self) -> &Imports {
        &self.imports
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // Devices let go of the memory first. None is at work on it: it would hold the region.
        let imports = mem::replace(&mut self.imports, Imports::new());
        match self.is_here() {
            true => drop(imports),
            false => mem::forget(imports),
        }
        // SAFETY: it was allocated with this layout, and nobody has it any more.
        unsafe { alloc::dealloc(self.base.as_ptr(), self.layout) };
    }
}

/// The regions of all buffers, by where they begin.
static REGIONS: Mutex<BTreeMap<usize, Arc<Region>>> = Mutex::new(BTreeMap::new());

fn regions() -> MutexGuard<'static, BTreeMap<usize, Arc<Region>>> {
    REGIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a device let go of all buffers.
pub(crate) fn forget(device: &Device) {
    let all: Vec<Arc<Region>> = regions().values().cloned().collect();
    all.iter().filter(|region| region.is_here()).for_each(|region| region.imports.forget(device));
}

/// The region in which bytes lie that somebody has borrowed, and where in it.
pub(crate) fn find(bytes: &[u8]) -> Option<(Arc<Region>, Range<usize>)> {
    let begin = bytes.as_ptr() as usize;
    let regions = regions();
    let (&start, region) = regions.range(..=begin).next_back()?;
    let range = begin - start..begin - start + bytes.len();
    let lies_there = range.end <= region.size() && region.is_here();
    lies_there.then(|| (Arc::clone(region), range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_in_the_buffer_that_has_them() {
        let mut buffers: Vec<_> =
            [0, 1, UNIT, 3 * UNIT + 5].map(|length| HostBuffer::new(length).unwrap()).into();
        let elsewhere = vec![1; 3 * UNIT];
        for buffer in &mut buffers {
            assert!(buffer.iter().all(|&byte| byte == 0));
            buffer.fill(7);
            let length = buffer.len();
            for range in [0..length, length / 2..length, length..length] {
                let (region, found) = find(&buffer[range.clone()]).unwrap();
                assert!(Arc::ptr_eq(&region, &buffer.region));
                assert_eq!(found, range);
                assert_eq!(region.start().as_ptr() as usize % UNIT, 0);
            }
        }
        assert!(find(&elsewhere).is_none());
        let last = buffers.pop().unwrap();
        let start = last.as_ptr() as usize;
        drop(last);
        assert!(!regions().contains_key(&start));
        assert!(matches!(HostBuffer::new(usize::MAX), Err(Error::OutOfMemory { .. })));
        assert!(matches!(HostBuffer::new(isize::MAX as usize), Err(Error::OutOfMemory { .. })));
    }
}
