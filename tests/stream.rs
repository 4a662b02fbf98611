//! The `Write` and `Read` adapters and the one-shot functions.

use std::io::{Read, Write};

use ranvil::{Options, compress, decompress};

const ALICE: &[u8] = include_bytes!("data/alice29.txt");

#[test]
fn a_file_comes_back() {
    let coded = compress(ALICE).unwrap();
    assert!(coded.len() < ALICE.len() * 6 / 10);
    assert!(decompress(&coded).unwrap() == ALICE);
    let mut w = Options::new().block_size(4096).unwrap().compressor(Vec::new()).unwrap();
    w.write_all(ALICE).unwrap();
    let coded = w.finish().unwrap();
    let mut raw = Vec::new();
    Options::new().decompressor(&coded[..]).unwrap().read_to_end(&mut raw).unwrap();
    assert!(raw == ALICE);
}
