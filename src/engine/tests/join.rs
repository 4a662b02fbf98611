//! A device that joins an engine in mid-run.

use super::*;

/// Codes two blocks at once, and says who did.
fn pair(engine: &mut Engine<'_>, number: u64) -> [Side; 2] {
    [number, number + 1].into_iter().for_each(|number| submit(engine, number));
    [number, number + 1].map(|number| take(engine, number))
}

#[test]
fn a_device_that_joins_gets_blocks_and_when_it_is_lost_the_caller_may_code_again() {
    let cores = planning::cores().max(2);
    let (fake, _) = Fake::new(Trouble::LoseAt(3), 2, 2);
    // The device is believed to be sooner than a worker.
    let config = believing(96, &fake, 1_000_000, 1e12);
    let mut engine = Engine::new(&options().threads(cores), shared(Vec::new()), config).unwrap();
    assert!(pair(&mut engine, 0).iter().all(|side| matches!(side, Side::Cpu)));
    engine.add(vec![Idle::new(fake)]);
    engine.pool.as_mut().expect("there were two blocks").scratch = None;
    let mut numbers = (2..100_000).step_by(2);
    // It has done three batches by then, though workers may have been sooner with their blocks.
    let mut lost = false;
    while !lost {
        pair(&mut engine, numbers.next().expect("the device is used, and lost"));
        let pool = engine.pool.as_ref().unwrap();
        let idle = pool.scratch.is_none();
        lost = pool.surroundings.desk.fleet().expect("it has joined").stations[0].is_lost();
        assert!(idle || lost, "beside a device the caller does not code");
    }
    if planning::caller_codes(cores, cores) {
        while engine.pool.as_ref().unwrap().scratch.is_none() {
            pair(&mut engine, numbers.next().expect("the caller codes again"));
        }
    }
}
