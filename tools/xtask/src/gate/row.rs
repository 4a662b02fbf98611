//! A row of the gate: what was measured, and what decides whether two rows are comparable.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::calibration;
use crate::Result;

/// Fields of the command's `PROFILE_STATS` line that change what a number means. The device is named apart.
const FIELDS: [&str; 12] = [
    "pipeline",
    "level",
    "stage",
    "direction",
    "mode",
    "stage0",
    "stage1",
    "threads",
    "block_size",
    "segment_size",
    "bytes",
    "data_crc32c",
];

/// What must be equal in a row and its baseline.
pub type Key = BTreeMap<String, String>;

/// A measurement, or the median of several.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Throughput through that of the calibration workload.
    pub throughput: f64,
    /// The scheduler's part of the tracked time of threads: 0 to 1.
    pub overhead: f64,
    #[serde(flatten)]
    pub key: Key,
}

impl Row {
    /// The row of what `ranvil bench --print-scheduler-stats` printed on standard error, while the calibration workload
    /// ran at `calibrated` MB/s.
    ///
    /// # Errors
    /// A line or a field is missing, or is no number.
    pub fn parse(printed: &str, device: &str, calibrated: f64) -> Result<Self> {
        let profile = fields(printed, "PROFILE_STATS")?;
        let scheduler = fields(printed, "SCHEDULER_STATS")?;
        let mut key = Key::new();
        for name in FIELDS {
            key.insert(name.to_owned(), field(&profile, name)?.to_owned());
        }
        key.insert("device".to_owned(), device.to_owned());
        key.insert("calibration".to_owned(), calibration::name());
        let throughput = number(&profile, "throughput_mb_s")? / calibrated;
        let overhead = number(&scheduler, "scheduler_overhead_pct")?;
        let possible =
            throughput > 0.0 && throughput.is_finite() && (0.0..=1.0).contains(&overhead);
        if !possible {
            return Err(format!("impossible: throughput {throughput}, overhead {overhead}"));
        }
        Ok(Self { throughput, overhead, key })
    }

    /// The medians of an odd number of measurements of one row.
    ///
    /// # Errors
    /// They are not all of one row.
    pub fn median(rows: &[Self]) -> Result<Self> {
        let middle = |part: fn(&Self) -> f64| {
            let mut values: Vec<f64> = rows.iter().map(part).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        match rows.iter().find(|row| row.key != rows[0].key) {
            Some(row) => Err(format!("{row} is not what was measured before: {}", rows[0])),
            None => Ok(Self {
                throughput: middle(|row| row.throughput),
                overhead: middle(|row| row.overhead),
                key: rows[0].key.clone(),
            }),
        }
    }
}

/// What tells a person which row it is.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = |name| self.key.get(name).map_or("?", String::as_str);
        write!(f, "{}", field("pipeline"))?;
        if field("level") != "0" {
            write!(f, ":{}", field("level"))?;
        }
        write!(f, " {} {} T{}", field("direction"), field("mode"), field("threads"))
    }
}

/// The fields of the one line that begins with `word`.
fn fields<'a>(printed: &'a str, word: &str) -> Result<BTreeMap<&'a str, &'a str>> {
    let mut lines = printed.lines().filter(|line| line.split('\t').next() == Some(word));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(format!("the command printed no line {word}, or several: {printed:?}"));
    };
    let pairs = line.split('\t').skip(1).map(|field| field.split_once('='));
    pairs.collect::<Option<_>>().ok_or_else(|| format!("no key=value in {line:?}"))
}

fn field<'a>(fields: &BTreeMap<&str, &'a str>, name: &str) -> Result<&'a str> {
    fields.get(name).copied().ok_or_else(|| format!("the command printed no field {name}"))
}

fn number(fields: &BTreeMap<&str, &str>, name: &str) -> Result<f64> {
    let text = field(fields, name)?;
    text.parse().map_err(|_| format!("{name}={text} is no number"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the command prints, with this throughput and overhead.
    pub fn printed(throughput: &str, overhead: &str) -> String {
        let key = FIELDS.map(|name| format!("\t{name}={name}-1")).concat();
        format!(
            "ranvil: warning: between\nPROFILE_STATS{key}\tthroughput_mb_s={throughput}\nSCHEDULER_STATS\truns=1\t\
             scheduler_overhead_pct={overhead}\n"
        )
    }

    pub fn row(throughput: f64, overhead: f64) -> Row {
        let printed = printed(&throughput.to_string(), &overhead.to_string());
        Row::parse(&printed, "cpu", 1.0).unwrap()
    }

    #[test]
    fn lines_become_rows() {
        let row = Row::parse(&printed("300", "0.015"), "a card", 200.0).unwrap();
        assert_eq!((row.throughput, row.overhead), (1.5, 0.015));
        assert_eq!(row.key.len(), FIELDS.len() + 2);
        assert_eq!((row.key["bytes"].as_str(), row.key["device"].as_str()), ("bytes-1", "a card"));
    }

    #[test]
    fn other_output_is_refused() {
        let good = printed("300", "0.015");
        for (from, to) in [
            ("PROFILE_STATS", "OTHER_STATS"),
            ("SCHEDULER_STATS\t", "PROFILE_STATS\t"),
            ("\tbytes=", "\tbites="),
            ("=300", "=fast"),
            ("=300", "=0"),
            ("=0.015", "=1.5"),
            ("=0.015", "=NaN"),
            ("runs=1", "runs"),
        ] {
            let printed = good.replace(from, to);
            assert!(Row::parse(&printed, "cpu", 1.0).is_err(), "{printed}");
        }
        assert!(Row::parse("", "cpu", 1.0).is_err());
    }

    #[test]
    fn medians_are_of_one_row() {
        let rows = [row(3.0, 0.1), row(1.0, 0.3), row(2.0, 0.2)];
        let median = Row::median(&rows).unwrap();
        assert_eq!((median.throughput, median.overhead), (2.0, 0.2));
        let mut other = row(2.0, 0.2);
        other.key.insert("threads".to_owned(), "9".to_owned());
        assert!(Row::median(&[row(1.0, 0.0), other, row(1.0, 0.0)]).is_err());
    }
}
