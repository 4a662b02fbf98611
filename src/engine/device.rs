//! The submission thread: the only one that touches the accelerator.
//!
//! It fills a batch with what waits in the channel, up to the accelerator's limit, and waits for a result only
//! when no slot is free or nothing is left to submit. So batches are small while the device keeps up and grow
//! when it does not.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender, SyncSender, TrySendError},
    },
    thread::{self, JoinHandle},
};

use crate::{
    engine::{
        accel::{Accelerator, Done, Job, Work},
        task::{BlockTask, Finished, Side},
    },
    error::DeviceError,
    sched::{Outcome, Scheduler, panic_message},
};

/// The engine's end of the channel. Dropping it drops what has not been submitted and ends the thread.
pub(super) struct Device {
    jobs: Option<SyncSender<Job>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    pub fn start(
        accelerator: Box<dyn Accelerator>,
        workers: Arc<Scheduler<BlockTask>>,
        done: Sender<Outcome<Finished>>,
    ) -> io::Result<Self> {
        let limit = accelerator.batch_limit();
        let (sender, jobs) = mpsc::sync_channel(limit.blocks.max(1));
        let stop = Arc::new(AtomicBool::new(false));
        let mut submission = Submission {
            accelerator,
            jobs,
            held: None,
            in_flight: Vec::new(),
            lost: false,
            workers,
            done,
            stop: Arc::clone(&stop),
        };
        let thread = thread::Builder::new().name("ranvil-device".to_owned()).spawn(move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| submission.run())) {
                submission.report(panic_message(panic));
            }
        })?;
        Ok(Self { jobs: Some(sender), stop, thread: Some(thread) })
    }

    /// Hands a job over and waits until there is room. The job comes back if the thread has ended.
    pub fn send(&self, job: Job) -> Result<(), Job> {
        self.sender().send(job).map_err(|refused| refused.0)
    }

    /// Hands a job over if there is room.
    pub fn offer(&self, job: Job) -> Result<(), Job> {
        self.sender().try_send(job).map_err(|refused| match refused {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    fn sender(&self) -> &SyncSender<Job> {
        self.jobs.as_ref().expect("only drop takes it")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A batch on the device: job numbers ascend from batch to batch.
struct Batch {
    last: u64,
    unfinished: usize,
}

struct Submission {
    accelerator: Box<dyn Accelerator>,
    jobs: Receiver<Job>,
    /// A job that did not fit into the last batch.
    held: Option<Job>,
    in_flight: Vec<Batch>,
    lost: bool,
    workers: Arc<Scheduler<BlockTask>>,
    done: Sender<Outcome<Finished>>,
    stop: Arc<AtomicBool>,
}

impl Submission {
    fn run(&mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            if self.in_flight.len() < self.accelerator.slots().max(1) {
                let job = match self.held.take() {
                    Some(job) => Some(job),
                    None if self.in_flight.is_empty() => match self.jobs.recv() {
                        Ok(job) => Some(job),
                        Err(_) => return,
                    },
                    None => self.jobs.try_recv().ok(),
                };
                if let Some(job) = job {
                    self.submit(job);
                    continue;
                }
            }
            self.collect();
        }
    }

    /// Submits a batch that begins with `first`.
    fn submit(&mut self, first: Job) {
        if self.lost {
            return self.workers.spawn(BlockTask::Code(first, Side::Cpu));
        }
        let batch = self.gather(first);
        let last = batch.last().expect("it has at least one job").id;
        let unfinished = batch.len();
        match self.accelerator.submit(batch) {
            Ok(()) => self.in_flight.push(Batch { last, unfinished }),
            Err((error, jobs)) => self.retry(&error, jobs, unfinished),
        }
    }

    fn gather(&mut self, first: Job) -> Vec<Job> {
        let limit = self.accelerator.batch_limit();
        let mut raw_bytes = raw_bytes(&first);
        let mut batch = vec![first];
        while batch.len() < limit.blocks {
            let Ok(job) = self.jobs.try_recv() else { break };
            raw_bytes += self::raw_bytes(&job);
            if raw_bytes > limit.raw_bytes || !may_share_batch(&batch[0], &job) {
                self.held = Some(job);
                break;
            }
            batch.push(job);
        }
        batch
    }

    /// Waits for results.
    fn collect(&mut self) {
        match self.accelerator.poll(true) {
            Ok(finished) => finished.into_iter().for_each(|done| self.finish(done)),
            Err((error, jobs)) => {
                let expected = self.in_flight.drain(..).map(|batch| batch.unfinished).sum();
                self.retry(&error, jobs, expected);
            }
        }
    }

    fn finish(&mut self, done: Done) {
        let Some(place) = self.in_flight.iter().position(|batch| done.id <= batch.last) else {
            return self.report(format!("the device finished block {} twice", done.id));
        };
        self.in_flight[place].unfinished -= 1;
        if self.in_flight[place].unfinished == 0 {
            self.in_flight.remove(place);
        }
        match (done.work, done.outcome) {
            // Encoding does not fail on a device that works.
            (work @ Work::Encode { .. }, Err(fault)) => {
                log::warn!("{} could not encode a block ({fault})", self.accelerator.name());
                self.workers.spawn(BlockTask::Code(Job { id: done.id, work }, Side::Retried));
            }
            (work, outcome) => {
                self.workers.spawn(BlockTask::Check(Done { id: done.id, work, outcome }))
            }
        }
    }

    /// Has the CPU code what the device could not. Nothing comes back to the device from there.
    fn retry(&mut self, error: &DeviceError, jobs: Vec<Job>, expected: usize) {
        let name = self.accelerator.name();
        log::warn!("{name} failed ({error}): the CPU codes {} blocks instead", jobs.len());
        self.lost |= matches!(error, DeviceError::Lost);
        if jobs.len() != expected {
            self.report(format!("the device kept {expected} blocks and gave {} back", jobs.len()));
        }
        for job in jobs {
            self.workers.spawn(BlockTask::Code(job, Side::Retried));
        }
    }

    /// Frees the caller, who waits for a block that will not come.
    fn report(&self, message: String) {
        // It fails only if the engine is gone.
        let _ = self.done.send(Outcome::Panicked(message));
    }
}

fn raw_bytes(job: &Job) -> usize {
    match &job.work {
        Work::Encode { raw, .. } => raw.len(),
        Work::Decode { raw_size, .. } => *raw_size as usize,
    }
}

fn may_share_batch(a: &Job, b: &Job) -> bool {
    match (&a.work, &b.work) {
        (Work::Encode { params: a, .. }, Work::Encode { params: b, .. }) => a == b,
        (Work::Decode { segment_log: a, .. }, Work::Decode { segment_log: b, .. }) => a == b,
        _ => false,
    }
}
