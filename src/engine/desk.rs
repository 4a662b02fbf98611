//! Where it is decided who does what: shared by the caller, the workers and the submission threads.
//!
//! Locks are taken in this order: what a station has in flight, the policy, a channel.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    accel::{Class, Job, Stay},
    block::Side,
    channel::Refused,
    policy::{Hedge, Kind, Place, Policy, Sent},
    station::Station,
    task::BlockTask,
};
use crate::{sched::Forage, telemetry::Recorder};

/// A task of each kind, as the policy counts its cost.
pub(crate) const WHOLE: Kind = Kind(0);
pub(crate) const MODEL: Kind = Kind(1);
pub(crate) const ENTROPY: Kind = Kind(2);
pub(crate) const BEHIND: Kind = Kind(3);
pub(crate) const LOAD: Kind = Kind(4);

/// A block is taken soon if it is within so many batches of the one that is due. Blocks that a device does in their order come
/// back that close.
const NEAR: u64 = 2;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Desk<'a> {
    /// Set once, when the devices are open.
    fleet: OnceLock<Fleet<'a>>,
    /// The caller submits no more blocks for now.
    draining: AtomicBool,
    /// All blocks of the run have been submitted, as far as the caller knows.
    has_all: AtomicBool,
    /// The block that the caller takes next.
    due: AtomicU64,
    /// The caller will take no more.
    ends: AtomicBool,
    /// The most raw bytes of a block.
    block_size: usize,
}

/// The devices, and how blocks are shared with them.
pub(crate) struct Fleet<'a> {
    pub stations: Vec<Arc<Station<'a>>>,
    /// How many workers there are; other threads help them out.
    pub workers: usize,
    policy: Mutex<Policy>,
    /// When each worker ended its last task, if the policy has not been told yet; else 0.
    ended: Box<[AtomicU64]>,
    /// Raw bytes that wait for devices or that they have.
    held: AtomicU64,
}

/// Who asks a device to do the entropy stage, and what it does if none does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker {
    /// Queues the block for a worker.
    Caller,
    /// A worker, which goes on with the block.
    Worker(usize),
}

/// The policy, locked.
pub(crate) struct Decisions<'f> {
    policy: MutexGuard<'f, Policy>,
    held: &'f AtomicU64,
}

impl Deref for Decisions<'_> {
    type Target = Policy;

    fn deref(&self) -> &Policy {
        &self.policy
    }
}

impl DerefMut for Decisions<'_> {
    fn deref_mut(&mut self) -> &mut Policy {
        &mut self.policy
    }
}

impl Drop for Decisions<'_> {
    fn drop(&mut self) {
        self.held.store(self.policy.held(), Relaxed);
    }
}

impl<'a> Desk<'a> {
    /// For blocks from number `due` on, of `block_size` raw bytes at most.
    pub fn new(due: u64, block_size: u32) -> Self {
        Self { due: AtomicU64::new(due), block_size: block_size as usize, ..Self::default() }
    }

    /// Adds the devices, once.
    pub fn set_fleet(&self, stations: Vec<Arc<Station<'a>>>, workers: usize, policy: Policy) {
        let ended = (0..workers).map(|_| AtomicU64::new(0)).collect();
        let (policy, held) = (Mutex::new(policy), AtomicU64::new(0));
        let fleet = Fleet { stations, workers, policy, ended, held };
        assert!(self.fleet.set(fleet).is_ok(), "the devices are opened once");
    }

    pub fn fleet(&self) -> Option<&Fleet<'a>> {
        self.fleet.get()
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Says whether more blocks are to come. Returns what was said before.
    pub fn set_draining(&self, draining: bool) -> bool {
        self.draining.swap(draining, Relaxed)
    }

    /// Whether all blocks of the run have been submitted.
    pub fn has_all(&self) -> bool {
        self.has_all.load(Relaxed)
    }

    /// Says so. Returns what was said before.
    pub fn set_has_all(&self, has_all: bool) -> bool {
        self.has_all.swap(has_all, Relaxed)
    }

