//! Random access and inspection.

mod common;

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use ranvil::{
    BlockFault, Error, FrameKind, Options, Pipeline, Result, SeekableReader, decompress,
    format::{
        BlockHeader, BlockKind, FOOTER_MAGIC, Footer, FrameHeader, IndexEntry, PipelineId, Record,
        SkippableHeader,
    },
    inspect,
};

use common::{ALICE, FILES, Random};

fn options() -> Options {
    Options::new().block_size(4096).unwrap()
}

fn skippable(content: &[u8]) -> Vec<u8> {
    let header = SkippableHeader { variant: 1, length: content.len() as u32 };
    [&header.encode(), content].concat()
}

fn open(file: &[u8]) -> Result<SeekableReader<Cursor<&[u8]>>> {
    Options::new().seekable(Cursor::new(file))
}

/// Files that all hold `ALICE`, laid out in different ways.
fn layouts() -> Vec<(&'static str, Vec<u8>)> {
    let whole = options().compress(ALICE).unwrap();
    let bare = options().index(false).compress(ALICE).unwrap();
    let (front, back) = ALICE.split_at(70_001);
    let first = options().compress(front).unwrap();
    let first_bare = options().index(false).compress(front).unwrap();
    let last = options().pipeline(Pipeline::Fse).block_size(16384).unwrap().compress(back).unwrap();
    let last_bare = options().pipeline(Pipeline::Stored).index(false).compress(back).unwrap();
    let empty = options().compress(b"").unwrap();
    let mut flushed = options().compressor(Vec::new()).unwrap();
    for piece in ALICE.chunks(1111) {
        flushed.write_all(piece).unwrap();
        flushed.flush().unwrap();
    }
    // A skippable frame that ends like a frame, one that holds a frame, one that holds a broken frame.
    let mut broken = empty.clone();
    broken[30] ^= 1;
    let fake = Footer::new(0, 0, 40, 0).encode();
    let mut all: Vec<_> = Pipeline::ALL
        .iter()
        .map(|&pipeline| {
            let options = options().pipeline(pipeline).block_size(32768).unwrap();
            (pipeline.name(), options.compress(ALICE).unwrap())
        })
        .collect();
    all.extend([
        ("indexed", whole.clone()),
        ("without index", bare.clone()),
        ("flushed", flushed.finish().unwrap()),
        ("two frames", [&first[..], &last].concat()),
        ("the second without index", [&first[..], &last_bare].concat()),
        ("the first without index", [&first_bare[..], &last].concat()),
        ("empty frames", [&empty[..], &first, &empty, &empty, &last, &empty].concat()),
        ("skippable at the front", [&skippable(b"abc")[..], &whole].concat()),
        ("skippable between", [&first[..], &skippable(&[0; 999]), &last].concat()),
        ("skippable at the end", [&whole[..], &skippable(b"")].concat()),
        ("a frame in a skippable", [&whole[..], &skippable(&first)].concat()),
        ("a frame in a skippable before", [&first[..], &skippable(&bare), &last].concat()),
        ("a broken frame in a skippable", [&whole[..], &skippable(&broken)].concat()),
        ("a footer in a skippable", [&whole[..], &skippable(&fake)].concat()),
        ("a frame's end in a skippable", [&whole[..], &skippable(&whole[24..])].concat()),
    ]);
    all
}

#[test]
fn every_layout_reads_like_a_cursor() {
    for (name, file) in layouts() {
        assert!(decompress(&file).unwrap() == ALICE, "{name}");
        let mut reader = open(&file).unwrap();
        assert_eq!(reader.len(), ALICE.len() as u64, "{name}");
        let mut cursor = Cursor::new(ALICE);
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert!(all == ALICE, "{name}");
        let mut random = Random(7);
        for _ in 0..300 {
            let place = random.below(ALICE.len() + 2000) as i64;
            let to = match random.below(3) {
                0 => SeekFrom::Start(place as u64),
                1 => SeekFrom::Current(place - ALICE.len() as i64 / 2),
                _ => SeekFrom::End(1000 - place),
            };
            let (found, expected) = (reader.seek(to), cursor.seek(to));
            assert_eq!(found.as_ref().ok(), expected.as_ref().ok(), "{name}: {to:?}");
            assert_eq!(found.err().map(|e| e.kind()), expected.err().map(|e| e.kind()));
            let mut expected = vec![0; random.below(10_000)];
            let mut found = expected.clone();
            let count = cursor.read(&mut expected).unwrap();
            // A read ends with a block; the cursor's does not.
            let mut filled = 0;
            while filled < count {
                let read = reader.read(&mut found[filled..count]).unwrap();
                assert!(read > 0);
                filled += read;
            }
            assert!(found == expected, "{name}: {count} bytes at {to:?}");
        }
        assert_eq!(reader.stream_position().unwrap(), cursor.position());
    }
}

