//! What integration tests need of the engine. Not part of the public API.

use std::{
    io::Write,
    sync::{Arc, mpsc},
    time::Duration,
};

use super::{
    Route,
    accel::{Accelerator, Arrival, BatchLimit, Idle, Load, Planned, Waker, Way, Work},
    policy::{
        CpuPrior, DevicePrior,
        memory::{self, Workload},
    },
};
use crate::{
    Assignment, Compressor, Options, Pipeline,
    error::{DeviceError, Result},
};

/// Has runs of this workload begin with the belief that a worker needs so many nanoseconds for a byte, whatever it is; `level`
/// as it is encoded at, or `None` if it is decoded.
pub fn assume_cpu(pipeline: Pipeline, level: Option<u8>, ns_per_byte: f64) {
    let priors = (Vec::new(), CpuPrior::assumed(ns_per_byte));
    memory::remember(Workload { pipeline, level }, &[], priors);
}

/// Forgets how fast devices and the CPU were.
pub fn forget_rates() {
    memory::forget();
}

/// A compressor that shares blocks with a device of this ring, which is believed to need so many nanoseconds for a byte, and
/// takes blocks and finishes none.
///
/// # Errors
/// As [`Options::compressor`].
pub fn compressor_beside_a_stalled_device<W: Write>(
    options: &Options,
    slots: usize,
    raw_bytes: usize,
    ns_per_byte: u64,
    inner: W,
) -> Result<Compressor<W>> {
    let device = Stalled::new(slots, raw_bytes);
    let workload = Workload { pipeline: options.pipeline, level: Some(options.level) };
    let mut believed = DevicePrior::default();
    believed.learn(true, raw_bytes as u64, raw_bytes as u64 * ns_per_byte);
    memory::remember(workload, &[device.uuid()], (vec![believed], memory::recall(workload, &[]).1));
    Compressor::new(options, inner, Route::open(vec![Idle::new(device)], Assignment::Auto))
}

struct Stalled {
    staging: Vec<Vec<u8>>,
    limit: BatchLimit,
    used: usize,
    bell: (mpsc::Sender<()>, mpsc::Receiver<()>),
}

impl Stalled {
    fn new(slots: usize, raw_bytes: usize) -> Self {
        let limit = BatchLimit { parts: raw_bytes >> 12, raw_bytes };
        Self { staging: vec![vec![0; raw_bytes]; slots], limit, used: 0, bell: mpsc::channel() }
    }
}

impl Accelerator for Stalled {
    fn name(&self) -> &str {
        "stalled"
    }

    fn uuid(&self) -> [u8; 16] {
        [0xff; 16]
    }

    fn batch_limit(&self) -> BatchLimit {
        self.limit
    }

    fn slots(&self) -> usize {
        self.staging.len()
    }

    fn idle_slots(&self) -> usize {
        self.slots() - self.used
    }

    fn staging_bytes(&self) -> u64 {
        self.staging.iter().map(|slot| slot.capacity() as u64).sum()
    }

    fn shrink(&mut self, _staging: u64) {}

    fn waker(&self) -> Waker {
        let bell = self.bell.0.clone();
        Arc::new(move || {
            let _ = bell.send(()); // It may be gone.
        })
    }

    fn measure(&mut self, _spans: bool) {}

    fn plan(&mut self, works: &[&Work<'_>]) -> Result<Planned, DeviceError> {
        let slot = self.used;
        self.used += 1;
        let ways = works.iter().map(|_| Way::from(Box::new(|_: &Work<'_>| None) as Load)).collect();
        Ok(Planned { slot, ways })
    }

    fn start(&mut self, _slot: usize) -> Result<(), DeviceError> {
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<Arrival>, DeviceError> {
        Ok(Vec::new())
    }

    fn wait(&mut self, most: Option<Duration>) -> Result<(), DeviceError> {
        let _ = self.bell.1.recv_timeout(most.unwrap_or(Duration::from_secs(3600)));
        self.bell.1.try_iter().for_each(drop);
        Ok(())
    }

    fn park(self: Box<Self>) {}
}
