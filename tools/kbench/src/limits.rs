//! What a device does at most, measured on itself: copies, the host link, shared memory, integers.

use std::{
    fmt,
    io::{self, Write, stdout},
    time::Instant,
};

use anyhow::{Result, ensure};
use bytemuck::{bytes_of, cast_slice};
use ranvil::{
    kernel::{
        Binding, BindingDesc, BufferDesc, BufferId, Command, Form, KernelDesc, Recording, Role,
        Variant, words,
    },
    testing::{Gpu, Resident, Stamps},
};

use serde::{Deserialize, Serialize};

use crate::{
    measure::{DRIFT, Effort, WARM_UP, sample},
    record::Limits,
    stats::{self, Interval},
};

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

/// How often the link is measured at least: it takes a second and a half each time.
const LINK_SAMPLES: usize = 5;
/// Bytes of a copy over the host link.
const LINK_COPY: u64 = 32 << 20;
/// Invocations of a workgroup of these kernels.
const WORKGROUP: u32 = 256;
/// What results are overwritten with before they are checked.
const POISON: u32 = 0xdead_beef;
/// Chains, and steps of a round, of an invocation.
const CHAINS: u32 = 8;
const STEPS: u32 = 4;

/// The samples behind a limit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LimitRun {
    /// The limit's field in [`Limits`].
    pub limit: String,
    /// The kernel's form, as `KERNEL VARIANT`, with the CRC-32C of its SPIR-V module; the link is driven by the host.
    pub module: Option<(String, u32)>,
    /// Bytes or operations behind each sample.
    pub amount: f64,
    /// Nanoseconds, in the order in which they were taken.
    pub samples: Vec<f64>,
    pub confidence: f64,
    /// What is doubtful about it.
    pub notes: Vec<String>,
}

impl LimitRun {
    fn new(limit: &str, amount: f64, samples: Vec<f64>, effort: Effort) -> Self {
        let mut notes = stats::doubts(&samples, effort.confidence, effort.precision);
        notes.extend(stats::drifted(&samples, DRIFT));
        let (limit, confidence) = (limit.to_owned(), effort.confidence);
        Self { limit, module: None, amount, samples, confidence, notes }
    }

    /// Units per second.
    pub fn rate(&self) -> f64 {
        self.amount / stats::median(&self.samples) * 1e9
    }

    /// The interval of 10^9 units per second.
    pub fn interval(&self) -> Interval {
        let Interval { low, high } = stats::median_interval(&self.samples, self.confidence);
        Interval { low: self.amount / high, high: self.amount / low }
    }
}

/// What a step of a chain is: a multiplication with addition; three shifts with an exclusive or each; bytes loaded.
const MULTIPLY: f64 = 1.0;
const LOGIC: f64 = 6.0;
const LOAD: f64 = 4.0;

/// Measures all of them, each as long as the effort says.
pub fn measure(gpu: &mut Gpu, effort: Effort) -> Result<(Limits, Vec<LimitRun>)> {
    gpu.add_kernels(KERNELS);
    let mut runs = Vec::new();
    let mut run = |gpu: &mut Gpu, limit, kernel, each: f64| -> Result<f64> {
        let mut load = Load::new(gpu, kernel)?;
        let amount = each * load.steps();
        let samples = time(gpu, &mut load.resident, effort)?;
        let module = Some(module(gpu, kernel)?);
        runs.push(LimitRun { module, ..LimitRun::new(limit, amount, samples, effort) });
        Ok(runs[runs.len() - 1].rate())
    };
    let multiply = run(gpu, "multiply", "multiply", MULTIPLY)?;
    let logic = run(gpu, "logic", "logic", LOGIC)?;
    let shared = run(gpu, "shared", "loads", LOAD)?;
    runs.push(copy(gpu, effort)?);
    let copy = runs[runs.len() - 1].rate();
    let link = link(gpu, effort)?;
    let [upload, download] = [0, 1].map(|way| link.as_ref().map(|link| link[way].rate()));
    runs.extend(link.into_iter().flatten());
    Ok((Limits { copy, upload, download, shared, multiply, logic }, runs))
}

/// The form of one of this tool's kernels that runs on the device.
fn module(gpu: &Gpu, name: &str) -> Result<(String, u32)> {
    let kernel = KERNELS.iter().find(|kernel| kernel.name == name).expect("one of this tool's");
    let variant = gpu.suitable(kernel)?;
    Ok((format!("{name} {}", variant.name), crc32c::crc32c(cast_slice(variant.spirv))))
}

/// To the device and from it, if host and device do not share their memory. Each sample is the mean of many copies.
fn link(gpu: &mut Gpu, effort: Effort) -> Result<Option<[LimitRun; 2]>> {
    let mut ways: [Vec<f64>; 2] = Default::default();
    let start = Instant::now();
    while ways[0].len() < LINK_SAMPLES || start.elapsed() < effort.least {
        let Some(rates) = gpu.link_rates(LINK_COPY)? else { return Ok(None) };
        for (way, rate) in ways.iter_mut().zip([rates.up, rates.down]) {
            way.push(LINK_COPY as f64 / rate * 1e9);
        }
    }
    let [up, down] = ways;
    let run = |name, samples| LimitRun::new(name, LINK_COPY as f64, samples, effort);
    Ok(Some([run("upload", up), run("download", down)]))
}

