//! Two cases in turns, so that whatever happens to the device happens to both.

use std::{
    fmt,
    time::{Duration, Instant},
};

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
    variants,
    work::Work,
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

/// The candidate that is every one in turn.
pub const ALL: &str = "all";

/// The case in every other form that the device runs.
///
/// # Errors
/// The data cannot be coded like that.
pub fn others(gpu: &Gpu, case: &Case, data: &[u8]) -> Result<Vec<Case>> {
    let blocks = Blocks::new(case, data, gpu.max_buffer())?;
    let kernels = Work::new(case.direction, &blocks)?.kernels();
    let names = variants::others(gpu, &kernels, &case.variant)?;
    Ok(names.into_iter().map(|variant| Case { variant, ..case.clone() }).collect())
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
    let blocks = [
        Blocks::new(cases[0], data, gpu.max_buffer())?,
        Blocks::new(cases[1], data, gpu.max_buffer())?,
    ];
    let mut subjects =
        [Subject::new(gpu, cases[0], &blocks[0])?, Subject::new(gpu, cases[1], &blocks[1])?];
    let rounds = measure::verified(gpu, &mut subjects, |gpu, subjects| {
        for subject in &mut *subjects {
            measure::warm_up(gpu, subject, Stamps::Repetitions)?;
        }
        Rounds::run(gpu, subjects, effort)
    })?;
    let [baseline, candidate] = [0, 1].map(|who| {
        let (subject, blocks) = (&subjects[who], &blocks[who]);
        let mut row = measure::row(subject, blocks, name, Clock::Device, effort.confidence);
        row.samples.clone_from(&rounds.samples[who]);
        row.calibration.clone_from(&rounds.calibration);
        row.notes = measure::doubts(&row, effort);
        row
    });
    let interval = rounds.interval(effort.confidence);
    let (ratio, verdict) = (rounds.ratio(), Verdict::of(interval, margin));
    Ok(Comparison { baseline, candidate, ratio, interval, margin, verdict })
}

/// The medians of runs in turns.
struct Rounds {
    /// Nanoseconds of the baseline and of the candidate.
    samples: [Vec<f64>; 2],
    calibration: Vec<f64>,
    /// The candidate's raw bytes over the baseline's: a ratio of times times this is one of speeds.
    scale: f64,
}

impl Rounds {
    /// As many as the effort asks for, of subjects that are warm.
    fn run(gpu: &mut Gpu, subjects: &mut [Subject<'_>; 2], effort: Effort) -> Result<Self> {
        let [baseline, candidate] = subjects.each_ref().map(|s| s.work.raw_bytes() as f64);
        let mut rounds = Self {
            samples: [Vec::new(), Vec::new()],
            calibration: Vec::new(),
            scale: candidate / baseline,
        };
        let mut load = limits::calibration(gpu)?;
        let start = Instant::now();
        loop {
            for who in turns(rounds.samples[0].len()) {
                let times = subjects[who].run(gpu)?;
                let times: Vec<f64> = times.iter().map(|c| c.time.as_nanos() as f64).collect();
                rounds.samples[who].push(stats::median(&times));
            }
            rounds.calibration.extend(load.once(gpu)?);
            if rounds.suffice(start.elapsed(), effort) {
                return Ok(rounds);
            }
        }
    }

    /// Whether that is enough. It is looked at now and then, as looking takes time.
    fn suffice(&self, elapsed: Duration, effort: Effort) -> bool {
        let count = self.samples[0].len();
        elapsed >= effort.most && count > 1
            || elapsed >= effort.least
                && count.is_multiple_of(LEAST_ROUNDS)
                && self.interval(effort.confidence).precision(1.0) <= effort.precision
    }

    /// Of the candidate's speed over the baseline's.
    fn ratio(&self) -> f64 {
        stats::median(&self.samples[0]) / stats::median(&self.samples[1]) * self.scale
    }

    fn interval(&self, confidence: f64) -> Interval {
        let [baseline, candidate] = &self.samples;
        let Interval { low, high } = stats::ratio_interval(baseline, candidate, confidence);
        Interval { low: low * self.scale, high: high * self.scale }
    }
}

/// Who is measured first in a round, and who then. Whoever comes second finds what the first has left: they take turns at that.
fn turns(round: usize) -> [usize; 2] {
    [round % 2, (round + 1) % 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_in_every_other_round() {
        assert_eq!([0, 1, 2].map(turns), [[0, 1], [1, 0], [0, 1]]);
    }

    #[test]
    fn rounds_tell_speeds_of_unequal_amounts() {
        // The candidate does twice as much in the same time.
        let samples = [vec![100.0; 20], vec![100.0; 20]];
        let rounds = Rounds { samples, calibration: Vec::new(), scale: 2.0 };
        assert_eq!((rounds.ratio(), rounds.interval(0.95).low), (2.0, 2.0));
    }

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
