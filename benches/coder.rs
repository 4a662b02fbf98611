//! The CPU coders on one core: every instruction set against the scalar reference, and small blocks, in one run.
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

/// Bytes in a block: the first is what criterion measures; the others are parts of an LZ block's streams.
const BLOCKS: [usize; 3] = [BLOCK, 64 << 10, 16 << 10];
const SEGMENT_LOG: u8 = 14;

fn main() {
    let (name, data) = input();
    println!("input: {name} ({} bytes)", data.len());
    println!("segments of {} bytes, one thread\n", 1 << SEGMENT_LOG);
    let pairs =
        Coder::ALL.into_iter().flat_map(|c| Simd::available().into_iter().map(move |s| (c, s)));
    let mut benches: Vec<Bench<'_>> =
        pairs.map(|(coder, simd)| Bench::new(coder, simd, BLOCK, &data)).collect();

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for work in Work::ALL {
        let mut group = criterion.benchmark_group(work.name());
        group.throughput(Throughput::Bytes(data.len() as u64));
        for bench in &mut benches {
            let name = format!("{:?} {:?}", bench.coder, bench.simd);
            group.bench_function(name, |b| b.iter(|| bench.run(work)));
        }
    }
    criterion.final_summary();
    if env::args().any(|arg| arg == "--test") {
        return;
    }
    print_ratios(BLOCK, &mut benches, data.len());
    for size in &BLOCKS[1..] {
        let bench = |coder| Bench::new(coder, Simd::Auto, *size, &data);
        print_ratios(*size, &mut Coder::ALL.map(bench), data.len());
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
    coder: Coder,
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
    fn new(coder: Coder, simd: Simd, size: usize, data: &'a [u8]) -> Self {
        let mut codec = Codec::new(simd).expect("available");
        let params = BlockParams { coder, segment_log: SEGMENT_LOG, table_log: None };
        let mut raw = vec![0; size];
        let mut encode = |block: &'a [u8]| {
            let mut payload = Vec::new();
            let encoded = codec.encode(block, &params, &mut payload);
            if encoded.kind == BlockKind::Stored {
                payload.extend_from_slice(block);
            }
            let raw = &mut raw[..block.len()];
            let Encoded { kind, table_log } = encoded;
            codec.decode(&payload, kind, coder, table_log, SEGMENT_LOG, raw).expect("own payload");
            assert!(raw == block, "{simd:?} does not restore the block");
            let coded = kind == BlockKind::Coded;
            let table = coded.then(|| Table::from_counts(&histogram(block), coder, None));
            Block { raw: block, table, encoded, payload }
        };
        let blocks = data.chunks(size).map(&mut encode).collect();
        Self { coder, simd, codec, blocks, raw, payload: Vec::new() }
    }

    fn run(&mut self, work: Work) {
        (0..self.blocks.len()).for_each(|block| self.run_block(work, block));
    }

    fn run_block(&mut self, work: Work, block: usize) {
        let Block { raw, table, encoded, payload } = &self.blocks[block];
        match (work, table) {
            (Work::Decode, _) => {
                let back = &mut self.raw[..raw.len()];
                let Encoded { kind, table_log } = *encoded;
                self.codec
                    .decode(payload, kind, self.coder, table_log, SEGMENT_LOG, back)
                    .expect("verified");
            }
            (Work::EncodeSegments, Some(table)) => {
                self.codec.encode_with(table, raw, SEGMENT_LOG, &mut self.payload);
            }
            _ => {
                let params =
                    BlockParams { coder: self.coder, segment_log: SEGMENT_LOG, table_log: None };
                self.codec.encode(raw, &params, &mut self.payload);
            }
        }
    }

    /// Bytes of all payloads.
    fn coded(&self) -> usize {
        self.blocks.iter().map(|block| block.payload.len()).sum()
    }
}

/// Blocks one by one, the coders and implementations taking turns at each, and the best of each one's times summed: other
/// work on the machine and changes of the clock then meet all of them, and count little.
fn print_ratios(size: usize, benches: &mut [Bench<'_>], bytes: usize) {
    const ROUNDS: usize = 15;
    println!(
        "\nBlocks of {size} bytes: MB/s of raw bytes (best of {ROUNDS} for each block), and times the coder's first:"
    );
    let mut times = [(); Work::ALL.len()].map(|()| vec![0.0; benches.len()]);
    for (work, total) in Work::ALL.into_iter().zip(&mut times) {
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
    }
    print!("{:22}{:>7}", "", "ratio");
    Work::ALL.iter().for_each(|work| print!("{:>19}", work.name()));
    println!();
    for (number, bench) in benches.iter().enumerate() {
        let first = benches.iter().position(|other| other.coder == bench.coder).expect("itself");
        let name = format!("{:?} {:?}", bench.coder, bench.simd);
        print!("{name:22}{:>7.4}", bench.coded() as f64 / bytes as f64);
        for total in &times {
            let rate = bytes as f64 / total[number] / 1e6;
            print!("{rate:>11.0} ({:>4.1}x)", total[first] / total[number]);
        }
        println!();
    }
}
