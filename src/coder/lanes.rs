//! The lane skeleton that the coders share: how the symbols of a segment spread over 32 lanes
//! (`docs/FORMAT.md`, section 2.3).

use crate::block::Coder;

/// Lanes that code a segment together.
pub const LANES: usize = 32;
/// Symbols of one lane in one tile: neighbours in the segment, one `u32`.
pub const STEPS: usize = 4;
/// Symbols in a tile.
pub const TILE: usize = LANES * STEPS;
/// Bytes of the initial states at the front of a segment's stream.
pub const STATE_BYTES: usize = 4 * LANES;
/// Bytes at the end of a segment that ride in the lanes' final states.
pub const SEED_BYTES: usize = 2 * LANES;
/// Least state of rANS and Huffman: a state is in [2^16, 2^32). A final one is below 2^17.
pub const STATE_MIN: u32 = 1 << 16;

/// Bytes of a segment of `length` bytes that are coded as symbols; the others are its seed.
pub fn body_len(length: usize) -> usize {
    length.saturating_sub(SEED_BYTES)
}

/// The states from which an encoder starts, which hold the seed.
pub fn seeded_states(coder: Coder, seed: &[u8]) -> [u32; LANES] {
    let mut padded = [0; SEED_BYTES];
    padded[..seed.len()].copy_from_slice(seed);
    let seeds = padded.as_chunks().0;
    std::array::from_fn(|lane| {
        let seed = u32::from(u16::from_le_bytes(seeds[lane]));
        match coder {
            Coder::Rans | Coder::Huffman => STATE_MIN | seed,
            // The stack 1 and 15 bits, the cell 0 or 1.
            Coder::Fse => 1 << 31 | seed << 17 >> 1 | seed >> 15,
        }
    })
}

/// Writes the seed that the decoder's final states hold; `None` if a state is no encoder's first one.
pub fn take_seed(coder: Coder, states: &[u32; LANES], seed: &mut [u8]) -> Option<()> {
    let mut padded = [0; SEED_BYTES];
    let mut bad = 0;
    for (pair, state) in padded.as_chunks_mut().0.iter_mut().zip(states) {
        let (seed, marks) = match coder {
            Coder::Rans | Coder::Huffman => (*state, state >> 16 ^ 1),
            Coder::Fse => (state >> 16 & 0x7fff | state << 15, state >> 31 ^ 1 | state & 0xfffe),
        };
        *pair = (seed as u16).to_le_bytes();
        bad |= marks;
    }
    let (bytes, padding) = padded.split_at(seed.len());
    seed.copy_from_slice(bytes);
    (bad == 0 && padding.iter().all(|&byte| byte == 0)).then_some(())
}

/// Reads the initial states at the front of a stream; `None` if no encoder ends with one of them.
///
/// # Panics
/// If the stream is shorter than [`STATE_BYTES`].
pub fn initial_states(coder: Coder, table_log: u32, stream: &[u8]) -> Option<[u32; LANES]> {
    let bytes: &[u8; STATE_BYTES] = stream.first_chunk().expect("room for states");
    let words = bytes.as_chunks().0;
    let states = std::array::from_fn(|lane| u32::from_le_bytes(words[lane]));
    // The high half is never 0; for FSE it is the stack, and the low half the cell.
    let cells = if coder == Coder::Fse { 1 << table_log } else { 1 << 16 };
    let good = |&state: &u32| state >= STATE_MIN && state & 0xffff < cells;
    states.iter().all(good).then_some(states)
}

/// The longest stream of a segment of `length` bytes, in bytes: a word for every symbol, whole tiles.
pub const fn stream_bound(length: usize) -> usize {
    STATE_BYTES + 2 * length.saturating_sub(SEED_BYTES).next_multiple_of(TILE)
}
