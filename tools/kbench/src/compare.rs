//! Two cases in turns, so that whatever happens to the device happens to both.

use std::{fmt, time::Instant};

use anyhow::Result;
use clap::ValueEnum;
use ranvil::testing::{Gpu, Stamps};
use serde::{Deserialize, Serialize};

use crate::{
    blocks::Blocks,
    case::Case,
    clock::Clock,
    limits,
    measure::{self, Effort},
    record::Comparison,
    stats::{self, Interval},
    subject::Subject,
};

/// Fewer rounds say nothing.
const LEAST_ROUNDS: usize = 20;

/// What became of a comparison.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The interval lies within the margin around 1.
    Same,
    /// It lies above 1.
    Faster,
    /// It lies below 1.
    Slower,
    /// It holds 1 and is wider than the margin: measure longer.
    Ambiguous,
}

impl Verdict {
    /// Of the interval of a ratio of speeds; differences of less than `margin` do not matter.
    pub fn of(Interval { low, high }: Interval, margin: f64) -> Self {
        if 1.0 - margin <= low && high <= 1.0 + margin {
            Self::Same
        } else if low > 1.0 {
            Self::Faster
        } else if high < 1.0 {
            Self::Slower
        } else {
            Self::Ambiguous
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Same => "SAME",
            Self::Faster => "FASTER",
            Self::Slower => "SLOWER",
            Self::Ambiguous => "AMBIGUOUS",
        })
    }
}

/// Compares the candidate with the baseline on the device's clock.
///
/// # Errors
/// One of them computes something else than the CPU; or the device's.
pub fn cases(
    gpu: &mut Gpu,
    cases: [&Case; 2],
    (name, data): (&str, &[u8]),
    effort: Effort,
    margin: f64,
) -> Result<Comparison> {
    let stamps = Stamps::Repetitions;
    let blocks = [
        Blocks::new(cases[0], data, gpu.max_buffer())?,
        Blocks::new(cases[1], data, gpu.max_buffer())?,
    ];
    let mut subjects =
        [Subject::new(gpu, cases[0], &blocks[0])?, Subject::new(gpu, cases[1], &blocks[1])?];
    for subject in &mut subjects {
        measure::verify(gpu, subject)?;
        measure::warm_up(gpu, subject, stamps)?;
    }
    let mut calibration_load = limits::calibration(gpu)?;
    let mut calibration = Vec::new();
    let mut samples = [Vec::new(), Vec::new()];
    // Time for a raw byte, since the two may have different amounts.
    let bytes = subjects.each_ref().map(|subject| subject.work.raw_bytes() as f64);
    let ratio = |samples: &[Vec<f64>; 2]| {
        let interval = stats::ratio_interval(&samples[0], &samples[1], effort.confidence);
        let scale = bytes[1] / bytes[0];
        Interval { low: interval.low * scale, high: interval.high * scale }
    };
    let start = Instant::now();
    loop {
        // Whoever comes second finds what the first has left: they take turns.
        let round = samples[0].len();
        for turn in 0..2 {
            let who = (round + turn) % 2;
            let times = subjects[who].run(gpu)?;
            let times: Vec<f64> = times.iter().map(|c| c.time.as_nanos() as f64).collect();
            samples[who].push(stats::median(&times));
        }
        calibration.extend(calibration_load.once(gpu)?);
        let elapsed = start.elapsed();
        let enough = elapsed >= effort.least
            && round + 1 >= LEAST_ROUNDS
            && (round + 1).is_multiple_of(LEAST_ROUNDS);
        if elapsed >= effort.most && round > 1
            || enough && ratio(&samples).precision(1.0) <= effort.precision
        {
            break;
        }
    }
    for subject in &mut subjects {
        measure::verify(gpu, subject)?;
    }
    let interval = ratio(&samples);
    let ratio = stats::median(&samples[0]) / stats::median(&samples[1]) * bytes[1] / bytes[0];
    let [baseline, candidate] = [0, 1].map(|who| {
        let (subject, blocks) = (&subjects[who], &blocks[who]);
        let mut row = measure::row(subject, blocks, name, Clock::Device, effort.confidence);
        row.samples.clone_from(&samples[who]);
        row.calibration.clone_from(&calibration);
        row.notes = measure::doubts(&row, effort);
        row
    });
    let verdict = Verdict::of(interval, margin);
    Ok(Comparison { baseline, candidate, ratio, interval, margin, verdict })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        let of = |low, high| Verdict::of(Interval { low, high }, 0.01);
        assert_eq!(of(0.995, 1.004), Verdict::Same);
        assert_eq!(of(1.001, 1.009), Verdict::Same, "faster, by less than matters");
        assert_eq!(of(1.002, 1.03), Verdict::Faster);
        assert_eq!(of(0.90, 0.98), Verdict::Slower);
        assert_eq!(of(0.98, 1.002), Verdict::Ambiguous);
        assert_eq!(of(0.5, 2.0), Verdict::Ambiguous);
    }
}
