//! Compares ranvil's LZ pipelines with zstd and lz4: size and speed, one thread, memory to memory, in one process and
//! interleaved, every round trip verified first. Checksums and headers of ranvil's blocks are included.
//!
//! ```text
//! cargo run --release -p ranvil-peers -- --levels 1,3,9 FILE…
//! ```

mod peer;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use peer::{Codec, Lz4, Ranvil, Zstd};

#[derive(Parser)]
#[command(about, version)]
struct Args {
    /// Levels to compare; ranvil's level N against zstd's level N.
    #[arg(long, value_delimiter = ',', default_value = "1,3,9")]
    levels: Vec<u8>,
    /// Exponent of ranvil's block size.
    #[arg(long, default_value_t = 20)]
    block_log: u8,
    /// Exponent of ranvil's segment size.
    #[arg(long, default_value_t = 16)]
    segment_log: u8,
    /// ranvil's pipeline.
    #[arg(long, default_value = "lzseqr")]
    pipeline: String,
    /// Cuts the peer's input into chunks of 2^N bytes; 0 gives it whole files.
    #[arg(long, default_value_t = 0)]
    chunk_log: u8,
    /// The peer.
    #[arg(long, default_value = "zstd", value_parser = ["zstd", "lz4"])]
    peer: String,
    /// Rounds; the fastest of each counts. 0 compares sizes only.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// Size and fastest times of a codec on a file, or the sums over files.
#[derive(Clone, Copy, Default)]
struct Score {
    raw: usize,
    coded: usize,
    encode: Duration,
    decode: Duration,
}

impl Score {
    fn add(&mut self, other: &Self) {
        self.raw += other.raw;
        self.coded += other.coded;
        self.encode += other.encode;
        self.decode += other.decode;
    }
}

fn main() -> Result<()> {
    let args = Args::parse();
    println!(
        "| level | file | raw | ours | peer | size | compress MB/s | peer | speed | decompress MB/s | peer | speed |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for &level in &args.levels {
        let mut ours = Ranvil::new(&args.pipeline, level, args.block_log, args.segment_log)?;
        let mut peer: Box<dyn Codec> = match args.peer.as_str() {
            "lz4" => Box::new(Lz4::new(level, args.chunk_log)),
            _ => Box::new(Zstd::new(level, args.chunk_log)?),
        };
        let mut total = [Score::default(); 2];
        for file in &args.files {
            let raw = fs::read(file).with_context(|| file.display().to_string())?;
            let scores = compare([&mut ours, peer.as_mut()], &raw, args.rounds)
                .with_context(|| file.display().to_string())?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            print_row(level, &name, &scores);
            total.iter_mut().zip(&scores).for_each(|(total, score)| total.add(score));
        }
        print_row(level, "**all**", &total);
    }
    Ok(())
}

fn compare(mut codecs: [&mut dyn Codec; 2], raw: &[u8], rounds: usize) -> Result<[Score; 2]> {
    let mut scores = [Score { raw: raw.len(), ..Score::default() }; 2];
    let mut back = vec![0; raw.len()];
    for (codec, score) in codecs.iter_mut().zip(&mut scores) {
        score.coded = codec.encode(raw)?;
        back.fill(0);
        codec.decode(&mut back)?;
        ensure!(back == raw, "{} does not restore the file", codec.name());
        if rounds > 0 {
            (score.encode, score.decode) = (Duration::MAX, Duration::MAX);
        }
    }
    for _ in 0..rounds {
        for (codec, score) in codecs.iter_mut().zip(&mut scores) {
            let start = Instant::now();
            codec.encode(raw)?;
            score.encode = score.encode.min(start.elapsed());
        }
        for (codec, score) in codecs.iter_mut().zip(&mut scores) {
            let start = Instant::now();
            codec.decode(&mut back)?;
            score.decode = score.decode.min(start.elapsed());
        }
    }
    Ok(scores)
}

fn print_row(level: u8, name: &str, [ours, peer]: &[Score; 2]) {
    let speed = |raw: usize, time: Duration| raw as f64 / 1e6 / time.as_secs_f64();
    let faster = |ours: Duration, peer: Duration| peer.as_secs_f64() / ours.as_secs_f64();
    println!(
        "| {level} | {name} | {} | {:.4} | {:.4} | {:.4} | {:.0} | {:.0} | {:.2} | {:.0} | {:.0} | {:.2} |",
        ours.raw,
        ours.coded as f64 / ours.raw as f64,
        peer.coded as f64 / peer.raw as f64,
        ours.coded as f64 / peer.coded as f64,
        speed(ours.raw, ours.encode),
        speed(peer.raw, peer.encode),
        faster(ours.encode, peer.encode),
        speed(ours.raw, ours.decode),
        speed(peer.raw, peer.decode),
        faster(ours.decode, peer.decode),
    );
}