/// A limit as people read it.
pub struct Limit<'a> {
    pub name: &'static str,
    /// 10^9 a second.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// What is behind it; records of before it was kept have none.
    pub run: Option<&'a LimitRun>,
}

impl fmt::Display for Limit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, unit, run } = self;
        write!(f, "{name}: {value:.1} G{unit}/s")?;
        let Some(run) = run else { return Ok(()) };
        write!(f, " {}", behind(*value, run))
    }
}

/// How sure a value is.
fn behind(value: f64, run: &LimitRun) -> String {
    let (precision, samples) = (100.0 * run.interval().precision(value), run.samples.len());
    let notes: String = run.notes.iter().map(|note| format!("; {note}")).collect();
    format!("±{precision:.2} % at {} %, {samples} samples{notes}", 100.0 * run.confidence)
}

/// Each limit, with the samples behind it if they are there.
pub fn lines<'a>(limits: &Limits, runs: &'a [LimitRun]) -> Vec<Limit<'a>> {
    let names = [
        ("copy", "copy within the device's memory, read + write", "B"),
        ("upload", "upload", "B"),
        ("download", "download", "B"),
        ("shared", "shared memory, conflict-free loads", "B"),
        ("multiply", "32-bit multiply-add", "op"),
        ("logic", "32-bit shift and logic", "op"),
    ];
    let line = |(field, name, unit)| {
        let run = runs.iter().find(|run| run.limit == field);
        Some(Limit { name, value: limits.get(field)? / 1e9, unit, run })
    };
    names.into_iter().filter_map(line).collect()
}

pub fn print(limits: &Limits, runs: &[LimitRun], mark: &str) -> io::Result<()> {
    for Limit { name, value, unit, run } in lines(limits, runs) {
        let rate = format!("G{unit}/s{mark}");
        let behind = run.map_or(String::new(), |run| behind(value, run));
        writeln!(stdout(), "{name:<46}{value:>10.1} {rate}  {behind}")?;
    }
    if limits.upload.is_none() {
        let shared = "host and device share their memory: nothing is uploaded or downloaded";
        writeln!(stdout(), "{shared}")?;
    }
    Ok(())
}

/// Bytes read and written by a copy of so many.
fn copied(size: u64) -> f64 {
    2.0 * size as f64
}

/// A copy within the device's memory, read and write counted.
fn copy(gpu: &mut Gpu, effort: Effort) -> Result<LimitRun> {
    // Ten times a large cache.
    let most = if gpu.info().software { 16 << 20 } else { 512 << 20 };
    let size = gpu.max_buffer().min(most) / 16 * 16;
    let buffer = |name, role| BufferDesc { name, size, role };
    let binding = |buffer| Binding { buffer: BufferId(buffer), offset: 0, size };
    let recording = Recording {
        buffers: vec![buffer("from", Role::Upload), buffer("to", Role::Download)],
        commands: vec![Command::Dispatch {
            kernel: "copy",
            bindings: vec![binding(0), binding(1)],
            push: bytes_of(&CopyPush { count: (size / 16) as u32 }).to_vec(),
            spec: Vec::new(),
            segments: None,
            groups: if gpu.info().software { 16 } else { 8192 },
        }],
    };
    let bytes: Vec<u8> = (0..size).map(|at| (at ^ at >> 8 ^ at >> 16) as u8).collect();
    let mut inputs = vec![(BufferId(0), bytes)];
    let mut resident = gpu.reside(&recording, &inputs)?;
    gpu.poison(&mut resident, POISON)?;
    gpu.run(&mut resident)?;
    let (_, bytes) = inputs.remove(0);
    ensure!(gpu.read(&mut resident, BufferId(1))? == bytes, "a copy is wrong");
    let samples = time(gpu, &mut resident, effort)?;
    let run = LimitRun::new("copy", copied(size), samples, effort);
    Ok(LimitRun { module: Some(module(gpu, "copy")?), ..run })
}

/// Nanoseconds of a recording, warmed up.
fn time(gpu: &mut Gpu, resident: &mut Resident, effort: Effort) -> Result<Vec<f64>> {
    gpu.repeat(resident, 8, Stamps::Repetitions)?;
    let mut once = |samples: &mut Vec<f64>| -> Result<()> {
        let times = gpu.run(resident)?;
        ensure!(!times.is_empty(), "{} has no timestamps", gpu.info().name);
        samples.extend(times.iter().map(|command| command.time.as_nanos() as f64));
        Ok(())
    };
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        once(&mut Vec::new())?;
    }
    sample(effort, once)
}

/// One of the kernels of this tool, as much of it as takes a while.
pub struct Load {
    resident: Resident,
    groups: u32,
    rounds: u32,
}

