use super::*;

/// The block that sequences say, byte by byte.
fn expand(raw: &[u8], list: &[Sequence], model: Model) -> Vec<u8> {
    let mut out = Vec::new();
    for sequence in list {
        out.extend_from_slice(&raw[out.len()..out.len() + sequence.literals as usize]);
        assert!(sequence.length >= model.min_match(), "{sequence:?}");
        assert!((1..=out.len()).contains(&(sequence.offset as usize)), "{sequence:?}");
        for _ in 0..sequence.length {
            out.push(out[out.len() - sequence.offset as usize]);
        }
    }
    out.extend_from_slice(&raw[out.len()..]);
    out
}

/// Parses a block at all levels for both models, and again with tables that another block has filled.
fn check(name: &str, raw: &[u8]) {
    let mut used = Parser::new();
    let (mut list, mut again) = (Vec::new(), Vec::new());
    for level in 1..=9 {
        for model in [Model::Lz77, Model::LzSeq] {
            Parser::new().parse(raw, model, level, &mut list);
            assert!(expand(raw, &list, model) == raw, "{name}, level {level}, {model:?}");
            used.parse(&raw[raw.len() / 2..], model, level, &mut again);
            used.parse(raw, model, level, &mut again);
            assert!(list == again, "{name}, level {level}, {model:?}: earlier blocks matter");
        }
    }
}

fn files() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("test data")
        .map(|entry| entry.expect("a file").path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).expect("readable")))
        .collect();
    files.sort();
    assert!(files.len() >= 5);
    files
}

#[test]
fn sequences_rebuild_the_block() {
    for (name, raw) in files() {
        check(&name, &raw);
        for length in (0..64).chain([100, 1000, 4095]) {
            check(&name, &raw[..length.min(raw.len())]);
        }
    }
}

/// Bytes without a pattern.
fn noise(length: usize, alphabet: u32) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        ((state >> 33) as u32 % alphabet) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Blocks that make careless searches slow.
fn adversarial(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let drifting = |first: usize| {
        let mut bytes = noise(first, 256);
        let mut period = first;
        while bytes.len() < length {
            let start = bytes.len() - period;
            bytes.extend_from_within(start..start + period);
            bytes.push(period as u8);
            period += 1;
        }
        bytes.truncate(length);
        bytes
    };
    // A de Bruijn sequence but for its zeros: every other window of 19 bits occurs once (a maximal shift register).
    let mut register = 1_u32;
    let de_bruijn = std::iter::repeat_with(|| {
        let next = register ^ register >> 1 ^ register >> 2 ^ register >> 5;
        register = register >> 1 | (next & 1) << 18;
        (register & 1) as u8
    });
    let period = |n: usize| (0..length).map(|at| (at % n) as u8).collect::<Vec<_>>();
    // The same five bytes before ever different ones: all hashes of five bytes are equal.
    let tails = noise(length, 256);
    let equal = tails.chunks(3).flat_map(|tail| [b"hash!", tail].concat()).take(length);
    // Long runs that differ in the last byte.
    let runs = (0..length).map(|at| if at % 1009 == 0 { (at / 1009) as u8 } else { 0 });
    vec![
        ("zeros", vec![0; length]),
        ("period 2", period(2)),
        ("period 3", period(3)),
        ("period 255", period(255)),
        ("drifting from 5", drifting(5)),
        ("drifting from 300", drifting(300)),
        ("de Bruijn", de_bruijn.take(length).collect()),
        ("two symbols", noise(length, 2)),
        ("four symbols", noise(length, 4)),
        ("noise", noise(length, 256)),
        ("equal hashes", equal.collect()),
        ("runs", runs.collect()),
    ]
}

#[test]
fn adversarial_blocks_are_rebuilt() {
    for length in [1, 7, 17, 4096, 70_000] {
        for (name, raw) in adversarial(length) {
            check(name, &raw);
        }
    }
}

#[test]
fn work_is_linear() {
    bytes::work::take();
    let mut list = Vec::new();
    for length in [1 << 16, 1 << 19] {
        for (name, raw) in adversarial(length) {
            for (level, model) in
                (1..=9).flat_map(|level| [Model::Lz77, Model::LzSeq].map(|model| (level, model)))
            {
                Parser::new().parse(&raw, model, level, &mut list);
                let work = bytes::work::take();
                assert!(
                    work < 8 * length,
                    "{name}, {model:?}, level {level}: {work} comparisons of {length} bytes"
                );
            }
        }
    }
}

#[test]
fn noise_costs_little() {
    bytes::work::take();
    let raw = noise(1 << 20, 256);
    let mut list = Vec::new();
    for level in 1..=9 {
        Parser::new().parse(&raw, Model::LzSeq, level, &mut list);
        let work = bytes::work::take();
        assert!(work < raw.len() / 64, "level {level}: {work}");
        assert!(list.len() < raw.len() / 1000, "level {level}: {} sequences", list.len());
    }
}

#[test]
fn the_largest_block_is_rebuilt() {
    let mut raw = noise(1 << 20, 7);
    raw.extend(noise(1 << 20, 256));
    raw.extend(vec![5; 1 << 20]);
    raw.extend_from_within(..1 << 20);
    let mut list = Vec::new();
    for level in 1..=9 {
        Parser::new().parse(&raw, Model::LzSeq, level, &mut list);
        assert!(expand(&raw, &list, Model::LzSeq) == raw, "level {level}");
    }
}

#[test]
fn higher_levels_are_smaller() {
    // By a crude measure: literals, and three bytes a sequence. The optimal parse knows better ones.
    let (name, raw) = files().into_iter().find(|(name, _)| name.ends_with("alice29.txt")).unwrap();
    let mut list = Vec::new();
    let sizes: Vec<usize> = [1, 3, 5, 9]
        .map(|level| {
            Parser::new().parse(&raw, Model::LzSeq, level, &mut list);
            let matched: usize = list.iter().map(|sequence| sequence.length as usize).sum();
            raw.len() - matched + 3 * list.len()
        })
        .to_vec();
    assert!(sizes.is_sorted_by(|a, b| a >= b), "{name}: {sizes:?}");
}

proptest::proptest! {
    #[test]
    fn any_block_is_rebuilt(pieces in proptest::collection::vec((0u8..6, 0u16..3000, 1usize..900), 0..40)) {
        let mut raw = Vec::new();
        for (kind, seed, length) in pieces {
            let back = usize::from(seed).min(raw.len());
            match kind {
                0 => raw.resize(raw.len() + length, seed as u8),
                1 | 2 => raw.extend(noise(length + usize::from(seed), 1 + u32::from(seed) % 256).split_off(usize::from(seed))),
                _ if back > 0 => (0..length).for_each(|_| raw.push(raw[raw.len() - back])),
                _ => raw.push(seed as u8),
            }
        }
        check("pieces", &raw);
    }
}
