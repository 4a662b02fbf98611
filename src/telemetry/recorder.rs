//! What one thread records.
//!
//! A recorder belongs to its thread, so recording needs no atomics: sums and events are its own until it is dropped,
//! when the run gets them. Phases follow one another: where one ends the next begins, so that each takes one reading
//! of the clock.

use std::{
    collections::BTreeMap,
    mem::{replace, take},
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    BatchSpan, Piece, Row, RunSpan, Span, clock,
    run::Shared,
    stats::{SchedulerStats, SideStats, StageStats},
    trace::{Event, What},
};

/// What a phase of a thread was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Compute,
    /// A worker's waiting for work.
    Wait,
    Admin,
    Handoff,
    /// What no sum has: the caller's reading and writing.
    Other,
}

/// See the [module](self). Does nothing where nobody wants to know.
pub(crate) struct Recorder {
    local: Option<Box<Local>>,
    span: RunSpan,
}

struct Local {
    run: Arc<Shared>,
    row: Row,
    /// When the present phase began.
    mark: u64,
    sums: Sums,
    busy: Busy,
    events: BTreeMap<Row, Vec<Event>>,
}

/// Sums of a thread, or of several.
#[derive(Default)]
pub(super) struct Sums {
    pub stats: SchedulerStats,
    pub tail: Tail,
}

impl Recorder {
    pub(super) fn new(run: Option<&Arc<Shared>>, span: &RunSpan, row: Row) -> Self {
        let local = run.map(|run| {
            Box::new(Local {
                run: Arc::clone(run),
                row,
                mark: clock(),
                sums: Sums::default(),
                busy: Busy::default(),
                events: BTreeMap::new(),
            })
        });
        Self { local, span: span.clone() }
    }

    /// Begins a phase; what has passed since the last one belongs to none.
    #[inline]
    pub fn begin(&mut self) {
        if let Some(local) = &mut self.local {
            local.mark = clock();
        }
    }

    /// Ends a phase, and begins the next.
    #[inline]
    pub fn lap(&mut self, kind: Kind) {
        if let Some(local) = &mut self.local {
            local.lap(kind);
        }
    }

    /// Ends a phase that was a piece of work on a block, and begins the next.
    #[inline]
    pub fn lap_piece(&mut self, kind: Kind, piece: Piece) {
        if let Some(local) = &mut self.local {
            let begin = local.lap(kind);
            local.event(local.row, piece.name, begin..local.mark, What::Block(piece));
        }
    }

    /// Does a piece of work on a block; with what came since the last phase, it is a phase.
    #[inline]
    pub fn piece<T>(&mut self, kind: Kind, piece: Piece, work: impl FnOnce() -> T) -> T {
        let result = self.span.piece(&piece, work);
        self.lap_piece(kind, piece);
        result
    }

    /// The caller submits a block, in the phase that has begun.
    #[inline]
    pub fn submitted(&self) {
        if let Some(local) = &self.local {
            local.run.last_submission.fetch_max(local.mark, Relaxed);
        }
    }

    /// A block has been through a stage, on the side that `side` names.
    #[inline]
    pub fn block(
        &mut self,
        stage: usize,
        raw_bytes: usize,
        side: impl FnOnce(&mut StageStats) -> &mut SideStats,
    ) {
        if let Some(local) = &mut self.local {
            *side(&mut local.sums.stats.stages[stage]) +=
                SideStats { blocks: 1, raw_bytes: raw_bytes as u64 };
        }
    }

    /// A device has done the entropy stage of a block.
    #[inline]
    pub fn device_block(&mut self, device: usize, raw_bytes: usize) {
        if let Some(local) = &mut self.local {
            let devices = &mut local.sums.stats.devices;
            devices.resize(devices.len().max(device + 1), SideStats::default());
            devices[device] += SideStats { blocks: 1, raw_bytes: raw_bytes as u64 };
        }
    }

    /// Counts something.
    #[inline]
    pub fn count(&mut self, counter: impl FnOnce(&mut SchedulerStats) -> &mut u64) {
        if let Some(local) = &mut self.local {
            *counter(&mut local.sums.stats) += 1;
        }
    }

