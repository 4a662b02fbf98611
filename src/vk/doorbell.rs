//! Wakes the thread that waits for the device.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire},
        },
    },
    time::Duration,
};

use ash::vk;

use super::{Named, device::Device, submit::create_timeline};
use crate::error::DeviceError;

/// The waiting thread is not in a wait and nobody has rung.
const AWAKE: u8 = 0;
/// It is in a wait, or about to be: whoever rings signals the semaphore.
const WAITING: u8 = 1;
/// Somebody has rung; the next wait returns at once.
const RUNG: u8 = 2;

/// A timeline semaphore that the host signals, for one thread that waits for it and for other timelines in one call.
/// Ringing costs an atomic operation unless that thread sleeps.
pub(crate) struct Doorbell {
    semaphore: vk::Semaphore,
    state: AtomicU8,
    /// The semaphore's value.
    rings: Mutex<u64>,
    device: Arc<Device>,
}

/// A timeline and the value that it is to reach.
pub(crate) type Target = (vk::Semaphore, u64);

impl Doorbell {
    pub fn new(device: &Arc<Device>) -> Result<Self, DeviceError> {
        Ok(Self {
            semaphore: create_timeline(device)?,
            state: AtomicU8::new(AWAKE),
            rings: Mutex::new(0),
            device: Arc::clone(device),
        })
    }

    /// Ends the wait, or else the next one. What happened before is visible behind that.
    pub fn ring(&self) {
        if self.state.swap(RUNG, AcqRel) != WAITING {
            return;
        }
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let signal = vk::SemaphoreSignalInfo::default().semaphore(self.semaphore).value(*rings + 1);
        // SAFETY: the semaphore is a timeline of the device, with the value `rings`, which only this function changes,
        // one thread at a time.
        match unsafe { self.device.raw.signal_semaphore(&signal) } {
            Ok(()) => *rings += 1,
            // Nobody sleeps on a lost device.
            Err(error) => log::debug!("vkSignalSemaphore: {error}"),
        }
    }

    /// Returns when it has rung since the last wait, when a timeline has reached its value, or after the time.
    pub fn wait(&self, targets: &[Target], most: Option<Duration>) -> Result<(), DeviceError> {
        // Read first: a ring that comes between this and the wait ends it. One that was meant for the wait before ends
        // it too, for nothing.
        let rings = *self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match self.state.compare_exchange(AWAKE, WAITING, AcqRel, Acquire) {
            Ok(_) => self.sleep(&[&[(self.semaphore, rings + 1)], targets].concat(), most),
            Err(_) => Ok(()),
        };
        self.state.swap(AWAKE, AcqRel);
        result
    }

    fn sleep(&self, targets: &[Target], most: Option<Duration>) -> Result<(), DeviceError> {
        let (semaphores, values): (Vec<_>, Vec<_>) = targets.iter().copied().unzip();
        let wait = vk::SemaphoreWaitInfo::default()
            .flags(vk::SemaphoreWaitFlags::ANY)
            .semaphores(&semaphores)
            .values(&values);
        let most = most.map_or(u64::MAX, |most| u64::try_from(most.as_nanos()).unwrap_or(u64::MAX));
        // SAFETY: the semaphores are timelines of the device, kept by this doorbell and by the caller.
        match unsafe { self.device.raw.wait_semaphores(&wait, most) } {
            Err(vk::Result::TIMEOUT) => return Ok(()),
            result => result.named("vkWaitSemaphores")?,
        }
        // On a lost device a wait may succeed although the work will never be done.
        for &(semaphore, value) in targets {
            if reached(&self.device, semaphore, value)? {
                return Ok(());
            }
        }
        Err(DeviceError::Lost)
    }
}

/// Whether a timeline of the device has reached a value.
pub(crate) fn reached(
    device: &Device,
    timeline: vk::Semaphore,
    value: u64,
) -> Result<bool, DeviceError> {
    // SAFETY: the semaphore is a timeline of the device.
    let now = unsafe { device.raw.get_semaphore_counter_value(timeline) };
    Ok(now.named("vkGetSemaphoreCounterValue")? >= value)
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // SAFETY: it belongs to the device, and who waits for it or signals it holds the doorbell.
        unsafe { self.device.raw.destroy_semaphore(self.semaphore, None) };
    }
}
