//! Every implementation of the CPU coder against the scalar reference, and the reference against the specification.

mod common;

use common::{
    segments,
    specified::{specified_rans, specified_windows, word},
};
use proptest::prelude::*;
use ranvil::{
    BlockFault, Simd,
    coder::{BlockParams, Codec, Coder, Encoded, table::Table},
    format::BlockKind,
};

const ALICE: &[u8] = include_bytes!("data/alice29.txt");
const FILES: [(&str, &[u8]); 5] = [
    ("alice29", ALICE),
    ("ecoli", include_bytes!("data/ecoli.64k")),
    ("levitus", include_bytes!("data/levitus_temp.96k")),
    ("bc7", include_bytes!("data/helmet_color.bc7.96k")),
    ("mesh", include_bytes!("data/helmet_mesh.64k")),
];

/// What the command uses.
const fn defaults(coder: Coder) -> BlockParams {
    BlockParams { coder, segment_log: 14, table_log: None }
}

/// A small generator (splitmix64), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Bytes of which `share` of 1000 are not `common` but one of `others` values.
    fn skewed(&mut self, length: usize, share: usize, others: usize, common: u8) -> Vec<u8> {
        let mut byte = || {
            let other = self.below(1000) < share;
            if other { self.below(others) as u8 } else { common }
        };
        (0..length).map(|_| byte()).collect()
    }
}

/// Blocks of every kind that a coder could treat in its own way.
fn cases() -> Vec<(String, Vec<u8>)> {
    let mut random = Random(1);
    let mut cases = Vec::new();
    let mut add =
        |name: &str, raw: &[u8]| cases.push((format!("{name}, {} bytes", raw.len()), raw.to_vec()));
    for (name, file) in FILES {
        add(name, file);
    }
    let around = |center: usize| center - 2..=center + 2;
    let lengths = (1..=3)
        .chain(
            [64, 128, 192, 192 + 127, 320, 4096, 4096 + 64, 2 * 4096, 3 * 4096]
                .into_iter()
                .flat_map(around),
        )
        .chain([16384, 2 * 16384, 65536, 65536 + 64].into_iter().flat_map(around));
    for length in lengths {
        add("text", &ALICE[..length]);
        add("two values", &random.skewed(length, 500, 1, 9));
    }
    for length in [1, 63, 64, 65, 4096, 70_000] {
        add("one value", &vec![0xa5; length]);
        add("noise", &random.skewed(length, 1000, 256, 0));
    }
    for length in [700, 5000, 70_000] {
        for share in [1, 10, 30, 100, 300] {
            add("skewed", &random.skewed(length, share, 256, 0xff));
            add("two, skewed", &random.skewed(length, share, 1, 7));
        }
        let mut once = vec![3; length];
        once[length / 2] = 4;
        add("one of its kind", &once);
    }
    add("few values, evenly", &random.skewed(40_000, 1000, 5, 0));
    add("a whole megabyte", &random.skewed(1 << 20, 700, 100, 50));
    cases
}

fn encode(codec: &mut Codec, raw: &[u8], params: &BlockParams) -> (Encoded, Vec<u8>) {
    let mut payload = vec![1, 2, 3];
    let encoded = codec.encode(raw, params, &mut payload);
    if encoded.kind == BlockKind::Stored {
        assert!(payload.is_empty());
        payload.extend_from_slice(raw);
    }
    (encoded, payload)
}

fn decode(
    codec: &mut Codec,
    payload: &[u8],
    encoded: Encoded,
    params: &BlockParams,
    raw_size: usize,
) -> Result<Vec<u8>, BlockFault> {
    let mut raw = vec![0xcc; raw_size];
    let Encoded { kind, table_log } = encoded;
    codec.decode(payload, kind, params.coder, table_log, params.segment_log, &mut raw).map(|()| raw)
}

fn codecs() -> Vec<(Simd, Codec)> {
    Simd::available().into_iter().map(|simd| (simd, Codec::new(simd).unwrap())).collect()
}

