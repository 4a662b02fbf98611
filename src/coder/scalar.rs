//! The scalar reference: segments symbol by symbol, lane by lane, as `docs/FORMAT.md` says. Every other
//! implementation yields the same bytes.

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, STATE_BYTES, STEPS, TILE, body_len, initial_states, seeded_states, take_seed},
};
use crate::{block::Coder, error::BlockFault};

/// What a coder does with one symbol on one lane.
pub trait LaneCoder {
    /// The coder's name.
    const CODER: Coder;

    /// What the encoder knows of the symbols.
    type EncodeTable;

    /// Encodes a symbol: the state from which it is decoded, and the word that the decoder takes doing so.
    fn encode(table: &Self::EncodeTable, state: u32, symbol: u8) -> (u32, Option<u16>);

    /// Decodes a symbol, and yields the next state; `None` if a word was wanted and there was none.
    fn decode(
        table: &DecodeTable,
        state: u32,
        word: impl FnOnce() -> Option<u16>,
    ) -> Option<(u8, u32)>;
}

/// Encodes a segment into the end of `out` and returns where its stream (initial states and words) begins.
///
/// # Panics
/// If `out` is shorter than [`stream_bound`](super::lanes::stream_bound) of the segment's length. If a symbol is not
/// in the table, this may panic or yield a stream that does not decode.
pub fn encode_segment<C: LaneCoder>(table: &C::EncodeTable, raw: &[u8], out: &mut [u8]) -> usize {
    let (body, seed) = raw.split_at(body_len(raw.len()));
    let mut states = seeded_states(C::CODER, seed);
    let mut at = out.len();
    for tile in body.chunks(TILE).rev() {
        for (step, lane) in (0..TILE).rev().map(|i| (i / LANES, i % LANES)) {
            let Some(&symbol) = tile.get(lane * STEPS + step) else { continue };
            let (state, word) = C::encode(table, states[lane], symbol);
            states[lane] = state;
            if let Some(word) = word {
                at -= 2;
                out[at..at + 2].copy_from_slice(&word.to_le_bytes());
            }
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
pub fn decode_segment<C: LaneCoder>(
    table: &DecodeTable,
    stream: &[u8],
    raw: &mut [u8],
) -> Result<(), BlockFault> {
    let words = stream.get(STATE_BYTES..).ok_or(BlockFault::Stream)?;
    let mut states = initial_states(C::CODER, table.log, stream).ok_or(BlockFault::FinalState)?;
    let (words, odd) = words.as_chunks();
    let mut words = words.iter().map(|&word| u16::from_le_bytes(word));
    let (body, seed) = raw.split_at_mut(body_len(raw.len()));
    for tile in body.chunks_mut(TILE) {
        for (step, lane) in (0..TILE).map(|i| (i / LANES, i % LANES)) {
            let Some(symbol) = tile.get_mut(lane * STEPS + step) else { continue };
            (*symbol, states[lane]) =
                C::decode(table, states[lane], || words.next()).ok_or(BlockFault::Stream)?;
        }
    }
    if words.next().is_some() || !odd.is_empty() {
        return Err(BlockFault::Stream);
    }
    take_seed(C::CODER, &states, seed).ok_or(BlockFault::FinalState)
}
