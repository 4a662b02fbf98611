//! What is allocated stays within the memory limit, whatever the length of a stream.

#[path = "common/alloc.rs"]
mod alloc;
mod common;

use std::{
    io::{self, Read, Write},
    thread,
};

use ranvil::{
    DeviceSelector, Error, Options, Pipeline, Telemetry, release_idle,
    testing::{assume_cpu, compressor_beside_a_stalled_device, forget_rates},
};

use common::{ALICE, Random};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

/// Content of any length without a file: mostly one value, some text, some noise.
struct Synthetic {
    pieces: [Vec<u8>; 3],
    position: u64,
    length: u64,
}

const PIECE: usize = 1 << 16;

impl Synthetic {
    fn new(length: u64) -> Self {
        let text = ALICE[..PIECE].to_vec();
        let pieces = [text, Random(1).bytes(PIECE), vec![b' '; PIECE]];
        Self { pieces, position: 0, length }
    }
}

impl Read for Synthetic {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let at = (self.position % PIECE as u64) as usize;
        let piece = ((self.position >> 16) % 32).min(2) as usize;
        let rest = (self.length - self.position).min((PIECE - at) as u64) as usize;
        let count = rest.min(buf.len());
        buf[..count].copy_from_slice(&self.pieces[piece][at..at + count]);
        self.position += count as u64;
        Ok(count)
    }
}

/// Length and checksum of what is read, through a buffer of 64 KiB.
fn digest(mut source: impl Read) -> io::Result<(u64, u32)> {
    let mut buffer = vec![0; 1 << 16];
    let (mut length, mut crc) = (0, 0);
    loop {
        let count = source.read(&mut buffer)?;
        if count == 0 {
            return Ok((length, crc));
        }
        length += count as u64;
        crc = crc32c::crc32c_append(crc, &buffer[..count]);
    }
}

fn compress(options: &Options, length: u64, target: impl Write) -> u64 {
    let mut compressor = options.compressor(target).unwrap();
    let mut source = Synthetic::new(length);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match source.read(&mut buffer).unwrap() {
            0 => break,
            count => compressor.write_all(&buffer[..count]).unwrap(),
        }
    }
    let length = compressor.progress().coded_bytes;
    compressor.finish().unwrap();
    length
}

/// The most bytes that a run takes which finds nothing that others have left.
fn measure<T>(run: impl FnOnce() -> T) -> (T, usize) {
    release_idle();
    alloc::measure(run)
}

/// The buffers of this file beside those of the library.
const OWN: usize = 1 << 19;

#[test]
fn a_stream_of_more_than_4_gib_stays_within_the_default_limit() {
    let _alone = alloc::alone();
    let length = (4 << 30) + 12_345;
    let options = Options::new().device(DeviceSelector::Cpu);
    let (reader, writer) = io::pipe().unwrap();
    // Both directions at once, each within its own limit.
    let (found, peak) = measure(|| {
        let decompression = thread::spawn({
            let options = options.clone();
            move || digest(options.decompressor(reader).unwrap())
        });
        compress(&options, length, writer);
        decompression.join().unwrap().unwrap()
    });
    assert_eq!(found, digest(Synthetic::new(length)).unwrap());
    assert!(peak <= (512 << 20) + OWN, "{peak} bytes at once");
}

#[test]
fn every_limit_is_kept() {
    let _alone = alloc::alone();
    for pipeline in [Pipeline::Rans, Pipeline::Huff, Pipeline::Stored] {
        for block_size in [4096, 1 << 18, 1 << 20] {
            for limit in [(1, 3 << 20), (4, 6 << 20), (16, 24 << 20), (64, 80 << 20)] {
                keeps(pipeline, 3, block_size, limit);
            }
        }
    }
}

#[test]
fn every_limit_is_kept_where_there_is_a_model() {
    let _alone = alloc::alone();
    for pipeline in [Pipeline::Lzf, Pipeline::Lzseqr] {
        for level in [1, 3, 6, 9] {
            for block_size in [4096, 1 << 18, 1 << 20, 1 << 22] {
                let least = least(pipeline, level, block_size);
                for limit in [(1, least), (8, 2 * least), (3, 4 * least), (64, 5 * least)] {
                    keeps(pipeline, level, block_size, limit);
                }
            }
        }
    }
}

fn options(pipeline: Pipeline, level: u8, block_size: usize) -> Options {
    let options = Options::new().device(DeviceSelector::Cpu).pipeline(pipeline);
    options.level(level).unwrap().block_size(block_size).unwrap()
}

