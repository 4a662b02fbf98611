//! The engine in virtual time: the policy, the desk, the channel and the submission state machine that it uses, between simulated
//! workers, devices and a caller.
//!
//! What is simulated is what the threads do: a caller who submits in order as far as the window of blocks in flight
//! allows and takes blocks back in order; workers who take urgent tasks, then queued ones, then look at what waits for or
//! is at a device; submission threads that help with urgent tasks. Everything is deterministic: time is a number, and
//! what varies is drawn from a seeded generator by the number of the block.

mod device;
mod oracle;
mod tests;
mod threads;

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, atomic::AtomicU64},
};

use self::{
    device::{Card, SimDevice},
    threads::World,
};
use super::{
    budget::in_flight,
    policy::{CpuPrior, DevicePrior},
};

/// What is simulated. Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub workers: usize,
    pub blocks: u64,
    /// Raw bytes of a block.
    pub block: u64,
    pub costs: Costs,
    /// Costs vary by this share up or down.
    pub jitter: f64,
    pub seed: u64,
    pub cards: Vec<Card>,
    /// Blocks in flight.
    pub window: u64,
    pub priors: Option<(Vec<DevicePrior>, CpuPrior)>,
    /// Instead of the policy's decisions.
    pub split: Option<Split>,
}

/// What the only device gets; the workers get the others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Split {
    /// The first so many blocks.
    First(u64),
    /// So many, evenly spread over the stream.
    Spread(u64),
}

impl Split {
    fn gives(self, id: u64, blocks: u64) -> bool {
        match self {
            Self::First(count) => id < count,
            Self::Spread(count) => (id + 1) * count / blocks > id * count / blocks,
        }
    }
}

/// What a worker needs for a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    /// The caller's reading or making of it.
    pub read: u64,
    /// The model's stage, if there is a model.
    pub model: u64,
    /// The entropy stage, with what comes behind it.
    pub entropy: u64,
    /// Copying it to a device.
    pub load: u64,
    /// What comes behind a device, with copying.
    pub behind: u64,
}

/// What came out.
#[derive(Debug)]
pub(crate) struct Report {
    /// When the last block was delivered.
    pub makespan: u64,
    /// Blocks by who finished them.
    pub cpu: u64,
    pub device: Vec<u64>,
    /// Blocks that the CPU did after a device had failed.
    pub retried: u64,
    /// Taken back from a channel; done on both sides.
    pub reclaimed: u64,
    pub hedged: u64,
    /// Sends that were refused.
    pub full: u64,
    pub priors: (Vec<DevicePrior>, CpuPrior),
}

impl Setup {
    /// The window that the engine's plan has with ample memory.
    pub fn ample_window(&mut self) {
        let staged: usize = self.cards.iter().map(|card| card.batch * (card.slots + 1)).sum();
        self.window = 1 + in_flight(self.workers as u64) + staged as u64;
    }

    /// The same without devices.
    pub fn cpu_alone(&self) -> Self {
        let mut alone = Self { cards: Vec::new(), priors: None, ..self.clone() };
        alone.ample_window();
        alone
    }

    /// The same, divided like this.
    pub fn split(&self, split: Split) -> Self {
        Self { split: Some(split), ..self.clone() }
    }

    /// What a block's task takes whose cost is `mean`.
    fn vary(&self, mean: u64, id: u64) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mut z = (self.seed ^ id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = (z >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        (mean as f64 * (1.0 + self.jitter * unit)) as u64
    }

    /// Runs it.
    pub fn run(&self) -> Report {
        let clock = Arc::new(AtomicU64::new(0));
        let device = |card| SimDevice::new(card, self.block, &clock);
        let devices: Vec<_> = self.cards.iter().map(device).collect();
        World::new(self, clock, devices).run()
    }
}

/// What is to happen, earliest first; of the same time, in the order of being added.
#[derive(Default)]
struct Events {
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    added: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A thread has ended its task: a worker, or behind them a submission thread.
    Ended(usize),
    /// Time to look.
    Look,
}

impl Events {
    fn add(&mut self, time: u64, event: Event) {
        self.added += 1;
        self.heap.push(Reverse((time, self.added, event)));
    }

    /// When something happens next.
    fn time(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((time, ..))| *time)
    }

    /// What happens next, if it does at this time.
    fn next_at(&mut self, time: u64) -> Option<Event> {
        let _ = self.time().filter(|&next| next == time)?;
        self.heap.pop().map(|Reverse((.., event))| event)
    }
}