    /// The caller has taken all blocks before this.
    pub fn set_due(&self, block: u64) {
        self.due.store(block, Relaxed);
    }

    /// From now on no results stay at a device.
    pub fn stop_lending(&self) {
        self.ends.store(true, Relaxed);
    }

    /// Whether a job that the device has done may leave its results there: it will be taken soon, so it does not keep a slot
    /// for long, and nothing will happen to the device meanwhile as far as is known.
    pub fn stay(&self, job: &Job<'_>, station: &Station<'_>) -> Stay {
        let batch = (station.limit.raw_bytes / self.block_size.max(1)).min(station.limit.parts);
        let soon = self.due.load(Relaxed).saturating_add(NEAR * batch as u64);
        let fit = job.class == Class::First && !station.is_lost() && !self.ends.load(Relaxed);
        if fit && job.id < soon { Stay::May } else { Stay::No }
    }

    /// At the time `now`, hands the entropy stage over, or gives it back to whoever asks: a strict job because every device
    /// has failed, any other also because the CPU is expected to be sooner, or the device takes no more. The asker then does
    /// as it said.
    #[allow(clippy::result_large_err, reason = "the job comes back")]
    pub fn hand_over(
        &self,
        now: u64,
        job: Job<'a>,
        asker: Asker,
        recorder: &mut Recorder,
    ) -> Result<(), Job<'a>> {
        let Some(fleet) = self.fleet() else { return Err(job) };
        // The channel's lock is the only one that is taken within, and nothing is within that.
        let mut policy = fleet.policy();
        match fleet.send(&mut policy, now, job, asker, recorder) {
            Ok(station) => {
                drop(policy);
                (station.waker)();
                Ok(())
            }
            Err(job) => {
                let bytes = job.work.raw_bytes() as u64;
                match asker {
                    Asker::Caller => policy.queued(WHOLE, bytes),
                    Asker::Worker(worker) => {
                        policy.began(worker, now, ENTROPY, bytes, false);
                    }
                }
                Err(job)
            }
        }
    }

    /// What a worker that found no task may do at the time `now`: take back what waits for a device, or do as well what a
    /// late device has.
    pub fn forage(&self, now: u64, recorder: &mut Recorder) -> Forage<BlockTask<'a>> {
        let Some(fleet) = self.fleet() else { return Forage::Sleep(None) };
        for station in &fleet.stations {
            let Some(bytes) = station.channel.last_bytes() else { continue };
            if !fleet.policy().reclaims(station.index, now, ENTROPY, bytes as u64) {
                continue;
            }
            // Another one meanwhile is as good if it is as large.
            let reclaimed = station.channel.withdraw(|job| job.work.raw_bytes() == bytes);
            if let Some(job) = reclaimed {
                fleet.policy().withdrawn(station.index, bytes as u64);
                recorder.count(|stats| &mut stats.reclaimed_blocks);
                return Forage::Task(BlockTask::StandIn(job, Side::Cpu));
            }
        }
        self.back_up(fleet, now)
    }

    fn back_up(&self, fleet: &Fleet<'a>, now: u64) -> Forage<BlockTask<'a>> {
        let draining = self.is_draining();
        let mut soonest: Option<u64> = None;
        for station in &fleet.stations {
            let backup = station.back_up(false, |batch, bytes| {
                let (mut policy, bytes) = (fleet.policy(), bytes as u64);
                match policy.hedges(station.index, batch, now, ENTROPY, bytes, draining) {
                    Hedge::Now => {
                        policy.backed_up(station.index, batch, bytes);
                        true
                    }
                    Hedge::At(time) => {
                        soonest = Some(soonest.map_or(time, |soonest| soonest.min(time)));
                        false
                    }
                    Hedge::Never => false,
                }
            });
            if let Some(backup) = backup {
                return Forage::Task(BlockTask::Backup(backup, Arc::clone(station)));
            }
        }
        Forage::Sleep(soonest.map(|time| Duration::from_nanos(time.saturating_sub(now).max(1000))))
    }
}

