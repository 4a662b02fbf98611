//! The `Write` and `Read` adapters and the one-shot functions, on the CPU.

mod common;

use std::io::{self, BufRead, Read, Write};

use proptest::prelude::*;
use ranvil::{
    DeviceSelector, Error, Options, Pipeline, SegmentProfile, compress, decompress,
    format::FrameHeader,
};

use common::{ALICE, FILES, Random, Trickle, contents, stays};

fn small_blocks() -> Options {
    Options::new().device(DeviceSelector::Cpu).block_size(4096).unwrap()
}

fn read_all(options: &Options, coded: &[u8]) -> ranvil::Result<Vec<u8>> {
    let mut raw = Vec::new();
    options.decompressor(coded)?.read_to_end(&mut raw).map_err(Error::from_io)?;
    Ok(raw)
}

#[test]
fn real_files_come_back_from_every_pipeline_at_every_level() {
    for (name, raw) in FILES {
        for &pipeline in Pipeline::ALL {
            let levels = if pipeline.model().is_some() { 1..=9 } else { 3..=3 };
            for level in levels {
                let options = Options::new().pipeline(pipeline).level(level).unwrap();
                let coded = options.compress(raw).unwrap();
                assert!(coded.len() < raw.len() + 200, "{name}, {pipeline}, {level}");
                assert!(decompress(&coded).unwrap() == raw, "{name}, {pipeline}, {level}");
            }
        }
    }
}

#[test]
fn every_pipeline_compresses_text() {
    let ratio = |pipeline, level| {
        let options = Options::new().pipeline(pipeline).level(level).unwrap();
        options.compress(ALICE).unwrap().len() * 100 / ALICE.len()
    };
    for &pipeline in Pipeline::ALL {
        let most = match pipeline {
            Pipeline::Stored => 100,
            _ if pipeline.model().is_none() => 59,
            _ => 45,
        };
        assert!(ratio(pipeline, 3) <= most, "{pipeline}: {}", ratio(pipeline, 3));
        match pipeline.model() {
            Some(_) => assert!(ratio(pipeline, 9) < ratio(pipeline, 1), "{pipeline}"),
            // A level is no reason to refuse a pipeline that has nothing to look for.
            None => assert_eq!(ratio(pipeline, 9), ratio(pipeline, 1), "{pipeline}"),
        }
    }
    assert!(compress(ALICE).unwrap() == Options::new().level(3).unwrap().compress(ALICE).unwrap());
}

#[test]
fn every_length_around_a_boundary_comes_back() {
    let edges = [0, 64, 128, 4096, 8192, 16384, 65536, 1 << 17];
    for length in edges.into_iter().flat_map(|edge: usize| edge.saturating_sub(2)..edge + 3) {
        for (name, raw) in contents(length) {
            for options in [Options::new(), small_blocks().segment(SegmentProfile::Latency)] {
                let coded = options.compress(&raw).unwrap();
                assert!(decompress(&coded).unwrap() == raw, "{length} bytes of {name}");
                assert!(read_all(&options, &coded).unwrap() == raw, "{length} bytes of {name}");
            }
            // Segments of 4 KiB in blocks of 16 KiB.
            let options =
                Options::new().block_size(16384).unwrap().segment(SegmentProfile::Latency);
            for &pipeline in Pipeline::ALL.iter().filter(|_| length < 20_000) {
                let coded = options.clone().pipeline(pipeline).compress(&raw).unwrap();
                assert!(read_all(&options, &coded).unwrap() == raw, "{length}, {name}, {pipeline}");
            }
        }
    }
}

#[test]
fn every_table_log_comes_back() {
    for pipeline in [Pipeline::Rans, Pipeline::Fse, Pipeline::Huff] {
        for log in pipeline.coders()[0].table_logs() {
            let options = small_blocks().pipeline(pipeline).table_log(Some(log)).unwrap();
            for (name, raw) in FILES {
                let coded = options.compress(raw).unwrap();
                assert!(decompress(&coded).unwrap() == raw, "{name}, {pipeline}, {log}");
            }
        }
    }
}

