//! rANS on one lane: states of 32 bits, words of 16, at most one word a symbol (Duda, arXiv:1311.2540; interleaved as
//! in Giesen, arXiv:1402.3392).

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, STEPS, TILE},
    scalar::{LaneCoder, padded, unpad},
    states::State,
    table::Table,
};
use crate::block::Coder;

/// Least state: a state is in [2^16, 2^32). A final one is below 2^17.
pub const STATE_MIN: u32 = 1 << 16;

/// The table log when nothing forces one: 11, and 12 if many symbols are too rare for a slot of 11
/// (`docs/DECISIONS.md`).
pub fn choose_log(counts: &[u32; 256]) -> u8 {
    let total: u32 = counts.iter().sum();
    let rare = counts.iter().filter(|&&c| c > 0 && u64::from(c) << 11 < u64::from(total)).count();
    if rare >= 24 { 12 } else { 11 }
}

/// What the encoder knows of each symbol, in a form that fast code can gather: see [`EncodeSymbol`].
#[derive(Clone, Debug)]
pub struct EncodeTable {
    pub(super) log: u32,
    pub(super) symbols: [EncodeSymbol; 256],
}

impl EncodeTable {
    /// The encoder's form of `table`.
    pub fn new(table: &Table) -> Self {
        let mut symbols = [EncodeSymbol(0); 256];
        for (symbol, freq, cum) in table.symbols() {
            symbols[usize::from(symbol)] = EncodeSymbol::new(freq, cum);
        }
        Self { log: table.log().into(), symbols }
    }
}

/// One symbol of an [`EncodeTable`]: from bit 0 `reciprocal:32 | shift:5 | addend:1 | 0:2 | cum:12 | freq:12`.
///
/// `x / freq` is `((x + addend) * reciprocal) >> (32 + shift)` for every `x` below `2^32 - 1`: with
/// `s = floor(log2 freq)` and `t = 2^(32 + s)`, either of two reciprocals is exact (Robison, "N-bit unsigned division
/// via N-bit multiply-add", 2005).
///
/// - Rounded up, `m = ceil(t / freq)`, error `e = m * freq - t < freq < 2^(s + 1)`. Then
///   `x * m / t = x / freq + x * e / (freq * t)`, and the second term stays below `1 / freq`, too little to reach
///   the next integer, if `x * e < t`: if `e <= 2^s`, as `x < 2^32`.
/// - Else rounded down, `m = floor(t / freq)`, error `t - m * freq = freq - e < 2^s`, or for a power of two
///   `m = 2^32 - 1`, error `2^s`. Then `(x + 1) * m / t = (x + 1) / freq - (x + 1) * error / (freq * t)`, where
///   `0 < (x + 1) * error <= t`: at least `x / freq` and below `(x + 1) / freq`.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct EncodeSymbol(pub(super) u64);

impl EncodeSymbol {
    fn new(freq: u32, cum: u32) -> Self {
        let shift = freq.ilog2();
        let scale = 1_u64 << (32 + shift);
        let up = scale.div_ceil(freq.into());
        let exact = up >> 32 == 0 && up * u64::from(freq) - scale <= 1 << shift;
        let (reciprocal, addend) = if exact { (up, 0) } else { ((scale - 1) / u64::from(freq), 1) };
        let [shift, cum, freq] = [shift, cum, freq].map(u64::from);
        Self(reciprocal | shift << 32 | addend << 37 | cum << 40 | freq << 52)
    }

    /// The symbol's frequency.
    #[inline]
    pub fn freq(self) -> u32 {
        (self.0 >> 52) as u32
    }

    /// The sum of the frequencies of the symbols below.
    #[inline]
    pub fn cum(self) -> u32 {
        (self.0 >> 40) as u32 & 0xfff
    }

    /// `x` divided by the frequency.
    #[inline]
    pub fn quotient(self, x: u32) -> u32 {
        let (reciprocal, addend) = (self.0 & 0xffff_ffff, self.0 >> 37 & 1);
        let product = (u64::from(x) + addend) * reciprocal;
        ((product >> 32) as u32) >> (self.0 >> 32 & 31)
    }
}

/// Fills the decoder's slots: `symbol:8 | slot - cum:12 | freq:12`.
pub(super) fn fill_slots(table: &Table, slots: &mut [u32; 4096]) {
    for (symbol, freq, cum) in table.symbols() {
        let slots = &mut slots[cum as usize..(cum + freq) as usize];
        for (slot, bias) in slots.iter_mut().zip(0..) {
            *slot = u32::from(symbol) << 24 | bias << 12 | freq;
        }
    }
}

