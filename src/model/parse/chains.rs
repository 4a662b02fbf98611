//! Hash chains: for every position the one before it with the same hash.

use super::bytes::{common, hash, load32, load64};

/// A match found at some position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    pub length: usize,
    pub offset: usize,
}

/// Positions by the hash of their first four bytes.
#[derive(Debug, Default)]
pub struct Chains {
    /// The latest position with a hash, 0 if none.
    heads: Vec<u32>,
    /// For each position the one before it with its hash.
    links: Vec<u32>,
    /// The latest position with a hash of three bytes.
    threes: Vec<u32>,
    /// The first position that is not in the chains.
    next: usize,
}

impl Chains {
    /// Empties the chains for a block of `length` bytes.
    pub fn reset(&mut self, length: usize, log: u32) {
        self.heads.clear();
        self.heads.resize(1 << log, 0);
        self.threes.clear();
        self.threes.resize(1 << 15, 0);
        self.links.resize(length, 0);
        self.next = 1;
    }

    /// Takes in the positions below `end`.
    #[inline]
    pub fn insert(&mut self, raw: &[u8], end: usize) {
        let log = self.heads.len().ilog2();
        for at in self.next..end {
            let word = load64(raw, at);
            let head = &mut self.heads[hash::<4>(word, log)];
            self.links[at] = std::mem::replace(head, at as u32);
            self.threes[hash::<3>(word, 15)] = at as u32;
        }
        self.next = self.next.max(end);
    }

    /// Matches at `at`, ever longer and each as near as any of its length, of more than `least` bytes.
    pub fn find(
        &mut self,
        raw: &[u8],
        at: usize,
        least: usize,
        depth: usize,
        nice: usize,
        found: &mut Vec<Match>,
    ) {
        found.clear();
        self.insert(raw, at);
        let word = load64(raw, at);
        let mut best = least;
        if best < 3 {
            let from = self.threes[hash::<3>(word, 15)] as usize;
            if from > 0 && (load32(raw, from) ^ word as u32) << 8 == 0 && at - from < 1 << 14 {
                best = common(raw, from, at);
                found.push(Match { length: best, offset: at - from });
            }
        }
        let mut from = self.heads[hash::<4>(word, self.heads.len().ilog2())] as usize;
        best = best.max(3);
        for _ in 0..depth {
            if from == 0 || best >= nice || at + best >= raw.len() {
                break;
            }
            if load32(raw, from + best - 3) == load32(raw, at + best - 3) {
                let length = common(raw, from, at);
                if length > best {
                    best = length;
                    found.push(Match { length, offset: at - from });
                }
            }
            from = self.links[from] as usize;
        }
    }
}
