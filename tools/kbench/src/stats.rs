//! What samples say, and how surely. Nothing here assumes a distribution: medians, and intervals by the bootstrap
//! (Efron, 1979, percentile method), with a fixed seed so that the same samples say the same.

use serde::{Deserialize, Serialize};

/// Resamplings behind an interval.
const RESAMPLES: usize = 2000;
/// More samples than this do not make an interval better, only slower to compute: then they are averaged in groups.
const MOST_RESAMPLED: usize = 400;
/// How many scaled median absolute deviations from the median an outlier is away.
const OUTLIER: f64 = 5.0;

/// A confidence interval.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
}

impl Interval {
    /// Half of its width, relative to `value`.
    pub fn precision(self, value: f64) -> f64 {
        (self.high - self.low) / 2.0 / value
    }
}

/// The median; the mean of the middle two if their number is even.
///
/// # Panics
/// If there is no sample.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    median_of(&mut sorted)
}

fn median_of(samples: &mut [f64]) -> f64 {
    let middle = samples.len() / 2;
    let even = samples.len().is_multiple_of(2);
    let (below, &mut upper, _) = samples.select_nth_unstable_by(middle, f64::total_cmp);
    if even {
        let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (lower + upper) / 2.0
    } else {
        upper
    }
}

/// The interval of the median.
pub fn median_interval(samples: &[f64], confidence: f64) -> Interval {
    let samples = grouped(samples);
    bootstrap(samples.len(), confidence, |chosen, scratch| {
        scratch.extend(chosen.iter().map(|&at| samples[at]));
        median_of(scratch)
    })
}

/// The interval of the ratio of medians, `numerator / denominator`, of samples taken in pairs one after the other. Pairs are
/// drawn together, so what changes the device's speed for both counts for neither.
///
/// # Panics
/// If there are not as many of either.
pub fn ratio_interval(numerator: &[f64], denominator: &[f64], confidence: f64) -> Interval {
    assert_eq!(numerator.len(), denominator.len(), "samples come in pairs");
    bootstrap(numerator.len(), confidence, |chosen, scratch| {
        let mut of = |samples: &[f64]| {
            scratch.clear();
            scratch.extend(chosen.iter().map(|&at| samples[at]));
            median_of(scratch)
        };
        let numerator = of(numerator);
        numerator / of(denominator)
    })
}

/// The interval of a statistic of positions drawn with replacement; it gets empty scratch space.
fn bootstrap(
    count: usize,
    confidence: f64,
    statistic: impl Fn(&[usize], &mut Vec<f64>) -> f64,
) -> Interval {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut scratch = Vec::with_capacity(count);
    let mut chosen = vec![0; count];
    let resample = |_| {
        chosen.iter_mut().for_each(|at| *at = random.below(count));
        scratch.clear();
        statistic(&chosen, &mut scratch)
    };
    let mut found: Vec<f64> = (0..RESAMPLES).map(resample).collect();
    found.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    let at = |share: f64| found[((RESAMPLES - 1) as f64 * share).round() as usize];
    Interval { low: at(tail), high: at(1.0 - tail) }
}

/// The samples, or medians of as many groups of neighbours as an interval needs.
fn grouped(samples: &[f64]) -> Vec<f64> {
    let size = samples.len().div_ceil(MOST_RESAMPLED);
    if size == 1 { samples.to_vec() } else { samples.chunks(size).map(median).collect() }
}

/// How many samples are far from the others: more than [`OUTLIER`] scaled median absolute deviations, and 1 %, from the median.
pub fn outliers(samples: &[f64]) -> usize {
    let middle = median(samples);
    let deviations: Vec<f64> = samples.iter().map(|sample| (sample - middle).abs()).collect();
    // 1.4826 makes it the standard deviation of a normal distribution.
    let limit = (OUTLIER * 1.4826 * median(&deviations)).max(0.01 * middle);
    deviations.iter().filter(|&&deviation| deviation > limit).count()
}

/// The last third's median relative to the first third's: above 1, the device became slower.
pub fn drift(samples: &[f64]) -> f64 {
    let third = samples.len() / 3;
    if third == 0 {
        return 1.0;
    }
    median(&samples[samples.len() - third..]) / median(&samples[..third])
}

/// What is doubtful about samples of which the interval was to be so narrow; drift is judged by who knows what else drifted.
pub fn doubts(samples: &[f64], confidence: f64, precision: f64) -> Vec<String> {
    let mut notes = Vec::new();
    if median_interval(samples, confidence).precision(median(samples)) > precision {
        notes.push("less precise than asked for".to_owned());
    }
    let far = outliers(samples);
    if far > 0 {
        notes.push(format!("{far} of {} samples are outliers", samples.len()));
    }
    notes
}

