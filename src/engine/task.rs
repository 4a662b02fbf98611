//! What a worker does with a block.

use std::sync::Arc;

use super::{
    accel::{Job, Load, Unload, Work},
    block::{Block, Finished, Side},
    coder::Coder,
    desk::{BEHIND, Desk, ENTROPY, LOAD, MODEL, WHOLE},
    policy::Kind,
    station::{Backup, Loading, Station},
};
use crate::{sched::Task, telemetry};

/// A block, numbered, by the stage that comes next. With a device it goes from a worker to the device and back to a worker.
pub(crate) enum BlockTask {
    /// All of it is to be done here.
    All(u64, Block),
    /// The same, unless a device takes it first.
    Either(Job),
    /// The model is to make streams of it, or to open its payload, for a device, which alone may do the entropy stage if
    /// so the flag says.
    Prepare(u64, Block, bool),
    /// Its input is to be copied to a device.
    Load(Job, Load, Arc<Loading>, Arc<Station>),
    /// The entropy stage is not for the device after all, or the device has failed: it is to be done here, and what
    /// comes behind it.
    StandIn(Job, Side),
    /// A device is late with the entropy stage, which is to be done here as well.
    Backup(Backup, Arc<Station>),
    /// A device has done the entropy stage: what comes behind it is to be done here.
    Complete(Job, Unload, Arc<Station>),
}

/// What a worker keeps from block to block.
pub(crate) struct Worker {
    pub coder: Coder,
    pub desk: Arc<Desk>,
}

impl Task for BlockTask {
    type Scratch = Worker;
    type Output = Finished;

    fn run(self, worker: usize, scratch: &mut Worker) -> Option<Finished> {
        let Worker { coder, desk } = scratch;
        let fleet = desk.fleet().filter(|fleet| worker < fleet.workers);
        let Some(fleet) = fleet else { return self.perform(coder, desk) };
        let (kind, bytes, queued) = self.cost();
        fleet.policy().began(worker, telemetry::clock(), kind, bytes, queued);
        let finished = self.perform(coder, desk);
        fleet.policy().ended(worker, telemetry::clock());
        finished
    }
}

impl BlockTask {
    /// The kind of its cost, raw bytes, and whether it was announced when it was queued.
    fn cost(&self) -> (Kind, u64, bool) {
        match self {
            Self::All(_, block) => (WHOLE, block.raw_size() as u64, true),
            Self::Either(job) => (WHOLE, job.work.raw_bytes() as u64, true),
            Self::Prepare(_, block, _) => (MODEL, block.raw_size() as u64, true),
            Self::Load(job, ..) => (LOAD, job.work.raw_bytes() as u64, false),
            Self::StandIn(job, _) => (ENTROPY, job.work.raw_bytes() as u64, false),
            Self::Backup(backup, _) => (ENTROPY, backup.work.raw_bytes() as u64, false),
            Self::Complete(job, ..) => (BEHIND, job.work.raw_bytes() as u64, false),
        }
    }

    fn perform(self, coder: &mut Coder, desk: &Desk) -> Option<Finished> {
        match self {
            Self::All(id, block) => Some(coder.code(id, block)),
            Self::Either(job) => Some(coder.stand_in(job, Side::Cpu)),
            Self::Prepare(id, block, strict) => match coder.prepare(id, block, strict) {
                Ok(job) => match desk.hand_over(job, ENTROPY) {
                    Ok(()) => None,
                    Err(job) => Some(coder.stand_in(job, Side::Cpu)),
                },
                Err(finished) => Some(*finished),
            },
            Self::Load(job, load, loading, station) => {
                let back = station.load(job, load, &loading)?;
                Some(coder.stand_in(back, Side::Retried))
            }
            Self::StandIn(job, side) => Some(coder.stand_in(job, side)),
            Self::Backup(backup, station) => back_up(backup, &station, coder),
            Self::Complete(job, unload, station) => Some(complete(job, unload, &station, coder)),
        }
    }
}

fn complete(mut job: Job, unload: Unload, station: &Station, coder: &mut Coder) -> Finished {
    let outcome = unload(&mut job.work);
    (station.waker)(); // A slot may be free now.
    match (&job.work, outcome) {
        // Encoding does not fail on a device that works.
        (Work::Encode { .. }, Err(fault)) => {
            log::warn!("{} could not encode a block ({fault})", station.name);
            coder.stand_in(job, Side::Retried)
        }
        (_, outcome) => coder.complete(job, outcome, Side::Device),
    }
}

/// The entropy stage on a copy of its output; `None` if the device is faster after all.
fn back_up(mut backup: Backup, station: &Station, coder: &mut Coder) -> Option<Finished> {
    let outcome = coder.code_parts(&mut backup.work);
    let mut job = station.claim(backup.id)?;
    job.work = backup.work;
    Some(coder.complete(job, outcome, Side::Cpu))
}
