//! The subcommands that use a device.

use std::io::{Write, stdout};

use anyhow::{Result, anyhow, bail};
use ranvil::{DeviceSelector, testing::Gpu};

use crate::{
    args::{self, Output, Range, Work},
    case::{Case, Param},
    compare::{self, Verdict},
    data, limits, measure,
    record::{Device, Record},
    roofline::{self, Standing},
    size, small, table,
    variants::Entry,
    verify,
};

/// Host memory for staging, in bytes.
pub const STAGING: u64 = 1 << 30;

/// What is measured if nobody says how much.
const SIZE: u64 = 1 << 30;
const SOFTWARE_SIZE: u64 = 4 << 20;

/// A device, and a record to be filled.
struct Session {
    gpu: Gpu,
    record: Record,
}

impl Session {
    /// Opens a device for measuring.
    ///
    /// # Errors
    /// It cannot be opened, or it is a software device and nobody allowed that.
    fn open(selector: &DeviceSelector, output: &Output) -> Result<Self> {
        let gpu = Gpu::open(selector, STAGING)?;
        let info = gpu.info();
        let device = Device::new(info, gpu.subgroup());
        if device.software && !output.allow_software {
            bail!(
                "{} runs on the CPU: its speed is no result. With --allow-software it is measured, and all figures are marked",
                info.name
            );
        }
        writeln!(stdout(), "{}, {} {}", device.name, device.driver, device.driver_version)?;
        if device.software {
            writeln!(stdout(), "*** A SOFTWARE DEVICE: these figures say nothing about any GPU")?;
        }
        Ok(Self { gpu, record: Record::new(device) })
    }

    fn size(&self) -> u64 {
        if self.record.device.software { SOFTWARE_SIZE } else { SIZE }
    }

    /// Measures cases one by one and prints their rows.
    fn measure(&mut self, cases: &[Case], work: &Work) -> Result<()> {
        let data = data::load(&work.source.data).map_err(|error| anyhow!(error))?;
        writeln!(
            stdout(),
            "{}: {} repeated to {}",
            work.source.data,
            size::human(data.len() as u64),
            size::human(cases[0].params.size)
        )?;
        table::header(work.timing.confidence)?;
        for case in cases {
            let data = (work.source.data.as_str(), &data[..]);
            let rows = measure::case(&mut self.gpu, case, data, &work.clock, work.timing.effort())?;
            for row in &rows {
                table::row(row, self.record.device.software)?;
            }
            self.record.rows.extend(rows);
        }
        Ok(())
    }
}

/// Writes the record where it is wanted.
fn write(record: &Record, output: &Output) -> Result<bool> {
    if let Some(path) = &output.json {
        record.write(path)?;
    }
    Ok(true)
}

fn usage<T>(result: Result<T, String>) -> Result<T> {
    result.map_err(|message| anyhow!(message))
}

pub fn measure(selector: &DeviceSelector, work: &Work, output: &Output) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let cases = usage(work.cases(session.size()))?;
    session.measure(&cases, work)?;
    write(&session.record, output)
}

pub fn sweep(
    selector: &DeviceSelector,
    range: &Range,
    work: &Work,
    output: &Output,
) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let mut cases = Vec::new();
    for case in usage(work.cases(session.size()))? {
        for &value in &range.values {
            let mut case = case.clone();
            usage(case.params.set(range.param, value))?;
            cases.push(case);
        }
    }
    session.measure(&cases, work)?;
    write(&session.record, output)
}

pub fn compare(
    selector: &DeviceSelector,
    texts: [&String; 2],
    work: &Work,
    output: &Output,
    margin: f64,
    fail_on: &[Verdict],
) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let data = data::load(&work.source.data).map_err(|error| anyhow!(error))?;
    let mut good = true;
    for case in usage(work.cases(session.size()))? {
        let [a, b] = [usage(case.with(texts[0]))?, usage(case.with(texts[1]))?];
        let data = (work.source.data.as_str(), &data[..]);
        let comparison =
            compare::cases(&mut session.gpu, [&a, &b], data, work.timing.effort(), margin)?;
        table::comparison(&comparison, session.record.device.software)?;
        good &= !fail_on.contains(&comparison.verdict);
        session.record.comparisons.push(comparison);
    }
    write(&session.record, output)?;
    Ok(good)
}

