//! Rows of recent positions by hash: a row lies in one cache line, so the candidates of a position cost one miss. The idea is that
//! of Zstandard's row-based match finder; here a candidate is one word, its position and ten more bits of its hash, which
//! tell most of the wrong ones before they cost another miss.

use super::bytes::{common, hash, load32, load64};

/// Candidates of a row.
pub const WIDTH: usize = 8;
/// Bits of a position.
const AT: u32 = 22;
/// Bits of a tag.
const TAG: u32 = 32 - AT;
/// How far ahead rows are loaded.
const AHEAD: usize = 8;

/// The last positions whose hashes agree in the row's number, the latest first, and below each its tag; 0 if none.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Row([u32; WIDTH]);

impl Row {
    #[inline(always)]
    fn push(&mut self, entry: u32) {
        let old = self.0;
        self.0[1..].copy_from_slice(&old[..WIDTH - 1]);
        self.0[0] = entry;
    }

    /// A bit for each entry with the tag of `entry`.
    #[inline(always)]
    fn equal(&self, entry: u32) -> u32 {
        let mut mask = 0;
        for other in self.0.iter().rev() {
            mask = mask << 1 | u32::from((other ^ entry) >> AT == 0);
        }
        mask
    }
}

/// A match found at some position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Match {
    pub length: usize,
    pub offset: usize,
}

/// All rows.
#[derive(Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    log: u32,
    /// Of the next positions.
    hashes: [u32; AHEAD],
    touched: u32,
    /// The first position that is not in a row.
    next: usize,
}

impl Rows {
    /// Bytes of `2^log` rows.
    pub fn memory(log: u32) -> u64 {
        (size_of::<Row>() as u64) << log
    }

    /// Empties `2^log` rows for a block.
    pub fn reset<const BYTES: u32>(&mut self, raw: &[u8], log: u32) {
        self.rows.clear();
        self.rows.resize(1 << log, Row([0; WIDTH]));
        self.log = log;
        self.next = 1;
        for at in (1..=AHEAD).take_while(|at| at + 8 <= raw.len()) {
            self.hashes[at % AHEAD] = self.hash::<BYTES>(raw, at);
        }
    }

    #[inline(always)]
    fn hash<const BYTES: u32>(&self, raw: &[u8], at: usize) -> u32 {
        hash::<BYTES>(load64(raw, at), self.log + TAG) as u32
    }

    /// The row of the next position, and the position with its tag. Loads the row of a later one, so that the miss passes
    /// in the meantime.
    #[inline(always)]
    fn row<const BYTES: u32>(&mut self, raw: &[u8], at: usize) -> (&mut Row, u32) {
        self.next = at + 1;
        let later = self.hash::<BYTES>(raw, at + AHEAD);
        self.touched ^= self.rows[(later >> TAG) as usize].0[0];
        let hash = std::mem::replace(&mut self.hashes[at % AHEAD], later);
        (&mut self.rows[(hash >> TAG) as usize], hash << AT | at as u32)
    }

    /// Takes in the next position.
    #[inline(always)]
    pub fn push<const BYTES: u32>(&mut self, raw: &[u8], at: usize) {
        let (row, entry) = self.row::<BYTES>(raw, at);
        row.push(entry);
    }

    /// Takes in the positions below `end`.
    #[inline]
    pub fn insert<const BYTES: u32>(&mut self, raw: &[u8], end: usize) {
        for at in self.next..end {
            self.push::<BYTES>(raw, at);
        }
    }

    /// Calls `take` for the matches at `at` that are longer than `best` and all before them, the nearest first, of at
    /// most `depth` candidates, until one is `nice`. Takes in the positions up to `at`.
    #[inline(always)]
    pub fn find<const BYTES: u32>(
        &mut self,
        raw: &[u8],
        at: usize,
        mut best: usize,
        depth: usize,
        nice: usize,
        mut take: impl FnMut(Match),
    ) {
        if self.next < at {
            self.insert::<BYTES>(raw, at);
        }
        let (row, entry) = self.row::<BYTES>(raw, at);
        let mut candidates = row.equal(entry);
        let old = row.0;
        row.push(entry);
        for _ in 0..depth {
            if candidates == 0 || best >= nice || at + best >= raw.len() {
                break;
            }
            let from =
                (old[candidates.trailing_zeros() as usize % WIDTH] & ((1 << AT) - 1)) as usize;
            candidates &= candidates - 1;
            let skip = best.max(3) - 3;
            if from == 0 || load32(raw, from + skip) != load32(raw, at + skip) {
                continue;
            }
            let length = common(raw, from, at);
            if length > best && length >= 4 {
                best = length;
                take(Match { length, offset: at - from });
            }
        }
    }
}
