//! Telemetry.

use std::{sync::OnceLock, time::Instant};

/// Nanoseconds since the process first asked: the clock of all times in this crate.
pub(crate) fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}
