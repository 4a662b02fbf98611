//! Candidates of lazy and optimal parses: the nearest position with four equal bytes (the optimal one: three, too), and a
//! row of those with five.

use super::bytes::{common, hash, load32, load64};
use super::levels::Level;
use super::rows::{Match, Rows, WIDTH};

/// Equal bytes of three are worth their offset up to here.
const NEAR: usize = 1 << 15;
const THREES_LOG: u32 = 15;

/// Matches found at a position, ever longer and farther.
#[derive(Debug, Default)]
pub struct Found {
    list: [Match; 2 + WIDTH],
    length: usize,
}

impl Found {
    #[inline(always)]
    fn push(&mut self, found: Match) {
        self.list[self.length] = found;
        self.length += 1;
    }

    pub fn matches(&self) -> &[Match] {
        &self.list[..self.length]
    }
}

/// Tables of positions.
#[derive(Debug, Default)]
pub struct Finder {
    threes: Vec<u32>,
    fours: Vec<u32>,
    rows: Rows,
    next: usize,
}

/// Bytes whose hash chooses a row.
const BYTES: u32 = 5;

impl Finder {
    /// Bytes of the tables for these [logs](Level::logs).
    pub fn memory([fours, rows]: [u32; 2]) -> u64 {
        (4 << THREES_LOG) + (4 << fours) + Rows::memory(rows)
    }

    /// Empties the tables for a block.
    pub fn reset(&mut self, raw: &[u8], level: &Level) {
        super::clear(&mut self.threes, THREES_LOG);
        super::clear(&mut self.fours, level.logs[0]);
        self.rows.reset::<BYTES>(raw, level.logs[1]);
        self.next = 1;
    }

    /// Takes in the positions below `end`.
    #[inline(never)]
    pub fn insert<const THREES: bool>(&mut self, raw: &[u8], end: usize) {
        let log = self.fours.len().ilog2();
        for at in self.next..end {
            let word = load64(raw, at);
            if THREES {
                self.threes[hash::<3>(word, THREES_LOG)] = at as u32;
            }
            self.fours[hash::<4>(word, log)] = at as u32;
        }
        self.next = self.next.max(end);
        self.rows.insert::<BYTES>(raw, end);
    }

    /// Takes in `at`.
    #[inline(always)]
    pub fn skip<const THREES: bool>(&mut self, raw: &[u8], at: usize) {
        if self.next < at {
            self.insert::<THREES>(raw, at);
        }
        let log = self.fours.len().ilog2();
        let word = load64(raw, at);
        if THREES {
            self.threes[hash::<3>(word, THREES_LOG)] = at as u32;
        }
        self.fours[hash::<4>(word, log)] = at as u32;
        self.rows.push::<BYTES>(raw, at);
        self.next = at + 1;
    }

    /// The matches at `at` longer than `best`.
    #[inline(always)]
    pub fn find<const THREES: bool>(
        &mut self,
        raw: &[u8],
        at: usize,
        mut best: usize,
        level: &Level,
        found: &mut Found,
    ) {
        found.length = 0;
        if self.next < at {
            self.insert::<THREES>(raw, at);
        }
        self.next = at + 1;
        let word = load64(raw, at);
        let log = self.fours.len().ilog2();
        let three = if THREES {
            std::mem::replace(&mut self.threes[hash::<3>(word, THREES_LOG)], at as u32) as usize
        } else {
            0
        };
        let four = std::mem::replace(&mut self.fours[hash::<4>(word, log)], at as u32) as usize;
        if THREES && best < 3 && at - three < NEAR && (load32(raw, three) ^ word as u32) << 8 == 0 {
            best = common(raw, three, at);
            found.push(Match { length: best, offset: at - three });
        }
        if load32(raw, four) == word as u32 {
            let length = common(raw, four, at);
            if length > best {
                best = length;
                found.push(Match { length, offset: at - four });
            }
        }
        self.rows.find::<BYTES>(raw, at, best, level.depth, level.nice, |m| found.push(m));
    }
}
