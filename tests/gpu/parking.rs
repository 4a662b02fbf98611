//! Devices that stay open from one run to the next.

use std::{env, process::Command, thread, time::Duration};

use ranvil::{
    DeviceSelector, Options, Pipeline, release_idle,
    testing::{Gpu, device_counts},
};

use crate::{ALICE, BUDGET, PARAMS, selector};

/// With the layer here, without it in a process of its own.
pub fn with_and_without_validation() {
    from_run_to_run();
    if !parks() {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "devices_stay_open", "--ignored"]).env_remove("RANVIL_VALIDATION");
        let output = child.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{output:?}");
    }
}

/// With validation on every device is destroyed when its run ends.
fn parks() -> bool {
    env::var_os("RANVIL_VALIDATION").is_none_or(|value| value != "1" && value != "calls")
}

fn options() -> Options {
    Options::new().pipeline(Pipeline::Rans).threads(2).device(selector()).memory_limit(128 << 20)
}

/// Runs it, the bytes being those of the CPU. Returns how many devices it opened.
fn run(options: &Options, length: usize) -> usize {
    let (before, ..) = device_counts();
    let raw = &ALICE[..length];
    let coded = options.compress(raw).unwrap();
    assert!(coded == options.clone().device(DeviceSelector::Cpu).compress(raw).unwrap());
    device_counts().0 - before
}

/// What is observable: how many devices have been opened, are open, and are parked.
pub fn from_run_to_run() {
    release_idle();
    let (_, open, parked) = device_counts();
    assert_eq!((open, parked), (0, 0), "everything so far has been closed");

    let small = options().block_size(1 << 12).unwrap();
    assert_eq!(run(&small, ALICE.len()), 1);
    let kept = usize::from(parks());
    assert_eq!((device_counts().1, device_counts().2), (kept, kept));
    let again = if parks() { 0 } else { 1 };
    // Other blocks, less memory, more memory, and no work for a device at all.
    assert_eq!(run(&small, ALICE.len()), again);
    assert_eq!(run(&options().block_size(1 << 16).unwrap(), ALICE.len()), again);
    assert_eq!(run(&small.clone().memory_limit(24 << 20), ALICE.len()), again);
    assert_eq!(run(&small.clone().memory_limit(512 << 20), ALICE.len()), again);
    assert_eq!(run(&small.clone().pipeline(Pipeline::Stored), 10_000), again);
    assert_eq!(run(&small, 5000), again);
    // For so long that it is asked whether it is idle.
    thread::sleep(Duration::from_millis(1100));
    assert_eq!(run(&small, 5000), again);

    // The same device twice: one is kept.
    let two = small.devices([selector(), selector()]);
    assert_eq!(run(&two, ALICE.len()), 1 + again);
    assert_eq!((device_counts().1, device_counts().2), (kept, kept));

    release_idle();
    assert_eq!((device_counts().1, device_counts().2), (0, 0));
    assert_eq!(run(&options(), 100_000), 1);
    release_idle();

    let parked =
        Gpu::parks(|| Gpu::open(&selector(), BUDGET).unwrap(), &[&ALICE[..20_000]], PARAMS);
    assert_eq!(parked, [parks(), parks(), false, false]);
    assert_eq!((device_counts().1, device_counts().2), (0, 0));
    side_by_side();
}

/// Runs at once, whose devices others close as soon as they are parked.
fn side_by_side() {
    const RUNS: usize = 3;
    let small = options().block_size(1 << 12).unwrap();
    let raw = &ALICE[..20_000];
    let expected = small.clone().device(DeviceSelector::Cpu).compress(raw).unwrap();
    thread::scope(|scope| {
        let round_trips = || {
            for _ in 0..RUNS {
                assert!(small.compress(raw).unwrap() == expected);
                assert!(small.decompress(&expected).unwrap() == raw);
            }
        };
        let runners = [scope.spawn(round_trips), scope.spawn(round_trips)];
        while !runners.iter().all(|runner| runner.is_finished()) {
            release_idle();
            thread::yield_now();
        }
    });
    release_idle();
    assert_eq!((device_counts().1, device_counts().2), (0, 0));
}
