//! The fuzz targets' properties on their seeds, and on mutations of them: what `fuzz/` looks for at length.

mod common;
#[path = "common/fuzz.rs"]
mod fuzz;

use std::{fs, path::Path};

use common::Random;
use fuzz::TARGETS;

/// Seeds of a target: `fuzz/seeds/TARGET/*`.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
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
