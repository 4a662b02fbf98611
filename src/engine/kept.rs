//! What runs leave for the next one: coders and buffers that have grown. Memory that is touched for the first time costs as much
//! as coding what it is for.

use std::{
    mem::{replace, take},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    block::Buffers,
    budget::{Demand, Plan},
    coder::Coder,
};
use crate::{Pipeline, Simd, sched::release_threads, vk::release_devices};

/// Bytes that are kept.
const MOST: u64 = 32 << 20;

/// What coders and buffers have been used for. For the same they are as large as a [`Plan`] counts them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Purpose {
    pub demand: Demand,
    pub pipeline: Pipeline,
    pub level: Option<u8>,
    pub verifies: bool,
    pub simd: Simd,
}

/// All for one purpose.
#[derive(Default)]
struct Kept {
    purpose: Option<Purpose>,
    coders: Vec<Coder>,
    buffers: Vec<Buffers<'static>>,
}

static KEPT: Mutex<Kept> =
    Mutex::new(Kept { purpose: None, coders: Vec::new(), buffers: Vec::new() });

fn lock() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn is_for(&self, purpose: &Purpose) -> bool {
        self.purpose.as_ref() == Some(purpose)
    }

    fn takes(&self, purpose: &Purpose, more: u64) -> bool {
        let Demand { scratch, buffers, .. } = purpose.demand;
        let held = self.coders.len() as u64 * scratch + self.buffers.len() as u64 * buffers;
        self.is_for(purpose) && held + more <= MOST
    }

    /// Returns what is of no use for a run, or what the run would not take, as its memory is limited.
    fn begin(&mut self, purpose: &Purpose, plan: &Plan) -> Self {
        if !self.is_for(purpose) {
            return replace(self, Self { purpose: Some(*purpose), ..Self::default() });
        }
        let coders = self.coders.split_off(plan.workers.max(1).min(self.coders.len()));
        let buffers = self.buffers.split_off(plan.sets.min(self.buffers.len()));
        Self { purpose: None, coders, buffers }
    }

    fn keep_coder(&mut self, purpose: &Purpose, coder: Coder) {
        if self.takes(purpose, purpose.demand.scratch) {
            self.coders.push(coder);
        }
    }

    fn keep_buffers(&mut self, purpose: &Purpose, buffers: Buffers<'_>) {
        let buffers = buffers.emptied();
        if buffers.bytes() > 0 && self.takes(purpose, purpose.demand.buffers) {
            self.buffers.push(buffers);
        }
    }
}

/// A run begins: what it has no use for is freed before it takes memory of its own.
pub(super) fn begin(purpose: &Purpose, plan: &Plan) {
    let useless = lock().begin(purpose, plan);
    drop(useless); // Not under the lock, as it takes a while.
}

/// A coder that was used for the same.
pub(super) fn coder(purpose: &Purpose) -> Option<Coder> {
    let mut kept = lock();
    if kept.is_for(purpose) { kept.coders.pop() } else { None }
}

/// Buffers that were used for the same. They are empty.
pub(super) fn buffers(purpose: &Purpose) -> Option<Buffers<'static>> {
    let mut kept = lock();
    if kept.is_for(purpose) { kept.buffers.pop() } else { None }
}

/// Keeps a coder, if there is room.
pub(super) fn keep_coder(purpose: &Purpose, coder: Coder) {
    lock().keep_coder(purpose, coder);
}

/// Keeps buffers, if there is room. No byte of what they hold gets into another run.
pub(super) fn keep_buffers(purpose: &Purpose, buffers: Buffers<'_>) {
    lock().keep_buffers(purpose, buffers);
}

/// Frees what earlier runs have left for the next one: devices, threads and memory.
///
/// A run begins the sooner for what one before it has left; short ones gain most:
///
/// - its device, open, with its pipelines and its staging memory: up to four devices that were named differently, each with up to
///   half of the [memory limit](crate::Options::memory_limit) that it was opened with; none that has failed, and none with
///   validation on;
/// - its threads, up to 64, each for five seconds. They keep what they have from the thread whose call started them: processors that
///   they may use, priority, signal mask. A device's thread has what the driver keeps for it;
/// - its buffers and tables, up to 32 MiB, without their content. A run that has no use for them, or a lower limit, frees them itself.
///
/// No run counts them among its memory. A process that was forked leaves its parent's devices and threads alone. What is at work is left alone, and stays when its run ends. Calling this is never
/// necessary; it makes sense behind the last run of a program that goes on, or before memory is needed for something else.
pub fn release_idle() {
    release_devices();
    release_threads();
    let all = take(&mut *lock());
    drop(all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Bytes;

    fn purpose(block_size: u32) -> Purpose {
        let (pipeline, level) = (Pipeline::Rans, Some(3));
        let demand = Demand::new(pipeline, block_size, level, false);
        Purpose { demand, pipeline, level, verifies: true, simd: Simd::Auto }
    }

    fn used(purpose: &Purpose, buffers: usize) -> Kept {
        let mut kept = Kept { purpose: Some(*purpose), ..Kept::default() };
        for _ in 0..buffers {
            let raw = Bytes::Own(vec![0xEE; 1000]);
            let payload = Bytes::Lent(&[0xEE; 50]);
            kept.keep_buffers(purpose, Buffers { raw, payload, found: 1000, ..Buffers::default() });
            kept.keep_coder(purpose, Coder::new(Simd::Auto, true).unwrap());
        }
        kept
    }

    #[test]
    fn buffers_keep_their_memory_and_nothing_else() {
        let purpose = purpose(4096);
        let mut kept = used(&purpose, 1);
        let buffers = kept.buffers.pop().unwrap();
        assert_eq!((buffers.raw.len(), buffers.payload.len(), buffers.found), (0, 0, 0));
        assert!(buffers.bytes() >= 1000);
        kept.keep_buffers(&purpose, Buffers::default());
        assert!(kept.buffers.is_empty(), "there is nothing to keep");
    }

    #[test]
    fn what_a_run_has_no_use_for_goes() {
        let (purpose, other) = (purpose(4096), purpose(8192));
        let mut kept = used(&purpose, 5);
        kept.keep_buffers(&other, Buffers { streams: vec![0; 9], ..Buffers::default() });
        assert_eq!((kept.buffers.len(), kept.coders.len()), (5, 5));
        drop(kept.begin(&purpose, &Plan { workers: 0, sets: 3, bytes: 0 }));
        assert_eq!((kept.buffers.len(), kept.coders.len()), (3, 1), "the caller's thread codes");
        assert!(kept.is_for(&purpose));
        drop(kept.begin(&other, &Plan { workers: 9, sets: 9, bytes: 0 }));
        assert_eq!((kept.buffers.len(), kept.coders.len()), (0, 0));
        assert!(kept.is_for(&other));
    }

    #[test]
    fn there_is_a_limit() {
        let purpose = purpose(1 << 20);
        let kept = used(&purpose, 100);
        let Demand { scratch, buffers, .. } = purpose.demand;
        let bytes = kept.coders.len() as u64 * scratch + kept.buffers.len() as u64 * buffers;
        assert!((MOST - buffers - scratch..=MOST).contains(&bytes), "{bytes}");
    }
}
