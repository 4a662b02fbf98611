//! What a run did when.

use std::{sync::OnceLock, time::Instant};

/// Nanoseconds since the process first asked; the one clock of all that is recorded.
pub(crate) fn clock() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}
