//! What is counted.

use std::{iter::Sum, ops::AddAssign, time::Duration};

/// What the scheduler did in a run, or in several.
///
/// Times of phases are summed over the threads that code blocks: the workers, the caller's thread where it codes, places
/// or hands over blocks itself, and the submission threads of devices. So each may exceed [`total`](Self::total). What the
/// caller's thread does otherwise (reading, writing, waiting for a block) and the waiting of submission threads for
/// their devices is in none of them.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchedulerStats {
    /// Runs that have ended: compressors, decompressors and calls on whole slices, successful or not. Seekable
    /// readers, which code on the caller's thread, are none.
    pub runs: u64,
    /// Wall-clock time of the runs, each from its beginning until it was finished or dropped.
    pub total: Duration,
    /// Workers that ran, of several runs together. Not the caller's thread nor those of devices: 0 where a single
    /// block was coded on the caller's thread.
    pub threads: u64,
    /// Time in which a CPU did stages of blocks, checksums included but for those that are made while copying to or from a device.
    pub stage_compute: Duration,
    /// Time in which workers waited for work, the idle tail apart. What a worker waits for when the caller is slow to
    /// read or write is in it.
    pub queue_wait: Duration,
    /// Time in which workers waited after the caller had submitted the last block of the run: for the last blocks of
    /// others, and for the end. It says how evenly the last blocks were shared, nothing about the queues, so it is
    /// neither [tracked](Self::tracked_time) nor overhead. A wait during which the last block was submitted is divided
    /// at that moment; which block was the last one is known when the run has ended.
    pub idle_tail: Duration,
    /// Time taken by administration: placing blocks, looking for tasks, retiring them, waking others.
    pub queue_admin: Duration,
    /// Time taken by handing blocks over to devices and taking them back: sending, forming and starting batches,
    /// copying to and from staging memory.
    pub gpu_handoff: Duration,
    /// Blocks that a device's channel had no room for: somebody else took them.
    pub sends_full: u64,
    /// Blocks that were to go to a device which had failed.
    pub sends_disconnected: u64,
    /// Blocks that came through each stage, counted from the raw side: the model and the entropy stage, or the entropy
    /// stage alone in the first place. A block is counted once for each stage that its pipeline has, on the side
    /// whose result was used, when it is handed to the caller; a block with an error is not counted. Blocks of the
    /// pipeline `stored` count as one stage on the CPU; so do, for all stages, stored blocks that are decoded.
    pub stages: [StageStats; 2],
    /// What each device did of the entropy stage, in the order in which the run's devices were named; shorter where the last of
    /// them did nothing. The sum is that of the stage's [`gpu`](StageStats::gpu). Of several runs, those of the same place are
    /// added up.
    pub devices: Vec<SideStats>,
    /// Blocks for `auto` that workers took back from what waited for a device.
    pub reclaimed_blocks: u64,
    /// Blocks that a worker began to code as well, because their device was late or nothing else was left to do.
    pub hedged_blocks: u64,
    /// Devices that failed. The CPU did what they had.
    pub device_failures: u64,
    /// Time in which at least one queue of a device was at work, by its timestamps, summed over devices. For a device
    /// without timestamps: from submission to arrival, by the host's clock.
    pub gpu_busy: Duration,
    /// Batches that came back from devices.
    pub gpu_batches: u64,
    /// The most bytes that the buffers of blocks and the staging memory of devices took at a time; of several runs,
    /// the most in any. Scratch memory of workers, and what a caller keeps, are not in it.
    pub peak_memory: u64,
}

/// Who did a stage.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageStats {
    /// A CPU, in the first place.
    pub cpu: SideStats,
    /// A device.
    pub gpu: SideStats,
    /// A CPU, after the device had failed.
    pub retried: SideStats,
}

/// What went through a stage on one side.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideStats {
    /// Blocks.
    pub blocks: u64,
    /// The raw bytes of these blocks, whatever the stage made of them or was given.
    pub raw_bytes: u64,
}

impl SchedulerStats {
    pub(super) const ZERO: Self = {
        const SIDE: SideStats = SideStats { blocks: 0, raw_bytes: 0 };
        const STAGE: StageStats = StageStats { cpu: SIDE, gpu: SIDE, retried: SIDE };
        Self {
            runs: 0,
            total: Duration::ZERO,
            threads: 0,
            stage_compute: Duration::ZERO,
            queue_wait: Duration::ZERO,
            idle_tail: Duration::ZERO,
            queue_admin: Duration::ZERO,
            gpu_handoff: Duration::ZERO,
            sends_full: 0,
            sends_disconnected: 0,
            stages: [STAGE; 2],
            devices: Vec::new(),
            reclaimed_blocks: 0,
            hedged_blocks: 0,
            device_failures: 0,
            gpu_busy: Duration::ZERO,
            gpu_batches: 0,
            peak_memory: 0,
        }
    };

    /// Time of threads that is accounted for: computing, waiting in queues, administration and hand-off.
    pub fn tracked_time(&self) -> Duration {
        self.stage_compute + self.queue_wait + self.queue_admin + self.gpu_handoff
    }

