//! The LZ models on real data: every file of `tests/data`, and a window of every file of the corpus if it is there.

mod common;

use ranvil::model::{Model, Sequence, parse::Parser, streams::Streams, twin};

/// The block comes back from its streams, on the CPU and in the data-parallel steps.
fn comes_back(name: &str, raw: &[u8], parser: &mut Parser) {
    let (mut sequences, mut streams) = (Vec::<Sequence>::new(), Streams::default());
    for model in [Model::Lz77, Model::LzSeq] {
        parser.parse(raw, model, 3, &mut sequences);
        model.split(raw, &sequences, &mut streams);
        let mut back = vec![0; raw.len()];
        model.rebuild(streams.view(), &mut back).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(back == raw, "{name}, {model:?}");
        back.fill(0);
        twin::rebuild(model, streams.view(), &mut back)
            .unwrap_or_else(|fault| panic!("{name}, twin: {fault}"));
        assert!(back == raw, "{name}, {model:?}, twin");
    }
}

#[test]
fn real_files_come_back() {
    let mut parser = Parser::new();
    for (name, raw) in common::FILES {
        comes_back(name, raw, &mut parser);
    }
}

#[test]
fn corpora_come_back() {
    let mut parser = Parser::new();
    for (path, raw) in common::corpus_windows(256 << 10) {
        comes_back(&path.display().to_string(), &raw, &mut parser);
    }
}
