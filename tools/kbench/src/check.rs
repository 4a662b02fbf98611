//! What every record holds to and what reads one relies on: a chart of a limit of zero never ends, and a speed of wrong results
//! is none.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    case::{Param, Params},
    compare::Verdict,
    compiled::Compiled,
    limits::LimitRun,
    record::{Comparison, Data, Limits, Record, Row},
    small::Small,
    stats::Interval,
};

/// More bytes than anything codes at once.
const MOST_BYTES: u64 = 1 << 41;
/// The longest time, in nanoseconds: eleven days.
const LONGEST: f64 = 1e15;
/// What a device does a second at least and at most, whatever it is.
const RATES: (f64, f64) = (1e3, 1e18);
/// How much faster or slower something may be than something else.
const RATIOS: (f64, f64) = (1e-9, 1e9);
/// More than a driver counts of anything.
const MOST_COUNTED: u64 = 1 << 48;

/// # Errors
/// What no run leaves behind.
pub fn record(record: &Record) -> Result<()> {
    let Record { limits, rows, comparisons, small, compiled, .. } = record;
    if let Some(limits) = limits {
        self::limits(limits).context("its limits")?;
    }
    for run in &record.limit_runs {
        limit_run(run, limits.as_ref()).with_context(|| format!("its limit {}", run.limit))?;
    }
    rows.iter().try_for_each(|one| row(one).with_context(|| which(one)))?;
    for one in comparisons {
        comparison(one).with_context(|| format!("{}, compared", which(&one.candidate)))?;
    }
    for one in small {
        small_input(one).with_context(|| format!("{} {}", one.direction, one.pipeline))?;
    }
    for one in compiled {
        self::compiled(one).with_context(|| format!("{} {}", one.kernel, one.variant))?;
    }
    one_checksum(record)
}

/// Which row it is; nothing is known yet of its parameters.
fn which(row: &Row) -> String {
    format!("a row of {} {}", row.work(), row.case.variant)
}

fn within(value: f64, (low, high): (f64, f64), what: &str) -> Result<()> {
    ensure!((low..=high).contains(&value), "{what} is {value}: not within {low:e} and {high:e}");
    Ok(())
}

fn limits(limits: &Limits) -> Result<()> {
    for name in ["copy", "upload", "download", "shared", "multiply", "logic"] {
        limits.get(name).map_or(Ok(()), |value| within(value, RATES, name))?;
    }
    Ok(())
}

fn limit_run(run: &LimitRun, limits: Option<&Limits>) -> Result<()> {
    within(run.amount, (1.0, 1e18), "the amount behind a sample")?;
    samples(&run.samples, run.confidence)?;
    let value = limits.and_then(|limits| limits.get(&run.limit)).context("there is none")?;
    let median = run.rate();
    // Numbers lose a little on their way through a file.
    let same = (value / median - 1.0).abs() < 1e-9;
    ensure!(same, "it is {value}, and the median of its samples is {median}");
    Ok(())
}

/// Samples that medians, speeds and intervals can be made of.
fn samples(samples: &[f64], confidence: f64) -> Result<()> {
    ensure!(!samples.is_empty(), "there are no samples");
    for &time in samples {
        ensure!(time > 0.0 && time.is_finite(), "a sample of {time} ns is no time");
        within(time, (1e-3, LONGEST), "a sample, in ns,")?;
    }
    ensure!((0.5..=1.0).contains(&confidence), "a confidence of {confidence}");
    Ok(())
}

fn bytes(data: &Data, coded: u64) -> Result<()> {
    ensure!(data.bytes > 0, "there is no data");
    ensure!(data.bytes.max(coded) <= MOST_BYTES, "{} bytes and {coded} coded ones", data.bytes);
    Ok(())
}

fn row(row: &Row) -> Result<()> {
    ensure!(row.verified, "its results were not verified: it has no speed");
    let (mut allowed, params) = (Params::default(), &row.case.params);
    for param in Param::ALL {
        let Some(value) = params.get(param) else { continue };
        allowed.set(param, value).map_err(|error| anyhow!(error))?;
    }
    let times = row.calibration.iter();
    for &time in times {
        within(time, (0.0, LONGEST), "a calibration, in ns,")?;
    }
    bytes(&row.data, row.coded_bytes)?;
    samples(&row.samples, row.confidence)
}

fn comparison(comparison: &Comparison) -> Result<()> {
    let Comparison { baseline, candidate, ratio, interval, margin, verdict } = comparison;
    [baseline, candidate].into_iter().try_for_each(row)?;
    let rounds = [baseline, candidate].map(|row| row.samples.len());
    ensure!(rounds[0] == rounds[1], "{} rounds of one and {} of the other", rounds[0], rounds[1]);
    let Interval { low, high } = *interval;
    for (value, what) in [(*ratio, "its ratio"), (low, "its interval"), (high, "its interval")] {
        within(value, RATIOS, what)?;
    }
    ensure!(low <= high, "an interval from {low} to {high}");
    within(*margin, (0.0, 0.5), "its margin")?;
    let right = Verdict::of(*interval, *margin);
    ensure!(*verdict == right, "it says {verdict}, and its interval says {right}");
    Ok(())
}

