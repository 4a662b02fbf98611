use std::{
    collections::HashSet,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use super::{Forage, Outcome, Scheduler, Spawner, Task};
use crate::telemetry::{Recorder, Row, Run};

enum Job {
    /// Is handed on to nobody.
    Vanish,
    Double(u64),
    Panic,
    /// Waits for as many others as the barrier demands; only as many threads can get past it.
    Meet(Arc<Barrier>),
}

impl Task for Job {
    type Scratch = u64;
    type Output = Output;

    fn run(self, _worker: usize, scratch: &mut u64, _: &mut Recorder) -> Option<Output> {
        *scratch += 1;
        let value = match self {
            Job::Vanish => return None,
            Job::Double(n) => 2 * n,
            Job::Panic => panic!("job {}", 7),
            Job::Meet(barrier) => {
                barrier.wait();
                0
            }
        };
        Some((value, thread::current().id(), *scratch))
    }
}

type Output = (u64, ThreadId, u64);

fn scheduler(threads: usize) -> (Scheduler<'static, Job>, Receiver<Outcome<Output>>) {
    taking(2, threads)
}

/// Whose workers take so many tasks at once.
fn taking(take: usize, threads: usize) -> (Scheduler<'static, Job>, Receiver<Outcome<Output>>) {
    let (sender, receiver) = mpsc::channel();
    let forage = |_, _: &mut Recorder| Forage::Sleep(None);
    (
        Scheduler::new(Spawner::free(), threads, take, |_| 0, forage, &run(), Arc::new(sender)),
        receiver,
    )
}

fn run() -> Run {
    Run::begin(None, "test")
}

fn output(outcome: Outcome<Output>) -> Output {
    match outcome {
        Outcome::Finished(output) => output,
        Outcome::Panicked(message) => panic!("a task panicked: {message}"),
    }
}

#[test]
fn a_task_that_is_handed_on_sends_no_message() {
    let (scheduler, receiver) = scheduler(2);
    for n in 0..50 {
        scheduler.spawn(Job::Vanish);
        scheduler.spawn(Job::Double(n));
    }
    let mut values: Vec<u64> = receiver.iter().take(50).map(|outcome| output(outcome).0).collect();
    values.sort();
    assert!(values.into_iter().eq((0..50).map(|n| 2 * n)));
    drop(scheduler);
    assert!(receiver.recv().is_err(), "nothing more comes");
}

#[test]
fn every_task_runs_once_however_they_arrive() {
    for (take, threads) in [(1, 1), (1, 2), (1, 8), (2, 1), (2, 2), (2, 8)] {
        let (scheduler, receiver) = taking(take, threads);
        // Bursts with pauses in between, so that workers fall asleep and are woken again and again.
        for burst in 0..scaled(2000) as u64 {
            let count = burst % 7;
            for n in 0..count {
                scheduler.spawn(Job::Double(n));
            }
            let mut results: Vec<u64> =
                (0..count).map(|_| output(receiver.recv().unwrap()).0).collect();
            results.sort_unstable();
            assert_eq!(results, (0..count).map(|n| 2 * n).collect::<Vec<_>>());
        }
    }
}

#[test]
fn as_many_threads_as_tasks_and_no_more_than_allowed() {
    let (scheduler, done) = callers(4, |_| Forage::Sleep(None));
    let (began, begun) = mpsc::channel();
    // Returns only if four threads run at once.
    let barrier = Arc::new(Barrier::new(4));
    for _ in 0..4 {
        let (barrier, began) = (Arc::clone(&barrier), began.clone());
        scheduler.spawn(Call::new(move || {
            began.send(()).unwrap();
            barrier.wait();
        }));
        // Of two that came at once, one may wait behind the other.
        begun.recv().unwrap();
    }
    let met: HashSet<_> = (0..4).map(|_| finished(done.recv().unwrap())).collect();
    assert_eq!(met.len(), 4);
    (0..100).for_each(|_| scheduler.spawn(Call::new(|| {})));
    assert!((0..100).all(|_| met.contains(&finished(done.recv().unwrap()))));
    assert_eq!(scheduler.crew.lock().unwrap().threads.len(), 4);
}

#[test]
fn one_task_starts_one_thread() {
    let (scheduler, receiver) = scheduler(16);
    scheduler.spawn(Job::Double(1));
    output(receiver.recv().unwrap());
    assert_eq!(scheduler.crew.lock().unwrap().threads.len(), 1);
}

#[test]
fn a_panic_is_reported_and_the_worker_goes_on_with_fresh_scratch() {
    let (scheduler, receiver) = scheduler(1);
    scheduler.spawn(Job::Double(1));
    scheduler.spawn(Job::Panic);
    scheduler.spawn(Job::Double(3));
    assert_eq!(output(receiver.recv().unwrap()).0, 2);
    let Outcome::Panicked(message) = receiver.recv().unwrap() else { panic!("it finished") };
    assert_eq!(message, "job 7");
    let (value, _, runs) = output(receiver.recv().unwrap());
    assert_eq!((value, runs), (6, 1));
}

#[test]
fn dropping_drops_what_has_not_begun() {
    const WORKERS: usize = 2;
    let (scheduler, done) = callers(WORKERS, |_| Forage::Sleep(None));
    let begun = Arc::new(AtomicUsize::new(0));
    let shared = Arc::clone(&scheduler.shared);
    for urgent in [false, true] {
        for _ in 0..scaled(500) {
            let (begun, shared) = (Arc::clone(&begun), Arc::downgrade(&shared));
            let task = Call::new(move || {
                begun.fetch_add(1, Ordering::Relaxed);
                // No worker is free before the end has come.
                while shared.upgrade().is_some_and(|shared| !shared.sleep.is_stopped()) {
                    thread::yield_now();
                }
            });
            if urgent { scheduler.spawn_urgent(task) } else { scheduler.spawn(task) }
        }
    }
    while begun.load(Ordering::Relaxed) < WORKERS {
        thread::yield_now();
    }
    drop(scheduler);
    assert_eq!(begun.load(Ordering::Relaxed), WORKERS, "the others are not begun");
    drop(shared);
    assert_eq!(Arc::strong_count(&begun), 1, "and not kept");
    assert_eq!(done.iter().count(), WORKERS);
}

#[test]
fn stopping_misses_no_worker_that_is_falling_asleep() {
    // Each round ends just when the workers find nothing more to do.
    for round in 0..scaled(3000) as u64 {
        let (scheduler, receiver) = scheduler(2);
        for n in 0..1 + round % 3 {
            scheduler.spawn(Job::Double(n));
        }
        output(receiver.recv().unwrap());
        drop(scheduler);
    }
}

#[test]
fn where_no_thread_can_be_started_the_caller_works() {
    let (scheduler, done) = scheduler(2);
    // What is left after every attempt has failed.
    scheduler.crew.lock().unwrap().dormant.clear();
    for n in 0..3 {
        scheduler.spawn(Job::Double(n));
        let (value, thread, _) = output(done.try_recv().expect("a message"));
        assert_eq!((value, thread), (2 * n, thread::current().id()));
    }
}

/// A task that does what it is told. It yields the worker's index.
struct Call(Box<dyn FnOnce() + Send>);

impl Call {
    fn new(what: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(what))
    }
}