/// A frame of `blocks` MiB: each of its blocks is of one value, its number modulo 7.
fn long_frame(blocks: u64) -> Vec<u8> {
    let header = FrameHeader {
        pipeline: PipelineId(1),
        block_log: 20,
        segment_log: 14,
        content_size: Some(blocks << 20),
        indexed: true,
    };
    let crcs: Vec<u32> = (0..7).map(|value| crc32c::crc32c(&vec![value; 1 << 20])).collect();
    let (mut frame, mut index, mut seal) = (header.encode().to_vec(), Vec::new(), 0);
    for number in 0..blocks {
        let value = (number % 7) as u8;
        let (raw_size, coded_size, crc) = (1 << 20, 1, crcs[usize::from(value)]);
        let kind = BlockKind::Single;
        let block = BlockHeader { kind, table_log: 0, raw_size, coded_size, crc };
        let record = Record::Block(block).encode(number);
        seal = crc32c::crc32c_append(seal, &record);
        frame.extend([&record[..], &[value, 0, 0, 0]].concat());
        index.extend(IndexEntry { raw_size, coded_size }.encode());
    }
    frame.extend(Record::End { seal }.encode(blocks));
    frame.extend(&index);
    let size = (frame.len() + Footer::SIZE) as u64;
    frame.extend(Footer::new(blocks, blocks << 20, size, crc32c::crc32c(&index)).encode());
    frame
}

#[test]
fn content_beyond_4_gib_is_reached() {
    let frame = long_frame(4099);
    let FrameKind::Content(content) = &inspect(Cursor::new(&frame)).unwrap()[0].kind else {
        panic!("it is no skippable frame")
    };
    assert_eq!(content.raw_size, 4099 << 20);
    // Two frames, so that the second one begins beyond 4 GiB.
    let file = frame.repeat(2);
    let mut reader = open(&file).unwrap();
    assert_eq!(reader.len(), 8198 << 20);
    for (block, value) in [(0, 0), (4095, 0), (4096, 1), (4098, 3), (4099, 0), (8197, 3)] {
        reader.seek(SeekFrom::Start((block << 20) + 77)).unwrap();
        let mut byte = [9];
        reader.read_exact(&mut byte).unwrap();
        assert_eq!(byte, [value], "block {block}");
    }
    assert_eq!(reader.seek(SeekFrom::End(-1)).unwrap(), (8198 << 20) - 1);
}

#[test]
fn positions_are_those_of_a_cursor() {
    let file = options().compress(ALICE).unwrap();
    let mut reader = open(&file).unwrap();
    let length = ALICE.len() as u64;
    assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), length);
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
    assert_eq!(reader.seek(SeekFrom::Start(u64::MAX)).unwrap(), u64::MAX);
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
    for wrong in [SeekFrom::Current(1), SeekFrom::End(-1 - length as i64), SeekFrom::End(i64::MIN)]
    {
        assert_eq!(reader.seek(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(reader.stream_position().unwrap(), u64::MAX);
    }
    reader.seek(SeekFrom::Start(5)).unwrap();
    assert_eq!(reader.read(&mut []).unwrap(), 0);
    assert!(!reader.is_empty());
    assert!(open(&options().compress(b"").unwrap()).unwrap().is_empty());
}

/// Counts the bytes that are read.
struct Counting<R>(R, u64);

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buf)?;
        self.1 += count as u64;
        Ok(count)
    }
}

impl<R: Seek> Seek for Counting<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn only_what_is_needed_is_read() {
    let file = options().compress(ALICE).unwrap();
    let source = Counting(Cursor::new(&file), 0);
    let mut reader = options().seekable(source).unwrap();
    let opened = reader.get_ref().1;
    assert!(opened < 8192 + 500, "{opened} bytes to open");
    reader.seek(SeekFrom::Start(100_000)).unwrap();
    for _ in 0..1000 {
        reader.read_exact(&mut [0]).unwrap();
    }
    let read = reader.get_ref().1 - opened;
    assert!(read < 4200, "{read} bytes for one block");
}

