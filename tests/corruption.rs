//! Damaged and hostile input: an error or the right bytes, never wrong bytes, a panic, a hang or more memory than
//! allowed.

#[path = "common/alloc.rs"]
mod alloc;
mod common;

use std::{
    fs,
    io::{Cursor, Read},
};

use ranvil::{
    BlockFault, DeviceSelector, Error, FrameKind, Options, Pipeline, SegmentProfile,
    format::{BlockHeader, BlockKind, FrameHeader, Record, SkippableHeader, padding},
    inspect,
};

use common::{ALICE, FILES, Random, corpus};

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

const LIMIT: usize = 24 << 20;

fn options() -> Options {
    Options::new().device(DeviceSelector::Cpu).memory_limit(LIMIT as u64).threads(2)
}

fn small() -> Options {
    options().pipeline(Pipeline::Rans).block_size(4096).unwrap()
}

/// What every way to read makes of the input: all errors, or the right bytes. Returns the stream's error.
fn check(coded: &[u8], raw: &[u8]) -> Option<Error> {
    let (result, peak) = alloc::measure(|| {
        let mut found = Vec::with_capacity(raw.len() + 1);
        let mut decompressor = options().decompressor(coded).unwrap();
        let result = decompressor.read_to_end(&mut found);
        assert!(raw.starts_with(&found), "wrong bytes");
        assert!(result.is_err() || found == raw, "bytes are missing");
        result.err().map(Error::from_io)
    });
    assert!(peak <= LIMIT + 2 * raw.len() + 1000, "{peak} bytes of memory");

    let (_, peak) = alloc::measure(|| match options().seekable(Cursor::new(coded)) {
        Ok(mut reader) => {
            let mut found = Vec::with_capacity(raw.len() + 1);
            let result = reader.read_to_end(&mut found);
            assert!(raw.starts_with(&found), "wrong bytes where it seeks");
            assert!(result.is_err() || found == raw, "bytes are missing where it seeks");
        }
        Err(Error::Io(error)) => panic!("{error}"),
        Err(_) => {}
    });
    assert!(peak <= LIMIT + 2 * raw.len() + 1000, "{peak} bytes of memory where it seeks");
    // A listing sees no payloads, so it may succeed.
    if let (Err(error), None) = (inspect(Cursor::new(coded)), &result) {
        panic!("it decompresses but cannot be listed: {error}");
    }
    result
}

/// Small frames of every kind with their contents.
fn small_frames() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let text = &ALICE[..700];
    let noise = Random(3).bytes(90);
    let flushed = {
        let mut compressor = small().compressor(Vec::new()).unwrap();
        for piece in text.chunks(300) {
            std::io::Write::write_all(&mut compressor, piece).unwrap();
            std::io::Write::flush(&mut compressor).unwrap();
        }
        compressor.finish().unwrap()
    };
    let skippable = [&SkippableHeader { variant: 9, length: 3 }.encode()[..], b"abc"].concat();
    let parts = [&skippable[..], &small().compress(&text[..9]).unwrap(), &skippable];
    let mixed = [parts.concat(), small().index(false).compress(&text[9..]).unwrap()].concat();
    let mut frames = vec![
        ("empty", small().compress(b"").unwrap(), vec![]),
        ("one value", small().compress(&[7; 5000]).unwrap(), vec![7; 5000]),
        ("stored", small().pipeline(Pipeline::Stored).compress(&noise).unwrap(), noise.clone()),
        ("text", small().compress(text).unwrap(), text.to_vec()),
        ("table log 8", small().table_log(Some(8)).unwrap().compress(text).unwrap(), text.to_vec()),
        ("two values", small().compress(&[1, 2].repeat(400)).unwrap(), [1, 2].repeat(400)),
        ("flushed", flushed, text.to_vec()),
        ("mixed", mixed, text.to_vec()),
    ];
    // Few values, so that short streams are worth a coder, and matches of all sorts.
    let few: Vec<u8> = Random(4).bytes(1200).iter().map(|byte| byte & 15).collect();
    let text = [&few[..], &few[..300], &[b'x'; 300], &few[100..200], &ALICE[..60]].concat();
    for &pipeline in &Pipeline::ALL[2..] {
        let coded = small().pipeline(pipeline).compress(&text).unwrap();
        frames.push((pipeline.name(), coded, text.clone()));
    }
    frames
}

#[test]
fn every_flipped_bit_is_noticed() {
    let _alone = alloc::alone();
    for (name, coded, raw) in small_frames() {
        assert!(check(&coded, &raw).is_none(), "{name}");
        let mut harmless = 0;
        for bit in 0..8 * coded.len() {
            let mut damaged = coded.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            harmless += usize::from(check(&damaged, &raw).is_none());
        }
        let expected = match name {
            // The content of skippable frames, and the four low bits of their magic numbers.
            "mixed" => 2 * (8 * 3 + 4)..=2 * (8 * 3 + 4),
            // Classes that need no bits, stored in more: the table comes out the same.
            "two values" => 3..=3,
            // Offsets that reach the same bytes elsewhere.
            _ if name.starts_with("lz") => 0..=12,
            _ => 0..=0,
        };
        assert!(expected.contains(&harmless), "{name}: {harmless}");
    }
}

