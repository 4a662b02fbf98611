//! What sequences cost, from the statistics of those before them.

use crate::model::{
    Sequence,
    codes::{LENGTH, OFFSET, RUN},
};

/// Prices are in 1/256 bit.
pub const BIT: u32 = 256;

/// Lengths and runs from here on cost what this one does, and the extra bits more.
const TABLE: usize = 1 << 10;

/// No stream has more symbols.
const SYMBOLS: usize = 256;

/// How often each symbol of each stream occurred.
#[derive(Debug)]
pub struct Statistics {
    literals: [u32; SYMBOLS],
    runs: [u32; RUN.count() as usize],
    lengths: [u32; LENGTH.count() as usize],
    offsets: [u32; OFFSET.count() as usize],
}

impl Default for Statistics {
    fn default() -> Self {
        Self {
            literals: [0; SYMBOLS],
            runs: [0; RUN.count() as usize],
            lengths: [0; LENGTH.count() as usize],
            offsets: [0; OFFSET.count() as usize],
        }
    }
}

impl Statistics {
    pub fn literals(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.literals[usize::from(byte)] += 1);
    }

    /// With the code of its offset, which may be a repeated one.
    pub fn sequence(&mut self, sequence: Sequence, offset_code: u8) {
        self.runs[usize::from(RUN.code(sequence.literals).code)] += 1;
        self.lengths[usize::from(LENGTH.code(sequence.length).code)] += 1;
        self.offsets[usize::from(offset_code)] += 1;
    }

    pub fn age(&mut self) {
        let all = self.literals.iter_mut().chain(&mut self.runs).chain(&mut self.lengths);
        all.chain(&mut self.offsets).for_each(|count| *count -= *count / 2);
    }
}

/// What everything costs.
#[derive(Debug)]
pub struct Prices {
    pub literals: [u32; SYMBOLS],
    /// Of each code, extra bits included.
    pub offsets: [u32; SYMBOLS],
    runs: Vec<u32>,
    /// For each length its price (high 32 bits) and itself (10 bits above 22).
    pub lengths: Vec<u64>,
}

impl Default for Prices {
    fn default() -> Self {
        let (runs, lengths) = (vec![0; TABLE], vec![0; TABLE]);
        Self { literals: [0; SYMBOLS], offsets: [0; SYMBOLS], runs, lengths }
    }
}

impl Prices {
    pub fn set(&mut self, counts: &Statistics) {
        costs(&counts.literals, &mut self.literals);
        costs(&counts.offsets, &mut self.offsets);
        for (code, price) in (0..=u8::MAX).zip(&mut self.offsets) {
            *price += BIT * OFFSET.values(code).width;
        }
        let mut codes = [0; SYMBOLS];
        costs(&counts.runs, &mut codes);
        for (value, price) in (0..).zip(&mut self.runs) {
            let coded = RUN.code(value);
            *price = codes[usize::from(coded.code)] + BIT * coded.width;
        }
        costs(&counts.lengths, &mut codes);
        for (length, price) in (3..).zip(&mut self.lengths[3..]) {
            let coded = LENGTH.code(length);
            let bits = codes[usize::from(coded.code)] + BIT * coded.width;
            *price = u64::from(bits) << 32 | u64::from(length) << 22;
        }
    }

    #[inline(always)]
    pub fn run(&self, run: u32) -> u32 {
        self.runs[run.min(TABLE as u32 - 1) as usize]
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
