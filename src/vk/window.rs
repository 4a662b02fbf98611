//! Parts of a mapped buffer that are owned one by one, so that several threads fill or read them at once.

use std::{
    ptr::NonNull,
    slice,
    sync::{
        Arc,
        atomic::{Ordering::Acquire, fence},
    },
};

use super::memory::Buffer;

/// Some bytes of a buffer that the host sees, as exclusive as a `Box<[u8]>`. It keeps the buffer mapped, whatever becomes
/// of the slot that the buffer belongs to.
pub(crate) struct Window {
    start: NonNull<u8>,
    len: usize,
    buffer: Arc<Buffer>,
}

// SAFETY: no other window has these bytes and they stay mapped wherever the window goes: it owns them as a `Box` does.
unsafe impl Send for Window {}

// SAFETY: through a shared window bytes are only read.
unsafe impl Sync for Window {}

impl Window {
    /// All of a buffer. Borrowing the buffer's only owner, it cannot be called twice at once.
    ///
    /// # Safety
    /// The device does not use the buffer before this window and all that are split off it are gone.
    ///
    /// # Panics
    /// If the host does not see the buffer, or if a window of it is alive.
    pub unsafe fn whole(buffer: &mut Arc<Buffer>) -> Self {
        assert!(is_sole(buffer), "a buffer has windows already");
        let start = buffer.mapped().expect("a buffer for the host is mapped");
        Self { start, len: buffer.size as usize, buffer: Arc::clone(buffer) }
    }

    /// Splits the first `len` bytes off; this window keeps the others.
    ///
    /// # Panics
    /// If it has fewer.
    pub fn split_to(&mut self, len: usize) -> Self {
        assert!(len <= self.len, "{len} of {} bytes", self.len);
        let front = Self { start: self.start, len, buffer: Arc::clone(&self.buffer) };
        // SAFETY: `len` bytes from `start` on are the window's own, so this is at most one past their end.
        self.start = unsafe { self.start.add(len) };
        self.len -= len;
        front
    }

    /// Whether the host reads it through its caches.
    pub fn is_cached(&self) -> bool {
        self.buffer.is_cached()
    }

    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes are mapped while `buffer` lives; whoever made the first window vouches for the device, and
        // every other window has other bytes.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`; this window is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

/// Whether no window of the buffer is alive. What was written through any is then visible to this thread.
pub(crate) fn is_sole(buffer: &Arc<Buffer>) -> bool {
    let sole = Arc::strong_count(buffer) == 1;
    // A window's end decrements the count with release ordering.
    fence(Acquire);
    sole
}
