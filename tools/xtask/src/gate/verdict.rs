//! Whether a row is as good as its baseline.

use std::fmt;

use super::{NO_BASELINE, PASS, REGRESSION, row::Row};

/// How much worse a row may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fraction of the throughput.
    pub throughput: f64,
    /// Added to the overhead.
    pub overhead: f64,
}

/// What became of a row.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    Pass(Change),
    /// Faster by more than it may be slower: the baseline is out of date.
    Improved(Change),
    Regression(Change),
    NoBaseline,
}

/// A row and its baseline.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// Throughput: baseline, now.
    throughput: [f64; 2],
    overhead: [f64; 2],
}

impl Verdict {
    /// Compares a row with the one of `known` that has the same key.
    pub fn of(row: &Row, known: &[Row], limits: Limits) -> Self {
        let Some(old) = known.iter().find(|old| old.key == row.key) else {
            return Self::NoBaseline;
        };
        let change = Change {
            throughput: [old.throughput, row.throughput],
            overhead: [old.overhead, row.overhead],
        };
        if row.throughput < old.throughput * (1.0 - limits.throughput)
            || row.overhead > old.overhead + limits.overhead
        {
            Self::Regression(change)
        } else if row.throughput > old.throughput * (1.0 + limits.throughput) {
            Self::Improved(change)
        } else {
            Self::Pass(change)
        }
    }
}

/// The exit status: a regression is worse than a missing baseline.
pub fn status(verdicts: &[Verdict]) -> u8 {
    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Regression(_))) {
        REGRESSION
    } else if verdicts.contains(&Verdict::NoBaseline) {
        NO_BASELINE
    } else {
        PASS
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass(change) => write!(f, "pass, {change}"),
            Self::Improved(change) => write!(f, "IMPROVED, {change}"),
            Self::Regression(change) => write!(f, "REGRESSION, {change}"),
            Self::NoBaseline => f.write_str("NO BASELINE"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, now] = self.throughput;
        let percent = 100.0 * (now / before - 1.0);
        write!(f, "throughput {now:.4} was {before:.4} ({percent:+.1} %)")?;
        write!(f, ", overhead {:.4} was {:.4}", self.overhead[1], self.overhead[0])
    }
}

#[cfg(test)]
mod tests {
    use super::{super::row::tests::row, *};

    const LIMITS: Limits = Limits { throughput: 0.04, overhead: 0.02 };

    fn verdict(throughput: f64, overhead: f64) -> Verdict {
        Verdict::of(&row(throughput, overhead), &[row(1.0, 0.01)], LIMITS)
    }

    #[test]
    fn limits_are_obeyed() {
        for throughput in [0.961, 1.0, 1.039] {
            assert!(matches!(verdict(throughput, 0.029), Verdict::Pass(_)), "{throughput}");
        }
        for (throughput, overhead) in [(0.959, 0.01), (1.0, 0.031), (2.0, 0.5)] {
            assert!(matches!(verdict(throughput, overhead), Verdict::Regression(_)));
        }
        assert!(matches!(verdict(1.05, 0.0), Verdict::Improved(_)));
    }

    #[test]
    fn rows_are_matched_on_every_field() {
        let known = row(1.0, 0.01);
        for name in known.key.keys() {
            let mut other = row(1.0, 0.01);
            other.key.insert(name.clone(), "other".to_owned());
            let verdict = Verdict::of(&other, std::slice::from_ref(&known), LIMITS);
            assert_eq!(verdict, Verdict::NoBaseline, "{name}");
        }
        assert_eq!(Verdict::of(&known, &[], LIMITS), Verdict::NoBaseline);
    }

    #[test]
    fn the_worst_row_decides() {
        let (pass, improved, worse) = (verdict(1.0, 0.0), verdict(2.0, 0.0), verdict(0.5, 0.0));
        assert_eq!(status(&[pass.clone(), improved]), PASS);
        assert_eq!(status(&[pass.clone(), Verdict::NoBaseline]), NO_BASELINE);
        assert_eq!(status(&[Verdict::NoBaseline, worse, pass]), REGRESSION);
    }
}
