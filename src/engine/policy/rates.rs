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
/// A thread is put aside now and then. So what a worker took counts for this many times what was expected at most, or for as much as this many
/// nanoseconds a byte. What becomes much slower for good is so known after some thirty tasks instead of one.
const MOST_TIMES: f64 = 4.0;
const MOST_NS: f64 = 1.0;
/// Below this weight a device's measurements are forgotten: one that several runs left alone, because it was slow once, is
/// probed again.
const FORGOTTEN: f64 = 0.01;
/// The same for what workers do for devices: two runs without.
const REMEMBERED: f64 = 0.5;
/// Weight of the assumption that half of what a batch costs is not for its bytes, until batches of several sizes say
/// otherwise.
const RIDGE: f64 = 0.01;

/// Of sizes that hardly differ: their variance over their mean's square.
const SPREAD: f64 = 0.02;

/// Time per raw byte.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct Rate {
    ns: f64,
    bytes: f64,
    /// How many measurements it stands for.
    weight: f64,
}

impl Rate {
    pub fn learn(&mut self, bytes: u64, ns: u64) {
        self.ns = self.ns * CPU_DECAY + ns as f64;
        self.bytes = self.bytes * CPU_DECAY + bytes as f64;
        self.weight = self.weight * CPU_DECAY + 1.0;
    }

    /// What a worker took, within reason.
    pub fn learn_task(&mut self, bytes: u64, ns: u64) {
        let most = self.ns(bytes).map(|ns| (MOST_TIMES * ns).max(MOST_NS * bytes as f64));
        self.learn(bytes, most.map_or(ns, |most| ns.min(most as u64)));
    }

    /// Nanoseconds that so many bytes take; `None` if nothing has been measured.
    pub fn ns(&self, bytes: u64) -> Option<f64> {
        (self.bytes > 0.0).then(|| self.ns / self.bytes * bytes as f64)
    }

    /// How many measurements it stands for.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    fn aged(self) -> Self {
        let Self { ns, bytes, weight } = self;
        let [ns, bytes, weight] = [ns, bytes, weight].map(|sum| sum * PRIOR_WEIGHT);
        Self { ns, bytes, weight }
    }
}

/// What the CPU needs, by [`Kind`](super::Kind). What earlier runs measured; `Default` is nothing.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct CpuPrior {
    pub(super) rates: [Rate; super::KINDS],
}

impl CpuPrior {
    /// As if blocks had taken so many nanoseconds for a byte, for so long that what a short run measures changes
    /// little; for tests.
    pub fn assumed(ns_per_byte: f64) -> Self {
        const BYTES: f64 = 1e12;
        let mut prior = Self::default();
        for kind in [super::WHOLE, super::MODEL, super::ENTROPY] {
            prior.rates[kind.index()] = Rate { ns: ns_per_byte * BYTES, bytes: BYTES, weight: 1.0 };
        }
        prior
    }

    /// The same, but nothing is known of what workers do for devices.
    pub(super) fn without_copies(mut self) -> Self {
        for kind in [super::BEHIND, super::LOAD] {
            self.rates[kind.index()] = Rate::default();
        }
        self
    }

    /// As if all that workers do for devices had taken so many times as long; for tests.
    #[cfg(test)]
    pub fn slow_down(&mut self, times: f64) {
        for kind in [super::BEHIND, super::LOAD] {
            self.rates[kind.index()].ns *= times;
        }
    }

    /// As the beginning of another run's measurements. What is only measured where a device works is forgotten when it has not for some
    /// runs: else a device might never work again, because copies were slow once.
    pub(super) fn aged(self) -> Self {
        let mut rates = self.rates.map(Rate::aged);
        for kind in [super::BEHIND, super::LOAD] {
            let rate = &mut rates[kind.index()];
            if rate.weight < REMEMBERED {
                *rate = Rate::default();
            }
        }
        Self { rates }
    }
}

