//! src/sched/sleep.rs, but the word is read before it is added to: a wake-up reads the count before it raises the number.

mod sync {
    pub use std::sync::PoisonError;

    pub use loom::sync::{Condvar, Mutex, atomic::Ordering};

    pub type AtomicU64 = crate::word::Word<true>;
}

#[path = "pool.rs"]
#[allow(dead_code, reason = "one model suffices")]
mod pool;
#[path = "../../../src/sched/sleep.rs"]
mod sleep;

#[test]
#[should_panic(expected = "deadlock")]
fn counting_and_reading_are_one_operation() {
    pool::tasks(1, 1, 1, pool::Habits::GOOD);
}
