//! The threads of an engine, from its second block on.

use std::sync::Arc;

use super::{
    accel::Job,
    block::{Block, Work},
    coder::Coder,
    desk::{Asker, Desk, MODEL},
    device::{Device, Surroundings, remember},
    kept::{self, Purpose},
    policy::memory::Workload,
    returns::Returns,
    task::{BlockTask, Worker},
};
use crate::{
    Assignment, CancelToken, Pipeline,
    format::BlockKind,
    sched::{Scheduler, Spawner, Task},
    telemetry::{self, Kind, Recorder, Run},
};

/// Blocks of fewer bytes are coded in some ten microseconds, so that taking them one by one would be felt.
const LONG_BLOCK: u32 = 32 << 10;

/// See the [module](self).
pub(super) struct Pool<'a> {
    /// First of all to be dropped: their threads hold the others.
    pub devices: Vec<Device>,
    pub surroundings: Surroundings<'a>,
    pub returns: Arc<Returns<'a>>,
    pub workload: Workload,
    /// For what the caller's thread does of the workers' tasks.
    pub scratch: Option<Worker<'a>>,
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        // What a cancelled run has left at devices would count as late.
        if !self.surroundings.is_cancelled() {
            remember(self.workload, &self.surroundings.desk);
        }
        // What nobody will take leaves the devices, or they could not be kept for another engine.
        self.surroundings.desk.stop_lending();
        self.returns.clear();
        // Each is waited for: the others shall not begin anything meanwhile.
        self.devices.iter().for_each(Device::stop);
        self.scratch.take().into_iter().for_each(BlockTask::lay_aside);
    }
}

impl<'a> Pool<'a> {
    /// Up to `workers` threads, none of them yet, that code blocks of number `due` on; `shared` says whether the entropy stage
    /// is anybody's.
    pub fn new(
        purpose: Purpose,
        shared: bool,
        workers: usize,
        due: u64,
        run: Run,
        spawner: Spawner<'a>,
        cancel: Option<CancelToken>,
    ) -> Self {
        let Purpose { demand, pipeline, level, verifies, simd } = purpose;
        let desk = Arc::new(Desk::new(due, demand.block_size));
        let returns = Arc::new(Returns::new(due));
        let (own, token) = (Arc::clone(&desk), cancel.clone());
        let worker = move |_| Worker {
            coder: kept::coder(&purpose).unwrap_or_else(|| {
                Coder::new(simd, verifies).expect("the caller's thread has made one")
            }),
            desk: Arc::clone(&own),
            purpose,
            cancel: token.clone(),
        };
        let own = Arc::clone(&desk);
        let forage = move |_, recorder: &mut Recorder| own.forage(telemetry::clock(), recorder);
        let inbox = Arc::clone(&returns);
        let take = if demand.block_size < LONG_BLOCK { 2 } else { 1 };
        let workers = Scheduler::new(spawner.clone(), workers, take, worker, forage, &run, inbox);
        let surroundings = Surroundings {
            desk,
            block_size: demand.block_size,
            shared,
            workers: Arc::new(workers),
            returns: Arc::clone(&returns),
            run,
            spawner,
            cancel,
        };
        let workload = Workload { pipeline, level };
        Self { devices: Vec::new(), surroundings, returns, workload, scratch: None }
    }

    /// Everything has been taken: all threads end together, not the workers behind the devices.
    pub fn finish(&self) {
        self.devices.iter().for_each(Device::stop);
        self.surroundings.workers.stop();
    }

    /// Devices need not wait for more blocks. With a model they are yet to come, from workers.
    pub fn submitted_all(&self) {
        let with_model = self.workload.pipeline.model().is_some();
        if !with_model && !self.surroundings.desk.set_has_all(true) {
            self.devices.iter().for_each(|device| device.wake());
        }
    }

    /// Routes a block. Only coded ones are worth a way to a device and back.
    pub fn place(
        &self,
        id: u64,
        block: Block<'a>,
        assignment: Assignment,
        recorder: &mut Recorder,
    ) {
        let Surroundings { desk, workers, .. } = &self.surroundings;
        desk.set_draining(false);
        desk.set_has_all(false);
        let trivial = match block.work {
            Work::Encode { .. } => block.pipeline == Pipeline::Stored,
            Work::Decode { encoded, .. } => encoded.kind != BlockKind::Coded,
        };
        let strict = assignment == Assignment::Gpu;
        let raw_size = block.raw_size() as u64;
        let fleet = desk.fleet().filter(|_| !trivial && assignment != Assignment::Cpu);
        let (task, announced) = match fleet {
            None => (BlockTask::All(id, block), None),
            Some(_) if block.pipeline.model().is_some() => {
                (BlockTask::Prepare(id, block, strict), fleet)
            }
            Some(_) => {
                let job = Job::whole(id, block, strict);
                let sent = desk.hand_over(telemetry::clock(), job, Asker::Caller, recorder);
                recorder.lap(Kind::Handoff);
                match sent {
                    Ok(()) => return,
                    Err(job) => (BlockTask::Either(job), None),
                }
            }
        };
        if let Some(fleet) = announced {
            fleet.policy().queued(MODEL, raw_size);
        }
        match task {
            BlockTask::Either(_) => workers.spawn_open(task),
            _ => workers.spawn(task),
        }
        recorder.lap(Kind::Admin);
    }
}
