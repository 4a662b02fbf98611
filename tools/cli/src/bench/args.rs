//! The flags of `ranvil bench`.

use std::path::PathBuf;

use clap::{ArgAction, Parser, ValueEnum, error::ErrorKind, value_parser};
use ranvil::{Assignment, DeviceSelector, Options, Pipeline};

use super::data::MAX_DATA;
use crate::{
    args::Verbosity,
    flags::{self, Choice, Format, Resources, Telemetry, path},
    level::Level,
    size::{self, human},
};

/// Measure how fast a pipeline is, or one stage of it
///
/// Works in memory, through the library's public interface: raw bytes to a compressed stream, or with -d back. The
/// FILEs are measured as one stream, one behind the other; - is standard input. Without any, data of --size bytes is
/// generated, always the same: text, records, samples and noise. Only results on your own data say much. All of it is in
/// memory, 4 GiB at most. A round trip is verified before anything is timed, and one iteration (with a device, at least
/// 0.25 s) is not counted. Opening a named device is not timed, and it stays open; starting the threads is timed.
#[derive(Parser, Debug)]
#[command(name = "bench", bin_name = "ranvil bench", max_term_width = 100, after_help = AFTER_HELP)]
pub struct BenchArgs {
    /// Raw files to measure with
    #[arg(value_name = "FILE", value_parser = path())]
    pub files: Vec<PathBuf>,

    /// Measure decompression; the FILEs are raw all the same
    #[arg(short, long, help_heading = "Measurement")]
    pub decompress: bool,

    /// Measure one stage alone
    ///
    /// On the CPU: its work on every block, on as many threads, without the engine around it, so that --device and
    /// --memory have no say and are refused. On a device, with the
    /// entropy stage there (--stage0 gpu, --stage1 gpu or a named --device): how long the device was busy.
    #[arg(long, value_name = "STAGE", help_heading = "Measurement")]
    stage: Option<StageName>,

    /// Iterations that are timed
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000_000), help_heading = "Measurement")]
    pub iterations: u32,

    /// Bytes to generate where there is no FILE [default: 256M]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = size::parse, conflicts_with = "files", help_heading = "Measurement")]
    pub size: Option<u64>,

    /// From slice to slice, without the copies of the stream adapters
    #[arg(long, conflicts_with = "stage", help_heading = "Measurement")]
    pub slices: bool,

    /// From slice to slice, in memory that devices read and write without a copy in between
    #[arg(long, conflicts_with_all = ["stage", "slices"], help_heading = "Measurement")]
    pub pinned: bool,

    #[command(flatten)]
    pub format: Format,

    #[command(flatten)]
    pub resources: Resources,

    #[command(flatten)]
    pub telemetry: Telemetry,

    /// Overwrite the trace
    #[arg(short, long, help_heading = "Telemetry")]
    pub force: bool,

    /// No warnings; errors stay
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// More of the library's log; twice: all of it
    #[arg(short, long, action = ArgAction::Count, help_heading = "Messages")]
    pub verbose: u8,
}

const AFTER_HELP: &str = "\
With --print-scheduler-stats a line PROFILE_STATS, the result for programs, comes before that line, on standard error. \
docs/TELEMETRY.md explains the fields of both lines.";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum StageName {
    /// What finds repetition and undoes it
    Model,
    /// What codes symbols
    Entropy,
    /// The first: the model, or the entropy coder of a pipeline without one
    #[value(name = "0")]
    First,
    /// The second: the entropy coder behind a model
    #[value(name = "1")]
    Second,
}

/// A stage by what it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    Model,
    Entropy,
}

impl BenchArgs {
    /// The rules that span several flags.
    pub fn check(&self) -> Result<(), (ErrorKind, String)> {
        let invalid = |message: String| Err((ErrorKind::ValueValidation, message));
        let options = self.options().and_then(|options| options.validate().map(|()| options));
        match options {
            Ok(options) => flags::check_environment(&options, &self.resources)?,
            Err(error) => return invalid(error.to_string()),
        }
        if self.size.is_some_and(|size| size > MAX_DATA) {
            return invalid(format!("--size is at most {}", human(MAX_DATA)));
        }
        let pipeline = self.pipeline();
        match (self.stage, pipeline.model()) {
            (Some(_), _) if pipeline == Pipeline::Stored => {
                invalid("the pipeline stored has no stages".to_owned())
            }
            (Some(StageName::Model | StageName::Second), None) => invalid(format!(
                "the pipeline {pipeline} has no model: its one stage is --stage entropy"
            )),
            (Some(_), _) if !self.uses_device() => self.check_cpu_stage(),
            _ => Ok(()),
        }
    }

    /// A stage on the CPU runs without the engine, which the flags of devices and memory are for.
    fn check_cpu_stage(&self) -> Result<(), (ErrorKind, String)> {
        let conflict = |message: &str| Err((ErrorKind::ArgumentConflict, message.to_owned()));
        let Resources { memory, .. } = self.resources;
        if self.resources.devices().any(|device| *device != DeviceSelector::Cpu) {
            return conflict(
                "--stage measures this stage on the CPU, where --device has no say: leave it out, \
                 or assign the entropy stage to a named device with --stage0 gpu or --stage1 gpu",
            );
        }
        match memory {
            Some(_) => conflict("--stage on the CPU has no blocks in flight for --memory to bound"),
            None => Ok(()),
        }
    }