    /// So many bytes are in use.
    #[inline]
    pub fn memory(&mut self, bytes: u64) {
        if let Some(local) = &mut self.local {
            let peak = &mut local.sums.stats.peak_memory;
            *peak = bytes.max(*peak);
        }
    }

    /// A batch begins: its span lasts as long as the value.
    #[inline]
    pub fn batch(&self, device: &str, blocks: usize) -> BatchSpan {
        self.span.batch(device, blocks)
    }

    /// Ends a phase that was something done about a batch of this number, and begins the next.
    #[inline]
    pub fn lap_batch(&mut self, kind: Kind, name: &'static str, number: u64) {
        if let Some(local) = &mut self.local {
            let begin = local.lap(kind);
            local.event(local.row, name, begin..local.mark, What::Batch(number));
        }
    }

    /// A batch of this number has arrived.
    #[inline]
    pub fn arrived(&mut self, device: usize, number: u64, spans: &[Span]) {
        if let Some(local) = &mut self.local {
            local.arrived(device, number, spans);
        }
    }
}

impl Local {
    /// Returns when the phase began.
    fn lap(&mut self, kind: Kind) -> u64 {
        let end = clock();
        let begin = replace(&mut self.mark, end);
        let stats = &mut self.sums.stats;
        let time = Duration::from_nanos(end - begin);
        match kind {
            Kind::Compute => stats.stage_compute += time,
            Kind::Admin => stats.queue_admin += time,
            Kind::Handoff => stats.gpu_handoff += time,
            Kind::Wait => {
                let last = self.run.last_submission.load(Relaxed);
                stats.queue_wait += self.sums.tail.wait(begin, end, last);
            }
            Kind::Other => {}
        }
        begin
    }

    fn event(&mut self, row: Row, name: &'static str, time: Range<u64>, what: What) {
        if self.run.takes_event() {
            let event = Event { name, begin: time.start, end: time.end, what };
            self.events.entry(row).or_default().push(event);
        }
    }

    fn arrived(&mut self, device: usize, number: u64, spans: &[Span]) {
        self.sums.stats.gpu_batches += 1;
        // However badly the clocks agree: a device works for a run within the run.
        let (first, last) = (self.run.begun, clock());
        for span in spans {
            let begin = span.begin.clamp(first, last);
            let end = span.end.clamp(begin, last);
            self.busy.add(begin, end);
            self.event(Row::Queue(device, span.queue), span.name, begin..end, What::Batch(number));
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let last = self.run.last_submission.load(Relaxed);
        self.sums.stats.queue_wait += self.sums.tail.settle(last);
        self.sums.stats.gpu_busy += Duration::from_nanos(self.busy.total());
        self.run.merge(self.row, take(&mut self.sums), take(&mut self.events));
    }
}

impl Sums {
    pub fn merge(&mut self, other: Self) {
        self.stats += other.stats;
        self.stats.queue_wait += self.tail.merge(other.tail);
    }
}

/// Waiting that is the idle tail unless another block is submitted. What turns out to have been queue wait is
/// returned.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Tail {
    pub time: u64,
    /// The submission that it came after.
    after: u64,
}

impl Tail {
    /// Adds a wait; the last submission so far was at `last`.
    fn wait(&mut self, begin: u64, end: u64, last: u64) -> Duration {
        let settled = self.settle(last);
        let middle = last.clamp(begin, end);
        self.time += end - middle;
        settled + Duration::from_nanos(middle - begin)
    }

    fn settle(&mut self, last: u64) -> Duration {
        if last <= self.after {
            return Duration::ZERO;
        }
        self.after = last;
        Duration::from_nanos(take(&mut self.time))
    }

    fn merge(&mut self, other: Self) -> Duration {
        let settled = self.settle(other.after);
        if other.after < self.after {
            return settled + Duration::from_nanos(other.time);
        }
        self.time += other.time;
        settled
    }
}

/// How long any queue of a device was at work, from spans that overlap.
#[derive(Default)]
struct Busy {
    /// Disjoint and in order.
    recent: Vec<(u64, u64)>,
    /// What came before, and until when.
    sum: u64,
    until: u64,
}

