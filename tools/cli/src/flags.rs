//! Flags that compressing, restoring and measuring share.

use std::path::PathBuf;

use clap::{
    Args,
    builder::{OsStringValueParser, TypedValueParser},
    error::ErrorKind,
    value_parser,
};
use ranvil::{Assignment, DeviceSelector, Options, Pipeline, SegmentProfile};

use crate::{level::Level, size};

/// What the bytes depend on.
#[derive(Args, Debug)]
#[command(next_help_heading = "Format")]
pub struct Format {
    #[command(flatten)]
    pub level: Level,

    /// What finds repetition and what codes the rest; without a NAME, a list of them [default: lzseqr]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = LIST, value_parser = pipelines())]
    pub pipeline: Option<Choice>,

    /// Block size in bytes: a power of two from 4K to 4M [default: 1M]
    ///
    /// Larger blocks come out smaller; blocks are coded at once on several threads and can be restored one by one.
    /// The pipelines stored, rans, fse and huff take 1M at most, and 256K by default.
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = parse_block_size)]
    pub block_size: Option<usize>,

    /// Segment length: long for throughput, 4 KiB for latency [default: throughput]
    #[arg(long, value_name = "PROFILE")]
    pub segment: Option<Segment>,

    /// Logarithm of the coding table's size [default: chosen for each block]
    ///
    /// 8 to 12 for the pipeline rans, 5 to 12 for fse, and 1 to 12, the longest code, for huff; the others take none.
    #[arg(long, value_name = "LOG", allow_negative_numbers = true, value_parser = value_parser!(u8).range(1..=12))]
    pub table_log: Option<u8>,
}

/// Who does the work. The bytes do not depend on it.
#[derive(Args, Debug)]
#[command(next_help_heading = "Resources")]
pub struct Resources {
    /// CPU threads; 0 is as many as the machine runs at once, less one in eight at most for devices
    #[arg(short = 'T', long, value_name = "N", allow_negative_numbers = true, default_value_t = 0, value_parser = value_parser!(u16).range(..=1024))]
    pub threads: u16,

    /// Host memory for blocks in flight [default: 256M, or 64M for each thread of the machine]
    #[arg(short = 'M', long, value_name = "SIZE", allow_hyphen_values = true, value_parser = size::parse)]
    pub memory: Option<u64>,

    /// Devices: cpu, auto, an index, name=TEXT, uuid=HEX or pci=ADDRESS; several with commas
    ///
    /// A name goes last in a list, as it may have commas itself; or give the flag several times.
    /// Without it the environment variable RANVIL_DEVICE decides, and without that auto: a hardware GPU if there is
    /// one and it pays, and the CPU. A device that is named but missing is an error. Of several devices each takes
    /// blocks as fast as it can.
    #[arg(long, value_name = "DEVICES", value_parser = parse_devices)]
    pub device: Vec<Devices>,

    /// Who does the first stage: cpu, gpu or auto
    ///
    /// The first stage is the model, or the entropy coder of a pipeline without a model. cpu and gpu are obeyed
    /// strictly, auto takes whichever is expected to finish first. Without it the device decides: cpu with
    /// --device cpu, auto with auto, and with a named device gpu for the entropy coder and cpu for the model,
    /// which has no kernels yet.
    #[arg(long, value_name = "WHO", value_parser = assignments())]
    pub stage0: Option<Assignment>,

    /// Who does the second stage, the entropy coder behind a model: cpu, gpu or auto
    #[arg(long, value_name = "WHO", value_parser = assignments())]
    pub stage1: Option<Assignment>,
}

/// The devices that one `--device` names.
#[derive(Clone, Debug)]
pub struct Devices(Vec<DeviceSelector>);

impl Resources {
    /// All devices that the flags name.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceSelector> {
        self.device.iter().flat_map(|Devices(devices)| devices)
    }
}

/// What is told about a run.
#[derive(Args, Debug)]
#[command(next_help_heading = "Telemetry")]
pub struct Telemetry {
    /// Write a trace of the run for Perfetto or chrome://tracing to FILE
    ///
    /// It has a row for every worker and every queue of a device. An existing FILE is only overwritten with -f. If
    /// the run fails, the trace has what happened until then.
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub trace: Option<PathBuf>,

