//! Golden frames: today's decoder reads yesterday's bytes, and today's encoder writes them. And a decoder written
//! from `docs/FORMAT.md` alone (`common/book.rs`), so that an encoder and a decoder that err alike are caught.
//!
//! After a deliberate change of what the encoder yields (never of the format), write them anew with
//!
//! ```text
//! RANVIL_WRITE_GOLDEN=1 cargo test -p ranvil --test golden
//! ```

#[path = "common/book.rs"]
mod book;
mod common;

use std::{fs, io::Write, path::PathBuf};

use ranvil::{
    DeviceSelector, Options, Pipeline, SegmentProfile, decompress, format::SkippableHeader,
};

use book::{crc32c, u16_at, u32_at};
use common::{ALICE, FILES, Random};

struct Case {
    name: String,
    raw: Vec<u8>,
    coded: Vec<u8>,
}

fn options() -> Options {
    Options::new().pipeline(Pipeline::Rans).device(DeviceSelector::Cpu)
}

fn streamed(options: &Options, pieces: &[&[u8]]) -> Vec<u8> {
    let mut compressor = options.compressor(Vec::new()).unwrap();
    for piece in pieces {
        compressor.write_all(piece).unwrap();
        compressor.flush().unwrap();
    }
    compressor.finish().unwrap()
}

/// Rows of 48 bytes whose fields are those of earlier rows: the low bits of offsets are always the same.
fn table() -> Vec<u8> {
    let mut random = Random(48);
    let mut table = random.bytes(48);
    while table.len() < 16_000 {
        let rows = (table.len() / 48).min(200);
        for _ in 0..6 {
            let field = table.len() - 48 * (1 + random.below(rows));
            table.extend_from_within(field..field + 8);
        }
        let last = table.len() - 48 + random.below(48);
        table[last] ^= random.below(256) as u8;
    }
    table
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
    for pipeline in [Pipeline::Fse, Pipeline::Huff] {
        let coded = options().pipeline(pipeline).compress(text).unwrap();
        add(&format!("{pipeline}-text"), text, coded);
    }
    let latency = options().segment(SegmentProfile::Latency);
    add("latency", &ALICE[..10_000], latency.compress(&ALICE[..10_000]).unwrap());
    add("without-index", text, options().index(false).compress(text).unwrap());
    add("flushed", text, streamed(&small, &[&text[..1], &text[1..4000], &text[4000..]]));
    add("nothing-known", text, streamed(&options().index(false), &[text]));
    for pipeline in [Pipeline::Rans, Pipeline::Fse, Pipeline::Huff] {
        let name = if pipeline == Pipeline::Rans { String::new() } else { format!("{pipeline}-") };
        for log in pipeline.coders()[0].table_logs().filter(|&log| log == 5 || log >= 8) {
            let options = options().pipeline(pipeline).table_log(Some(log)).unwrap();
            // Few values fit a small table.
            let few: Vec<u8> = floats.iter().map(|byte| byte & 0x91).collect();
            let raw = if log < 8 { &few } else { floats };
            add(&format!("{name}table-log-{log}"), raw, options.compress(raw).unwrap());
        }
    }
    // Streams of several parts and segments, matches near and far, all sorts of lengths.
    let mesh = &FILES[4].1[..30_000];
    let long = [&ALICE[..20_000], &[7; 900], &ALICE[10_000..18_000], mesh, &noise, &ALICE[..3000]];
    let long = long.concat();
    let latency = options().block_size(1 << 22).unwrap().segment(SegmentProfile::Latency);
    for &pipeline in Pipeline::ALL.iter().filter(|pipeline| pipeline.model().is_some()) {
        let latency = latency.clone().pipeline(pipeline).level(9).unwrap();
        add(&format!("{pipeline}-9"), &long, latency.compress(&long).unwrap());
        let fast = small.clone().pipeline(pipeline).level(1).unwrap();
        add(&format!("{pipeline}-1"), &text[..4500], fast.compress(&text[..4500]).unwrap());
    }
    let table = table();
    for pipeline in [Pipeline::Lzseqr, Pipeline::Lzseqf] {
        add(
            &format!("{pipeline}-fine"),
            &table,
            options().pipeline(pipeline).compress(&table).unwrap(),
        );
    }
    let default = Options::new().device(DeviceSelector::Cpu);
    add("default", &ALICE[..30_000], default.compress(&ALICE[..30_000]).unwrap());
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

#[test]
fn golden_frames_are_what_the_specification_says() {
    for case in cases() {
        let golden = golden(&case.name);
        assert!(book::file(&golden) == case.raw, "{}", case.name);
    }
}

#[test]
fn offsets_in_tables_have_fine_bits() {
    for name in ["lzseqr-fine", "lzseqf-fine"] {
        let frame = golden(name);
        let (sequences, fine) = (u32_at(&frame, 24 + 16 + 4), u32_at(&frame, 24 + 16 + 12));
        assert_eq!(frame[24], 2, "{name} is not coded");
        assert!(0 < fine && fine < sequences, "{name}: {fine} of {sequences}");
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
    let logs = [0, 5, 8, 9, 10, 11, 12].map(|log| (2, log));
    let expected = [&logs[..], &[(0, 0), (1, 0), (3, 0)]].concat();
    assert!(expected.iter().all(|case| seen.contains(case)), "{seen:?}");
}
