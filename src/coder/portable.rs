//! Coders on tiles without intrinsics and without branches that depend on the data.

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, STEPS, TILE},
    rans::{self, Rans, STATE_MIN},
    scalar::LaneCoder,
    tiles::{Decoding, Encoding, ROOM, Tiles, decode_each, encode_each},
    window::{CAPACITY, Window, WindowCoder},
};

/// Code for any processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl<C: WindowCoder> Tiles<Portable> for C {
    fn decode<const N: usize>(
        _: Portable,
        table: &DecodeTable,
        segments: [&mut Decoding<'_, C>; N],
    ) {
        decode_by_tile(segments, |lanes, words, tile| {
            decode_windows::<C>(table, lanes, words, tile)
        });
    }

    fn encode<const N: usize>(
        _: Portable,
        table: &C::EncodeTable,
        segments: [&mut Encoding<'_, C>; N],
    ) {
        encode_by_tile(segments, |lanes, room, tile| encode_windows::<C>(table, lanes, room, tile));
    }
}

/// Decodes tiles of the segments in turns.
#[inline]
fn decode_by_tile<C: LaneCoder, const N: usize>(
    mut segments: [&mut Decoding<'_, C>; N],
    mut decode: impl FnMut(&mut [C::Lane; LANES], &[u8; ROOM], &mut [u8; TILE]) -> usize,
) {
    let mut lanes = segments.each_ref().map(|segment| segment.lanes);
    decode_each(&mut segments, |rooms, tiles| {
        let mut work = lanes.iter_mut().zip(rooms).zip(tiles);
        std::array::from_fn(|_| {
            let ((lanes, words), tile) = work.next().expect("N of each");
            decode(lanes, words, tile)
        })
    });
    segments.iter_mut().zip(lanes).for_each(|(segment, lanes)| segment.lanes = lanes);
}

/// Encodes tiles of the segments in turns.
#[inline]
fn encode_by_tile<C: LaneCoder, const N: usize>(
    mut segments: [&mut Encoding<'_, C>; N],
    mut encode: impl FnMut(&mut [C::Lane; LANES], &mut [u8; ROOM], &[u8; TILE]) -> usize,
) {
    let mut lanes = segments.each_ref().map(|segment| segment.lanes);
    encode_each(&mut segments, |rooms, tiles| {
        let mut work = lanes.iter_mut().zip(rooms).zip(tiles);
        std::array::from_fn(|_| {
            let ((lanes, room), tile) = work.next().expect("N of each");
            encode(lanes, room, tile)
        })
    });
    segments.iter_mut().zip(lanes).for_each(|(segment, lanes)| segment.lanes = lanes);
}

/// Decodes one tile; returns the bytes of words taken.
#[inline]
fn decode_windows<C: WindowCoder>(
    table: &DecodeTable,
    lanes: &mut [Window; LANES],
    room: &[u8; ROOM],
    tile: &mut [u8; TILE],
) -> usize {
    let words = room.as_chunks().0;
    let mut at = 0;
    for pair in 0..2 {
        for (lane, quad) in lanes.iter_mut().zip(tile.as_chunks_mut::<STEPS>().0) {
            // A tile takes at most 64 words, so `at` is below 64 wherever a word is wanted.
            let word = u32::from_le_bytes(words[at % (ROOM / 4)]);
            let take = u32::from(lane.count <= u32::BITS);
            lane.bits |= u64::from(word & take.wrapping_neg()) << (lane.count % 64);
            lane.count += u32::BITS * take;
            at += take as usize;
            quad[2 * pair] = C::decode(table, lane);
            quad[2 * pair + 1] = C::decode(table, lane);
        }
    }
    4 * at
}

/// Encodes one tile; returns the bytes of words at the end of `room`.
#[inline]
fn encode_windows<C: WindowCoder>(
    table: &C::EncodeTable,
    lanes: &mut [Window; LANES],
    room: &mut [u8; ROOM],
    tile: &[u8; TILE],
) -> usize {
    let words = room.as_chunks_mut().0;
    let mut at = ROOM / 4;
    for pair in [1, 0] {
        for (lane, quad) in lanes.iter_mut().zip(tile.as_chunks::<STEPS>().0).rev() {
            let (second, more) = C::encode(table, &mut lane.cell, quad[2 * pair + 1]);
            let (first, count) = C::encode(table, &mut lane.cell, quad[2 * pair]);
            let emit = u32::from(lane.count + count + more > CAPACITY);
            // A tile yields at most 64 words, so `at` is not 0 here; what is written and not kept is written over.
            let word = (lane.bits >> (lane.count.wrapping_sub(u32::BITS) % 64)) as u32;
            words[(at - 1) % (ROOM / 4)] = word.to_le_bytes();
            at -= emit as usize;
            lane.count -= u32::BITS * emit;
            lane.bits &= u64::MAX.wrapping_shr(CAPACITY - lane.count);
            lane.push(second << count | first, count + more);
        }
    }
    ROOM - 4 * at
}

impl Tiles<Portable> for Rans {
    fn decode<const N: usize>(
        _: Portable,
        table: &DecodeTable,
        segments: [&mut Decoding<'_, Rans>; N],
    ) {
        decode_by_tile(segments, |states, words, tile| {
            decode_tile::<false>(table, states, words, tile, TILE)
        });
    }

    fn decode_partial(
        _: Portable,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; ROOM],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        decode_tile::<true>(table, states, words, tile, symbols)
    }

    fn encode<const N: usize>(
        _: Portable,
        table: &rans::EncodeTable,
        segments: [&mut Encoding<'_, Rans>; N],
    ) {
        encode_by_tile(segments, |states, room, tile| {
            encode_tile::<false>(table, states, room, tile, TILE)
        });
    }

    fn encode_partial(
        _: Portable,
        table: &rans::EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; ROOM],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize {
        encode_tile::<true>(table, states, room, tile, symbols)
    }
}

/// Decodes one tile, of which only the first `symbols` count if it is `PARTIAL`.
#[inline]
fn decode_tile<const PARTIAL: bool>(
    table: &DecodeTable,
    states: &mut [u32; LANES],
    window: &[u8; ROOM],
    tile: &mut [u8; TILE],
    symbols: usize,
) -> usize {
    let words: &[[u8; 2]; TILE] = window.as_chunks().0.try_into().expect("two bytes a word");
    let mut at = 0;
    let mut x = *states;
    for step in 0..STEPS {
        let active = |lane| !PARTIAL || lane * STEPS + step < symbols;
        for (lane, x) in x.iter_mut().enumerate() {
            let slot = table.slot(*x);
            tile[lane * STEPS + step] = (slot >> 24) as u8;
            // A tile takes at most 128 words, so `at` is below 128 wherever a word is wanted.
            let (new, took) =
                decode_step(table.log, *x, slot, u16::from_le_bytes(words[at % TILE]));
            *x = if active(lane) { new } else { *x };
            at += (took & u32::from(active(lane))) as usize;
        }
    }
    *states = x;
    2 * at
}

/// Encodes one tile, of which only the first `symbols` count if it is `PARTIAL`.
#[inline]
fn encode_tile<const PARTIAL: bool>(
    table: &rans::EncodeTable,
    states: &mut [u32; LANES],
    window: &mut [u8; ROOM],
    tile: &[u8; TILE],
    symbols: usize,
) -> usize {
    let words: &mut [[u8; 2]; TILE] =
        window.as_chunks_mut().0.try_into().expect("two bytes a word");
    let mut at = TILE;
    let mut x = *states;
    for step in (0..STEPS).rev() {
        let active = |lane| !PARTIAL || lane * STEPS + step < symbols;
        for (lane, x) in x.iter_mut().enumerate().rev() {
            let (new, word, emit) = encode_step(table, *x, tile[lane * STEPS + step]);
            // A tile yields at most 128 words, so `at` is not 0 here; what is written and not kept is written over.
            words[(at - 1) % TILE] = word.to_le_bytes();
            at -= (emit & u32::from(active(lane))) as usize;
            *x = if active(lane) { new } else { *x };
        }
    }
    *states = x;
    2 * (TILE - at)
}

/// Appends `word` to `x` if `take` is 1.
#[inline]
fn refill(x: u32, take: u32, word: u16) -> u32 {
    x << (16 * take) | (u32::from(word) & take.wrapping_neg())
}

/// Decodes the symbol of `slot`: the next state, and 1 if it took the word, else 0. Choices are arithmetic, as compilers would
/// make branches of them, and they would be mispredicted often.
#[inline]
fn decode_step(log: u32, x: u32, slot: u32, word: u16) -> (u32, u32) {
    let x = (slot & 0xfff) * (x >> log) + (slot >> 12 & 0xfff);
    let take = u32::from(x < STATE_MIN);
    (refill(x, take, word), take)
}

/// Encodes a symbol: the next state, a word, and 1 if the word counts, else 0.
#[inline]
fn encode_step(table: &rans::EncodeTable, x: u32, symbol: u8) -> (u32, u16, u32) {
    let symbol = table.symbols[usize::from(symbol)];
    let emit = u32::from(x >> (32 - table.log) >= symbol.freq());
    let short = x >> (16 * emit);
    let complement = (1 << table.log) - symbol.freq();
    (short + symbol.quotient(short) * complement + symbol.cum(), x as u16, emit)
}
