//! Pressure: what sending to a device's channel tells of it, faster than any measured time.
//!
//! A full channel adds 2, a disconnected one 1, an accepted block takes 1 away. Above the threshold `Auto` leaves the
//! device alone. Nothing is sent then, so nothing would ever bring the score down: it decays with time as well.
//! The score saturates at twice the threshold and halves within a service time (of a batch of the device or of a
//! block on the CPU, whichever takes longer), so however long the burst was, blocks return after one service time,
//! when the device has had time to take a batch from its channel. If that was too soon, each further refusal adds 2 at
//! once.

/// Of one device's channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pressure {
    score: f64,
    at: u64,
    threshold: f64,
}

impl Pressure {
    pub fn new(workers: usize) -> Self {
        Self { score: 0.0, at: 0, threshold: workers.saturating_mul(2).max(4) as f64 }
    }

    /// Adds to the score, which halves in `half_life` nanoseconds.
    pub fn add(&mut self, now: u64, half_life: f64, change: f64) {
        let most = 2.0 * self.threshold;
        self.score = (self.score(now, half_life) + change).clamp(0.0, most);
        self.at = self.at.max(now);
    }

    /// Whether the device is to be left alone.
    pub fn is_high(&self, now: u64, half_life: f64) -> bool {
        self.score > self.threshold && self.score(now, half_life) > self.threshold
    }

    fn score(&self, now: u64, half_life: f64) -> f64 {
        if self.score == 0.0 {
            return 0.0;
        }
        let age = now.saturating_sub(self.at) as f64;
        self.score * (-age / half_life.max(1.0)).exp2()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_raise_it_and_one_service_time_lowers_it() {
        for (workers, refusals) in [(1, 3), (2, 3), (16, 17), (64, 65)] {
            for burst in [refusals, 1000 * refusals] {
                let mut pressure = Pressure::new(workers);
                for sent in 0..burst {
                    assert_eq!(pressure.is_high(7, 100.0), sent >= refusals, "{workers} {sent}");
                    pressure.add(7, 100.0, 2.0);
                }
                assert!(pressure.is_high(7, 100.0));
                assert!(!pressure.is_high(108, 100.0), "{workers} workers: locked out");
            }
        }
    }

    #[test]
    fn success_takes_back_half_a_refusal() {
        let mut pressure = Pressure::new(2);
        (0..3).for_each(|_| pressure.add(0, 1e9, 2.0));
        assert!(pressure.is_high(0, 1e9));
        (0..2).for_each(|_| pressure.add(0, 1e9, -1.0));
        assert!(!pressure.is_high(0, 1e9));
        (0..100).for_each(|_| pressure.add(0, 1e9, -1.0));
        (0..2).for_each(|_| pressure.add(0, 1e9, 2.0));
        assert!(!pressure.is_high(0, 1e9), "successes are not hoarded");
    }
}
