//! What sequences cost, from the statistics of those before them.

use crate::model::Sequence;

/// Prices are in 1/256 bit.
pub const BIT: u32 = 256;

/// Lengths and runs from here on cost what this one does, and the extra bits more.
const TABLE: usize = 1 << 10;

/// The code of a value and its extra bits: `docs/FORMAT.md`, section 3.1.
const fn code(value: u32, p: u32, m: u32) -> (u32, u32) {
    if value < 1 << p {
        return (value, 0);
    }
    let e = value.ilog2();
    ((1 << p) + ((e - p) << m) + (value >> (e - m)) - (1 << m), e - m)
}

/// How often each symbol of each stream occurred.
#[derive(Debug)]
pub struct Statistics {
    literals: [u32; 256],
    runs: [u32; 64],
    lengths: [u32; 96],
    offsets: [u32; 64],
}

impl Default for Statistics {
    fn default() -> Self {
        Self { literals: [0; 256], runs: [0; 64], lengths: [0; 96], offsets: [0; 64] }
    }
}

impl Statistics {
    pub fn literals(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.literals[usize::from(byte)] += 1);
    }

    /// `offset_code` as in FORMAT.md.
    pub fn sequence(&mut self, sequence: Sequence, offset_code: u32) {
        self.runs[code(sequence.literals, 4, 1).0 as usize] += 1;
        self.lengths[code(sequence.length - 3, 5, 1).0 as usize] += 1;
        self.offsets[offset_code as usize] += 1;
    }

    pub fn age(&mut self) {
        let all = self.literals.iter_mut().chain(&mut self.runs).chain(&mut self.lengths);
        all.chain(&mut self.offsets).for_each(|count| *count -= *count / 2);
    }
}

/// What everything costs.
#[derive(Debug)]
pub struct Prices {
    pub literals: [u32; 256],
    pub offsets: [u32; 64],
    runs: Vec<u32>,
    /// For each length its price (high 32 bits) and itself (10 bits above 22).
    pub lengths: Vec<u64>,
}

impl Default for Prices {
    fn default() -> Self {
        Self { literals: [0; 256], offsets: [0; 64], runs: vec![0; TABLE], lengths: vec![0; TABLE] }
    }
}

impl Prices {
    pub fn set(&mut self, counts: &Statistics) {
        costs(&counts.literals, &mut self.literals);
        costs(&counts.offsets, &mut self.offsets);
        for code in 3..self.offsets.len() as u32 {
            self.offsets[code as usize] += BIT * ((code - 3) / 2).saturating_sub(1);
        }
        let mut codes = [0; 96];
        costs(&counts.runs, &mut codes[..64]);
        for (value, price) in (0..).zip(&mut self.runs) {
            let (code, extra) = code(value, 4, 1);
            *price = codes[code as usize] + BIT * extra;
        }
        costs(&counts.lengths, &mut codes);
        for (length, price) in (3..).zip(&mut self.lengths[3..]) {
            let (code, extra) = code(length - 3, 5, 1);
            *price = u64::from(codes[code as usize] + BIT * extra) << 32 | u64::from(length) << 22;
        }
    }

    #[inline(always)]
    pub fn run(&self, run: u32) -> u32 {
        self.runs[run.min(TABLE as u32 - 1) as usize]
    }

    #[inline(always)]
    pub fn offset_code(offset: u32) -> u32 {
        code(offset - 1, 1, 1).0 + 3
    }
}

/// Each symbol's share of all, as bits.
fn costs(counts: &[u32], prices: &mut [u32]) {
    let total: u32 = counts.iter().map(|&count| 4 * count + 1).sum();
    let whole = log2(total);
    for (price, &count) in prices.iter_mut().zip(counts) {
        *price = whole - log2(4 * count + 1);
    }
}

/// The binary logarithm of `value` in 1/256, by repeated squaring.
fn log2(value: u32) -> u32 {
    let mut log = value.ilog2();
    let mut mantissa = u64::from(value) << (31 - log); // 1.31
    for _ in 0..8 {
        mantissa = (mantissa * mantissa) >> 31;
        log *= 2;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log += 1;
        }
    }
    log
}
