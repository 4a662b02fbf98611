//! What a worker does with a block.

use super::{
    accel::{Done, Job},
    block::{Block, Finished, Side},
    coder::Coder,
    device::Sender,
};
use crate::sched::Task;

/// A block, numbered, by the stage that comes next. With a device it goes from a worker to the device and back to a worker.
pub(crate) enum BlockTask {
    /// All of it is to be done here.
    All(u64, Block),
    /// The model is to make streams of it, or to open its payload, for the device.
    Prepare(u64, Block, Sender),
    /// The entropy stage is not for the device after all, or the device has failed: it is to be done here, and what
    /// comes behind it.
    StandIn(Job, Side),
    /// The device has done the entropy stage: what comes behind it is to be done here.
    Complete(Done),
}

impl Task for BlockTask {
    type Scratch = Coder;
    type Output = Finished;

    fn run(
        self,
        _worker: usize,
        coder: &mut Coder,
        _: &mut crate::telemetry::Recorder,
    ) -> Option<Finished> {
        match self {
            Self::All(id, block) => Some(coder.code(id, block)),
            Self::Prepare(id, block, device) => match coder.prepare(id, block) {
                Ok(job) => match device.send(job) {
                    Ok(()) => None,
                    Err(job) => Some(coder.stand_in(job, Side::Cpu)),
                },
                Err(finished) => Some(*finished),
            },
            Self::StandIn(job, side) => Some(coder.stand_in(job, side)),
            Self::Complete(done) => Some(coder.complete(done, Side::Device)),
        }
    }
}
