//! Who codes the blocks: the first form. An explicit choice is obeyed; `Auto` adds a device to large content.

use crate::{
    DeviceSelector, Options,
    engine::accel::Accelerator,
    error::{DeviceError, Result},
    vk,
};

/// Content below this size does not repay starting a device, which takes some tenths of a second.
pub(super) const LARGE: u64 = 1 << 30;

/// Where blocks go.
pub(crate) enum Route {
    /// CPU workers only.
    Cpu,
    /// CPU workers, and a device beside them once the content is large.
    Auto,
    /// The device only.
    Device(Box<dyn Accelerator>),
}

impl Route {
    /// What the options and the environment say. An explicit device is opened.
    ///
    /// # Errors
    /// The environment's choice cannot be parsed, or the device cannot be opened.
    pub fn choose(options: &Options) -> Result<Self> {
        let selector = match &options.device {
            Some(selector) => selector.clone(),
            None => DeviceSelector::from_env()?.unwrap_or_default(),
        };
        Ok(match selector {
            DeviceSelector::Cpu => Self::Cpu,
            DeviceSelector::Auto => Self::Auto,
            // Half of the memory for staging: a block in flight needs its buffers on this side as well.
            explicit => Self::Device(open(&explicit, options.memory_limit / 2)?),
        })
    }
}

/// The device that `Auto` may use: hardware, never a software implementation. Its staging takes at most `budget`
/// bytes.
pub(super) fn open_hardware(budget: u64) -> Option<Box<dyn Accelerator>> {
    open(&DeviceSelector::Auto, budget)
        .inspect_err(|error| log::debug!("no device beside the CPU: {error}"))
        .ok()
}

fn open(selector: &DeviceSelector, budget: u64) -> Result<Box<dyn Accelerator>, DeviceError> {
    Ok(Box::new(vk::open(selector, budget)?))
}
