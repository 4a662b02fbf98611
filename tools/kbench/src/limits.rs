//! What a device does at most, measured on itself: copies, the host link, shared memory, integers.

use std::{
    io::{self, Write, stdout},
    time::{Duration, Instant},
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

use crate::{record::Limits, stats};

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

/// Real work before and during a measurement.
const WARM_UP: Duration = Duration::from_millis(250);
const MEASURED: Duration = Duration::from_millis(300);
/// Bytes of a copy over the host link.
const LINK_COPY: u64 = 32 << 20;
/// Invocations of a workgroup of these kernels.
const WORKGROUP: u32 = 256;
/// What results are overwritten with before they are checked.
const POISON: u32 = 0xdead_beef;
/// Chains, and steps of a round, of an invocation.
const CHAINS: u32 = 8;
const STEPS: u32 = 4;

/// Measures all of them.
pub fn measure(gpu: &mut Gpu) -> Result<Limits> {
    gpu.add_kernels(KERNELS);
    let per_second = |gpu: &mut Gpu, kernel, each: f64| -> Result<f64> {
        let mut load = Load::new(gpu, kernel)?;
        Ok(each * load.steps() / load.time(gpu)?)
    };
    let multiply = per_second(gpu, "multiply", 1.0)?;
    let logic = per_second(gpu, "logic", 6.0)?;
    let shared = per_second(gpu, "loads", 4.0)?;
    let copy = copy(gpu)?;
    let link = gpu.link_rates(LINK_COPY)?;
    let (upload, download) = (link.map(|link| link.up), link.map(|link| link.down));
    Ok(Limits { copy, upload, download, shared, multiply, logic })
}

/// Each limit: what it is of, 10^9 a second, and of what.
pub fn lines(limits: &Limits) -> Vec<(&'static str, f64, &'static str)> {
    let Limits { copy, upload, download, shared, multiply, logic } = *limits;
    let all = [
        ("copy within the device's memory, read + write", Some(copy), "B"),
        ("upload", upload, "B"),
        ("download", download, "B"),
        ("shared memory, conflict-free loads", Some(shared), "B"),
        ("32-bit multiply-add", Some(multiply), "op"),
        ("32-bit shift and logic", Some(logic), "op"),
    ];
    all.into_iter().filter_map(|(name, value, unit)| Some((name, value? / 1e9, unit))).collect()
}

pub fn print(limits: &Limits, mark: &str) -> io::Result<()> {
    for (name, value, unit) in lines(limits) {
        writeln!(stdout(), "{name:<46}{value:>10.1} G{unit}/s{mark}")?;
    }
    if limits.upload.is_none() {
        let shared = "host and device share their memory: nothing is uploaded or downloaded";
        writeln!(stdout(), "{shared}")?;
    }
    Ok(())
}

/// Bytes per second of a copy within the device's memory, read and write counted.
fn copy(gpu: &mut Gpu) -> Result<f64> {
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
    Ok(2.0 * size as f64 / time(gpu, &mut resident)?)
}

/// Median seconds of a recording, warmed up.
fn time(gpu: &mut Gpu, resident: &mut Resident) -> Result<f64> {
    gpu.repeat(resident, 8, Stamps::Repetitions)?;
    let mut samples = Vec::new();
    for span in [WARM_UP, MEASURED] {
        let start = Instant::now();
        samples.clear();
        while samples.is_empty() || start.elapsed() < span {
            let times = gpu.run(resident)?;
            ensure!(!times.is_empty(), "{} has no timestamps", gpu.info().name);
            samples.extend(times.iter().map(|command| command.time.as_secs_f64()));
        }
    }
    Ok(stats::median(&samples))
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
        f64::from(self.groups * WORKGROUP) * f64::from(self.rounds * STEPS * CHAINS)
    }

    fn time(&mut self, gpu: &mut Gpu) -> Result<f64> {
        time(gpu, &mut self.resident)
    }

    /// Nanoseconds of one run; `None` if the device has no timestamps.
    pub fn once(&mut self, gpu: &mut Gpu) -> Result<Option<f64>> {
        Ok(gpu.run(&mut self.resident)?.first().map(|command| command.time.as_nanos() as f64))
    }
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
