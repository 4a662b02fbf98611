//! The one table of flags: help, man page and completions are generated from it.

use std::{ffi::OsStr, path::PathBuf};

use clap::{CommandFactory, Parser, ValueEnum, error::ErrorKind, value_parser};
use ranvil::{DeviceSelector, Options, Pipeline, SegmentProfile};

use crate::{
    generate,
    level::{Level, refuse_two_digits},
    size,
};

/// Compress or restore files, on the CPU or on any Vulkan GPU.
///
/// Compresses each FILE to FILE.rvl and keeps the source. With no FILE, or when FILE is -, it reads standard
/// input and writes standard output. The bytes do not depend on the device, the threads or the
/// machine.
#[derive(Parser, Debug)]
#[command(name = "ranvil", version, after_long_help = generate::after_help(), max_term_width = 100)]
pub struct Args {
    /// Files to work on; - is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Compress (the default)
    #[arg(short = 'z', long, overrides_with = "decompress", help_heading = "Operation")]
    pub compress: bool,

    /// Decompress
    ///
    /// FILE.rvl is restored as FILE. A name without the suffix .rvl needs -o or -c.
    #[arg(short, long, visible_alias = "uncompress", help_heading = "Operation")]
    pub decompress: bool,

    /// Test the integrity of compressed files; write nothing
    #[arg(short, long, conflicts_with_all = ["compress", "list"], help_heading = "Operation")]
    pub test: bool,

    /// List sizes, ratio, pipeline, blocks and checksum of compressed files
    ///
    /// Reads headers and indexes only; -t checks the content.
    #[arg(short, long, conflicts_with = "compress", help_heading = "Operation")]
    pub list: bool,

    /// List the Vulkan devices, and why one cannot be used
    #[arg(long, conflicts_with_all = ["files", "compress", "decompress", "test", "list"], help_heading = "Operation")]
    pub list_devices: bool,

    /// Print the man page or a shell's completions
    #[arg(long, value_name = "KIND", exclusive = true, help_heading = "Operation")]
    pub generate: Option<Generate>,

    /// Write to standard output; keep the sources
    #[arg(short = 'c', long, visible_alias = "to-stdout", conflicts_with_all = ["output", "test", "list"], help_heading = "Output")]
    pub stdout: bool,

    /// Write to FILE; - is standard output
    ///
    /// Takes one input.
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["test", "list"], help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Overwrite outputs, follow symbolic links, allow terminals
    ///
    /// Without it an existing output is never overwritten, a symbolic link or special file is compressed only
    /// with -c or -o, compressed data is not written to or read from a terminal, and a FILE.rvl is not compressed again.
    #[arg(short, long, help_heading = "Output")]
    pub force: bool,

    /// Keep the source (the default)
    #[arg(short, long, overrides_with = "rm", help_heading = "Output")]
    pub keep: bool,

    /// Remove the source once its output is written, synced and verified
    ///
    /// The output is read back and compared with what was read before. Needs an output file: not with -c, -t, -l or standard input.
    #[arg(long, overrides_with = "keep", conflicts_with_all = ["stdout", "test", "list"], help_heading = "Output")]
    pub rm: bool,

    #[command(flatten)]
    pub level: Level,

    /// What finds repetition and what codes the rest; without a NAME, a list of them [default: lzseqr]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = LIST, value_parser = pipelines(), help_heading = "Format")]
    pub pipeline: Option<Choice>,

    /// Block size in bytes: a power of two from 4K to 4M [default: 1M]
    ///
    /// Larger blocks come out smaller; blocks are coded at once on several threads and can be restored one by one.
    /// The pipelines stored, rans, fse and huff take 1M at most, and 256K by default.
    #[arg(long, value_name = "SIZE", value_parser = parse_block_size, help_heading = "Format")]
    pub block_size: Option<usize>,

    /// Segment length: long for throughput, 4 KiB for latency [default: throughput]
    #[arg(long, value_name = "PROFILE", help_heading = "Format")]
    pub segment: Option<Segment>,

    /// Logarithm of the coding table's size [default: chosen for each block]
    ///
    /// 8 to 12 for the pipeline rans, 5 to 12 for fse, and 1 to 12, the longest code, for huff; the others take none.
    #[arg(long, value_name = "LOG", value_parser = value_parser!(u8).range(1..=12), help_heading = "Format")]
    pub table_log: Option<u8>,

    /// CPU threads; 0 is as many as the machine runs at once
    #[arg(short = 'T', long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=1024), help_heading = "Resources")]
    pub threads: u16,

    /// Host memory for blocks in flight [default: 256M]
    #[arg(short = 'M', long, value_name = "SIZE", value_parser = size::parse, help_heading = "Resources")]
    pub memory: Option<u64>,