/// That times became longer or shorter, by more than `most`, if they did.
pub fn drifted(samples: &[f64], most: f64) -> Option<String> {
    let drift = drift(samples);
    let text = || format!("times drifted by {:+.0} %", 100.0 * (drift - 1.0));
    ((drift - 1.0).abs() > most).then(text)
}

/// xorshift64*: the same numbers everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sum of twelve uniform numbers: nearly normal, with this mean and standard deviation.
    fn normal(random: &mut Random, mean: f64, deviation: f64) -> f64 {
        let unit = |random: &mut Random| random.next() as f64 / 2_f64.powi(64);
        mean + deviation * ((0..12).map(|_| unit(random)).sum::<f64>() - 6.0)
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&[9.0, 1.0, 5.0, 7.0]), 6.0);
    }

    /// Of 300 intervals at 95 %, about 285 hold the true value. The bootstrap is known to be a little narrow for few samples.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut random = Random(7);
        let (mut medians, mut ratios) = (0, 0);
        for _ in 0..300 {
            let mut draw =
                |mean| -> Vec<f64> { (0..41).map(|_| normal(&mut random, mean, 3.0)).collect() };
            let (slow, fast) = (draw(110.0), draw(100.0));
            let of_median = median_interval(&fast, 0.95);
            let of_ratio = ratio_interval(&slow, &fast, 0.95);
            medians += i32::from(of_median.low <= 100.0 && 100.0 <= of_median.high);
            ratios += i32::from(of_ratio.low <= 1.1 && 1.1 <= of_ratio.high);
        }
        assert!((270..=299).contains(&medians), "{medians} of 300");
        assert!((270..=299).contains(&ratios), "{ratios} of 300");
    }

    /// A change that meets both of a pair hides nothing and shows nothing.
    #[test]
    fn pairs_share_what_happens_to_the_device() {
        let mut random = Random(3);
        let clock: Vec<f64> = (0..60).map(|i| if i < 30 { 1.0 } else { 1.5 }).collect();
        let noise = |random: &mut Random| normal(random, 1.0, 0.002);
        let slow: Vec<f64> = clock.iter().map(|c| 102.0 * c * noise(&mut random)).collect();
        let fast: Vec<f64> = clock.iter().map(|c| 100.0 * c * noise(&mut random)).collect();
        let ratio = ratio_interval(&slow, &fast, 0.95);
        assert!(1.01 < ratio.low && ratio.high < 1.03, "{ratio:?}");
    }

    #[test]
    fn more_samples_are_surer() {
        let mut random = Random(11);
        let few: Vec<f64> = (0..20).map(|_| normal(&mut random, 50.0, 2.0)).collect();
        let many: Vec<f64> = (0..4000).map(|_| normal(&mut random, 50.0, 2.0)).collect();
        let precision = |samples: &[f64]| median_interval(samples, 0.95).precision(50.0);
        assert!(precision(&many) < precision(&few) / 3.0);
    }

    #[test]
    fn outliers_and_drift_are_seen() {
        let mut random = Random(5);
        let mut samples: Vec<f64> = (0..300).map(|_| normal(&mut random, 100.0, 1.0)).collect();
        assert_eq!(outliers(&samples), 0);
        assert!((drift(&samples) - 1.0).abs() < 0.01);
        samples[17] = 200.0;
        samples[200] = 30.0;
        assert_eq!(outliers(&samples), 2);
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample *= 1.0 + at as f64 / 1000.0;
        }
        assert!(drift(&samples) > 1.1);
        assert_eq!(outliers(&[5.0; 9]), 0);
    }

    #[test]
    fn doubts_are_named() {
        let mut samples = vec![100.0; 30];
        assert!(doubts(&samples, 0.95, 0.005).is_empty() && drifted(&samples, 0.03).is_none());
        samples[3] = 300.0;
        assert_eq!(doubts(&samples, 0.95, 0.005), ["1 of 30 samples are outliers"]);
        samples.iter_mut().enumerate().for_each(|(at, sample)| *sample += at as f64);
        assert!(doubts(&samples, 0.95, 0.005)[0].starts_with("less precise"));
        assert_eq!(drifted(&samples, 0.03).unwrap(), "times drifted by +18 %");
    }
}
