//! One run: what its threads recorded, put together when the last of them is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem::take,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    COLLECT, PROCESS, Row, RunSpan, Telemetry, clock,
    recorder::{Recorder, Sums},
    trace::{Event, RunTrace},
};

/// What a compressor or a decompressor and its engines hold of a run. The run ends when all of its handles and recorders
/// have been dropped. Does nothing where nobody wants to know.
#[derive(Clone)]
pub(crate) struct Run {
    shared: Option<Arc<Shared>>,
    span: RunSpan,
}

pub(super) struct Shared {
    telemetry: Option<Telemetry>,
    /// Whether the process counts it.
    process: bool,
    what: &'static str,
    pub(super) begun: u64,
    /// When the caller last submitted a block.
    pub(super) last_submission: AtomicU64,
    merged: Mutex<Merged>,
}

/// What the threads that are gone have recorded.
#[derive(Default)]
struct Merged {
    sums: Sums,
    workers: BTreeSet<usize>,
    devices: BTreeMap<usize, String>,
    events: BTreeMap<Row, Vec<Event>>,
}

impl Run {
    /// `what` it does, in a word.
    pub fn begin(telemetry: Option<&Telemetry>, what: &'static str) -> Self {
        let process = COLLECT.load(Relaxed);
        let shared = (process || telemetry.is_some()).then(|| {
            Arc::new(Shared {
                telemetry: telemetry.cloned(),
                process,
                what,
                begun: clock(),
                last_submission: AtomicU64::new(0),
                merged: Mutex::default(),
            })
        });
        Self { shared, span: RunSpan::new(what) }
    }

    /// Whether somebody wants to know.
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// A recorder for a thread of this run. The time of its first phase begins now.
    pub fn recorder(&self, row: Row) -> Recorder {
        Recorder::new(self.shared.as_ref(), &self.span, row)
    }

    /// Names a device.
    pub fn name_device(&self, index: usize, name: &str) {
        if let Some(shared) = &self.shared {
            shared.merged().devices.insert(index, name.to_owned());
        }
    }
}

impl Shared {
    fn merged(&self) -> MutexGuard<'_, Merged> {
        self.merged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an event is to be kept.
    pub(super) fn takes_event(&self) -> bool {
        self.telemetry.as_ref().is_some_and(|telemetry| {
            telemetry.0.trace.as_ref().is_some_and(|trace| trace.takes_event())
        })
    }

    /// What a recorder has, when its thread is done with it.
    pub(super) fn merge(&self, row: Row, sums: Sums, events: BTreeMap<Row, Vec<Event>>) {
        let mut merged = self.merged();
        merged.sums.merge(sums);
        if let Row::Worker(index) = row {
            merged.workers.insert(index);
        }
        for (row, mut more) in events {
            merged.events.entry(row).or_default().append(&mut more);
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Merged { sums, workers, devices, events } =
            take(self.merged.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut stats = sums.stats;
        stats.runs = 1;
        stats.total = Duration::from_nanos(clock() - self.begun);
        stats.threads = workers.len() as u64;
        stats.idle_tail = Duration::from_nanos(sums.tail.time);
        if self.process {
            *PROCESS.lock().unwrap_or_else(PoisonError::into_inner) += &stats;
        }
        if let Some(telemetry) = &self.telemetry {
            if let Some(trace) = telemetry.0.trace.as_ref().filter(|_| !events.is_empty()) {
                trace.add(RunTrace { what: self.what, devices, events });
            }
            telemetry.flush(stats);
        }
    }
}
