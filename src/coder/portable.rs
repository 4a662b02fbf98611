//! Coders on tiles without intrinsics and without branches that depend on the data.

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, STEPS, TILE},
    rans::{self, Rans, STATE_MIN},
    scalar::LaneCoder,
    tiles::{Decoding, Encoding, ROOM, Tiles, decode_each, encode_each},
    window::WindowCoder,
};

/// Code for any processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

impl<C: WindowCoder> Tiles<Portable> for C {}

impl Tiles<Portable> for Rans {
    fn decode<const N: usize>(
        _: Portable,
        table: &DecodeTable,
        mut segments: [&mut Decoding<'_, Rans>; N],
    ) {
        let mut x = segments.each_ref().map(|segment| segment.lanes);
        decode_each(&mut segments, |windows, tiles| {
            let mut work = x.iter_mut().zip(windows).zip(tiles);
            std::array::from_fn(|_| {
                let ((x, window), tile) = work.next().expect("N of each");
                decode_tile::<Rans, false>(table, x, window, tile, TILE)
            })
        });
        segments.iter_mut().zip(x).for_each(|(segment, x)| segment.lanes = x);
    }

    fn decode_partial(
        _: Portable,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; ROOM],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        decode_tile::<Rans, true>(table, states, words, tile, symbols)
    }

    fn encode<const N: usize>(
        _: Portable,
        table: &rans::EncodeTable,
        mut segments: [&mut Encoding<'_, Rans>; N],
    ) {
        let mut x = segments.each_ref().map(|segment| segment.lanes);
        encode_each(&mut segments, |windows, tiles| {
            let mut work = x.iter_mut().zip(windows).zip(tiles);
            std::array::from_fn(|_| {
                let ((x, window), tile) = work.next().expect("N of each");
                encode_tile::<Rans, false>(table, x, window, tile, TILE)
            })
        });
        segments.iter_mut().zip(x).for_each(|(segment, x)| segment.lanes = x);
    }

    fn encode_partial(
        _: Portable,
        table: &rans::EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; ROOM],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize {
        encode_tile::<Rans, true>(table, states, room, tile, symbols)
    }
}

/// Decodes one tile, of which only the first `symbols` count if it is `PARTIAL`.
#[inline]
fn decode_tile<C: Steps, const PARTIAL: bool>(
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
                C::decode_step(table.log, *x, slot, u16::from_le_bytes(words[at % TILE]));
            *x = if active(lane) { new } else { *x };
            at += (took & u32::from(active(lane))) as usize;
        }
    }
    *states = x;
    2 * at
}

/// Encodes one tile, of which only the first `symbols` count if it is `PARTIAL`.
#[inline]
fn encode_tile<C: Steps, const PARTIAL: bool>(
    table: &C::EncodeTable,
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
            let (new, word, emit) = C::encode_step(table, *x, tile[lane * STEPS + step]);
            // A tile yields at most 128 words, so `at` is not 0 here; what is written and not kept is written over.
            words[(at - 1) % TILE] = word.to_le_bytes();
            at -= (emit & u32::from(active(lane))) as usize;
            *x = if active(lane) { new } else { *x };
        }
    }
    *states = x;
    2 * (TILE - at)
}

/// What a coder does with one symbol on one lane. Choices are arithmetic, as compilers would make branches of them, and
/// they would be mispredicted often.
pub(super) trait Steps: LaneCoder<Lane = u32> {
    /// Decodes the symbol of `slot`: the next state, and 1 if it took the word, else 0.
    fn decode_step(log: u32, x: u32, slot: u32, word: u16) -> (u32, u32);

    /// Encodes a symbol: the next state, a word, and 1 if the word counts, else 0.
    fn encode_step(table: &Self::EncodeTable, x: u32, symbol: u8) -> (u32, u16, u32);
}

/// Appends `word` to `x` if `take` is 1.
#[inline]
fn refill(x: u32, take: u32, word: u16) -> u32 {
    x << (16 * take) | (u32::from(word) & take.wrapping_neg())
}

impl Steps for Rans {
    #[inline]
    fn decode_step(log: u32, x: u32, slot: u32, word: u16) -> (u32, u32) {
        let x = (slot & 0xfff) * (x >> log) + (slot >> 12 & 0xfff);
        let take = u32::from(x < STATE_MIN);
        (refill(x, take, word), take)
    }

    #[inline]
    fn encode_step(table: &Self::EncodeTable, x: u32, symbol: u8) -> (u32, u16, u32) {
        let symbol = table.symbols[usize::from(symbol)];
        let emit = u32::from(x >> (32 - table.log) >= symbol.freq());
        let short = x >> (16 * emit);
        let complement = (1 << table.log) - symbol.freq();
        (short + symbol.quotient(short) * complement + symbol.cum(), x as u16, emit)
    }
}
