//! What the benchmarks of the CPU share: the data and how it is cut.

use std::{env, fs, path::PathBuf};

/// Raw bytes of a block.
pub const BLOCK: usize = 256 << 10;

/// The file that RANVIL_BENCH_FILE names, else Silesia's dickens under RANVIL_CORPUS (or ../shared/corpora), else the
/// repository's alice29.txt.
pub fn input() -> (PathBuf, Vec<u8>) {
    let corpus = env::var_os("RANVIL_CORPUS").unwrap_or("../shared/corpora".into());
    let dickens = PathBuf::from(corpus).join("silesia/dickens");
    let path = match env::var_os("RANVIL_BENCH_FILE") {
        Some(file) => PathBuf::from(file),
        None if dickens.exists() => dickens,
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/alice29.txt").into(),
    };
    let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (path, data)
}
