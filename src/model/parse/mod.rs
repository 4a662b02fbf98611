//! Finding the sequences of a block.
//!
//! A level of the one table (`levels`) names a strategy, which walks through the block: `fast`, `double`, `lazy` or
//! `optimal`. The first two have plain tables of positions, the others a `finder`. All compare bytes by `bytes` alone.

use super::{Model, Sequence, make_room};

mod bytes;
mod double;
mod fast;
mod finder;
mod lazy;
mod levels;
mod optimal;
mod price;
mod rows;
#[cfg(test)]
mod tests;

use levels::{LEVELS, Level, Strategy};

/// Bytes of a block whose statistics are the first prices of the optimal parse.
const SAMPLE: usize = 1 << 16;
/// The search begins here, so that the offsets repeated at first lie within the block.
const START: usize = 8;
/// And ends this many bytes before the block's end, so that wide loads do too.
const END: usize = 16;

/// Positions passed over by longer strides than this are not taken in.
const FAR: usize = 4;

/// Finds matches. It owns its tables and reuses them; what it finds in a block does not depend on earlier ones.
#[derive(Debug, Default)]
pub struct Parser {
    first: Vec<u32>,
    second: Vec<u32>,
    finder: finder::Finder,
    optimal: optimal::Optimal,
    guess: Vec<Sequence>,
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
        let Level { strategy, logs, .. } = LEVELS[usize::from(level - 1)].fit(block_size);
        let [first, second] = logs.map(|log| 4 << log);
        match strategy {
            Strategy::Fast { .. } => first,
            Strategy::Double => first + second,
            Strategy::Lazy { .. } | Strategy::Optimal { .. } => {
                let sample = 4 << SAMPLE.ilog2();
                let guess = (SAMPLE / 4 * size_of::<Sequence>()) as u64;
                finder::Finder::memory(logs) + optimal::MEMORY + 2 * sample + guess
            }
        }
    }

    /// The most sequences that a block may have.
    pub(super) fn sequences(block_size: usize, model: Model, level: u8) -> usize {
        LEVELS[usize::from(level - 1)].sequences(block_size, model)
    }

    /// Cuts a block into sequences, which replace those in `out`; what follows the last one are literals.
    ///
    /// # Panics
    /// If the block is larger than 4 MiB or the level is not 1 to 9.
    pub fn parse(&mut self, raw: &[u8], model: Model, level: u8, out: &mut Vec<Sequence>) {
        assert!(raw.len() <= 4 << 20 && (1..=9).contains(&level));
        self.run(raw, model, LEVELS[usize::from(level - 1)], out);
    }

    fn run(&mut self, raw: &[u8], model: Model, level: Level, out: &mut Vec<Sequence>) {
        make_room(out, level.sequences(raw.len(), model));
        let level = level.fit(raw.len());
        let mut out = Output::new(out);
        let Self { first, second, finder, optimal, guess } = self;
        match level.strategy {
            Strategy::Fast { bytes } => {
                clear(first, level.logs[0]);
                match bytes {
                    5 => fast::parse::<5>(raw, first, &mut out),
                    _ => fast::parse::<7>(raw, first, &mut out),
                }
            }
            Strategy::Double => {
                clear(first, level.logs[0]);
                clear(second, level.logs[1]);
                double::parse(raw, first, second, level.nice, &mut out);
            }
            Strategy::Lazy { steps } => {
                finder.reset(raw, &level);
                lazy::parse(raw, finder, steps, &level, &mut out);
            }
            Strategy::Optimal { .. } if model == Model::Lz77 => {
                // No cheap offsets to weigh.
                let level = Level { nice: 256, ..level };
                finder.reset(raw, &level);
                lazy::parse(raw, finder, 2, &level, &mut out);
            }
            Strategy::Optimal { skip } => {
                let sample = &raw[..raw.len().min(SAMPLE)];
                [&mut *first, second].into_iter().for_each(|table| clear(table, SAMPLE.ilog2()));
                make_room(guess, SAMPLE / 4);
                double::parse(sample, first, second, 64, &mut Output::new(guess));
                finder.reset(raw, &level);
                optimal.guess(sample, guess);
                optimal.parse(raw, finder, skip, &level, &mut out);
            }
        }
    }
}

/// Makes `table` `2^log` zeros.
fn clear(table: &mut Vec<u32>, log: u32) {
    table.clear();
    table.resize(1 << log, 0);
}