#[test]
fn bytes_depend_on_neither_threads_nor_pieces() {
    for pipeline in [Pipeline::Rans, Pipeline::Lzf, Pipeline::Lzseqr] {
        check_threads_and_pieces(pipeline);
    }
}

fn check_threads_and_pieces(pipeline: Pipeline) {
    let raw: Vec<u8> = FILES.iter().flat_map(|(_, raw)| *raw).copied().collect();
    let options = small_blocks().pipeline(pipeline).content_size(Some(raw.len() as u64));
    let expected = options.compress(&raw).unwrap();
    for (threads, piece) in [(1, 1), (1, 5000), (2, 4096), (3, 4095), (8, 100_000), (64, 1 << 20)] {
        let options = options.clone().threads(threads);
        assert!(options.compress(&raw).unwrap() == expected);
        let mut compressor = options.compressor(Vec::new()).unwrap();
        // Byte by byte only a part, to save time.
        let (slow, fast) = raw.split_at(if piece == 1 { 20_000 } else { 0 });
        slow.chunks(piece).for_each(|piece| compressor.write_all(piece).unwrap());
        fast.chunks(piece.max(1000)).for_each(|piece| compressor.write_all(piece).unwrap());
        assert!(compressor.finish().unwrap() == expected, "{threads} threads, pieces of {piece}");
        assert!(read_all(&options, &expected).unwrap() == raw, "{threads} threads");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_options_come_back(
        block_log in 12..=22u32, latency: bool, log in proptest::option::of(8..=12u8),
        pipeline in proptest::sample::select(Pipeline::ALL), level in 1..=9u8, index: bool, known: bool, threads in 1..4usize, flushes: bool,
        seed: u64, length in 0..300_000usize, kind in 0..6usize,
    ) {
        let raw = contents(length).swap_remove(kind).1;
        let alone = pipeline.model().is_none();
        let options = Options::new()
            .device(DeviceSelector::Cpu)
            .block_size(1 << if alone { block_log.min(20) } else { block_log }).unwrap()
            .segment(if latency { SegmentProfile::Latency } else { SegmentProfile::Throughput })
            .table_log(log.filter(|_| alone && pipeline != Pipeline::Stored)).unwrap()
            .pipeline(pipeline)
            .level(level).unwrap()
            .index(index)
            .content_size(known.then_some(length as u64))
            .threads(threads);
        let mut random = Random(seed | 1);
        let mut compressor = options.compressor(Vec::new()).unwrap();
        let mut rest = &raw[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + random.below(rest.len().min(50_000)));
            compressor.write_all(piece).unwrap();
            if flushes && random.below(4) == 0 {
                compressor.flush().unwrap();
            }
            rest = after;
        }
        let coded = compressor.finish().unwrap();

        let mut decompressor = options.decompressor(&coded[..]).unwrap();
        let mut back = vec![0; length];
        let mut filled = 0;
        while filled < length {
            let end = filled + 1 + random.below((length - filled).min(30_000));
            let count = decompressor.read(&mut back[filled..end]).unwrap();
            prop_assert!(count > 0);
            filled += count;
        }
        prop_assert_eq!(decompressor.read(&mut [0; 9]).unwrap(), 0);
        prop_assert!(back == raw);
        let progress = decompressor.progress();
        prop_assert_eq!(progress.raw_bytes, length as u64);
        prop_assert_eq!(progress.coded_bytes, coded.len() as u64);
    }
}

/// Takes a byte at a time, with an interruption before each.
#[derive(Default)]
struct Drip(Vec<u8>, bool);

