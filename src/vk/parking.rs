//! Devices between runs: open, with their pipelines and their staging memory, for the next run that asks for the same.
//! Opening one takes some tenths of a second, and compiling its pipelines and touching its memory as much again.

use std::{
    mem::{forget, take},
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

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

/// What is parked: at most one for a key, in the order of parking.
struct Lot<T> {
    /// The process that parked it, 0 before there was one.
    process: u32,
    parked: Vec<(Key, T)>,
}

impl<T> Lot<T> {
    const EMPTY: Self = Self { process: 0, parked: Vec::new() };

    /// What this process has parked. What a child has from before it was forked it can neither use nor close, as the
    /// driver's threads are not there.
    fn of(&mut self, process: u32) -> &mut Vec<(Key, T)> {
        if self.process != process {
            forget(take(&mut self.parked));
            self.process = process;
        }
        &mut self.parked
    }
}

fn take_from<T>(parked: &mut Vec<(Key, T)>, key: &Key) -> Option<T> {
    let place = parked.iter().position(|(of, _)| of == key)?;
    Some(parked.remove(place).1)
}

/// Returns what has to make room.
fn add_to<T>(parked: &mut Vec<(Key, T)>, key: Key, one: T) -> Option<T> {
    let same = take_from(parked, &key);
    let replaced = same.or_else(|| (parked.len() == MOST).then(|| parked.remove(0).1));
    parked.push((key, one));
    replaced
}

static LOT: Mutex<Lot<VulkanAccelerator>> = Mutex::new(Lot::EMPTY);

fn lot() -> MutexGuard<'static, Lot<VulkanAccelerator>> {
    LOT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device that was opened by the same, if it is there.
pub(super) fn take_up(key: &Key) -> Option<VulkanAccelerator> {
    take_from(lot().of(process::id()), key)
}

/// Keeps a device, which is idle.
pub(super) fn add(key: Key, device: VulkanAccelerator) {
    log::debug!("{} stays open for the next run", device.device().info.name);
    let replaced = add_to(lot().of(process::id()), key, device);
    drop(replaced); // It takes a while: the others need not wait.
}

/// How many devices are kept.
pub(super) fn count() -> usize {
    lot().of(process::id()).len()
}

/// Closes the devices that are kept.
pub(crate) fn release_devices() {
    let all = take(lot().of(process::id()));
    drop(all);
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn key(index: usize) -> Key {
        Key { selector: DeviceSelector::Index(index), options: OpenOptions::default() }
    }

    #[test]
    fn the_latest_of_a_key_is_kept_and_the_oldest_of_too_many_is_not() {
        let mut parked = Vec::new();
        for number in 0..MOST {
            assert_eq!(add_to(&mut parked, key(number), number), None);
        }
        assert_eq!(add_to(&mut parked, key(0), 10), Some(0), "the same is replaced");
        assert_eq!(add_to(&mut parked, key(8), 8), Some(1), "that was the oldest");
        let forced = super::super::device::ForcedForm::Shared;
        let options = OpenOptions { form: Some(forced), ..OpenOptions::default() };
        assert_eq!(take_from(&mut parked, &Key { options, ..key(0) }), None, "other kernels");
        assert_eq!(
            [0, 0, 1, 8].map(|number| take_from(&mut parked, &key(number))),
            [Some(10), None, None, Some(8)]
        );
        assert_eq!(parked.len(), MOST - 2);
    }

    #[test]
    fn a_forked_process_neither_uses_nor_closes_what_its_parent_parked() {
        let device = Rc::new(());
        let mut lot = Lot::EMPTY;
        add_to(lot.of(7), key(0), Rc::clone(&device));
        assert_eq!(lot.of(7).len(), 1);
        assert_eq!(take_from(lot.of(8), &key(0)), None, "another process");
        assert_eq!(Rc::strong_count(&device), 2, "it was not dropped");
        add_to(lot.of(8), key(0), Rc::clone(&device));
        assert!(take_from(lot.of(8), &key(0)).is_some());
    }
}
