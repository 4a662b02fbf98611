//! The command line.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ranvil::{DeviceSelector, Pipeline};

use crate::{
    case::{Case, Coder, Direction, Param, Params},
    clock::Clock,
    compare::Verdict,
    measure::Effort,
    size,
    variants::AUTO,
};

/// Compares ranvil's kernels with each other, with the device's limits and with peers.
#[derive(Parser)]
#[command(name = "kbench", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    /// The device: an index of `ranvil --list-devices`, name=TEXT, uuid=HEX, pci=ADDRESS, or auto
    #[arg(long, global = true, env = "RANVIL_DEVICE", default_value = "auto")]
    pub device: DeviceSelector,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all is well; 1 a check failed: wrong results, a verdict that --fail-on names, code worse than its baseline; \
2 usage; 3 it could not be done: no such device, a software device without --allow-software, unreadable files; \
130, 143 and the like: a signal ended it, and --json holds what was measured before; 141 the reader of standard output closed the pipe.";

#[derive(Subcommand)]
pub enum Command {
    /// Kernels, their variants, what those need, and whether the device has it
    List,
    /// Every variant against its CPU twin, the CPU's coder and the recorded checksum
    Verify(Verify),
    /// Speeds of one or several variants
    Measure {
        #[command(flatten)]
        forms: Forms,
        #[command(flatten)]
        clocks: Clocks,
        #[command(flatten)]
        work: Work,
        #[command(flatten)]
        output: Output,
    },
    /// Speeds while one parameter goes from one value to another
    Sweep {
        /// block, size, workgroup (doubling), segment-log or table-log (one by one): block=64K..1M
        range: Range,
        #[command(flatten)]
        forms: Forms,
        #[command(flatten)]
        clocks: Clocks,
        #[command(flatten)]
        work: Work,
        #[command(flatten)]
        output: Output,
    },
    /// Two variants in turns, on the device's clock: is B faster than A?
    Compare {
        /// The baseline: a variant and parameters, such as auto or subgroup32+streams4,block=64K
        a: String,
        /// The candidate; or all: every variant and experiment that the device runs, one after the other
        b: String,
        #[command(flatten)]
        work: Work,
        #[command(flatten)]
        output: Output,
        /// Differences in speed that do not matter, in percent
        #[arg(long, value_name = "PERCENT", value_parser = within::<0, 50>, default_value = "1")]
        margin: f64,
        /// Verdicts that make the exit code 1
        #[arg(long, value_delimiter = ',', value_name = "VERDICT")]
        fail_on: Vec<Verdict>,
    },
    /// Small inputs from host memory and back: device, CPU, and what the scheduler makes of both
    Small(Small),
    /// What the device does at most: copies, link, shared memory, integers
    Limits {
        #[command(flatten)]
        timing: Timing,
        #[command(flatten)]
        output: Output,
    },
    /// How near each kernel comes to those limits, on the kernels' clock
    Roofline {
        #[command(flatten)]
        forms: Forms,
        #[command(flatten)]
        work: Work,
        #[command(flatten)]
        output: Output,
    },
    /// Records as one HTML page with charts, as CSV or as Markdown
    Report(Report),
    /// What a driver's compiler makes of every kernel and variant; AMD's needs no GPU
    Static(Static),
}

#[derive(Args)]
pub struct Verify {
    /// Coders
    #[arg(long, value_delimiter = ',', default_value = "rans,fse,huff")]
    pub coder: Vec<Coder>,
    /// Directions
    #[arg(long, value_delimiter = ',', default_value = "encode,decode")]
    pub direction: Vec<Direction>,
    /// Only variants whose names contain this
    #[arg(long, default_value = "")]
    pub variant: String,
    /// A data set, or a file
    #[arg(long, default_value = "mixed")]
    pub data: String,
    /// Raw bytes
    #[arg(long, value_parser = size::parse, default_value = "200K")]
    pub size: u64,
    /// Raw bytes of a block
    #[arg(long, value_parser = size::parse, default_value = "48K")]
    pub block: u64,
    /// The checksums of what data is encoded to; else those of the repository
    #[arg(long, value_name = "FILE")]
    pub checksums: Option<PathBuf>,
    /// Record the checksums of this data, size and block size in that file, if nothing is wrong otherwise
    #[arg(long)]
    pub update_checksums: bool,
    /// Fail where no checksum is recorded
    #[arg(long, conflicts_with = "update_checksums")]
    pub recorded: bool,
    /// Internal: only the forms that would be checked, one a line
    #[arg(long, hide = true)]
    pub names: bool,
}

/// In which forms.
#[derive(Args)]
pub struct Forms {
    /// Variants of `kbench list`, with +EXPERIMENT if wanted; auto is what the product takes
    #[arg(long, value_delimiter = ',', default_value = AUTO)]
    pub variant: Vec<String>,
}

