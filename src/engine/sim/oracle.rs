//! The best split of a stream between workers and one device, with full knowledge of both.

use super::{Costs, Setup, device::Card};

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

/// The shortest makespan of a run in which the device gets a fixed count of blocks, over all counts: what could be
/// reached by the same means.
pub(super) fn best_static_split(setup: &Setup) -> u64 {
    let run = |count| Setup { split: Some(count), ..setup.clone() }.run().makespan;
    (0..=setup.blocks).map(run).min().expect("the range is not empty")
}
