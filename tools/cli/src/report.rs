//! Messages on standard error, and the exit status that a failure means.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Error};
use log::{Level, LevelFilter};

use crate::{
    args::{Verbosity, is_dash},
    closed,
};

/// How the run ended: the worst of all files. `--help` documents the numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Status {
    Done,
    Failed,
    /// The reader of standard output closed the pipe.
    ClosedPipe,
    Interrupted,
}

/// Exit status after Ctrl-C: 128 + SIGINT.
pub const INTERRUPTED: u8 = 130;

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Failed => 1,
            Status::ClosedPipe => 141, // 128 + SIGPIPE
            Status::Interrupted => INTERRUPTED,
        })
    }
}

impl Status {
    /// What an error means for the run.
    pub fn of(error: &Error) -> Self {
        for cause in error.chain() {
            if let Some(ranvil::Error::Cancelled) = cause.downcast_ref() {
                return Self::Interrupted;
            }
            if let Some(ClosedPipe) = cause.downcast_ref() {
                return Self::ClosedPipe;
            }
        }
        Self::Failed
    }

    /// Whether the run goes on with the next file.
    pub fn goes_on(self) -> bool {
        self <= Self::Failed
    }

    /// Says `ranvil: SUBJECT: REASON` for a failure. An interruption and a closed pipe are quiet.
    pub fn report(self, subject: &str, error: &Error) -> Self {
        if self == Self::Failed {
            let separator = if subject.is_empty() { "" } else { ": " };
            say(&format!("ranvil: {subject}{separator}{error:#}"));
        }
        self
    }
}

/// Standard output's reader went away.
#[derive(Debug)]
pub struct ClosedPipe;

impl std::error::Error for ClosedPipe {}

impl std::fmt::Display for ClosedPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reader of standard output closed the pipe")
    }
}

/// The error of a write to standard output.
pub fn stdout_error(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::new(ClosedPipe),
        _ => Error::new(error).context("cannot write standard output"),
    }
}

/// A path as messages show it.
pub fn name(path: &Path) -> String {
    if is_dash(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Writes a line to standard error. Nobody is left to tell if that fails.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Writes a line that was asked for to standard error.
///
/// # Errors
/// If it cannot be written.
pub fn tell(line: &str) -> anyhow::Result<()> {
    closed::check_stderr()
        .and_then(|()| writeln!(io::stderr().lock(), "{line}"))
        .context("cannot write standard error")
}

/// Whether summaries are printed: always with -v, on a terminal unless -q.
pub fn summaries(verbosity: Verbosity) -> bool {
    verbosity >= Verbosity::Verbose || verbosity == Verbosity::Normal && io::stderr().is_terminal()
}

/// Sends the library's log to standard error in this command's form.
pub fn init_log(verbosity: Verbosity) {
    let level = match verbosity {
        Verbosity::Quiet => LevelFilter::Error,
        Verbosity::Normal => LevelFilter::Warn,
        Verbosity::Verbose => LevelFilter::Info,
        Verbosity::Debug => LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_module("ranvil", level)
        .format(|out, record| {
            let level = match record.level() {
                Level::Warn => "warning".to_owned(),
                level => level.as_str().to_lowercase(),
            };
            writeln!(out, "ranvil: {level}: {}", record.args())
        })
        .init();
}
