//! What the scheduler did, for whoever asks: [statistics](SchedulerStats), a trace file, and spans of the crate
//! `tracing`.
//!
//! A [`Run`] is what a compressor or a decompressor does from its beginning to its end. Its threads record by
//! themselves ([`Recorder`]), and the run puts that together when the last of them is gone. Nobody below this
//! module is known here: the engine, the workers and the devices call it.
//!
//! Where nobody asks, a run costs one relaxed load, and a call of a recorder the look at an `Option`.

mod recorder;
mod run;
mod spans;
mod stats;
#[cfg(test)]
mod tests;
mod trace;

use std::{
    fmt, io,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

pub use self::stats::{SchedulerStats, SideStats, StageStats};
use self::trace::Trace;
pub(crate) use self::{
    recorder::{Kind, Recorder},
    run::Run,
    spans::{BatchSpan, RunSpan},
};

/// Whether runs count for the process, and what those that have ended did.
static COLLECT: AtomicBool = AtomicBool::new(false);
static PROCESS: Mutex<SchedulerStats> = Mutex::new(SchedulerStats::ZERO);

/// Nanoseconds since this process first asked, on the system's monotonic clock: one clock for all that is recorded.
pub(crate) fn clock() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}

/// Collects what the runs do whose options [hold it](crate::Options::telemetry): clone it, hand one clone over, ask the
/// other.
///
/// A run lasts from the making of a [`Compressor`](crate::Compressor) or a [`Decompressor`](crate::Decompressor) until
/// it has been finished or dropped, whether it succeeded or not; a call that takes a whole slice is a run.
/// Runs under way are in no result yet.
///
/// ```
/// use ranvil::{Options, Telemetry};
///
/// let telemetry = Telemetry::new();
/// let options = Options::new().telemetry(telemetry.clone());
/// let coded = options.compress(&b"What did the scheduler do? ".repeat(1000))?;
///
/// let stats = telemetry.last_run().expect("a run has ended");
/// assert_eq!(stats.stages[1].cpu.blocks + stats.stages[1].gpu.blocks, 1);
/// assert_eq!(stats.stages[0].cpu.raw_bytes, 27_000);
/// println!("{:.1} % of {:?}", 100.0 * stats.overhead(), stats.tracked_time());
///
/// options.decompress(&coded)?;
/// assert_eq!(telemetry.total().runs, 2);
/// # Ok::<(), ranvil::Error>(())
/// ```
#[derive(Clone)]
pub struct Telemetry(Arc<Handle>);

struct Handle {
    results: Mutex<Results>,
    trace: Option<Trace>,
}

#[derive(Default)]
struct Results {
    last: Option<SchedulerStats>,
    total: SchedulerStats,
}

impl Telemetry {
    /// Collects statistics.
    #[expect(clippy::new_without_default, reason = "there are two sorts")]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Collects statistics, and for a trace the first `max_events` events of all its runs together, of about 64 bytes
    /// each. Those beyond are dropped, and the trace says how many. A block makes two to eight events.
    pub fn with_trace(max_events: usize) -> Self {
        Self::with(Some(Trace::new(max_events)))
    }

    fn with(trace: Option<Trace>) -> Self {
        Self(Arc::new(Handle { results: Mutex::default(), trace }))
    }

    /// What the run did that ended last.
    pub fn last_run(&self) -> Option<SchedulerStats> {
        self.results().last.clone()
    }

    /// What all runs did that have ended.
    pub fn total(&self) -> SchedulerStats {
        self.results().total.clone()
    }

    /// Writes the trace of the runs that have ended as JSON, which Chrome (`chrome://tracing`) and Perfetto
    /// (`ui.perfetto.dev`) open. Each run is a process; its rows are the caller, the workers, and the queues of
    /// devices, whose timestamps are placed on the host's clock. Times begin with the first reading of the
    /// clock in this process. Without [`with_trace`](Self::with_trace) there are no events.
    ///
    /// ```
    /// let telemetry = ranvil::Telemetry::with_trace(10_000);
    /// ranvil::Options::new().telemetry(telemetry.clone()).compress(&[7; 1000])?;
    /// let mut json = Vec::new();
    /// telemetry.write_trace(&mut json)?;
    /// # assert!(json.starts_with(b"{"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_trace(&self, to: impl io::Write) -> io::Result<()> {
        match &self.0.trace {
            Some(trace) => trace.write(to),
            None => trace::write(to, &[], 0),
        }
    }

    fn results(&self) -> MutexGuard<'_, Results> {
        self.0.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run has ended.
    fn flush(&self, stats: SchedulerStats) {
        let mut results = self.results();
        results.total += &stats;
        results.last = Some(stats);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").field("total", &self.total()).finish_non_exhaustive()
    }
}

/// Switches the counting of all runs of this process, which is off at first, on or off: with or without a
/// [`Telemetry`] of their own, those count that begin while it is on.
pub fn collect_process_stats(enabled: bool) {
    COLLECT.store(enabled, Relaxed);
}

/// What the runs did that [counted for the process](collect_process_stats) and have ended.
pub fn process_stats() -> SchedulerStats {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Which thread or queue: a row of the trace, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Row {
    Caller,
    Worker(usize),
    /// The submission thread of a device.
    Submission(usize),
    Queue(usize, Queue),
}

/// A device's queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Queue {
    Upload,
    Compute,
    Download,
}

/// A piece of a device's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub name: &'static str,
    pub queue: Queue,
    /// Begin and end in nanoseconds of the [clock].
    pub begin: u64,
    pub end: u64,
}

/// A piece of work on a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Piece {
    pub name: &'static str,
    /// The block's stages that it was, counted from the raw side; none if it was something else.
    pub stages: &'static [u8],
    pub block: u64,
    pub bytes: u64,
}

/// Makes `calls` rounds of the calls that a block makes, of a recorder of a run that nobody asks about. An instruction
/// count with two numbers of rounds shows what telemetry costs while it is off.
pub fn record_nothing(calls: u64) {
    let run = Run::begin(None, "nothing");
    let mut recorder = run.recorder(Row::Caller);
    for block in 0..calls {
        let recorder = std::hint::black_box(&mut recorder);
        let piece = Piece { name: "block", stages: &[0, 1], block, bytes: 1 };
        recorder.begin();
        recorder.submitted();
        recorder.lap(Kind::Admin);
        recorder.piece(Kind::Compute, piece, || ());
        recorder.lap(Kind::Wait);
        recorder.count(|stats| &mut stats.sends_full);
        recorder.block(1, 1, |stage| &mut stage.cpu);
    }
}

/// Begins and ends as many runs that nobody asks about, each with a recorder as every thread of it has one.
pub fn begin_nothing(runs: u64) {
    for _ in 0..runs {
        let run = std::hint::black_box(Run::begin(std::hint::black_box(None), "nothing"));
        drop(std::hint::black_box(run.recorder(Row::Caller)));
    }
}
