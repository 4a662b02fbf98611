//! What was measured: for people, and as a line for programs.

use std::{fmt, time::Duration};

use super::{BenchArgs, Content, Sample, args::Stage, stage::threads};
use crate::{
    size::{human, percent},
    stats::Line,
};

/// The result of a benchmark.
pub struct Report<'a> {
    args: &'a BenchArgs,
    /// Of the data.
    name: String,
    crc: u32,
    raw_bytes: u64,
    coded_bytes: u64,
    block_size: usize,
    segment_size: usize,
    /// In ascending order.
    times: Vec<Duration>,
    setup: Duration,
}

impl<'a> Report<'a> {
    pub fn new(
        args: &'a BenchArgs,
        name: String,
        content: &Content,
        coded_bytes: u64,
        samples: &[Sample],
    ) -> Self {
        let sorted = |part: fn(&Sample) -> Duration| {
            let mut times: Vec<Duration> = samples.iter().map(part).collect();
            times.sort();
            times
        };
        Self {
            args,
            name,
            crc: crc32c::crc32c(&content.bytes),
            raw_bytes: content.bytes.len() as u64,
            coded_bytes,
            block_size: content.block_size,
            segment_size: content.segment_size,
            times: sorted(|sample| sample.time),
            setup: median(&sorted(|sample| sample.setup)),
        }
    }

    /// The line `PROFILE_STATS`.
    pub fn line(&self) -> String {
        let Self { args, raw_bytes, coded_bytes, .. } = self;
        let devices: Vec<String> = args.devices().iter().map(ToString::to_string).collect();
        let [stage0, stage1] = args.assignments().map(|who| who.to_string());
        let stage1 = if args.pipeline().model().is_some() { &stage1 } else { "none" };
        Line::new("PROFILE_STATS")
            .field("pipeline", args.pipeline())
            .field("level", args.level())
            .field("stage", stage_name(args.stage()))
            .field("direction", self.direction())
            .field("mode", args.mode())
            .field("device", devices.join(","))
            .field("stage0", stage0)
            .field("stage1", stage1)
            .field("threads", threads(args.resources.threads))
            .field("block_size", self.block_size)
            .field("segment_size", self.segment_size)
            .field("data_crc32c", format!("{:08x}", self.crc))
            .field("bytes", raw_bytes)
            .field("coded_bytes", coded_bytes)
            .field("ratio", format!("{:.6}", *coded_bytes as f64 / *raw_bytes as f64))
            .field("iterations", self.times.len())
            .nanoseconds("median_ns", median(&self.times))
            .nanoseconds("min_ns", self.times[0])
            .nanoseconds("max_ns", self.times[self.times.len() - 1])
            .nanoseconds("setup_ns", self.setup)
            .field("throughput_mb_s", format!("{:.3}", self.rate(median(&self.times))))
            .finish()
    }

    fn direction(&self) -> &'static str {
        if self.args.decompress { "decompress" } else { "compress" }
    }

    /// Millions of raw bytes per second.
    fn rate(&self, time: Duration) -> f64 {
        self.raw_bytes as f64 / 1e6 / time.as_secs_f64()
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { args, name, raw_bytes, coded_bytes, block_size, times, .. } = self;
        let (raw, coded) = (human(*raw_bytes), human(*coded_bytes));
        writeln!(f, "{name}: {raw} => {coded} ({})", percent(*coded_bytes, *raw_bytes))?;
        write!(f, "{}", args.pipeline())?;
        if args.level() > 0 {
            write!(f, " level {}", args.level())?;
        }
        if args.stage().is_some() {
            write!(f, ", stage {}", stage_name(args.stage()))?;
        }
        let (blocks, threads) = (human(*block_size as u64), threads(args.resources.threads));
        writeln!(
            f,
            ", {}, {}, threads: {threads}, blocks: {blocks}",
            self.direction(),
            args.mode()
        )?;
        let (least, middle, most) = (times[0], median(times), times[times.len() - 1]);
        write!(
            f,
            "{:.1} MB/s (median of {}; {:.1} to {:.1}); {:.3?}, {:.3?} to {:.3?}",
            self.rate(middle),
            times.len(),
            self.rate(most),
            self.rate(least),
            middle,
            least,
            most,
        )
    }
}

fn stage_name(stage: Option<Stage>) -> &'static str {
    match stage {
        None => "all",
        Some(Stage::Model) => "model",
        Some(Stage::Entropy) => "entropy",
    }
}

/// Of times in ascending order; the mean of the two in the middle if their number is even.
fn median(times: &[Duration]) -> Duration {
    let middle = times.len() / 2;
    match times.len() % 2 {
        1 => times[middle],
        _ => (times[middle - 1] + times[middle]) / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        let times =
            |list: &[u64]| list.iter().map(|&ns| Duration::from_nanos(ns)).collect::<Vec<_>>();
        assert_eq!(median(&times(&[1, 5, 9])), Duration::from_nanos(5));
        assert_eq!(median(&times(&[1, 4, 6, 90])), Duration::from_nanos(5));
        assert_eq!(median(&times(&[7])), Duration::from_nanos(7));
    }
}