/// What a device needs for a batch. What earlier runs measured; `Default` is nothing.
///
/// A batch that came back to back with its predecessor took, since that one's arrival, what it occupies the device:
/// `per_batch + bytes * ns_per_byte`. One that found the device idle took that since its start, and the latency, which
/// batches in a pipeline share.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct DevicePrior {
    alone: Fit,
    pipelined: Fit,
}

/// [`DevicePrior`] solved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    pub latency: f64,
    pub per_batch: f64,
    pub ns_per_byte: f64,
}

impl Service {
    /// How long a batch occupies the device.
    pub fn time(&self, bytes: u64) -> f64 {
        self.per_batch + bytes as f64 * self.ns_per_byte
    }

    /// How long a batch takes that finds the device idle.
    pub fn alone(&self, bytes: u64) -> f64 {
        self.latency + self.time(bytes)
    }
}

impl DevicePrior {
    pub fn learn(&mut self, alone: bool, bytes: u64, ns: u64) {
        let fit = if alone { &mut self.alone } else { &mut self.pipelined };
        fit.learn(bytes as f64, ns as f64);
    }

    /// How many measurements it stands for, older ones counting less.
    pub(super) fn weight(&self) -> f64 {
        self.alone.weight + self.pipelined.weight
    }

    /// `None` if nothing has been measured.
    pub(crate) fn service(&self) -> Option<Service> {
        let (fit, latency) = match (self.pipelined.solve(), self.alone.solve()) {
            (Some(fit), Some(_)) => (fit, self.alone.excess(fit)),
            (Some(fit), None) | (None, Some(fit)) => (fit, 0.0),
            (None, None) => return None,
        };
        Some(Service { latency, per_batch: fit.0, ns_per_byte: fit.1 })
    }

    /// What a byte takes beside its batch; `None` as long as batches of different sizes have not told them apart.
    pub(super) fn ns_per_byte(&self) -> Option<f64> {
        let fits = [self.pipelined, self.alone];
        let (fit, (_, slope)) = fits.iter().find_map(|fit| Some((fit, fit.solve()?)))?;
        fit.has_sizes().then_some(slope)
    }

    /// As the beginning of another run's measurements.
    pub(super) fn aged(self) -> Self {
        self.scaled(PRIOR_WEIGHT)
    }

    /// The same with less weight.
    pub(super) fn scaled(self, by: f64) -> Self {
        Self { alone: self.alone.scaled(by), pipelined: self.pipelined.scaled(by) }
    }
}

/// A least-squares fit of a line, with exponential forgetting: sums over `(bytes, ns)`.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
struct Fit {
    weight: f64,
    bytes: f64,
    bytes2: f64,
    ns: f64,
    bytes_ns: f64,
}

impl Fit {
    fn learn(&mut self, bytes: f64, ns: f64) {
        let Self { weight, bytes: b, bytes2, ns: n, bytes_ns } = self.scaled(DEVICE_DECAY);
        *self = Self {
            weight: weight + 1.0,
            bytes: b + bytes,
            bytes2: bytes2 + bytes * bytes,
            ns: n + ns,
            bytes_ns: bytes_ns + bytes * ns,
        };
    }

    fn scaled(&self, by: f64) -> Self {
        Self {
            weight: self.weight * by,
            bytes: self.bytes * by,
            bytes2: self.bytes2 * by,
            ns: self.ns * by,
            bytes_ns: self.bytes_ns * by,
        }
    }

    /// The constant and the slope, neither negative. As long as all batches are of one size either has half: the
    /// constant is pulled to half of the mean a little (ridge regression).
    fn solve(&self) -> Option<(f64, f64)> {
        if self.weight < FORGOTTEN || self.bytes2 <= 0.0 {
            return None;
        }
        let determinant = self.weight * (1.0 + RIDGE) * self.bytes2 - self.bytes * self.bytes;
        let ns = self.ns * (1.0 + 0.5 * RIDGE);
        let constant = (ns * self.bytes2 - self.bytes * self.bytes_ns) / determinant;
        let constant = constant.clamp(0.0, self.bytes_ns / self.bytes);
        Some((constant, (self.bytes_ns - constant * self.bytes) / self.bytes2))
    }

