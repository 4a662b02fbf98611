//! What goes into a batch, and when.

use super::*;

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

/// Nothing is finished until all blocks are there: the first two may go alone, each to a slot of its own. The third does, as batches grow.
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
    let (batches, full) = (seen.batches.load(Relaxed) as u64, 3 + (blocks - 3).div_ceil(3));
    assert!(blocks > 10 && (blocks.div_ceil(3)..=full).contains(&batches), "{batches} of {blocks}");
}

#[test]
fn the_first_batches_are_small_and_each_may_be_twice_the_last() {
    let (fake, seen) = Fake::new(Trouble::Hold, 100, 9);
    let mut engine =
        Engine::new(&options(), strict(fake.with_batches_of(8 * 4096)), CONFIG).unwrap();
    let blocks = submit_all(&mut engine);
    assert!(blocks >= 1 + 2 + 4 + 8);
    seen.released.store(true, Relaxed);
    for number in 0..blocks {
        assert_eq!(take(&mut engine, number), Side::Device(0));
    }
    let sizes = seen.sizes.lock().unwrap().clone();
    let grow = sizes.iter().enumerate().all(|(number, &blocks)| blocks <= 1 << number.min(3));
    // Beside a busy device a quarter of the largest is waited for.
    assert!(grow && sizes[..2] == [1, 2], "{sizes:?}");
}

#[test]
fn the_last_blocks_do_not_wait_for_more() {
    let (fake, seen) = Fake::new(Trouble::Hold, 100, 3);
    let mut engine =
        Engine::new(&options(), strict(fake.with_batches_of(16 * 4096)), CONFIG).unwrap();
    let begun = |batches| {
        let end = Instant::now() + Duration::from_secs(20);
        while seen.batches.load(Relaxed) < batches && Instant::now() < end {
            thread::yield_now();
        }
        seen.batches.load(Relaxed)
    };
    (0..2).for_each(|number| submit(&mut engine, number));
    assert_eq!(begun(1), 1);
    submit(&mut engine, 2);
    thread::sleep(Duration::from_millis(30)); // As a rule long enough for a batch that should not begin.
    let early = seen.batches.load(Relaxed);
    engine.submitted_all();
    let late = begun(2);
    seen.released.store(true, Relaxed); // Or the engine would never end.
    assert_eq!((early, late), (1, 2));
    for number in 0..3 {
        assert_eq!(take(&mut engine, number), Side::Device(0));
    }
    assert_eq!(seen.jobs.load(Relaxed), 3);
}
