//! The desk between the policy and a device's channel: what becomes of blocks there, the policy hears of.

use std::sync::Arc;

use super::*;
use crate::{
    engine::{
        accel::Job,
        desk::{Asker, Desk, WHOLE},
        policy::Policy,
        station::{Loading, Station},
    },
    sched::Forage,
};

fn job(id: u64, strict: bool) -> Job<'static> {
    let buffers = Buffers { raw: Bytes::Own(raw(id)), ..Buffers::default() };
    let work = Work::Encode { level: 3, table_log: None };
    Job::whole(id, Block { buffers, pipeline: Pipeline::Rans, segment_log: 12, work }, strict)
}

/// A desk of two workers and a device whose channel takes two blocks. Nanoseconds that either is believed to need for a byte.
fn desk(device: u64, worker: f64) -> (Desk<'static>, Arc<Station<'static>>) {
    let (fake, _) = Fake::new(Trouble::None, 2, 1);
    let station = Arc::new(Station::new(0, &fake));
    let mut prior = DevicePrior::default();
    for blocks in [1, 8, 2, 16, 4] {
        prior.learn(false, blocks * 4096, blocks * 4096 * device);
        prior.learn(true, blocks * 4096, blocks * 4096 * device);
    }
    let desk = Desk::new(0, 4096);
    let policy = Policy::new(2, &[prior], &CpuPrior::assumed(worker));
    desk.set_fleet(vec![Arc::clone(&station)], 2, policy);
    (desk, station)
}

/// A recorder, and what it has recorded.
fn recorded(work: impl FnOnce(&mut Recorder)) -> crate::SchedulerStats {
    let telemetry = Telemetry::new();
    let run = Run::begin(Some(&telemetry), "test");
    let mut recorder = run.recorder(Row::Caller);
    work(&mut recorder);
    drop((recorder, run));
    telemetry.last_run().expect("it has ended")
}

/// The device would be the sooner all the time, so nothing but the pressure keeps blocks from it.
#[test]
fn what_the_channel_refuses_sends_auto_to_the_cpu_and_time_lets_it_return() {
    let worker = 1e9;
    let (desk, station) = desk(1, worker);
    let stats = recorded(|recorder| {
        let mut sends = |now: f64, id, strict| {
            let job = job(id, strict);
            desk.hand_over(now as u64, job, Asker::Caller, recorder).is_ok()
        };
        assert!(sends(0.0, 0, false) && sends(0.0, 1, false), "there is room");
        assert!((2..50).all(|id| !sends(0.0, id, false)), "and then there is none");
        assert!(sends(0.0, 50, true), "a strict block needs none");
        while let Some(job) = station.channel.next(|_| true) {
            let bytes = job.work.raw_bytes() as u64;
            desk.fleet().unwrap().policy().withdrawn(0, bytes);
        }
        assert!((51..60).all(|id| !sends(0.0, id, false)), "there would be room again");
        assert!(sends(0.0, 60, true), "strict blocks are not concerned");
        // A block's time on the CPU and some more.
        assert!(sends(1.25 * 4096.0 * worker, 61, false), "the device is locked out");
    });
    // Two points each, and more than four are too many.
    assert_eq!(stats.sends_full, 3, "after that nothing was sent");
}

#[test]
fn an_idle_worker_takes_back_what_it_does_sooner_than_the_device() {
    let (desk, station) = desk(600, 1000.0);
    let fleet = desk.fleet().unwrap();
    (0..10).for_each(|_| fleet.policy().queued(WHOLE, 4096)); // The workers are busy for long.
    let stats = recorded(|recorder| {
        for id in 0..2 {
            assert!(desk.hand_over(0, job(id, false), Asker::Caller, recorder).is_ok());
        }
        let held = fleet.held();
        match desk.forage(0, recorder) {
            Forage::Task(BlockTask::StandIn(job, Side::Cpu)) => assert_eq!(job.id, 1, "the last"),
            _ => panic!("the second would be finished at 1200, and by the worker at 1000"),
        }
        assert_eq!((held, fleet.held()), (2 * 4096, 4096), "the policy knows of it");
        assert!(matches!(desk.forage(0, recorder), Forage::Sleep(None)), "the first at 600");
        assert_eq!(station.channel.next(|_| true).map(|job| job.id), Some(0));
    });
    assert_eq!(stats.reclaimed_blocks, 1);
}

/// As long as none has finished anything, the next block goes to the one that has less, and none to the CPU.
#[test]
fn auto_shares_blocks_among_two_devices() {
    let (first, one) = Fake::new(Trouble::Hold, 100, 2);
    let (second, two) = Fake::new(Trouble::Hold, 100, 2);
    let config = believing(94, &first, 100_000_000, 1e12);
    believing(94, &second, 100_000_000, 1e12);
    let mut engine = Engine::new(&options(), shared(vec![first, second]), config).unwrap();
    let blocks = submit_all(&mut engine);
    let jobs = |seen: &Seen| seen.jobs.load(Relaxed) as u64;
    let both = one.comes_to(|one| jobs(one) > 0 && jobs(&two) > 0);
    let given = [&one, &two].map(|seen| jobs(seen));
    [&one, &two].into_iter().for_each(|seen| seen.released.store(true, Relaxed));
    let sides: Vec<_> = (0..blocks).map(|number| take(&mut engine, number)).collect();
    assert!(both && blocks > 8 && !given.contains(&0), "{given:?} of {blocks}");
    assert!(!sides.contains(&Side::Retried), "{sides:?}");
}

/// The workers are busy until the end, so the submission thread alone can have given these blocks to the device.
#[test]
fn a_submission_thread_takes_blocks_that_wait_for_a_worker() {
    let (fake, seen) = Fake::new(Trouble::Hold, 2, 1);
    let config = believing(95, &fake, 100_000_000, 1e12);
    let mut engine = Engine::new(&options(), shared(vec![fake]), config).unwrap();
    engine.start_waiting();
    let busy = Arc::new(Seen::default());
    let Surroundings { workers, desk, .. } = &engine.pool.as_ref().unwrap().surroundings;
    let station = Arc::clone(&desk.fleet().unwrap().stations[0]);
    let workers = Arc::clone(workers);
    let idle = workers.threads();
    for number in 0..idle {
        let (load, until) = (Arc::clone(&busy), Arc::clone(&busy));
        let load = Box::new(move |_: &accel::Work<'_>| {
            load.started.fetch_add(1, Relaxed);
            until.comes_to(|seen| seen.released.load(Relaxed));
            None
        });
        // Nobody else does these, and the device does not have them.
        let job = job(1000 + number as u64, true);
        let loading = Arc::new(Loading::new(u64::MAX, 1));
        workers.spawn(BlockTask::Load(job, load, loading, Arc::clone(&station)));
    }
    let occupied = busy.comes_to(|seen| seen.started.load(Relaxed) == idle);
    let blocks = submit_all(&mut engine);
    let open = workers.open();
    seen.released.store(true, Relaxed);
    // Two at once, and two in the channel.
    let pulled = seen.comes_to(|seen| seen.jobs.load(Relaxed) > 4);
    busy.released.store(true, Relaxed);
    assert!(occupied && open > 0 && blocks > 6, "{open} of {blocks}");
    assert!(pulled, "{seen:?}");
    for number in 0..blocks {
        take(&mut engine, number);
    }
}