/// Encodes with every implementation, compares payloads, decodes with every implementation.
fn check(codecs: &mut [(Simd, Codec)], name: &str, raw: &[u8], params: &BlockParams) -> Encoded {
    let (simd, reference) = &mut codecs[0];
    assert_eq!(*simd, Simd::Scalar);
    let (encoded, payload) = encode(reference, raw, params);
    for (simd, codec) in codecs {
        let what = format!("{simd:?}, {name}, {params:?}");
        let (own, bytes) = encode(codec, raw, params);
        assert_eq!(own, encoded, "{what}");
        assert!(bytes == payload, "{what}: other bytes than the reference");
        let back = decode(codec, &payload, encoded, params, raw.len());
        assert!(back.as_deref() == Ok(raw), "{what}: {:?}", back.err());
    }
    encoded
}

#[test]
fn every_implementation_yields_the_same_bytes_and_restores_them() {
    let mut codecs = codecs();
    for (name, raw) in cases() {
        for coder in Coder::ALL {
            let table_logs = coder.table_logs().map(Some).chain([None]);
            for (number, table_log) in table_logs.enumerate() {
                // All pairs of logs for the small blocks, all of each for the large ones.
                for segment_log in 12..=16_u8 {
                    let params = BlockParams { coder, segment_log, table_log };
                    if raw.len() <= 1 << 13 || usize::from(segment_log) % 5 == number % 5 {
                        check(&mut codecs, &name, &raw, &params);
                    }
                }
            }
        }
    }
}

/// A block of every file of the corpus, where there is one.
#[test]
fn every_implementation_agrees_on_the_corpus() {
    let mut codecs = codecs();
    for (path, raw) in common::corpus_windows(200_000) {
        for coder in Coder::ALL {
            check(&mut codecs, &path.to_string_lossy(), &raw, &defaults(coder));
        }
    }
}

#[test]
fn this_machine_is_tested_with_all_that_it_has() {
    let available = Simd::available();
    assert!(available.starts_with(&[Simd::Scalar, Simd::Portable]));
    for simd in [Simd::Scalar, Simd::Portable, Simd::Avx2, Simd::Avx512] {
        assert_eq!(Codec::new(simd).is_ok(), available.contains(&simd), "{simd:?}");
    }
    assert!(Codec::new(Simd::Auto).is_ok());
}

#[test]
fn kinds_are_chosen_as_specified() {
    let mut codecs = codecs();
    let mut kind = |raw: &[u8]| check(&mut codecs, "kinds", raw, &defaults(Coder::Rans));
    let (single, stored) = (BlockKind::Single, BlockKind::Stored);
    assert_eq!(kind(b"a"), Encoded { kind: single, table_log: 0 });
    assert_eq!(kind(&[0; 70_000]), Encoded { kind: single, table_log: 0 });
    assert_eq!(kind(b"ab"), Encoded { kind: stored, table_log: 0 });
    assert_eq!(
        kind(&Random(2).skewed(70_000, 1000, 256, 0)),
        Encoded { kind: stored, table_log: 0 }
    );
    assert_eq!(kind(ALICE), Encoded { kind: BlockKind::Coded, table_log: 11 });
    // 24 symbols with less than a slot of 2048 each: table log 12. 23: 11.
    for (rare, table_log) in [(24, 12), (23, 11)] {
        let mut raw = Random(3).skewed(100_000, 500, 2, 2);
        (0..rare).for_each(|symbol| raw[1000 * symbol] = 100 + symbol as u8);
        assert_eq!(kind(&raw), Encoded { kind: BlockKind::Coded, table_log });
    }
}

#[test]
fn the_reference_is_what_the_specification_says() {
    for (name, raw) in cases().into_iter().filter(|(_, raw)| raw.len() < 100_000) {
        for coder in Coder::ALL {
            check_specification(&name, coder, &raw);
        }
    }
}

