//! Segments by whole tiles: what the portable and the SIMD coders have in common. An implementation supplies the
//! work on tiles ([`Tiles`]); here is everything around it, which needs no instruction of its own.

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, TILE},
    scalar::{LaneCoder, word_of},
    states,
};
use crate::error::BlockFault;

/// Bytes of words that a tile takes or yields at most: a word of 2 bytes for each symbol, or of 4 bytes for each pair.
pub(super) const ROOM: usize = 2 * TILE;

/// A coder on whole tiles with the instructions that `I` proves, of `N` segments at once. Two are faster than one: each
/// waits for its own loads and multiplications only.
pub(super) trait Tiles<I: Copy>: LaneCoder + Sized {
    /// Decodes tiles as long as every segment has one left and room for reading words.
    fn decode<const N: usize>(_: I, table: &DecodeTable, segments: [&mut Decoding<'_, Self>; N]);

    /// Decodes the `symbols` first symbols (in segment order) of a tile; returns how many bytes of words they took.
    fn decode_partial(
        _: I,
        table: &DecodeTable,
        lanes: &mut [Self::Lane; LANES],
        words: &[u8; ROOM],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        decode_by_lane::<Self>(table, lanes, words, &mut tile[..symbols])
    }

    /// Encodes tiles, last to first, as long as every segment has one left.
    fn encode<const N: usize>(
        _: I,
        table: &Self::EncodeTable,
        segments: [&mut Encoding<'_, Self>; N],
    );

    /// Encodes the `symbols` first symbols (in segment order) of a tile; returns how many bytes at the end of `room`
    /// the words fill.
    fn encode_partial(
        _: I,
        table: &Self::EncodeTable,
        lanes: &mut [Self::Lane; LANES],
        room: &mut [u8; ROOM],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize {
        encode_by_lane::<Self>(table, lanes, room, &tile[..symbols])
    }
}

/// A tile by the scalar reference.
fn decode_by_lane<C: LaneCoder>(
    table: &DecodeTable,
    lanes: &mut [C::Lane; LANES],
    words: &[u8; ROOM],
    tile: &mut [u8],
) -> usize {
    let mut taken = 0;
    C::decode_tile(table, lanes, tile, || {
        let word = &words[taken..taken + C::LAYOUT.word];
        taken += word.len();
        Some(word_of(word))
    });
    taken
}

/// A tile by the scalar reference.
fn encode_by_lane<C: LaneCoder>(
    table: &C::EncodeTable,
    lanes: &mut [C::Lane; LANES],
    room: &mut [u8; ROOM],
    tile: &[u8],
) -> usize {
    let mut at = ROOM;
    C::encode_tile(table, lanes, tile, |word| at = put_word::<C>(room, at, word));
    ROOM - at
}

/// Writes a word so that it ends at `end`; returns where it begins.
fn put_word<C: LaneCoder>(room: &mut [u8], end: usize, word: u32) -> usize {
    let size = C::LAYOUT.word;
    room[end - size..end].copy_from_slice(&word.to_le_bytes()[..size]);
    end - size
}

/// A segment that is being decoded.
pub(super) struct Decoding<'a, C: LaneCoder> {
    pub lanes: [C::Lane; LANES],
    /// From the next word to the end of the payload: other segments follow this one's words. Reading into them is
    /// found out at the end and costs no check on the way.
    pub words: &'a [u8],
    /// What is not yet decoded of the body.
    pub body: &'a mut [u8],
}

impl<C: LaneCoder> Decoding<'_, C> {
    /// Whether there are symbols for a whole tile and room for reading its words.
    fn has_tile(&self) -> bool {
        self.words.len() >= ROOM && self.body.len() >= TILE
    }

    /// Decodes what whole tiles there are.
    fn decode_tiles<I: Copy>(&mut self, instructions: I, table: &DecodeTable)
    where
        C: Tiles<I>,
    {
        if self.has_tile() {
            C::decode(instructions, table, [self]);
        }
    }
}

/// Calls `decode` for tile after tile with room for reading words and for the symbols of `N` segments; it returns the
/// bytes of words that it took. Ends as [`Tiles::decode`] says.
#[inline(always)] // into functions that have the vector instructions
pub(super) fn decode_each<C: LaneCoder, const N: usize>(
    segments: &mut [&mut Decoding<'_, C>; N],
    mut decode: impl FnMut([&[u8; ROOM]; N], [&mut [u8; TILE]; N]) -> [usize; N],
) {
    while segments.iter().all(|segment| segment.has_tile()) {
        let rooms = segments.each_ref().map(|s| s.words.first_chunk().expect("checked"));
        let tiles = segments.each_mut().map(|segment| {
            let body = std::mem::take(&mut segment.body);
            let (tile, rest) = body.split_first_chunk_mut().expect("checked");
            segment.body = rest;
            tile
        });
        let taken = decode(rooms, tiles);
        for (segment, taken) in segments.iter_mut().zip(taken) {
            segment.words = &segment.words[taken..];
        }
    }
}

/// Where a segment's stream lies in the payload and where its raw bytes go.
pub(super) struct Coded<'a> {
    /// From the segment's first byte to the end of the payload.
    pub stream: &'a [u8],
    /// Bytes of the segment.
    pub size: usize,
    pub raw: &'a mut [u8],
}

/// Decodes `N` segments together. The fault is that of the first bad segment.
pub(super) fn decode_segments<C: Tiles<I>, I: Copy, const N: usize>(
    instructions: I,
    table: &DecodeTable,
    segments: [Coded<'_>; N],
) -> Result<(), BlockFault> {
    let mut segments = segments.map(|Coded { stream, size, raw }| {
        let (body, seed) = raw.split_at_mut(C::LAYOUT.body(raw.len()));
        let (lanes, begin) = states::read::<C>(table.log, &stream[..size])?;
        Some((Decoding { lanes, words: &stream[begin..], body }, seed, stream.len() - size))
    });
    // Beside one that cannot be read the others are decoded alone.
    if segments.iter().all(Option::is_some) {
        let together = segments.each_mut().map(|s| &mut s.as_mut().expect("all are there").0);
        C::decode(instructions, table, together);
    }
    for segment in segments {
        let (segment, seed, words_after) = segment.ok_or(BlockFault::Stream)?;
        let lanes = finish::<C, I>(instructions, table, segment, words_after)?;
        if !C::take_seed(table.log, &lanes, seed) {
            return Err(BlockFault::FinalState);
        }
    }
    Ok(())
}

/// Decodes what is left of a segment, after whose words `words_after` bytes of payload follow.
fn finish<C: Tiles<I>, I: Copy>(
    instructions: I,
    table: &DecodeTable,
    segment: Decoding<'_, C>,
    words_after: usize,
) -> Result<[C::Lane; LANES], BlockFault> {
    let mut padded = [0; 2 * ROOM];
    let mut segment = segment;
    segment.decode_tiles(instructions, table);
    let own = segment.words.len().checked_sub(words_after).ok_or(BlockFault::Stream)?;
    // Near the end of the payload tiles go on in a copy, with zeros behind it.
    if !segment.body.is_empty() && segment.words.len() < ROOM {
        padded[..segment.words.len()].copy_from_slice(segment.words);
        segment.words = &padded;
    }
    let words = segment.words;
    segment.decode_tiles(instructions, table);
    if !segment.body.is_empty() {
        // A whole tile is left only if the words ran out.
        let symbols = segment.body.len();
        let words = segment.words.first_chunk().filter(|_| symbols < TILE);
        let words = words.ok_or(BlockFault::Stream)?;
        let mut tile = [0; TILE];
        let taken =
            C::decode_partial(instructions, table, &mut segment.lanes, words, &mut tile, symbols);
        segment.body.copy_from_slice(&tile[..symbols]);
        segment.words = &segment.words[taken..];
    }
    if words.len() - segment.words.len() == own {
        Ok(segment.lanes)
    } else {
        Err(BlockFault::Stream)
    }
}

/// A segment that is being encoded.
pub(super) struct Encoding<'a, C: LaneCoder> {
    pub lanes: [C::Lane; LANES],
    /// What is not yet encoded of the body.
    pub body: &'a [u8],
    /// Room for words, filled from its end.
    pub room: &'a mut [u8],
}

/// Calls `encode` for tile after tile, from the end, with room for words and the symbols of `N` segments; it returns
/// the bytes at the rooms' ends that it filled. Ends as [`Tiles::encode`] says.
#[inline(always)] // into functions that have the vector instructions
pub(super) fn encode_each<C: LaneCoder, const N: usize>(
    segments: &mut [&mut Encoding<'_, C>; N],
    mut encode: impl FnMut([&mut [u8; ROOM]; N], [&[u8; TILE]; N]) -> [usize; N],
) {
    while segments.iter().all(|s| s.body.len() >= TILE) {
        let tiles = segments.each_mut().map(|segment| {
            let (rest, tile) = segment.body.split_last_chunk().expect("checked");
            segment.body = rest;
            tile
        });
        let rooms = segments.each_mut().map(|s| s.room.last_chunk_mut().expect("whole tiles"));
        let filled = encode(rooms, tiles);
        for (segment, filled) in segments.iter_mut().zip(filled) {
            segment.room = shorten(std::mem::take(&mut segment.room), filled);
        }
    }
}

/// Encodes `N` segments together, each into the end of its buffer, which holds at least
/// [`stream_bound`](super::lanes::Layout::stream_bound) of its length; returns where the streams begin.
pub(super) fn encode_segments<C: Tiles<I>, I: Copy, const N: usize>(
    instructions: I,
    table: &C::EncodeTable,
    segments: [(&[u8], &mut [u8]); N],
) -> [usize; N] {
    let mut segments = segments.map(|(raw, room)| {
        let (body, seed) = raw.split_at(C::LAYOUT.body(raw.len()));
        let mut segment = Encoding::<C> { lanes: C::seeded(table, body, seed), body, room };
        let (whole, partial) = body.as_chunks::<TILE>();
        if !partial.is_empty() {
            let mut tile = [0; TILE];
            tile[..partial.len()].copy_from_slice(partial);
            let room = segment.room.last_chunk_mut().expect("room for whole tiles");
            let taken = C::encode_partial(
                instructions,
                table,
                &mut segment.lanes,
                room,
                &tile,
                partial.len(),
            );
            segment.room = shorten(segment.room, taken);
            segment.body = whole.as_flattened();
        }
        segment
    });
    C::encode(instructions, table, segments.each_mut());
    segments.map(|mut segment| {
        if !segment.body.is_empty() {
            C::encode(instructions, table, [&mut segment]);
        }
        debug_assert!(segment.body.is_empty());
        let mut start = segment.room.len();
        let room = &mut segment.room;
        C::finish(&mut segment.lanes, |word| start = put_word::<C>(room, start, word));
        let mut states = [0; states::BOUND];
        let length = states::write::<C>(C::log_of(table), &segment.lanes, &mut states);
        let end = start;
        start -= length;
        segment.room[start..end].copy_from_slice(&states[..length]);
        start
    })
}

/// `bytes` without its last `count`.
fn shorten(bytes: &mut [u8], count: usize) -> &mut [u8] {
    let length = bytes.len() - count;
    &mut bytes[..length]
}
