//! The seam's promises, one function each. They panic where one is broken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Gpu, Traffic, VulkanAccelerator, traffic::encode_work};
use crate::{
    block::BlockParams,
    engine::{
        Bytes,
        accel::{Accelerator, Arrival, Load, Outcome, Planned, Queue, Stay, Unload, Way, Work},
    },
    telemetry::clock,
};

/// How long a wait lasts whose ring was lost: what tells it from one that was heard, not a measure of speed. Far longer than
/// anything here takes, and than a busy machine leaves a thread alone.
const LONG: Duration = Duration::from_secs(120);

impl Gpu {
    /// It says so when it has made memory or pipelines, once.
    pub fn preparations_are_told_once(&mut self, blocks: &[&[u8]], params: BlockParams) {
        let accelerator = &mut self.accelerator;
        let mut works = works(blocks, params);
        round(accelerator, &mut works);
        accelerator.has_prepared();
        round(accelerator, &mut works);
        assert!(!accelerator.has_prepared(), "everything was there");
        let one = blocks.concat();
        let one = one.repeat((1 << 20) / one.len());
        let mut larger = self::works(&[&one, &one], params);
        round(accelerator, &mut larger);
        assert!(accelerator.has_prepared(), "a slot had to grow");
    }

    /// A payload may stay in its slot, which is then not idle before the last of them has gone, but in half of the slots at most.
    /// Its bytes are those of a copy, whatever other slots do meanwhile, and the last to go is heard.
    ///
    /// Returns how many slots held payloads: none where the host reads them past its caches.
    pub fn half_of_the_slots_lend_payloads(
        &mut self,
        blocks: &[&[u8]],
        params: BlockParams,
    ) -> usize {
        let accelerator = &mut self.accelerator;
        let slots = accelerator.slots();
        let mut held: Vec<Vec<Work<'static>>> = Vec::new();
        let mut expected = works(blocks, params);
        let expected = round(accelerator, &mut expected);
        while accelerator.idle_slots() > 0 && held.len() < slots {
            let mut works = works(blocks, params);
            let planned = plan(accelerator, &works);
            load_and_start(accelerator, planned, &works);
            let arrived = arrivals(accelerator, 1).remove(0);
            for (unload, work) in arrived.unloads.into_iter().zip(&mut works) {
                unload(work, Stay::May).unwrap();
            }
            held.push(works);
        }
        let lent = slots - accelerator.idle_slots();
        assert!(lent <= slots / 2, "{lent} of {slots}");
        for works in &held {
            let found = works.iter().map(payload);
            assert!(found.eq(expected.iter().map(|(_, payload)| payload.clone())));
        }
        for (number, mut works) in held.into_iter().enumerate() {
            let idle = accelerator.idle_slots();
            let last = works.pop();
            drop(works);
            assert_eq!(accelerator.idle_slots(), idle, "one payload is held");
            accelerator.wait(Some(Duration::ZERO)).unwrap(); // What was rung before.
            let begin = Instant::now();
            thread::scope(|scope| {
                scope.spawn(|| drop(last));
                if number < lent {
                    accelerator.wait(Some(LONG)).unwrap();
                }
            });
            assert!(begin.elapsed() < LONG, "nobody rang");
            assert_eq!(accelerator.idle_slots(), idle + usize::from(number < lent));
        }
        lent
    }

