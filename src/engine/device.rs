//! A submission thread: the only one that touches its device's queues.
//!
//! It waits for the device, a job or a loaded batch; before that it does urgent tasks itself, so that copies are made even while
//! every worker is busy with a long block.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use super::{
    accel::{Accelerator, Job, Load, Unload, Waker},
    block::{Finished, Side},
    desk::{Desk, WHOLE},
    policy::{DevicePrior, Policy},
    station::{Loading, Station},
    submission::{Crew, Submission},
    task::BlockTask,
};
use crate::{
    sched::{Outcome, Scheduler, panic_message},
    telemetry,
};

/// A submission thread. Dropping it drops what has not been submitted and ends the thread.
pub(super) struct Device {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

/// What a submission thread shares with the rest of the engine.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub desk: Arc<Desk>,
    pub workers: Arc<Scheduler<BlockTask>>,
    pub done: mpsc::Sender<Outcome<Finished>>,
}

impl Device {
    pub fn start(
        accelerator: Box<dyn Accelerator>,
        station: Arc<Station>,
        surroundings: Surroundings,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let waker = accelerator.waker();
        let mut thread = Thread {
            submission: Submission::new(accelerator, Arc::clone(&station)),
            hands: Hands { station, surroundings },
            stop: Arc::clone(&stop),
        };
        let name = format!("ranvil-device-{}", thread.hands.station.index);
        let thread = thread::Builder::new().name(name).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| thread.run())) {
                thread.hands.report(panic_message(panic));
            }
        })?;
        Ok(Self { stop, waker, thread: Some(thread) })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        (self.waker)();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // It catches its panics.
        }
    }
}

struct Thread {
    submission: Submission,
    hands: Hands,
    stop: Arc<AtomicBool>,
}

impl Thread {
    fn run(&mut self) {
        let desk = Arc::clone(&self.hands.surroundings.desk);
        let fleet = desk.fleet().expect("devices are started with the fleet");
        let mut scratch = None;
        while !self.stop.load(Relaxed) && !self.submission.is_lost() {
            let busy = self.submission.step(telemetry::clock(), fleet, &self.hands);
            if busy || self.hands.surroundings.workers.help(&mut scratch) {
                continue;
            }
            if let Err(error) = self.submission.accelerator.wait(None) {
                self.submission.fail(&error, fleet, &self.hands);
            }
        }
    }
}

/// Turns what a submission wants into tasks for the workers.
struct Hands {
    station: Arc<Station>,
    surroundings: Surroundings,
}

impl Hands {
    fn urgent(&self, task: BlockTask) {
        self.surroundings.workers.spawn_urgent(task);
    }

    /// Frees the caller, who waits for a block that will not come.
    fn report(&self, message: String) {
        // It fails only if the engine is gone.
        let _ = self.surroundings.done.send(Outcome::Panicked(message));
    }
}

impl Crew for Hands {
    fn load(&self, job: Job, load: Load, loading: Arc<Loading>) {
        self.urgent(BlockTask::Load(job, load, loading, Arc::clone(&self.station)));
    }

    fn complete(&self, job: Job, unload: Unload) {
        self.urgent(BlockTask::Complete(job, unload, Arc::clone(&self.station)));
    }

    fn stand_in(&self, job: Job, failed: bool) {
        let side = if failed { Side::Retried } else { Side::Cpu };
        self.surroundings.workers.spawn(BlockTask::StandIn(job, side));
    }

    fn started(&self) {
        let Surroundings { desk, workers, .. } = &self.surroundings;
        // At the end of a stream everybody may help, before it somebody has to watch the time.
        let helpers = match desk.fleet() {
            Some(fleet) if desk.is_draining() => fleet.workers,
            _ => 1,
        };
        (0..helpers).for_each(|_| workers.wake());
    }

    fn spare(&self, accept: &dyn Fn(&Job) -> bool) -> Option<Job> {
        let Surroundings { desk, workers, .. } = &self.surroundings;
        let fleet = desk.fleet()?;
        let task = workers.take_queued(|task| match task {
            BlockTask::Either(job) if accept(job) => {
                let bytes = job.work.raw_bytes() as u64;
                fleet.policy().pulls(self.station.index, telemetry::clock(), WHOLE, bytes)
            }
            _ => false,
        });
        match task? {
            BlockTask::Either(job) => Some(job),
            _ => unreachable!("nothing else was accepted"),
        }
    }
}

/// Makes the fleet of devices that are open, and starts their threads.
pub(super) fn start_fleet(
    accelerators: Vec<Box<dyn Accelerator>>,
    workers: usize,
    surroundings: &Surroundings,
) -> io::Result<Vec<Device>> {
    let stations: Vec<_> = accelerators
        .iter()
        .enumerate()
        .map(|(index, accelerator)| Arc::new(Station::new(index, accelerator.as_ref())))
        .collect();
    let priors = vec![DevicePrior::default(); stations.len()];
    let policy = Policy::new(workers, &priors, &Default::default());
    surroundings.desk.set_fleet(stations.clone(), workers, policy);
    let pairs = accelerators.into_iter().zip(stations);
    pairs
        .map(|(accelerator, station)| Device::start(accelerator, station, surroundings.clone()))
        .collect()
}