impl Task for Call {
    type Scratch = usize;
    type Output = usize;

    fn run(self, worker: usize, scratch: &mut usize, _: &mut Recorder) -> Option<usize> {
        assert_eq!(*scratch, worker, "the scratch was made for this worker");
        (self.0)();
        Some(worker)
    }
}

fn callers(
    threads: usize,
    forage: impl Fn(usize) -> Forage<Call> + Send + Sync + 'static,
) -> (Scheduler<'static, Call>, Receiver<Outcome<usize>>) {
    callers_taking(2, threads, forage)
}

/// Whose workers take so many tasks at once.
fn callers_taking(
    take: usize,
    threads: usize,
    forage: impl Fn(usize) -> Forage<Call> + Send + Sync + 'static,
) -> (Scheduler<'static, Call>, Receiver<Outcome<usize>>) {
    let (sender, receiver) = mpsc::channel();
    let forage = move |worker, _: &mut Recorder| forage(worker);
    let inbox = Arc::new(sender);
    (
        Scheduler::new(Spawner::free(), threads, take, |worker| worker, forage, &run(), inbox),
        receiver,
    )
}

fn finished(outcome: Outcome<usize>) -> usize {
    match outcome {
        Outcome::Finished(worker) => worker,
        Outcome::Panicked(message) => panic!("a task panicked: {message}"),
    }
}

/// A task that says when it begins, and lasts until the sender is dropped.
fn lasting() -> (Call, Receiver<()>, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel();
    let (began, begun) = mpsc::channel();
    let task = Call::new(move || {
        began.send(()).unwrap();
        let _ = released.recv();
    });
    (task, begun, release)
}

/// Occupies the only worker until the sender that is returned is dropped.
fn occupy(scheduler: &Scheduler<'static, Call>) -> mpsc::Sender<()> {
    let (task, begun, release) = lasting();
    scheduler.spawn(task);
    begun.recv().unwrap();
    release
}