    /// A slot is idle when the last unload has gone, called or not, and not before.
    pub fn slots_wait_for_unloads(&mut self, blocks: &[&[u8]], params: BlockParams) {
        let accelerator = &mut self.accelerator;
        let slots = accelerator.slots();
        let mut works = works(blocks, params);
        let expected = round(accelerator, &mut works);
        for idle in (0..slots).rev() {
            let planned = plan(accelerator, &works);
            load_and_start(accelerator, planned, &works);
            assert_eq!(accelerator.idle_slots(), idle);
        }
        let mut arrived = arrivals(accelerator, slots);
        arrived.sort_unstable_by_key(|arrival| arrival.slot);
        assert_eq!(accelerator.idle_slots(), 0, "nothing has been unloaded");
        for (number, Arrival { slot, mut unloads, .. }) in arrived.drain(..).enumerate() {
            assert_eq!(slot, number, "each slot's batch arrives once");
            let last = unloads.pop().expect("one for each block");
            for (index, (unload, work)) in unloads.into_iter().zip(&mut works).enumerate() {
                if index % 2 == 0 {
                    assert_eq!(expected[index].0, unloaded(unload, work));
                }
            }
            assert_eq!(accelerator.idle_slots(), number, "one unload is alive");
            // The bytes are still there, although other slots are at work again.
            if number > 0 {
                let planned = plan(accelerator, &works);
                load_and_start(accelerator, planned, &works);
                let again = arrivals(accelerator, 1).remove(0);
                assert_ne!(again.slot, slot);
            }
            let index = works.len() - 1;
            let outcome = unloaded(last, &mut works[index]);
            assert_eq!(expected[index].0, outcome);
            assert_eq!(payload(&works[index]), expected[index].1);
            assert_eq!(accelerator.idle_slots(), number + 1);
        }
        assert_eq!(accelerator.idle_slots(), slots);
        round(accelerator, &mut works);
    }

    /// Loads that are dropped without a call leave a slot that can be planned again.
    pub fn loads_may_be_dropped(&mut self, blocks: &[&[u8]], params: BlockParams) {
        let accelerator = &mut self.accelerator;
        let mut works = works(blocks, params);
        let slots = accelerator.slots();
        for called in 0..works.len() {
            let mut planned = plan(accelerator, &works);
            let rest = planned.ways.split_off(called);
            loads(planned.ways).zip(&works).for_each(|(load, work)| {
                load(work);
            });
            assert_eq!(accelerator.idle_slots(), slots - 1, "loads are alive");
            drop(rest);
            assert_eq!(accelerator.idle_slots(), slots);
        }
        let planned = plan(accelerator, &works);
        loads(planned.ways).zip(&works).for_each(|(load, work)| {
            load(work);
        });
        assert_eq!(accelerator.idle_slots(), slots - 1, "the batch waits for its start");
        accelerator.start(planned.slot).unwrap();
        unload_all(arrivals(accelerator, 1).remove(0), &mut works);
    }