/// rANS.
#[derive(Debug)]
pub struct Rans;

impl Rans {
    /// Encodes a symbol: the state from which it is decoded, and the word that the decoder takes doing so.
    fn encode(table: &EncodeTable, mut x: u32, symbol: u8) -> (u32, Option<u32>) {
        let symbol = table.symbols[usize::from(symbol)];
        let freq = symbol.freq();
        let mut word = None;
        if x >= freq << (32 - table.log) {
            word = Some(x & 0xffff);
            x >>= 16;
        }
        (((x / freq) << table.log) + x % freq + symbol.cum(), word)
    }

    /// Decodes a symbol, and yields the next state; `None` if a word was wanted and there was none.
    fn decode(
        table: &DecodeTable,
        x: u32,
        word: impl FnOnce() -> Option<u32>,
    ) -> Option<(u8, u32)> {
        let slot = table.slot(x);
        let mut x = (slot & 0xfff) * (x >> table.log) + (slot >> 12 & 0xfff);
        if x < STATE_MIN {
            x = x << 16 | word()?;
        }
        Some(((slot >> 24) as u8, x))
    }
}

/// The symbols of a tile, first to last, as (lane, place in the tile).
fn symbols() -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..TILE).map(|i| (i % LANES, i % LANES * STEPS + i / LANES))
}

impl LaneCoder for Rans {
    const CODER: Coder = Coder::Rans;
    type EncodeTable = EncodeTable;
    /// The state.
    type Lane = u32;

    fn seeded(_: &EncodeTable, _: &[u8], seed: &[u8]) -> [u32; LANES] {
        padded(seed).map(|seed| STATE_MIN | u32::from(u16::from_le_bytes(seed)))
    }

    fn encode_tile(
        table: &EncodeTable,
        lanes: &mut [u32; LANES],
        tile: &[u8],
        mut emit: impl FnMut(u32),
    ) {
        for (lane, place) in symbols().rev().filter(|&(_, place)| place < tile.len()) {
            let (state, word) = Self::encode(table, lanes[lane], tile[place]);
            lanes[lane] = state;
            word.into_iter().for_each(&mut emit);
        }
    }

    fn log_of(table: &EncodeTable) -> u32 {
        table.log
    }

    fn state(_: u32, lane: u32) -> State {
        // The highest bit follows from the length.
        let length = lane.ilog2();
        State { length, bits: u64::from(lane ^ 1 << length), count: length }
    }

    fn initial(_: u32, state: State) -> u32 {
        1 << state.length | state.bits as u32
    }

    fn decode_tile(
        table: &DecodeTable,
        lanes: &mut [u32; LANES],
        tile: &mut [u8],
        mut word: impl FnMut() -> Option<u32>,
    ) -> Option<()> {
        let length = tile.len();
        for (lane, place) in symbols().filter(|&(_, place)| place < length) {
            (tile[place], lanes[lane]) = Self::decode(table, lanes[lane], &mut word)?;
        }
        Some(())
    }

    fn take_seed(_: u32, lanes: &[u32; LANES], seed: &mut [u8]) -> bool {
        let padding = unpad(&lanes.map(|state| (state as u16).to_le_bytes()), seed);
        padding && lanes.iter().all(|state| state >> 16 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every frequency with every quotient's first and last dividend around powers of two, at the ends of the
    /// range and at random.
    #[test]
    fn division_by_reciprocal_is_exact() {
        let mut random = 1_u64;
        for freq in 1..4096_u32 {
            let symbol = EncodeSymbol::new(freq, 4095);
            assert_eq!((symbol.freq(), symbol.cum()), (freq, 4095));
            let check = |x: u32| assert_eq!(symbol.quotient(x), x / freq, "{x} / {freq}");
            let last = (u32::MAX - 1) / freq;
            let quotients = (0..32).flat_map(|bit| [(1_u32 << bit) - 1, 1 << bit, (1 << bit) + 1]);
            for quotient in quotients.chain([last - 1]).filter(|&quotient| quotient < last) {
                let x = quotient * freq;
                [x, x + freq - 1, x + freq].into_iter().for_each(check);
            }
            // The largest dividends that encoding meets at each table log, and of all.
            let logs = (8..=12).filter(|log| freq < 1 << log);
            logs.for_each(|log| check((freq << (32 - log)) - 1));
            [last * freq, u32::MAX - 1].into_iter().for_each(check);
            for _ in 0..1000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let x = ((random >> 32) as u32).min(u32::MAX - 1);
                check(x);
                check(x - x % freq);
                check((x - x % freq).saturating_sub(1));
            }
        }
    }
}