fn small_input(small: &Small) -> Result<()> {
    bytes(&small.data, small.coded_bytes)?;
    within(small.on_device, (0.0, small.blocks as f64), "the number of blocks by the device")?;
    small.ways().into_iter().try_for_each(|(_, way)| samples(way, small.confidence))
}

fn compiled(form: &Compiled) -> Result<()> {
    let wave = form.wave;
    ensure!(wave.is_power_of_two() && wave <= 256, "subgroups of {wave}");
    let Ok(figures) = &form.figures else { return Ok(()) };
    for value in figures.numbers().into_iter().flatten() {
        ensure!(value <= MOST_COUNTED, "a figure of {value}");
    }
    Ok(())
}

/// One run reads its data once: so much of it has one checksum.
fn one_checksum(record: &Record) -> Result<()> {
    let mut known = HashMap::new();
    for (cut, Data { name, crc32c, .. }) in record.data() {
        let before = known.insert((name, cut), crc32c);
        ensure!(
            before.is_none_or(|before| before == crc32c),
            "{} bytes of {name} have two checksums",
            cut[0]
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::record::{
        Record,
        tests::{record, with},
    };

    /// What is stored is not decoded: as many decoded bytes may be of more raw ones, whose checksum it is.
    #[test]
    fn as_many_bytes_of_different_amounts_have_checksums_of_their_own() {
        let mut record = record();
        (record.rows[1].case.params.size, record.rows[1].data.crc32c) = (1 << 20, 77);
        record.comparisons.clear();
        super::record(&record).unwrap();
        record.rows[1].case.params = record.rows[0].case.params;
        super::record(&record).unwrap_err();
    }

    #[test]
    fn what_no_run_leaves_behind_is_refused_by_name() {
        let text = serde_json::to_string(&record()).unwrap();
        for (place, value, message) in [
            ("/limits/copy", "0.0", "copy is 0"),
            ("/limits/copy", "1e-300", "copy is 0.000"),
            ("/limits/logic", "0", "logic is 0"),
            ("/limits/upload", "-1.0", "upload is -1"),
            ("/limits/shared", "1e300", "shared is 1000"),
            ("/limits/copy", "4.1e12", "the median of its samples is"),
            ("/limit_runs/0/limit", "\"cache\"", "its limit cache: there is none"),
            ("/limit_runs/0/samples/0", "0.0", "a sample of 0 ns"),
            ("/rows/0/verified", "false", "it has no speed"),
            ("/comparisons/0/candidate/verified", "false", "it has no speed"),
            ("/rows/0/samples/1", "0.0", "a sample of 0 ns"),
            ("/rows/0/samples/1", "1e-300", "a sample"),
            ("/rows/0/samples/1", "1e300", "a sample"),
            ("/rows/0/samples", "[]", "no samples"),
            ("/rows/0/confidence", "95.0", "a confidence of 95"),
            ("/rows/0/segment_log", "200", "segment-log is 200"),
            ("/rows/0/calibration/0", "-5.0", "a calibration"),
            ("/rows/0/data/bytes", "0", "no data"),
            ("/rows/0/coded_bytes", "18446744073709551615", "coded ones"),
            ("/rows/0/data/crc32c", "10", "two checksums"),
            ("/comparisons/0/interval", r#"{"low":5.0,"high":1.0}"#, "an interval from 5 to 1"),
            ("/comparisons/0/interval/low", "-1.0", "its interval is -1"),
            ("/comparisons/0/interval/high", "1e308", "its interval is 1000"),
            ("/comparisons/0/ratio", "0.0", "its ratio is 0"),
            ("/comparisons/0/margin", "7.0", "its margin is 7"),
            ("/comparisons/0/verdict", "\"SLOWER\"", "it says SLOWER"),
            ("/comparisons/0/candidate/samples", "[9.0]", "3 rounds of one and 1"),
            ("/small/0/device", "[]", "no samples"),
            ("/limits", "null", "there is none"),
            ("/small/0/on_device", "5.0", "blocks by the device"),
            ("/compiled/0/wave", "33", "subgroups of 33"),
            ("/compiled/0/figures/Ok/hot_loop", "1000000000000000", "a figure of 1"),
        ] {
            let changed = with(&text, place, value);
            let error = Record::parse(&changed).expect_err(place);
            assert!(format!("{error:#}").contains(message), "{place}: {error:#}");
        }
    }
}