impl Busy {
    /// Later spans do not overlap more than so many pieces back: batches arrive nearly in order.
    const RECENT: usize = 64;

    fn add(&mut self, begin: u64, end: u64) {
        let begin = begin.max(self.until);
        if begin >= end {
            return;
        }
        let first = self.recent.partition_point(|&(_, e)| e < begin);
        let last = self.recent.partition_point(|&(b, _)| b <= end);
        let overlap = self.recent[first..last].iter();
        let union = overlap.fold((begin, end), |(b, e), piece| (b.min(piece.0), e.max(piece.1)));
        self.recent.splice(first..last, [union]);
        if self.recent.len() > Self::RECENT {
            let (begin, end) = self.recent.remove(0);
            self.sum += end - begin;
            self.until = end;
        }
    }

    fn total(&self) -> u64 {
        self.sum + self.recent.iter().map(|(begin, end)| end - begin).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Queue;

    const fn ns(time: u64) -> Duration {
        Duration::from_nanos(time)
    }

    #[test]
    fn waiting_is_the_tail_only_after_the_last_submission() {
        let mut tail = Tail::default();
        assert_eq!(tail.wait(100, 200, 50), ns(0));
        assert_eq!(tail.time, 100, "so far nothing came after it");
        assert_eq!(tail.wait(300, 400, 50), ns(0));
        assert_eq!(tail.wait(500, 600, 450), ns(200), "a submission between two waits");
        assert_eq!(tail.time, 100);
        assert_eq!(tail.wait(700, 800, 730), ns(100 + 30), "one during a wait divides it");
        assert_eq!(tail.time, 70);
        assert_eq!(tail.wait(900, 950, 960), ns(70 + 50), "one that was read after the wait");
        assert_eq!(tail.time, 0);
        assert_eq!(tail.wait(970, 990, 960), ns(0));
        assert_eq!(tail.settle(960), ns(0));
        assert_eq!(tail.settle(1000), ns(20));
    }

    #[test]
    fn only_tails_behind_the_same_last_submission_add_up() {
        let (early, late) = (Tail { time: 5, after: 10 }, Tail { time: 7, after: 20 });
        for pair in [[early, late], [late, early]] {
            let mut sum = Tail::default();
            let settled: Duration = pair.into_iter().map(|tail| sum.merge(tail)).sum();
            assert_eq!((settled, sum), (ns(5), late));
        }
        let mut sum = late;
        assert_eq!((sum.merge(late), sum.time), (ns(0), 14));
    }

    #[test]
    fn busy_time_counts_overlapping_spans_once_in_any_order() {
        let spans = [(10, 20), (30, 40), (15, 32), (50, 60), (60, 61), (2, 3), (52, 55), (7, 7)];
        for rotation in 0..spans.len() {
            let mut busy = Busy::default();
            (0..spans.len()).for_each(|i| {
                let (begin, end) = spans[(i + rotation) % spans.len()];
                busy.add(begin, end);
            });
            assert_eq!(busy.total(), 30 + 11 + 1, "{:?}", busy.recent);
            assert_eq!(busy.recent, [(2, 3), (10, 40), (50, 61)]);
        }
    }

    #[test]
    fn busy_time_needs_bounded_memory() {
        let mut busy = Busy::default();
        for i in 0..10_000 {
            busy.add(10 * i, 10 * i + 4);
            busy.add(10 * i + 2, 10 * i + 5);
        }
        busy.add(0, 3); // Long counted.
        assert_eq!(busy.total(), 50_000);
        assert!(busy.recent.len() <= Busy::RECENT);
    }

    #[test]
    fn a_recorder_of_no_run_records_nothing() {
        let mut recorder = Recorder::new(None, &RunSpan::new("test"), Row::Caller);
        recorder.begin();
        recorder.lap(Kind::Compute);
        recorder.count(|_| panic!("nobody counts"));
        recorder.block(0, 1, |_| panic!("nobody counts"));
        let span = Span { name: "copy", queue: Queue::Upload, begin: 0, end: 1 };
        recorder.arrived(0, 0, &[span]);
        recorder.lap_batch(Kind::Handoff, "form", 0);
        assert!(recorder.local.is_none());
    }
}
