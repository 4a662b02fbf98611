//! `--trace` and `--print-scheduler-stats`: what is told about a run when it is over, however it ended.

use std::{
    fs::{self, Metadata},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Result, bail};
use ranvil::{Options, Telemetry};

use crate::{
    args::is_dash,
    flags,
    input::identity,
    interrupt::Interrupt,
    output::{Target, is_stdout, same_file},
    report::{self, Status},
    stats::scheduler_line,
};

/// Events that a trace holds: some hundred megabytes of JSON. Those beyond are counted, not kept.
const MAX_EVENTS: usize = 1 << 20;

/// Collects what the flags ask for.
pub struct Watch {
    telemetry: Option<Telemetry>,
    /// Gone once it has been told.
    report: Arc<Mutex<Option<Report>>>,
}

/// What is told in the end, by the run or by the handler of Ctrl-C, where the run does not come to its end.
struct Report {
    telemetry: Telemetry,
    trace: Option<Trace>,
    prints_stats: bool,
}

/// A trace file, open but without its name yet.
struct Trace {
    target: Target,
    path: PathBuf,
    /// The file that it is to replace.
    old: Option<Metadata>,
}

impl Watch {
    /// Begins. The trace file is opened now: that it cannot be written is better known before the work than after it.
    ///
    /// # Errors
    /// If the trace file exists and may not be overwritten, is one of the `sources`, or its directory takes no file.
    pub fn begin(
        flags: &flags::Telemetry,
        overwrite: bool,
        sources: &[PathBuf],
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let trace = flags.trace.as_deref().map(|path| {
            if sources.iter().any(|source| same_file(source, path)) {
                bail!("the trace {} is a source itself", path.display());
            }
            Trace::open(path, overwrite, interrupt)
        });
        let trace = trace.transpose()?;
        let prints_stats = flags.print_scheduler_stats;
        let telemetry = match (&trace, prints_stats) {
            (Some(_), _) => Some(Telemetry::with_trace(MAX_EVENTS)),
            (None, true) => Some(Telemetry::new()),
            (None, false) => None,
        };
        let report = telemetry.clone().map(|telemetry| Report { telemetry, trace, prints_stats });
        let report = Arc::new(Mutex::new(report));
        let last = Arc::clone(&report);
        interrupt.before_exit(move || drop(tell(&last)));
        Ok(Self { telemetry, report })
    }

    /// What the options get; `None` if nothing is to be told.
    pub fn telemetry(&self) -> Option<&Telemetry> {
        self.telemetry.as_ref()
    }

    /// The same options, under watch.
    pub fn options(&self, options: Options) -> Options {
        match &self.telemetry {
            Some(telemetry) => options.telemetry(telemetry.clone()),
            None => options,
        }
    }

    /// Prints the statistics and writes the trace of a run that ended so. If either cannot be written that is reported and
    /// makes it a failure.
    pub fn end(self, status: Status) -> Status {
        match tell(&self.report) {
            Ok(()) => status,
            Err(error) => status.max(Status::of(&error).report("", &error)),
        }
    }
}

/// Tells it, unless that has been done; whoever comes second waits for the first.
fn tell(report: &Mutex<Option<Report>>) -> Result<()> {
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Report { telemetry, trace, prints_stats }) = report.take() else { return Ok(()) };
    let told = match prints_stats {
        true => report::tell(&scheduler_line(&telemetry.total())),
        false => Ok(()),
    };
    let traced = trace.map_or(Ok(()), |trace| trace.write(&telemetry));
    traced.and(told)
}

impl Trace {
    fn open(path: &Path, overwrite: bool, interrupt: &Interrupt) -> Result<Self> {
        if is_dash(path) || is_stdout(path) {
            bail!("--trace needs a file: standard output is for the data");
        }
        let old = fs::metadata(path).ok();
        let target = Target::file(path, overwrite, None, interrupt)?;
        Ok(Self { target, path: path.to_owned(), old })
    }

    fn write(mut self, telemetry: &Telemetry) -> Result<()> {
        let written = write_all(telemetry, &mut self.target);
        written.map_err(|error| self.target.write_error(error))?;
        log::info!("the trace is in {}", self.path.display());
        match self.target {
            // Whether the run was interrupted or not: what there is, is complete.
            Target::File(mut file) => {
                let now = fs::metadata(&self.path).ok();
                if now.as_ref().map(identity) != self.old.as_ref().map(identity) {
                    bail!("the trace is not written: {} is new", self.path.display());
                }
                file.complete(None)?;
                file.commit_anyway()
            }
            _ => Ok(()),
        }
    }
}

fn write_all(telemetry: &Telemetry, target: &mut Target) -> io::Result<()> {
    let mut out = BufWriter::new(target);
    telemetry.write_trace(&mut out)?;
    out.flush()
}
