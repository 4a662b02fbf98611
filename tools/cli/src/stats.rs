//! Lines for programs: a word, then tab-separated `key=value` fields, which `docs/TELEMETRY.md` explains. Fields may be
//! added; none is renamed or removed.

use std::{fmt::Display, time::Duration};

use ranvil::{SchedulerStats, SideStats};

/// A line that is being put together.
pub struct Line(String);

impl Line {
    pub fn new(word: &str) -> Self {
        Self(word.to_owned())
    }

    /// Appends a field. A tab or a line break in the value would end it early.
    pub fn field(mut self, key: &str, value: impl Display) -> Self {
        let value = value.to_string().replace(['\t', '\n', '\r'], " ");
        self.0 += &format!("\t{key}={value}");
        self
    }

    /// Appends a duration in whole nanoseconds.
    pub fn nanoseconds(self, key: &str, value: Duration) -> Self {
        self.field(key, value.as_nanos())
    }

    pub fn finish(self) -> String {
        self.0
    }
}

/// What `--print-scheduler-stats` prints.
pub fn scheduler_line(stats: &SchedulerStats) -> String {
    let mut line = Line::new("SCHEDULER_STATS")
        .field("scheduler_overhead_pct", format!("{:.6}", stats.overhead()))
        .field("runs", stats.runs)
        .field("threads", stats.threads)
        .nanoseconds("total_ns", stats.total)
        .nanoseconds("tracked_ns", stats.tracked_time())
        .nanoseconds("stage_compute_ns", stats.stage_compute)
        .nanoseconds("queue_wait_ns", stats.queue_wait)
        .nanoseconds("queue_admin_ns", stats.queue_admin)
        .nanoseconds("gpu_handoff_ns", stats.gpu_handoff)
        .nanoseconds("idle_tail_ns", stats.idle_tail)
        .field("sends_full", stats.sends_full)
        .field("sends_disconnected", stats.sends_disconnected);
    for (number, stage) in stats.stages.iter().enumerate() {
        for (side, SideStats { blocks, raw_bytes, .. }) in
            [("cpu", stage.cpu), ("gpu", stage.gpu), ("retried", stage.retried)]
        {
            line = line
                .field(&format!("stage{number}_{side}_blocks"), blocks)
                .field(&format!("stage{number}_{side}_bytes"), raw_bytes);
        }
    }
    for (number, SideStats { blocks, raw_bytes, .. }) in stats.devices.iter().enumerate() {
        line = line
            .field(&format!("device{number}_blocks"), blocks)
            .field(&format!("device{number}_bytes"), raw_bytes);
    }
    line.field("reclaimed_blocks", stats.reclaimed_blocks)
        .field("hedged_blocks", stats.hedged_blocks)
        .field("device_failures", stats.device_failures)
        .field("gpu_batches", stats.gpu_batches)
        .nanoseconds("gpu_busy_ns", stats.gpu_busy)
        .field("peak_memory_bytes", stats.peak_memory)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_end_a_field() {
        let line =
            Line::new("WORD").field("a", "x\ty\nz").nanoseconds("b", Duration::from_micros(2));
        assert_eq!(line.finish(), "WORD\ta=x y z\tb=2000");
    }
}
