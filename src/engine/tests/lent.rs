//! Blocks that lie in the caller's memory, and results that stay in a device's.

use std::sync::{Arc, atomic::AtomicUsize};

use super::*;
use crate::engine::{
    accel::{Job, Stay},
    desk::Desk,
    station::{Loading, Station},
};

/// Some bytes, and how often such have been let go.
#[derive(Debug)]
struct Lent(Vec<u8>, Arc<AtomicUsize>);

impl Held for Lent {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.1.fetch_add(1, Relaxed);
    }
}

fn job(id: u64) -> Job<'static> {
    let buffers = Buffers { raw: Bytes::Own(raw(id)), ..Buffers::default() };
    let work = Work::Encode { level: 3, table_log: None };
    Job::whole(id, Block { buffers, pipeline: Pipeline::Rans, segment_log: 12, work }, false)
}

#[test]
fn bytes_are_held_until_they_are_let_go() {
    let gone = Arc::new(AtomicUsize::new(0));
    let hold = || {
        let mut bytes = Bytes::Own(Vec::with_capacity(100));
        bytes.hold(Box::new(Lent(raw(7), Arc::clone(&gone))));
        assert!(bytes[..] == raw(7));
        assert_eq!(bytes.capacity(), 100, "those of others are not counted");
        bytes
    };
    let mut left = hold();
    left.let_go();
    assert_eq!((gone.load(Relaxed), left.capacity()), (1, 100));
    assert_eq!(hold().buffer().capacity(), 100);
    assert_eq!(gone.load(Relaxed), 2);
    let again = hold().again();
    assert!(again[..] == raw(7), "a copy, for somebody else");
}

/// Payloads for which nobody waits soon would keep the slots from blocks that are due before them.
#[test]
fn results_stay_at_a_device_only_where_they_are_taken_soon() {
    let (fake, _) = Fake::new(Trouble::None, 3, 2);
    let (desk, station) = (Desk::new(0, 4096), Station::new(0, &fake));
    for due in [0, 100] {
        desk.set_due(due);
        let stay = |id| desk.stay(&job(id), &station);
        assert_eq!([stay(due), stay(due + 5)], [Stay::May; 2], "two batches of three");
        assert_eq!([stay(due + 6), stay(due + 1000)], [Stay::No; 2]);
    }
    station.ground();
    assert_eq!(desk.stay(&job(100), &station), Stay::No, "the device has failed");
    let station = Station::new(0, &fake);
    assert_eq!(desk.stay(&job(100), &station), Stay::May);
    desk.stop_lending();
    assert_eq!(desk.stay(&job(100), &station), Stay::No);
}

/// Two would write the same bytes.
#[test]
fn what_a_device_writes_to_its_place_nobody_does_as_well() {
    let (fake, _) = Fake::new(Trouble::None, 3, 2);
    let station = Station::new(0, &fake);
    let loading = Loading::new(0, 0);
    assert!(loading.is_done(), "there is nothing to load");
    let job = |id, in_place| Job { in_place, ..job(id) };
    assert!(station.take_off(job(0, true), &loading).is_none());
    for late in [false, true] {
        assert!(station.back_up(late, |_, _| true).is_none());
    }
    assert!(station.take_off(job(1, false), &loading).is_none());
    assert_eq!(station.back_up(false, |_, _| true).map(|backup| backup.id), Some(1));
    assert!(station.holds(0));
    let mut left: Vec<_> = station.ground().into_iter().map(|job| job.id).collect();
    left.sort_unstable();
    assert_eq!(left, [0, 1], "after a failure they are somebody else's");
    assert_eq!(station.take_off(job(2, true), &loading).map(|job| job.id), Some(2));
}

/// A worker that does a block as well as a device is told when that is in vain, whoever was faster.
#[test]
fn a_backup_stops_when_the_block_is_taken_out() {
    let (fake, _) = Fake::new(Trouble::None, 3, 2);
    let station = Station::new(0, &fake);
    let loading = Loading::new(0, 0);
    (0..3).for_each(|id| assert!(station.take_off(job(id), &loading).is_none()));
    let backups: Vec<_> =
        std::iter::from_fn(|| station.back_up(true, |_, _| true)).take(4).collect();
    let stopped = || backups.iter().map(|backup| backup.stop.load(Relaxed)).collect::<Vec<_>>();
    assert_eq!(stopped(), [false; 3]);
    assert!(station.claim(1).is_some());
    assert_eq!(stopped(), [false, true, false]);
    assert_eq!(station.ground().len(), 2);
    assert_eq!(stopped(), [true; 3]);
}

