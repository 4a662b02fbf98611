//! The event count's word.

use std::thread;

use loom::sync::atomic::{
    AtomicU64,
    Ordering::{self, Acquire},
};

/// If it is torn, adding is two operations.
pub struct Word<const TORN: bool>(AtomicU64);

impl<const TORN: bool> Word<TORN> {
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        let before = TORN.then(|| self.0.load(Acquire));
        let at_once = self.0.fetch_add(value, order);
        before.unwrap_or(at_once)
    }

    pub fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_or(value, order)
    }

    /// Called by a destructor: does nothing in a model that has failed, which has no threads any more.
    pub fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        if thread::panicking() { 0 } else { self.0.fetch_sub(value, order) }
    }
}
