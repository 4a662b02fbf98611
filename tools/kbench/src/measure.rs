//! Takes samples of a case on each clock.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use ranvil::{
    format::BlockKind,
    testing::{CommandTime, Gpu, Stamps, Traffic},
};

use crate::{
    blocks::Blocks,
    case::{Case, Direction},
    clock::Clock,
    limits::{self, Load},
    record::{Data, Row},
    stats,
    subject::Subject,
};

/// Real work before any timing: a GPU's clocks are slow to rise.
pub const WARM_UP: Duration = Duration::from_millis(250);
const _: () =
    assert!(WARM_UP.as_millis() >= 250, "less leaves a large GPU at a fifth of its clock");
/// How long a run should take, so that what the host does in between counts little.
const RUN: Duration = Duration::from_millis(10);
const MOST_REPETITIONS: usize = 64;
/// Fewer samples say nothing.
const LEAST_SAMPLES: usize = 15;
/// The largest cache of any GPU so far (AMD's MI300, 256 MiB), twice.
const CACHE_RESISTANT: u64 = 512 << 20;
/// How much slower the device may become while it is measured.
pub const DRIFT: f64 = 0.03;

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// At least, and at most.
    pub least: Duration,
    pub most: Duration,
    /// Until half of the interval is less than this part of the median.
    pub precision: f64,
    pub confidence: f64,
}

