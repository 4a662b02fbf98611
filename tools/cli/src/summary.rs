//! The line about a finished file, as zstd prints it.

use std::{path::Path, time::Duration};

use crate::{
    args::Operation,
    codec::Transfer,
    report,
    size::{human, percent},
};

/// What was done with one file.
pub struct Summary {
    operation: Operation,
    name: String,
    target: String,
    transfer: Transfer,
    seconds: f64,
}

impl Summary {
    pub fn new(
        operation: Operation,
        path: &Path,
        target: Option<&Path>,
        transfer: Transfer,
        time: Duration,
    ) -> Self {
        let target = target.map_or("standard output".to_owned(), report::name);
        Self { operation, name: report::name(path), target, transfer, seconds: time.as_secs_f64() }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { operation, name, target, transfer, seconds } = self;
        let (raw, compressed) = (human(transfer.raw), human(transfer.compressed));
        let speed = human((transfer.raw as f64 / seconds.max(1e-9)) as u64);
        match operation {
            Operation::Compress => {
                let ratio = percent(transfer.compressed, transfer.raw);
                write!(f, "{name}: {ratio} ({raw} => {compressed}, {target}), {speed}/s")
            }
            Operation::Decompress => {
                write!(f, "{name}: {compressed} => {raw}, {target}, {speed}/s")
            }
            _ => write!(f, "{name}: OK, {raw}, {speed}/s"),
        }
    }
}
