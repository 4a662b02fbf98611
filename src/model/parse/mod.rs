//! Finding the sequences of a block.

use super::{Model, Sequence};

/// Finds matches. It owns its tables and reuses them; what it finds in a block does not depend on earlier ones.
#[derive(Debug, Default)]
pub struct Parser {}

impl Parser {
    /// A parser; its tables are allocated when a block needs them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that the tables take for blocks of `block_size` bytes at `level`.
    pub fn memory(block_size: usize, level: u8) -> u64 {
        let _ = (block_size, level);
        1 << 20
    }

    /// Cuts a block into sequences, which replace those in `out`; what follows the last one are literals.
    ///
    /// # Panics
    /// If the block is larger than 4 MiB or the level is not 1 to 9.
    pub fn parse(&mut self, raw: &[u8], model: Model, level: u8, out: &mut Vec<Sequence>) {
        assert!(raw.len() <= 4 << 20 && (1..=9).contains(&level));
        out.clear();
        let mut heads = vec![u32::MAX; 1 << 16];
        let (mut at, mut run) = (0, 0);
        while at + 8 <= raw.len() {
            let word = u32::from_le_bytes(raw[at..at + 4].try_into().expect("four bytes"));
            let head = &mut heads[(word.wrapping_mul(0x9e37_79b1) >> 16) as usize];
            let from = std::mem::replace(head, at as u32) as usize;
            let length = match raw.get(from..) {
                Some(old) => old.iter().zip(&raw[at..]).take_while(|(a, b)| a == b).count(),
                None => 0,
            };
            if length < 4.max(model.min_match() as usize) {
                at += 1;
                continue;
            }
            let (literals, offset) = ((at - run) as u32, (at - from) as u32);
            out.push(Sequence { literals, length: length as u32, offset });
            at += length;
            run = at;
        }
    }
}
