//! Every implementation of the models against each other and against the blocks that the streams were made of.

use proptest::prelude::*;

use super::{
    Model, Sequence,
    codes::{FINE_BITS, LENGTH, OFFSET, RUN},
    parse::Parser,
    simd::Instructions,
    streams::*,
    twin,
};

const MODELS: [Model; 2] = [Model::Lz77, Model::LzSeq];
const FILES: [&[u8]; 5] = [
    include_bytes!("../../tests/data/alice29.txt"),
    include_bytes!("../../tests/data/ecoli.64k"),
    include_bytes!("../../tests/data/levitus_temp.96k"),
    include_bytes!("../../tests/data/helmet_color.bc7.96k"),
    include_bytes!("../../tests/data/helmet_mesh.64k"),
];

/// Noise: the same on every machine.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
}

/// The block of these sequences, with noise as literals and `rest` of them at the end.
fn expand(sequences: &[Sequence], rest: usize) -> Vec<u8> {
    let mut literals = noise(1);
    let mut raw = Vec::new();
    for &Sequence { literals: run, length, offset } in sequences {
        raw.extend(literals.by_ref().take(run as usize));
        for _ in 0..length {
            raw.push(raw[raw.len() - offset as usize]);
        }
    }
    raw.extend(literals.take(rest));
    raw
}

/// Splits with every set of instructions; all must agree.
fn split(model: Model, raw: &[u8], sequences: &[Sequence]) -> Streams {
    let all = Instructions::all().into_iter().map(|set| {
        let mut streams = Streams::default();
        set.split(model, raw, sequences, &mut streams);
        streams
    });
    all.reduce(|first, next| {
        assert!(first == next);
        first
    })
    .expect("at least one")
}

/// Rebuilds with every set of instructions; all must agree, and with the twin if `with_twin`.
fn rebuild(model: Model, streams: &Streams, size: usize, with_twin: bool) -> Option<Vec<u8>> {
    let mut raw = vec![0xA5; size];
    let twin = with_twin.then(|| twin::rebuild(model, streams.view(), &mut raw).ok().map(|()| raw));
    let all = Instructions::all().into_iter().map(|set| {
        let mut raw = vec![0x5A; size];
        set.rebuild(model, streams.view(), &mut raw).ok().map(|()| raw)
    });
    twin.into_iter()
        .chain(all)
        .reduce(|first, next| {
            assert_eq!(first.is_some(), next.is_some(), "different verdicts");
            assert!(first == next, "different blocks");
            first
        })
        .expect("at least one")
}

fn round_trip(model: Model, raw: &[u8], sequences: &[Sequence], with_twin: bool) -> Streams {
    let streams = split(model, raw, sequences);
    let layout = Layout::new(model, streams.counts(model), raw.len()).expect("own counts");
    assert_eq!(layout.bytes, streams.bytes.each_ref().map(Vec::len));
    assert_eq!(layout.tail, streams.tail.len());
    let back = rebuild(model, &streams, raw.len(), with_twin).expect("own streams");
    assert!(back == raw);
    streams
}

fn parse(model: Model, raw: &[u8]) -> Vec<Sequence> {
    let mut sequences = Vec::new();
    Parser::new().parse(raw, model, 1, &mut sequences);
    sequences
}

#[test]
fn real_files_come_back() {
    for raw in FILES {
        for model in MODELS {
            round_trip(model, raw, &parse(model, raw), true);
        }
    }
}

#[test]
fn streams_are_the_formats() {
    // By hand, from docs/FORMAT.md.
    let raw = b"abcdabcdefbcdeXdeXdeXdeXdeXdeXdeXdeXdeXdeXYZ";
    let sequences = [
        Sequence { literals: 4, length: 4, offset: 4 },
        Sequence { literals: 2, length: 4, offset: 5 },
        Sequence { literals: 1, length: 27, offset: 3 },
    ];
    let seq = split(Model::LzSeq, raw, &sequences);
    assert_eq!(seq.bytes[0], b"abcdefXYZ");
    assert_eq!(seq.bytes[1], [4, 2, 1]);
    assert_eq!(seq.bytes[2], [1, 1, 24]);
    assert_eq!(seq.bytes[3], [1, 3 + 4, 3 + 2]);
    assert!(seq.tail.is_empty());
    assert_eq!(seq.counts(Model::LzSeq), [9, 3, 0, 0]);
    let lz77 = split(Model::Lz77, raw, &sequences);
    assert_eq!(lz77.bytes[0], b"abcdefXYZ");
    assert_eq!(lz77.bytes[1], [0x40, 0x20, 0x1f]);
    assert_eq!(lz77.bytes[2], [3, 4, 2]);
    assert_eq!(lz77.bytes[3], [0, 0, 0]);
    assert_eq!(lz77.bytes[4], [0, 0, 0]);
    assert_eq!(lz77.bytes[5], [8]);
    assert_eq!(lz77.counts(Model::Lz77), [9, 3, 1, 0]);
}