/// By which clocks.
#[derive(Args)]
pub struct Clocks {
    /// kernel: each kernel; device: all kernels of a direction; host: from host memory and back
    #[arg(long, value_delimiter = ',', default_value = "kernel,device")]
    pub clock: Vec<Clock>,
}

/// What is measured.
#[derive(Args)]
pub struct Work {
    /// Coders
    #[arg(long, value_delimiter = ',', default_value = "rans,fse,huff")]
    pub coder: Vec<Coder>,
    /// Directions
    #[arg(long, value_delimiter = ',', default_value = "encode,decode")]
    pub direction: Vec<Direction>,
    #[command(flatten)]
    pub source: Source,
    /// Raw bytes that the data is repeated to; 1G, or 4M on a software device
    #[arg(long, value_parser = size::parse)]
    pub size: Option<u64>,
    /// Raw bytes of a block
    #[arg(long, value_parser = size::parse, default_value = "256K")]
    pub block: u64,
    /// Raw bytes of a segment are 2^N
    #[arg(long, value_name = "N", default_value_t = 14)]
    pub segment_log: u8,
    /// Force the table log
    #[arg(long, value_name = "N")]
    pub table_log: Option<u8>,
    /// Force the invocations of a workgroup that codes segments
    #[arg(long, value_name = "N")]
    pub workgroup: Option<u32>,
    /// Let encoding bring the payloads together too, as on a device behind a link
    #[arg(long)]
    pub gather: bool,
    #[command(flatten)]
    pub timing: Timing,
}

/// What is coded.
#[derive(Args)]
pub struct Source {
    /// A data set (alice, mixed, dickens, silesia6, bf16, bc7, arrow), or a file
    #[arg(long, default_value = "mixed")]
    pub data: String,
}

/// How long to go on.
#[derive(Args)]
pub struct Timing {
    /// Seconds to measure each thing on each clock, at least
    #[arg(long, value_name = "SECONDS", value_parser = within::<0, 3600>, default_value = "0.5")]
    pub least: f64,
    /// The same, at most
    #[arg(long, value_name = "SECONDS", value_parser = within::<0, 3600>, default_value = "3")]
    pub most: f64,
    /// Until the interval of the median is this narrow, in percent to either side
    #[arg(long, value_name = "PERCENT", value_parser = within::<0, 100>, default_value = "0.5")]
    pub precision: f64,
    /// Confidence of intervals, in percent
    #[arg(long, value_name = "PERCENT", value_parser = within::<50, 100>, default_value = "95")]
    pub confidence: f64,
}

/// Inputs through the library.
#[derive(Args)]
pub struct Small {
    /// Pipelines
    #[arg(long, value_delimiter = ',', default_value = "rans,fse,huff,lzseqr")]
    pub pipeline: Vec<Pipeline>,
    /// Directions
    #[arg(long, value_delimiter = ',', default_value = "encode,decode")]
    pub direction: Vec<Direction>,
    /// Raw bytes of an input, in ascending order
    #[arg(long, value_parser = size::parse, value_delimiter = ',', default_value = "64K,1M,16M")]
    pub size: Vec<u64>,
    /// CPU threads, also beside the device
    #[arg(short = 'T', long, value_name = "N", default_value_t = 1)]
    pub threads: usize,
    #[command(flatten)]
    pub source: Source,
    #[command(flatten)]
    pub timing: Timing,
    #[command(flatten)]
    pub output: Output,
}

/// What is left behind.
#[derive(Args)]
pub struct RecordFile {
    /// Also write everything, raw samples included, to a JSON file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Overwrite that file if it exists
    #[arg(short, long)]
    pub force: bool,
}

/// What is left behind, of which devices.
#[derive(Args)]
pub struct Output {
    #[command(flatten)]
    pub record: RecordFile,
    /// Measure a software device, whose speed says nothing about a GPU; all figures are marked
    #[arg(long)]
    pub allow_software: bool,
}

#[derive(Args)]
pub struct Report {
    /// JSON files of kbench; and rows of peers, as nvcomp_bench prints them
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value = "html")]
    pub format: Format,
    /// Where to; else to standard output
    #[arg(short, long)]
    pub output: Option<PathBuf>,
    /// Overwrite that file if it exists
    #[arg(short, long)]
    pub force: bool,
    /// The variant that others are compared with
    #[arg(long, default_value = AUTO)]
    pub baseline: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Html,
    Csv,
    Markdown,
}

