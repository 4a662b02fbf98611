//! ranvil's hot loops, one by one: `cargo xtask instructions` runs each under callgrind, which counts what happens within
//! [`measured`]. Everything here is on one thread and depends on nothing but the code, so the counts are always the
//! same.
//!
//! Without an argument it lists the loops: name, units of work, and what a unit is. With a name it runs that loop.
#![forbid(unsafe_code)]

use std::{hint::black_box, process::ExitCode};

use ranvil::{
    Simd,
    coder::{BlockParams, Codec, Coder, Encoded},
    model::{Model, parse::Parser, streams::Streams},
};

/// Text: symbols of all frequencies.
const TEXT: &[u8] = include_bytes!("../../../tests/data/alice29.txt");
/// Numbers: short matches, many literals.
const MESH: &[u8] = include_bytes!("../../../tests/data/helmet_mesh.64k");
const SEGMENT_LOG: u8 = 14;
/// How often a task or a run is done that takes few instructions.
const TIMES: u64 = 4096;

/// Work that is about to be counted.
type Work = Box<dyn FnMut()>;

struct Loop {
    name: String,
    units: u64,
    unit: &'static str,
    /// Makes the work ready and does it once, so that no buffer grows any more.
    prepare: Box<dyn Fn() -> Work>,
}

/// Callgrind counts here and nowhere else.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
    black_box(());
}

fn main() -> ExitCode {
    let loops = loops();
    match std::env::args().nth(1) {
        None => loops.iter().for_each(|l| println!("{}\t{}\t{}", l.name, l.units, l.unit)),
        Some(name) => match loops.iter().find(|l| l.name == name) {
            Some(l) => measured(&mut *(l.prepare)()),
            None => {
                eprintln!("ranvil-loops: there is no loop {name}");
                return ExitCode::FAILURE;
            }
        },
    }
    ExitCode::SUCCESS
}

fn loops() -> Vec<Loop> {
    let mut loops = Vec::new();
    // Valgrind knows no AVX-512.
    let known = [Simd::Scalar, Simd::Portable, Simd::Avx2];
    for simd in known.into_iter().filter(|simd| Simd::available().contains(simd)) {
        for coder in Coder::ALL {
            let name = |what| format!("{coder:?} {what} {simd:?}").to_lowercase();
            loops.push(bytes(name("encode"), TEXT, move || encode(coder, simd)));
            loops.push(bytes(name("decode"), TEXT, move || decode(coder, simd)));
        }
    }
    for level in [1, 3] {
        loops.push(bytes(format!("parse lzseq:{level} text"), TEXT, move || parse(TEXT, level)));
        loops.push(bytes(format!("parse lzseq:{level} mesh"), MESH, move || parse(MESH, level)));
    }
    for model in [Model::Lz77, Model::LzSeq] {
        let name = |what| format!("{what} {model:?}").to_lowercase();
        loops.push(bytes(name("split"), TEXT, move || streams(model, true)));
        loops.push(bytes(name("rebuild"), TEXT, move || streams(model, false)));
    }
    let times = |name: &str, unit, run: fn(u64)| Loop {
        name: name.to_owned(),
        units: TIMES,
        unit,
        prepare: Box::new(move || {
            run(TIMES);
            Box::new(move || run(TIMES))
        }),
    };
    loops.push(times("spawn and retire", "task", ranvil::testing::spawn_and_retire));
    loops.push(times("telemetry off", "task", ranvil::testing::record_nothing));
    loops.push(times("telemetry off, a run", "run", ranvil::testing::begin_nothing));
    loops
}

fn bytes(name: String, data: &[u8], prepare: impl Fn() -> Work + 'static) -> Loop {
    Loop { name, units: data.len() as u64, unit: "byte", prepare: Box::new(prepare) }
}

fn encode(coder: Coder, simd: Simd) -> Work {
    let mut codec = Codec::new(simd).expect("available");
    let params = BlockParams { coder, segment_log: SEGMENT_LOG, table_log: None };
    let mut payload = Vec::new();
    let mut work = move || {
        black_box(codec.encode(TEXT, &params, &mut payload));
    };
    work();
    Box::new(work)
}

fn decode(coder: Coder, simd: Simd) -> Work {
    let mut codec = Codec::new(simd).expect("available");
    let params = BlockParams { coder, segment_log: SEGMENT_LOG, table_log: None };
    let (mut payload, mut raw) = (Vec::new(), vec![0; TEXT.len()]);
    let Encoded { kind, table_log } = codec.encode(TEXT, &params, &mut payload);
    let mut work = move || {
        let decoded = codec.decode(&payload, kind, coder, table_log, SEGMENT_LOG, &mut raw);
        decoded.expect("own payload");
        black_box(&raw);
    };
    work();
    Box::new(work)
}

fn parse(data: &'static [u8], level: u8) -> Work {
    let (mut parser, mut sequences) = (Parser::new(), Vec::new());
    let mut work = move || {
        parser.parse(data, Model::LzSeq, level, &mut sequences);
        black_box(&sequences);
    };
    work();
    Box::new(work)
}

/// From sequences to streams, or from streams to bytes.
fn streams(model: Model, split: bool) -> Work {
    let (mut sequences, mut streams) = (Vec::new(), Streams::default());
    Parser::new().parse(TEXT, model, 3, &mut sequences);
    model.split(TEXT, &sequences, &mut streams);
    let mut raw = vec![0; TEXT.len()];
    let mut work: Work = match split {
        true => Box::new(move || {
            model.split(TEXT, &sequences, &mut streams);
            black_box(&streams);
        }),
        false => Box::new(move || {
            model.rebuild(streams.view(), &mut raw).expect("own streams");
            black_box(&raw);
        }),
    };
    work();
    work
}