/// What it may still write to is somebody else's from then on.
#[test]
fn a_device_that_fails_is_quiet_before_others_do_its_blocks() {
    use Trouble::{LoseAt, None, Panic, RefuseStart};
    for (trouble, expected, in_place) in [
        (None, 0, true),
        (LoseAt(1), 1, true),
        (RefuseStart(1), 1, true),
        (Panic, 1, true),
        // Nobody waits where it writes to nobody's memory.
        (LoseAt(1), 0, false),
        (Panic, 0, false),
    ] {
        let (fake, seen) = Fake::new(trouble, 2, 2);
        let fake = if in_place { fake.in_place() } else { fake };
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        let sets = submit_all(&mut engine);
        for _ in 0..sets {
            match engine.next(Wait::Block) {
                Ok(block) => {
                    let block = block.expect("it is in flight");
                    assert!(block.buffers.payload[..] == payload(CONFIG.pipeline, block.id));
                    engine.release(block.buffers);
                }
                Err(error) => {
                    assert_eq!(trouble, Panic, "{error}");
                    break;
                }
            }
        }
        drop(engine);
        assert_eq!(seen.quiet.load(Relaxed), expected, "{trouble:?}");
    }
}

/// The caller takes none of what has come back: the device is there for another engine all the same.
#[test]
fn results_that_nobody_takes_leave_the_device() {
    for blocks in [1, 3, 8] {
        let (fake, seen) = Fake::new(Trouble::None, 2, 4);
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        (0..blocks).for_each(|number| submit(&mut engine, number));
        engine.next(Wait::Block).unwrap().expect("a block is in flight");
        while engine.in_flight() > engine.pool.as_ref().unwrap().returns.waiting() as u64 {
            thread::yield_now();
        }
        drop(engine);
        assert_eq!(seen.parked.load(Relaxed), 1);
    }
}

/// Whoever keeps blocks that he has taken keeps slots from the device, but not all.
#[test]
fn blocks_that_are_kept_stop_no_device() {
    for slots in 1..=4 {
        let (fake, _) = Fake::new(Trouble::None, 2, slots);
        let mut engine = Engine::new(&options(), strict(fake), CONFIG).unwrap();
        let sets = submit_all(&mut engine);
        let kept: Vec<_> = (0..sets).map(|_| engine.next(Wait::Block).unwrap().unwrap()).collect();
        let held = |block: &Finished<'_>| matches!(block.buffers.payload, Bytes::Held(..));
        let lent = kept.iter().filter(|block| held(block)).count();
        assert_eq!(lent > 0, slots > 1, "{slots} slots");
        for (number, block) in kept.into_iter().enumerate() {
            assert!(block.buffers.payload[..] == payload(CONFIG.pipeline, number as u64));
            engine.release(block.buffers);
        }
        assert!(engine.spare.iter().all(|spare| !matches!(spare.payload, Bytes::Held(..))));
    }
}

/// Blocks that are decoded to their places need no memory of the engine's, so all that devices could take may be in flight from the
/// beginning.
#[test]
fn placed_blocks_are_in_flight_as_many_as_the_plan_has() {
    let coded: &'static [u8] = &include_bytes!("../../../tests/data/alice29.txt")[..1000];
    let config = Config { block_size: 1 << 20, level: None, ..CONFIG };
    let most = |placed: bool| {
        // It has 60 blocks at once, and no belief about it makes anybody take a block from it.
        let (fake, _) = Fake::new(Trouble::Hold, 20, 2);
        let route = shared(vec![fake.with_batches_of(20 << 20)]);
        let mut engine = Engine::new(&options(), route, config).unwrap();
        for _ in 0..2 {
            let mut buffers = engine.acquire().unwrap();
            buffers.payload = Bytes::Lent(coded);
            if placed {
                buffers.raw = Bytes::Place(Box::leak(vec![0; 2000].into_boxed_slice()));
            }
            let encoded = Encoded { kind: BlockKind::Coded, table_log: 11 };
            let work = Work::Decode { encoded, raw_size: 2000 };
            engine.submit(Block { buffers, pipeline: config.pipeline, segment_log: 12, work });
        }
        let free = std::iter::from_fn(|| engine.acquire()).count();
        (2 + free, engine.plan.sets)
    };
    let (placed, sets) = most(true);
    assert_eq!(placed, sets);
    let (own, sets) = most(false);
    assert!(own < sets / 2, "{own} of {sets}");
}