impl<'a> Fleet<'a> {
    /// A block that waits for a worker and that the device of this number had better take: `take` finds the first for
    /// which its argument says so. Blocks usually have so many raw bytes.
    pub fn spare(
        &self,
        device: usize,
        now: u64,
        usual: u64,
        take: impl FnOnce(&dyn Fn(&Job<'_>) -> bool) -> Option<Job<'a>>,
    ) -> Option<Job<'a>> {
        // Most of the time it wants none; then the queue is left alone.
        if !self.policy().wants(device, now, WHOLE, usual) {
            return None;
        }
        take(&|job| {
            !job.strict && self.policy().pulls(device, now, WHOLE, job.work.raw_bytes() as u64)
        })
    }

    /// Some of what a late device holds and others may do, oldest first: one task for each worker, as it may yet come. That
    /// goes before anything new, as the window of blocks in flight closes behind it.
    pub fn rescue(&self, station: &Arc<Station<'a>>) -> Vec<BlockTask<'a>> {
        let back_up = |batch, bytes| {
            self.policy().backed_up(station.index, batch, bytes as u64);
            true
        };
        let in_flight = std::iter::from_fn(|| station.back_up(true, back_up))
            .map(|backup| BlockTask::Backup(backup, Arc::clone(station)));
        let waiting = std::iter::from_fn(|| station.channel.next(|job| !job.strict)).map(|job| {
            self.policy().withdrawn(station.index, job.work.raw_bytes() as u64);
            BlockTask::StandIn(job, Side::Cpu)
        });
        in_flight.chain(waiting).take(self.workers).collect()
    }

    /// Sends a job to the device that the policy chooses; its waker is for the caller to call.
    #[allow(clippy::result_large_err, reason = "the job comes back")]
    fn send(
        &self,
        policy: &mut Policy,
        now: u64,
        mut job: Job<'a>,
        asker: Asker,
        recorder: &mut Recorder,
    ) -> Result<&Station<'a>, Job<'a>> {
        let (bytes, strict) = (job.work.raw_bytes() as u64, job.strict);
        let kind = if matches!(asker, Asker::Caller) { WHOLE } else { ENTROPY };
        loop {
            let place = match strict {
                true => policy.fastest(now, bytes).map_or(Place::Cpu, Place::Device),
                false => policy.choose(now, kind, bytes),
            };
            let Place::Device(device) = place else {
                if strict {
                    recorder.count(|stats| &mut stats.sends_disconnected); // All have failed.
                }
                return Err(job);
            };
            policy.offered(device, bytes);
            let sent = self.stations[device].channel.send(job);
            let outcome = match &sent {
                Ok(()) => Sent::Accepted,
                Err(Refused::Full(_)) => Sent::Full,
                Err(Refused::Disconnected(_)) => Sent::Disconnected,
            };
            policy.sent(device, now, bytes, outcome);
            match outcome {
                Sent::Accepted => {}
                Sent::Full => recorder.count(|stats| &mut stats.sends_full),
                Sent::Disconnected if strict => {} // Another device may do it; this one is marked.
                Sent::Disconnected => recorder.count(|stats| &mut stats.sends_disconnected),
            }
            match sent {
                Ok(()) => return Ok(&self.stations[device]),
                Err(Refused::Disconnected(back)) if strict => {
                    policy.failed(device);
                    job = back;
                }
                Err(Refused::Full(back) | Refused::Disconnected(back)) => return Err(back),
            }
        }
    }

    /// A worker has ended a task. The policy hears of it before it decides anything.
    pub fn ended(&self, worker: usize, now: u64) {
        self.ended[worker].store(now.max(1), Relaxed);
    }

    /// Raw bytes that wait for devices or that they have.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// The policy, which knows of all tasks that have ended.
    pub fn policy(&self) -> Decisions<'_> {
        let mut policy = self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        for (worker, ended) in self.ended.iter().enumerate() {
            if ended.load(Relaxed) != 0 {
                policy.ended(worker, ended.swap(0, Relaxed));
            }
        }
        Decisions { policy, held: &self.held }
    }
}
