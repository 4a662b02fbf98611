//! src/sched/sleep.rs as it is.

mod sync {
    pub use std::sync::PoisonError;

    pub use loom::sync::{Condvar, Mutex, atomic::Ordering};

    pub type AtomicU64 = crate::word::Word<false>;
}

#[path = "pool.rs"]
mod pool;
#[path = "../../../src/sched/sleep.rs"]
mod sleep;

use self::pool::{Habits, batch, forage, pass_over, stop, tasks};

#[test]
fn one_worker_gets_all_tasks_of_a_producer() {
    tasks(1, 1, 2, Habits::GOOD);
}

#[test]
fn one_worker_gets_the_tasks_of_two_producers() {
    tasks(1, 2, 1, Habits::GOOD);
}

#[test]
fn a_producer_wakes_both_workers() {
    tasks(2, 1, 2, Habits::GOOD);
}

#[test]
fn two_producers_wake_both_workers() {
    tasks(2, 2, 1, Habits::GOOD);
}

#[test]
fn stopping_misses_nobody() {
    stop(1);
    stop(2);
}

#[test]
fn a_task_passed_over_is_found() {
    pass_over(Habits::GOOD);
}

#[test]
fn the_second_of_a_batch_is_found() {
    batch(Habits::GOOD);
}

#[test]
fn what_can_be_foraged_is_found() {
    forage(Habits::GOOD);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_worker_has_to_look_again() {
    tasks(1, 1, 1, Habits { looks_again: false, ..Habits::GOOD });
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_task_has_to_be_visible_before_the_wake_up() {
    tasks(1, 1, 1, Habits { shows_first: false, ..Habits::GOOD });
}

#[test]
#[should_panic(expected = "deadlock")]
fn who_puts_a_task_back_has_to_wake() {
    pass_over(Habits { wakes_again: false, ..Habits::GOOD });
}

#[test]
#[should_panic(expected = "deadlock")]
fn who_takes_a_batch_has_to_wake() {
    batch(Habits { wakes_again: false, ..Habits::GOOD });
}

#[test]
#[should_panic(expected = "deadlock")]
fn foraging_comes_after_the_announcement() {
    forage(Habits { looks_again: false, ..Habits::GOOD });
}