#[test]
fn every_truncation_is_noticed() {
    let _alone = alloc::alone();
    for (name, coded, raw) in small_frames() {
        // Whole frames are a file; nothing in them says that more should follow.
        let frames = inspect(Cursor::new(&coded)).unwrap();
        let mut whole = 0;
        for length in 0..coded.len() {
            let Some(next) = frames.get(whole) else { panic!("there are no more frames") };
            if length as u64 == next.offset + next.coded_size {
                whole += 1;
                let kept = frames[..whole].iter().map(|frame| match &frame.kind {
                    FrameKind::Content(content) => content.raw_size,
                    _ => 0,
                });
                assert!(check(&coded[..length], &raw[..kept.sum::<u64>() as usize]).is_none());
                continue;
            }
            match check(&coded[..length], &raw) {
                Some(Error::Truncated { offset, .. }) if offset == length as u64 => {}
                other => panic!("{name}, {length} bytes: {other:?}"),
            }
        }
    }
}

/// Does something bad to a few places.
fn mutate(coded: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let start = random.below(coded.len());
        let most = 1 << random.below(13);
        let length = 1 + random.below(most.min(coded.len() - start));
        let range = start..start + length;
        match random.below(7) {
            0 => coded[start] = random.next() as u8,
            1 => coded[range].fill_with(|| random.next() as u8),
            2 => coded[range].fill(if length.is_multiple_of(2) { 0 } else { 0xFF }),
            3 => drop(coded.drain(range.start..range.end.min(coded.len() - 1))),
            4 => {
                let doubled = coded[range.clone()].to_vec();
                drop(coded.splice(range.end..range.end, doubled));
            }
            5 => coded[range].reverse(),
            _ => coded[range].rotate_left(length / 2),
        }
    }
}

#[test]
fn thousands_of_mutations_are_noticed() {
    let _alone = alloc::alone();
    let mut random = Random(0x5EED);
    for (name, raw) in FILES {
        let raw = &raw[..40_000];
        for &pipeline in &Pipeline::ALL[1..] {
            let small = small().pipeline(pipeline);
            let latency = options().pipeline(pipeline).segment(SegmentProfile::Latency);
            for coded in [small.compress(raw).unwrap(), latency.compress(raw).unwrap()] {
                for round in 0..150 {
                    let mut damaged = coded.clone();
                    mutate(&mut damaged, &mut random);
                    let error = check(&damaged, raw);
                    assert_eq!(error.is_none(), damaged == coded, "{name}, {pipeline}, {round}");
                }
            }
        }
    }
}

/// A frame of one block with a right header check, end mark and footer around whatever payload.
fn forge(kind: BlockKind, table_log: u8, raw_size: u32, crc: u32, payload: &[u8]) -> Vec<u8> {
    forge_of(Pipeline::Rans, kind, table_log, raw_size, crc, payload)
}

fn forge_of(
    pipeline: Pipeline,
    kind: BlockKind,
    table_log: u8,
    raw_size: u32,
    crc: u32,
    payload: &[u8],
) -> Vec<u8> {
    let header = FrameHeader {
        pipeline: pipeline.id(),
        block_log: 20,
        segment_log: 14,
        content_size: None,
        indexed: false,
    };
    let coded_size = payload.len() as u32;
    let block = BlockHeader { kind, table_log, raw_size, coded_size, crc };
    let record = Record::Block(block).encode(0);
    let end = Record::End { seal: crc32c::crc32c(&record) }.encode(1);
    let frame_size = 24 + 16 + payload.len() + padding(coded_size) + 16 + 32;
    let footer = ranvil::format::Footer::new(1, u64::from(raw_size), frame_size as u64, 0);
    let zeros = &[0; 3][..padding(coded_size)];
    [&header.encode()[..], &record, payload, zeros, &end, &footer.encode()].concat()
}

