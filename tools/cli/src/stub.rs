//! Stands for the library's part of the scheduler until that is merged: nothing is measured.
#![allow(dead_code, missing_docs)]

use std::{io, str::FromStr, time::Duration};

use ranvil::{DeviceSelector, Options};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Assignment {
    Cpu,
    Gpu,
    #[default]
    Auto,
}

impl FromStr for Assignment {
    type Err = ranvil::Error;
    fn from_str(text: &str) -> Result<Self, ranvil::Error> {
        Ok(match text {
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpu,
            _ => Self::Auto,
        })
    }
}

impl std::fmt::Display for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Auto => "auto",
        })
    }
}

pub trait Scheduling: Sized {
    fn stage0(self, assignment: Assignment) -> Self;
    fn stage1(self, assignment: Assignment) -> Self;
    fn devices(self, devices: impl IntoIterator<Item = DeviceSelector>) -> Self;
    fn telemetry(self, telemetry: Telemetry) -> Self;
}

impl Scheduling for Options {
    fn stage0(self, _: Assignment) -> Self {
        self
    }
    fn stage1(self, _: Assignment) -> Self {
        self
    }
    fn devices(self, devices: impl IntoIterator<Item = DeviceSelector>) -> Self {
        self.device(devices.into_iter().next().unwrap())
    }
    fn telemetry(self, _: Telemetry) -> Self {
        self
    }
}

#[derive(Clone, Debug, Default)]
pub struct Telemetry;

impl Telemetry {
    pub fn new() -> Self {
        Self
    }
    pub fn with_trace(_: usize) -> Self {
        Self
    }
    pub fn total(&self) -> SchedulerStats {
        SchedulerStats::default()
    }
    pub fn write_trace(&self, mut out: impl io::Write) -> io::Result<()> {
        out.write_all(b"{\"traceEvents\":[]}\n")
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchedulerStats {
    pub runs: u64,
    pub total: Duration,
    pub threads: u64,
    pub stage_compute: Duration,
    pub queue_wait: Duration,
    pub idle_tail: Duration,
    pub queue_admin: Duration,
    pub gpu_handoff: Duration,
    pub sends_full: u64,
    pub sends_disconnected: u64,
    pub stages: [StageStats; 2],
    pub reclaimed_blocks: u64,
    pub hedged_blocks: u64,
    pub device_failures: u64,
    pub gpu_busy: Duration,
    pub gpu_batches: u64,
    pub peak_memory: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageStats {
    pub cpu: SideStats,
    pub gpu: SideStats,
    pub retried: SideStats,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SideStats {
    pub blocks: u64,
    pub raw_bytes: u64,
}

impl SchedulerStats {
    pub fn tracked_time(&self) -> Duration {
        self.stage_compute + self.queue_wait + self.queue_admin + self.gpu_handoff
    }
    pub fn overhead(&self) -> f64 {
        0.0
    }
}