/// The smallest limit within which an operation begins; with less it says so.
fn least(pipeline: Pipeline, level: u8, block_size: usize) -> usize {
    let options = options(pipeline, level, block_size).memory_limit(1);
    let needed = match options.compressor(io::sink()) {
        Err(Error::MemoryLimit { needed, limit: 1 }) => needed,
        other => panic!("{:?}", other.err()),
    };
    let refused = options.clone().memory_limit(needed - 100).compressor(io::sink());
    assert!(matches!(refused, Err(Error::MemoryLimit { .. })));
    needed as usize
}

fn keeps(pipeline: Pipeline, level: u8, block_size: usize, (threads, limit): (usize, usize)) {
    // Not so many blocks that their index would need more than its share of the smallest limit.
    let length = (8 << 20).min(1000 * block_size as u64).max(3 * block_size as u64 + 5);
    let expected = digest(Synthetic::new(length)).unwrap();
    let options = options(pipeline, level, block_size).threads(threads).memory_limit(limit as u64);
    let what = format!("{pipeline}, level {level}, {block_size} B, {threads} threads, {limit}");
    let mut coded = Vec::with_capacity(2 * length as usize);
    let (_, peak) = measure(|| compress(&options, length, &mut coded));
    assert!(peak <= limit + OWN, "encoding, {what}: {peak}");
    let (found, peak) = measure(|| digest(options.decompressor(&coded[..]).unwrap()).unwrap());
    assert_eq!(found, expected);
    assert!(peak <= limit + OWN, "decoding, {what}: {peak}");
    let mut raw = Vec::with_capacity(length as usize);
    Synthetic::new(length).read_to_end(&mut raw).unwrap();
    let mut memory = vec![0; options.compress_bound(raw.len()).unwrap()];
    let (size, peak) = measure(|| options.compress_into(&raw, &mut memory).unwrap());
    assert!(peak <= limit + OWN, "encoding slices, {what}: {peak}");
    raw.fill(0);
    let (_, peak) = measure(|| options.decompress_into(&memory[..size], &mut raw).unwrap());
    assert_eq!(digest(&raw[..]).unwrap(), expected);
    assert!(peak <= limit + OWN, "decoding slices, {what}: {peak}");
    let (found, peak) =
        measure(|| digest(options.seekable(io::Cursor::new(&coded[..])).unwrap()).unwrap());
    assert_eq!(found, expected);
    assert!(peak <= limit + OWN, "seeking, {what}: {peak}");
}

/// Whatever the device has is done by the workers as well, each with an output of its own.
#[test]
fn the_limit_is_kept_by_64_workers_beside_a_stalled_device() {
    let _alone = alloc::alone();
    const BLOCK: usize = 1 << 16;
    // Text in every block, so that each is worth the way to a device.
    let raw: Vec<u8> = (0..384).flat_map(|block| &ALICE[101 * block..][..BLOCK]).copied().collect();
    for (pipeline, limit) in [(Pipeline::Rans, 56 << 20), (Pipeline::Lzseqr, 160 << 20)] {
        let telemetry = Telemetry::new();
        let options = Options::new().pipeline(pipeline).threads(64).memory_limit(limit);
        let options = options.block_size(BLOCK).unwrap().telemetry(telemetry.clone());
        let options = options.content_size(Some(raw.len() as u64));
        let alone = options.clone().device(DeviceSelector::Cpu).compress(&raw).unwrap();
        let mut coded = Vec::with_capacity(raw.len() + (1 << 20));
        // The workers are expected to be slower, so the device and its channel get as much as they take.
        forget_rates();
        assume_cpu(pipeline, Some(3), 1e5);
        let ((), peak) = measure(|| {
            let compressor =
                compressor_beside_a_stalled_device(&options, 2, 4 << 20, 30, &mut coded);
            let mut compressor = compressor.unwrap();
            compressor.write_all(&raw).unwrap();
            compressor.finish().unwrap();
        });
        forget_rates();
        assert!(coded == alone, "{pipeline}: other bytes");
        let stats = telemetry.last_run().unwrap();
        assert_eq!(stats.gpu_batches, 0, "{pipeline}: {stats:?}");
        let held = stats.hedged_blocks + stats.reclaimed_blocks;
        assert!(held > 32 && stats.threads > 2, "{pipeline}: {stats:?}");
        assert!(peak as u64 <= limit, "{pipeline}: {peak} bytes of {limit}");
        println!("{pipeline}: {peak} of {limit}");
    }
}

/// Words one behind the other, so that a block is nothing but short matches: as many as a block can have, or nearly.
fn dense(words: usize, size: usize, length: usize) -> Vec<u8> {
    let mut random = Random(7);
    let words: Vec<_> = (0..words).map(|_| random.bytes(size)).collect();
    (0..length / size).flat_map(|_| &words[random.below(words.len())]).copied().collect()
}

