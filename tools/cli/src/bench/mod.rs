//! `ranvil bench`: how fast a pipeline is, or one stage of it, from host memory to host memory.
//!
//! What is measured comes back first: a round trip is verified before any clock starts. Then one iteration, and with a
//! device at least a quarter of a second, goes uncounted; then come the iterations that count.

mod args;
mod data;
mod pipeline;
mod report;
mod stage;

pub use args::BenchArgs;

use std::{
    io::Cursor,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use ranvil::{ContentInfo, DeviceSelector, FrameKind, Options, Telemetry};

use self::{data::Data, report::Report};
use crate::{
    flags::{self, Choice, format_options},
    interrupt::Interrupt,
    report::Status,
    run::{list_pipelines, print},
    watch::Watch,
};

/// Work that devices get before it counts: clocks rise, drivers finish compiling.
const WARM_UP: Duration = Duration::from_millis(250);

/// What can be measured: the same work as often as it is asked for.
trait Work {
    /// Does the work once.
    fn run(&mut self, options: &Options, telemetry: Option<&Telemetry>) -> Result<Sample>;
}

/// Work that is ready to begin, and has been done once.
struct Prepared<'a> {
    work: Box<dyn Work + 'a>,
    /// What the content compresses to.
    coded_bytes: u64,
}

/// What is worked on.
struct Content {
    bytes: Vec<u8>,
    /// Raw bytes in a block and in a segment.
    block_size: usize,
    segment_size: usize,
}

/// One iteration.
#[derive(Clone, Copy)]
struct Sample {
    /// What counts.
    time: Duration,
    /// What came before: taking up the device.
    setup: Duration,
}

/// Runs the benchmark that the flags ask for.
///
/// # Errors
/// What prevents it.
pub fn run(args: &BenchArgs) -> Result<Status> {
    if args.format.pipeline == Some(Choice::List) {
        print(|out| Ok(list_pipelines(out)?))?;
        return Ok(Status::Done);
    }
    let interrupt = Interrupt::install()?;
    let watch = Watch::begin(&args.telemetry, args.force, &args.files, &interrupt)?;
    let measured = measure(args, &watch, &interrupt);
    let status = match measured {
        Ok(report) => match tell(args, &report) {
            Ok(()) => Status::Done,
            Err(error) => Status::of(&error).report("", &error),
        },
        Err(error) => Status::of(&error).report("bench", &flags::explain(&args.resources, error)),
    };
    Ok(watch.end(status))
}

/// Prints the result for people, and for programs if they ask for it.
fn tell(args: &BenchArgs, report: &Report<'_>) -> Result<()> {
    print(|out| Ok(writeln!(out, "{report}")?))?;
    if args.telemetry.print_scheduler_stats {
        crate::report::tell(&report.line())?;
    }
    Ok(())
}

fn measure<'a>(args: &'a BenchArgs, watch: &Watch, interrupt: &Interrupt) -> Result<Report<'a>> {
    let options = args.options()?.cancel(interrupt.token());
    let Data { bytes, name } = Data::load(&args.files, args.size)?;
    ensure!(!bytes.is_empty(), "there is nothing to measure: {name} is empty");
    interrupt.check()?;
    let (block_size, segment_size) = sizes(args)?;
    let content = Content { bytes, block_size, segment_size };
    let Prepared { mut work, coded_bytes } = match args.stage() {
        None => pipeline::prepare(args, &options, &content)?,
        Some(stage) => stage::prepare(stage, args, &options, &content, interrupt)?,
    };
    warm_up(work.as_mut(), args, &options)?;
    let sample = |_| work.run(&options, watch.telemetry());
    let samples = (0..args.iterations).map(sample).collect::<Result<Vec<_>>>()?;
    Ok(Report::new(args, name, &content, coded_bytes, &samples))
}

/// Bytes in a block and in a segment, of which an empty frame tells.
fn sizes(args: &BenchArgs) -> Result<(usize, usize)> {
    let options = format_options(&args.format)?.device(DeviceSelector::Cpu);
    match ranvil::inspect(Cursor::new(options.compress(&[])?))?.first().map(|frame| &frame.kind) {
        Some(FrameKind::Content(ContentInfo { block_size, segment_size, .. })) => {
            Ok((*block_size as usize, *segment_size as usize))
        }
        _ => bail!("internal error: no frame where one was written; please report it"),
    }
}

fn warm_up(work: &mut dyn Work, args: &BenchArgs, options: &Options) -> Result<()> {
    let start = Instant::now();
    work.run(options, None)?;
    while args.uses_device() && start.elapsed() < WARM_UP {
        work.run(options, None)?;
    }
    Ok(())
}