fn check_specification(name: &str, coder: Coder, raw: &[u8]) {
    let mut codec = Codec::new(Simd::Scalar).unwrap();
    let params = BlockParams { coder, segment_log: 12, table_log: None };
    let (encoded, payload) = encode(&mut codec, raw, &params);
    if encoded.kind != BlockKind::Coded {
        return;
    }
    let segments = raw.len().div_ceil(4096);
    let (table, table_length) =
        Table::parse(&payload[2 * segments..], coder, encoded.table_log).unwrap();
    let word = word(coder);
    let head = 2 * segments + table_length;
    let places = segments::places(&payload, coder, segments);
    assert_eq!(places[0], head.next_multiple_of(word));
    assert!(payload[head..places[0]].iter().all(|&byte| byte == 0));
    for (number, segment) in raw.chunks(4096).enumerate() {
        let stream = &payload[places[number]..places[number + 1]];
        let mut back = vec![0; segment.len()];
        let specified = if coder == Coder::Rans { specified_rans } else { specified_windows };
        assert!(specified(&table, stream, &mut back).is_some(), "{coder:?}, {name}");
        assert!(back == segment, "{coder:?}, {name}, segment {number}");
    }
    check_gaps(&format!("{coder:?}, {name}"), raw, 12, &table, &payload);
}

/// The gaps are those of section 2.8. Returns how far each segment is from its room, in words.
fn check_gaps(
    what: &str,
    raw: &[u8],
    segment_log: u8,
    table: &Table,
    payload: &[u8],
) -> Vec<isize> {
    let coder = table.coder();
    let segments = raw.len().div_ceil(1 << segment_log);
    let rooms = segments::rooms(table, raw, segment_log);
    let gaps = segments::gaps(payload, coder, segments);
    let places = segments::places(payload, coder, segments);
    let missing = |i: usize| {
        let length = (places[i + 1] - places[i]) / word(coder) - gaps[i];
        rooms[i] as isize - length as isize
    };
    let missing: Vec<isize> = (0..segments).map(missing).collect();
    if segments > 1 && missing.iter().all(|gap| (0..16).contains(gap)) {
        assert!(
            gaps.iter().zip(&missing).all(|(&gap, &missing)| gap as isize == missing),
            "{what}"
        );
    } else {
        assert!(gaps.iter().all(|&gap| gap == 0), "{what}: {gaps:?} of {missing:?}");
    }
    missing
}

/// Where one segment is longer than its room, or much shorter, none has a gap; and a symbol that fills a segment of 64 KiB counts as one less.
#[test]
fn rooms_that_are_missed_are_not_kept() {
    let mut codecs = codecs();
    let check = |raw: &[u8], coder, table_log, segment_log| {
        let params = BlockParams { coder, segment_log, table_log };
        check(&mut codecs, "rooms", raw, &params);
        let (encoded, payload) = encode(&mut codecs[0].1, raw, &params);
        assert_eq!(encoded.kind, BlockKind::Coded);
        let counts = 2 * raw.len().div_ceil(1 << segment_log);
        let (table, _) = Table::parse(&payload[counts..], coder, encoded.table_log).unwrap();
        check_gaps(&format!("{params:?}"), raw, segment_log, &table, &payload)
    };
    let mut check = check;
    let [short, long] = segments::misfits()
        .map(|(raw, table_log, segment_log)| check(&raw, Coder::Fse, Some(table_log), segment_log));
    assert!(short.iter().all(|&gap| gap >= 0) && short.iter().any(|&gap| gap > 15), "{short:?}");
    assert!(long.iter().any(|&gap| gap < 0), "{long:?}");
    let same = [vec![b'e'; 65_536], ALICE[..65_536].to_vec()].concat();
    for coder in Coder::ALL {
        check(&same, coder, None, 16);
        check(ALICE, coder, None, 12);
        // Lanes without symbols take no more than the room has for them.
        for tail in [1, 64, 129, 200, 240] {
            let gaps = check(&ALICE[..32_768 + tail], coder, None, 14);
            assert!(gaps.iter().all(|gap| (0..=15).contains(gap)), "{coder:?}, {tail}: {gaps:?}");
        }
    }
}

