//! The loop over the files.

use std::{io::Write, path::PathBuf};

use anyhow::Result;
use ranvil::Pipeline;

use crate::{
    args::{Args, Operation},
    closed, devices,
    flags::Choice,
    generate,
    interrupt::Interrupt,
    job::Job,
    list,
    report::{self, Status},
    watch::Watch,
};

/// Does what the command line asks for. A failure of one file is reported here and does not stop the others.
///
/// # Errors
/// What prevents every file.
pub fn run(args: &Args) -> Result<Status> {
    if let Some(kind) = args.generate {
        print(|out| Ok(generate::generate(kind, out)?))?;
        return Ok(Status::Done);
    }
    if args.format.pipeline == Some(Choice::List) {
        print(|out| Ok(list_pipelines(out)?))?;
        return Ok(Status::Done);
    }
    if args.list_devices {
        print(|out| devices::list(args.json, out))?;
        return Ok(Status::Done);
    }
    if args.operation() == Operation::List {
        return list::list(&args.files, args.json);
    }
    let interrupt = Interrupt::install()?;
    let watch = Watch::begin(&args.telemetry, args.force, &args.files, &interrupt)?;
    let options = watch.options(args.options()?.cancel(interrupt.token()));
    log::debug!("{options:?}");
    let status = process_files(&Job { args, options, interrupt });
    Ok(watch.end(status))
}

/// Works on one file after the other.
fn process_files(job: &Job<'_>) -> Status {
    let Job { args, .. } = job;
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() { &stdin } else { args.files.as_slice() };
    let summaries = report::summaries(args.verbosity());
    let mut worst = Status::Done;
    for path in files {
        let status = match job.process(path) {
            Ok(summary) => {
                if summaries {
                    report::say(&summary.to_string());
                }
                Status::Done
            }
            Err(error) => Status::of(&error).report(&report::name(path), &error),
        };
        worst = worst.max(status);
        if !status.goes_on() {
            break;
        }
    }
    worst
}

/// A line for each pipeline.
pub fn list_pipelines(out: &mut dyn Write) -> std::io::Result<()> {
    let default = Pipeline::default();
    Pipeline::ALL.iter().try_for_each(|pipeline| {
        let mark = if *pipeline == default { " (the default)" } else { "" };
        writeln!(out, "{:7}  {}{mark}", pipeline.name(), pipeline.description())
    })
}

/// Writes text to standard output.
///
/// # Errors
/// Among them that the reader closed the pipe.
pub fn print(write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut text = Vec::new();
    write(&mut text)?;
    closed::check_stdout()
        .and_then(|()| std::io::stdout().write_all(&text))
        .and_then(|()| std::io::stdout().flush())
        .map_err(report::stdout_error)
}