#[test]
fn forged_blocks_are_checked_by_the_coder() {
    let _alone = alloc::alone();
    let noise = Random(9).bytes(1000);
    let frame = forge(BlockKind::Stored, 0, 1000, crc32c::crc32c(&noise), &noise);
    assert!(check(&frame, &noise).is_none(), "a right one is accepted");
    let mut random = Random(10);
    let pipelines = &Pipeline::ALL[1..];
    let coded: Vec<Vec<u8>> = pipelines
        .iter()
        .map(|&pipeline| options().pipeline(pipeline).compress(&ALICE[..20_000]).unwrap())
        .collect();
    for round in 0..8000 {
        let number = round / 4 % pipelines.len();
        let (pipeline, coded) = (pipelines[number], &coded[number]);
        let payload_size = 1 + random.below(3000);
        let mut payload = random.bytes(payload_size);
        if round % 2 == 0 {
            // Most random tables fail at once: begin with a real payload.
            let size = u32::from_le_bytes(coded[32..36].try_into().unwrap()) as usize;
            payload = coded[40..40 + size].to_vec();
            mutate(&mut payload, &mut random);
        }
        let raw_size = payload.len() as u32 + 1 + random.below(1 << 19) as u32;
        let raw_size = if round % 4 == 0 { 20_000.max(payload.len() as u32 + 1) } else { raw_size };
        let logs = pipeline.coders()[0].table_logs();
        let table_log = match pipeline.model() {
            Some(_) => 0,
            None => logs.clone().nth(random.below(logs.count())).unwrap(),
        };
        let crc = random.next() as u32;
        let frame = forge_of(pipeline, BlockKind::Coded, table_log, raw_size, crc, &payload);
        match check(&frame, b"") {
            Some(Error::CorruptBlock { block: 0, offset: 24, .. }) => {}
            other => panic!("round {round}: {other:?}"),
        }
        // Without the checksum only the coder's own checks remain: any bytes, but no panic.
        let (_, peak) = alloc::measure(|| {
            let _ = options().verify_checksums(false).decompress(&frame);
        });
        assert!(peak <= LIMIT + 2 * raw_size as usize + 4 * frame.len());
    }
}

#[test]
fn forged_headers_are_checked() {
    let _alone = alloc::alone();
    let payload = [1; 100];
    for (kind, table_log, raw_size, fault) in [
        (BlockKind::Stored, 0, 101, BlockFault::Size),
        (BlockKind::Stored, 0, u32::MAX, BlockFault::Size),
        (BlockKind::Single, 0, 100, BlockFault::Size),
        (BlockKind::Coded, 11, 100, BlockFault::Size),
        (BlockKind::Coded, 11, (1 << 20) + 1, BlockFault::Size),
        (BlockKind::Coded, 7, 101, BlockFault::Table),
        (BlockKind::Coded, 255, 101, BlockFault::Table),
        (BlockKind::Stored, 8, 100, BlockFault::Table),
    ] {
        match check(&forge(kind, table_log, raw_size, 0, &payload), b"") {
            Some(Error::CorruptBlock { block: 0, offset: 24, reason }) => assert_eq!(reason, fault),
            other => panic!("{kind:?}: {other:?}"),
        }
    }
    // Padding.
    let mut frame = forge(BlockKind::Stored, 0, 5, crc32c::crc32c(&[1; 5]), &[1; 5]);
    assert!(check(&frame, &[1; 5]).is_none());
    frame[24 + 16 + 5] = 1;
    let reason = BlockFault::Padding;
    assert!(matches!(
        check(&frame, &[1; 5]),
        Some(Error::CorruptBlock { block: 0, offset: 24, reason: found }) if found == reason
    ));
}

/// The members of an uncompressed tar archive, or the file itself.
fn members(bytes: &[u8]) -> Vec<&[u8]> {
    let mut members = vec![bytes];
    let mut rest = bytes;
    while rest.len() > 512 && rest.get(257..262) == Some(b"ustar") {
        let digits = std::str::from_utf8(&rest[124..135]).unwrap_or("");
        let Ok(size) = usize::from_str_radix(digits.trim(), 8) else { break };
        let Some(member) = rest.get(512..512 + size) else { break };
        members.push(member);
        rest = rest.get(512 + size.next_multiple_of(512)..).unwrap_or(&[]);
    }
    members
}

/// Crashers and malformed inputs of other codecs, as files, as payloads and as content.
#[test]
fn what_crashed_others_does_no_harm() {
    let _alone = alloc::alone();
    let files: Vec<Vec<u8>> =
        corpus("robust").into_iter().map(|path| fs::read(path).unwrap()).collect();
    let built_in = FILES.map(|(_, raw)| raw.to_vec());
    for file in built_in.iter().chain(&files) {
        for member in members(file) {
            let start = &member[..member.len().min(1 << 16)];
            if check(start, b"").is_none() {
                // Zstandard's skippable frames are ours.
                assert!(start.starts_with(&[0x50, 0x2A, 0x4D, 0x18]));
            }
            for &pipeline in &Pipeline::ALL[1..] {
                let raw_size = start.len() as u32 + 1;
                let logs = if pipeline.model().is_some() { [0, 0] } else { [8, 11] };
                for log in logs.into_iter().filter(|_| !start.is_empty()) {
                    let frame = forge_of(pipeline, BlockKind::Coded, log, raw_size, 1, start);
                    assert!(check(&frame, b"").is_some());
                }
                let coded = options().pipeline(pipeline).compress(start).unwrap();
                assert!(check(&coded, start).is_none());
            }
        }
    }
}
