//! Twin of `kernels/lengths.comp`.

use super::normalise::make_tables;
use crate::coder::{Coder, huffman::for_each_code};

pub fn run(_: &[u8], buffers: &mut [&mut [u32]]) {
    make_tables(&[Coder::Huffman], buffers, |table, entries| {
        for_each_code(table, |symbol, length, code| {
            entries[usize::from(symbol)] = code << 8 | length;
        });
    });
}
