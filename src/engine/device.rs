//! A submission thread: the only one that touches its device's queues.
//!
//! It waits for the device, a job or a loaded batch; before that it does urgent tasks itself, so that copies are made even while
//! every worker is busy with a long block.

use std::{
    cell::RefCell,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    accel::{Arrival, Idle, Job, Load, Unload, Waker},
    block::Side,
    desk::{Desk, Fleet},
    policy::{
        Policy,
        memory::{self, Workload},
    },
    returns::Returns,
    station::{Loading, Station},
    submission::{Crew, Submission},
    task::BlockTask,
};
use crate::{
    CancelToken,
    sched::{Inbox, Kept, Outcome, Scheduler, Spawner, panic_message},
    telemetry::{self, BatchSpan, Kind, Recorder, Row, Run},
};

/// How often a submission thread looks again whether a late device holds more that others may do.
const LATE_POLL: Duration = Duration::from_millis(1);

/// A submission thread. Dropping it drops what has not been submitted and ends the thread.
pub(super) struct Device {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<Kept>,
}

/// What a submission thread shares with the rest of the engine.
#[derive(Clone)]
pub(super) struct Surroundings<'a> {
    pub desk: Arc<Desk<'a>>,
    /// The most raw bytes of a block.
    pub block_size: u32,
    /// Whether devices and CPU share the entropy stage.
    pub shared: bool,
    pub workers: Arc<Scheduler<'a, BlockTask<'a>>>,
    pub returns: Arc<Returns<'a>>,
    pub run: Run,
    pub spawner: Spawner<'a>,
    pub cancel: Option<CancelToken>,
}

impl Surroundings<'_> {
    pub fn is_cancelled(&self) -> bool {
        self.cancel.as_ref().is_some_and(CancelToken::is_cancelled)
    }
}

impl Device {
    pub fn start<'a>(
        accelerator: Idle,
        station: Arc<Station<'a>>,
        surroundings: Surroundings<'a>,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut accelerator = accelerator.into_inner();
        let waker = accelerator.waker();
        accelerator.measure(surroundings.run.is_on());
        surroundings.run.name_device(station.index, &station.name);
        let log = RefCell::new(Log {
            recorder: surroundings.run.recorder(Row::Submission(station.index)),
            batches: Vec::new(),
        });
        let mut thread = Thread {
            submission: Submission::new(accelerator, Arc::clone(&station)),
            hands: Hands { station, surroundings, log, stop: Arc::clone(&stop) },
        };
        let name = format!("ranvil-device-{}", thread.hands.station.index);
        let spawner = thread.hands.surroundings.spawner.clone();
        let thread =
            spawner.spawn(name, move || match catch_unwind(AssertUnwindSafe(|| thread.run())) {
                Ok(()) => thread.submission.park(),
                Err(panic) => {
                    thread.hands.report(panic_message(panic));
                    if thread.hands.station.lose() {
                        thread.submission.accelerator.quiet();
                    }
                    thread.hands.hand_back();
                }
            })?;
        Ok(Self { stop, waker, thread: Some(thread) })
    }

    /// Has the thread begin nothing more.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
        (self.waker)();
    }

    /// Has the thread look whether there is something to do now.
    pub fn wake(&self) {
        (self.waker)();
    }
}

/// Keeps what has been measured for the next run.
pub(super) fn remember(workload: Workload, desk: &Desk<'_>) {
    if let Some(fleet) = desk.fleet() {
        let uuids: Vec<_> = fleet.stations.iter().map(|station| station.uuid).collect();
        memory::remember(workload, &uuids, fleet.policy().priors());
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            thread.join();
        }
    }
}

struct Thread<'a> {
    submission: Submission<'a>,
    hands: Hands<'a>,
}

impl<'a> Thread<'a> {
    fn run(&mut self) {
        let desk = Arc::clone(&self.hands.surroundings.desk);
        let fleet = desk.fleet().expect("devices are started with the fleet");
        let mut scratch = None;
        self.hands.log.get_mut().recorder.begin();
        while !self.hands.is_stopped() && !self.submission.is_lost() {
            let busy = self.submission.step(telemetry::clock(), fleet, &self.hands);
            let recorder = &mut self.hands.log.get_mut().recorder;
            if busy {
                recorder.lap(Kind::Handoff);
                continue;
            }
            if self.hands.surroundings.workers.help(&mut scratch, recorder) {
                continue;
            }
            let patience = self.rescue(fleet);
            let waited = self.submission.accelerator.wait(patience);
            self.hands.log.get_mut().recorder.begin();
            if let Err(error) = waited {
                self.submission.fail(&error, fleet, &self.hands);
            }
        }
        // Cancelled tasks are dropped, and let go of the device, which could not be kept for another engine.
        let Hands { surroundings, log, .. } = &mut self.hands;
        let recorder = &mut log.get_mut().recorder;
        while surroundings.is_cancelled() && surroundings.workers.help(&mut scratch, recorder) {}
    }

