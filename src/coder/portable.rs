//! rANS on tiles without intrinsics: loops over arrays of 32 lanes, which compilers turn into whatever vector
//! instructions the target has, apart from the table look-ups and the words.

use super::{
    lanes::{LANES, STATE_MIN, STEPS, TILE},
    rans::{DecodeTable, EncodeSymbol, EncodeTable},
    tiles::{Decoding, Encoding, Tiles, WINDOW, shorten},
};

/// Code for any processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl Tiles for Portable {
    fn decode<const N: usize>(self, table: &DecodeTable, mut segments: [&mut Decoding<'_>; N]) {
        while segments.iter().all(|s| s.words.len() >= WINDOW && s.body.len() >= TILE) {
            for segment in &mut segments {
                let window = segment.words.first_chunk().expect("checked above");
                let body = std::mem::take(&mut segment.body);
                let (tile, rest) = body.split_first_chunk_mut().expect("checked above");
                let taken = decode_tile::<false>(table, &mut segment.states, window, tile, TILE);
                segment.words = &segment.words[taken..];
                segment.body = rest;
            }
        }
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
        while segments.iter().all(|s| s.body.len() >= TILE) {
            for segment in &mut segments {
                let (rest, tile) = segment.body.split_last_chunk().expect("checked above");
                let room = std::mem::take(&mut segment.room);
                let window = room.last_chunk_mut().expect("room for whole tiles");
                let taken = encode_tile::<false>(table, &mut segment.states, window, tile, TILE);
                segment.room = shorten(room, taken);
                segment.body = rest;
            }
        }
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
        let slots = x.map(|x| table.slots[(x & mask) as usize % 4096]);
        for lane in 0..LANES {
            tile[lane * STEPS + step] = slots[lane] as u8;
            if active(lane) {
                x[lane] = (slots[lane] >> 20) * (x[lane] >> table.log) + (slots[lane] >> 8 & 0xfff);
            }
        }
        for (lane, x) in x.iter_mut().enumerate() {
            // A tile takes at most 128 words, so `at` is below 128 wherever a word is wanted.
            let refill = *x < STATE_MIN && active(lane);
            let longer = *x << 16 | u32::from(u16::from_le_bytes(words[at % TILE]));
            *x = if refill { longer } else { *x };
            at += usize::from(refill);
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
        let entries: [EncodeSymbol; LANES] =
            std::array::from_fn(|lane| table.symbols[usize::from(tile[lane * STEPS + step])]);
        for lane in (0..LANES).rev() {
            // A tile yields at most 128 words, so `at` is not 0 here; what is written and not kept is written over.
            let emit = x[lane] >> (32 - table.log) >= entries[lane].freq() && active(lane);
            words[(at - 1) % TILE] = (x[lane] as u16).to_le_bytes();
            at -= usize::from(emit);
            x[lane] >>= if emit { 16 } else { 0 };
        }
        for lane in 0..LANES {
            let entry = entries[lane];
            if active(lane) {
                let complement = (1 << table.log) - entry.freq();
                x[lane] += entry.quotient(x[lane]) * complement + entry.cum();
            }
        }
    }
    *states = x;
    2 * (TILE - at)
}
