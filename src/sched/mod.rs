//! Workers that run tasks: generic over the task, ignorant of blocks.
//!
//! New tasks enter the *injector*, or the *urgent* queue if they must not wait behind long ones. A worker looks for its
//! next task in the urgent queue, in its own deque, in the injector (from which it takes a few at once where tasks are short), in the queue of
//! *open* tasks, which others than workers may take as well, then in the deques of the others. If there is nothing anywhere it *forages*: a hook finds it a task elsewhere, or says how long
//! it may sleep at most (`sleep.rs` says why it cannot miss a task). Workers are started one by one, when a task
//! arrives that no idle worker awaits: a run of three tasks starts at most three threads.
//!
//! Every task yields one message for the inbox given to [`Scheduler::new`]: its output, or the message of its
//! panic; unless it has handed its work on to somebody who will. So whoever counts what was begun and the messages
//! never waits in vain.

mod count;
mod kept;
mod scope;
mod sleep;
mod spawn;
mod sync;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

pub use self::count::spawn_and_retire;
pub(crate) use self::{kept::Kept, spawn::Spawner};
use self::{scope::Scope, sleep::Sleep};
use crate::telemetry::{Kind, Recorder, Row, Run};

/// Calls `f` with a scope: work that is begun in it may borrow what outlives it, and has ended when this returns.
pub(crate) fn scope<'env, T>(f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
    scope::scope(&kept::THREADS, f)
}

/// Ends the threads that wait for other runs.
pub(crate) fn release_threads() {
    kept::THREADS.release();
}

/// A unit of work.
pub(crate) trait Task: Send + Sized {
    /// What a worker keeps from task to task.
    type Scratch;
    /// What a task yields.
    type Output: Send;

    /// Keeps what a worker has kept, now that it ends.
    fn lay_aside(_: Self::Scratch) {}

    /// What it works on, for the message of a panic.
    fn number(&self) -> Option<u64> {
        None
    }

    /// Does it, on the worker of this index; threads that are none of the workers all bear the index behind the last
    /// worker's. `None` if somebody else goes on with the work. The recorder's phase began with the task; what the task
    /// leaves unrecorded is administration.
    fn run(
        self,
        worker: usize,
        scratch: &mut Self::Scratch,
        recorder: &mut Recorder,
    ) -> Option<Self::Output>;
}

/// What became of a task.
pub(crate) enum Outcome<T> {
    Finished(T),
    /// A task, or the foraging for one, panicked; the panic's message.
    Panicked(String),
}

/// Where messages go.
pub(crate) trait Inbox<T>: Send + Sync {
    /// Takes one in, from any thread.
    fn deliver(&self, outcome: Outcome<T>);
}

impl<T: Send> Inbox<T> for mpsc::Sender<Outcome<T>> {
    fn deliver(&self, outcome: Outcome<T>) {
        let _ = self.send(outcome); // Who does not wait any more drops the scheduler.
    }
}

/// What a worker is to do that found no task.
pub(crate) enum Forage<T> {
    /// This.
    Task(T),
    /// Sleep until it is woken; if a time is given, no longer than that: then it looks around and forages again.
    Sleep(Option<Duration>),
}

/// Runs tasks on up to a given number of threads. Dropping it drops the tasks that have not begun and waits for
/// those that have.
pub(crate) struct Scheduler<'a, T: Task> {
    shared: Arc<Shared<'a, T>>,
    spawner: Spawner<'a>,
    crew: Mutex<Crew<T>>,
    /// Whether nobody is left to be hired, and somebody works: what the crew says, without its lock.
    complete: AtomicBool,
}

struct Shared<'a, T: Task> {
    urgent: Injector<T>,
    injector: Injector<T>,
    /// Tasks that others may take.
    open: Injector<T>,
    /// Those of them that [`Scheduler::take_open`] did not accept, which come first.
    passed_over: Injector<T>,
    stealers: Vec<Stealer<T>>,
    /// Tasks that a worker takes from the injector at once.
    take: usize,
    sleep: Sleep,
    new_scratch: Box<dyn Fn(usize) -> T::Scratch + Send + Sync + 'a>,
    forage: Box<ForageFn<'a, T>>,
    run: Run,
    done: Arc<dyn Inbox<T::Output> + 'a>,
}

type ForageFn<'a, T> = dyn Fn(usize, &mut Recorder) -> Forage<T> + Send + Sync + 'a;

/// The threads, and the deques of those not started yet.
struct Crew<T: Task> {
    dormant: Vec<Worker<T>>,
    threads: Vec<Kept>,
}

