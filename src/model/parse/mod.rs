//! Finding the sequences of a block.
//!
//! A level of the one [table](levels::LEVELS) names a strategy, which walks through the block: [`fast`], [`double`] or
//! [`optimal`]. All compare bytes by [`bytes`] alone.

use super::{Model, Sequence};

mod bytes;
mod chains;
mod double;
mod fast;
pub(super) mod levels;
mod optimal;
mod price;
#[cfg(test)]
mod tests;

use levels::{Level, Strategy};

/// The search begins here, so that the offsets repeated at first lie within the block.
const START: usize = 8;
/// And ends this many bytes before the block's end, so that wide loads do too.
const END: usize = 16;

/// Finds matches. It owns its tables and reuses them; what it finds in a block does not depend on earlier ones.
#[derive(Debug, Default)]
pub struct Parser {
    first: Vec<u32>,
    second: Vec<u32>,
    chains: chains::Chains,
    scratch: optimal::Scratch,
    start: Vec<Sequence>,
}

/// The sequences found so far.
struct Output<'a> {
    list: &'a mut Vec<Sequence>,
    /// Where the literals behind the last match begin.
    anchor: usize,
}

impl<'a> Output<'a> {
    fn new(list: &'a mut Vec<Sequence>) -> Self {
        list.clear();
        Self { list, anchor: 0 }
    }

    #[inline(always)]
    fn push(&mut self, start: usize, length: usize, offset: usize) {
        let literals = (start - self.anchor) as u32;
        self.list.push(Sequence { literals, length: length as u32, offset: offset as u32 });
        self.anchor = start + length;
    }
}

/// How far a search moves on after `run` bytes without a match: ever farther, so that incompressible bytes cost little.
#[inline(always)]
fn stride(run: usize) -> usize {
    1 + (run >> 8).min(127)
}

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
        self.run(raw, model, &levels::LEVELS[usize::from(level - 1)], out);
    }

    pub(super) fn run(&mut self, raw: &[u8], model: Model, level: &Level, out: &mut Vec<Sequence>) {
        let mut out = Output::new(out);
        clear(&mut self.first, level.first_log);
        clear(&mut self.second, level.second_log);
        let Self { first, second, chains, scratch, start } = self;
        match level.strategy {
            Strategy::Fast => match level.hash_bytes {
                5 => fast::parse::<5>(raw, first, &mut out),
                _ => fast::parse::<6>(raw, first, &mut out),
            },
            Strategy::Double => double::parse(raw, first, second, level.nice as usize, &mut out),
            Strategy::Optimal if model == Model::Lz77 => {
                double::parse(raw, first, second, level.nice as usize, &mut out)
            }
            Strategy::Optimal => {
                double::parse(raw, first, second, level.nice as usize, &mut Output::new(start));
                chains.reset(raw.len(), 17);
                optimal::parse(raw, chains, scratch, start, level, &mut out);
            }
        }
    }
}

/// Makes `table` `2^log` zeros.
fn clear(table: &mut Vec<u32>, log: u32) {
    table.clear();
    table.resize(1 << log, 0);
}