impl Write for Drip {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.0.extend(buf.iter().take(1));
        Ok(buf.len().min(1))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn interruptions_and_single_bytes_do_no_harm() {
    let raw = &ALICE[..20_000];
    let mut compressor = small_blocks().compressor(Drip::default()).unwrap();
    compressor.write_all(raw).unwrap();
    let coded = compressor.finish().unwrap().0;
    let mut decompressor = small_blocks().decompressor(Trickle(&coded, false)).unwrap();
    let mut back = Vec::new();
    let mut byte = [0];
    while decompressor.read(&mut byte).unwrap() == 1 {
        back.push(byte[0]);
    }
    assert!(back == raw);
    assert_eq!(decompressor.read(&mut byte).unwrap(), 0);
}

#[test]
fn lines_are_read_across_blocks_without_another_buffer() {
    let coded = small_blocks().compress(ALICE).unwrap();
    let lines = |source: &mut dyn BufRead| -> Vec<Vec<u8>> {
        source.split(b'\n').collect::<io::Result<_>>().unwrap()
    };
    let expected = lines(&mut &ALICE[..]);
    assert!(lines(&mut small_blocks().decompressor(&coded[..]).unwrap()) == expected);
    let mut reader = small_blocks().seekable(io::Cursor::new(&coded)).unwrap();
    assert!(lines(&mut reader) == expected);
}

#[test]
fn errors_pass_through_io_errors_without_loss() {
    fn read(coded: &[u8]) -> ranvil::Result<Vec<u8>> {
        let mut raw = Vec::new();
        small_blocks().decompressor(coded)?.read_to_end(&mut raw)?;
        Ok(raw)
    }
    let mut coded = small_blocks().compress(ALICE).unwrap();
    coded[24 + 16 + 700] ^= 1;
    let error = read(&coded).unwrap_err();
    assert!(matches!(error, Error::CorruptBlock { block: 0, offset: 24, .. }), "{error}");
    let error = io::Error::from(Error::Io(io::Error::other("foreign")));
    assert!(matches!(Error::from(error), Error::Io(e) if e.to_string() == "foreign"));
}

#[test]
fn empty_reads_and_writes_do_nothing() {
    let mut compressor = small_blocks().compressor(Vec::new()).unwrap();
    assert_eq!(compressor.write(&[]).unwrap(), 0);
    compressor.write_all(b"abc").unwrap();
    assert_eq!(compressor.write(&[]).unwrap(), 0);
    let coded = compressor.finish().unwrap();
    let mut decompressor = small_blocks().decompressor(&coded[..]).unwrap();
    assert_eq!(decompressor.read(&mut []).unwrap(), 0);
    assert_eq!(decompressor.progress().coded_bytes, 0);
    let mut raw = Vec::new();
    decompressor.read_to_end(&mut raw).unwrap();
    assert_eq!(raw, b"abc");
}

#[test]
fn what_is_put_into_blocks_is_what_is_written() {
    let mut random = Random(7);
    for (threads, log) in [(1, 12), (3, 14), (2, 17)] {
        let options = small_blocks().threads(threads).block_size(1 << log).unwrap();
        let (mut put, mut written) = (options.compressor(vec![]), options.compressor(vec![]));
        let (put, written) = (put.as_mut().unwrap(), written.as_mut().unwrap());
        let mut rest = ALICE;
        while !rest.is_empty() {
            let room = put.room().unwrap();
            assert!(!room.is_empty() && room.len() <= 1 << log);
            let count = random.below(rest.len().min(room.len()) + 1);
            let (now, later) = rest.split_at(count);
            room[..count].copy_from_slice(now);
            put.commit(count).unwrap();
            written.write_all(now).unwrap();
            rest = later;
            match random.below(8) {
                0 => [&mut *put, &mut *written].into_iter().for_each(|s| s.flush().unwrap()),
                1 => [&mut *put, &mut *written]
                    .into_iter()
                    .for_each(|stream| stream.write_all(b"more").unwrap()),
                _ => {}
            }
        }
        put.room().unwrap(); // Nothing comes.
        put.flush().unwrap();
        written.flush().unwrap();
        assert!(put.get_ref() == written.get_ref(), "{threads} threads");
    }
}

/// Input that must not be asked for more than it has: the rest has not been sent yet.
struct Unfinished<'a>(&'a [u8]);

