//! Golden frames: today's decoder reads yesterday's bytes, and today's encoder writes them. And a decoder written
//! from `docs/FORMAT.md` alone, bit by bit, so that an encoder and a decoder that err alike are caught.
//!
//! After a deliberate change of what the encoder yields (never of the format), write them anew with
//!
//! ```text
//! RANVIL_WRITE_GOLDEN=1 cargo test -p ranvil --test golden
//! ```

mod common;

use std::{fs, io::Write, path::PathBuf};

use ranvil::{
    DeviceSelector, Options, Pipeline, SegmentProfile, decompress, format::SkippableHeader,
};

use common::{ALICE, FILES, Random};

struct Case {
    name: String,
    raw: Vec<u8>,
    coded: Vec<u8>,
}

fn options() -> Options {
    Options::new().device(DeviceSelector::Cpu)
}

fn streamed(options: &Options, pieces: &[&[u8]]) -> Vec<u8> {
    let mut compressor = options.compressor(Vec::new()).unwrap();
    for piece in pieces {
        compressor.write_all(piece).unwrap();
        compressor.flush().unwrap();
    }
    compressor.finish().unwrap()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, raw: &[u8], coded: Vec<u8>| {
        cases.push(Case { name: name.to_owned(), raw: raw.to_vec(), coded });
    };
    let small = options().block_size(4096).unwrap();
    let noise = Random(1).bytes(1000);
    let single = [0x5A; 10_000];
    let text = &ALICE[..5000];
    let floats = &FILES[2].1[..6000];
    add("empty", b"", options().compress(b"").unwrap());
    add("one-byte", b"R", options().compress(b"R").unwrap());
    add("single-value", &single, options().compress(&single).unwrap());
    add("stored-noise", &noise, options().compress(&noise).unwrap());
    add("stored-pipeline", text, small.clone().pipeline(Pipeline::Stored).compress(text).unwrap());
    add("text", text, options().compress(text).unwrap());
    add("blocks", &ALICE[..20_000], small.compress(&ALICE[..20_000]).unwrap());
    add("segments", &ALICE[..40_000], options().compress(&ALICE[..40_000]).unwrap());
    let latency = options().segment(SegmentProfile::Latency);
    add("latency", &ALICE[..10_000], latency.compress(&ALICE[..10_000]).unwrap());
    add("without-index", text, options().index(false).compress(text).unwrap());
    add("flushed", text, streamed(&small, &[&text[..1], &text[1..4000], &text[4000..]]));
    add("nothing-known", text, streamed(&options().index(false), &[text]));
    for log in 8..=12 {
        let options = options().table_log(Some(log)).unwrap();
        add(&format!("table-log-{log}"), floats, options.compress(floats).unwrap());
    }
    let skippable = SkippableHeader { variant: 3, length: 5 }.encode();
    let parts = [
        &skippable[..],
        b"skip!",
        &options().compress(&text[..2000]).unwrap(),
        &options().compress(b"").unwrap(),
        &skippable[..],
        b"skip!",
        &small.index(false).compress(&text[2000..]).unwrap(),
    ];
    add("concatenated", text, parts.concat());
    cases
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("rvl")
}

