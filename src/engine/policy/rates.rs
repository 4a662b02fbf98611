//! What was measured: how fast CPU workers and devices are.
//!
//! Every estimate is a quotient of sums in which older measurements count less, so that it follows content and machine
//! as they change, and the first measurement is believed at once.

/// What a CPU measurement keeps of its weight when the next one comes: the last sixteen or so count.
const CPU_DECAY: f64 = 15.0 / 16.0;
/// The same for batches of a device, of which there are fewer.
const DEVICE_DECAY: f64 = 0.75;
/// The share of its weight with which an earlier run's estimate enters a run: a few own measurements outweigh it.
const PRIOR_WEIGHT: f64 = 0.25;
/// Weight of the assumption that a device has no latency, until batches of several sizes tell it from the rate.
const NO_LATENCY: f64 = 0.01;

/// Time per raw byte.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct Rate {
    ns: f64,
    bytes: f64,
}

impl Rate {
    pub fn learn(&mut self, bytes: u64, ns: u64) {
        self.ns = self.ns * CPU_DECAY + ns as f64;
        self.bytes = self.bytes * CPU_DECAY + bytes as f64;
    }

    /// Nanoseconds that so many bytes take; `None` if nothing has been measured.
    pub fn ns(&self, bytes: u64) -> Option<f64> {
        (self.bytes > 0.0).then(|| self.ns / self.bytes * bytes as f64)
    }

    fn aged(self) -> Self {
        Self { ns: self.ns * PRIOR_WEIGHT, bytes: self.bytes * PRIOR_WEIGHT }
    }
}

/// What the CPU needs, by [`Kind`](super::Kind). What earlier runs measured; `Default` is nothing.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct CpuPrior {
    pub(super) rates: [Rate; super::KINDS],
}

impl CpuPrior {
    /// As the beginning of another run's measurements.
    pub(super) fn aged(self) -> Self {
        Self { rates: self.rates.map(Rate::aged) }
    }
}

/// What a device needs for a batch: a latency, which batches in its pipeline share, and time per raw byte. What
/// earlier runs measured; `Default` is nothing.
///
/// The two are a least-squares fit (recursive, with exponential forgetting) of `time = alone * latency + bytes * rate`,
/// where `alone` is 1 for a batch that found the device idle, timed from its start, and 0 for one that came back to
/// back with its predecessor, timed from that one's arrival. Larger batches weigh more, so a cost per batch is spread
/// over the sizes that the device really gets.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct DevicePrior {
    alone: f64,
    alone_bytes: f64,
    bytes2: f64,
    alone_ns: f64,
    bytes_ns: f64,
}

/// [`DevicePrior`] solved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    pub latency: f64,
    pub ns_per_byte: f64,
}

impl DevicePrior {
    pub fn learn(&mut self, alone: bool, bytes: u64, ns: u64) {
        let (alone, bytes, ns) = (f64::from(u8::from(alone)), bytes as f64, ns as f64);
        for (sum, new) in [
            (&mut self.alone, alone),
            (&mut self.alone_bytes, alone * bytes),
            (&mut self.bytes2, bytes * bytes),
            (&mut self.alone_ns, alone * ns),
            (&mut self.bytes_ns, bytes * ns),
        ] {
            *sum = *sum * DEVICE_DECAY + new;
        }
    }

    /// `None` if nothing has been measured.
    pub(super) fn service(&self) -> Option<Service> {
        if self.bytes2 <= 0.0 {
            return None;
        }
        let alone = self.alone * (1.0 + NO_LATENCY);
        let determinant = alone * self.bytes2 - self.alone_bytes * self.alone_bytes;
        let latency = if determinant > 0.0 {
            (self.alone_ns * self.bytes2 - self.alone_bytes * self.bytes_ns) / determinant
        } else {
            0.0
        };
        // Neither is negative: noise in batches of nearly equal size would have it so.
        let most = if self.alone_bytes > 0.0 { self.bytes_ns / self.alone_bytes } else { 0.0 };
        let latency = latency.clamp(0.0, most);
        let ns_per_byte = (self.bytes_ns - latency * self.alone_bytes) / self.bytes2;
        Some(Service { latency, ns_per_byte })
    }

    /// As the beginning of another run's measurements.
    pub(super) fn aged(self) -> Self {
        let Self { alone, alone_bytes, bytes2, alone_ns, bytes_ns } = self;
        Self {
            alone: alone * PRIOR_WEIGHT,
            alone_bytes: alone_bytes * PRIOR_WEIGHT,
            bytes2: bytes2 * PRIOR_WEIGHT,
            alone_ns: alone_ns * PRIOR_WEIGHT,
            bytes_ns: bytes_ns * PRIOR_WEIGHT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_believed_at_once_and_follows_a_change() {
        let mut rate = Rate::default();
        assert_eq!(rate.ns(1000), None);
        rate.learn(1000, 5000);
        assert_eq!(rate.ns(2000), Some(10_000.0));
        (0..64).for_each(|_| rate.learn(1000, 1000));
        assert!((rate.ns(1000).unwrap() / 1000.0 - 1.0).abs() < 0.1);
    }

    #[test]
    fn latency_and_rate_are_told_apart_by_batches_of_two_sizes_or_in_a_pipeline() {
        for second in [(true, 8000, 50_000 + 8000), (false, 1000, 1000)] {
            let mut device = DevicePrior::default();
            assert!(device.service().is_none());
            device.learn(true, 1000, 50_000 + 1000);
            let first = device.service().unwrap();
            assert!(first.latency < 1.0, "one batch says nothing of latency: {first:?}");
            (0..8).for_each(|_| {
                device.learn(second.0, second.1, second.2);
                device.learn(true, 1000, 50_000 + 1000);
            });
            let both = device.service().unwrap();
            assert!((both.latency / 50_000.0 - 1.0).abs() < 0.1, "{both:?}");
            assert!((both.ns_per_byte - 1.0).abs() < 0.7, "{both:?}");
        }
    }

    #[test]
    fn no_measurement_makes_a_negative_estimate() {
        for (small, large) in [(1000, 10), (10, 1000), (0, 0), (1, u64::MAX >> 8)] {
            let mut device = DevicePrior::default();
            for (alone, bytes, ns) in [(true, 1000, small), (true, 1001, large), (false, 999, 0)] {
                device.learn(alone, bytes, ns);
                let service = device.service().unwrap();
                assert!(service.latency >= 0.0 && service.ns_per_byte >= 0.0, "{service:?}");
                assert!(service.latency.is_finite() && service.ns_per_byte.is_finite());
            }
        }
    }
}