impl Read for Unfinished<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buf) {
            Ok(0) => Err(io::Error::other("asked for what has not been sent")),
            read => read,
        }
    }
}

#[test]
fn what_was_flushed_can_be_read_before_more_comes() {
    let mut compressor = small_blocks().compressor(Vec::new()).unwrap();
    // An empty flush sends the header; a second one nothing.
    compressor.flush().unwrap();
    compressor.flush().unwrap();
    assert_eq!(compressor.get_ref().len(), FrameHeader::SIZE);
    let mut sent = 0;
    for length in [1, 5000, 100, 20_001] {
        compressor.write_all(&ALICE[sent..sent + length]).unwrap();
        compressor.flush().unwrap();
        sent += length;
        let mut decompressor =
            small_blocks().decompressor(Unfinished(compressor.get_ref())).unwrap();
        let mut raw = vec![0; sent];
        decompressor.read_exact(&mut raw).unwrap();
        assert!(raw == ALICE[..sent]);
        let error = decompressor.read(&mut [0]).unwrap_err();
        assert_eq!(error.to_string(), "asked for what has not been sent");
    }
    let coded = compressor.finish().unwrap();
    assert!(decompress(&coded).unwrap() == ALICE[..sent]);
}

#[test]
fn a_compressor_that_is_dropped_leaves_a_truncated_frame() {
    let mut coded = Vec::new();
    let mut compressor = small_blocks().compressor(&mut coded).unwrap();
    compressor.write_all(ALICE).unwrap();
    compressor.flush().unwrap();
    drop(compressor);
    let length = coded.len() as u64;
    match decompress(&coded) {
        Err(Error::Truncated { offset, inside: "a block header" }) => assert_eq!(offset, length),
        other => panic!("{:?}", other.map(|raw| raw.len())),
    }
}

/// Fails from a certain byte on.
struct Full {
    room: usize,
    failures: usize,
}

impl Write for Full {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            self.failures += 1;
            return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is full"));
        }
        let count = buf.len().min(self.room);
        self.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_the_writer_pass_through_once_and_stay() {
    let full = |error| matches!(error, Error::Io(e) if e.kind() == io::ErrorKind::StorageFull);
    let length = small_blocks().compress(ALICE).unwrap().len();
    for room in (0..length).step_by(3001) {
        let mut target = Full { room, failures: 0 };
        let mut compressor = small_blocks().compressor(&mut target).unwrap();
        let _ = compressor.write_all(ALICE);
        if let Err(error) = compressor.flush() {
            assert!(full(Error::from_io(error)));
            assert!(stays(|| compressor.write(b"more"), full));
            assert!(stays(|| compressor.flush(), full));
        }
        assert!(compressor.finish().is_err_and(full), "room for {room} of {length}");
        assert_eq!(target.failures, 1);
    }
}

#[test]
fn errors_of_the_reader_pass_through_after_the_blocks_before_them() {
    struct Broken<'a>(&'a [u8]);
    impl Read for Broken<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buf) {
                Ok(0) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone")),
                read => read,
            }
        }
    }
    let coded = small_blocks().compress(ALICE).unwrap();
    for length in (0..coded.len()).step_by(997) {
        let mut decompressor = small_blocks().decompressor(Broken(&coded[..length])).unwrap();
        let mut raw = Vec::new();
        let reset = |e| matches!(e, Error::Io(e) if e.kind() == io::ErrorKind::ConnectionReset);
        assert!(reset(Error::from_io(decompressor.read_to_end(&mut raw).unwrap_err())));
        assert!(stays(|| decompressor.read(&mut [0]), reset));
        // Everything before the break has come; a block takes at least half of its raw size here.
        assert!(ALICE.starts_with(&raw) && raw.len() + 2 * 4096 >= length, "{length}");
    }
}