    /// Print a line of the scheduler's statistics to standard error
    ///
    /// The line begins with SCHEDULER_STATS; docs/TELEMETRY.md explains its fields.
    #[arg(long)]
    pub print_scheduler_stats: bool,
}

/// What `--pipeline` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A list of the pipelines.
    List,
    Pipeline(Pipeline),
}

const LIST: &str = "list";

/// The environment variable that names the devices where no flag does.
const VARIABLE: &str = "RANVIL_DEVICE";

/// [`SegmentProfile`] as a flag's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Segment {
    Throughput,
    Latency,
}

impl From<Segment> for SegmentProfile {
    fn from(segment: Segment) -> Self {
        match segment {
            Segment::Throughput => Self::Throughput,
            Segment::Latency => Self::Latency,
        }
    }
}

/// The library's options that the flags ask for.
pub fn options(format: &Format, resources: &Resources) -> ranvil::Result<Options> {
    let mut options = format_options(format)?.threads(resources.threads.into());
    if let Some(bytes) = resources.memory {
        options = options.memory_limit(bytes);
    }
    // None is as if it had not been called.
    options = options.devices(resources.devices().cloned());
    if let Some(assignment) = resources.stage0 {
        options = options.stage0(assignment);
    }
    if let Some(assignment) = resources.stage1 {
        options = options.stage1(assignment);
    }
    Ok(options)
}

/// Refuses a RANVIL_DEVICE that decides, as no flag names a device, and that names none or does not go with the options.
pub fn check_environment(
    options: &Options,
    resources: &Resources,
) -> Result<(), (ErrorKind, String)> {
    let fits = || match DeviceSelector::list_from_env()? {
        Some(devices) => options.clone().devices(devices).validate(),
        None => Ok(()),
    };
    match resources.devices().next() {
        Some(_) => Ok(()),
        None => {
            fits().map_err(|error| (ErrorKind::ValueValidation, format!("{VARIABLE}: {error}")))
        }
    }
}

/// Says where a device was chosen that cannot be used, if no flag did it.
pub fn explain(resources: &Resources, error: anyhow::Error) -> anyhow::Error {
    let of_device = matches!(error.downcast_ref(), Some(ranvil::Error::Device(_)));
    let set = std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty());
    match of_device && set && resources.devices().next().is_none() {
        true => error.context(VARIABLE),
        false => error,
    }
}

/// Those of them that the bytes depend on.
pub fn format_options(format: &Format) -> ranvil::Result<Options> {
    let mut options = Options::new().table_log(format.table_log)?;
    if let Some(bytes) = format.block_size {
        options = options.block_size(bytes)?;
    }
    if let Some(Choice::Pipeline(pipeline)) = format.pipeline {
        options = options.pipeline(pipeline);
    }
    if let Level(Some(level)) = format.level {
        options = options.level(level)?;
    }
    if let Some(segment) = format.segment {
        options = options.segment(segment.into());
    }
    Ok(options)
}

/// A path. clap would say of an empty one that there is none.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|path| match path.is_empty() {
        true => Err("the path is empty"),
        false => Ok(PathBuf::from(path)),
    })
}

fn parse_block_size(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(size::parse(text)?).map_err(|error| error.to_string())?;
    let _ = Options::new().block_size(bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn parse_devices(text: &str) -> Result<Devices, String> {
    DeviceSelector::parse_list(text).map(Devices).map_err(|error| error.to_string())
}

fn pipelines() -> impl TypedValueParser<Value = Choice> {
    use clap::builder::{PossibleValue, PossibleValuesParser};
    let all = Pipeline::ALL.iter();
    let names =
        all.map(|pipeline| PossibleValue::new(pipeline.name()).help(pipeline.description()));
    let list = PossibleValue::new(LIST).help("print this list");
    PossibleValuesParser::new(names.chain([list])).try_map(|name| match name.as_str() {
        LIST => Ok(Choice::List),
        name => name.parse().map(Choice::Pipeline),
    })
}

fn assignments() -> impl TypedValueParser<Value = Assignment> {
    clap::builder::PossibleValuesParser::new(["cpu", "gpu", "auto"])
        .try_map(|name| name.parse::<Assignment>())
}
