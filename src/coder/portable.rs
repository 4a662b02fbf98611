//! rANS on tiles without intrinsics and without branches that depend on the data.

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, STATE_MIN, STEPS, TILE},
    rans::EncodeTable,
    tiles::{Decoding, Encoding, Tiles, WINDOW, decode_each, encode_each},
};

/// Code for any processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Tiles for Portable {
    fn decode<const N: usize>(self, table: &DecodeTable, mut segments: [&mut Decoding<'_>; N]) {
        let mut x = segments.each_ref().map(|segment| segment.states);
        decode_each(&mut segments, |windows, tiles| {
            let mut work = x.iter_mut().zip(windows).zip(tiles);
            std::array::from_fn(|_| {
                let ((x, window), tile) = work.next().expect("N of each");
                decode_tile::<false>(table, x, window, tile, TILE)
            })
        });
        segments.iter_mut().zip(x).for_each(|(segment, x)| segment.states = x);
    }

    fn decode_partial(
        self,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; WINDOW],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        decode_tile::<true>(table, states, words, tile, symbols)
    }

    fn encode<const N: usize>(self, table: &EncodeTable, mut segments: [&mut Encoding<'_>; N]) {
        let mut x = segments.each_ref().map(|segment| segment.states);
        encode_each(&mut segments, |windows, tiles| {
            let mut work = x.iter_mut().zip(windows).zip(tiles);
            std::array::from_fn(|_| {
                let ((x, window), tile) = work.next().expect("N of each");
                encode_tile::<false>(table, x, window, tile, TILE)
            })
        });
        segments.iter_mut().zip(x).for_each(|(segment, x)| segment.states = x);
    }

    fn encode_partial(
        self,
        table: &EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; WINDOW],
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
    window: &[u8; WINDOW],
    tile: &mut [u8; TILE],
    symbols: usize,
) -> usize {
    let mask = (1 << table.log) - 1;
    let words: &[[u8; 2]; TILE] = window.as_chunks().0.try_into().expect("two bytes a word");
    let mut at = 0;
    let mut x = *states;
    for step in 0..STEPS {
        let active = |lane| !PARTIAL || lane * STEPS + step < symbols;
        for (lane, x) in x.iter_mut().enumerate() {
            let slot = table.slots[(*x & mask) as usize % 4096];
            tile[lane * STEPS + step] = (slot >> 24) as u8;
            let new = (slot & 0xfff) * (*x >> table.log) + (slot >> 12 & 0xfff);
            // A tile takes at most 128 words, so `at` is below 128 wherever a word is wanted.
            // Arithmetic, as compilers would make a branch of a choice, and it would be mispredicted often.
            let refill = u32::from(new < STATE_MIN && active(lane));
            let word = u32::from(u16::from_le_bytes(words[at % TILE]));
            let new = new << (16 * refill) | (word & refill.wrapping_neg());
            *x = if active(lane) { new } else { *x };
            at += refill as usize;
        }
    }
    *states = x;
    2 * at
}

/// Encodes one tile, of which only the first `symbols` count if it is `PARTIAL`.
#[inline]
fn encode_tile<const PARTIAL: bool>(
    table: &EncodeTable,
    states: &mut [u32; LANES],
    window: &mut [u8; WINDOW],
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
            let symbol = table.symbols[usize::from(tile[lane * STEPS + step])];
            let emit = u32::from(*x >> (32 - table.log) >= symbol.freq() && active(lane));
            // A tile yields at most 128 words, so `at` is not 0 here; what is written and not kept is written over.
            words[(at - 1) % TILE] = (*x as u16).to_le_bytes();
            at -= emit as usize;
            let short = *x >> (16 * emit);
            let complement = (1 << table.log) - symbol.freq();
            let new = short + symbol.quotient(short) * complement + symbol.cum();
            *x = if active(lane) { new } else { *x };
        }
    }
    *states = x;
    2 * (TILE - at)
}