#[test]
fn a_damaged_block_fails_only_the_reads_that_touch_it() {
    let mut file = options().compress(ALICE).unwrap();
    let second = 24 + 16 + u32::from_le_bytes(file[32..36].try_into().unwrap()).next_multiple_of(4);
    file[second as usize + 300] ^= 1;
    let mut reader = open(&file).unwrap();
    let mut raw = vec![0; 4096];
    reader.read_exact(&mut raw).unwrap();
    assert!(raw == ALICE[..4096]);
    for _ in 0..3 {
        match Error::from_io(reader.read(&mut raw).unwrap_err()) {
            Error::CorruptBlock { block: 1, offset, .. } => assert_eq!(offset, u64::from(second)),
            other => panic!("{other}"),
        }
        assert_eq!(reader.stream_position().unwrap(), 4096);
    }
    reader.seek(SeekFrom::Start(8192)).unwrap();
    reader.read_exact(&mut raw).unwrap();
    assert!(raw == ALICE[8192..12288]);
}

#[test]
fn checksums_are_verified_unless_nobody_asks() {
    let mut file = options().pipeline(Pipeline::Stored).compress(ALICE).unwrap();
    file[24 + 16 + 7] ^= 1;
    let error = open(&file).unwrap().read(&mut [0; 100]).unwrap_err();
    assert!(matches!(
        Error::from_io(error),
        Error::CorruptBlock { block: 0, offset: 24, reason: BlockFault::Checksum }
    ));
    let mut reader = Options::new().verify_checksums(false).seekable(Cursor::new(&file)).unwrap();
    reader.read_exact(&mut [0; 100]).unwrap();
}

/// Builds the file anew with another index and footer behind its blocks and end mark.
fn forge(file: &[u8], change: impl FnOnce(&mut Vec<u8>, &mut Footer)) -> Vec<u8> {
    let footer = file.last_chunk().and_then(Footer::parse).unwrap();
    let index_start = file.len() - 32 - 8 * footer.blocks as usize;
    let mut index = file[index_start..file.len() - 32].to_vec();
    let mut footer = footer;
    change(&mut index, &mut footer);
    footer.crc = footer.expected_crc(crc32c::crc32c(&index));
    [&file[..index_start], &index, &footer.encode()].concat()
}

