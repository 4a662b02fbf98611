//! The Vulkan layer: the only place that names `ash`.
//!
//! `instance` loads Vulkan, `select` lists and chooses devices, `device` opens one, `quirks` knows what is wrong
//! with it. `memory`, `pipeline`, `encoder`, `submit` and `timing` execute recordings; `accel` moves batches of
//! blocks through them; `parking` keeps devices open from run to run. Everything owns what it creates and destroys it
//! when dropped; what it was created from is kept alive by an `Arc`.
#![allow(unsafe_code)]

mod accel;
mod clock;
mod commands;
mod device;
mod doorbell;
mod encoder;
mod import;
mod inspect;
mod instance;
mod memory;
mod parking;
mod pipeline;
mod probe;
mod quirks;
mod select;
mod span;
mod submit;
pub mod testing;
mod timing;
mod transfer;
mod window;

use std::sync::Arc;

use ash::vk;

pub(crate) use self::accel::VulkanAccelerator;
pub(crate) use self::parking::release_devices;
pub(crate) use self::{device::Device, import::Imports};
use self::{device::OpenOptions, instance::Instance};
use crate::{
    device::{DeviceInfo, DeviceSelector},
    error::DeviceError,
};

/// The Vulkan devices of this machine, in the order of their indices.
///
/// # Errors
/// [`DeviceError::NoLoader`] where no Vulkan is installed, [`DeviceError::NoDriver`] where it has no driver. A
/// driver without a device gives an empty list.
pub fn devices() -> Result<Vec<DeviceInfo>, DeviceError> {
    let Some(instance) = Instance::new(false)? else { return Ok(Vec::new()) };
    Ok(probe::enumerate(&instance)?.into_iter().map(|found| found.info).collect())
}

/// Opens the device that the selector means, for coding blocks, or takes one up that was [parked](parking). Staging takes
/// at most `budget` bytes of host memory, or what one block of 1 MiB needs if that is more:
/// [`staging_bytes`](crate::engine::accel::Accelerator::staging_bytes) tells. [`DeviceSelector::Auto`] is the best
/// hardware device.
///
/// # Errors
/// The device does not exist, is ambiguous, lacks something, or has no memory left.
pub(crate) fn open(
    selector: &DeviceSelector,
    budget: u64,
) -> Result<VulkanAccelerator, DeviceError> {
    let options = OpenOptions::from_env()?;
    let key = parking::Key { selector: selector.clone(), options };
    if !instance::validation_wanted()
        && let Some(mut parked) = parking::take_up(&key)
        && parked.unpark(budget)
    {
        return Ok(parked);
    }
    let device = open_device(selector, options)?;
    Ok(VulkanAccelerator::new(device, budget)?.opened_by(key))
}

/// Opens the device that the selector means.
fn open_device(
    selector: &DeviceSelector,
    options: OpenOptions,
) -> Result<Arc<Device>, DeviceError> {
    let Some(instance) = Instance::new(options.instrumented)? else {
        return Err(select::not_found(selector, &[]));
    };
    let mut found = probe::enumerate(&instance)?;
    let infos: Vec<DeviceInfo> = found.iter().map(|found| found.info.clone()).collect();
    let index = select::resolve(selector, &infos)?;
    Device::open(instance, found.swap_remove(index), options)
}

/// Names the Vulkan function in an error.
trait Named<T> {
    fn named(self, call: &'static str) -> Result<T, DeviceError>;
}

impl<T> Named<T> for Result<T, vk::Result> {
    fn named(self, call: &'static str) -> Result<T, DeviceError> {
        self.map_err(|result| match result {
            vk::Result::ERROR_DEVICE_LOST => DeviceError::Lost,
            vk::Result::ERROR_INCOMPATIBLE_DRIVER => DeviceError::NoDriver,
            _ => DeviceError::Vulkan { call, result: format!("{result:?}") },
        })
    }
}
