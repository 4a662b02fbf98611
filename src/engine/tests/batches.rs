//! What goes into a batch, and when.

use super::*;

/// Nothing is finished until all slots are at work.
#[test]
fn as_many_batches_are_in_flight_as_there_are_slots() {
    let (fake, seen) = Fake::new(Trouble::Hold, 1, 3);
    let route = strict(fake.with_batches_of(4096));
    let mut engine = Engine::new(&options(), route, CONFIG).unwrap();
    (0..6).for_each(|number| submit(&mut engine, number));
    while seen.most_in_flight.load(Relaxed) < 3 {
        thread::yield_now();
    }
    seen.released.store(true, Relaxed);
    for number in 0..6 {
        assert_eq!(take(&mut engine, number), Side::Device(0));
    }
    assert_eq!(seen.most_in_flight.load(Relaxed), 3);
}

/// No two blocks go together before batches have grown to two, and then no more than three.
#[test]
fn a_batch_is_bounded_by_its_bytes() {
    let (fake, seen) = Fake::new(Trouble::Hold, 100, 2);
    let route = strict(fake.with_batches_of(3 * 4096 + 4095));
    let mut engine = Engine::new(&options(), route, CONFIG).unwrap();
    let blocks = submit_all(&mut engine);
    seen.released.store(true, Relaxed);
    for number in 0..blocks {
        assert_eq!(take(&mut engine, number), Side::Device(0));
    }
    let sizes = seen.sizes.lock().unwrap().clone();
    assert!(
        blocks > 10 && sizes[..3] == [1; 3] && sizes.iter().all(|&blocks| blocks <= 3),
        "{sizes:?}"
    );
    assert!(sizes.contains(&3), "{sizes:?}");
}

/// While the first batch is planned all other blocks come, and so the next ones are as large as they may be.
#[test]
fn the_first_batches_of_a_device_that_has_been_idle_grow() {
    let (fake, seen) = Fake::new(Trouble::None, 100, 3);
    let route = strict(fake.with_batches_of(8 * 4096));
    let mut engine = Engine::new(&options().memory_limit(1 << 30), route, CONFIG).unwrap();
    for run in 0..2 {
        let gate = seen.gate.lock().unwrap();
        let first = 23 * run;
        (first..first + 23).for_each(|number| submit(&mut engine, number));
        drop(gate);
        for number in first..first + 23 {
            assert_eq!(take(&mut engine, number), Side::Device(0));
        }
        let sizes = seen.sizes.lock().unwrap().split_off(0);
        assert_eq!(sizes, [1, 2, 4, 8, 8], "run {run}");
        thread::sleep(Duration::from_millis(30)); // The thread sees that nothing is left.
    }
}

#[test]
fn the_last_blocks_do_not_wait_for_more() {
    let (fake, seen) = Fake::new(Trouble::Hold, 100, 3);
    let route = strict(fake.with_batches_of(16 * 4096));
    let mut engine = Engine::new(&options(), route, CONFIG).unwrap();
    let begun = |batches| {
        let end = Instant::now() + Duration::from_secs(20);
        while seen.batches.load(Relaxed) < batches && Instant::now() < end {
            thread::yield_now();
        }
        seen.batches.load(Relaxed)
    };
    (0..2).for_each(|number| submit(&mut engine, number));
    engine.submitted_all();
    let first = begun(1); // Or 2, if these came one by one.
    submit(&mut engine, 2); // They were not all.
    thread::sleep(Duration::from_millis(30)); // As a rule long enough for a batch that should not begin.
    let early = seen.batches.load(Relaxed);
    engine.submitted_all();
    let late = begun(early + 1);
    seen.released.store(true, Relaxed); // Or the engine would never end.
    assert!(first <= early && late == early + 1, "{first}, {early}, {late}");
    for number in 0..3 {
        assert_eq!(take(&mut engine, number), Side::Device(0));
    }
    assert_eq!(seen.jobs.load(Relaxed), 3);
}