#[test]
fn extra_bits_are_the_formats() {
    let sequences = [
        Sequence { literals: 1000, length: 103, offset: 601 },
        Sequence { literals: 0, length: 3, offset: 1 },
        Sequence { literals: 0, length: 3, offset: 1 },
        Sequence { literals: 0, length: 3, offset: 601 },
    ];
    let raw = expand(&sequences, 0);
    let streams = round_trip(Model::LzSeq, &raw, &sequences, true);
    // 1000 = 7 * 128 + 104, e = 9; 100 = 6 * 16 + 4, e = 6; 600 = 4 * 128 + 88, e = 9.
    assert_eq!(streams.bytes[1], [16 + 4 * 5 + 3, 0, 0, 0]);
    assert_eq!(streams.bytes[2], [32 + 4 + 2, 0, 0, 0]);
    // Without literals 0 is the second of 601, 1, 4, then of 1, 601, 4, in which 2 is the first.
    assert_eq!(streams.bytes[3], [3 + 64 + 4 * 3, 0, 2, 0]);
    assert_eq!(streams.tail, u32::to_le_bytes(88 | 4 << 7 | 104 << 11));
}

#[test]
fn matches_of_every_offset_and_length_overlap_and_end_rightly() {
    for offset in 1..=40 {
        for length in 3..=100 {
            let sequences = [Sequence { literals: 40, length, offset }];
            for rest in [0, 1, 15, 16, 17, 31, 32, 33, (offset + length) as usize % 64] {
                let raw = expand(&sequences, rest);
                for model in MODELS {
                    if length >= model.min_match() {
                        round_trip(model, &raw, &sequences, false);
                    }
                }
            }
        }
    }
}

#[test]
fn literal_runs_of_every_length_end_rightly() {
    for run in 1..100 {
        for rest in 0..40 {
            let one = Sequence { literals: run, length: 5, offset: run };
            let sequences = [one, Sequence { literals: 0, ..one }, one];
            let raw = expand(&sequences, rest);
            MODELS.iter().for_each(|&model| drop(round_trip(model, &raw, &sequences, false)));
        }
    }
}

#[test]
fn values_at_the_bounds_of_codes_come_back() {
    const MAX: u32 = 1 << 22;
    for log in 2..=22 {
        for value in [(1 << log) - 1, 1 << log, (1 << log) + (1 << log >> 2) - 1, 3 << log >> 1] {
            let value: u32 = value.min(MAX - 8);
            let all = [
                [Sequence { literals: value, length: 4, offset: 1 }],
                [Sequence { literals: 1, length: value.max(4), offset: 1 }],
                [Sequence { literals: value, length: 4, offset: value }],
            ];
            for sequences in all {
                let raw = expand(&sequences, 0);
                MODELS.iter().for_each(|&model| drop(round_trip(model, &raw, &sequences, false)));
            }
        }
    }
}

#[test]
fn counts_that_no_block_has_are_refused() {
    let fits = |model, counts| Layout::new(model, counts, 1000).is_ok();
    assert!(fits(Model::LzSeq, [400, 200, 1600, 0]));
    assert!(!fits(Model::LzSeq, [401, 200, 1600, 0]), "more than the block");
    assert!(!fits(Model::LzSeq, [400, 200, 1608, 0]), "more extra bits than codes have");
    assert!(!fits(Model::LzSeq, [400, 200, 1598, 0]), "not a multiple of 4");
    assert!(fits(Model::LzSeq, [400, 200, 1600, 200]));
    assert!(!fits(Model::LzSeq, [400, 200, 1600, 201]), "more fine bits than offsets");
    assert!(fits(Model::Lz77, [200, 200, 400, 400]));
    assert!(!fits(Model::Lz77, [201, 200, 400, 400]), "more than the block");
    assert!(!fits(Model::Lz77, [200, 200, 401, 400]), "more short lengths than nibbles");
    assert!(!fits(Model::Lz77, [200, 200, 400, 401]), "more long lengths than short ones");
    for model in MODELS {
        assert!(!fits(model, [u32::MAX; 4]));
        assert!(!fits(model, [0, u32::MAX, 0, 0]));
    }
}

