//! Wakes the thread that waits for the device.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::AcqRel, Ordering::Acquire},
    },
    time::Duration,
};

use ash::vk;

use super::{Named, device::Device, submit::create_timeline};
use crate::error::DeviceError;

/// The waiting thread is not in a wait and nobody has rung.
const AWAKE: u8 = 0;
/// Somebody has rung: the next wait returns at once.
const RUNG: u8 = 1;
/// The thread waits for the device, or is about to: whoever rings signals the semaphore.
const WAITS_FOR_DEVICE: u8 = 2;
/// The device has nothing to do, and the thread waits for a ring alone.
const WAITS: u8 = 3;

/// One thread waits for it and for timelines of the device in one call; any thread rings. That costs an atomic operation
/// unless the thread waits.
pub(crate) struct Doorbell {
    state: AtomicU8,
    rung: Condvar,
    /// A timeline that the host signals, and its value.
    semaphore: vk::Semaphore,
    value: Mutex<u64>,
    device: Arc<Device>,
}

/// A timeline and the value that it is to reach.
pub(crate) type Target = (vk::Semaphore, u64);

impl Doorbell {
    pub fn new(device: &Arc<Device>) -> Result<Self, DeviceError> {
        Ok(Self {
            state: AtomicU8::new(AWAKE),
            rung: Condvar::new(),
            semaphore: create_timeline(device)?,
            value: Mutex::new(0),
            device: Arc::clone(device),
        })
    }

    /// Ends the wait, or else the next one. What happened before is visible behind that.
    pub fn ring(&self) {
        match self.state.swap(RUNG, AcqRel) {
            WAITS => {
                // Once it can be had, the thread is in the wait.
                drop(self.value());
                self.rung.notify_one();
            }
            WAITS_FOR_DEVICE => self.signal(),
            _ => {}
        }
    }

    fn signal(&self) {
        let mut value = self.value();
        *value += 1;
        let signal = vk::SemaphoreSignalInfo::default().semaphore(self.semaphore).value(*value);
        // SAFETY: the semaphore is a timeline of the device, whose value only this call raises, in one thread at a time.
        if let Err(error) = unsafe { self.device.raw.signal_semaphore(&signal) } {
            log::debug!("vkSignalSemaphore: {error}"); // On a lost device nobody waits for long.
        }
    }

    /// Returns when it has rung since the last wait, when a timeline has reached its value, or after the time.
    pub fn wait(&self, targets: &[Target], most: Option<Duration>) -> Result<(), DeviceError> {
        // Read before the exchange: a ring behind that signals a higher value. A signal that was meant for the wait
        // before may come late and end this one, for nothing.
        let value = self.value();
        let heard = *value;
        let waits = if targets.is_empty() { WAITS } else { WAITS_FOR_DEVICE };
        let result = match self.state.compare_exchange(AWAKE, waits, AcqRel, Acquire) {
            Err(_) => Ok(()),
            Ok(_) if targets.is_empty() => {
                let most = most.unwrap_or(Duration::MAX);
                let silent = |_: &mut u64| self.state.load(Acquire) == WAITS;
                drop(self.rung.wait_timeout_while(value, most, silent));
                Ok(())
            }
            Ok(_) => {
                drop(value);
                self.wait_for_device(targets, heard, most)
            }
        };
        self.state.swap(AWAKE, AcqRel);
        result
    }

    /// Two semaphores at least and never this one's counter while others may ring: the validation layer (1.3.239) stalls where a host's signal
    /// and another thread's knowledge of it overlap.
    fn wait_for_device(
        &self,
        targets: &[Target],
        heard: u64,
        most: Option<Duration>,
    ) -> Result<(), DeviceError> {
        let own = (self.semaphore, heard + 1);
        let (semaphores, values): (Vec<_>, Vec<_>) = targets.iter().copied().chain([own]).unzip();
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
        if *self.value() > heard { Ok(()) } else { Err(DeviceError::Lost) }
    }

    /// False if the device is known to be lost. Asks no queue. For between runs, and not with the validation layer (see
    /// `wait_for_device`), with which no device is kept.
    pub fn is_whole(&self) -> bool {
        reached(&self.device, self.semaphore, *self.value()).is_ok()
    }

    fn value(&self) -> MutexGuard<'_, u64> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a timeline of the device has reached a value, which is the last that it will have from what was submitted.
///
/// # Errors
/// The device is lost, which it may say in two ways.
pub(crate) fn reached(
    device: &Device,
    timeline: vk::Semaphore,
    value: u64,
) -> Result<bool, DeviceError> {
    // SAFETY: the semaphore is a timeline of the device.
    let now = unsafe { device.raw.get_semaphore_counter_value(timeline) };
    has_come_to(now.named("vkGetSemaphoreCounterValue")?, value)
}

/// On a lost device drivers are known to show `u64::MAX` and call it success (NVIDIA's: Vulkan-ValidationLayers, issue 4566).
/// What then is in the buffers would pass for results.
fn has_come_to(now: u64, last: u64) -> Result<bool, DeviceError> {
    if now > last { Err(DeviceError::Lost) } else { Ok(now == last) }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // SAFETY: it belongs to the device, and who waits for it or signals it holds the doorbell.
        unsafe { self.device.raw.destroy_semaphore(self.semaphore, None) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_beyond_its_last_value_is_that_of_a_lost_device() {
        assert!(matches!(has_come_to(6, 7), Ok(false)));
        assert!(matches!(has_come_to(7, 7), Ok(true)));
        for now in [8, u64::MAX] {
            assert!(matches!(has_come_to(now, 7), Err(DeviceError::Lost)), "{now}");
        }
    }
}