/// A gap may have up to 31 words, all of them zero.
#[test]
fn gaps_are_checked() {
    let mut codecs = codecs();
    for coder in Coder::ALL {
        let params = BlockParams { coder, segment_log: 12, table_log: None };
        let raw = &ALICE[..10_000];
        let (encoded, payload) = encode(&mut codecs[0].1, raw, &params);
        let with = |gap, last| segments::with_gap(&payload, coder, encoded.table_log, 3, gap, last);
        for (gap, last, expected) in [
            (0, 0, Ok(raw.to_vec())),
            (31, 0, Ok(raw.to_vec())),
            (32, 0, Err(BlockFault::Stream)),
            (255, 0, Err(BlockFault::Stream)),
            (31, 1, Err(BlockFault::Stream)),
            (1, 128, Err(BlockFault::Stream)),
        ] {
            let changed = with(gap, last);
            check_damaged(&mut codecs, "gap", &changed, encoded, &params, raw.len());
            let found = decode(&mut codecs[0].1, &changed, encoded, &params, raw.len());
            assert!(found == expected, "{coder:?}, {gap}, {last}: {:?}", found.err());
            assert!(found.err().is_none_or(|fault| fault.to_string().contains("padding or gap")));
        }
    }
}

/// Every implementation says the same about a payload, and never panics.
fn check_damaged(
    codecs: &mut [(Simd, Codec)],
    what: &str,
    payload: &[u8],
    encoded: Encoded,
    params: &BlockParams,
    raw_size: usize,
) {
    let (_, reference) = &mut codecs[0];
    let expected = decode(reference, payload, encoded, params, raw_size);
    for (simd, codec) in &mut codecs[1..] {
        let found = decode(codec, payload, encoded, params, raw_size);
        assert!(
            found == expected,
            "{simd:?}, {params:?}, {what}: {:?} against {:?}",
            found.err(),
            expected.err()
        );
    }
}

#[test]
fn every_flipped_bit_and_every_cut_of_small_payloads_is_judged_alike() {
    let mut codecs = codecs();
    let mut random = Random(4);
    let small = [
        ALICE[..700].to_vec(),
        ALICE[2000..2900].to_vec(),
        random.skewed(533, 100, 3, 5),
        random.skewed(1000, 20, 256, 5),
        random.skewed(4096 + 80, 1, 1, 7),
    ];
    for (raw, coder) in small.iter().flat_map(|raw| Coder::ALL.map(|coder| (raw, coder))) {
        let params = BlockParams { coder, segment_log: 12, table_log: Some(9) };
        let (encoded, payload) = encode(&mut codecs[0].1, raw, &params);
        assert_eq!(encoded.kind, BlockKind::Coded);
        let mut judge = |what: &str, payload: &[u8], encoded| {
            check_damaged(&mut codecs, what, payload, encoded, &params, raw.len());
        };
        for bit in 0..8 * payload.len() {
            let mut payload = payload.clone();
            payload[bit / 8] ^= 1 << (bit % 8);
            judge(&format!("bit {bit}"), &payload, encoded);
        }
        for length in 0..payload.len() {
            judge(&format!("cut to {length}"), &payload[..length], encoded);
        }
        judge("lengthened", &[&payload[..], &[0, 0]].concat(), encoded);
        for table_log in (0..=13).chain([255]) {
            judge("another table log", &payload, Encoded { table_log, ..encoded });
        }
        for kind in [BlockKind::Stored, BlockKind::Single] {
            judge("another kind", &payload, Encoded { kind, ..encoded });
        }
    }
}

#[test]
fn mutations_of_larger_payloads_are_judged_alike() {
    let mut codecs = codecs();
    let mut random = Random(5);
    let blocks =
        [ALICE[..40_000].to_vec(), random.skewed(30_000, 30, 256, 0), random.skewed(9000, 5, 1, 2)];
    for (raw, coder) in blocks.iter().flat_map(|raw| Coder::ALL.map(|coder| (raw, coder))) {
        let params = BlockParams { coder, segment_log: 12, table_log: None };
        let (encoded, payload) = encode(&mut codecs[0].1, raw, &params);
        for number in 0..400 {
            let mut payload = payload.clone();
            for _ in 0..1 + random.below(4) {
                // Half of them where the counts, the table and the first states are.
                let range =
                    if random.below(2) == 0 { payload.len().min(250) } else { payload.len() };
                let at = random.below(range);
                payload[at] = random.next() as u8;
            }
            let what = format!("mutation {number}");
            check_damaged(&mut codecs, &what, &payload, encoded, &params, raw.len());
        }
    }
}