    /// Device: cpu, auto, an index, name=TEXT, uuid=HEX or pci=ADDRESS
    ///
    /// Without it the environment variable RANVIL_DEVICE decides, and without that auto: a hardware GPU for
    /// large inputs if there is one, and the CPU. A device that is named but missing is an error.
    #[arg(long, value_name = "DEVICE", value_parser = parse_device, help_heading = "Resources")]
    pub device: Option<DeviceSelector>,

    /// Print --list or --list-devices as JSON
    #[arg(long, help_heading = "Messages")]
    pub json: bool,

    /// No progress bar, summary or warnings; errors stay
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Print a summary for every file; twice: the library's log too
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Messages")]
    pub verbose: u8,
}

/// What `--pipeline` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// A list of the pipelines.
    List,
    Pipeline(Pipeline),
}

const LIST: &str = "list";

/// What `--generate` prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Generate {
    Man,
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
}

/// [`SegmentProfile`] as a flag's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
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

/// How much is said on standard error.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// Warnings; on a terminal, progress and summaries.
    Normal,
    /// Summaries always.
    Verbose,
    /// The library's log as well.
    Debug,
}

/// What is done with every file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Compress,
    Decompress,
    Test,
    List,
}

/// Parses the command line; prints and exits for `--help`, `--version` and errors of usage (status 2).
pub fn parse() -> Args {
    let mut arguments = std::env::args_os().skip(1).take_while(|argument| argument != "--");
    let checked = arguments.try_for_each(|argument| refuse_two_digits(&argument));
    let checked = checked.and_then(|()| {
        let args = Args::parse();
        args.check().map(|()| args)
    });
    checked.unwrap_or_else(|(kind, message)| Args::command().error(kind, message).exit())
}

impl Args {
    /// The rules that span several flags.
    fn check(&self) -> Result<(), (ErrorKind, String)> {
        self.check_flags().map_err(|(kind, message)| (kind, message.to_owned()))?;
        let options = self.options().and_then(|options| options.validate());
        options.map_err(|error| (ErrorKind::ValueValidation, error.to_string()))
    }

    fn check_flags(&self) -> Result<(), (ErrorKind, &'static str)> {
        let stdin = self.files.is_empty() || self.files.iter().any(is_dash);
        if self.output.is_some() && self.files.len() > 1 {
            return Err((
                ErrorKind::ArgumentConflict,
                "-o takes one input: one output cannot hold several files",
            ));
        }
        if self.rm && (stdin || self.output.as_deref().is_some_and(is_dash)) {
            return Err((
                ErrorKind::ArgumentConflict,
                "--rm needs a source file and an output file, not standard input or output",
            ));
        }
        if self.list && stdin {
            return Err((
                ErrorKind::MissingRequiredArgument,
                "--list needs files: it cannot seek in standard input",
            ));
        }
        if self.pipeline == Some(Choice::List) && !self.files.is_empty() {
            return Err((ErrorKind::ArgumentConflict, "--pipeline list takes no files"));
        }
        if self.json && !self.list && !self.list_devices {
            return Err((
                ErrorKind::MissingRequiredArgument,
                "--json needs --list or --list-devices",
            ));
        }
        Ok(())
    }

    pub fn operation(&self) -> Operation {
        match self {
            Self { list: true, .. } => Operation::List,
            Self { test: true, .. } => Operation::Test,
            Self { decompress: true, .. } => Operation::Decompress,
            _ => Operation::Compress,
        }
    }

    pub fn verbosity(&self) -> Verbosity {
        match (self.verbose, self.quiet) {
            (0, true) => Verbosity::Quiet,
            (0, false) => Verbosity::Normal,
            (1, _) => Verbosity::Verbose,
            _ => Verbosity::Debug,
        }
    }

    /// The library's options that the flags ask for.
    pub fn options(&self) -> ranvil::Result<Options> {
        let mut options = Options::new().threads(self.threads.into()).table_log(self.table_log)?;
        if let Some(bytes) = self.block_size {
            options = options.block_size(bytes)?;
        }
        if let Some(Choice::Pipeline(pipeline)) = self.pipeline {
            options = options.pipeline(pipeline);
        }
        if let Level(Some(level)) = self.level {
            options = options.level(level)?;
        }
        if let Some(segment) = self.segment {
            options = options.segment(segment.into());
        }
        if let Some(bytes) = self.memory {
            options = options.memory_limit(bytes);
        }
        if let Some(device) = &self.device {
            options = options.device(device.clone());
        }
        Ok(options)
    }
}

/// Whether a path stands for standard input or output.
pub fn is_dash(path: impl AsRef<OsStr>) -> bool {
    path.as_ref() == "-"
}

