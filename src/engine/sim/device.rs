//! A device in virtual time: service time, latency, a pipeline of slots, and every way to fail.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{
    engine::accel::{
        Accelerator, Arrival, BatchLimit, Load, Outcome, Planned, Stay, Waker, Way, Work,
    },
    error::DeviceError,
};

/// What a device is like. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Card {
    /// From start to arrival, beside the service time; batches in flight overlap in it.
    pub latency: u64,
    /// Service time of a batch, beside its bytes': batches do not overlap in it.
    pub per_batch: u64,
    pub ns_per_byte: f64,
    /// Blocks in a batch.
    pub batch: usize,
    pub slots: usize,
    pub trouble: Trouble,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Trouble {
    None,
    /// Refuses to start the batch of this number.
    RefuseStart(usize),
    /// Has no memory for the first batch.
    OutOfMemory,
    /// Is lost at this time.
    Lost(u64),
    /// Does nothing from the first to the second time.
    Stalls(u64, u64),
    /// From this time everything takes so many times as long.
    Slows(u64, f64),
}

/// A [`Card`] at work. Clones are the same device.
#[derive(Clone)]
pub(crate) struct SimDevice {
    card: Card,
    /// Raw bytes of a block.
    block: u64,
    clock: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
}

struct State {
    slots: Vec<Slot>,
    /// When the device will be through with what was started.
    free: u64,
    started: usize,
}

#[derive(Default)]
struct Slot {
    bytes: u64,
    jobs: usize,
    arrival: Option<u64>,
    planned: bool,
    /// Alive as long as unloads are.
    unloading: Weak<()>,
}

impl Slot {
    fn is_idle(&self) -> bool {
        !self.planned && self.unloading.strong_count() == 0
    }
}

impl Card {
    /// When a batch of so many bytes is through that the device begins at `begin`.
    fn through(&self, begin: u64, bytes: u64) -> u64 {
        let time = self.per_batch + (bytes as f64 * self.ns_per_byte) as u64;
        match self.trouble {
            Trouble::Stalls(from, to) if begin.saturating_add(time) > from && begin < to => {
                begin.saturating_add(time).saturating_add(to - from.max(begin))
            }
            Trouble::Slows(from, factor) if begin >= from => begin + (time as f64 * factor) as u64,
            _ => begin.saturating_add(time),
        }
    }
}

impl SimDevice {
    pub fn new(card: &Card, block: u64, clock: &Arc<AtomicU64>) -> Self {
        let slots = (0..card.slots).map(|_| Slot::default()).collect();
        let state = Arc::new(Mutex::new(State { slots, free: 0, started: 0 }));
        Self { card: card.clone(), block, clock: Arc::clone(clock), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When something happens next by itself.
    pub fn next_event(&self) -> Option<u64> {
        let lost = match self.card.trouble {
            Trouble::Lost(at) => Some(at),
            _ => None,
        };
        let state = self.state();
        let arrivals = state.slots.iter().filter_map(|slot| slot.arrival);
        arrivals.chain(lost).filter(|&time| time != u64::MAX).min()
    }
}

impl Accelerator for SimDevice {
    fn name(&self) -> &str {
        "simulated"
    }

    fn uuid(&self) -> [u8; 16] {
        [0; 16]
    }

    fn batch_limit(&self) -> BatchLimit {
        let raw_bytes = self.card.batch * self.block as usize;
        BatchLimit { parts: self.card.batch, raw_bytes }
    }

    fn slots(&self) -> usize {
        self.card.slots
    }

    fn idle_slots(&self) -> usize {
        self.state().slots.iter().filter(|slot| slot.is_idle()).count()
    }

    fn staging_bytes(&self) -> u64 {
        0
    }

    fn shrink(&mut self, _staging: u64) {}

    fn waker(&self) -> Waker {
        Arc::new(|| {})
    }

    fn measure(&mut self, _spans: bool) {}

    fn plan(&mut self, works: &[&Work<'_>]) -> Result<Planned, DeviceError> {
        if self.card.trouble == Trouble::OutOfMemory {
            let result = "VK_ERROR_OUT_OF_DEVICE_MEMORY".to_owned();
            return Err(DeviceError::Vulkan { call: "vkAllocateMemory", result });
        }
        assert!(works.len() <= self.card.batch, "a batch is larger than the limit");
        let mut state = self.state();
        let number = state.slots.iter().position(Slot::is_idle).expect("planned with an idle slot");
        let slot = &mut state.slots[number];
        slot.bytes = works.iter().map(|work| work.raw_bytes() as u64).sum();
        slot.jobs = works.len();
        slot.planned = true;
        let load = |_| Way::from(Box::new(|_: &Work<'_>| None) as Load);
        Ok(Planned { slot: number, ways: works.iter().map(load).collect() })
    }

    fn start(&mut self, slot: usize) -> Result<(), DeviceError> {
        let mut state = self.state();
        state.started += 1;
        if self.card.trouble == Trouble::RefuseStart(state.started) {
            return Err(DeviceError::Vulkan { call: "vkQueueSubmit", result: "no".to_owned() });
        }
        let begin = state.free.max(self.clock.load(Relaxed));
        let through = self.card.through(begin, state.slots[slot].bytes);
        state.free = through;
        state.slots[slot].arrival = Some(through.saturating_add(self.card.latency));
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<Arrival>, DeviceError> {
        let now = self.clock.load(Relaxed);
        if matches!(self.card.trouble, Trouble::Lost(at) if at <= now) {
            return Err(DeviceError::Lost);
        }
        let mut state = self.state();
        let mut arrived: Vec<_> = state
            .slots
            .iter_mut()
            .enumerate()
            .filter_map(|(number, slot)| {
                let arrival = slot.arrival.take_if(|arrival| *arrival <= now)?;
                slot.planned = false;
                let unloading = Arc::new(());
                slot.unloading = Arc::downgrade(&unloading);
                let unload = || {
                    let unloading = Arc::clone(&unloading);
                    Box::new(move |_: &mut Work<'_>, _: Stay| {
                        drop(unloading);
                        Ok(Outcome::Decoded(None))
                    }) as _
                };
                let unloads = (0..slot.jobs).map(|_| unload()).collect();
                Some((arrival, Arrival { slot: number, unloads, spans: Vec::new() }))
            })
            .collect();
        arrived.sort_by_key(|(arrival, _)| *arrival);
        Ok(arrived.into_iter().map(|(_, arrival)| arrival).collect())
    }

    fn wait(&mut self, _most: Option<Duration>) -> Result<(), DeviceError> {
        unreachable!("the simulation does not wait")
    }

    fn park(self: Box<Self>) {}
}
