//! What a worker does with a block.

use std::{sync::Arc, thread};

use super::{
    accel::{Job, Load, Outcome, Stay, Unload, Work},
    block::{self, Block, Buffers, Finished, Side},
    coder::Coder,
    desk::{Asker, BEHIND, Desk, ENTROPY, Fleet, LOAD, MODEL, WHOLE},
    kept::{self, Purpose},
    policy::Kind,
    returns::Returned,
    station::{Backup, Loading, Station},
};
use crate::{
    CancelToken, bulk,
    error::BlockFault,
    sched::Task,
    telemetry::{self, Kind as Phase, Piece, Recorder},
};

/// A block, numbered, by the stage that comes next. With a device it goes from a worker to the device and back to a worker.
pub(crate) enum BlockTask<'a> {
    /// All of it is to be done here.
    All(u64, Block<'a>),
    /// The same, unless a device takes it first.
    Either(Job<'a>),
    /// The model is to make streams of it, or to open its payload, for a device, which alone may do the entropy stage if
    /// so the flag says.
    Prepare(u64, Block<'a>, bool),
    /// Its input is to be copied to a device.
    Load(Job<'a>, Load, Arc<Loading>, Arc<Station<'a>>),
    /// The entropy stage is not for the device after all, or the device has failed: it is to be done here, and what
    /// comes behind it.
    StandIn(Job<'a>, Side),
    /// A device is late with the entropy stage, which is to be done here as well.
    Backup(Backup<'a>, Arc<Station<'a>>),
    /// A device has done the entropy stage: what comes behind it is to be done here.
    Complete(Job<'a>, Unload, Arc<Station<'a>>),
    /// The payload of a finished block is to be copied to where it belongs.
    Place(Placing<'a>),
}

/// A finished block and the place of its payload.
pub(crate) struct Placing<'a> {
    pub id: u64,
    pub buffers: Buffers<'a>,
    /// Its payload is its raw bytes.
    pub stored: bool,
    pub place: &'a mut [u8],
    /// The bytes will hardly be read before others have taken their place in the processor's caches.
    pub past_caches: bool,
}

impl<'a> Placing<'a> {
    /// Copies, and returns the buffers.
    pub fn copy(self) -> Buffers<'a> {
        let Self { mut buffers, stored, place, past_caches, .. } = self;
        let from = if stored { &buffers.raw } else { &buffers.payload };
        if past_caches {
            bulk::copy(from, place);
        } else {
            place.copy_from_slice(from);
        }
        buffers.payload.let_go();
        buffers
    }
}

/// What a worker keeps from block to block.
pub(crate) struct Worker<'a> {
    pub coder: Coder,
    pub desk: Arc<Desk<'a>>,
    pub purpose: Purpose,
    pub cancel: Option<CancelToken>,
}

impl Worker<'_> {
    fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }
}

impl<'a> Task for BlockTask<'a> {
    type Scratch = Worker<'a>;
    type Output = Returned<'a>;

    fn lay_aside(worker: Worker<'a>) {
        kept::keep_coder(&worker.purpose, worker.coder);
    }

    fn number(&self) -> Option<u64> {
        Some(match self {
            Self::All(id, _) | Self::Prepare(id, ..) => *id,
            Self::Either(job) | Self::StandIn(job, _) => job.id,
            Self::Load(job, ..) | Self::Complete(job, ..) => job.id,
            Self::Backup(backup, _) => backup.id,
            Self::Place(placing) => placing.id,
        })
    }

    fn run(
        self,
        worker: usize,
        scratch: &mut Worker<'a>,
        recorder: &mut Recorder,
    ) -> Option<Returned<'a>> {
        // The caller may be asleep or in the middle of a block, and so not yet know: it would find others begun when it stops.
        if scratch.is_cancelled() {
            return Some(Returned::Cancelled);
        }
        match self {
            Self::Place(placing) => {
                let (block, bytes) = (placing.id, placing.place.len() as u64);
                let piece = Piece { name: "place", stages: &[], block, bytes };
                let buffers = recorder.piece(Phase::Other, piece, || placing.copy());
                Some(Returned::Buffers(buffers))
            }
            task => task.code(worker, scratch, recorder).map(Returned::Block),
        }
    }
}

/// Tells the policy that a worker's task has ended, however that came.
struct Ends<'f, 'a> {
    fleet: &'f Fleet<'a>,
    worker: usize,
    /// It was a backup and has been stopped, so how long it took says nothing.
    stopped: bool,
}

impl Drop for Ends<'_, '_> {
    fn drop(&mut self) {
        let Self { fleet, worker, stopped } = *self;
        if thread::panicking() {
            fleet.policy().abandoned(worker);
        } else if stopped {
            fleet.policy().stopped(worker);
        } else {
            fleet.ended(worker, telemetry::clock());
        }
    }
}

