//! When a worker may sleep: an event count.
//!
//! A worker that found nothing *announces* that it is drowsy: it counts itself as a sleeper and notes the number
//! of wake-ups so far. Then it looks for tasks once more, and sleeps only while that number has not changed.
//! Whoever adds a task first makes it visible, then raises the number, then reads the count of sleepers.
//!
//! No wake-up is lost. All four accesses are sequentially consistent, so either the number was raised before the
//! worker noted it, and its second look sees the task; or the worker was counted before the other side read the
//! count, which therefore notifies. The notification takes the mutex under which the worker compares the number,
//! so it comes before the comparison, which then fails, or finds the worker waiting.
//!
//! Stopping is a state, not a task that a second look would find, so it is compared under the mutex as well.

use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

pub(super) struct Sleep {
    wake_ups: AtomicUsize,
    sleepers: AtomicUsize,
    stopped: AtomicBool,
    mutex: Mutex<()>,
    condition: Condvar,
}

/// Proof that this worker is counted as a sleeper.
pub(super) struct Drowsy<'a> {
    sleep: &'a Sleep,
    seen: usize,
}

impl Sleep {
    pub fn new() -> Self {
        Self {
            wake_ups: AtomicUsize::new(0),
            sleepers: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
            mutex: Mutex::new(()),
            condition: Condvar::new(),
        }
    }

    pub fn announce(&self) -> Drowsy<'_> {
        self.sleepers.fetch_add(1, SeqCst);
        Drowsy { sleep: self, seen: self.wake_ups.load(SeqCst) }
    }

    /// Wakes a sleeper, if there is one, after a task was made visible. Returns how many there were.
    pub fn wake_one(&self) -> usize {
        self.wake_ups.fetch_add(1, SeqCst);
        let sleepers = self.sleepers.load(SeqCst);
        if sleepers > 0 {
            let _guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
            self.condition.notify_one();
        }
        sleepers
    }

    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
        let _guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        self.condition.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(SeqCst)
    }
}

impl Drowsy<'_> {
    /// Returns at the next wake-up after the announcement, or when the scheduler stops or has stopped.
    pub fn sleep(self) {
        let mut guard = self.sleep.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        while self.sleep.wake_ups.load(SeqCst) == self.seen && !self.sleep.is_stopped() {
            guard = self.sleep.condition.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn stay_awake(self) {}
}

impl Drop for Drowsy<'_> {
    fn drop(&mut self) {
        self.sleep.sleepers.fetch_sub(1, SeqCst);
    }
}
