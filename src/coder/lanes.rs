//! The lane skeleton that the coders share: how the symbols of a segment spread over 32 lanes
//! (`docs/FORMAT.md`, section 2.2).

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
/// Bounds of a state: [2^16, 2^32). A final state is below 2^17.
pub const STATE_MIN: u32 = 1 << 16;

/// Bytes of a segment of `length` bytes that are coded as symbols; the others are its seed.
pub fn body_len(length: usize) -> usize {
    length.saturating_sub(SEED_BYTES)
}

/// The states from which the encoder starts: the seed's bytes above 2^16.
pub fn seeded_states(seed: &[u8]) -> [u32; LANES] {
    let mut padded = [0; SEED_BYTES];
    padded[..seed.len()].copy_from_slice(seed);
    std::array::from_fn(|lane| {
        STATE_MIN | u32::from(u16::from_le_bytes([padded[2 * lane], padded[2 * lane + 1]]))
    })
}

/// Writes the seed that the decoder's final states hold; `None` if a state is no encoder's first one.
pub fn take_seed(states: &[u32; LANES], seed: &mut [u8]) -> Option<()> {
    let mut padded = [0; SEED_BYTES];
    let mut bad = 0;
    for (pair, state) in padded.chunks_exact_mut(2).zip(states) {
        pair.copy_from_slice(&(*state as u16).to_le_bytes());
        bad |= state >> 16 ^ 1;
    }
    let (bytes, padding) = padded.split_at(seed.len());
    seed.copy_from_slice(bytes);
    (bad == 0 && padding.iter().all(|&byte| byte == 0)).then_some(())
}

/// The longest stream of a segment of `length` bytes, in bytes: a word for every symbol, whole tiles.
pub const fn stream_bound(length: usize) -> usize {
    STATE_BYTES + 2 * length.saturating_sub(SEED_BYTES).next_multiple_of(TILE)
}