    /// The library's options that the flags ask for.
    pub fn options(&self) -> ranvil::Result<Options> {
        let options = flags::options(&self.format, &self.resources)?;
        // A stage that is measured alone on a device has to run there.
        Ok(match self.stage() {
            Some(_) if !self.uses_device() => options,
            Some(Stage::Entropy) if self.pipeline().model().is_none() => {
                options.stage0(Assignment::Gpu)
            }
            Some(Stage::Entropy) => options.stage1(Assignment::Gpu),
            _ => options,
        })
    }

    pub fn verbosity(&self) -> Verbosity {
        Verbosity::of(self.verbose, self.quiet)
    }

    pub fn pipeline(&self) -> Pipeline {
        match self.format.pipeline {
            Some(Choice::Pipeline(pipeline)) => pipeline,
            _ => Pipeline::default(),
        }
    }

    /// The level; 0 for a pipeline that has none.
    pub fn level(&self) -> u8 {
        match (self.pipeline().model(), self.format.level) {
            (None, _) => 0,
            (Some(_), Level(level)) => level.unwrap_or(Options::DEFAULT_LEVEL),
        }
    }

    /// The one stage that is measured.
    pub fn stage(&self) -> Option<Stage> {
        let has_model = self.pipeline().model().is_some();
        self.stage.map(|stage| match stage {
            StageName::Model => Stage::Model,
            StageName::First if has_model => Stage::Model,
            StageName::Entropy | StageName::First | StageName::Second => Stage::Entropy,
        })
    }

    /// The devices: those of the flags, or the environment's, or `auto`. What cannot be parsed is refused in `check`.
    pub fn devices(&self) -> Vec<DeviceSelector> {
        let named: Vec<_> = self.resources.devices().cloned().collect();
        if !named.is_empty() {
            return named;
        }
        DeviceSelector::list_from_env().ok().flatten().unwrap_or(vec![DeviceSelector::Auto])
    }

    /// Who does the stages: `docs/TELEMETRY.md` has the rules.
    pub fn assignments(&self) -> [Assignment; 2] {
        let devices = self.devices();
        let among = |device| devices.contains(&device);
        let entropy = if devices.iter().all(|device| *device == DeviceSelector::Cpu) {
            Assignment::Cpu
        } else if among(DeviceSelector::Auto) || among(DeviceSelector::Cpu) {
            Assignment::Auto
        } else {
            Assignment::Gpu
        };
        let Resources { stage0, stage1, .. } = self.resources;
        match self.pipeline().model() {
            Some(_) => [stage0.unwrap_or(Assignment::Cpu), stage1.unwrap_or(entropy)],
            None => [stage0.unwrap_or(entropy), Assignment::Cpu],
        }
    }

    /// Who does the stage that is measured, or the entropy stage if all are.
    pub fn mode(&self) -> Assignment {
        let [first, second] = self.assignments();
        let assignment = match (self.stage(), self.pipeline().model()) {
            (Some(Stage::Model), _) | (_, None) => first,
            _ => second,
        };
        match (self.stage(), assignment) {
            // Alone, there is nobody to share with.
            (Some(_), Assignment::Auto) => Assignment::Cpu,
            (_, assignment) => assignment,
        }
    }

    pub fn uses_device(&self) -> bool {
        self.mode() != Assignment::Cpu
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<BenchArgs> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        BenchArgs::try_parse_from(words).ok().filter(|args| args.check().is_ok())
    }

    #[test]
    fn stages_have_numbers_and_names() {
        for (line, stage) in [
            ("--stage model", Some(Stage::Model)),
            ("--stage 0", Some(Stage::Model)),
            ("--stage 1", Some(Stage::Entropy)),
            ("--stage 0 --pipeline huff", Some(Stage::Entropy)),
            ("--stage entropy --pipeline rans", Some(Stage::Entropy)),
            ("a", None),
        ] {
            assert_eq!(parse(line).unwrap().stage(), stage, "{line}");
        }
        for line in [
            "--stage model --pipeline rans",
            "--stage 1 --pipeline fse",
            "--stage 0 --pipeline stored",
            "--stage 2",
            "--iterations 0",
            "--size x",
            "--size 4097M",
            "--size 18446744073709551615",
            "--stage model -M 64M",
            "--stage entropy --memory 64M",
            "--stage model --device 0",
            "--stage entropy --device auto",
            "--stage entropy --device cpu,0",
            "--size 1M a",
            "--level 0",
            "--block-size 5000",
            "--stage0 both",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn devices_decide_who_does_the_stages() {
        use Assignment::{Auto, Cpu, Gpu};
        for (line, assignments, mode) in [
            ("--device cpu", [Cpu, Cpu], Cpu),
            ("--device auto", [Cpu, Auto], Auto),
            ("--device 0", [Cpu, Gpu], Gpu),
            ("--device 0,1 --pipeline rans", [Gpu, Cpu], Gpu),
            ("--device 0 --device 1 --pipeline rans --stage0 auto", [Auto, Cpu], Auto),
            ("--device 0 --stage1 cpu", [Cpu, Cpu], Cpu),
            ("--device cpu --stage model", [Cpu, Cpu], Cpu),
            ("--device 0 --stage entropy", [Cpu, Gpu], Gpu),
            ("--device 0 -M 64M --stage entropy", [Cpu, Gpu], Gpu),
            ("--device 0,cpu", [Cpu, Auto], Auto),
        ] {
            let args = parse(line).unwrap();
            assert_eq!((args.assignments(), args.mode()), (assignments, mode), "{line}");
        }
    }
}