#[derive(Args)]
pub struct Static {
    /// Ask the device's own driver instead of AMD's compiler
    #[arg(long)]
    pub own: bool,
    /// Record what is found as the baseline: of all kernels
    #[arg(long, conflicts_with_all = ["own", "kernel"])]
    pub update_baseline: bool,
    /// Pass although the baseline is of another compiler, with which nothing can be compared
    #[arg(long, conflicts_with_all = ["own", "update_baseline"])]
    pub other_compiler: bool,
    /// The baseline's file
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/amd.tsv"))]
    pub baseline: PathBuf,
    /// Only kernels whose names contain this; nothing is then compared with the baseline
    #[arg(long)]
    pub kernel: Option<String>,
    #[command(flatten)]
    pub record: RecordFile,
    /// Internal: compile for the chip that RADV was told of, and print JSON
    #[arg(long, hide = true)]
    pub child: bool,
}

/// Arguments that make no sense, which only shows when they are put together.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A number of seconds or percent between these.
fn within<const LOW: u32, const HIGH: u32>(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|v| (f64::from(LOW)..=f64::from(HIGH)).contains(v));
    value.ok_or_else(|| format!("expected a number from {LOW} to {HIGH}"))
}

/// A parameter's range, such as `block=64K..1M`.
#[derive(Clone, Debug)]
pub struct Range {
    pub param: Param,
    pub values: Vec<u64>,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, range) = text.split_once('=').ok_or("expected PARAM=FROM..TO")?;
        let (from, to) = range.split_once("..").ok_or("expected PARAM=FROM..TO")?;
        let (param, from, to): (Param, _, _) =
            (name.parse()?, size::parse(from)?, size::parse(to)?);
        if from > to {
            return Err(format!("{range} holds no value"));
        }
        let mut ends = Params::default();
        ends.set(param, from)?;
        ends.set(param, to)?;
        let next = |&value: &u64| Some(if param.doubles() { 2 * value } else { value + 1 });
        let values = std::iter::successors(Some(from), next).take_while(|&value| value <= to);
        Ok(Self { param, values: values.collect() })
    }
}

impl Work {
    /// Every combination of what is asked for, in these forms; `size` where nothing says how much.
    ///
    /// # Errors
    /// A parameter out of range.
    pub fn cases(&self, variants: &[String], size: u64) -> Result<Vec<Case>, String> {
        let mut base = Case::default();
        base.params.set(Param::Block, self.block)?;
        base.params.set(Param::SegmentLog, self.segment_log.into())?;
        base.params.set(Param::Size, self.size.unwrap_or(size))?;
        if let Some(log) = self.table_log {
            base.params.set(Param::TableLog, log.into())?;
        }
        if let Some(size) = self.workgroup {
            base.params.set(Param::Workgroup, size.into())?;
        }
        let mut cases = Vec::new();
        for &direction in &self.direction {
            base.params.gather = self.gather && direction == Direction::Encode;
            for &coder in &self.coder {
                for variant in variants {
                    let variant = variant.clone();
                    cases.push(Case { direction, coder, variant, ..base.clone() });
                }
            }
        }
        Ok(cases)
    }
}

impl Timing {
    pub fn effort(&self) -> Effort {
        Effort {
            least: Duration::from_secs_f64(self.least),
            most: Duration::from_secs_f64(self.most.max(self.least)),
            precision: self.precision / 100.0,
            confidence: self.confidence / 100.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn numbers_stay_within() {
        assert_eq!(within::<50, 100>("99.5"), Ok(99.5));
        for bad in ["nan", "inf", "1e300", "-1", "49.9", "101", "", "5x"] {
            assert!(within::<50, 100>(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn flags_reach_what_they_are_of() {
        let line = "kbench measure --precision 2 --confidence 90 --least 1 --most 4 --workgroup 64 \
                    --table-log 9 --gather --variant shared,auto";
        let Command::Measure { work, forms, .. } = Cli::parse_from(line.split_whitespace()).command
        else {
            panic!("another command")
        };
        let Effort { least, most, precision, confidence } = work.timing.effort();
        assert_eq!((precision, confidence), (0.02, 0.9));
        assert_eq!((least.as_secs(), most.as_secs()), (1, 4));
        let cases = work.cases(&forms.variant, 5).unwrap();
        assert_eq!(cases.len(), 2 * 3 * 2);
        for case in cases {
            let Params { workgroup, table_log, size, gather, .. } = case.params;
            assert_eq!((workgroup, table_log, size), (Some(64), Some(9), 5));
            assert_eq!(gather, case.direction == Direction::Encode, "nothing else gathers");
        }
    }

    #[test]
    fn ranges_double_or_count() {
        let values = |text: &str| text.parse::<Range>().map(|range| range.values);
        assert_eq!(values("block=64K..256K").unwrap(), [65536, 131_072, 262_144]);
        assert_eq!(values("segment-log=12..14").unwrap(), [12, 13, 14]);
        for bad in
            ["block", "block=1", "block=4..2", "block=0..4", "depth=1..2", "size=1..9999999T"]
        {
            assert!(values(bad).is_err(), "{bad} was accepted");
        }
    }
}
