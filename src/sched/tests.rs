use std::{
    collections::HashSet,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, ThreadId},
};

use super::{Outcome, Scheduler, Task};

enum Job {
    /// Is handed on to nobody.
    Vanish,
    Double(u64),
    Panic,
    /// Waits for as many others as the barrier demands; only as many threads can get past it.
    Meet(Arc<Barrier>),
    Slow(Arc<AtomicUsize>),
}

impl Task for Job {
    type Scratch = u64;
    type Output = Output;

    fn run(self, scratch: &mut u64) -> Option<Output> {
        *scratch += 1;
        let value = match self {
            Job::Vanish => return None,
            Job::Double(n) => 2 * n,
            Job::Panic => panic!("job {}", 7),
            Job::Meet(barrier) => {
                barrier.wait();
                0
            }
            Job::Slow(begun) => {
                begun.fetch_add(1, Ordering::Relaxed);
                thread::sleep(std::time::Duration::from_millis(1));
                0
            }
        };
        Some((value, thread::current().id(), *scratch))
    }
}

type Output = (u64, ThreadId, u64);

fn scheduler(threads: usize) -> (Scheduler<Job>, Receiver<Outcome<Output>>) {
    let (sender, receiver) = mpsc::channel();
    (Scheduler::new(threads, || 0, sender), receiver)
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
    for threads in [1, 2, 8] {
        let (scheduler, receiver) = scheduler(threads);
        // Bursts with pauses in between, so that workers fall asleep and are woken again and again.
        for burst in 0..2000u64 {
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
    let (scheduler, receiver) = scheduler(4);
    // Returns only if four threads run at once.
    let barrier = Arc::new(Barrier::new(4));
    for _ in 0..4 {
        scheduler.spawn(Job::Meet(Arc::clone(&barrier)));
    }
    let met: HashSet<_> = (0..4).map(|_| output(receiver.recv().unwrap()).1).collect();
    assert_eq!(met.len(), 4);
    for n in 0..100 {
        scheduler.spawn(Job::Double(n));
    }
    assert!((0..100).all(|_| met.contains(&output(receiver.recv().unwrap()).1)));
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
    let (scheduler, receiver) = scheduler(2);
    let begun = Arc::new(AtomicUsize::new(0));
    for _ in 0..1000 {
        scheduler.spawn(Job::Slow(Arc::clone(&begun)));
    }
    drop(scheduler);
    // All references are gone: nothing runs and nothing is kept.
    assert_eq!(Arc::strong_count(&begun), 1);
    assert_eq!(receiver.iter().count(), begun.load(Ordering::Relaxed));
}

#[test]
fn stopping_misses_no_worker_that_is_falling_asleep() {
    // Each round ends just when the workers find nothing more to do.
    for round in 0..3000 {
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