impl Load {
    /// Uploads nothing, and verifies the kernel's results.
    pub fn new(gpu: &mut Gpu, kernel: &'static str) -> Result<Self> {
        let (groups, rounds) = if gpu.info().software { (16, 16) } else { (8192, 256) };
        let invocations = groups * WORKGROUP;
        let push = ArithmeticPush { rounds, factor: 0x9e37_79b1, term: 12_345 };
        let size = 4 * u64::from(invocations);
        let recording = Recording {
            buffers: vec![BufferDesc { name: "results", size, role: Role::Download }],
            commands: vec![Command::Dispatch {
                kernel,
                bindings: vec![Binding { buffer: BufferId(0), offset: 0, size }],
                push: bytes_of(&push).to_vec(),
                spec: Vec::new(),
                segments: None,
                groups,
            }],
        };
        let mut resident = gpu.reside(&recording, &[])?;
        gpu.poison(&mut resident, POISON)?;
        gpu.run(&mut resident)?;
        let results = gpu.read(&mut resident, BufferId(0))?;
        let results: &[u32] = cast_slice(&results);
        for at in [0, 1, WORKGROUP, invocations / 3, invocations - 1] {
            let found = results[at as usize];
            ensure!(found == twin(kernel, at, push), "{kernel}: invocation {at} is wrong");
        }
        Ok(Self { resident, groups, rounds })
    }

    /// Steps of all chains of all invocations.
    fn steps(&self) -> f64 {
        steps(self.groups, self.rounds)
    }

    /// Nanoseconds of one run; `None` if the device has no timestamps.
    pub fn once(&mut self, gpu: &mut Gpu) -> Result<Option<f64>> {
        Ok(gpu.run(&mut self.resident)?.first().map(|command| command.time.as_nanos() as f64))
    }
}

fn steps(groups: u32, rounds: u32) -> f64 {
    f64::from(groups * WORKGROUP) * f64::from(rounds * STEPS * CHAINS)
}

/// A load for calibration, which is none of the product's code: if its time changes, it was the device that changed.
pub fn calibration(gpu: &mut Gpu) -> Result<Load> {
    gpu.add_kernels(KERNELS);
    let mut load = Load::new(gpu, "logic")?;
    gpu.repeat(&mut load.resident, 1, Stamps::Repetitions)?;
    Ok(load)
}

/// What an invocation of one of the kernels computes.
fn twin(kernel: &str, invocation: u32, push: ArithmeticPush) -> u32 {
    let ArithmeticPush { rounds, factor, term } = push;
    let chain = |i: u32| -> u32 {
        let start = match kernel {
            "multiply" => invocation + i,
            "logic" => invocation.wrapping_mul(factor).wrapping_add(i + term),
            _ => (invocation % WORKGROUP + 256 * i + term) % 2048,
        };
        (0..rounds * STEPS).fold(start, |x, _| match kernel {
            "multiply" => x.wrapping_mul(factor).wrapping_add(term),
            "logic" => {
                let x = x ^ x << 13;
                let x = x ^ x >> 17;
                x ^ x << 5
            }
            _ => x.wrapping_add(factor.wrapping_mul(64)) % 2048,
        })
    };
    let chains = (0..CHAINS).map(chain);
    if kernel == "loads" { chains.sum() } else { chains.fold(0, |a, b| a ^ b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn a_limit_is_the_amount_over_the_median() {
        let (least, most) = Default::default();
        let effort = Effort { least, most, precision: 0.005, confidence: 0.95 };
        let mut samples = vec![50.0; 31];
        let run = LimitRun::new("upload", 100.0, samples.clone(), effort);
        assert_eq!(
            (run.rate(), run.interval(), run.notes),
            (2e9, Interval { low: 2.0, high: 2.0 }, vec![])
        );
        samples[0] = 500.0;
        let run = LimitRun::new("upload", 100.0, samples, effort);
        assert_eq!(run.notes, ["1 of 31 samples are outliers"]);
    }

    #[test]
    fn a_line_says_how_sure_it_is_where_that_is_known() {
        let record = record();
        let (limits, runs) = (record.limits.unwrap(), record.limit_runs);
        let texts = |runs: &[LimitRun]| -> Vec<String> {
            lines(&limits, runs).iter().map(ToString::to_string).collect()
        };
        let name = "copy within the device's memory, read + write: 4000.0 GB/s";
        assert_eq!(texts(&runs)[0], format!("{name} ±0.00 % at 95 %, 3 samples"));
        assert_eq!(texts(&[])[0], name);
        assert_eq!(texts(&runs)[1], "upload: 50.0 GB/s");
    }

    /// Against counting one by one, as `tools/kbench/kernels` do it.
    #[test]
    fn rates_count_what_the_kernels_do() {
        let mut loads = 0;
        for _invocation in 0..3 * WORKGROUP {
            for _round in 0..2 {
                loads += STEPS * CHAINS;
            }
        }
        assert_eq!(steps(3, 2), f64::from(loads));
        assert_eq!(LOAD * steps(3, 2), 4.0 * f64::from(loads), "4 bytes each");
        assert_eq!((MULTIPLY, LOGIC), (1.0, 6.0));
        assert_eq!(copied(1 << 30), f64::from(1 << 30) * 2.0, "read and written");
    }
}
