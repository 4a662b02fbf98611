//! Lossless compression on any Vulkan GPU and the CPU beside it.
#![deny(unsafe_code)]

mod block;
pub mod coder;
mod device;
mod engine;
mod error;
pub mod format;
pub mod kernel;
mod options;
mod sched;
mod vk;

pub use device::{DeviceInfo, DeviceKind, DeviceSelector, PciAddress, SubgroupSizes};
pub use error::{BlockFault, DeviceError, Error, FrameFault, Result};
pub use options::{CancelToken, Options, Pipeline, Progress, SegmentProfile, Simd};
pub use vk::devices;