impl<'a, T: Task + 'a> Scheduler<'a, T> {
    /// A scheduler that starts at most `threads` threads, none of them yet. A worker takes `take` tasks from the injector at once: two save a
    /// synchronisation, but the second waits for the first, and with it whoever wants results in order. `new_scratch` and `forage` are given the
    /// worker's index.
    pub fn new(
        spawner: Spawner<'a>,
        threads: usize,
        take: usize,
        new_scratch: impl Fn(usize) -> T::Scratch + Send + Sync + 'a,
        forage: impl Fn(usize, &mut Recorder) -> Forage<T> + Send + Sync + 'a,
        run: &Run,
        done: Arc<dyn Inbox<T::Output> + 'a>,
    ) -> Self {
        let dormant: Vec<_> = (0..threads.max(1)).map(|_| Worker::new_fifo()).collect();
        let shared = Shared {
            urgent: Injector::new(),
            injector: Injector::new(),
            open: Injector::new(),
            passed_over: Injector::new(),
            stealers: dormant.iter().map(Worker::stealer).collect(),
            take: take.max(1),
            sleep: Sleep::new(),
            new_scratch: Box::new(new_scratch),
            forage: Box::new(forage),
            run: run.clone(),
            done,
        };
        Self {
            shared: Arc::new(shared),
            spawner,
            crew: Mutex::new(Crew { dormant, threads: Vec::new() }),
            complete: AtomicBool::new(false),
        }
    }

    /// Queues a task. Where the system refuses every thread, the caller's runs it.
    pub fn spawn(&self, task: T) {
        self.shared.injector.push(task);
        self.rouse(|| self.queued());
    }

    /// Queues a task that others may [take](Self::take_open) before a worker does. It comes behind those that are only the
    /// workers'.
    pub fn spawn_open(&self, task: T) {
        self.shared.open.push(task);
        self.rouse(|| self.queued());
    }

    /// Queues a task that the next worker to become free does before any other. For short ones.
    pub fn spawn_urgent(&self, task: T) {
        self.shared.urgent.push(task);
        self.rouse(|| self.shared.urgent.len());
    }

    /// Wakes a worker, or starts one if none sleeps, because there is something to forage.
    pub fn wake(&self) {
        if self.shared.sleep.wake_one() == 0 && !self.complete.load(Relaxed) {
            self.hire();
        }
    }

    /// Wakes a worker if one sleeps.
    pub fn nudge(&self) {
        self.shared.sleep.wake_one();
    }

    /// Has the threads end, each behind its task. Those that wait are not begun.
    pub fn stop(&self) {
        self.shared.sleep.stop();
    }

    /// The most workers that there may be.
    pub fn threads(&self) -> usize {
        self.shared.stealers.len()
    }

    /// Runs an urgent task on the calling thread, if there is one.
    pub fn help(&self, scratch: &mut Option<T::Scratch>, recorder: &mut Recorder) -> bool {
        let task = steal(&self.shared.urgent);
        let index = self.shared.stealers.len();
        task.map(|task| self.shared.run_task(task, index, scratch, recorder)).is_some()
    }

    /// Runs a task on the calling thread as a worker would, if one waits anywhere. The recorder's phase has begun.
    pub fn take_part(&self, scratch: &mut Option<T::Scratch>, recorder: &mut Recorder) -> bool {
        let index = self.shared.stealers.len();
        let Some(task) = self.shared.first().or_else(|| self.shared.rob(index)) else {
            return false;
        };
        recorder.lap(Kind::Admin);
        self.shared.run_task(task, index, scratch, recorder);
        recorder.lap(Kind::Admin);
        true
    }

    /// How many tasks wait that no worker has taken, urgent ones aside.
    pub fn queued(&self) -> usize {
        self.shared.injector.len() + self.open()
    }

    /// How many of them are open.
    pub fn open(&self) -> usize {
        self.shared.passed_over.len() + self.shared.open.len()
    }

    /// Takes the first open task, if it is acceptable. No others are looked at: there may be hundreds, and they are much alike.
    pub fn take_open(&self, accept: impl FnOnce(&T) -> bool) -> Option<T> {
        let shared = &self.shared;
        let task = steal(&shared.passed_over).or_else(|| steal(&shared.open))?;
        if accept(&task) {
            return Some(task);
        }
        shared.passed_over.push(task);
        self.rouse(|| self.queued()); // Whoever looked around meanwhile has missed it.
        None
    }

    /// Calls somebody to the tasks that wait; how many, matters only while there is somebody to hire.
    fn rouse(&self, waiting: impl Fn() -> usize) {
        let sleepers = self.shared.sleep.wake_one();
        if !self.complete.load(Relaxed) && waiting() > sleepers && !self.hire() {
            self.shared.drain();
        }
    }

    /// Starts a thread more, if one is left. False if none runs.
    fn hire(&self) -> bool {
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = crew.dormant.pop() {
            let index = crew.dormant.len();
            let shared = Arc::clone(&self.shared);
            let name = format!("ranvil-{index}");
            let thread = self.spawner.spawn(name, move || shared.work(index, &local));
            match thread {
                Ok(thread) => crew.threads.push(thread),
                Err(error) => {
                    let threads = crew.threads.len();
                    log::warn!("no more than {threads} workers could be started: {error}");
                    crew.dormant.clear();
                }
            }
        }
        self.complete.store(crew.dormant.is_empty() && !crew.threads.is_empty(), Relaxed);
        !crew.threads.is_empty()
    }
}

