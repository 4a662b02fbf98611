//! Lossless compression on any Vulkan GPU and the CPU beside it.
#![deny(unsafe_code)]

mod block;
pub mod coder;
mod device;
mod engine;
mod error;
pub mod format;
mod inspect;
pub mod kernel;
mod oneshot;
mod options;
mod sched;
mod seek;
mod stream;
mod vk;
mod walk;

pub use device::{DeviceInfo, DeviceKind, DeviceSelector, PciAddress, SubgroupSizes};
pub use error::{BlockFault, DeviceError, Error, FrameFault, Result};
pub use inspect::{ContentInfo, FrameInfo, FrameKind, inspect};
pub use oneshot::{compress, decompress};
pub use options::{CancelToken, Options, Pipeline, Progress, SegmentProfile, Simd};
pub use seek::SeekableReader;
pub use stream::{Compressor, Decompressor};
pub use vk::devices;

#[doc(hidden)]
pub use vk::testing;
