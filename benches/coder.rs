//! The CPU coder on one core: every instruction set against the scalar reference, in one run.
//! The input is as `common` says.

mod common;

use std::{
    env,
    time::{Duration, Instant},
};

use common::{BLOCK, input};
use criterion::{Criterion, Throughput};
use ranvil::{
    Simd,
    coder::{BlockParams, Codec, Coder, Encoded, histogram::histogram, table::Table},
    format::BlockKind,
};

const PARAMS: BlockParams =
    BlockParams { coder: Coder::Rans, segment_log: 14, table_log: Some(11) };

fn main() {
    let (path, data) = input();
    println!("input: {} ({} bytes)", path.display(), data.len());
    println!("blocks of {BLOCK} bytes, {PARAMS:?}, one thread\n");
    let mut benches: Vec<Bench<'_>> =
        Simd::available().into_iter().map(|s| Bench::new(s, &data)).collect();

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for work in Work::ALL {
        let mut group = criterion.benchmark_group(work.name());
        group.throughput(Throughput::Bytes(data.len() as u64));
        for bench in &mut benches {
            group.bench_function(format!("{:?}", bench.simd), |b| b.iter(|| bench.run(work)));
        }
    }
    criterion.final_summary();
    if env::args().all(|arg| arg != "--test") {
        print_ratios(&mut benches, data.len());
    }
}

#[derive(Clone, Copy)]
enum Work {
    /// Payload to raw bytes.
    Decode,
    /// Raw bytes and a table to a payload.
    EncodeSegments,
    /// Raw bytes to a payload: histogram and normalisation too.
    EncodeBlocks,
}

impl Work {
    const ALL: [Self; 3] = [Self::Decode, Self::EncodeSegments, Self::EncodeBlocks];

    fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode blocks",
            Self::EncodeSegments => "encode segments",
            Self::EncodeBlocks => "encode blocks",
        }
    }
}

struct Bench<'a> {
    simd: Simd,
    codec: Codec,
    blocks: Vec<Block<'a>>,
    raw: Vec<u8>,
    payload: Vec<u8>,
}

struct Block<'a> {
    raw: &'a [u8],
    /// Of the coded blocks: with it segments can be encoded without a histogram.
    table: Option<Table>,
    encoded: Encoded,
    payload: Vec<u8>,
}

impl<'a> Bench<'a> {
    /// Encodes the data and verifies that it comes back.
    fn new(simd: Simd, data: &'a [u8]) -> Self {
        let mut codec = Codec::new(simd).expect("available");
        let mut raw = vec![0; BLOCK];
        let mut encode = |block: &'a [u8]| {
            let mut payload = Vec::new();
            let encoded = codec.encode(block, &PARAMS, &mut payload);
            if encoded.kind == BlockKind::Stored {
                payload.extend_from_slice(block);
            }
            let raw = &mut raw[..block.len()];
            let Encoded { kind, table_log } = encoded;
            codec
                .decode(&payload, kind, PARAMS.coder, table_log, PARAMS.segment_log, raw)
                .expect("own payload");
            assert!(raw == block, "{simd:?} does not restore the block");
            let coded = kind == BlockKind::Coded;
            let table =
                coded.then(|| Table::from_counts(&histogram(block), PARAMS.coder, Some(table_log)));
            Block { raw: block, table, encoded, payload }
        };
        let blocks = data.chunks(BLOCK).map(&mut encode).collect();
        Self { simd, codec, blocks, raw, payload: Vec::new() }
    }

    fn run(&mut self, work: Work) {
        (0..self.blocks.len()).for_each(|block| self.run_block(work, block));
    }

    fn run_block(&mut self, work: Work, block: usize) {
        let Block { raw, table, encoded, payload } = &self.blocks[block];
        let segment_log = PARAMS.segment_log;
        match (work, table) {
            (Work::Decode, _) => {
                let back = &mut self.raw[..raw.len()];
                let Encoded { kind, table_log } = *encoded;
                self.codec
                    .decode(payload, kind, PARAMS.coder, table_log, segment_log, back)
                    .expect("verified");
            }
            (Work::EncodeSegments, Some(table)) => {
                self.codec.encode_with(table, raw, segment_log, &mut self.payload);
            }
            _ => {
                self.codec.encode(raw, &PARAMS, &mut self.payload);
            }
        }
    }
}

/// Blocks one by one, the implementations taking turns at each, and the best of each one's times summed: other work on
/// the machine and changes of the clock then meet all of them, and count little.
fn print_ratios(benches: &mut [Bench<'_>], bytes: usize) {
    const ROUNDS: usize = 15;
    println!(
        "\nMB/s of raw bytes (best of {ROUNDS} for each block), and times the scalar reference:"
    );
    print!("{:16}", "");
    benches.iter().for_each(|bench| print!("{:>18}", format!("{:?}", bench.simd)));
    println!();
    for work in Work::ALL {
        let mut total = vec![0.0; benches.len()];
        for block in 0..benches[0].blocks.len() {
            let mut best = vec![f64::INFINITY; benches.len()];
            for _ in 0..ROUNDS {
                for (best, bench) in best.iter_mut().zip(&mut *benches) {
                    let start = Instant::now();
                    bench.run_block(work, block);
                    *best = best.min(start.elapsed().as_secs_f64());
                }
            }
            total.iter_mut().zip(best).for_each(|(total, best)| *total += best);
        }
        print!("{:16}", work.name());
        for time in &total {
            print!("{:>10.0} ({:>4.1}x)", bytes as f64 / time / 1e6, total[0] / time);
        }
        println!();
    }
}
