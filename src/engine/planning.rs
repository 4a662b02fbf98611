//! How many threads and sets of buffers an engine gets, from its options and devices.

use std::thread;

use super::{
    Config,
    accel::Idle,
    budget::{Demand, Plan, Staging},
};
use crate::{
    Options,
    error::{Error, Result},
};

/// Threads beyond this number are of no use to anybody, and each takes memory before it starts.
const MAX_THREADS: usize = 1024;

/// Has devices get by with less staging where the memory limit is short.
pub(super) fn shrink(options: &Options, config: &Config, devices: &mut [Idle]) {
    let Err(Error::MemoryLimit { needed, limit }) = plan(options, config, devices) else { return };
    let staging: u64 = devices.iter().map(|device| device.staging_bytes()).sum();
    let left = staging.saturating_sub(needed - limit) / devices.len() as u64;
    devices.iter_mut().for_each(|device| device.shrink(left));
}

pub(super) fn plan(options: &Options, config: &Config, devices: &[Idle]) -> Result<Plan> {
    plan_with(options, config, devices, threads(options, devices.len()))
}

/// As many threads as the machine runs at once, as far as the calling thread may use them. That is asked once in each thread: asking takes as long
/// as a small block.
pub(super) fn cores() -> usize {
    thread_local!(static CORES: usize = thread::available_parallelism().map_or(1, usize::from));
    CORES.with(|cores| *cores)
}

/// More threads than these have a caller that only feeds them: while it codes, nobody gets a further block (docs/DECISIONS.md, "Short runs").
const FEW_THREADS: usize = 4;

/// Whether the caller's thread is to be one of so many that code, without a device: where they leave it no core it would wait for
/// theirs, and they for it.
pub(super) fn caller_codes(threads: usize, cores: usize) -> bool {
    (cores.max(2)..=FEW_THREADS).contains(&threads)
}

/// Threads that code, beside so many devices from the beginning.
pub(super) fn threads(options: &Options, devices: usize) -> usize {
    match options.threads {
        0 => workers(cores(), devices),
        threads => threads.min(MAX_THREADS),
    }
}

/// As many as there are cores; with devices less one for each one's submission thread, and one for the caller's, since everybody
/// waits for these when they wait for a core, but less one in eight at most.
pub(super) fn workers(cores: usize, devices: usize) -> usize {
    let waited_for = if devices > 0 { devices + 1 } else { 0 };
    cores - waited_for.min(cores / 8)
}

pub(super) fn plan_with(
    options: &Options,
    config: &Config,
    devices: &[Idle],
    threads: usize,
) -> Result<Plan> {
    let staging = Staging::of(devices, config.block_size);
    Plan::new(options.memory_limit, config.reserve, demand(config, devices), threads, staging)
}

pub(super) fn demand(config: &Config, devices: &[Idle]) -> Demand {
    let Config { block_size, pipeline, level, .. } = *config;
    Demand::new(pipeline, block_size, level, !devices.is_empty())
}