impl<'a> BlockTask<'a> {
    /// Does stages of a block, and tells the policy of it.
    fn code(
        self,
        worker: usize,
        scratch: &mut Worker<'a>,
        recorder: &mut Recorder,
    ) -> Option<Finished<'a>> {
        let Worker { coder, desk, .. } = scratch;
        let fleet = desk.fleet().filter(|fleet| worker < fleet.workers);
        let Some(fleet) = fleet else { return self.perform(worker, coder, desk, recorder) };
        if let Self::Backup(backup, station) = &self
            && !station.holds(backup.id)
        {
            return None; // The device was faster. Nothing is to be learnt from that.
        }
        let Some((kind, bytes, queued)) = self.cost() else {
            return self.perform(worker, coder, desk, recorder);
        };
        fleet.policy().began(worker, telemetry::clock(), kind, bytes, queued);
        let is_backup = matches!(self, Self::Backup(..));
        let mut ends = Ends { fleet, worker, stopped: false };
        let finished = self.perform(worker, coder, desk, recorder);
        ends.stopped = is_backup && finished.is_none();
        finished
    }

    /// The kind of its cost, raw bytes, and whether it was announced when it was queued.
    fn cost(&self) -> Option<(Kind, u64, bool)> {
        Some(match self {
            // There is no device for it, or it is not coded, or it was queued before there was a device.
            Self::All(..) | Self::Place(_) => return None,
            Self::Either(job) => (WHOLE, job.work.raw_bytes() as u64, true),
            Self::Prepare(_, block, _) => (MODEL, block.raw_size() as u64, true),
            Self::Load(job, ..) => (LOAD, job.work.raw_bytes() as u64, false),
            Self::StandIn(job, _) => (ENTROPY, job.work.raw_bytes() as u64, false),
            Self::Backup(backup, _) => (ENTROPY, backup.work.raw_bytes() as u64, false),
            Self::Complete(job, ..) => (BEHIND, job.work.raw_bytes() as u64, false),
        })
    }

    fn perform(
        self,
        worker: usize,
        coder: &mut Coder,
        desk: &Desk<'a>,
        recorder: &mut Recorder,
    ) -> Option<Finished<'a>> {
        match self {
            Self::All(id, block) => Some(code(id, block, coder, recorder)),
            Self::Either(job) => Some(stand_in(job, Side::Cpu, coder, recorder)),
            Self::Prepare(id, block, strict) => {
                let piece = match block.work {
                    block::Work::Encode { .. } => block.piece(id, "model", &[0]),
                    block::Work::Decode { .. } => block.piece(id, "open", &[]),
                };
                let prepared =
                    recorder.piece(Phase::Compute, piece, || coder.prepare(id, block, strict));
                let job = match prepared {
                    Ok(job) => job,
                    Err(finished) => return Some(*finished),
                };
                let asker = Asker::Worker(worker);
                let sent = desk.hand_over(telemetry::clock(), job, asker, recorder);
                recorder.lap(Phase::Handoff);
                sent.err().map(|job| stand_in(job, Side::Cpu, coder, recorder))
            }
            Self::Load(job, load, loading, station) => {
                let piece = job.piece("load", |_| &[]);
                let back =
                    recorder.piece(Phase::Handoff, piece, || station.load(job, load, &loading))?;
                Some(stand_in(back, Side::Retried, coder, recorder))
            }
            Self::StandIn(job, side) => Some(stand_in(job, side, coder, recorder)),
            Self::Backup(backup, station) => back_up(backup, &station, coder, recorder),
            Self::Complete(job, unload, station) => {
                let stay = desk.stay(&job, &station);
                Some(complete(job, unload, stay, &station, coder, recorder))
            }
            Self::Place(_) => unreachable!("no stage of a block"),
        }
    }
}

/// All stages of a block.
pub(super) fn code<'a>(
    id: u64,
    block: Block<'a>,
    coder: &mut Coder,
    recorder: &mut Recorder,
) -> Finished<'a> {
    let name = match block.work {
        block::Work::Encode { .. } => "encode",
        block::Work::Decode { .. } => "decode",
    };
    let piece = block.piece(id, name, block.stages());
    recorder.piece(Phase::Compute, piece, || coder.code(id, block))
}

fn stand_in<'a>(
    job: Job<'a>,
    side: Side,
    coder: &mut Coder,
    recorder: &mut Recorder,
) -> Finished<'a> {
    recorder.piece(Phase::Compute, job.standing_in(), || coder.stand_in(job, side))
}

fn complete<'a>(
    mut job: Job<'a>,
    unload: Unload,
    stay: Stay,
    station: &Station<'_>,
    coder: &mut Coder,
    recorder: &mut Recorder,
) -> Finished<'a> {
    let outcome = recorder
        .piece(Phase::Handoff, job.piece("unload", |_| &[]), || unload(&mut job.work, stay));
    match (&job.work, outcome) {
        // Encoding does not fail on a device that works.
        (Work::Encode { .. }, Err(fault)) => {
            log::warn!("{} could not encode a block ({fault})", station.name);
            stand_in(job, Side::Retried, coder, recorder)
        }
        (_, outcome) => finish(job, outcome, Side::Device(station.index), coder, recorder),
    }
}

/// The entropy stage on a copy of its output; `None` if the device is faster after all.
fn back_up<'a>(
    mut backup: Backup<'a>,
    station: &Station<'a>,
    coder: &mut Coder,
    recorder: &mut Recorder,
) -> Option<Finished<'a>> {
    if !station.holds(backup.id) {
        return None;
    }
    recorder.count(|stats| &mut stats.hedged_blocks);
    let outcome = recorder
        .piece(Phase::Compute, backup.piece, || coder.back_up(&mut backup.work, &backup.stop));
    let mut job = station.claim(backup.id)?;
    let outcome = if job.work.accept(backup.work) { outcome } else { Err(BlockFault::Size) };
    Some(finish(job, outcome, Side::Cpu, coder, recorder))
}

/// What comes behind the entropy stage.
fn finish<'a>(
    job: Job<'a>,
    outcome: Result<Outcome, BlockFault>,
    side: Side,
    coder: &Coder,
    recorder: &mut Recorder,
) -> Finished<'a> {
    let piece = job.piece("finish", |block| block.rebuilding());
    recorder.piece(Phase::Compute, piece, || coder.complete(job, outcome, side))
}