#[test]
fn urgent_tasks_come_before_all_others() {
    let (scheduler, done) = callers(1, |_| Forage::Sleep(None));
    let release = occupy(&scheduler);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what| {
        let order = Arc::clone(&order);
        Call::new(move || order.lock().unwrap().push(what))
    };
    for _ in 0..3 {
        scheduler.spawn(note("common"));
    }
    for _ in 0..3 {
        scheduler.spawn_urgent(note("urgent"));
    }
    drop(release);
    (0..7).for_each(|_| assert_eq!(finished(done.recv().unwrap()), 0));
    let order = order.lock().unwrap();
    assert_eq!(*order, ["urgent", "urgent", "urgent", "common", "common", "common"]);
}

#[test]
fn another_thread_helps_with_urgent_tasks_only() {
    let (scheduler, done) = callers(1, |_| Forage::Sleep(None));
    let release = occupy(&scheduler);
    scheduler.spawn(Call::new(|| {}));
    scheduler.spawn_urgent(Call::new(|| {}));
    scheduler.spawn_urgent(Call::new(|| panic!("and that is no harm")));
    let (mut scratch, mut recorder) = (None, run().recorder(Row::Caller));
    assert!(scheduler.help(&mut scratch, &mut recorder));
    assert_eq!((finished(done.try_recv().unwrap()), scratch), (1, Some(1)));
    assert!(scheduler.help(&mut scratch, &mut recorder));
    assert!(matches!(done.try_recv().unwrap(), Outcome::Panicked(_)));
    assert!(!scheduler.help(&mut scratch, &mut recorder));
    drop(release);
    (0..2).for_each(|_| assert_eq!(finished(done.recv().unwrap()), 0));
}

#[test]
fn another_thread_takes_part_in_all_tasks() {
    let (scheduler, done) = callers(1, |_| Forage::Sleep(None));
    let first = occupy(&scheduler);
    let (second, begun, release) = lasting();
    scheduler.spawn(second);
    (0..2).for_each(|_| scheduler.spawn(Call::new(|| {})));
    drop(first);
    begun.recv().unwrap(); // One of the others came along into the worker's deque.
    assert_eq!((finished(done.recv().unwrap()), scheduler.queued()), (0, 1));
    scheduler.spawn_open(Call::new(|| {}));
    scheduler.spawn(Call::new(|| panic!("and that is no harm")));
    scheduler.spawn_urgent(Call::new(|| {}));
    let (mut scratch, mut recorder) = (None, run().recorder(Row::Caller));
    for panics in [false, false, true, false, false] {
        assert!(scheduler.take_part(&mut scratch, &mut recorder));
        let outcome = done.try_recv().unwrap();
        assert_eq!((matches!(outcome, Outcome::Panicked(_)), scratch.is_none()), (panics, panics));
    }
    assert!(!scheduler.take_part(&mut scratch, &mut recorder));
    drop(release);
    assert_eq!(finished(done.recv().unwrap()), 0);
}

#[test]
fn who_takes_open_tasks_takes_the_first_and_loses_none() {
    let (scheduler, receiver) = scheduler(1);
    let barrier = Arc::new(Barrier::new(2));
    scheduler.spawn(Job::Meet(Arc::clone(&barrier)));
    while scheduler.queued() > 0 {
        thread::yield_now(); // The worker takes it.
    }
    (0..6).for_each(|n| scheduler.spawn_open(Job::Double(n)));
    scheduler.spawn(Job::Double(6));
    let wanted = |wanted| move |job: &Job| matches!(job, Job::Double(n) if *n == wanted);
    assert!(scheduler.take_open(wanted(6)).is_none(), "that one is the workers'");
    assert!(scheduler.take_open(wanted(4)).is_none(), "it is not the first");
    assert_eq!((scheduler.open(), scheduler.queued()), (6, 7));
    for number in [0, 1] {
        assert!(matches!(scheduler.take_open(wanted(number)), Some(Job::Double(n)) if n == number));
    }
    assert_eq!((scheduler.open(), scheduler.queued()), (4, 5));
    barrier.wait();
    let values: Vec<u64> = (0..6).map(|_| output(receiver.recv().unwrap()).0).collect();
    assert_eq!(values, [0, 12, 4, 6, 8, 10], "in order");
}

#[test]
fn tasks_that_were_passed_over_wake_the_workers() {
    let (scheduler, receiver) = scheduler(2);
    thread::scope(|scope| {
        let stop = Arc::new(AtomicUsize::new(0));
        let stopped = Arc::clone(&stop);
        let scheduler = &scheduler;
        scope.spawn(move || {
            while stopped.load(Ordering::Relaxed) == 0 {
                assert!(scheduler.take_open(|_| false).is_none());
            }
        });
        for n in 0..scaled(2000) as u64 {
            scheduler.spawn_open(Job::Double(n));
            assert_eq!(output(receiver.recv().unwrap()).0, 2 * n);
        }
        stop.store(1, Ordering::Relaxed);
    });
}