impl<T: Task> Drop for Scheduler<'_, T> {
    fn drop(&mut self) {
        self.shared.sleep.stop();
        let crew = self.crew.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in crew.threads.drain(..) {
            // A task may have held the last reference to the scheduler.
            if thread.thread != thread::current().id() {
                thread.join();
            }
        }
    }
}

impl<T: Task> Shared<'_, T> {
    fn work(&self, index: usize, local: &Worker<T>) {
        let mut scratch = None;
        let mut recorder = self.run.recorder(Row::Worker(index));
        while let Some(task) = self.next(index, local, &mut recorder) {
            recorder.lap(Kind::Admin);
            self.run_task(task, index, &mut scratch, &mut recorder);
        }
        scratch.into_iter().for_each(T::lay_aside);
    }

    /// Runs what waits on the calling thread.
    fn drain(&self) {
        let mut scratch = None;
        let mut recorder = self.run.recorder(Row::Caller);
        while let Some(task) = self.first() {
            self.run_task(task, self.stealers.len(), &mut scratch, &mut recorder);
        }
    }

    /// Runs a task and sends its message.
    fn run_task(
        &self,
        task: T,
        worker: usize,
        scratch: &mut Option<T::Scratch>,
        recorder: &mut Recorder,
    ) {
        let number = task.number();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let scratch = scratch.get_or_insert_with(|| (self.new_scratch)(worker));
            task.run(worker, scratch, recorder)
        }));
        let message = match outcome {
            Ok(Some(output)) => Outcome::Finished(output),
            Ok(None) => return,
            Err(panic) => {
                *scratch = None; // It may be half changed.
                let message = panic_message(panic);
                Outcome::Panicked(match number {
                    Some(number) => format!("block {number}: {message}"),
                    None => message,
                })
            }
        };
        self.done.deliver(message);
    }

    /// The next task; sleeps while there is none. `None` when the scheduler stops.
    fn next(&self, index: usize, local: &Worker<T>, recorder: &mut Recorder) -> Option<T> {
        loop {
            if self.sleep.is_stopped() {
                return None;
            }
            if let Some(task) = self.find(index, local) {
                return Some(task);
            }
            let drowsy = self.sleep.announce();
            if let Some(task) = self.find(index, local) {
                return Some(task);
            }
            match self.forage(index, recorder) {
                Forage::Task(task) => return Some(task),
                Forage::Sleep(limit) => {
                    recorder.lap(Kind::Admin);
                    drowsy.sleep(limit);
                    recorder.lap(Kind::Wait);
                }
            }
        }
    }

    fn find(&self, index: usize, local: &Worker<T>) -> Option<T> {
        steal(&self.urgent)
            .or_else(|| local.pop())
            .or_else(|| self.take_some(local))
            .or_else(|| steal(&self.passed_over))
            .or_else(|| steal(&self.open))
            .or_else(|| self.rob(index))
    }

    /// The first task of those that are in no worker's deque.
    fn first(&self) -> Option<T> {
        let queues = [&self.urgent, &self.injector, &self.passed_over, &self.open];
        queues.into_iter().find_map(steal)
    }

    /// A task from somebody else's deque. Everybody begins with another victim: their right-hand neighbour.
    fn rob(&self, index: usize) -> Option<T> {
        if self.take == 1 {
            return None; // Nobody has more than the task in work.
        }
        let count = self.stealers.len();
        let others = if index < count { count - 1 } else { count };
        (1..=others).find_map(|i| until_settled(|| self.stealers[(index + i) % count].steal()))
    }

    /// The first task of the injector; the next ones may come along.
    fn take_some(&self, local: &Worker<T>) -> Option<T> {
        if self.take == 1 {
            return steal(&self.injector);
        }
        let take = || self.injector.steal_batch_with_limit_and_pop(local, self.take);
        let task = until_settled(take)?;
        if !local.is_empty() {
            // On their way they were in no queue: somebody may have missed them.
            self.sleep.wake_one();
        }
        Some(task)
    }

    fn forage(&self, index: usize, recorder: &mut Recorder) -> Forage<T> {
        catch_unwind(AssertUnwindSafe(|| (self.forage)(index, recorder))).unwrap_or_else(|panic| {
            self.done.deliver(Outcome::Panicked(panic_message(panic)));
            Forage::Sleep(None)
        })
    }
}

/// The oldest task of a queue, which is usually empty: looking is much cheaper than stealing.
fn steal<T>(queue: &Injector<T>) -> Option<T> {
    if queue.is_empty() { None } else { until_settled(|| queue.steal()) }
}

/// Retries a steal that lost a race: somebody else has made progress each time.
fn until_settled<T>(mut steal: impl FnMut() -> Steal<T>) -> Option<T> {
    loop {
        match steal() {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            Steal::Retry => {}
        }
    }
}

/// The message of a caught panic.
pub(crate) fn panic_message(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => match panic.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "a panic without a message".to_owned(),
        },
    }
}