pub fn limits(selector: &DeviceSelector, output: &Output) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let found = limits::measure(&mut session.gpu)?;
    limits::print(&found, if session.record.device.software { " (software)" } else { "" })?;
    session.record.limits = Some(found);
    write(&session.record, output)
}

pub fn roofline(selector: &DeviceSelector, work: &Work, output: &Output) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let cases = usage(work.cases(session.size()))?;
    let found = limits::measure(&mut session.gpu)?;
    let mark = if session.record.device.software { " (software)" } else { "" };
    limits::print(&found, mark)?;
    session.record.limits = Some(found);
    session.measure(&cases, work)?;
    let standings = session.record.rows.iter().filter_map(|row| Standing::of(row, &found));
    roofline::print(&standings.collect::<Vec<_>>(), mark)?;
    write(&session.record, output)
}

pub fn small(selector: &DeviceSelector, args: &args::Small) -> Result<bool> {
    let Session { gpu, mut record } = Session::open(selector, &args.output)?;
    // The library is to open it itself, and not to choose: that would be none for inputs like these.
    let device = DeviceSelector::Uuid(gpu.info().uuid);
    drop(gpu);
    let mark = if record.device.software { " (software)" } else { "" };
    let data = data::load(&args.source.data).map_err(|error| anyhow!(error))?;
    small::header()?;
    for &pipeline in &args.pipeline {
        for &direction in &args.direction {
            let first = record.small.len();
            for &size in &args.size {
                let raw: Vec<u8> = data.iter().copied().cycle().take(size as usize).collect();
                let (name, threads) = (args.source.data.as_str(), args.threads);
                let input = small::Input { pipeline, direction, name, raw: &raw, threads };
                let found = small::measure(&device, &input, args.timing.effort())?;
                small::row(&found, mark)?;
                record.small.push(found);
            }
            let crossover = small::crossover(&record.small[first..]);
            writeln!(stdout(), "{pipeline} {direction}: {crossover}{mark}")?;
        }
    }
    write(&record, &args.output)
}

pub fn verify(selector: &DeviceSelector, args: &args::Verify) -> Result<bool> {
    let mut gpu = Gpu::open(selector, STAGING)?;
    writeln!(stdout(), "{}, {} {}", gpu.info().name, gpu.info().driver, gpu.info().driver_version)?;
    let data = data::load(&args.data).map_err(|error| anyhow!(error))?;
    let (mut checked, mut wrong) = (0, 0);
    for &coder in &args.coder {
        for &direction in &args.direction {
            let mut case = Case { direction, coder, ..Case::default() };
            usage(case.params.set(Param::Block, args.block))?;
            usage(case.params.set(Param::Size, args.size))?;
            let wanted = |entry: &Entry| entry.name.contains(&args.variant);
            for finding in verify::case(&mut gpu, &case, &data, wanted)? {
                checked += 1;
                let verify::Finding { kernel, variant, outcome } = finding;
                match outcome {
                    Ok(()) => {
                        writeln!(stdout(), "{direction} {coder:<5}{kernel:<14}{variant:<28}right")?
                    }
                    Err(difference) => {
                        wrong += 1;
                        writeln!(
                            stdout(),
                            "{direction} {coder:<5}{kernel:<14}{variant:<28}WRONG: {difference}"
                        )?;
                    }
                }
            }
        }
    }
    writeln!(stdout(), "{checked} checked, {wrong} wrong")?;
    if checked == 0 {
        bail!("no variant was checked: does the name {:?} occur in `kbench list`?", args.variant);
    }
    Ok(wrong == 0)
}
