//! Workers that run tasks: generic over the task, ignorant of blocks.
//!
//! New tasks enter the *injector*. A worker looks for its next task in its own deque, then in the injector (from
//! which it takes a few at once), then in the deques of the others; if there is nothing anywhere it sleeps
//! (`sleep.rs` says why it cannot miss a task). Workers are started one by one, when a task arrives that no
//! idle worker awaits: a run of three tasks starts at most three threads.
//!
//! Every task yields one message on the channel given to [`Scheduler::new`]: its output, or the message of its
//! panic; unless it has handed its work on to somebody who will. So whoever counts what was begun and the messages
//! never waits in vain.

mod sleep;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
    thread::{self, JoinHandle},
};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use self::sleep::Sleep;

/// Tasks that a worker takes from the injector at once: few, so that blocks finish roughly in order.
const TAKE: usize = 2;

/// A unit of work.
pub(crate) trait Task: Send + Sized + 'static {
    /// What a worker keeps from task to task.
    type Scratch;
    /// What a task yields.
    type Output: Send + 'static;

    /// `None` if somebody else goes on with the work.
    fn run(self, scratch: &mut Self::Scratch) -> Option<Self::Output>;
}

/// What became of a task.
pub(crate) enum Outcome<T> {
    Finished(T),
    /// The task panicked; the panic's message.
    Panicked(String),
}

/// Runs tasks on up to a given number of threads. Dropping it drops the tasks that have not begun and waits for
/// those that have.
pub(crate) struct Scheduler<T: Task> {
    shared: Arc<Shared<T>>,
    crew: Mutex<Crew<T>>,
}

struct Shared<T: Task> {
    injector: Injector<T>,
    stealers: Vec<Stealer<T>>,
    sleep: Sleep,
    new_scratch: Box<dyn Fn() -> T::Scratch + Send + Sync>,
    done: Sender<Outcome<T::Output>>,
}

/// The threads, and the deques of those not started yet.
struct Crew<T: Task> {
    dormant: Vec<Worker<T>>,
    threads: Vec<JoinHandle<()>>,
}

impl<T: Task> Scheduler<T> {
    /// A scheduler that starts at most `threads` threads, none of them yet.
    pub fn new(
        threads: usize,
        new_scratch: impl Fn() -> T::Scratch + Send + Sync + 'static,
        done: Sender<Outcome<T::Output>>,
    ) -> Self {
        let dormant: Vec<_> = (0..threads.max(1)).map(|_| Worker::new_fifo()).collect();
        let shared = Shared {
            injector: Injector::new(),
            stealers: dormant.iter().map(Worker::stealer).collect(),
            sleep: Sleep::new(),
            new_scratch: Box::new(new_scratch),
            done,
        };
        Self { shared: Arc::new(shared), crew: Mutex::new(Crew { dormant, threads: Vec::new() }) }
    }

    /// Queues a task. Where the system refuses every thread, the caller's runs it.
    pub fn spawn(&self, task: T) {
        self.shared.injector.push(task);
        let sleepers = self.shared.sleep.wake_one();
        if self.shared.injector.len() > sleepers && !self.hire() {
            self.shared.drain();
        }
    }

    /// Starts a thread more, if one is left. False if none runs.
    fn hire(&self) -> bool {
        let mut crew = self.crew.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(local) = crew.dormant.pop() {
            let index = crew.dormant.len();
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new()
                .name(format!("ranvil-{index}"))
                .spawn(move || shared.work(index, &local));
            match thread {
                Ok(thread) => crew.threads.push(thread),
                Err(error) => log::warn!("worker {index} could not be started: {error}"),
            }
        }
        !crew.threads.is_empty()
    }
}

impl<T: Task> Drop for Scheduler<T> {
    fn drop(&mut self) {
        self.shared.sleep.stop();
        let crew = self.crew.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in crew.threads.drain(..) {
            // Its panic, if a destructor panicked after all, has been printed and harms nobody else.
            let _ = thread.join();
        }
    }
}

impl<T: Task> Shared<T> {
    fn work(&self, index: usize, local: &Worker<T>) {
        let mut scratch = None;
        while let Some(task) = self.next(index, local) {
            if !self.run(task, &mut scratch) {
                return;
            }
        }
    }

    /// Runs what is in the injector on the calling thread.
    fn drain(&self) {
        let mut scratch = None;
        while let Some(task) = until_settled(|| self.injector.steal()) {
            self.run(task, &mut scratch);
        }
    }

    /// Runs a task and sends its message. False if nobody waits any more.
    fn run(&self, task: T, scratch: &mut Option<T::Scratch>) -> bool {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            task.run(scratch.get_or_insert_with(|| (self.new_scratch)()))
        }));
        let message = match outcome {
            Ok(Some(output)) => Outcome::Finished(output),
            Ok(None) => return true,
            Err(panic) => {
                *scratch = None; // It may be half changed.
                Outcome::Panicked(panic_message(panic))
            }
        };
        self.done.send(message).is_ok()
    }

    /// The next task; sleeps while there is none. `None` when the scheduler stops.
    fn next(&self, index: usize, local: &Worker<T>) -> Option<T> {
        loop {
            if self.sleep.is_stopped() {
                return None;
            }
            if let Some(task) = self.find(index, local) {
                return Some(task);
            }
            let drowsy = self.sleep.announce();
            match self.find(index, local) {
                Some(task) => {
                    drowsy.stay_awake();
                    return Some(task);
                }
                None => drowsy.sleep(),
            }
        }
    }

    fn find(&self, index: usize, local: &Worker<T>) -> Option<T> {
        local
            .pop()
            .or_else(|| until_settled(|| self.injector.steal_batch_with_limit_and_pop(local, TAKE)))
            .or_else(|| {
                // Everybody begins with another victim: their right-hand neighbour.
                let count = self.stealers.len();
                (1..count)
                    .find_map(|i| until_settled(|| self.stealers[(index + i) % count].steal()))
            })
    }
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
