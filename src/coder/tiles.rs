//! Segments by whole tiles: what the portable and the SIMD coders have in common. An implementation supplies the
//! work on tiles ([`Tiles`]); here is everything around it, which needs no instruction of its own.

use super::{
    decode_table::DecodeTable,
    lanes::{
        LANES, STATE_BYTES, STATE_MIN, TILE, body_len, initial_states, seeded_states, take_seed,
    },
    scalar::LaneCoder,
};
use crate::error::BlockFault;

/// Bytes of words that a tile takes or yields at most: a word for each symbol.
pub(super) const WINDOW: usize = 2 * TILE;

/// A coder on whole tiles of `N` segments at once. Two are faster than one: each waits for its own
/// loads and multiplications only.
pub(super) trait Tiles<C: LaneCoder>: Copy {
    /// Decodes tiles as long as every segment has one left and a window of words.
    fn decode<const N: usize>(self, table: &DecodeTable, segments: [&mut Decoding<'_>; N]);

    /// Decodes the `symbols` first symbols (in segment order) of a tile; returns how many bytes of words they took.
    fn decode_partial(
        self,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; WINDOW],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize;

    /// Encodes tiles, last to first, as long as every segment has one left.
    fn encode<const N: usize>(self, table: &C::EncodeTable, segments: [&mut Encoding<'_>; N]);

    /// Encodes the `symbols` first symbols (in segment order) of a tile; returns how many bytes at the end of `room`
    /// the words fill.
    fn encode_partial(
        self,
        table: &C::EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; WINDOW],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize;
}

/// A segment that is being decoded.
pub(super) struct Decoding<'a> {
    pub states: [u32; LANES],
    /// From the next word to the end of the payload: other segments follow this one's words. Reading into them is
    /// found out at the end and costs no check on the way.
    pub words: &'a [u8],
    /// What is not yet decoded of the body.
    pub body: &'a mut [u8],
}

/// Calls `decode` for tile after tile with windows of words and room for the symbols of `N` segments; it returns the
/// bytes of words that it took. Ends as [`Tiles::decode`] says.
#[inline(always)] // into functions that have the vector instructions
pub(super) fn decode_each<const N: usize>(
    segments: &mut [&mut Decoding<'_>; N],
    mut decode: impl FnMut([&[u8; WINDOW]; N], [&mut [u8; TILE]; N]) -> [usize; N],
) {
    while segments.iter().all(|s| s.words.len() >= WINDOW && s.body.len() >= TILE) {
        let windows = segments.each_ref().map(|s| s.words.first_chunk().expect("checked"));
        let tiles = segments.each_mut().map(|segment| {
            let body = std::mem::take(&mut segment.body);
            let (tile, rest) = body.split_first_chunk_mut().expect("checked");
            segment.body = rest;
            tile
        });
        let taken = decode(windows, tiles);
        for (segment, taken) in segments.iter_mut().zip(taken) {
            segment.words = &segment.words[taken..];
        }
    }
}

/// Where a segment's stream lies in the payload and where its raw bytes go.
pub(super) struct Coded<'a> {
    /// From the first initial state to the end of the payload.
    pub stream: &'a [u8],
    /// Bytes of the segment's own words.
    pub word_bytes: usize,
    pub raw: &'a mut [u8],
}

/// Decodes `N` segments together. The fault is that of the first bad segment.
pub(super) fn decode_segments<C: LaneCoder, const N: usize>(
    tiles: impl Tiles<C>,
    table: &DecodeTable,
    segments: [Coded<'_>; N],
) -> Result<(), BlockFault> {
    let mut segments = segments.map(|Coded { stream, word_bytes, raw }| {
        let (body, seed) = raw.split_at_mut(body_len(raw.len()));
        let initial = initial_states(C::CODER, table.log, stream);
        let states = initial.unwrap_or([STATE_MIN; LANES]);
        let words = &stream[STATE_BYTES..];
        (Decoding { states, words, body }, seed, words.len() - word_bytes, initial.is_some())
    });
    tiles.decode(table, segments.each_mut().map(|(segment, ..)| segment));
    for (segment, seed, words_after, valid) in segments {
        if !valid {
            return Err(BlockFault::FinalState);
        }
        let states = finish(tiles, table, segment, words_after)?;
        take_seed(C::CODER, &states, seed).ok_or(BlockFault::FinalState)?;
    }
    Ok(())
}

/// Decodes what is left of a segment, after whose words `words_after` bytes of payload follow.
fn finish<C: LaneCoder>(
    tiles: impl Tiles<C>,
    table: &DecodeTable,
    segment: Decoding<'_>,
    words_after: usize,
) -> Result<[u32; LANES], BlockFault> {
    let mut padded = [0; 2 * WINDOW];
    let mut segment = segment;
    tiles.decode(table, [&mut segment]);
    let own = segment.words.len().checked_sub(words_after).ok_or(BlockFault::Stream)?;
    // Near the end of the payload tiles go on in a copy, with a window of zeros behind it.
    if !segment.body.is_empty() && segment.words.len() < WINDOW {
        padded[..segment.words.len()].copy_from_slice(segment.words);
        segment.words = &padded;
    }
    let words = segment.words;
    tiles.decode(table, [&mut segment]);
    if !segment.body.is_empty() {
        // A whole tile is left only if the words ran out.
        let symbols = segment.body.len();
        let window = segment.words.first_chunk().filter(|_| symbols < TILE);
        let window = window.ok_or(BlockFault::Stream)?;
        let mut tile = [0; TILE];
        let taken = tiles.decode_partial(table, &mut segment.states, window, &mut tile, symbols);
        segment.body.copy_from_slice(&tile[..symbols]);
        segment.words = &segment.words[taken..];
    }
    if words.len() - segment.words.len() == own {
        Ok(segment.states)
    } else {
        Err(BlockFault::Stream)
    }
}

/// A segment that is being encoded.
pub(super) struct Encoding<'a> {
    pub states: [u32; LANES],
    /// What is not yet encoded of the body.
    pub body: &'a [u8],
    /// Room for words, filled from its end.
    pub room: &'a mut [u8],
}

/// Calls `encode` for tile after tile, from the end, with windows for words and the symbols of `N` segments; it returns
/// the bytes at the windows' ends that it filled. Ends as [`Tiles::encode`] says.
#[inline(always)] // into functions that have the vector instructions
pub(super) fn encode_each<const N: usize>(
    segments: &mut [&mut Encoding<'_>; N],
    mut encode: impl FnMut([&mut [u8; WINDOW]; N], [&[u8; TILE]; N]) -> [usize; N],
) {
    while segments.iter().all(|s| s.body.len() >= TILE) {
        let tiles = segments.each_mut().map(|segment| {
            let (rest, tile) = segment.body.split_last_chunk().expect("checked");
            segment.body = rest;
            tile
        });
        let windows = segments.each_mut().map(|s| s.room.last_chunk_mut().expect("whole tiles"));
        let filled = encode(windows, tiles);
        for (segment, filled) in segments.iter_mut().zip(filled) {
            segment.room = shorten(std::mem::take(&mut segment.room), filled);
        }
    }
}

/// Encodes `N` segments together, each into the end of its buffer, which holds at least
/// [`stream_bound`](super::lanes::stream_bound) of its length; returns where the streams begin.
pub(super) fn encode_segments<C: LaneCoder, const N: usize>(
    tiles: impl Tiles<C>,
    table: &C::EncodeTable,
    segments: [(&[u8], &mut [u8]); N],
) -> [usize; N] {
    let mut segments = segments.map(|(raw, room)| {
        let (body, seed) = raw.split_at(body_len(raw.len()));
        let mut segment = Encoding { states: seeded_states(C::CODER, seed), body, room };
        let (whole, partial) = body.as_chunks::<TILE>();
        if !partial.is_empty() {
            let mut tile = [0; TILE];
            tile[..partial.len()].copy_from_slice(partial);
            let room = segment.room.last_chunk_mut().expect("room for whole tiles");
            let taken =
                tiles.encode_partial(table, &mut segment.states, room, &tile, partial.len());
            segment.room = shorten(segment.room, taken);
            segment.body = whole.as_flattened();
        }
        segment
    });
    tiles.encode(table, segments.each_mut());
    segments.map(|mut segment| {
        tiles.encode(table, [&mut segment]);
        debug_assert!(segment.body.is_empty());
        let start = segment.room.len() - STATE_BYTES;
        for (bytes, state) in segment.room[start..].chunks_exact_mut(4).zip(segment.states) {
            bytes.copy_from_slice(&state.to_le_bytes());
        }
        start
    })
}

/// `bytes` without its last `count`.
fn shorten(bytes: &mut [u8], count: usize) -> &mut [u8] {
    let length = bytes.len() - count;
    &mut bytes[..length]
}
