//! The submission thread: the only one that touches the accelerator.
//!
//! It fills a batch with what waits in the channel, up to the accelerator's limit, and waits for a result only
//! when no slot is free or nothing is left to submit. So batches are small while the device keeps up and grow
//! when it does not.

use std::{
    collections::HashSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
};

use super::{
    accel::{Accelerator, Done, Job, Work},
    block::{Finished, Side},
    task::BlockTask,
};
use crate::{
    error::DeviceError,
    sched::{Outcome, Scheduler, panic_message},
};

/// The submission thread. Dropping it drops what has not been submitted and ends the thread.
pub(super) struct Device {
    sender: Sender,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Where jobs are handed over. The blocks in flight bound what waits there, so that nobody has to wait for room: not a
/// worker, and not the submission thread itself where it has to do a worker's task.
#[derive(Clone)]
pub(crate) struct Sender {
    messages: mpsc::Sender<Message>,
    waiting: Arc<AtomicUsize>,
    /// Parts of a batch.
    batch: usize,
}

enum Message {
    Job(Job),
    Stop,
}

impl Device {
    pub fn start(
        accelerator: Box<dyn Accelerator>,
        workers: Arc<Scheduler<BlockTask>>,
        done: mpsc::Sender<Outcome<Finished>>,
    ) -> io::Result<Self> {
        let (messages, jobs) = mpsc::channel();
        let batch = accelerator.batch_limit().parts.max(1);
        let sender = Sender { messages, waiting: Arc::default(), batch };
        let stop = Arc::new(AtomicBool::new(false));
        let mut submission = Submission {
            accelerator,
            jobs,
            waiting: Arc::clone(&sender.waiting),
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
        Ok(Self { sender, stop, thread: Some(thread) })
    }

    pub fn sender(&self) -> &Sender {
        &self.sender
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // It fails only if the thread has ended.
        let _ = self.sender.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Sender {
    /// Hands a job over. It comes back if the thread has ended.
    #[allow(clippy::result_large_err, reason = "the job comes back")]
    pub fn send(&self, job: Job) -> Result<(), Job> {
        self.waiting.fetch_add(job.work.parts(), Relaxed);
        self.messages.send(Message::Job(job)).map_err(|refused| match refused.0 {
            Message::Job(job) => job,
            Message::Stop => unreachable!("a job was sent"),
        })
    }

    /// Whether less than a batch waits.
    pub fn has_room(&self) -> bool {
        self.waiting.load(Relaxed) < self.batch
    }
}

struct Submission {
    accelerator: Box<dyn Accelerator>,
    jobs: Receiver<Message>,
    waiting: Arc<AtomicUsize>,
    /// A job that did not fit into the last batch.
    held: Option<Job>,
    /// The blocks of each batch that have not come back.
    in_flight: Vec<HashSet<u64>>,
    lost: bool,
    workers: Arc<Scheduler<BlockTask>>,
    done: mpsc::Sender<Outcome<Finished>>,
    stop: Arc<AtomicBool>,
}

impl Submission {
    fn run(&mut self) {
        while !self.stop.load(Relaxed) {
            if self.in_flight.len() < self.accelerator.slots().max(1) {
                let job = match self.held.take() {
                    None if self.in_flight.is_empty() => match self.wait() {
                        None => return,
                        job => job,
                    },
                    None => self.look(),
                    held => held,
                };
                if let Some(job) = job {
                    self.submit(job);
                    continue;
                }
            }
            self.collect();
        }
    }

    /// The next job; `None` if there will be none.
    fn wait(&self) -> Option<Job> {
        self.jobs.recv().ok().and_then(|message| self.take(message))
    }

    /// The next job, if one waits.
    fn look(&self) -> Option<Job> {
        self.jobs.try_recv().ok().and_then(|message| self.take(message))
    }

    fn take(&self, message: Message) -> Option<Job> {
        match message {
            Message::Job(job) => {
                self.waiting.fetch_sub(job.work.parts(), Relaxed);
                Some(job)
            }
            Message::Stop => None,
        }
    }

    /// Submits a batch that begins with `first`.
    fn submit(&mut self, first: Job) {
        let limit = self.accelerator.batch_limit();
        let too_large =
            first.work.parts() > limit.parts || first.work.raw_bytes() > limit.raw_bytes;
        if self.lost || too_large {
            return self.workers.spawn(BlockTask::StandIn(first, Side::Cpu));
        }
        let batch = self.gather(first);
        let blocks: HashSet<u64> = batch.iter().map(|job| job.id).collect();
        match self.accelerator.submit(batch) {
            Ok(()) => self.in_flight.push(blocks),
            Err((error, jobs)) => self.retry(&error, jobs, blocks.len()),
        }
    }

    fn gather(&mut self, first: Job) -> Vec<Job> {
        let limit = self.accelerator.batch_limit();
        let (mut parts, mut raw_bytes) = (first.work.parts(), first.work.raw_bytes());
        let mut batch = vec![first];
        while let Some(job) = self.look() {
            parts += job.work.parts();
            raw_bytes += job.work.raw_bytes();
            let fits = parts <= limit.parts && raw_bytes <= limit.raw_bytes;
            if !fits || !batch[0].work.may_share_batch(&job.work) {
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
                let expected = self.in_flight.drain(..).map(|blocks| blocks.len()).sum();
                self.retry(&error, jobs, expected);
            }
        }
    }

    fn finish(&mut self, done: Done) {
        let id = done.job.id;
        let Some(place) = self.in_flight.iter_mut().position(|blocks| blocks.remove(&id)) else {
            return self.report(format!("the device finished block {id} twice"));
        };
        if self.in_flight[place].is_empty() {
            self.in_flight.remove(place);
        }
        match (&done.job.work, &done.outcome) {
            // Encoding does not fail on a device that works.
            (Work::Encode { .. }, Err(fault)) => {
                log::warn!("{} could not encode a block ({fault})", self.accelerator.name());
                self.workers.spawn(BlockTask::StandIn(done.job, Side::Retried));
            }
            _ => self.workers.spawn(BlockTask::Complete(done)),
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
            self.workers.spawn(BlockTask::StandIn(job, Side::Retried));
        }
    }

    /// Frees the caller, who waits for a block that will not come.
    fn report(&self, message: String) {
        // It fails only if the engine is gone.
        let _ = self.done.send(Outcome::Panicked(message));
    }
}