/// Samples of a case.
pub struct Measured {
    /// By kernel, in their order, on the kernels' clock; else one series without a name.
    pub series: Vec<(Option<&'static str>, Vec<f64>)>,
    pub calibration: Vec<f64>,
}

impl Measured {
    fn push(&mut self, name: Option<&'static str>, sample: f64) {
        match self.series.iter_mut().find(|(known, _)| *known == name) {
            Some((_, samples)) => samples.push(sample),
            None => self.series.push((name, vec![sample])),
        }
    }
}

/// Verifies a case and measures it on each clock.
///
/// # Errors
/// The variant does not compute what the CPU does: there is no speed then; or the device's.
pub fn case(
    gpu: &mut Gpu,
    case: &Case,
    (name, data): (&str, &[u8]),
    clocks: &[Clock],
    effort: Effort,
) -> Result<Vec<Row>> {
    let blocks = Blocks::new(case, data, gpu.max_buffer())?;
    let mut subjects = [Subject::new(gpu, case, &blocks)?];
    verified(gpu, &mut subjects, |gpu, [subject]| {
        on_clocks(gpu, subject, &blocks, name, clocks, effort)
    })
}

/// What is measured of subjects that compute the right bytes before it and after it.
///
/// # Errors
/// One of them does not: there is no speed then; or the measurement's.
pub fn verified<T, const N: usize>(
    gpu: &mut Gpu,
    subjects: &mut [Subject<'_>; N],
    measure: impl FnOnce(&mut Gpu, &mut [Subject<'_>; N]) -> Result<T>,
) -> Result<T> {
    subjects.iter_mut().try_for_each(|subject| verify(gpu, subject))?;
    let measured = measure(gpu, subjects)?;
    // Right before is not right after: a race may take its time.
    subjects.iter_mut().try_for_each(|subject| verify(gpu, subject))?;
    Ok(measured)
}

/// The rows of each clock.
fn on_clocks(
    gpu: &mut Gpu,
    subject: &mut Subject<'_>,
    blocks: &Blocks,
    name: &str,
    clocks: &[Clock],
    effort: Effort,
) -> Result<Vec<Row>> {
    let mut calibration = limits::calibration(gpu)?;
    let mut rows = Vec::new();
    for &clock in clocks {
        let measured = match clock {
            Clock::Kernel => on_device(gpu, subject, Stamps::Commands, effort, &mut calibration)?,
            Clock::Device => {
                on_device(gpu, subject, Stamps::Repetitions, effort, &mut calibration)?
            }
            Clock::Host => host_to_host(gpu, subject, blocks, effort)?,
        };
        for (kernel, samples) in measured.series {
            let mut row = row(subject, blocks, name, clock, effort.confidence);
            row.kernel = kernel.map(str::to_owned);
            row.samples = samples;
            row.calibration.clone_from(&measured.calibration);
            row.notes.extend(doubts(&row, effort));
            rows.push(row);
        }
    }
    Ok(rows)
}

/// # Errors
/// Other bytes than the CPU's.
pub fn verify(gpu: &mut Gpu, subject: &mut Subject<'_>) -> Result<()> {
    if let Err(difference) = subject.verify(gpu)? {
        bail!(Wrong(format!("{}: {difference}; it has no speed", subject.case)));
    }
    Ok(())
}

/// A variant that computes something else.
#[derive(Debug)]
pub struct Wrong(pub String);

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

/// A row without samples.
pub fn row(
    subject: &Subject<'_>,
    blocks: &Blocks,
    name: &str,
    clock: Clock,
    confidence: f64,
) -> Row {
    Row {
        case: subject.case.clone(),
        clock,
        kernel: None,
        modules: subject.modules(),
        data: Data {
            name: name.to_owned(),
            bytes: subject.work.raw_bytes(),
            crc32c: blocks.crc32c(),
        },
        coded_bytes: subject.work.coded_bytes(),
        working_set: subject.work.working_set(),
        verified: true,
        samples: Vec::new(),
        calibration: Vec::new(),
        confidence,
        notes: Vec::new(),
    }
}

/// Finds how often a run repeats the work, having warmed up.
pub fn warm_up(gpu: &mut Gpu, subject: &mut Subject<'_>, stamps: Stamps) -> Result<()> {
    subject.repeat(gpu, 1, stamps)?;
    let start = Instant::now();
    let mut runs = 0;
    while runs == 0 || start.elapsed() < WARM_UP {
        let times = subject.run(gpu)?;
        if times.is_empty() {
            bail!("{} has no timestamps: measure with --clock host", gpu.info().name);
        }
        runs += 1;
    }
    // The last run tells how long one takes now.
    let once: Duration = subject.run(gpu)?.iter().map(|command| command.time).sum();
    let times = RUN.as_secs_f64() / once.as_secs_f64().max(1e-6);
    subject.repeat(gpu, (times as usize).clamp(1, MOST_REPETITIONS), stamps)
}

fn on_device(
    gpu: &mut Gpu,
    subject: &mut Subject<'_>,
    stamps: Stamps,
    effort: Effort,
    calibration: &mut Load,
) -> Result<Measured> {
    warm_up(gpu, subject, stamps)?;
    let commands = subject.work.recording().commands.len();
    let mut measured = Measured { series: Vec::new(), calibration: Vec::new() };
    sample(effort, |totals| {
        measured.calibration.extend(calibration.once(gpu)?);
        let times = subject.run(gpu)?;
        let each = if stamps == Stamps::Commands { commands } else { 1 };
        let total = |run: &[CommandTime]| run.iter().map(|c| nanoseconds(c.time)).sum::<f64>();
        totals.extend(times.chunks(each).map(total));
        for command in &times {
            let name = (stamps == Stamps::Commands).then_some(command.name);
            measured.push(name, nanoseconds(command.time));
        }
        Ok(())
    })?;
    Ok(measured)
}

fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

fn host_to_host(
    gpu: &mut Gpu,
    subject: &Subject<'_>,
    blocks: &Blocks,
    effort: Effort,
) -> Result<Measured> {
    subject.take_device(gpu)?;
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut traffic = traffic(subject.case.direction, blocks);
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        gpu.send(&mut traffic, threads)?;
    }
    let samples = sample(effort, |samples| {
        samples.push(nanoseconds(gpu.send(&mut traffic, threads)?.time));
        Ok(())
    })?;
    if !arrived(&traffic, subject.case.direction, blocks) {
        bail!(Wrong(format!("{}: other bytes host to host; it has no speed", subject.case)));
    }
    Ok(Measured { series: vec![(None, samples)], calibration: Vec::new() })
}

/// The blocks as the accelerator takes them.
fn traffic(direction: Direction, blocks: &Blocks) -> Traffic {
    let raw: Vec<&[u8]> = blocks.iter().map(|(raw, _)| raw).collect();
    match direction {
        Direction::Encode => Traffic::encode(&raw, blocks.params),
        Direction::Decode => Traffic::decode(&blocks.to_decode()),
    }
}

/// Whether what came back is what the CPU makes of the blocks.
fn arrived(traffic: &Traffic, direction: Direction, blocks: &Blocks) -> bool {
    match direction {
        Direction::Encode => {
            traffic.encoded().zip(blocks.iter()).all(|((encoded, payload), (_, block))| {
                let same = (encoded.kind, encoded.table_log) == (block.kind, block.table_log);
                same && (block.kind == BlockKind::Stored || payload == block.payload)
            })
        }
        Direction::Decode => {
            traffic.decoded().zip(blocks.iter()).all(|(found, (raw, _))| found == Ok(raw))
        }
    }
}

/// Calls `more`, which adds samples, until they are enough.
pub fn sample(
    effort: Effort,
    mut more: impl FnMut(&mut Vec<f64>) -> Result<()>,
) -> Result<Vec<f64>> {
    let start = Instant::now();
    let mut looked = Duration::ZERO;
    let mut samples = Vec::new();
    loop {
        more(&mut samples).context("while measuring")?;
        let elapsed = start.elapsed();
        if elapsed >= effort.most && samples.len() >= 2 {
            return Ok(samples);
        }
        // Looking takes time too: now and then is enough.
        let time = elapsed >= effort.least && elapsed - looked > effort.least / 4;
        if time && samples.len() >= LEAST_SAMPLES {
            looked = elapsed;
            if precise(&samples, effort) {
                return Ok(samples);
            }
        }
    }
}

/// Whether the median of the samples is as sure as is asked for.
fn precise(samples: &[f64], effort: Effort) -> bool {
    let interval = stats::median_interval(samples, effort.confidence);
    interval.precision(stats::median(samples)) <= effort.precision
}

/// What is doubtful about a row's samples.
pub fn doubts(row: &Row, effort: Effort) -> Vec<String> {
    let samples = &row.samples;
    let mut notes = stats::doubts(samples, row.confidence, effort.precision);
    let calibration = if row.calibration.len() < 3 { 1.0 } else { stats::drift(&row.calibration) };
    if calibration > 1.0 + DRIFT {
        notes.push(format!(
            "the device throttled: calibration took {:.0} % longer in the end",
            100.0 * (calibration - 1.0)
        ));
    } else {
        notes.extend(stats::drifted(samples, DRIFT));
    }
    if row.clock != Clock::Host && row.working_set < CACHE_RESISTANT {
        notes.push("a cache may have held the data".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests;