#[test]
fn idle_workers_forage() {
    let things = Arc::new(Mutex::new(0));
    let store = Arc::clone(&things);
    let (scheduler, done) = callers(2, move |worker| {
        assert!(worker < 2);
        match &mut *store.lock().unwrap() {
            0 => Forage::Sleep(None),
            things => {
                *things -= 1;
                Forage::Task(Call::new(|| {}))
            }
        }
    });
    for _ in 0..scaled(2000) {
        *things.lock().unwrap() += 1;
        scheduler.wake();
        finished(done.recv().unwrap());
    }
    assert_eq!(*things.lock().unwrap(), 0);
}

#[test]
fn a_worker_that_may_not_sleep_long_asks_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let (scheduler, done) = callers(1, move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0..10 => Forage::Sleep(Some(Duration::from_millis(1))),
        10 => Forage::Task(Call::new(|| {})),
        _ => Forage::Sleep(None),
    });
    scheduler.wake();
    finished(done.recv().unwrap());
    assert!(asked.load(Ordering::Relaxed) >= 11);
}

#[test]
fn a_panic_in_the_foraging_is_reported_and_the_worker_goes_on() {
    let (scheduler, done) = callers(1, |_| panic!("nothing here"));
    scheduler.wake();
    for _ in 0..2 {
        let Outcome::Panicked(message) = done.recv().unwrap() else { panic!("no task is there") };
        assert_eq!(message, "nothing here");
        scheduler.spawn(Call::new(|| {}));
        finished(done.recv().unwrap());
    }
}

#[test]
fn tasks_spawn_tasks_and_the_last_one_ends_the_scheduler() {
    fn grow(scheduler: Arc<Scheduler<'static, Call>>, depth: u32) -> Call {
        Call::new(move || {
            for i in 0..if depth == 0 { 0 } else { 2 } {
                let task = grow(Arc::clone(&scheduler), depth - 1);
                if i == 0 { scheduler.spawn(task) } else { scheduler.spawn_urgent(task) }
            }
        })
    }
    for round in 0..scaled(200) {
        let (scheduler, done) =
            callers_taking(1 + round % 2, 1 + round % 3, |_| Forage::Sleep(None));
        let scheduler = Arc::new(scheduler);
        scheduler.spawn(grow(Arc::clone(&scheduler), 5));
        drop(scheduler);
        // A task that drops the scheduler ends it before it has sent its message, but not without sending it.
        assert_eq!(done.iter().map(finished).count(), 63);
    }
}

#[test]
fn many_short_tasks_in_many_pools() {
    // Two threads bring tasks, a third takes some away, workers forage; now and then all of it is dropped midway.
    for round in 0..scaled(300) {
        let wild = Arc::new(AtomicUsize::new(0));
        let store = Arc::clone(&wild);
        let (scheduler, done) = callers_taking(1 + round / 4 % 2, 1 + round % 4, move |_| {
            let some = |count: usize| count.checked_sub(1);
            match store.fetch_update(Ordering::Relaxed, Ordering::Relaxed, some) {
                Ok(_) => Forage::Task(Call::new(|| {})),
                Err(_) => Forage::Sleep((round % 2 == 0).then_some(Duration::from_micros(50))),
            }
        });
        let each = scaled(400);
        let received = thread::scope(|scope| {
            for urgent in [false, true] {
                let (scheduler, wild) = (&scheduler, &wild);
                scope.spawn(move || {
                    for n in 0..each {
                        match (n % 8, urgent) {
                            (0, _) => {
                                wild.fetch_add(1, Ordering::Relaxed);
                                scheduler.wake();
                            }
                            (_, true) => scheduler.spawn_urgent(Call::new(|| {})),
                            (_, false) if n % 2 == 0 => scheduler.spawn(Call::new(|| {})),
                            (_, false) => scheduler.spawn_open(Call::new(|| {})),
                        }
                        if n % 32 == 0 {
                            thread::sleep(Duration::from_micros(20)); // The workers fall asleep.
                        }
                    }
                });
            }
            scope.spawn(|| {
                let mut scratch = None;
                for n in 0..each {
                    if let Some(task) = scheduler.take_open(|_| n % 3 == 0) {
                        scheduler.spawn_urgent(task);
                    }
                    let recorder = &mut run().recorder(Row::Caller);
                    match n % 2 {
                        0 => scheduler.help(&mut scratch, recorder),
                        _ => scheduler.take_part(&mut scratch, recorder),
                    };
                }
            });
            let wanted = if round % 5 == 0 { each } else { 2 * each };
            done.iter().take(wanted).map(finished).count()
        });
        drop(scheduler);
        let rest = done.try_iter().map(finished).count();
        assert!(received + rest <= 2 * each);
        assert!(round % 5 == 0 || received == 2 * each);
    }
}

/// Fewer under Miri, which is slow.
fn scaled(count: usize) -> usize {
    if cfg!(miri) { count.div_ceil(50) } else { count }
}
