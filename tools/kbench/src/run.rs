//! The subcommands that use a device.

use std::{
    env,
    io::{self, Write, stdout},
};

use anyhow::{Result, anyhow, bail, ensure};
use ranvil::{DeviceSelector, testing::Gpu};

use crate::{
    args::{self, Forms, Output, Range, Usage, Work},
    case::Case,
    clock::Clock,
    compare::{self, ALL, Verdict},
    data,
    ledger::Ledger,
    limits,
    measure::{self, Effort},
    record::{Device, Record},
    roofline, size, small, table,
    variants::{self, AUTO},
};

/// Host memory for staging, in bytes.
pub const STAGING: u64 = 1 << 30;

/// What is measured if nobody says how much.
const SIZE: u64 = 1 << 30;
const SOFTWARE_SIZE: u64 = 4 << 20;

/// A device, and a record to be filled.
struct Session {
    gpu: Gpu,
    ledger: Ledger,
}

impl Session {
    /// Opens a device for measuring.
    ///
    /// # Errors
    /// It cannot be opened, or it is a software device and nobody allowed that; or the record cannot be written.
    fn open(selector: &DeviceSelector, output: &Output) -> Result<Self> {
        let json = Ledger::destination(&output.record)?;
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
        if env::var_os("RANVIL_VALIDATION").is_some_and(|value| !value.is_empty()) {
            writeln!(stdout(), "*** RANVIL_VALIDATION is set: what it does takes time too")?;
        }
        Ok(Self { gpu, ledger: Ledger::new(device, json) })
    }

    fn size(&self) -> u64 {
        if self.ledger.record.device.software { SOFTWARE_SIZE } else { SIZE }
    }

    /// Measures cases one by one and prints their rows.
    fn measure(&mut self, cases: &[Case], clocks: &[Clock], work: &Work) -> Result<()> {
        let Self { gpu, ledger } = self;
        let name = work.source.data.as_str();
        let data = load(name)?;
        let length = size::human(data.len() as u64);
        writeln!(stdout(), "{name}: {length} repeated to {}", repeated(cases))?;
        table::header(work.timing.confidence)?;
        for case in cases {
            let rows = measure::case(gpu, case, (name, &data), clocks, work.timing.effort());
            let Some(rows) = ledger.attempt(&case.to_string(), rows)? else { continue };
            // First of all they are kept: printing may fail.
            let first = ledger.record.rows.len();
            ledger.add(|record| record.rows.extend(rows));
            for row in &ledger.record.rows[first..] {
                table::row(row, ledger.record.device.software)?;
            }
        }
        Ok(())
    }

    /// Compares pairs one by one and prints the verdicts; false if one is among `fail_on`.
    fn compare(
        &mut self,
        pairs: &[[Case; 2]],
        data: (&str, &[u8]),
        effort: Effort,
        margin: f64,
        fail_on: &[Verdict],
    ) -> Result<bool> {
        let Self { gpu, ledger } = self;
        let mut good = true;
        for [a, b] in pairs {
            let found = compare::cases(gpu, [a, b], data, effort, margin);
            let found = ledger.attempt(&format!("{b}, beside {a}"), found)?;
            let Some(comparison) = found else { continue };
            good &= !fail_on.contains(&comparison.verdict);
            ledger.add(|record| record.comparisons.push(comparison.clone()));
            table::comparison(&comparison, ledger.record.device.software)?;
        }
        Ok(good)
    }

    /// Measures what the device does at most.
    fn limits(&mut self, effort: Effort) -> Result<()> {
        let (limits, runs) = limits::measure(&mut self.gpu, effort)?;
        self.ledger.add(|record| (record.limits, record.limit_runs) = (Some(limits), runs));
        Ok(())
    }

    fn print_limits(&self) -> io::Result<()> {
        let Record { limits, limit_runs, .. } = &self.ledger.record;
        limits.as_ref().map_or(Ok(()), |found| limits::print(found, limit_runs, self.ledger.mark()))
    }

    /// Measures cases and prints how near their kernels come to the limits, which were measured.
    fn stand(&mut self, cases: &[Case], work: &Work) -> Result<()> {
        self.print_limits()?;
        self.measure(cases, &[Clock::Kernel], work)?;
        let Ledger { record, .. } = &self.ledger;
        let standings = record.standings();
        roofline::print(&standings, self.ledger.mark())?;
        if let Some(text) = roofline::roofless(&record.rows) {
            writeln!(stdout(), "{text}")?;
        }
        Ok(())
    }
}