fn parse_block_size(text: &str) -> Result<usize, String> {
    let bytes = usize::try_from(size::parse(text)?).map_err(|error| error.to_string())?;
    let _ = Options::new().block_size(bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn parse_device(text: &str) -> Result<DeviceSelector, String> {
    text.parse().map_err(|error: ranvil::DeviceError| error.to_string())
}

fn pipelines() -> impl clap::builder::TypedValueParser<Value = Choice> {
    use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
    let all = Pipeline::ALL.iter();
    let names =
        all.map(|pipeline| PossibleValue::new(pipeline.name()).help(pipeline.description()));
    let list = PossibleValue::new(LIST).help("print this list");
    PossibleValuesParser::new(names.chain([list])).try_map(|name| match name.as_str() {
        LIST => Ok(Choice::List),
        name => name.parse().map(Choice::Pipeline),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, ErrorKind> {
        let args = Args::try_parse_from(line.split(' ')).map_err(|error| error.kind())?;
        args.check().map_err(|(kind, _)| kind)?;
        Ok(args)
    }

    #[test]
    fn the_table_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn letters_combine_as_in_gzip() {
        let args = parse("ranvil -dcfT4 a b").unwrap();
        assert!(args.decompress && args.stdout && args.force);
        assert_eq!((args.threads, args.files.len()), (4, 2));
        assert_eq!(parse("ranvil -dt a").unwrap().operation(), Operation::Test);
        assert_eq!(parse("ranvil -dl a").unwrap().operation(), Operation::List);
        assert_eq!(parse("ranvil -z a").unwrap().operation(), Operation::Compress);
    }

    #[test]
    fn the_last_of_two_opposites_wins() {
        assert_eq!(parse("ranvil -d -z a").unwrap().operation(), Operation::Compress);
        assert_eq!(parse("ranvil -z -d a").unwrap().operation(), Operation::Decompress);
        assert!(!parse("ranvil --rm -k a").unwrap().rm);
        assert!(parse("ranvil -k --rm a").unwrap().rm);
    }

    #[test]
    fn conflicts_are_errors_of_usage() {
        for line in [
            "ranvil -o x a b",
            "ranvil -o x -c a",
            "ranvil --rm -c a",
            "ranvil --rm -t a",
            "ranvil --rm",
            "ranvil --rm -",
            "ranvil --rm -o - a",
            "ranvil -l",
            "ranvil -l -t a",
            "ranvil --json a",
            "ranvil --block-size 5000 a",
            "ranvil --block-size 8M a",
            "ranvil --block-size 2M --pipeline rans a",
            "ranvil --table-log 11 a",
            "ranvil --table-log 7 --pipeline rans a",
            "ranvil --table-log 4 --pipeline fse a",
            "ranvil --table-log 13 --pipeline huff a",
            "ranvil --level 0 a",
            "ranvil --level 10 a",
            "ranvil -0 a",
            "ranvil --pipeline list a",
            "ranvil --pipeline zip a",
            "ranvil --device gpu a",
            "ranvil --segment big a",
            "ranvil -T x a",
            "ranvil --unknown",
            "ranvil --list-devices a",
        ] {
            assert!(parse(line).is_err(), "{line:?} was accepted");
        }
    }

    #[test]
    fn the_last_level_counts() {
        let level = |line: &str| parse(line).unwrap().level.0;
        assert_eq!(level("ranvil a"), None);
        for n in 1..=9 {
            assert_eq!(level(&format!("ranvil -{n} a")), Some(n));
            assert_eq!(level(&format!("ranvil --level {n} a")), Some(n));
            assert_eq!(level(&format!("ranvil -9f{n}c --level=2 -{n} a")), Some(n));
        }
        assert_eq!(level("ranvil --fast a"), Some(1));
        assert_eq!(level("ranvil -1 --best a"), Some(9));
        assert_eq!(level("ranvil --best --level 4 --level 5 a"), Some(5));
        for (argument, refused) in [("-12", true), ("-19", true), ("-9", false), ("-T16", false)] {
            assert_eq!(refuse_two_digits(argument.as_ref()).is_err(), refused, "{argument}");
        }
    }

    #[test]
    fn pipelines_are_chosen_by_name_or_listed() {
        for &pipeline in Pipeline::ALL {
            let args = parse(&format!("ranvil --pipeline {pipeline} -9 a")).unwrap();
            assert_eq!(args.pipeline, Some(Choice::Pipeline(pipeline)));
        }
        for line in ["ranvil --pipeline", "ranvil --pipeline list", "ranvil --pipeline=list"] {
            assert_eq!(parse(line).unwrap().pipeline, Some(Choice::List), "{line}");
        }
    }

    #[test]
    fn two_dashes_end_the_flags() {
        assert_eq!(parse("ranvil -- -d").unwrap().files, [PathBuf::from("-d")]);
    }
}
