//! Where it is decided who does what: shared by the caller, the workers and the submission threads.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    accel::Job,
    block::Side,
    channel::Refused,
    policy::{Hedge, Kind, Place, Policy, Sent},
    station::Station,
    task::BlockTask,
};
use crate::{
    sched::Forage,
    telemetry::{self, Recorder},
};

/// A task of each kind, as the policy counts its cost.
pub(crate) const WHOLE: Kind = Kind(0);
pub(crate) const MODEL: Kind = Kind(1);
pub(crate) const ENTROPY: Kind = Kind(2);
pub(crate) const BEHIND: Kind = Kind(3);
pub(crate) const LOAD: Kind = Kind(4);

/// See the [module](self).
#[derive(Default)]
pub(crate) struct Desk<'a> {
    /// Set once, when the devices are open.
    fleet: OnceLock<Fleet<'a>>,
    /// The caller submits no more blocks for now.
    draining: AtomicBool,
}

/// The devices, and how blocks are shared with them.
pub(crate) struct Fleet<'a> {
    pub stations: Vec<Arc<Station<'a>>>,
    /// How many workers there are; other threads help them out.
    pub workers: usize,
    policy: Mutex<Policy>,
}

impl<'a> Desk<'a> {
    /// Adds the devices, once.
    pub fn set_fleet(&self, stations: Vec<Arc<Station<'a>>>, workers: usize, policy: Policy) {
        let fleet = Fleet { stations, workers, policy: Mutex::new(policy) };
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

    /// At the time `now`, hands the entropy stage over, or gives it back to whoever asks: a strict job because every device has failed, any
    /// other also because the CPU is expected to be sooner, or the device takes no more.
    #[allow(clippy::result_large_err, reason = "the job comes back")]
    pub fn hand_over(
        &self,
        now: u64,
        job: Job<'a>,
        kind: Kind,
        recorder: &mut Recorder,
    ) -> Result<(), Job<'a>> {
        let Some(fleet) = self.fleet() else { return Err(job) };
        let bytes = job.work.raw_bytes() as u64;
        let mut job = job;
        loop {
            let device = {
                let mut policy = fleet.policy();
                if job.strict {
                    policy.fastest(now, bytes)
                } else {
                    match policy.choose(now, kind, bytes) {
                        Place::Cpu => None,
                        Place::Device(device) => Some(device),
                    }
                }
            };
            let Some(device) = device else { return Err(job) };
            fleet.policy().offered(device, bytes);
            let sent = fleet.stations[device].send(job);
            let outcome = match &sent {
                Ok(()) => Sent::Accepted,
                Err(Refused::Full(_)) => Sent::Full,
                Err(Refused::Disconnected(_)) => Sent::Disconnected,
            };
            fleet.policy().sent(device, now, bytes, outcome);
            match outcome {
                Sent::Accepted => {}
                Sent::Full => recorder.count(|stats| &mut stats.sends_full),
                Sent::Disconnected => recorder.count(|stats| &mut stats.sends_disconnected),
            }
            match sent {
                Ok(()) => return Ok(()),
                // Another device may do it; this one has been marked.
                Err(Refused::Disconnected(back)) if back.strict => {
                    fleet.policy().failed(device);
                    job = back;
                }
                Err(Refused::Full(back) | Refused::Disconnected(back)) => return Err(back),
            }
        }
    }

    /// A worker goes on with the entropy stage of a block after the model's.
    pub fn goes_on(&self, worker: usize, job: &Job<'_>) {
        if let Some(fleet) = self.fleet() {
            let bytes = job.work.raw_bytes() as u64;
            fleet.policy().began(worker, telemetry::clock(), ENTROPY, bytes, false);
        }
    }

    /// What a worker that found no task may do at the time `now`: take back what waits for a device, or do as well what a late device has.
    pub fn forage(&self, now: u64, recorder: &mut Recorder) -> Forage<BlockTask<'a>> {
        let Some(fleet) = self.fleet() else { return Forage::Sleep(None) };
        for station in &fleet.stations {
            let reclaimed = station.channel.withdraw(|job| {
                fleet.policy().reclaims(station.index, now, ENTROPY, job.work.raw_bytes() as u64)
            });
            if let Some(job) = reclaimed {
                fleet.policy().withdrawn(station.index, job.work.raw_bytes() as u64);
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
                match fleet.policy().hedges(
                    station.index,
                    batch,
                    now,
                    ENTROPY,
                    bytes as u64,
                    draining,
                ) {
                    Hedge::Now => true,
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
        let in_flight = std::iter::from_fn(|| station.back_up(true, |_, _| true))
            .map(|backup| BlockTask::Backup(backup, Arc::clone(station)));
        let waiting = std::iter::from_fn(|| station.channel.next(|job| !job.strict)).map(|job| {
            self.policy().withdrawn(station.index, job.work.raw_bytes() as u64);
            BlockTask::StandIn(job, Side::Cpu)
        });
        in_flight.chain(waiting).take(self.workers).collect()
    }

    pub fn policy(&self) -> MutexGuard<'_, Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
