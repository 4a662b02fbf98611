//! The device's clock beside the host's.

use ash::{ext, khr, vk};

use super::{
    instance::{self, Instance},
    probe::Offer,
};
use crate::telemetry::clock;

/// Reads the device's clock, where the driver lets the host do that.
pub(crate) struct DeviceClock {
    functions: Functions,
}

enum Functions {
    Khr(khr::calibrated_timestamps::Device),
    Ext(ext::calibrated_timestamps::Device),
}

/// One moment on two clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Of the device's timestamps.
    pub ticks: u64,
    /// Nanoseconds of [`clock`].
    pub host: u64,
}

/// Samples to choose from, and how long one may take in nanoseconds to be good enough at once.
const SAMPLES: usize = 4;
const PROMPT: u64 = 5_000;

impl DeviceClock {
    /// `None` unless the device offers an extension for it, which must be enabled.
    pub fn new(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        device: &ash::Device,
        offer: &Offer,
    ) -> Option<Self> {
        let entry = instance::entry().ok()?;
        // SAFETY: the physical device comes from the instance, and the extension is offered.
        let (domains, functions) = unsafe {
            match offer.calibrated_timestamps? {
                Calibration::Khr => (
                    khr::calibrated_timestamps::Instance::new(entry, &instance.raw)
                        .get_physical_device_calibrateable_time_domains(physical),
                    Functions::Khr(khr::calibrated_timestamps::Device::new(&instance.raw, device)),
                ),
                Calibration::Ext => (
                    ext::calibrated_timestamps::Instance::new(entry, &instance.raw)
                        .get_physical_device_calibrateable_time_domains(physical),
                    Functions::Ext(ext::calibrated_timestamps::Device::new(&instance.raw, device)),
                ),
            }
        };
        domains.ok()?.contains(&vk::TimeDomainKHR::DEVICE).then_some(Self { functions })
    }

    /// What both clocks say now; `None` if the driver refuses. The device's is read between two readings of the host's,
    /// and taken to be in the middle: that is right to half their distance, a few microseconds.
    pub fn now(&self) -> Option<Moment> {
        let device =
            [vk::CalibratedTimestampInfoKHR::default().time_domain(vk::TimeDomainKHR::DEVICE)];
        let mut best: Option<(u64, Moment)> = None;
        for _ in 0..SAMPLES {
            let before = clock();
            // SAFETY: the device has this clock.
            let ticks = unsafe {
                match &self.functions {
                    Functions::Khr(functions) => functions.get_calibrated_timestamps(&device),
                    Functions::Ext(functions) => functions.get_calibrated_timestamps(&device),
                }
            };
            let took = clock() - before;
            let ticks = ticks.ok()?.0[0];
            if best.is_none_or(|(least, _)| took < least) {
                best = Some((took, Moment { ticks, host: before + took / 2 }));
            }
            if took < PROMPT {
                break;
            }
        }
        best.map(|(_, moment)| moment)
    }
}

/// The extension that reads the device's clock: both are the same under two names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Calibration {
    Khr,
    Ext,
}
