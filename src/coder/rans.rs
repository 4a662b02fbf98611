//! rANS on 32 lanes, the scalar reference: every other implementation yields the same bytes. States of 32 bits,
//! words of 16, at most one word a symbol (Duda, arXiv:1311.2540; interleaved as in Giesen, arXiv:1402.3392).

use super::{
    lanes::{LANES, STATE_BYTES, STATE_MIN, STEPS, TILE, body_len, seeded_states, take_seed},
    table::Table,
};
use crate::error::BlockFault;

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

/// What the decoder knows of each of the `2^K` slots: `freq:12 | slot - cum:12 | symbol:8`.
#[derive(Clone, Debug)]
pub struct DecodeTable {
    pub(super) log: u32,
    pub(super) slots: Box<[u32; 4096]>,
}

impl DecodeTable {
    /// The decoder's form of `table`.
    pub fn new(table: &Table) -> Self {
        let mut this = Self { log: 8, slots: Box::new([0; 4096]) };
        this.fill(table);
        this
    }

    /// Makes this the decoder's form of `table`, without an allocation.
    pub fn fill(&mut self, table: &Table) {
        self.log = table.log().into();
        for (symbol, freq, cum) in table.symbols() {
            let slots = &mut self.slots[cum as usize..(cum + freq) as usize];
            for (slot, bias) in slots.iter_mut().zip(0..) {
                *slot = freq << 20 | bias << 8 | u32::from(symbol);
            }
        }
    }
}

/// Encodes a segment into the end of `out` and returns where its stream (initial states and words) begins.
///
/// # Panics
/// If `out` is shorter than [`stream_bound`](super::lanes::stream_bound) of the segment's length, or if a symbol is not in the table.
pub fn encode_segment(table: &EncodeTable, raw: &[u8], out: &mut [u8]) -> usize {
    let (body, seed) = raw.split_at(body_len(raw.len()));
    let mut states = seeded_states(seed);
    let mut at = out.len();
    for tile in body.chunks(TILE).rev() {
        for (step, lane) in (0..TILE).rev().map(|i| (i / LANES, i % LANES)) {
            let Some(&symbol) = tile.get(lane * STEPS + step) else { continue };
            let symbol = table.symbols[usize::from(symbol)];
            let (freq, mut x) = (symbol.freq(), states[lane]);
            if x >= freq << (32 - table.log) {
                at -= 2;
                out[at..at + 2].copy_from_slice(&(x as u16).to_le_bytes());
                x >>= 16;
            }
            states[lane] = ((x / freq) << table.log) + x % freq + symbol.cum();
        }
    }
    at -= STATE_BYTES;
    for (bytes, state) in out[at..].chunks_exact_mut(4).zip(states) {
        bytes.copy_from_slice(&state.to_le_bytes());
    }
    at
}

/// Decodes the stream of one segment to exactly `raw`.
///
/// # Errors
/// [`BlockFault::Stream`] if the stream is too short or too long, [`BlockFault::FinalState`] if an initial or
/// a final state is impossible.
pub fn decode_segment(
    table: &DecodeTable,
    stream: &[u8],
    raw: &mut [u8],
) -> Result<(), BlockFault> {
    let (initial, words) = stream.split_at_checked(STATE_BYTES).ok_or(BlockFault::Stream)?;
    let mut states = [0; LANES];
    for (state, bytes) in states.iter_mut().zip(initial.chunks_exact(4)) {
        *state = u32::from_le_bytes(bytes.try_into().expect("chunks of 4"));
        if *state < STATE_MIN {
            return Err(BlockFault::FinalState);
        }
    }
    let mut words = words.chunks_exact(2).map(|pair| u32::from(pair[0]) | u32::from(pair[1]) << 8);
    let (body, seed) = raw.split_at_mut(body_len(raw.len()));
    for tile in body.chunks_mut(TILE) {
        for (step, lane) in (0..TILE).map(|i| (i / LANES, i % LANES)) {
            let Some(symbol) = tile.get_mut(lane * STEPS + step) else { continue };
            let x = states[lane];
            let slot = table.slots[(x & ((1 << table.log) - 1)) as usize];
            *symbol = slot as u8;
            let mut x = (slot >> 20) * (x >> table.log) + (slot >> 8 & 0xfff);
            if x < STATE_MIN {
                x = x << 16 | words.next().ok_or(BlockFault::Stream)?;
            }
            states[lane] = x;
        }
    }
    if words.next().is_some() || stream.len() % 2 == 1 {
        return Err(BlockFault::Stream);
    }
    take_seed(&states, seed).ok_or(BlockFault::FinalState)
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
