//! The scalar reference: segments tile by tile, lane by lane, as `docs/FORMAT.md` says. Every other implementation
//! yields the same bytes.

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, Layout, TILE},
    states::{self, State},
};
use crate::{block::Coder, error::BlockFault};

/// What a coder does on 32 lanes. Words are the low [`Layout::word`] bytes of a `u32`.
pub trait LaneCoder {
    /// The coder's name.
    const CODER: Coder;
    /// The coder's sizes.
    const LAYOUT: Layout = Layout::of(Self::CODER);

    /// What the encoder knows of the symbols.
    type EncodeTable;
    /// What a lane holds.
    type Lane: Copy;

    /// The lanes from which an encoder of this body starts, which hold the seed: at most [`Layout::seed`] bytes.
    fn seeded(table: &Self::EncodeTable, body: &[u8], seed: &[u8]) -> [Self::Lane; LANES];

    /// Encodes a tile, or the last, shorter one, and hands out the words that the decoder takes, in the opposite order.
    fn encode_tile(
        table: &Self::EncodeTable,
        lanes: &mut [Self::Lane; LANES],
        tile: &[u8],
        emit: impl FnMut(u32),
    );

    /// The table log of an encoder's table.
    fn log_of(table: &Self::EncodeTable) -> u32;

    /// Ends encoding: hands out the last words, which are the stream's first, in the opposite order. Then lanes are short enough
    /// for [`state`](Self::state).
    fn finish(_lanes: &mut [Self::Lane; LANES], _emit: impl FnMut(u32)) {}

    /// Bits of a state besides those that its length counts.
    fn cell_bits(_table_log: u32) -> u32 {
        0
    }

    /// The state with which a decoder starts where the encoder ended with this lane.
    fn state(table_log: u32, lane: Self::Lane) -> State;

    /// The decoder's lane of a state.
    fn initial(table_log: u32, state: State) -> Self::Lane;

    /// Decodes a tile, or the last, shorter one; `None` if a word was wanted and there was none.
    fn decode_tile(
        table: &DecodeTable,
        lanes: &mut [Self::Lane; LANES],
        tile: &mut [u8],
        word: impl FnMut() -> Option<u32>,
    ) -> Option<()>;

    /// Writes the seed that the decoder's final lanes hold; says whether an encoder may have started from them.
    fn take_seed(table_log: u32, lanes: &[Self::Lane; LANES], seed: &mut [u8]) -> bool;
}

/// Encodes a segment into the end of `out`, without a gap, and returns where it begins.
///
/// # Panics
/// If `out` is shorter than [`Layout::stream_bound`] of the segment's length. If a symbol is not in the table, this may
/// panic or yield a stream that does not decode.
pub fn encode_segment<C: LaneCoder>(table: &C::EncodeTable, raw: &[u8], out: &mut [u8]) -> usize {
    let (body, seed) = raw.split_at(C::LAYOUT.body(raw.len()));
    let mut lanes = C::seeded(table, body, seed);
    let (mut at, size) = (out.len(), C::LAYOUT.word);
    let mut emit = |word: u32| {
        at -= size;
        out[at..at + size].copy_from_slice(&word.to_le_bytes()[..size]);
    };
    for tile in body.chunks(TILE).rev() {
        C::encode_tile(table, &mut lanes, tile, &mut emit);
    }
    C::finish(&mut lanes, emit);
    let mut states = [0; states::BOUND];
    let length = states::write::<C>(C::log_of(table), &lanes, &mut states);
    at -= length;
    out[at..at + length].copy_from_slice(&states[..length]);
    at
}

/// Decodes one segment to exactly `raw`.
///
/// # Errors
/// [`BlockFault::Stream`] if the segment is too short or too long or what precedes its words is damaged, [`BlockFault::FinalState`] if a final
/// state is impossible.
pub fn decode_segment<C: LaneCoder>(
    table: &DecodeTable,
    stream: &[u8],
    raw: &mut [u8],
) -> Result<(), BlockFault> {
    let (mut lanes, begin) = states::read::<C>(table.log, stream).ok_or(BlockFault::Stream)?;
    let mut words = stream[begin..].chunks_exact(C::LAYOUT.word);
    let mut word = || words.next().map(word_of);
    let (body, seed) = raw.split_at_mut(C::LAYOUT.body(raw.len()));
    for tile in body.chunks_mut(TILE) {
        C::decode_tile(table, &mut lanes, tile, &mut word).ok_or(BlockFault::Stream)?;
    }
    if words.next().is_some() || !words.remainder().is_empty() {
        return Err(BlockFault::Stream);
    }
    if C::take_seed(table.log, &lanes, seed) { Ok(()) } else { Err(BlockFault::FinalState) }
}

/// A word of at most 4 bytes.
pub(super) fn word_of(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// Seed bytes with zeros behind them, `N` for each lane.
pub(super) fn padded<const N: usize>(seed: &[u8]) -> [[u8; N]; LANES] {
    let mut padded = [[0; N]; LANES];
    padded.as_flattened_mut()[..seed.len()].copy_from_slice(seed);
    padded
}

/// Undoes [`padded`]; says whether there are zeros behind the seed.
pub(super) fn unpad<const N: usize>(padded: &[[u8; N]; LANES], seed: &mut [u8]) -> bool {
    let (bytes, zeros) = padded.as_flattened().split_at(seed.len());
    seed.copy_from_slice(bytes);
    zeros.iter().all(|&byte| byte == 0)
}
