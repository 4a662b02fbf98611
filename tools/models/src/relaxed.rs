//! src/sched/sleep.rs, but nothing is acquired or released.

mod sync {
    pub use std::sync::PoisonError;

    pub use loom::sync::{Condvar, Mutex};

    pub type AtomicU64 = crate::word::Word<false>;

    #[allow(non_snake_case, reason = "in the place of an enum")]
    pub mod Ordering {
        pub use loom::sync::atomic::Ordering::{Relaxed, Relaxed as Acquire, Relaxed as Release};
    }
}

#[path = "pool.rs"]
#[allow(dead_code, reason = "one model suffices")]
mod pool;
#[path = "../../../src/sched/sleep.rs"]
mod sleep;

#[test]
#[should_panic(expected = "deadlock")]
fn the_announcement_acquires_what_the_wake_up_released() {
    pool::tasks(1, 1, 1, pool::Habits::GOOD);
}