fn golden(name: &str) -> Vec<u8> {
    let path = path(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn golden_frames_decode_and_are_encoded_alike() {
    let write = std::env::var_os("RANVIL_WRITE_GOLDEN").is_some();
    for case in cases() {
        if write {
            fs::write(path(&case.name), &case.coded).unwrap();
        }
        let golden = golden(&case.name);
        assert!(decompress(&golden).unwrap() == case.raw, "{} decodes differently", case.name);
        assert!(case.coded == golden, "{} is encoded differently", case.name);
    }
    let files = fs::read_dir(path("x").parent().unwrap()).unwrap().count();
    assert_eq!(files, cases().len(), "a file of tests/golden belongs to no case");
}

/// CRC-32C, a bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1)))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Section 2.1: the frequencies and the table's length.
fn table_by_the_book(bytes: &[u8], log: u32) -> ([u32; 256], usize) {
    let (mask, base, width) = (bytes[0], u32::from(bytes[1] & 15), u32::from(bytes[1] >> 4));
    let mut at = 2;
    let mut present = Vec::new();
    for group in (0..8).filter(|group| mask >> group & 1 == 1) {
        let word = u32_at(bytes, at);
        assert_ne!(word, 0);
        at += 4;
        present.extend((0..32).filter(|i| word >> i & 1 == 1).map(|i| 32 * group + i));
    }
    let mut bit = 8 * at;
    let mut take = |count: u32| {
        let value = (0..count).map(|i| {
            let place = bit + i as usize;
            u32::from(bytes[place / 8] >> (place % 8) & 1) << i
        });
        let value = value.sum::<u32>();
        bit += count as usize;
        value
    };
    let classes: Vec<u32> = present.iter().map(|_| base + take(width)).collect();
    let mut freqs = [0; 256];
    for (&symbol, &class) in present.iter().zip(&classes) {
        freqs[symbol] = (1 << class) + take(class);
    }
    assert_eq!(freqs.iter().sum::<u32>(), 1 << log);
    (freqs, bit.div_ceil(8).next_multiple_of(2))
}

/// Section 2.2: the segment's bytes and its length in the payload.
fn segment_by_the_book(
    bytes: &[u8],
    words: usize,
    freqs: &[u32; 256],
    log: u32,
    n: usize,
) -> Vec<u8> {
    let mut states: Vec<u32> = (0..32).map(|lane| u32_at(bytes, 4 * lane)).collect();
    let body = n.saturating_sub(64);
    let mut raw = vec![0; body];
    let mut next = 0;
    for tile in 0..body.div_ceil(128) {
        for step in 0..4 {
            for (lane, x) in states.iter_mut().enumerate() {
                let i = 128 * tile + 4 * lane + step;
                if i >= body {
                    continue;
                }
                let slot = *x % (1 << log);
                let mut cum = 0;
                let symbol = (0..256).find(|&s| {
                    cum += freqs[s];
                    slot < cum
                });
                let symbol = symbol.unwrap();
                cum -= freqs[symbol];
                raw[i] = symbol as u8;
                *x = freqs[symbol] * (*x >> log) + slot - cum;
                if *x < 1 << 16 {
                    *x = *x << 16 | u32::from(u16_at(bytes, 128 + 2 * next));
                    next += 1;
                }
            }
        }
    }
    assert_eq!(next, words);
    let seed: Vec<u8> = states
        .iter()
        .flat_map(|x| {
            assert!((1 << 16..1 << 17).contains(x));
            (*x as u16).to_le_bytes()
        })
        .collect();
    let (seed, zeros) = seed.split_at(n - body);
    assert!(zeros.iter().all(|&byte| byte == 0));
    raw.extend(seed);
    raw
}

/// Section 2.
fn block_by_the_book(payload: &[u8], log: u32, segment_size: usize, raw_size: usize) -> Vec<u8> {
    let segments = raw_size.div_ceil(segment_size);
    let (freqs, table) = table_by_the_book(&payload[2 * segments..], log);
    let mut at = 2 * segments + table;
    let mut raw = Vec::new();
    for segment in 0..segments {
        let words = usize::from(u16_at(payload, 2 * segment));
        let n = segment_size.min(raw_size - raw.len());
        raw.extend(segment_by_the_book(&payload[at..], words, &freqs, log, n));
        at += 128 + 2 * words;
    }
    assert_eq!(at, payload.len());
    raw
}

/// Section 1: the content of a file. Every field is looked at.
fn file_by_the_book(mut file: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    while !file.is_empty() {
        if u32_at(file, 0) & !15 == 0x184D_2A50 {
            file = &file[8 + u32_at(file, 4) as usize..];
            continue;
        }
        let (content, length) = frame_by_the_book(file);
        raw.extend(content);
        file = &file[length..];
    }
    raw
}

fn frame_by_the_book(frame: &[u8]) -> (Vec<u8>, usize) {
    assert_eq!(frame[..5], [0x89, 0x52, 0x56, 0x4C, 1]);
    let (flags, pipeline, block_log, segment_log) = (frame[5], frame[6], frame[7], frame[8]);
    assert!(flags < 4 && pipeline < 2 && segment_log <= block_log);
    assert_eq!(frame[9..12], [0; 3]);
    assert_eq!(u32_at(frame, 20), crc32c(&frame[..20]));
    let (mut raw, mut at) = (Vec::new(), 24);
    let (mut headers, mut index) = (Vec::new(), Vec::new());
    for number in 0u64.. {
        let header = &frame[at..at + 16];
        let mut checked = [&number.to_le_bytes(), header].concat();
        checked[10..12].fill(0);
        assert_eq!(u16_at(header, 2), crc32c(&checked) as u16, "block {number}");
        at += 16;
        if header[0] == 3 {
            assert_eq!(header[1], 0);
            assert_eq!(header[4..12], [0; 8]);
            assert_eq!(u32_at(header, 12), crc32c(&headers));
            break;
        }
        headers.extend(header);
        index.extend(&header[4..12]);
        let (raw_size, coded_size) = (u32_at(header, 4) as usize, u32_at(header, 8) as usize);
        assert!(0 < raw_size && raw_size <= 1 << block_log);
        let payload = &frame[at..at + coded_size];
        let block = match (header[0], header[1]) {
            (0, 0) => payload.to_vec(),
            (1, 0) => {
                assert_eq!(coded_size, 1);
                vec![payload[0]; raw_size]
            }
            (2, log @ 8..=12) if pipeline == 1 && coded_size < raw_size => {
                block_by_the_book(payload, log.into(), 1 << segment_log, raw_size)
            }
            other => panic!("kind and table log {other:?}"),
        };
        assert_eq!(block.len(), raw_size);
        assert_eq!(u32_at(header, 12), crc32c(&block));
        raw.extend(block);
        at += coded_size;
        while at % 4 != 0 {
            assert_eq!(frame[at], 0);
            at += 1;
        }
    }
    assert_eq!(u64_at(frame, 12), if flags & 1 == 1 { raw.len() as u64 } else { 0 });
    let blocks = index.len() / 8;
    if flags & 2 == 0 {
        index.clear();
    }
    assert_eq!(frame[at..at + index.len()], index);
    let footer = &frame[at + index.len()..][..32];
    let length = at + index.len() + 32;
    assert_eq!(u64_at(footer, 0), blocks as u64);
    assert_eq!(u64_at(footer, 8), raw.len() as u64);
    assert_eq!(u64_at(footer, 16), length as u64);
    index.extend(&footer[..24]);
    assert_eq!(u32_at(footer, 24), crc32c(&index));
    assert_eq!(footer[28..], [0x4C, 0x56, 0x52, 0x89]);
    (raw, length)
}

#[test]
fn golden_frames_are_what_the_specification_says() {
    for case in cases() {
        let golden = golden(&case.name);
        assert!(file_by_the_book(&golden) == case.raw, "{}", case.name);
    }
}

/// The smallest frame with a block, every byte by hand; only the checksums are computed.
#[test]
fn one_byte_is_laid_out_as_specified() {
    let frame = golden("one-byte");
    assert_eq!(frame.len(), 24 + 16 + 4 + 16 + 8 + 32);
    assert_eq!(frame[..12], [0x89, b'R', b'V', b'L', 1, 3, 1, 18, 14, 0, 0, 0]);
    assert_eq!(frame[12..20], [1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(u32_at(&frame, 20), crc32c(&frame[..20]));
    // A block of one value, 1 byte raw, 1 byte coded.
    assert_eq!(frame[24..26], [1, 0]);
    assert_eq!(frame[28..36], [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(u32_at(&frame, 36), crc32c(b"R"));
    assert_eq!(frame[40..44], [b'R', 0, 0, 0]);
    let check = [&[0; 8][..], &[1, 0, 0, 0], &frame[28..40]].concat();
    assert_eq!(u16_at(&frame, 26), crc32c(&check) as u16);
    // The end mark is number 1.
    assert_eq!(frame[44..46], [3, 0]);
    assert_eq!(frame[48..56], [0; 8]);
    assert_eq!(u32_at(&frame, 56), crc32c(&frame[24..40]));
    let check = [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[3, 0, 0, 0], &frame[48..60]].concat();
    assert_eq!(u16_at(&frame, 46), crc32c(&check) as u16);
    // Index: raw size, coded size. Footer: blocks, content size, frame size.
    assert_eq!(frame[60..68], [1, 0, 0, 0, 1, 0, 0, 0]);
    assert_eq!(frame[68..84], [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(frame[84..92], [100, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(u32_at(&frame, 92), crc32c(&frame[60..92]));
    assert_eq!(frame[96..], [0x4C, 0x56, 0x52, 0x89]);
}

#[test]
fn the_cases_cover_every_kind_and_table_log() {
    let mut seen = std::collections::BTreeSet::new();
    for case in cases() {
        let golden = golden(&case.name);
        let start = if golden[0] == 0x89 { 24 } else { 13 + 24 };
        seen.insert((golden[start], golden[start + 1]));
    }
    let expected = [(0, 0), (1, 0), (2, 8), (2, 9), (2, 10), (2, 11), (2, 12), (3, 0)];
    assert!(seen.is_superset(&expected.into()), "{seen:?}");
}