#[test]
fn whatever_is_not_valid_is_refused() {
    let sequences = [
        Sequence { literals: 20, length: 300, offset: 20 },
        Sequence { literals: 1000, length: 9, offset: 77 },
    ];
    let raw = expand(&sequences, 10);
    for model in MODELS {
        let good = split(model, &raw, &sequences);
        let refused = |change: &dyn Fn(&mut Streams)| {
            let mut streams = good.clone();
            change(&mut streams);
            rebuild(model, &streams, raw.len(), true).is_none()
        };
        assert!(!refused(&|_| ()));
        for stream in 0..model.streams() {
            assert!(refused(&|streams| streams.bytes[stream].push(0)), "{model:?} {stream}");
            let shorter = good.bytes[stream].len().checked_sub(1);
            assert!(
                shorter.is_none_or(|shorter| refused(&|s| s.bytes[stream].truncate(shorter))),
                "{model:?} {stream}"
            );
        }
        assert!(refused(&|streams| streams.tail.extend([0; 4])));
        assert!(refused(&|streams| streams.tail.truncate(streams.tail.len() - 4)));
        assert!(rebuild(model, &good, raw.len() + 1, true).is_none());
        assert!(rebuild(model, &good, raw.len() - 1, true).is_none());
    }
    let good = split(Model::LzSeq, &raw, &sequences);
    for (stream, codes) in [(1, RUN), (2, LENGTH), (3, OFFSET)] {
        let mut streams = good.clone();
        streams.bytes[stream][0] = codes.count() as u8;
        assert!(rebuild(Model::LzSeq, &streams, raw.len(), true).is_none(), "no such code");
    }
    let mut streams = good.clone();
    *streams.tail.last_mut().expect("extra bits") |= 0x80;
    assert!(rebuild(Model::LzSeq, &streams, raw.len(), true).is_none(), "padding");
    let mut streams = split(Model::Lz77, &raw, &sequences);
    streams.tail[..4].copy_from_slice(&269_u32.to_le_bytes());
    assert!(
        rebuild(Model::Lz77, &streams, raw.len(), true).is_none(),
        "a short length as a long one"
    );
}

/// Offsets of a table with rows of 48 bytes.
#[test]
fn uneven_low_bits_of_offsets_have_a_stream() {
    let sequence = |i: u32| Sequence { literals: 48, length: 3 + i % 40, offset: 48 * (1 + i % 7) };
    let mut sequences: Vec<_> = (0..1000).map(sequence).collect();
    sequences[0].literals = 400;
    let raw = expand(&sequences, 10);
    let streams = round_trip(Model::LzSeq, &raw, &sequences, true);
    let is_fine = |&&offset: &&u8| OFFSET.values(offset).width >= FINE_BITS;
    assert_eq!(streams.bytes[4].len(), streams.bytes[3].iter().filter(is_fine).count());
    assert!(streams.bytes[4].len() > 500);
    let changes: [fn(&mut Streams); 3] = [
        |s| s.bytes[4].truncate(s.bytes[4].len() - 1),
        |s| s.bytes[4].push(0),
        |s| s.bytes[4][9] = 16,
    ];
    for change in changes {
        let mut bad = streams.clone();
        change(&mut bad);
        assert!(rebuild(Model::LzSeq, &bad, raw.len(), true).is_none());
    }
}

#[test]
fn damaged_streams_are_refused_or_rebuild_the_same_everywhere() {
    let mut random = noise(7);
    let mut below = |limit: usize| {
        let word = u32::from_le_bytes(std::array::from_fn(|_| random.next().expect("endless")));
        word as usize % limit
    };
    let mut survivors = 0;
    for raw in FILES.map(|file| &file[..20_000]) {
        for model in MODELS {
            let good = split(model, raw, &parse(model, raw));
            for _ in 0..100 {
                let mut streams = good.clone();
                for _ in 0..=below(3) {
                    let chosen = below(model.streams() + 1);
                    let stream = match chosen < model.streams() {
                        true => &mut streams.bytes[chosen],
                        false => &mut streams.tail,
                    };
                    if !stream.is_empty() {
                        let at = below(stream.len());
                        stream[at] ^= 1 << below(8);
                    }
                }
                survivors += usize::from(rebuild(model, &streams, raw.len(), true).is_some());
            }
        }
    }
    assert!(survivors > 50, "the damage is too coarse to test more than refusal: {survivors}");
}

/// Sequences of every sort, valid for both models.
fn sequences() -> impl Strategy<Value = Vec<Sequence>> {
    let run = prop_oneof![4 => 0..4_u32, 4 => 0..40_u32, 1 => 0..700_u32];
    let length = prop_oneof![4 => 4..12_u32, 4 => 4..80_u32, 1 => 4..1000_u32];
    let offset = prop_oneof![4 => 1..20_u32, 2 => 0..4000_u32, 4 => Just(0)];
    prop::collection::vec((run, length, offset), 0..600).prop_map(|all| {
        let mut size = 0;
        let mut last = [1; 3];
        let each = all.into_iter().map(|(run, length, offset)| {
            // Something to copy; 0 is one of the last offsets.
            let literals = if size == 0 { run.max(1) } else { run };
            let offset = if offset == 0 { last[length as usize % 3] } else { offset };
            let offset = offset.min(size + literals);
            last.rotate_right(1);
            last[0] = offset;
            size += literals + length;
            Sequence { literals, length, offset }
        });
        each.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sequences_come_back(sequences in sequences(), rest in 0..70_usize) {
        let raw = expand(&sequences, rest);
        for model in MODELS {
            round_trip(model, &raw, &sequences, true);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_rebuild_the_same_everywhere(
        bytes in prop::array::uniform6(prop::collection::vec(0..12_u8, 0..40)),
        tail in prop::collection::vec(any::<u8>(), 0..8),
        size in 0..300_usize,
    ) {
        let mut streams = Streams { bytes, tail };
        let count = streams.bytes[1].len();
        streams.bytes[2..5].iter_mut().for_each(|stream| stream.resize(count, 1));
        for model in MODELS {
            rebuild(model, &streams, size, true);
        }
    }
}
