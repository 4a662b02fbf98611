//! The one table of flags: help, man page and completions are generated from it.

use std::{env::ArgsOs, ffi::OsStr, io::Write, path::PathBuf};

use clap::{Parser, ValueEnum, error::ErrorKind};
use ranvil::Options;

use crate::{
    bench::BenchArgs,
    closed,
    flags::{self, Choice, Format, Resources, Telemetry, path},
    generate,
    level::refuse_two_digits,
    report::{self, Status},
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
    #[arg(value_name = "FILE", value_parser = path())]
    pub files: Vec<PathBuf>,

    /// Compress (the default)
    #[arg(short = 'z', long, overrides_with = "decompress", help_heading = "Operation")]
    pub compress: bool,

    /// Decompress
    ///
    /// FILE.rvl is restored as FILE. A name without the suffix .rvl needs -o or -c. The file says in which format it is:
    /// -1 to -9 and the other flags of the format are taken and have no effect, as in gzip and zstd, nor have they with -t and -l.
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
    #[arg(short, long, value_name = "FILE", value_parser = path(), conflicts_with_all = ["test", "list"], help_heading = "Output")]
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
    pub format: Format,

    #[command(flatten)]
    pub resources: Resources,

    #[command(flatten)]
    pub telemetry: Telemetry,

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

impl Verbosity {
    /// What so many `-v`, and `-q`, ask for.
    pub fn of(verbose: u8, quiet: bool) -> Self {
        match (verbose, quiet) {
            (0, true) => Self::Quiet,
            (0, false) => Self::Normal,
            (1, _) => Self::Verbose,
            _ => Self::Debug,
        }
    }
}

/// What is done with every file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Compress,
    Decompress,
    Test,
    List,
}

/// What the command line asks for.
pub enum Invocation {
    Files(Box<Args>),
    Bench(Box<BenchArgs>),
}

/// Parses the command line. For `--help` and `--version` there is nothing left to do but to end with the status that is
/// returned; errors of usage end the process (status 2).
///
/// `bench` is a subcommand as the first argument only: anywhere else it is a file's name.
pub fn parse() -> Result<Invocation, Status> {
    let mut arguments = std::env::args_os();
    let parsed = if std::env::args_os().nth(1).is_some_and(|argument| argument == "bench") {
        arguments.next();
        parse_as(arguments, BenchArgs::check).map(|args| Invocation::Bench(args.into()))
    } else {
        parse_as(arguments, Args::check).map(|args| Invocation::Files(args.into()))
    };
    parsed.map_err(|error| if error.use_stderr() { error.exit() } else { print_help(&error) })
}

/// Parses the arguments behind the first, the name of the command.
fn parse_as<A: Parser>(
    arguments: ArgsOs,
    check: impl FnOnce(&A) -> Result<(), (ErrorKind, String)>,
) -> Result<A, clap::Error> {
    let usage = |(kind, message): (ErrorKind, String)| A::command().error(kind, message);
    let parsed = A::try_parse_from(arguments);
    // Of -10 the level is wrong, not the flag -0; -T -12 has another reason.
    if parsed.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::UnknownArgument) {
        let mut flags = std::env::args_os().skip(1).take_while(|argument| argument != "--");
        flags.try_for_each(|flag| refuse_two_digits(&flag)).map_err(usage)?;
    }
    let args = parsed?;
    check(&args).map_err(usage)?;
    Ok(args)
}

/// Prints the help or the version to standard output, in colours if it is a terminal.
fn print_help(help: &clap::Error) -> Status {
    let printed = closed::check_stdout()
        .and_then(|()| help.print())
        .and_then(|()| std::io::stdout().flush())
        .map_err(report::stdout_error);
    match printed {
        Ok(()) => Status::Done,
        Err(error) => Status::of(&error).report("", &error),
    }
}

impl Args {
    /// The rules that span several flags.
    fn check(&self) -> Result<(), (ErrorKind, String)> {
        self.check_flags().map_err(|(kind, message)| (kind, message.to_owned()))?;
        let options = self.options().and_then(|options| {
            let options = match self.operation() {
                Operation::Compress => options,
                // The frames say what their pipelines are, and so which stages there are.
                _ => Options::new().devices(self.resources.devices().cloned()),
            };
            options.validate().map(|()| options)
        });
        let options = options.map_err(|error| (ErrorKind::ValueValidation, error.to_string()))?;
        match self.lists() || self.generate.is_some() {
            true => Ok(()),
            false => flags::check_environment(&options, &self.resources),
        }
    }

    /// Whether something is listed, and no file compressed, restored or tested.
    fn lists(&self) -> bool {
        self.list || self.list_devices || self.format.pipeline == Some(Choice::List)
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
        if self.format.pipeline == Some(Choice::List) && !self.files.is_empty() {
            return Err((ErrorKind::ArgumentConflict, "--pipeline list takes no files"));
        }
        let told = self.telemetry.trace.is_some() || self.telemetry.print_scheduler_stats;
        if told && self.lists() {
            return Err((
                ErrorKind::ArgumentConflict,
                "--trace and --print-scheduler-stats tell about a run; a list is none",
            ));
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
        Verbosity::of(self.verbose, self.quiet)
    }

    /// The library's options that the flags ask for.
    pub fn options(&self) -> ranvil::Result<Options> {
        flags::options(&self.format, &self.resources)
    }
}

/// Whether a path stands for standard input or output.
pub fn is_dash(path: impl AsRef<OsStr>) -> bool {
    path.as_ref() == "-"
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use ranvil::Pipeline;

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
        assert_eq!((args.resources.threads, args.files.len()), (4, 2));
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
            "ranvil --device 0,,1 a",
            "ranvil --stage0 both a",
            "ranvil --stage1 a",
            "ranvil -l --trace t a",
            "ranvil --list-devices --print-scheduler-stats",
            "ranvil --pipeline list --trace t",
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
        let level = |line: &str| parse(line).unwrap().format.level.0;
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
            assert_eq!(args.format.pipeline, Some(Choice::Pipeline(pipeline)));
        }
        for line in ["ranvil --pipeline", "ranvil --pipeline list", "ranvil --pipeline=list"] {
            assert_eq!(parse(line).unwrap().format.pipeline, Some(Choice::List), "{line}");
        }
    }

    #[test]
    fn devices_are_a_list() {
        let devices = |line: &str| {
            let args = parse(line).unwrap();
            args.resources.devices().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(devices("ranvil a").is_empty());
        assert_eq!(devices("ranvil --device cpu a"), ["cpu"]);
        assert_eq!(devices("ranvil --device 0,name=x,y a"), ["0", "name=x,y"]);
        assert_eq!(devices("ranvil --device 1 --device=0,2 a"), ["1", "0", "2"]);
    }

    #[test]
    fn two_dashes_end_the_flags() {
        assert_eq!(parse("ranvil -- -d").unwrap().files, [PathBuf::from("-d")]);
    }
}
