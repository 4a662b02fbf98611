//! The pool around the event count: how workers look for tasks and how others bring them, as in src/sched/mod.rs.

use std::sync::Arc;

use loom::{
    model::Builder,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
};

use super::sleep::Sleep;

/// What everybody has to do. Without one of them the models fail.
#[derive(Clone, Copy)]
pub struct Habits {
    /// A worker looks once more after its announcement.
    pub looks_again: bool,
    /// Whoever adds a task does so before the wake-up.
    pub shows_first: bool,
    /// Whoever has had a task in hand, so that nobody saw it, wakes again when it has been put down.
    pub wakes_again: bool,
}

impl Habits {
    pub const GOOD: Self = Self { looks_again: true, shows_first: true, wakes_again: true };
}

/// A queue, of which only the length matters here. Nothing is ordered by it: that a worker sees a task follows from
/// the event count alone.
struct Queue(AtomicUsize);

impl Queue {
    fn push(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn steal(&self) -> bool {
        let mut length = self.0.load(Relaxed);
        while length > 0 {
            match self.0.compare_exchange(length, length - 1, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => length = now,
            }
        }
        false
    }
}

struct Pool {
    injector: Queue,
    /// A worker's deque, or the tasks passed over.
    other: Queue,
    /// What can be foraged.
    wild: Queue,
    sleep: Sleep,
    habits: Habits,
}

impl Pool {
    fn add(&self, queue: &Queue) {
        if self.habits.shows_first {
            queue.push();
        }
        self.sleep.wake_one();
        if !self.habits.shows_first {
            queue.push();
        }
    }

    fn put_down(&self) {
        self.other.push();
        if self.habits.wakes_again {
            self.sleep.wake_one();
        }
    }

    fn find(&self) -> bool {
        self.injector.steal() || self.other.steal()
    }

    /// False when the pool stops.
    fn next(&self) -> bool {
        loop {
            if self.sleep.is_stopped() {
                return false;
            }
            if self.find() {
                return true;
            }
            let wild = !self.habits.looks_again && self.wild.steal();
            let drowsy = self.sleep.announce();
            if wild || self.habits.looks_again && (self.find() || self.wild.steal()) {
                return true;
            }
            drowsy.sleep(None);
        }
    }
}

fn check(workers: usize, habits: Habits, model: impl Fn(Arc<Pool>) + Send + Sync + 'static) {
    let mut builder = Builder::new();
    // 3 everywhere has passed as well, but takes minutes.
    builder.preemption_bound = Some(if workers > 1 { 2 } else { 3 });
    builder.check(move || {
        let [injector, other, wild] = [0; 3].map(|length| Queue(AtomicUsize::new(length)));
        model(Arc::new(Pool { injector, other, wild, sleep: Sleep::new(), habits }));
    });
}

/// Workers that end when each has had its share of the tasks: one that sleeps for good is a deadlock.
pub fn tasks(workers: usize, producers: usize, each: usize, habits: Habits) {
    check(workers, habits, move |pool| {
        let share = producers * each / workers;
        let workers =
            spawn(workers, &pool, move |pool| (0..share).for_each(|_| assert!(pool.next())));
        // This thread is the last of the producers.
        let produce = move |pool: &Pool| (0..each).for_each(|_| pool.add(&pool.injector));
        let others = spawn(producers - 1, &pool, produce);
        produce(&pool);
        workers.into_iter().chain(others).for_each(|thread| thread.join().unwrap());
    });
}

/// Workers that end when the pool stops, which it does at any moment.
pub fn stop(workers: usize) {
    check(workers, Habits::GOOD, move |pool| {
        let workers = spawn(workers, &pool, |pool| while pool.next() {});
        pool.add(&pool.injector);
        pool.sleep.stop();
        workers.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Somebody takes the task in hand and puts it back.
pub fn pass_over(habits: Habits) {
    check(1, habits, |pool| {
        let mut threads = spawn(1, &pool, |pool| assert!(pool.next()));
        threads.extend(spawn(1, &pool, |pool| {
            if pool.injector.steal() {
                pool.put_down();
            }
        }));
        pool.add(&pool.injector);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// A worker takes two tasks at once and is long with the first: another gets the second.
pub fn batch(habits: Habits) {
    check(1, habits, |pool| {
        (0..2).for_each(|_| pool.injector.push());
        let mut threads = spawn(1, &pool, |pool| assert!(pool.next()));
        threads.extend(spawn(1, &pool, |pool| {
            if pool.injector.steal() && pool.injector.steal() {
                pool.put_down();
            }
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// Something to be foraged appears.
pub fn forage(habits: Habits) {
    check(1, habits, |pool| {
        let workers = spawn(1, &pool, |pool| assert!(pool.next()));
        pool.add(&pool.wild);
        workers.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn spawn(
    count: usize,
    pool: &Arc<Pool>,
    run: impl Fn(&Pool) + Copy + 'static,
) -> Vec<thread::JoinHandle<()>> {
    let threads = (0..count).map(|_| {
        let pool = Arc::clone(pool);
        thread::spawn(move || run(&pool))
    });
    threads.collect()
}
