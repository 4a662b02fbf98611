//! The workload that ranvil is compared with: fixed, and none of ranvil's code. It resembles what ranvil's loops do, so
//! that what is good for the one is good for the other: bytes are counted and mixed, and a table of the size
//! of a second-level cache is read and written at places that depend on them.

use std::{hint::black_box, sync::Barrier, thread, time::Instant};

/// Raise it when the workload changes: baselines of another one are void.
const VERSION: u32 = 1;

/// Bytes that a thread works on, how often, and the entries of its table.
const BYTES: usize = 1 << 20;
const ROUNDS: usize = 12;
const TABLE_LOG: u32 = 15;

/// What names the workload, and how it was compiled.
pub fn name() -> String {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    format!("{VERSION}-{profile}")
}

/// Runs it on so many threads at once; MB/s of all together.
pub fn run(threads: usize) -> f64 {
    let ready = Barrier::new(threads + 1);
    let start = thread::scope(|scope| {
        for seed in 0..threads {
            let ready = &ready;
            scope.spawn(move || {
                let mut work = Work::new(seed as u64);
                black_box(work.round());
                ready.wait();
                for _ in 0..ROUNDS {
                    black_box(work.round());
                }
            });
        }
        ready.wait();
        Instant::now()
    });
    (threads * ROUNDS * BYTES) as f64 / 1e6 / start.elapsed().as_secs_f64()
}

struct Work {
    bytes: Vec<u8>,
    table: Vec<u32>,
    counts: [u32; 256],
}

impl Work {
    fn new(seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Small values more often, so that branches and counts have something to predict.
            (state >> 40) as u8 & (state >> 50) as u8
        };
        let bytes = (0..BYTES).map(|_| next()).collect();
        Self { bytes, table: vec![0; 1 << TABLE_LOG], counts: [0; 256] }
    }

    fn round(&mut self) -> u32 {
        let Self { bytes, table, counts } = self;
        let mut sum = 0u32;
        for (at, window) in bytes.windows(4).enumerate() {
            let word = u32::from_le_bytes([window[0], window[1], window[2], window[3]]);
            counts[usize::from(window[0])] += 1;
            let entry = &mut table[(word.wrapping_mul(0x9e37_79b1) >> (32 - TABLE_LOG)) as usize];
            if *entry < at as u32 {
                sum = sum.rotate_left(5) ^ *entry;
            } else {
                sum = sum.wrapping_add(word);
            }
            *entry = at as u32;
        }
        sum ^ counts[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_is_fixed() {
        let mut work = Work::new(1);
        let first = work.round();
        assert_eq!(first, Work::new(1).round());
        assert_ne!(first, Work::new(2).round());
        assert_eq!(first, 0xf7cd_53b8, "another workload: raise the version");
        assert!(run(2).is_finite());
    }
}
