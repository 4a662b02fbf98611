//! A device that is opened in mid-run, where that is worth it.

use std::sync::{Arc, atomic::AtomicU64};

use super::*;

/// An engine with all its buffers in flight that has been at work for a second, and asks for a device that way.
fn engine(pipeline: Pipeline, asked: &Arc<AtomicU64>) -> Engine<'static> {
    let asked = Arc::clone(asked);
    let open = move |budget| {
        assert_eq!(asked.swap(budget, Relaxed), 0, "it asks once");
        Some(Idle::new(Fake::new(Trouble::None, 2, 2).0))
    };
    let config = Config { pipeline, ..CONFIG };
    let options = options().memory_limit(64 << 20);
    let mut engine = Engine::new(&options, Route::later(Box::new(open)), config).unwrap();
    engine.began = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    engine
}

#[test]
fn an_engine_whose_cpu_has_too_much_to_do_asks_for_a_device_once() {
    for (pipeline, full, remaining, expected) in [
        (Pipeline::Rans, true, 1 << 40, true),
        (Pipeline::Rans, true, 1 << 10, false), // That is done at once.
        (Pipeline::Rans, false, 1 << 40, false), // It is the caller that is slow.
        (Pipeline::Lzr, true, 1 << 40, false),  // Most of the work is the CPU's in any case.
    ] {
        let asked = Arc::new(AtomicU64::new(0));
        let mut engine = engine(pipeline, &asked);
        let blocks = match full {
            true => submit_all(&mut engine),
            false => 0,
        };
        let done = 1 << 20;
        engine.expect_content(done + remaining, done).unwrap();
        // On a thread of its own.
        let end = Instant::now() + Duration::from_secs(20);
        while engine.opening.is_some() && Instant::now() < end {
            engine.expect_content(done + remaining, done).unwrap();
        }
        let joined = engine.pool.as_ref().is_some_and(|pool| pool.devices.len() == 1);
        assert_eq!(joined, expected, "{pipeline}, {full}, {remaining}");
        let budget = asked.load(Relaxed);
        assert!((budget > 0) == expected && budget < 64 << 20, "{budget}");
        for number in 0..blocks {
            take(&mut engine, number);
        }
    }
}
