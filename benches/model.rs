//! The LZ models on one core: sequences to streams and back, without the entropy coders. The input is as `common` says;
//! RANVIL_BENCH_LEVEL is the parser's level, 1 if it is not given.

mod common;

use std::{
    env,
    hint::black_box,
    time::{Duration, Instant},
};

use common::{BLOCK, input};
use criterion::{Criterion, Throughput};
use ranvil::model::{Model, Sequence, parse::Parser, streams::Streams};

fn main() {
    let (name, data) = input();
    let level = env::var("RANVIL_BENCH_LEVEL").map_or(1, |level| level.parse().expect("a level"));
    println!("input: {name} ({} bytes)", data.len());
    println!("blocks of {BLOCK} bytes, level {level}, one thread\n");
    let mut benches: Vec<Bench<'_>> = [Model::Lz77, Model::LzSeq]
        .into_iter()
        .flat_map(|model| Work::ALL.map(|work| Bench::new(model, work, &data, level)))
        .collect();

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let mut group = criterion.benchmark_group("model");
    group.throughput(Throughput::Bytes(data.len() as u64));
    for bench in &mut benches {
        group.bench_function(bench.name(), |b| {
            b.iter(|| (0..bench.blocks.len()).for_each(|block| bench.run_block(block)))
        });
    }
    group.finish();
    criterion.final_summary();
    if env::args().all(|arg| arg != "--test") {
        print_rates(&mut benches, data.len());
    }
}

#[derive(Clone, Copy, Debug)]
enum Work {
    Split,
    Rebuild,
    /// A plain copy of the raw bytes: the yardstick.
    Copy,
}

impl Work {
    const ALL: [Self; 3] = [Self::Split, Self::Rebuild, Self::Copy];
}

struct Block<'a> {
    raw: &'a [u8],
    sequences: Vec<Sequence>,
    streams: Streams,
}

struct Bench<'a> {
    model: Model,
    work: Work,
    blocks: Vec<Block<'a>>,
    streams: Streams,
    raw: Vec<u8>,
}

impl<'a> Bench<'a> {
    /// Parses and splits the data and verifies that it comes back.
    fn new(model: Model, work: Work, data: &'a [u8], level: u8) -> Self {
        let mut parser = Parser::new();
        let mut back = vec![0; BLOCK];
        let block = |raw: &'a [u8]| {
            let (mut sequences, mut streams) = (Vec::new(), Streams::default());
            parser.parse(raw, model, level, &mut sequences);
            model.split(raw, &sequences, &mut streams);
            let back = &mut back[..raw.len()];
            model.rebuild(streams.view(), back).expect("own streams");
            assert!(raw == back, "{model:?} does not restore the block");
            Block { raw, sequences, streams }
        };
        let blocks = data.chunks(BLOCK).map(block).collect();
        Self { model, work, blocks, streams: Streams::default(), raw: vec![0; BLOCK] }
    }

    fn name(&self) -> String {
        format!("{:?} {:?}", self.model, self.work)
    }

    fn run_block(&mut self, block: usize) {
        let Block { raw, sequences, streams } = &self.blocks[block];
        let back = &mut self.raw[..raw.len()];
        match self.work {
            Work::Split => self.model.split(raw, sequences, &mut self.streams),
            Work::Rebuild => self.model.rebuild(streams.view(), back).expect("verified"),
            Work::Copy => back.copy_from_slice(raw),
        }
        black_box(&self.raw);
    }
}

/// Blocks one by one, all work taking turns at each, and the best times summed: other work on the machine and changes of
/// the clock then meet all of it, and count little.
fn print_rates(benches: &mut [Bench<'_>], bytes: usize) {
    const ROUNDS: usize = 15;
    let mut total = vec![0.0; benches.len()];
    for block in 0..benches[0].blocks.len() {
        let mut best = vec![f64::INFINITY; benches.len()];
        for _ in 0..ROUNDS {
            for (best, bench) in best.iter_mut().zip(&mut *benches) {
                let start = Instant::now();
                bench.run_block(block);
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
        total.iter_mut().zip(best).for_each(|(total, best)| *total += best);
    }
    println!("\nbest of {ROUNDS} for each block:");
    for (bench, time) in benches.iter().zip(&total) {
        let sequences: usize = bench.blocks.iter().map(|block| block.sequences.len()).sum();
        println!(
            "{:16} {:>6.0} MB/s of raw bytes, {:>5.1} ns a sequence of {:.1} bytes",
            bench.name(),
            bytes as f64 / time / 1e6,
            time * 1e9 / sequences as f64,
            bytes as f64 / sequences as f64,
        );
    }
}
