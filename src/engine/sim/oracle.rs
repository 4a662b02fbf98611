//! The best split of a stream between workers and one device, with full knowledge of both.

use super::{Costs, Setup, Split, device::Card};

/// A time before which no division of the blocks can have finished all: for every count that the device could get, the
/// largest of what it needs, what the workers need for the others in waves, and what all threads need with the
/// copies.
///
/// The device begins when its first block is loaded and is never interrupted; batches are as few as can be; copies
/// take no worker's time as long as the submission thread could make them. So the bound may lie below what is possible,
/// never above.
pub(super) fn best_split(setup: &Setup) -> u64 {
    let Costs { model, entropy, load, behind, .. } = setup.costs;
    let (workers, card) = (setup.workers as u64, &setup.cards[0]);
    let time = |count: u64| {
        let rest = setup.blocks - count;
        let waves = rest.div_ceil(workers) * (model + entropy);
        let models = setup.blocks * model + rest * entropy;
        let work = models + count * (load + behind);
        device_time(setup, card, count).max(waves).max(models / workers).max(work / (workers + 1))
    };
    (0..=setup.blocks).map(time).min().expect("the range is not empty")
}

fn device_time(setup: &Setup, card: &Card, blocks: u64) -> u64 {
    if blocks == 0 {
        return 0;
    }
    let Costs { model, load, behind, .. } = setup.costs;
    let bytes = (blocks * setup.block) as f64;
    let batches = blocks.div_ceil(card.batch as u64);
    model
        + load
        + card.latency
        + batches * card.per_batch
        + (bytes * card.ns_per_byte) as u64
        + behind
}

/// The shortest makespan of a run in which the device gets a fixed count of blocks, the first ones or evenly spread, over all
/// counts: what could be reached by the same means with full knowledge.
pub(super) fn best_static_split(setup: &Setup) -> u64 {
    let counts = 0..=setup.blocks;
    let splits = counts.flat_map(|count| [Split::First(count), Split::Spread(count)]);
    splits.map(|split| run(setup, split)).min().expect("the range is not empty")
}

/// The same for many blocks, spread: the count is searched for in ever smaller steps.
pub(super) fn best_spread_split(setup: &Setup) -> u64 {
    let (mut low, mut high, mut step) = (0, setup.blocks, setup.blocks.div_ceil(16));
    loop {
        let counts = (low..=high).step_by(step as usize);
        let tried = counts.map(|count| (run(setup, Split::Spread(count)), count));
        let (best, count) = tried.min().expect("the range is not empty");
        if step == 1 {
            return best;
        }
        (low, high) = (count.saturating_sub(step), (count + step).min(setup.blocks));
        step = step.div_ceil(4);
    }
}

fn run(setup: &Setup, split: Split) -> u64 {
    setup.split(split).run().makespan
}