#[test]
fn every_limit_is_kept_where_matches_are_dense() {
    let _alone = alloc::alone();
    let block_size = 1 << 22;
    for (words, size) in [(3000, 4), (400, 3)] {
        let raw = dense(words, size, 3 * block_size / 2);
        // Another kind of block, which needs other streams, between those.
        let raw = [&raw[..block_size], &Random(8).bytes(block_size), &raw].concat();
        for (pipeline, level) in
            [(Pipeline::Lzf, 1), (Pipeline::Lzseqr, 1), (Pipeline::Lzf, 9), (Pipeline::Lzseqr, 9)]
        {
            let limit = least(pipeline, level, block_size);
            let options =
                options(pipeline, level, block_size).threads(1).memory_limit(limit as u64);
            let what = format!("{words} words of {size}, {pipeline}, level {level}, {limit}");
            let mut coded = Vec::with_capacity(2 * raw.len());
            let ((), peak) = measure(|| {
                let mut compressor = options.compressor(&mut coded).unwrap();
                compressor.write_all(&raw).unwrap();
                compressor.finish().unwrap();
            });
            assert!(peak <= limit, "encoding, {what}: {peak}");
            let (found, peak) =
                measure(|| digest(options.decompressor(&coded[..]).unwrap()).unwrap());
            assert_eq!(found, digest(&raw[..]).unwrap());
            assert!(peak <= limit + OWN, "decoding, {what}: {peak}");
        }
    }
}

#[test]
fn one_small_block_takes_little() {
    let _alone = alloc::alone();
    for &pipeline in Pipeline::ALL {
        let options = options(pipeline, 3, 1 << 20);
        // A model has hash tables, whose size does not depend on the block's.
        let most = if pipeline.model().is_some() { 2_000_000 } else { 400_000 };
        let (coded, peak) = measure(|| options.compress(&ALICE[..1000]).unwrap());
        assert!(peak < most, "{pipeline}: {peak} bytes to compress");
        let (_, peak) = measure(|| options.decompress(&coded).unwrap());
        assert!(peak < 400_000, "{pipeline}: {peak} bytes to decompress");
    }
}

/// Buffers and tables go from one run to the next that has the same use for them, however little memory that may take.
#[test]
fn what_runs_leave_serves_the_next_and_counts_within_its_limit() {
    let _alone = alloc::alone();
    release_idle();
    let before = alloc::now();
    let kept = || alloc::now().saturating_sub(before);
    // One, and one for each that may lack something: four workers, and two sets of buffers for each and the caller.
    const RUNS: usize = 1 + 4 + 2 * 5;
    for pipeline in [Pipeline::Rans, Pipeline::Lzseqr] {
        let options = options(pipeline, 3, 1 << 18).threads(4);
        // How many workers and buffers a run uses is luck. But what it had to make it leaves behind, so there comes one that
        // finds everything.
        let run = |_| alloc::measure(|| compress(&options, 8 << 20, io::sink())).1;
        let taken: Vec<usize> = (0..RUNS).map(run).collect();
        assert!(taken[0] > OWN && taken.iter().any(|&more| more < OWN), "{pipeline}: {taken:?}");
        assert!((OWN..32 << 20).contains(&kept()), "{pipeline}: {} are kept", kept());
        // Nothing of this is of use with blocks of another size, and with less memory only some of it.
        let limit = least(pipeline, 3, 1 << 18);
        compress(&options.clone().memory_limit(limit as u64), 1 << 20, io::sink());
        assert!(kept() <= limit, "{pipeline}: {} of {limit}", kept());
        compress(&options.block_size(4096).unwrap(), 4096, io::sink());
        let another = least(pipeline, 3, 4096);
        assert!(kept() <= another, "{pipeline}: {} of {another}", kept());
    }
    release_idle();
    assert!(kept() < 100_000, "{} bytes are still there", kept());
}

/// A header may promise anything; only what follows it takes memory.
#[test]
fn promises_take_no_memory() {
    let _alone = alloc::alone();
    let mut coded = Options::new().block_size(1 << 20).unwrap().compress(b"").unwrap();
    coded[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
    let crc = crc32c::crc32c(&coded[..20]);
    coded[20..24].copy_from_slice(&crc.to_le_bytes());
    let options = Options::new().device(DeviceSelector::Cpu);
    let (result, peak) = measure(|| options.decompress(&coded));
    assert!(matches!(result, Err(Error::CorruptFrame { .. })), "{result:?}");
    assert!(peak < 100_000, "{peak} bytes for an empty frame that promises much");
}
