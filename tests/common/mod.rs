//! Data for tests: real files, generated content, random numbers.
#![allow(dead_code)] // Each test binary uses another part.

pub mod segments;
pub mod specified;

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

use ranvil::Error;

/// The real files of `tests/data`.
pub const FILES: [(&str, &[u8]); 5] = [
    ("alice29.txt", include_bytes!("../data/alice29.txt")),
    ("ecoli.64k", include_bytes!("../data/ecoli.64k")),
    ("levitus_temp.96k", include_bytes!("../data/levitus_temp.96k")),
    ("helmet_color.bc7.96k", include_bytes!("../data/helmet_color.bc7.96k")),
    ("helmet_mesh.64k", include_bytes!("../data/helmet_mesh.64k")),
];

pub const ALICE: &[u8] = FILES[0].1;

/// xorshift64*: the same numbers on every machine.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| (self.next() >> 56) as u8).collect()
    }
}

/// Content of every sort, each of `length` bytes.
pub fn contents(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut random = Random(length as u64 + 1);
    let noise = random.bytes(length);
    let skew = noise.iter().map(|&byte| byte.leading_zeros() as u8).collect();
    let rare = noise.iter().map(|&byte| if byte == 0 { 200 } else { 7 }).collect();
    let text = ALICE.iter().cycle().take(length).copied().collect();
    vec![
        ("one value", vec![0xA5; length]),
        ("two values", noise.iter().map(|byte| byte & 1).collect()),
        ("a rare value", rare),
        ("heavy skew", skew),
        ("text", text),
        ("noise", noise),
    ]
}

/// Files below `set` of the corpus, if it is there (`RANVIL_CORPUS`, else `../shared/corpora`, unpacked).
pub fn corpus(set: &str) -> Vec<PathBuf> {
    let root = std::env::var_os("RANVIL_CORPUS")
        .map_or_else(|| PathBuf::from("../shared/corpora"), PathBuf::from);
    let mut files = Vec::new();
    let mut folders = vec![root.join(set)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    if files.is_empty() {
        eprintln!("no corpus {set}: only the repository's own files are tested");
    }
    files
}

/// `length` bytes from the middle of every file of the corpus, if it is there.
pub fn corpus_windows(length: u64) -> Vec<(PathBuf, Vec<u8>)> {
    let window = |path: &PathBuf| -> io::Result<Vec<u8>> {
        let mut file = fs::File::open(path)?;
        let middle = file.metadata()?.len().saturating_sub(length) / 2;
        file.seek(SeekFrom::Start(middle))?;
        let mut bytes = Vec::new();
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let files = corpus("").into_iter().map(|path| (window(&path).unwrap(), path));
    files.filter(|(bytes, _)| !bytes.is_empty()).map(|(bytes, path)| (path, bytes)).collect()
}

/// Whether a compressor or a decompressor fails now and when it is used again.
pub fn stays<T>(mut step: impl FnMut() -> io::Result<T>, expected: impl Fn(Error) -> bool) -> bool {
    (0..3).all(|_| step().is_err_and(|error| expected(Error::from_io(error))))
}

/// Yields a byte at a time, with an interruption before each.
pub struct Trickle<'a>(pub &'a [u8], pub bool);

impl Read for Trickle<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        if self.1 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = buf.len().min(1);
        self.0.read(&mut buf[..length])
    }
}