/// Two segments that are decoded together are both at fault: the first one's fault is reported.
#[test]
fn the_first_bad_segment_decides() {
    let mut codecs = codecs();
    for coder in Coder::ALL {
        let raw = &ALICE[..8192];
        let params = BlockParams { coder, segment_log: 12, table_log: Some(11) };
        let (encoded, payload) = encode(&mut codecs[0].1, raw, &params);
        let second = segments::places(&payload, coder, 2)[1];
        let mut judge = |what: &str, payload: &[u8], fault| {
            check_damaged(&mut codecs, what, payload, encoded, &params, raw.len());
            let found = decode(&mut codecs[0].1, payload, encoded, &params, raw.len());
            assert_eq!(found, Err(fault), "{coder:?}, {what}");
        };
        // Damage to the second segment that leaves it as long, and its states others.
        let mut reference = Codec::new(Simd::Scalar).unwrap();
        let flipped = (8 * second..8 * payload.len()).rev().map(|bit| {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            damaged
        });
        let mut damaged = flipped
            .into_iter()
            .find(|damaged| {
                decode(&mut reference, damaged, encoded, &params, raw.len())
                    == Err(BlockFault::FinalState)
            })
            .expect("some damage leads there");
        judge("second", &damaged, BlockFault::FinalState);
        // A word moved from the second segment to the first.
        let count = u16::from_le_bytes([payload[0], payload[1]]) + 1;
        damaged[..2].copy_from_slice(&count.to_le_bytes());
        let count = u16::from_le_bytes([payload[2], payload[3]]) - 1;
        damaged[2..4].copy_from_slice(&count.to_le_bytes());
        judge("both", &damaged, BlockFault::Stream);
    }
}

#[test]
fn text_is_coded_close_to_its_entropy() {
    let limits = [(Coder::Rans, 1.01), (Coder::Fse, 1.025), (Coder::Huffman, 1.026)];
    limits.into_iter().for_each(|(coder, limit)| check_size_of_text(coder, limit));
}

fn check_size_of_text(coder: Coder, over_entropy: f64) {
    let mut counts = [0_u32; 256];
    ALICE.iter().for_each(|&symbol| counts[usize::from(symbol)] += 1);
    let total = ALICE.len() as f64;
    let present = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count));
    let entropy = present.map(|count| count * (total / count).log2()).sum::<f64>() / 8.0;
    let (encoded, payload) = encode(&mut Codec::new(Simd::Auto).unwrap(), ALICE, &defaults(coder));
    let counts = 2 * ALICE.len().div_ceil(16384);
    let (_, table) = Table::parse(&payload[counts..], coder, encoded.table_log).unwrap();
    assert!(table <= 130, "a table of {table} bytes");
    let limit = over_entropy * entropy + table as f64;
    assert!((payload.len() as f64) < limit, "{coder:?}: {} bytes against {limit}", payload.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_block_comes_back_from_every_implementation(
        seed: u64,
        length in 1..40_000_usize,
        share in 0..=1000_usize,
        others in 1..=256_usize,
        segment_log in 12..=16_u8,
        coder in prop::sample::select(&Coder::ALL),
        table_log in prop::option::of(1..=12_u8),
    ) {
        let raw = Random(seed).skewed(length, share, others, 77);
        let table_log = table_log.filter(|log| coder.table_logs().contains(log));
        check(&mut codecs(), "generated", &raw, &BlockParams { coder, segment_log, table_log });
    }

    #[test]
    fn any_bytes_are_judged_alike(
        payload in prop::collection::vec(any::<u8>(), 0..600),
        coder in prop::sample::select(&Coder::ALL),
        table_log in 1..=12_u8,
        raw_size in 0..9000_usize,
    ) {
        let params = BlockParams { coder, segment_log: 12, table_log: None };
        let encoded = Encoded { kind: BlockKind::Coded, table_log };
        check_damaged(&mut codecs(), "noise", &payload, encoded, &params, raw_size);
    }
}