    /// Whether sizes differ: their variance is more than a small part of their mean's square.
    fn has_sizes(&self) -> bool {
        self.weight * self.bytes2 > (1.0 + SPREAD) * self.bytes * self.bytes
    }

    /// By how much the mean lies above another line; not negative.
    fn excess(&self, (constant, slope): (f64, f64)) -> f64 {
        ((self.ns - slope * self.bytes) / self.weight - constant).max(0.0)
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
    fn a_thread_that_is_put_aside_once_changes_little() {
        let mut rate = Rate::default();
        (0..64).for_each(|_| rate.learn_task(1 << 18, 40_000));
        rate.learn_task(1 << 18, 4_000_000);
        assert!(rate.ns(1 << 18).unwrap() < 60_000.0, "{rate:?}");
        let mut lasting = rate;
        (0..64).for_each(|_| lasting.learn_task(1 << 18, 40_000_000));
        assert!(lasting.ns(1 << 18).unwrap() > 35_000_000.0, "a change is followed: {lasting:?}");
        let mut free = Rate::default();
        free.learn_task(1 << 18, 0);
        (0..64).for_each(|_| free.learn_task(1 << 18, 40_000));
        assert!(
            free.ns(1 << 18).unwrap() > 35_000.0,
            "what cost nothing can cost something: {free:?}"
        );
    }

    #[test]
    fn latency_cost_of_a_batch_and_rate_are_told_apart() {
        let mut device = DevicePrior::default();
        assert!(device.service().is_none());
        device.learn(true, 1000, 50_000 + 3000 + 1000);
        let first = device.service().unwrap();
        assert!((first.per_batch / 27_000.0 - 1.0).abs() < 0.01, "one batch: {first:?}");
        for bytes in [1000, 20_000, 4000, 1000, 10_000] {
            device.learn(false, bytes, 3000 + bytes);
            device.learn(true, 1000, 50_000 + 3000 + 1000);
        }
        let service = device.service().unwrap();
        for (found, real) in
            [(service.latency, 50_000.0), (service.per_batch, 3000.0), (service.ns_per_byte, 1.0)]
        {
            assert!((found / real - 1.0).abs() < 0.05, "{service:?}");
        }
    }

    #[test]
    fn what_workers_did_for_devices_is_forgotten_when_these_do_nothing() {
        let mut prior = CpuPrior::default();
        for rate in &mut prior.rates {
            (0..100).for_each(|_| rate.learn(1 << 18, 50_000));
        }
        let runs = std::iter::successors(Some(prior), |prior| Some(prior.aged()));
        let known = |kind: super::super::Kind| {
            let known = |prior: &CpuPrior| prior.rates[kind.index()].ns(1).is_some();
            runs.clone().take(10).filter(known).count()
        };
        assert_eq!([known(super::super::BEHIND), known(super::super::LOAD)], [3; 2]);
        assert_eq!(known(super::super::WHOLE), 10);
    }

    #[test]
    fn a_device_that_nobody_has_used_for_long_is_unknown_again() {
        let mut device = DevicePrior::default();
        (0..100).for_each(|_| device.learn(true, 1000, 5000));
        let runs = std::iter::successors(Some(device), |device| Some(device.aged()));
        let known = runs.take_while(|device| device.service().is_some()).take(100).count();
        assert!((3..10).contains(&known), "{known} runs");
    }

    #[test]
    fn no_measurement_makes_a_negative_estimate() {
        for (small, large) in [(1000, 10), (10, 1000), (0, 0), (1, u64::MAX >> 8)] {
            let mut device = DevicePrior::default();
            for (alone, bytes, ns) in [(true, 1000, small), (true, 1001, large), (false, 999, 0)] {
                device.learn(alone, bytes, ns);
                let service = device.service().unwrap();
                let Service { latency, per_batch, ns_per_byte } = service;
                for found in [latency, per_batch, ns_per_byte] {
                    assert!(found >= 0.0 && found.is_finite(), "{service:?}");
                }
            }
        }
    }
}
