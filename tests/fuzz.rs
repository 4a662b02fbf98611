//! The fuzz targets' properties on their seeds, and on mutations of them: what `fuzz/` looks for at length.

mod common;
#[path = "common/fuzz.rs"]
mod fuzz;

use std::{fs, io::Write, path::Path};

use common::{ALICE, FILES, Random};
use fuzz::TARGETS;
use ranvil::{
    DeviceSelector, Options, Pipeline, Simd,
    coder::{BlockParams, Codec, Coder},
    model::{LzCoder, LzParams, Model},
};

/// Seeds of a target: `fuzz/seeds/TARGET/*`.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Coded seeds of the targets that decode: they are those of the format as it is, or mutations of them end at the first check. With
/// `RANVIL_WRITE_SEEDS=1` they are written instead of compared.
fn coded() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    let mut codec = Codec::new(Simd::Scalar).unwrap();
    for (number, coder) in (0..).zip(Coder::ALL) {
        for size in [3000_u16, 9000] {
            let params = BlockParams { coder, segment_log: 12, table_log: None };
            let mut payload = Vec::new();
            let log = codec.encode(&ALICE[..size.into()], &params, &mut payload).table_log;
            let [high, low] = size.to_be_bytes();
            let name = ["rans", "fse", "huff"][number as usize];
            let seed = [&[number, log, 1, high, low], &payload[..]].concat();
            seeds.push(("coder", format!("{name}-{size}"), seed));
        }
    }
    for (number, model) in (0..).zip([Model::Lz77, Model::LzSeq]) {
        for (content, level) in [(0, 1), (1, 9)] {
            let raw = &FILES[content].1[..6000];
            let coders = &Coder::ALL;
            let params = LzParams { model, coders, level, segment_log: 12 };
            let mut payload = Vec::new();
            LzCoder::new(Simd::Scalar).unwrap().encode(raw, &params, &mut payload);
            let [high, low] = 6000_u16.to_be_bytes();
            let seed = [&[number, 0, high, low], &payload[..]].concat();
            let name = ["lz77", "lzseq"][usize::from(number)];
            seeds.push(("lz_block", format!("{name}-{content}-6000"), seed));
        }
    }
    let options = || Options::new().device(DeviceSelector::Cpu).threads(1);
    let mut frame = |name: &str, seed: Vec<u8>| seeds.push(("frame", name.to_owned(), seed));
    let (text, half) = (&ALICE[..6000], &ALICE[..3000]);
    let default = options().compress(half).unwrap();
    frame("text", options().compress(text).unwrap());
    frame("concatenated", [&default[..], &default].concat());
    frame("lzf-1", options().pipeline(Pipeline::Lzf).level(1).unwrap().compress(text).unwrap());
    frame("lzseqr-fine", options().compress(&FILES[4].1[..6000]).unwrap());
    frame("without-index", options().index(false).compress(text).unwrap());
    for (unknown, name) in [(true, "nothing-known"), (false, "flushed")] {
        let options = if unknown { options().index(false) } else { options() };
        let mut coded = Vec::new();
        let mut compressor = options.compressor(&mut coded).unwrap();
        compressor.write_all(half).unwrap();
        if !unknown {
            compressor.flush().unwrap();
        }
        compressor.write_all(&text[3000..]).unwrap();
        compressor.finish().unwrap();
        frame(name, coded);
    }
    for log in 8..=12 {
        let options = options().pipeline(Pipeline::Rans).table_log(Some(log)).unwrap();
        frame(&format!("table-log-{log}"), options.compress(half).unwrap());
    }
    seeds
}

#[test]
fn coded_seeds_are_those_of_the_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, name, seed) in coded() {
        let path = folder.join(target).join(&name);
        if std::env::var_os("RANVIL_WRITE_SEEDS").is_some() {
            fs::write(&path, &seed).unwrap();
        }
        let stored = fs::read(&path).unwrap();
        assert!(stored == seed, "{target}/{name} is stale: RANVIL_WRITE_SEEDS=1 writes it anew");
    }
}

#[test]
fn properties_hold_on_seeds_and_their_mutations() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut random = Random(7);
        for seed in &seeds {
            target(seed);
            for _ in 0..300 {
                let mut data = seed.clone();
                for _ in 0..1 + random.below(4) {
                    // The parameters are in front: as often those as anything.
                    let reach = if random.below(2) == 0 { 10 } else { usize::MAX };
                    let at = random.below(data.len().clamp(1, reach));
                    match (random.below(8), data.get_mut(at)) {
                        (0, _) => data.truncate(random.below(data.len().max(1))),
                        (1..3, Some(byte)) => *byte = random.below(256) as u8,
                        (_, Some(byte)) => *byte ^= 1 << random.below(8),
                        (_, None) => {}
                    }
                }
                target(&data);
            }
        }
    }
}
