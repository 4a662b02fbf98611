//! rANS on 32 lanes, the scalar reference: every other implementation yields the same bytes. States of 32 bits,
//! words of 16, at most one word a symbol (Duda, arXiv:1311.2540; interleaved as in Giesen, arXiv:1402.3392).

use super::{
    lanes::{
        LANES, SEED_BYTES, STATE_BYTES, STATE_MIN, body_len, seeded_states, symbols, take_seed,
    },
    table::Table,
};
use crate::error::BlockFault;

/// What the encoder knows of each symbol.
#[derive(Clone, Debug)]
pub struct EncodeTable {
    log: u32,
    symbols: [(u32, u32); 256],
}

impl EncodeTable {
    /// The encoder's form of `table`.
    pub fn new(table: &Table) -> Self {
        let mut symbols = [(0, 0); 256];
        table.symbols().for_each(|(symbol, freq, cum)| symbols[usize::from(symbol)] = (freq, cum));
        Self { log: table.log().into(), symbols }
    }
}

/// What the decoder knows of each of the `2^K` slots: `freq:12 | slot - cum:12 | symbol:8`.
#[derive(Clone, Debug)]
pub struct DecodeTable {
    log: u32,
    slots: Box<[u32; 4096]>,
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
/// If `out` is shorter than [`stream_bound`] of the segment's length, or if a symbol is not in the table.
pub fn encode_segment(table: &EncodeTable, raw: &[u8], out: &mut [u8]) -> usize {
    let (body, seed) = raw.split_at(body_len(raw.len()));
    let mut states = seeded_states(seed);
    let mut at = out.len();
    for (lane, position) in symbols(body.len()).rev() {
        let (freq, cum) = table.symbols[usize::from(body[position])];
        let mut x = states[lane];
        if x >= freq << (32 - table.log) {
            at -= 2;
            out[at..at + 2].copy_from_slice(&(x as u16).to_le_bytes());
            x >>= 16;
        }
        states[lane] = (x / freq << table.log) + x % freq + cum;
    }
    at -= STATE_BYTES;
    for (bytes, state) in out[at..].chunks_exact_mut(4).zip(states) {
        bytes.copy_from_slice(&state.to_le_bytes());
    }
    at
}

/// The longest stream of a segment of `length` bytes, in bytes.
pub const fn stream_bound(length: usize) -> usize {
    STATE_BYTES + 2 * length.saturating_sub(SEED_BYTES)
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
    for (lane, position) in symbols(body.len()) {
        let x = states[lane];
        let slot = table.slots[(x & ((1 << table.log) - 1)) as usize];
        body[position] = slot as u8;
        let mut x = (slot >> 20) * (x >> table.log) + (slot >> 8 & 0xfff);
        if x < STATE_MIN {
            x = x << 16 | words.next().ok_or(BlockFault::Stream)?;
        }
        states[lane] = x;
    }
    if words.next().is_some() || stream.len() % 2 == 1 {
        return Err(BlockFault::Stream);
    }
    take_seed(&states, seed).ok_or(BlockFault::FinalState)
}
