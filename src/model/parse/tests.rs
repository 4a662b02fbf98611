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

/// Parses a block at all levels for both models.
fn check(name: &str, raw: &[u8]) {
    let mut parser = Parser::new();
    let mut list = Vec::new();
    for level in 1..=9 {
        for model in [Model::Lz77, Model::LzSeq] {
            parser.parse(raw, model, level, &mut list);
            assert!(expand(raw, &list, model) == raw, "{name}, level {level}, {model:?}");
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