/// The size of all of them, or that each has its own.
fn repeated(cases: &[Case]) -> String {
    let size = cases[0].params.size;
    let same = cases.iter().all(|case| case.params.size == size);
    if same { size::human(size) } else { "the size of each row".to_owned() }
}

pub fn load(name: &str) -> Result<Vec<u8>> {
    let data = data::load(name).map_err(|error| anyhow!(error))?;
    ensure!(!data.is_empty(), "{name} is empty");
    Ok(data)
}

pub fn usage<T>(result: Result<T, String>) -> Result<T> {
    result.map_err(|message| Usage(message).into())
}

pub fn measure(
    selector: &DeviceSelector,
    forms: &Forms,
    clocks: &[Clock],
    work: &Work,
    output: &Output,
) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let cases = usage(work.cases(&forms.variant, session.size()))?;
    let outcome = session.measure(&cases, clocks, work);
    session.ledger.finish(outcome.map(|()| true))
}

pub fn sweep(
    selector: &DeviceSelector,
    range: &Range,
    forms: &Forms,
    clocks: &[Clock],
    work: &Work,
    output: &Output,
) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let mut cases = Vec::new();
    for case in usage(work.cases(&forms.variant, session.size()))? {
        for &value in &range.values {
            let mut case = case.clone();
            usage(case.params.set(range.param, value))?;
            cases.push(case);
        }
    }
    let outcome = session.measure(&cases, clocks, work);
    session.ledger.finish(outcome.map(|()| true))
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
    let cases = usage(work.cases(&[AUTO.to_owned()], session.size()))?;
    let mut pairs = Vec::new();
    let data = load(&work.source.data)?;
    for case in cases {
        let a = usage(case.with(texts[0]))?;
        if texts[1] == ALL {
            let others = compare::others(&session.gpu, &a, &data)?;
            pairs.extend(others.into_iter().map(|b| [a.clone(), b]));
        } else {
            pairs.push([a, usage(case.with(texts[1]))?]);
        }
    }
    let data = (work.source.data.as_str(), &data[..]);
    let outcome = session.compare(&pairs, data, work.timing.effort(), margin, fail_on);
    session.ledger.finish(outcome)
}

pub fn limits(selector: &DeviceSelector, effort: Effort, output: &Output) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    session.limits(effort)?;
    let outcome = session.print_limits();
    session.ledger.finish(outcome.map(|()| true).map_err(Into::into))
}

pub fn roofline(
    selector: &DeviceSelector,
    forms: &Forms,
    work: &Work,
    output: &Output,
) -> Result<bool> {
    let mut session = Session::open(selector, output)?;
    let cases = usage(work.cases(&forms.variant, session.size()))?;
    session.limits(work.timing.effort())?;
    let outcome = session.stand(&cases, work);
    session.ledger.finish(outcome.map(|()| true))
}

pub fn small(selector: &DeviceSelector, args: &args::Small) -> Result<bool> {
    if !args.size.is_sorted() || args.size.contains(&0) {
        return usage(Err("--size takes sizes above 0 in ascending order".to_owned()));
    }
    let Session { gpu, mut ledger } = Session::open(selector, &args.output)?;
    // The library is to open it itself, and not to choose: that would be none for inputs like these.
    let device = DeviceSelector::Uuid(gpu.info().uuid);
    ledger.record.modules = variants::product(&gpu)?;
    drop(gpu);
    let outcome = small_inputs(&device, args, &mut ledger);
    ledger.finish(outcome.map(|()| true))
}

/// Measures inputs one by one and prints where the crossover is.
fn small_inputs(device: &DeviceSelector, args: &args::Small, ledger: &mut Ledger) -> Result<()> {
    let data = load(&args.source.data)?;
    let (name, threads, mark) = (args.source.data.as_str(), args.threads, ledger.mark());
    small::header()?;
    for &pipeline in &args.pipeline {
        for &direction in &args.direction {
            let first = ledger.record.small.len();
            for &size in &args.size {
                let raw: Vec<u8> = data.iter().copied().cycle().take(size as usize).collect();
                let input = small::Input { pipeline, direction, name, raw: &raw, threads };
                let found = small::measure(device, &input, args.timing.effort());
                let what = format!("{direction} {pipeline}, {}", size::human(size));
                let Some(found) = ledger.attempt(&what, found)? else { continue };
                ledger.add(|record| record.small.push(found.clone()));
                small::row(&found, mark)?;
            }
            let crossover = small::crossover(&ledger.record.small[first..]);
            writeln!(stdout(), "{pipeline} {direction}: {crossover}{mark}")?;
        }
    }
    Ok(())
}
