//! Devices between runs: open, with their pipelines and their staging memory, for the next run that asks for the same.
//! Opening one takes some tenths of a second, and compiling its pipelines and touching its memory as much again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{accel::VulkanAccelerator, device::OpenOptions};
use crate::device::DeviceSelector;

/// Devices that are kept; beyond, the one that was parked first is closed.
const MOST: usize = 4;

/// What a device was opened by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Key {
    pub selector: DeviceSelector,
    pub options: OpenOptions,
}

/// At most one for a key, in the order of their parking.
static PARKED: Mutex<Vec<(Key, VulkanAccelerator)>> = Mutex::new(Vec::new());

fn parked() -> MutexGuard<'static, Vec<(Key, VulkanAccelerator)>> {
    PARKED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device that was opened by the same, if it is there.
pub(super) fn take(key: &Key) -> Option<VulkanAccelerator> {
    let mut parked = parked();
    let place = parked.iter().position(|(of, _)| of == key)?;
    Some(parked.remove(place).1)
}

/// Keeps a device, which is idle.
pub(super) fn add(key: Key, device: VulkanAccelerator) {
    log::debug!("{} stays open for the next run", device.device().info.name);
    let mut parked = parked();
    let same = parked.iter().position(|(of, _)| *of == key);
    let oldest = (parked.len() == MOST).then_some(0);
    let replaced = same.or(oldest).map(|place| parked.remove(place));
    parked.push((key, device));
    drop(parked);
    drop(replaced); // It takes a while: the others need not wait.
}

/// How many devices are kept.
pub(super) fn count() -> usize {
    parked().len()
}

/// Closes the devices that are kept.
pub(crate) fn release_devices() {
    let all = std::mem::take(&mut *parked());
    drop(all);
}