#[test]
fn hostile_indexes_and_footers_are_errors() {
    let file = options().compress(&ALICE[..40_000]).unwrap();
    assert!(forge(&file, |_, _| {}) == file);
    let set = |index: &mut Vec<u8>, at: usize, value: u32| {
        index[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    };
    let get =
        |index: &[u8], at: usize| u32::from_le_bytes(index[4 * at..4 * at + 4].try_into().unwrap());
    let forgeries = [
        forge(&file, |_, footer| footer.blocks = u64::MAX),
        forge(&file, |_, footer| footer.blocks = 1 << 61),
        forge(&file, |_, footer| footer.blocks -= 1),
        forge(&file, |_, footer| footer.blocks += 1),
        forge(&file, |_, footer| footer.content_size = u64::MAX),
        forge(&file, |_, footer| footer.content_size -= 1),
        forge(&file, |_, footer| footer.frame_size = 0),
        forge(&file, |_, footer| footer.frame_size = u64::MAX),
        forge(&file, |_, footer| footer.frame_size -= 4),
        forge(&file, |index, _| set(index, 0, 0)),
        forge(&file, |index, _| set(index, 0, 4097)),
        forge(&file, |index, _| set(index, 1, 0)),
        forge(&file, |index, _| set(index, 1, u32::MAX)),
        forge(&file, |index, _| index.truncate(8)),
        forge(&file, |index, _| index.clear()),
        // Two blocks exchanged: the sums stay the same.
        forge(&file, |index, _| index.rotate_left(8)),
    ];
    for (number, forged) in forgeries.iter().enumerate() {
        let result = open(forged).map_err(io::Error::from).and_then(|mut reader| {
            let mut raw = Vec::new();
            reader.read_to_end(&mut raw).map(|_| raw)
        });
        assert!(result.is_err(), "forgery {number}: {:?}", result.map(|raw| raw.len()));
        assert!(decompress(forged).is_err(), "forgery {number}");
        assert!(inspect(Cursor::new(forged)).is_err(), "forgery {number}");
    }
    // Sizes that add up and lie within bounds are compared with each block's header.
    let forged = forge(&file, |index, _| {
        let (a, b) = (get(index, 1), get(index, 3));
        set(index, 1, a + 4);
        set(index, 3, b - 4);
    });
    let mut reader = open(&forged).unwrap();
    assert!(matches!(
        Error::from_io(reader.read(&mut [0]).unwrap_err()),
        Error::CorruptBlock { block: 0, reason: BlockFault::Size, .. }
    ));
    reader.seek(SeekFrom::Start(5000)).unwrap();
    assert!(matches!(
        Error::from_io(reader.read(&mut [0]).unwrap_err()),
        Error::CorruptBlock { block: 1, reason: BlockFault::HeaderCheck, .. }
    ));
}

#[test]
fn short_and_foreign_files_are_errors() {
    let file = options().compress(&ALICE[..20_000]).unwrap();
    for length in 0..file.len() {
        assert!(
            matches!(open(&file[..length]), Err(Error::Truncated { offset, .. }) if offset == length as u64),
            "{length}"
        );
        assert!(
            matches!(inspect(Cursor::new(&file[..length])), Err(Error::Truncated { .. })),
            "{length}"
        );
    }
    let foreign = b"this is no frame at all, it is text".repeat(10);
    assert!(matches!(open(&foreign), Err(Error::NotAFrame { offset: 0, .. })));
    let trailing = [&file[..], b"trailing garbage"].concat();
    let offset = file.len() as u64;
    assert!(matches!(open(&trailing), Err(Error::NotAFrame { offset: o, .. }) if o == offset));
    assert!(matches!(
        inspect(Cursor::new(&trailing)),
        Err(Error::NotAFrame { offset: o, .. }) if o == offset
    ));
    assert_eq!(trailing[offset as usize - 4..offset as usize], FOOTER_MAGIC);
}

#[test]
fn the_memory_limit_counts_the_map_of_the_file() {
    let mut compressor = options().compressor(Vec::new()).unwrap();
    for byte in &ALICE[..20_000] {
        compressor.write_all(&[*byte]).unwrap();
        compressor.flush().unwrap();
    }
    let file = compressor.finish().unwrap();
    let limited = |bytes| Options::new().memory_limit(bytes).seekable(Cursor::new(&file));
    assert!(limited(20 << 20).is_ok());
    for bytes in [0, 100_000, 320_000] {
        assert!(matches!(
            limited(bytes),
            Err(Error::MemoryLimit { needed, limit }) if needed > limit && limit == bytes
        ));
    }
}

#[test]
fn inspection_tells_what_is_there() {
    for (name, file) in layouts() {
        let frames = inspect(Cursor::new(&file)).unwrap();
        let mut offset = 0;
        let mut raw_size = 0;
        for frame in &frames {
            assert_eq!(frame.offset, offset, "{name}");
            offset += frame.coded_size;
            if let FrameKind::Content(content) = &frame.kind {
                raw_size += content.raw_size;
            }
        }
        assert_eq!((offset, raw_size), (file.len() as u64, ALICE.len() as u64), "{name}");
    }
    let noise = Random(1).bytes(5000);
    let raw = [&ALICE[..4096], &[9; 4096], &noise].concat();
    let file = [skippable(b"x"), options().index(false).compress(&raw).unwrap()].concat();
    let frames = inspect(Cursor::new(&file)).unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0].kind, FrameKind::Skippable { magic: 0x184D_2A51 });
    let FrameKind::Content(content) = &frames[1].kind else { panic!("{frames:?}") };
    assert_eq!((content.pipeline, content.blocks), (PipelineId(7), 4));
    assert_eq!((content.stored_blocks, content.single_blocks), (2, 1));
    assert_eq!((content.block_size, content.segment_size), (4096, 4096));
    assert!(content.content_size_known && !content.indexed);
    assert_eq!(content.raw_size, raw.len() as u64);
}

#[test]
fn a_pipeline_of_the_future_can_be_listed_but_not_opened() {
    let mut file = options().compress(FILES[1].1).unwrap();
    file[6] = 9;
    let crc = crc32c::crc32c(&file[..20]);
    file[20..FrameHeader::SIZE].copy_from_slice(&crc.to_le_bytes());
    assert!(matches!(open(&file), Err(Error::UnsupportedPipeline(PipelineId(9)))));
    let frames = inspect(Cursor::new(&file)).unwrap();
    let FrameKind::Content(content) = &frames[0].kind else { panic!("{frames:?}") };
    assert_eq!(content.pipeline.name(), Some("deflate"));
}
