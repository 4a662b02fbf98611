//! Lossless compression on any Vulkan GPU and the CPU beside it.
//!
//! Whole slices, with the defaults:
//!
//! ```
//! let raw = b"One bitstream, whoever codes it. ".repeat(1000);
//! let coded = ranvil::compress(&raw)?;
//! assert_eq!(ranvil::decompress(&coded)?, raw);
//! # Ok::<(), ranvil::Error>(())
//! ```
//!
//! Everything else begins with [`Options`]: which [`Pipeline`], how hard it looks for repetition
//! ([`Options::level`]), how large blocks are. Streams of any length, within a memory limit:
//!
//! ```
//! use std::io::{self, Write};
//!
//! use ranvil::{DeviceSelector, Options};
//!
//! # let raw = vec![1; 100_000];
//! let options = Options::new().device(DeviceSelector::Cpu).memory_limit(64 << 20);
//! let mut compressor = options.compressor(Vec::new())?;
//! compressor.write_all(&raw)?;
//! let coded = compressor.finish()?;
//!
//! let mut decompressor = options.output_limit(1 << 30).decompressor(&coded[..])?;
//! let length = io::copy(&mut decompressor, &mut io::sink())?;
//! assert_eq!(length, raw.len() as u64);
//! # Ok::<(), ranvil::Error>(())
//! ```
//!
//! [`Options::seekable`] reads anywhere in a file, [`inspect()`] tells what is in it, [`devices`] lists the Vulkan
//! devices.
//!
//! # What is guaranteed
//!
//! - The bytes that compression yields depend on the content and the options for the format alone: never on the
//!   device, the processor, the number of threads or timing.
//! - Input is not trusted: whatever the bytes, decompression yields the right content or an error, within the
//!   memory limit. Set an [output limit](Options::output_limit) for input from strangers.
//! - An explicitly chosen device that cannot be used is an error. One that fails on the way is not: the CPU codes
//!   its blocks again, which [`Progress::retried_blocks`] counts.
//!
//! # How it works
//!
//! The path of a block is the list of modules: the adapters in `stream` cut the content into blocks; the
//! `engine` sends them to the workers of `sched` or to the device, bounds what is in flight, and restores the
//! order; [`model`] finds repetition and makes streams of a block; [`coder`] codes those on the CPU, `vk` runs the
//! kernels of [`kernel`] on a device; [`format`](mod@format) lays the results out as `docs/FORMAT.md` specifies.
#![deny(unsafe_code)]

mod block;
mod bulk;
pub mod coder;
mod device;
mod engine;
mod error;
pub mod format;
mod host_buffer;
mod inspect;
pub mod kernel;
pub mod model;
mod oneshot;
mod options;
mod pipeline;
mod restore;
mod sched;
mod seek;
mod stream;
mod telemetry;
mod vk;
mod walk;

pub use device::{DeviceInfo, DeviceKind, DeviceSelector, PciAddress, SubgroupSizes};
pub use engine::release_idle;
pub use error::{BlockFault, DeviceError, Error, FrameFault, Result};
pub use host_buffer::HostBuffer;
pub use inspect::{ContentInfo, FrameInfo, FrameKind, inspect};
pub use oneshot::{compress, decompress};
pub use options::{Assignment, CancelToken, Options, Progress, SegmentProfile, Simd};
pub use pipeline::Pipeline;
pub use seek::SeekableReader;
pub use stream::{Compressor, Decompressor};
pub use telemetry::{
    SchedulerStats, SideStats, StageStats, Telemetry, collect_process_stats, process_stats,
};
pub use vk::devices;

/// What the tests, benchmarks and instruction counts of this repository need. No part of the public interface: anything
/// in it may change or go.
#[doc(hidden)]
pub mod testing {
    pub use crate::{
        engine::testing::*,
        sched::spawn_and_retire,
        telemetry::{begin_nothing, record_nothing},
        vk::testing::*,
    };
}

/// The README's examples, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