    /// A ring before or during a wait ends it, whatever else is going on.
    pub fn no_ring_is_lost(&mut self, rounds: usize, blocks: &[&[u8]], params: BlockParams) {
        let accelerator = &mut self.accelerator;
        let waker = accelerator.waker();
        let (rung, heard) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let works = works(blocks, params);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..=rounds {
                    // Every few rounds the wait has begun for sure; else it is a race.
                    if round % 64 == 0 {
                        thread::sleep(Duration::from_millis(2));
                    }
                    rung.store(round, SeqCst);
                    waker();
                    let start = Instant::now();
                    while heard.load(SeqCst) < round && start.elapsed() < 2 * LONG {
                        thread::yield_now();
                    }
                }
            });
            for round in 1..=rounds {
                // With and without work in flight.
                if round % 200 == 0 && accelerator.idle_slots() > 0 {
                    let planned = plan(accelerator, &works);
                    load_and_start(accelerator, planned, &works);
                }
                let start = Instant::now();
                while rung.load(SeqCst) < round {
                    accelerator.wait(Some(LONG)).unwrap();
                    drop(accelerator.finished().unwrap());
                    assert!(start.elapsed() < LONG, "ring {round} was lost");
                }
                heard.store(round, SeqCst);
            }
            arrivals_of_all(accelerator);
        });
        let start = Instant::now();
        waker();
        accelerator.wait(Some(LONG)).unwrap();
        assert!(start.elapsed() < LONG, "a ring before the wait was lost");
    }

    /// What the device says it did lies between submission and arrival, one piece after the other.
    pub fn spans_are_in_order(&mut self, blocks: &[&[u8]], params: BlockParams) {
        let unmeasured = |gpu: &mut Self| {
            let trip = gpu.send(&mut Traffic::encode(&blocks[..5], params), 2).unwrap();
            trip.spans.concat().is_empty()
        };
        assert!(unmeasured(self));
        self.accelerator.measure(true);
        let before = clock();
        let trip = self.send(&mut Traffic::encode(blocks, params), 2).unwrap();
        let after = clock();
        self.accelerator.measure(false);
        assert!(trip.batches > 1 && trip.spans.len() == trip.batches);
        for spans in &trip.spans {
            assert!(spans.iter().any(|span| span.queue == Queue::Compute), "{spans:?}");
            for span in spans {
                let inside = before <= span.begin && span.begin <= span.end && span.end <= after;
                assert!(inside, "{span:?} is not within {before}..{after}");
            }
            for pair in spans.windows(2) {
                assert!(pair[0].end <= pair[1].begin, "{pair:?}");
            }
        }
        let computed = trip.spans.concat().into_iter().filter(|span| span.queue == Queue::Compute);
        assert!(computed.map(|span| span.end - span.begin).sum::<u64>() > 0);
        assert!(unmeasured(self));
    }

    /// A device is not parked that has failed, or whose memory somebody still reads or writes; what it has in flight is
    /// waited for, and what has been loaded is forgotten. Returns whether each was parked: one that works, one with a batch
    /// that was not started, one with an unload left, one that failed.
    pub fn parks(open: impl Fn() -> Self, blocks: &[&[u8]], params: BlockParams) -> [bool; 4] {
        let parks = |gpu: Self| {
            crate::vk::release_devices();
            gpu.park();
            super::device_counts().2 == 1
        };
        let works = works(blocks, params);
        let mut begin = |gpu: &mut Self| {
            let planned = plan(&mut gpu.accelerator, &works);
            load_and_start(&mut gpu.accelerator, planned, &works);
        };
        let (mut working, mut waiting, mut unloading, mut failing) =
            (open(), open(), open(), open());
        [&mut working, &mut waiting, &mut unloading, &mut failing].into_iter().for_each(&mut begin);
        let planned = plan(&mut waiting.accelerator, &works);
        loads(planned.ways).zip(&works).for_each(|(load, work)| {
            load(work);
        });
        let arrived = arrivals(&mut unloading.accelerator, 1);
        let Planned { slot, .. } = plan(&mut failing.accelerator, &works);
        assert!(failing.accelerator.start(slot).is_err(), "it has not been loaded");
        let parked = [parks(working), parks(waiting), parks(unloading), parks(failing)];
        drop(arrived);
        crate::vk::release_devices();
        parked
    }

    /// Loads, unloads and wakers outlive the accelerator, on any thread, whether it has failed or not.
    pub fn all_may_outlive_it(self, fails: bool, blocks: &[&[u8]], params: BlockParams) {
        let Self { mut accelerator, .. } = self;
        assert!(accelerator.slots() > 2, "one slot for each stage of a batch");
        let mut works = works(blocks, params);
        let expected = round(&mut accelerator, &mut works);
        let planned = plan(&mut accelerator, &works);
        load_and_start(&mut accelerator, planned, &works);
        let arrived = arrivals(&mut accelerator, 1).remove(0);
        let waker = accelerator.waker();
        // A second batch is in flight and a third is being loaded.
        let planned = plan(&mut accelerator, &works);
        load_and_start(&mut accelerator, planned, &works);
        let Planned { slot, ways } = plan(&mut accelerator, &works);
        let loading = works_again(&works);
        let load_all = move || {
            loads(ways).zip(&loading).for_each(|(load, work)| {
                load(work);
            });
        };
        if fails {
            assert!(accelerator.start(slot).is_err(), "it has not been loaded");
            // There is no way back.
            assert!(accelerator.finished().is_err());
            assert!(accelerator.wait(None).is_err());
            assert!(accelerator.plan(&refs(&works)).is_err());
            assert!(accelerator.start(slot).is_err());
            drop(accelerator);
            waker();
            load_all();
            assert_eq!(unload_all(arrived, &mut works), expected);
        } else {
            thread::scope(|scope| {
                scope.spawn(load_all);
                scope.spawn(|| assert_eq!(unload_all(arrived, &mut works), expected));
                scope.spawn(move || waker());
                drop(accelerator);
            });
        }
    }
}