    /// Gives the workers what the device is late with. Returns how long to wait until it may be.
    fn rescue(&self, fleet: &Fleet<'a>) -> Option<Duration> {
        if !self.hands.surroundings.shared {
            return None;
        }
        let (station, now) = (&self.hands.station, telemetry::clock());
        let late_at = fleet.policy().late_at(station.index, now)?;
        if late_at > now {
            return Some(Duration::from_nanos(late_at - now + 1));
        }
        for task in fleet.rescue(station) {
            if let BlockTask::StandIn(..) = task {
                let recorder = &mut self.hands.log.borrow_mut().recorder;
                recorder.count(|stats| &mut stats.reclaimed_blocks);
            }
            self.hands.urgent(task);
        }
        Some(LATE_POLL)
    }
}

/// Turns what a submission wants into tasks for the workers.
struct Hands<'a> {
    station: Arc<Station<'a>>,
    surroundings: Surroundings<'a>,
    log: RefCell<Log>,
    stop: Arc<AtomicBool>,
}

/// What the thread records.
struct Log {
    recorder: Recorder,
    /// The batches under way, by their numbers.
    batches: Vec<(u64, BatchSpan)>,
}

impl<'a> Hands<'a> {
    fn urgent(&self, task: BlockTask<'a>) {
        self.surroundings.workers.spawn_urgent(task);
    }

    /// Gives the CPU what the thread can do no more.
    fn hand_back(&self) {
        if let Some(fleet) = self.surroundings.desk.fleet() {
            fleet.policy().failed(self.station.index);
        }
        self.station.ground().into_iter().for_each(|job| self.stand_in(job, true));
        self.station.channel.close().into_iter().for_each(|job| self.stand_in(job, false));
    }

    /// Frees the caller, who waits for a block that will not come.
    fn report(&self, message: String) {
        self.surroundings.returns.deliver(Outcome::Panicked(message));
    }
}

impl<'a> Crew<'a> for Hands<'a> {
    fn load(&self, job: Job<'a>, load: Load, loading: Arc<Loading>) {
        self.urgent(BlockTask::Load(job, load, loading, Arc::clone(&self.station)));
    }

    fn complete(&self, job: Job<'a>, unload: Unload) {
        self.urgent(BlockTask::Complete(job, unload, Arc::clone(&self.station)));
    }

    fn stand_in(&self, job: Job<'a>, failed: bool) {
        let side = if failed { Side::Retried } else { Side::Cpu };
        self.surroundings.workers.spawn(BlockTask::StandIn(job, side));
    }

    fn has_all(&self) -> bool {
        self.surroundings.desk.has_all()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed) || self.surroundings.is_cancelled()
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

    fn planned(&self, batch: u64, blocks: usize) {
        let Log { recorder, batches } = &mut *self.log.borrow_mut();
        batches.push((batch, recorder.batch(&self.station.name, blocks)));
        recorder.lap_batch(Kind::Handoff, "form", batch);
    }

    fn submitted(&self, batch: u64) {
        self.log.borrow_mut().recorder.lap_batch(Kind::Handoff, "start", batch);
    }

    fn arrived(&self, batch: u64, arrival: &Arrival) {
        let Log { recorder, batches } = &mut *self.log.borrow_mut();
        batches.retain(|(number, _)| *number != batch);
        recorder.arrived(self.station.index, batch, &arrival.spans);
        recorder.lap(Kind::Handoff);
    }

    fn failed(&self) {
        let Log { recorder, batches } = &mut *self.log.borrow_mut();
        batches.clear();
        recorder.count(|stats| &mut stats.device_failures);
    }

    fn spare(&self, accept: &dyn Fn(&Job<'_>) -> bool) -> Option<Job<'a>> {
        let Surroundings { desk, workers, .. } = &self.surroundings;
        let fleet = desk.fleet()?;
        if !self.surroundings.shared || workers.open() == 0 {
            return None;
        }
        let usual = u64::from(self.surroundings.block_size);
        fleet.spare(self.station.index, telemetry::clock(), usual, |pulls| {
            let fits =
                |task: &_| matches!(task, BlockTask::Either(job) if accept(job) && pulls(job));
            match workers.take_open(fits)? {
                BlockTask::Either(job) => Some(job),
                _ => unreachable!("nothing else was accepted"),
            }
        })
    }
}

/// Makes the fleet of devices that are open, and starts their threads.
pub(super) fn start_fleet<'a>(
    accelerators: Vec<Idle>,
    workload: Workload,
    surroundings: &Surroundings<'a>,
) -> io::Result<Vec<Device>> {
    let stations: Vec<_> = accelerators
        .iter()
        .enumerate()
        .map(|(index, accelerator)| Arc::new(Station::new(index, &**accelerator)))
        .collect();
    let uuids: Vec<_> = stations.iter().map(|station| station.uuid).collect();
    let (devices, cpu) = memory::recall(workload, &uuids);
    let workers = surroundings.workers.threads();
    let policy = Policy::new(workers, &devices, &cpu);
    surroundings.desk.set_fleet(stations.clone(), workers, policy);
    let pairs = accelerators.into_iter().zip(stations.iter().cloned());
    let started: io::Result<Vec<Device>> = pairs
        .map(|(accelerator, station)| Device::start(accelerator, station, surroundings.clone()))
        .collect();
    if started.is_err() {
        // Those that did start have ended again.
        for station in stations {
            station.lose();
            station.channel.close();
            surroundings.desk.fleet().expect("set above").policy().failed(station.index);
        }
    }
    started
}
