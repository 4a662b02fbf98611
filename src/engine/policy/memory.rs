//! What the runs of this process have measured, so that the next one begins with it: a run of few blocks is over before
//! it has learnt anything.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use super::{CpuPrior, DevicePrior};
use crate::Pipeline;

/// More entries than any program needs; beyond, all are forgotten.
const MOST: usize = 1024;

/// What service rates depend on, beside who serves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Workload {
    pub pipeline: Pipeline,
    /// The level at which blocks are encoded; `None` if they are decoded.
    pub level: Option<u8>,
}

/// A device's: its name may be that of another as well.
type Uuid = [u8; 16];

#[derive(Default)]
struct Known {
    cpu: HashMap<Workload, CpuPrior>,
    devices: HashMap<(Uuid, Workload), DevicePrior>,
}

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of devices and of the CPU, in that order.
pub(crate) fn recall(workload: Workload, devices: &[Uuid]) -> (Vec<DevicePrior>, CpuPrior) {
    let known = known();
    let device = |uuid: &Uuid| known.devices.get(&(*uuid, workload)).copied();
    let devices = devices.iter().map(|uuid| device(uuid).unwrap_or_default()).collect();
    (devices, known.cpu.get(&workload).copied().unwrap_or_default())
}

/// Keeps what a run has measured: [`Policy::priors`](super::Policy::priors).
pub(crate) fn remember(workload: Workload, devices: &[Uuid], priors: (Vec<DevicePrior>, CpuPrior)) {
    let mut known = known();
    if known.devices.len() + known.cpu.len() >= MOST {
        *known = Known::default();
    }
    for (number, (uuid, prior)) in devices.iter().zip(priors.0).enumerate() {
        // One device may take part twice, and only once have had anything to do.
        if prior != DevicePrior::default() || !devices[..number].contains(uuid) {
            known.devices.insert((*uuid, workload), prior);
        }
    }
    if priors.1 != CpuPrior::default() {
        known.cpu.insert(workload, priors.1);
    }
}

/// Forgets everything.
pub(crate) fn forget() {
    *known() = Known::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_run_begins_with_what_was_measured_of_the_same_workload_and_device() {
        let workload = Workload { pipeline: Pipeline::Fse, level: Some(250) };
        let mut measured = DevicePrior::default();
        measured.learn(true, 1000, 5000);
        let [one, two, three] = [1, 2, 3].map(|number| [number; 16]);
        remember(workload, &[one, two], (vec![measured; 2], CpuPrior::default()));
        let twice = (vec![measured, DevicePrior::default()], CpuPrior::default());
        remember(workload, &[two; 2], twice);
        assert_eq!(recall(workload, &[two, three]).0, [measured, DevicePrior::default()]);
        let other = Workload { level: None, ..workload };
        assert_eq!(recall(other, &[two]).0, [DevicePrior::default()]);
    }
}
