//! Cancellation, seen by who would begin something.

use std::sync::{Arc, atomic::AtomicUsize};

use super::*;
use crate::{
    BlockFault, CancelToken,
    engine::{
        accel::{Job, Load, Stay, Unload, Work as Entropy},
        desk::Desk,
        returns::Returned,
        station::{Loading, Station},
        task::{Placing, Worker},
    },
    sched::Task,
};

/// A task of each kind. Those that copy to or from a device are counted as they begin.
fn of_each_kind<'a>(
    station: &Arc<Station<'a>>,
    place: &'a mut [u8],
    begun: &Arc<AtomicUsize>,
) -> Vec<(&'static str, BlockTask<'a>)> {
    let block = |pipeline| {
        let buffers = Buffers { raw: Bytes::Own(raw(0)), ..Buffers::default() };
        Block {
            buffers,
            pipeline,
            segment_log: 12,
            work: Work::Encode { level: 3, table_log: None },
        }
    };
    let job = |id| Job::whole(id, block(Pipeline::Rans), false);
    let count = || {
        let begun = Arc::clone(begun);
        move || begun.fetch_add(1, Relaxed)
    };
    let (loaded, unloaded) = (count(), count());
    let load: Load = Box::new(move |_: &Entropy<'_>| {
        loaded();
        None
    });
    let unload: Unload = Box::new(move |_: &mut Entropy<'_>, _: Stay| {
        unloaded();
        Err(BlockFault::Size)
    });
    let loading = Arc::new(Loading::new(0, 1));
    assert!(station.take_off(job(7), &loading).is_none());
    let backup = station.back_up(false, |_, _| true).expect("it is in flight");
    let buffers = Buffers { payload: Bytes::Own(raw(0)), ..Buffers::default() };
    let placing = Placing { id: 8, buffers, stored: false, place, past_caches: false };
    vec![
        ("all", BlockTask::All(0, block(Pipeline::Rans))),
        ("either", BlockTask::Either(job(1))),
        ("prepare", BlockTask::Prepare(2, block(Pipeline::Lzr), false)),
        ("load", BlockTask::Load(job(3), load, loading, Arc::clone(station))),
        ("stand in", BlockTask::StandIn(job(4), Side::Cpu)),
        ("backup", BlockTask::Backup(backup, Arc::clone(station))),
        ("complete", BlockTask::Complete(job(6), unload, Arc::clone(station))),
        ("place", BlockTask::Place(placing)),
    ]
}

#[test]
fn no_task_of_any_kind_is_begun_once_all_is_cancelled() {
    let token = CancelToken::new();
    let mut engine = Engine::new(&options(), Route::cpu(), CONFIG).unwrap();
    let (fake, _) = Fake::new(Trouble::None, 4, 2);
    let mut places = [[0; 4096]; 2];
    let [first, second] = &mut places;
    let mut worker = Worker {
        coder: Coder::new(Simd::Scalar, true).unwrap(),
        desk: Arc::new(Desk::new(0, 4096)),
        purpose: engine.purpose,
        cancel: Some(token.clone()),
    };
    let begun = Arc::new(AtomicUsize::new(0));
    for (cancelled, place) in [(false, first), (true, second)] {
        let station = Arc::new(Station::new(0, &fake));
        for (kind, task) in of_each_kind(&station, place, &begun) {
            let outcome = task.run(0, &mut worker, &mut engine.recorder);
            let expected = match outcome {
                Some(Returned::Cancelled) => cancelled,
                Some(_) => !cancelled,
                // The device goes on with it.
                None => !cancelled && kind == "load",
            };
            assert!(expected, "{kind}, cancelled: {cancelled}");
        }
        assert_eq!(begun.load(Relaxed), 2, "a load and an unload, before it");
        token.cancel();
    }
    drop(worker);
    assert!(places[0][..] == raw(0) && places[1] == [0; 4096]);
}

/// The first batch is being planned at that moment; all other blocks wait for the device.
#[test]
fn a_device_is_given_nothing_once_all_is_cancelled() {
    for in_place in [false, true] {
        let token = CancelToken::new();
        let (fake, seen) = Fake::new(Trouble::None, 1, 2);
        let fake = fake.with_batches_of(4096); // A block waits for no other, so the next batch might begin at once.
        let fake = if in_place { fake.in_place() } else { fake };
        let options = options().cancel(token.clone());
        let mut engine = Engine::new(&options, strict(fake), CONFIG).unwrap();
        let gate = seen.gate.lock().unwrap();
        assert!(submit_all(&mut engine) > 2);
        let planned = seen.comes_to(|seen| seen.batches.load(Relaxed) == 1);
        token.cancel();
        drop(gate);
        // It does not wait for the caller to notice.
        let left = seen.comes_to(|seen| seen.left.load(Relaxed) == 1);
        assert!(planned && left, "{seen:?}");
        let given = (seen.batches.load(Relaxed), seen.started.load(Relaxed));
        assert_eq!(given, (1, 0), "in place: {in_place}");
        assert!(matches!(engine.next(Wait::Block), Err(Error::Cancelled)));
    }
}

/// What the device has when it is cancelled it does; no other batch begins as that arrives.
#[test]
fn what_arrives_after_the_cancellation_is_followed_by_nothing() {
    let token = CancelToken::new();
    let (fake, seen) = Fake::new(Trouble::Hold, 1, 2);
    let options = options().cancel(token.clone());
    let route = strict(fake.with_batches_of(4096));
    let mut engine = Engine::new(&options, route, CONFIG).unwrap();
    assert!(submit_all(&mut engine) > 2);
    let busy = seen.comes_to(|seen| seen.started.load(Relaxed) == 2);
    token.cancel();
    seen.released.store(true, Relaxed);
    let left = seen.comes_to(|seen| seen.left.load(Relaxed) == 1);
    assert!(busy && left, "{seen:?}");
    assert_eq!(seen.batches.load(Relaxed), 2);
}
