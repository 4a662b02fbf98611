//! What the threads of an engine do, one event after the other.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{Event, Events, Report, Setup, device::SimDevice};
use crate::{
    block::{Coder, EncodePart},
    engine::{
        Bytes,
        accel::{Accelerator, Class, Job, Load, Stay, Unload, Work},
        desk::{Asker, BEHIND, Desk, ENTROPY, Fleet, LOAD, MODEL, WHOLE},
        policy::{Kind, Policy},
        station::{Backup, Loading, Station},
        submission::{Crew, Submission},
        task::BlockTask,
    },
    sched::Forage,
    telemetry::{Recorder, Row, Run, Telemetry},
};

/// Of so many parts of a block the present one is brought to its end.
const SEGMENTS: u64 = 8;

/// A task of a thread.
enum Task {
    /// All of a block, unless a device takes it first.
    Whole(Job<'static>),
    /// The model's stage; the entropy stage is open.
    Model(Job<'static>),
    Load(Job<'static>, Load, Arc<Loading>, usize),
    Complete(Job<'static>, Unload, usize),
    /// What a device does not do after all.
    StandIn(Job<'static>),
    Backup(Backup<'static>, usize),
}

/// What waits for a thread.
#[derive(Default)]
struct Queues {
    urgent: RefCell<VecDeque<Task>>,
    tasks: RefCell<VecDeque<Task>>,
    retried: Cell<u64>,
}

pub(super) struct World<'a> {
    setup: &'a Setup,
    clock: Arc<AtomicU64>,
    events: Events,
    desk: Desk<'static>,
    devices: Vec<SimDevice>,
    submissions: Vec<Submission<'static>>,
    queues: Queues,
    /// What each runs: the workers, and behind them the submission threads.
    threads: Vec<Option<Task>>,
    /// When they end that.
    ends: Vec<u64>,
    submitted: u64,
    /// When the caller has read the next block.
    ready: u64,
    done: Vec<bool>,
    delivered: u64,
    asks_at: Alarm,
    report: Report,
    /// What the desk counts.
    telemetry: Telemetry,
    run: Run,
    recorder: Recorder,
}

impl<'a> World<'a> {
    pub fn new(setup: &'a Setup, clock: Arc<AtomicU64>, devices: Vec<SimDevice>) -> Self {
        let (mut priors, cpu) = setup.priors.clone().unwrap_or_default();
        priors.resize(devices.len(), Default::default());
        let station = |(index, device)| Arc::new(Station::new(index, device as &dyn Accelerator));
        let stations: Vec<_> = devices.iter().enumerate().map(station).collect();
        let submission = |(device, station): (&SimDevice, &Arc<Station<'static>>)| {
            Submission::new(Box::new(device.clone()), Arc::clone(station))
        };
        let submissions = devices.iter().zip(&stations).map(submission).collect();
        let desk = Desk::default();
        desk.set_fleet(stations, setup.workers, Policy::new(setup.workers, &priors, &cpu));
        let telemetry = Telemetry::new();
        let run = Run::begin(Some(&telemetry), "simulation");
        let recorder = run.recorder(Row::Caller);
        let report = Report {
            makespan: 0,
            cpu: 0,
            device: vec![0; devices.len()],
            retried: 0,
            reclaimed: 0,
            hedged: 0,
            full: 0,
            priors: Default::default(),
        };
        Self {
            setup,
            clock,
            events: Events::default(),
            desk,
            threads: (0..setup.workers + devices.len()).map(|_| None).collect(),
            ends: vec![0; setup.workers + devices.len()],
            devices,
            submissions,
            queues: Queues::default(),
            submitted: 0,
            ready: 0,
            done: vec![false; setup.blocks as usize],
            delivered: 0,
            asks_at: Alarm::default(),
            report,
            telemetry,
            run,
            recorder,
        }
    }

    pub fn run(mut self) -> Report {
        self.events.add(0, Event::Look);
        while self.delivered < self.setup.blocks {
            let time = self.events.time().expect("blocks are missing and nothing happens");
            self.clock.store(time, Relaxed);
            // What ends at the same time has ended before anything begins.
            while let Some(event) = self.events.next_at(time) {
                // A task that was stopped has left the time of its end.
                if let Event::Ended(thread) = event
                    && self.ends[thread] == time
                    && self.threads[thread].is_some()
                {
                    self.end(thread);
                }
            }
            while self.settle() {}
            let next = self.devices.iter().filter_map(SimDevice::next_event).min();
            if let Some(next) = next.filter(|&next| next > time) {
                self.events.add(next, Event::Look);
            }
        }
        self.report.makespan = self.now();
        self.report.retried = self.queues.retried.get();
        let priors = self.fleet().policy().priors();
        self.report.priors = priors;
        drop((self.recorder, self.run));
        let stats = self.telemetry.last_run().expect("it has ended");
        (self.report.full, self.report.reclaimed) = (stats.sends_full, stats.reclaimed_blocks);
        self.report
    }

    fn now(&self) -> u64 {
        self.clock.load(Relaxed)
    }

    fn fleet(&self) -> &Fleet<'static> {
        self.desk.fleet().expect("it was set")
    }

    fn in_flight(&self) -> u64 {
        self.submitted - self.delivered
    }

    /// Has everybody do what they can at once. False if that was nothing.
    fn settle(&mut self) -> bool {
        let mut busy = false;
        self.stop_backups();
        while self.done.get(self.delivered as usize) == Some(&true) {
            self.delivered += 1;
            busy = true;
        }
        busy |= self.submit();
        for device in 0..self.submissions.len() {
            if self.threads[self.setup.workers + device].is_none() {
                let (fleet, now) = (self.desk.fleet().expect("it was set"), self.now());
                let usual = self.setup.block;
                let hands = Hands { queues: &self.queues, device, fleet, now, usual };
                busy |= self.submissions[device].step(now, fleet, &hands);
                busy |= self.rescue(device);
            }
        }
        // A submission thread is awake when it has made urgent tasks. As all idle workers see the same, the first that
        // finds nothing speaks for the others.
        let workers = self.setup.workers;
        for thread in (workers..self.threads.len()).chain(0..workers) {
            if self.threads[thread].is_none() {
                match self.find(thread) {
                    Some((task, queued)) => self.begin(thread, task, queued),
                    None if thread >= workers => continue,
                    None => break,
                }
                busy = true;
            }
        }
        busy
    }

    /// A submission thread that has nothing to do looks whether its device is late.
    fn rescue(&mut self, device: usize) -> bool {
        let now = self.now();
        if !self.queues.urgent.borrow().is_empty() {
            return false;
        }
        let fleet = self.desk.fleet().expect("it was set");
        match fleet.policy().late_at(device, now) {
            None => return false,
            Some(time) if time > now => {
                self.asks_at.ask(time + 1, &mut self.events);
                return false;
            }
            Some(_) => {}
        }
        let rescued = fleet.rescue(&fleet.stations[device]);
        let busy = !rescued.is_empty();
        for task in rescued {
            if let BlockTask::StandIn(..) = task {
                self.recorder.count(|stats| &mut stats.reclaimed_blocks);
            }
            let task = self.task(task);
            self.queues.urgent.borrow_mut().push_back(task);
        }
        busy
    }

    /// The caller submits a block, if it may.
    fn submit(&mut self) -> bool {
        let full = self.in_flight() >= self.setup.window;
        if self.submitted == self.setup.blocks || full {
            return !self.desk.set_draining(true);
        }
        if self.now() < self.ready {
            return false;
        }
        self.desk.set_draining(false);
        self.ready = self.now() + self.setup.costs.read;
        self.events.add(self.ready, Event::Look);
        let job = self.job(self.submitted);
        self.submitted += 1;
        let task = if self.setup.costs.model > 0 {
            self.fleet().policy().queued(MODEL, self.setup.block);
            Task::Model(job)
        } else {
            match self.hand_over(job, Asker::Caller) {
                None => return true,
                Some(job) => Task::Whole(job),
            }
        };
        self.queues.tasks.borrow_mut().push_back(task);
        true
    }

    fn job(&self, id: u64) -> Job<'static> {
        let range = 0..self.setup.block as usize;
        let part = EncodePart { range, coder: Coder::Rans, table_log: None };
        let work = Work::Encode {
            raw: Arc::default(),
            parts: vec![part],
            segment_log: 14,
            payload: Bytes::default(),
        };
        Job {
            id,
            work,
            class: Class::First,
            strict: self.setup.split.is_some(),
            in_place: false,
            rest: None,
        }
    }

    fn hand_over(&mut self, job: Job<'static>, asker: Asker) -> Option<Job<'static>> {
        match self.setup.split {
            Some(split) if !split.gives(job.id, self.setup.blocks) => Some(job),
            _ => self.desk.hand_over(self.now(), job, asker, &mut self.recorder).err(),
        }
    }

    /// What an idle thread does next, and whether that had been queued.
    fn find(&mut self, thread: usize) -> Option<(Task, bool)> {
        let urgent = self.queues.urgent.borrow_mut().pop_front();
        if urgent.is_some() || thread >= self.setup.workers {
            return urgent.map(|task| (task, false));
        }
        let queued = self.queues.tasks.borrow_mut().pop_front();
        match queued {
            Some(task @ Task::StandIn(_)) => Some((task, false)),
            Some(task) => Some((task, true)),
            None if self.setup.split.is_some() => None,
            None => self.forage().map(|task| (task, false)),
        }
    }

    fn forage(&mut self) -> Option<Task> {
        let now = self.now();
        match self.desk.forage(now, &mut self.recorder) {
            Forage::Task(task) => Some(self.task(task)),
            Forage::Sleep(most) => {
                if let Some(most) = most {
                    self.asks_at.ask(now + most.as_nanos() as u64, &mut self.events);
                }
                None
            }
        }
    }

    /// What the engine makes a worker do for a device.
    fn task(&mut self, task: BlockTask<'static>) -> Task {
        match task {
            BlockTask::Backup(backup, station) => {
                self.report.hedged += 1;
                Task::Backup(backup, station.index)
            }
            BlockTask::StandIn(job, _) => Task::StandIn(job),
            _ => unreachable!("nothing else is taken from a device"),
        }
    }

    fn begin(&mut self, thread: usize, task: Task, queued: bool) {
        let costs = &self.setup.costs;
        let (kind, cost, id) = match &task {
            Task::Whole(job) => (Some(WHOLE), costs.entropy, job.id),
            Task::Model(job) => (Some(MODEL), costs.model, job.id),
            Task::Load(job, ..) => (Some(LOAD), costs.load, job.id),
            Task::Complete(job, ..) => (Some(BEHIND), costs.behind, job.id),
            Task::StandIn(job) => (Some(ENTROPY), costs.entropy, job.id),
            Task::Backup(backup, device) if !self.fleet().stations[*device].holds(backup.id) => {
                (Some(ENTROPY), 0, backup.id)
            }
            Task::Backup(backup, _) => (Some(ENTROPY), costs.entropy, backup.id),
        };
        let cost = self.setup.vary(cost, id);
        self.occupy(thread, task, kind, cost, queued);
    }

    fn occupy(&mut self, thread: usize, task: Task, kind: Option<Kind>, cost: u64, queued: bool) {
        if let Some(kind) = kind.filter(|_| thread < self.setup.workers) {
            let now = self.now();
            self.fleet().policy().began(thread, now, kind, self.setup.block, queued);
        }
        self.threads[thread] = Some(task);
        self.end_in(thread, cost);
    }

    fn end_in(&mut self, thread: usize, cost: u64) {
        self.ends[thread] = self.now() + cost;
        self.events.add(self.ends[thread], Event::Ended(thread));
    }

    /// Backups of which the device was faster end after their present segments.
    fn stop_backups(&mut self) {
        let grain = self.setup.costs.entropy / SEGMENTS;
        for thread in 0..self.setup.workers {
            let Some(Task::Backup(backup, _)) = &self.threads[thread] else { continue };
            let left = self.ends[thread] - self.now();
            if backup.stop.load(Relaxed) && left > grain {
                self.end_in(thread, grain);
            }
        }
    }

    fn end(&mut self, thread: usize) {
        let task = self.threads[thread].take().expect("it ran");
        let stopped = matches!(&task, Task::Backup(backup, _) if backup.stop.load(Relaxed));
        if thread < self.setup.workers {
            let (now, mut policy) = (self.now(), self.fleet().policy());
            if stopped { policy.stopped(thread) } else { policy.ended(thread, now) }
        }
        match task {
            Task::Whole(job) | Task::StandIn(job) => self.finish_on_cpu(job.id),
            Task::Model(job) => {
                if let Some(job) = self.hand_over(job, Asker::Worker(thread)) {
                    let cost = self.setup.vary(self.setup.costs.entropy, job.id);
                    self.occupy(thread, Task::StandIn(job), None, cost, false); // It has been told.
                }
            }
            Task::Load(job, load, loading, device) => {
                let station = Arc::clone(&self.fleet().stations[device]);
                if let Some(job) = station.load(job, load, &loading) {
                    self.queues.retried.update(|retried| retried + 1);
                    self.queues.tasks.borrow_mut().push_back(Task::StandIn(job));
                }
            }
            Task::Complete(mut job, unload, device) => {
                unload(&mut job.work, Stay::No).expect("the simulated device codes everything");
                self.report.device[device] += 1;
                self.finish(job.id);
            }
            Task::Backup(backup, device) => {
                if self.fleet().stations[device].claim(backup.id).is_some() {
                    self.finish_on_cpu(backup.id);
                }
            }
        }
    }

    fn finish_on_cpu(&mut self, id: u64) {
        self.report.cpu += 1;
        self.finish(id);
    }

    fn finish(&mut self, id: u64) {
        assert!(!self.done[id as usize], "block {id} came twice");
        self.done[id as usize] = true;
    }
}

/// When somebody wants to look again.
#[derive(Default)]
struct Alarm(Vec<u64>);

impl Alarm {
    fn ask(&mut self, time: u64, events: &mut Events) {
        if !self.0.contains(&time) {
            self.0.insert(0, time);
            self.0.truncate(8);
            events.add(time, Event::Look);
        }
    }
}

/// A submission's view of the threads.
struct Hands<'a> {
    queues: &'a Queues,
    device: usize,
    fleet: &'a Fleet<'static>,
    now: u64,
    /// Raw bytes of a block.
    usual: u64,
}

impl Crew<'static> for Hands<'_> {
    fn load(&self, job: Job<'static>, load: Load, loading: Arc<Loading>) {
        self.queues.urgent.borrow_mut().push_back(Task::Load(job, load, loading, self.device));
    }

    fn complete(&self, job: Job<'static>, unload: Unload) {
        self.queues.urgent.borrow_mut().push_back(Task::Complete(job, unload, self.device));
    }

    fn stand_in(&self, job: Job<'static>, failed: bool) {
        self.queues.retried.update(|retried| retried + u64::from(failed));
        self.queues.tasks.borrow_mut().push_back(Task::StandIn(job));
    }

    /// Nothing is strict here.
    fn has_all(&self) -> bool {
        false
    }

    fn spare(&self, accept: &dyn Fn(&Job<'_>) -> bool) -> Option<Job<'static>> {
        let mut tasks = self.queues.tasks.borrow_mut();
        self.fleet.spare(self.device, self.now, self.usual, |pulls| {
            let open = |task: &Task| matches!(task, Task::Whole(_));
            let place = tasks.iter().position(open)?;
            match &tasks[place] {
                Task::Whole(job) if accept(job) && pulls(job) => {}
                _ => return None,
            }
            match tasks.remove(place) {
                Some(Task::Whole(job)) => Some(job),
                _ => unreachable!("nothing else was accepted"),
            }
        })
    }
}