    /// The part of the tracked time that administration and hand-off took: from 0 to 1, and 0 if nothing was tracked.
    pub fn overhead(&self) -> f64 {
        let tracked = self.tracked_time();
        if tracked.is_zero() {
            return 0.0;
        }
        (self.queue_admin + self.gpu_handoff).as_secs_f64() / tracked.as_secs_f64()
    }
}

/// Everything is summed, but for [`peak_memory`](SchedulerStats::peak_memory), of which the larger one stays.
impl AddAssign<&Self> for SchedulerStats {
    fn add_assign(&mut self, other: &Self) {
        self.runs += other.runs;
        self.total += other.total;
        self.threads += other.threads;
        self.stage_compute += other.stage_compute;
        self.queue_wait += other.queue_wait;
        self.idle_tail += other.idle_tail;
        self.queue_admin += other.queue_admin;
        self.gpu_handoff += other.gpu_handoff;
        self.sends_full += other.sends_full;
        self.sends_disconnected += other.sends_disconnected;
        for (stage, other) in self.stages.iter_mut().zip(&other.stages) {
            stage.cpu += other.cpu;
            stage.gpu += other.gpu;
            stage.retried += other.retried;
        }
        let places = self.devices.len().max(other.devices.len());
        self.devices.resize(places, SideStats::default());
        for (device, other) in self.devices.iter_mut().zip(&other.devices) {
            *device += *other;
        }
        self.reclaimed_blocks += other.reclaimed_blocks;
        self.hedged_blocks += other.hedged_blocks;
        self.device_failures += other.device_failures;
        self.gpu_busy += other.gpu_busy;
        self.gpu_batches += other.gpu_batches;
        self.peak_memory = self.peak_memory.max(other.peak_memory);
    }
}

impl AddAssign for SchedulerStats {
    fn add_assign(&mut self, other: Self) {
        *self += &other;
    }
}

impl<'a> Sum<&'a Self> for SchedulerStats {
    fn sum<I: Iterator<Item = &'a Self>>(stats: I) -> Self {
        stats.fold(Self::ZERO, |mut sum, stats| {
            sum += stats;
            sum
        })
    }
}

impl Sum for SchedulerStats {
    fn sum<I: Iterator<Item = Self>>(stats: I) -> Self {
        stats.fold(Self::ZERO, |mut sum, stats| {
            sum += stats;
            sum
        })
    }
}

impl AddAssign for SideStats {
    fn add_assign(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.raw_bytes += other.raw_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overhead_is_a_fraction_of_tracked_time_and_the_tail_is_no_part_of_it() {
        assert_eq!(SchedulerStats::ZERO, SchedulerStats::default());
        assert_eq!(SchedulerStats::ZERO.overhead(), 0.0);
        let stats = SchedulerStats {
            stage_compute: Duration::from_millis(900),
            queue_wait: Duration::from_millis(60),
            queue_admin: Duration::from_millis(30),
            gpu_handoff: Duration::from_millis(10),
            idle_tail: Duration::from_secs(100),
            ..SchedulerStats::ZERO
        };
        assert_eq!(stats.tracked_time(), Duration::from_secs(1));
        assert!((stats.overhead() - 0.04).abs() < 1e-12);
    }

    #[test]
    fn sums_add_everything_and_keep_the_highest_peak() {
        let side = SideStats { blocks: 2, raw_bytes: 300 };
        let stage = StageStats { cpu: side, gpu: side, retried: side };
        let ms = Duration::from_millis;
        let one = SchedulerStats {
            runs: 1,
            total: ms(2),
            threads: 3,
            stage_compute: ms(4),
            queue_wait: ms(5),
            idle_tail: ms(6),
            queue_admin: ms(7),
            gpu_handoff: ms(8),
            sends_full: 9,
            sends_disconnected: 10,
            stages: [stage; 2],
            devices: vec![side],
            reclaimed_blocks: 11,
            hedged_blocks: 12,
            device_failures: 13,
            gpu_busy: ms(14),
            gpu_batches: 15,
            peak_memory: 16,
        };
        let doubled = SideStats { blocks: 4, raw_bytes: 600 };
        let expected = SchedulerStats {
            runs: 2,
            total: ms(4),
            threads: 6,
            stage_compute: ms(8),
            queue_wait: ms(10),
            idle_tail: ms(12),
            queue_admin: ms(14),
            gpu_handoff: ms(16),
            sends_full: 18,
            sends_disconnected: 20,
            stages: [StageStats { cpu: doubled, gpu: doubled, retried: doubled }; 2],
            devices: vec![doubled, side],
            reclaimed_blocks: 22,
            hedged_blocks: 24,
            device_failures: 26,
            gpu_busy: ms(28),
            gpu_batches: 30,
            peak_memory: 20,
        };
        let devices = vec![side, side];
        let other = SchedulerStats { peak_memory: 20, devices, ..one.clone() };
        assert_eq!([one.clone(), other.clone()].iter().sum::<SchedulerStats>(), expected);
        assert_eq!([one, other].into_iter().sum::<SchedulerStats>(), expected);
    }
}
