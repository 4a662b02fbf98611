//! When a worker may sleep: an event count in one word, the number of wake-ups and that of sleepers.
//!
//! A worker that found nothing *announces* that it is drowsy: one operation counts it as a sleeper and notes the
//! number of wake-ups so far. Then it looks for tasks once more, and sleeps only while that number has not changed.
//! Whoever adds a task makes it visible and then *wakes*: one operation raises the number of wake-ups and reads that
//! of sleepers.
//!
//! No wake-up is lost. Both operations modify the same word, so one comes before the other. If the wake-up comes
//! first, the announcement acquires what it released, and the second look sees the task. If the announcement comes
//! first, the other side finds a sleeper and notifies, under the mutex under which the worker compares the number:
//! that is before the comparison, which then fails, or when the worker waits.
//!
//! Stopping is no task that a second look would find: it is a state, compared like the number.
//!
//! tools/models checks this file, as it stands, with loom.

use std::time::Duration;

use super::sync::{AtomicU64, Condvar, Mutex, Ordering, PoisonError};

/// In the word: sleepers in the bits below, the number of wake-ups in those above, where it may wrap.
const STOPPED: u64 = 1 << 16;
const WAKE_UP: u64 = STOPPED << 1;
const SLEEPERS: u64 = STOPPED - 1;

pub(super) struct Sleep {
    word: AtomicU64,
    mutex: Mutex<()>,
    condition: Condvar,
}

/// Proof that this worker is counted as a sleeper.
pub(super) struct Drowsy<'a> {
    sleep: &'a Sleep,
    /// The word, less the sleepers, when it was announced.
    seen: u64,
}

impl Sleep {
    pub fn new() -> Self {
        Self { word: AtomicU64::new(0), mutex: Mutex::new(()), condition: Condvar::new() }
    }

    /// Counts the worker as a sleeper. It has to look for tasks once more before it sleeps.
    pub fn announce(&self) -> Drowsy<'_> {
        let word = self.word.fetch_add(1, Ordering::Acquire);
        Drowsy { sleep: self, seen: word & !(SLEEPERS | STOPPED) }
    }

    /// Wakes a sleeper, if there is one, after a task was made visible. Returns how many there were.
    pub fn wake_one(&self) -> usize {
        let sleepers = self.word.fetch_add(WAKE_UP, Ordering::Release) & SLEEPERS;
        if sleepers > 0 {
            drop(self.mutex.lock().unwrap_or_else(PoisonError::into_inner));
            self.condition.notify_one();
        }
        sleepers as usize
    }

    /// Wakes everybody for good.
    pub fn stop(&self) {
        self.word.fetch_or(STOPPED, Ordering::Release);
        drop(self.mutex.lock().unwrap_or_else(PoisonError::into_inner));
        self.condition.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.word.load(Ordering::Acquire) & STOPPED != 0
    }
}

impl Drowsy<'_> {
    /// Returns at a wake-up after the announcement, when the scheduler stops or has stopped, or after `limit`.
    pub fn sleep(self, limit: Option<Duration>) {
        let Self { sleep, seen } = &self;
        let mut guard = sleep.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        // The mutex orders this after the wake-up if that has looked for sleepers already.
        while sleep.word.load(Ordering::Acquire) & !SLEEPERS == *seen {
            guard = match limit {
                None => sleep.condition.wait(guard).unwrap_or_else(PoisonError::into_inner),
                // Early or late does not matter: the worker looks around and asks again.
                Some(limit) => {
                    let woken = sleep.condition.wait_timeout(guard, limit);
                    drop(woken.unwrap_or_else(PoisonError::into_inner));
                    return;
                }
            };
        }
    }
}

impl Drop for Drowsy<'_> {
    fn drop(&mut self) {
        self.sleep.word.fetch_sub(1, Ordering::Relaxed);
    }
}
