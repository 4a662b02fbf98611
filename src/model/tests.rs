//! Round trips through the streams of both models.

use super::{Model, Sequence, parse::Parser, streams::*};

const MODELS: [Model; 2] = [Model::Lz77, Model::LzSeq];
const FILES: [&[u8]; 5] = [
    include_bytes!("../../tests/data/alice29.txt"),
    include_bytes!("../../tests/data/ecoli.64k"),
    include_bytes!("../../tests/data/levitus_temp.96k"),
    include_bytes!("../../tests/data/helmet_color.bc7.96k"),
    include_bytes!("../../tests/data/helmet_mesh.64k"),
];

fn round_trip(model: Model, raw: &[u8], sequences: &[Sequence]) {
    let mut streams = Streams::default();
    model.split(raw, sequences, &mut streams);
    let layout = Layout::new(model, streams.counts(model), raw.len()).expect("own counts");
    assert_eq!(layout.bytes, streams.bytes.each_ref().map(Vec::len));
    assert_eq!(layout.tail, streams.tail.len());
    let mut back = vec![0; raw.len()];
    model.rebuild(streams.view(), &mut back).expect("own streams");
    assert!(back == raw);
}

#[test]
fn real_files_come_back() {
    let mut sequences = Vec::new();
    for raw in FILES {
        for model in MODELS {
            Parser::new().parse(raw, model, 1, &mut sequences);
            round_trip(model, raw, &sequences);
        }
    }
}