fn works(blocks: &[&[u8]], params: BlockParams) -> Vec<Work<'static>> {
    blocks.iter().map(|raw| encode_work(raw, params)).collect()
}

fn works_again(works: &[Work<'static>]) -> Vec<Work<'static>> {
    let again = works.iter().map(|work| match work {
        Work::Encode { raw, parts, segment_log, .. } => Work::Encode {
            raw: Arc::clone(raw),
            parts: parts.clone(),
            segment_log: *segment_log,
            payload: Bytes::default(),
        },
        Work::Decode { .. } => unreachable!("all of them encode"),
    });
    again.collect()
}

fn refs<'a>(works: &'a [Work<'static>]) -> Vec<&'a Work<'static>> {
    works.iter().collect()
}

fn payload(work: &Work<'_>) -> Vec<u8> {
    match work {
        Work::Encode { payload, .. } => payload.to_vec(),
        Work::Decode { raw, .. } => raw.to_vec(),
    }
}

fn plan(accelerator: &mut VulkanAccelerator, works: &[Work<'static>]) -> Planned {
    let planned = accelerator.plan(&refs(works)).unwrap();
    assert_eq!(planned.ways.len(), works.len(), "a way for each block");
    planned
}

/// The loads of jobs that are copied.
fn loads(ways: Vec<Way>) -> impl Iterator<Item = Load> {
    ways.into_iter().map(|way| way.load.expect("no block is in the caller's memory"))
}

fn load_and_start(accelerator: &mut VulkanAccelerator, planned: Planned, works: &[Work<'_>]) {
    loads(planned.ways).zip(works).for_each(|(load, work)| {
        load(work);
    });
    accelerator.start(planned.slot).unwrap();
}

/// The next so many arrivals.
fn arrivals(accelerator: &mut VulkanAccelerator, count: usize) -> Vec<Arrival> {
    let mut arrived = Vec::new();
    while arrived.len() < count {
        accelerator.wait(None).unwrap();
        arrived.extend(accelerator.finished().unwrap());
    }
    arrived
}

/// Has everything in flight arrive, and drops it.
fn arrivals_of_all(accelerator: &mut VulkanAccelerator) {
    while accelerator.idle_slots() < accelerator.slots() {
        accelerator.wait(None).unwrap();
        drop(accelerator.finished().unwrap());
    }
}

/// Has a block unloaded, to memory of its own.
fn unloaded(unload: Unload, work: &mut Work<'static>) -> Outcome {
    unload(work, Stay::No).unwrap()
}

fn unload_all(arrived: Arrival, works: &mut [Work<'static>]) -> Vec<(Outcome, Vec<u8>)> {
    let unloads = arrived.unloads.into_iter().zip(works);
    unloads.map(|(unload, work)| (unloaded(unload, work), payload(work))).collect()
}

/// One batch there and back.
fn round(
    accelerator: &mut VulkanAccelerator,
    works: &mut [Work<'static>],
) -> Vec<(Outcome, Vec<u8>)> {
    let planned = plan(accelerator, works);
    load_and_start(accelerator, planned, works);
    unload_all(arrivals(accelerator, 1).remove(0), works)
}
