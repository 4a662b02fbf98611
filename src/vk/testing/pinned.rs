//! Slices through a device that has memory of its own, or is treated so.

use std::sync::atomic::AtomicBool;

use super::Gpu;
pub use crate::vk::transfer::direct_jobs;
use crate::{
    Assignment, HostBuffer, Options, Result,
    engine::{Route, accel::Idle},
    host_buffer, oneshot,
    restore::restore,
    vk::import::import_all,
};

impl Gpu {
    /// [`Options::compress_into`] with this device.
    ///
    /// # Errors
    /// Those of that.
    pub fn compress_into(
        self,
        options: &Options,
        entropy: Assignment,
        raw: &[u8],
        coded: &mut [u8],
    ) -> Result<usize> {
        oneshot::pack(options, self.route(entropy), raw, coded)
    }

    /// [`Options::decompress_into`] with this device; `raw` is as long as the content.
    ///
    /// # Errors
    /// Those of that.
    pub fn decompress_into(
        self,
        options: &Options,
        entropy: Assignment,
        coded: &[u8],
        raw: &mut [u8],
    ) -> Result<()> {
        restore(options, self.route(entropy), coded, raw)
    }

    /// Whether it reaches memory of the host's.
    pub fn reaches_host_memory(&self) -> bool {
        self.device().reaches_host_memory()
    }

    /// Imports a buffer at once, where a run would have it done beside its work.
    pub fn reach(&self, buffer: &HostBuffer) {
        let (region, _) = host_buffer::find(buffer).expect("it is one");
        import_all(self.accelerator.device(), &region, &AtomicBool::new(false));
    }

    fn route(self, entropy: Assignment) -> Route {
        let Self { slot, accelerator } = self;
        drop(slot);
        Route::open(vec![Idle::new(accelerator)], entropy)
    }
}

/// A buffer that devices import in chunks of so many bytes, a multiple of 64 KiB.
pub fn host_buffer_in_chunks(length: usize, chunk: usize) -> HostBuffer {
    host_buffer::in_chunks(length, chunk).expect("there is memory for it")
}
