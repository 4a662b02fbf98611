//! FSE and Huffman: windows of 16 lanes in two registers, one for each half of their 64 bits.
//!
//! Shifts are funnel shifts, which use the low five bits of their counts alone. So entries are added to counts and used as
//! counts as they are, whatever is in their upper bits.

use std::arch::x86_64::*;

use super::{Avx512, load, look_up, store, swap_bytes};
use crate::coder::{
    decode_table::DecodeTable,
    fse::{self, Fse},
    huffman::{self, Huffman},
    lanes::{LANES, STEPS, TILE},
    tiles::{Decoding, Encoding, ROOM, Tiles, decode_each, encode_each},
    window::{Halves, WindowCoder},
};

impl<C: Steps> Tiles<Avx512> for C {
    fn decode<const N: usize>(_: Avx512, table: &DecodeTable, segments: [&mut Decoding<'_, C>; N]) {
        // SAFETY: there is an `Avx512`.
        unsafe { decode::<C, N>(table, segments) }
    }

    fn encode<const N: usize>(
        _: Avx512,
        table: &C::EncodeTable,
        segments: [&mut Encoding<'_, C>; N],
    ) {
        // SAFETY: there is an `Avx512`.
        unsafe { encode::<C, N>(table, segments) }
    }
}

/// What a coder does with a symbol of each of 16 lanes.
pub(in crate::coder) trait Steps: WindowCoder {
    /// The decoder's entries. `next` holds the lanes' next 24 bits or more.
    ///
    /// # Safety
    /// The caller has the instructions that [`Avx512`] proves.
    unsafe fn slots(table: &DecodeTable, next: __m512i, cell: __m512i) -> __m512i;

    /// The cells after the symbols of `slots`.
    ///
    /// # Safety
    /// As for `slots`.
    unsafe fn next_cell(
        table: &DecodeTable,
        slots: __m512i,
        next: __m512i,
        cell: __m512i,
    ) -> __m512i;

    /// Encodes symbols: their bits, at the top, and how many, in the 7 lowest bits.
    ///
    /// # Safety
    /// As for `slots`.
    unsafe fn encode_lanes(
        table: &Self::EncodeTable,
        symbols: __m512i,
        cell: &mut __m512i,
    ) -> (__m512i, __m512i);
}

impl Steps for Huffman {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn slots(table: &DecodeTable, next: __m512i, _: __m512i) -> __m512i {
        let mask = _mm512_set1_epi32((1 << table.log) - 1);
        look_up(&table.slots, _mm512_and_si512(next, mask))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn next_cell(_: &DecodeTable, _: __m512i, _: __m512i, cell: __m512i) -> __m512i {
        cell
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn encode_lanes(
        table: &huffman::EncodeTable,
        symbols: __m512i,
        _: &mut __m512i,
    ) -> (__m512i, __m512i) {
        let entries = look_up(&table.symbols, symbols);
        (entries, entries)
    }
}

impl Steps for Fse {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn slots(table: &DecodeTable, _: __m512i, cell: __m512i) -> __m512i {
        look_up(&table.slots, cell)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn next_cell(table: &DecodeTable, slots: __m512i, next: __m512i, _: __m512i) -> __m512i {
        let top = _mm512_shrdv_epi32(_mm512_slli_epi32::<8>(slots), next, slots);
        _mm512_srl_epi32(top, _mm_cvtsi32_si128(32 - table.log as i32))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn encode_lanes(
        table: &fse::EncodeTable,
        symbols: __m512i,
        cell: &mut __m512i,
    ) -> (__m512i, __m512i) {
        let t = *cell;
        let entries = look_up(&table.symbols, symbols);
        let bits = _mm512_srli_epi32::<{ fse::BITS_AT }>(_mm512_add_epi32(entries, t));
        let rest = shift_right(_mm512_and_si512(t, _mm512_set1_epi32(0x1fff)), bits);
        let number = _mm512_add_epi32(_mm512_srli_epi32::<{ fse::FIRST_AT }>(entries), rest);
        *cell = look_up(&table.cells, number);
        (t, bits)
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn shift_right(x: __m512i, count: __m512i) -> __m512i {
    _mm512_shrdv_epi32(x, _mm512_setzero_si512(), count)
}

/// 16 lanes.
#[derive(Clone, Copy)]
struct Windows {
    low: __m512i,
    high: __m512i,
    /// In the low bits; see [`Halves`].
    room: __m512i,
    cell: __m512i,
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn load_windows(halves: &Halves) -> [Windows; 2] {
    let [low, high, room, cell] =
        [&halves.low, &halves.high, &halves.room, &halves.cell].map(|lanes| load(lanes));
    std::array::from_fn(|i| Windows { low: low[i], high: high[i], room: room[i], cell: cell[i] })
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn store_windows(windows: [Windows; 2]) -> Halves {
    let mut halves = Halves::default();
    store(windows.map(|w| w.low), &mut halves.low);
    store(windows.map(|w| w.high), &mut halves.high);
    store(windows.map(|w| w.room), &mut halves.room);
    store(windows.map(|w| w.cell), &mut halves.cell);
    halves
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode<C: Steps, const N: usize>(table: &DecodeTable, mut segments: [&mut Decoding<'_, C>; N]) {
    let mut x = segments.each_ref().map(|s| load_windows(&Halves::of_decoder(&s.lanes)));
    decode_each(&mut segments, |rooms, tiles| decode_tile::<C, N>(table, &mut x, rooms, tiles));
    for n in 0..N {
        segments[n].lanes = store_windows(x[n]).to_decoder(table.log);
    }
}

/// Decodes one tile of each of `N` segments. Returns the bytes taken from the rooms.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_tile<C: Steps, const N: usize>(
    table: &DecodeTable,
    x: &mut [[Windows; 2]; N],
    rooms: [&[u8; ROOM]; N],
    tiles: [&mut [u8; TILE]; N],
) -> [usize; N] {
    let word = _mm512_set1_epi32(32);
    let mut quads = [[_mm512_setzero_si512(); 2]; N];
    let mut at = [0; N];
    for _ in 0..STEPS / 2 {
        let mut next = quads;
        for (half, n) in chains::<N>() {
            let Windows { low, high, room, .. } = &mut x[n][half];
            let wanting = _mm512_test_epi32_mask(*room, word);
            // SAFETY: before the last of 4 loads at most 3 * 16 words have been taken, and it is of 16 words.
            let words = unsafe { _mm512_loadu_si512(rooms[n].as_ptr().add(at[n]).cast()) };
            *low = _mm512_mask_mov_epi32(*low, wanting, *high);
            *high = _mm512_mask_expand_epi32(*high, wanting, words);
            *room = _mm512_andnot_si512(word, *room);
            at[n] += 4 * wanting.count_ones() as usize;
            next[n][half] = _mm512_shrdv_epi32(*low, *high, *room);
        }
        for _ in 0..2 {
            for (half, n) in chains::<N>() {
                let Windows { room, cell, .. } = &mut x[n][half];
                let next = &mut next[n][half];
                // SAFETY: this function has the instructions.
                let slots = unsafe { C::slots(table, *next, *cell) };
                // SAFETY: as above.
                *cell = unsafe { C::next_cell(table, slots, *next, *cell) };
                *next = shift_right(*next, slots);
                *room = _mm512_add_epi32(*room, slots);
                quads[n][half] = _mm512_shldi_epi32::<8>(quads[n][half], slots);
            }
        }
    }
    for (quads, tile) in quads.into_iter().zip(tiles) {
        store(quads.map(|quad| swap_bytes(quad)), tile);
    }
    at
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode<C: Steps, const N: usize>(
    table: &C::EncodeTable,
    mut segments: [&mut Encoding<'_, C>; N],
) {
    let log = C::table_log(table);
    let mut x = segments.each_ref().map(|s| load_windows(&Halves::of_encoder(&s.lanes, log)));
    encode_each(&mut segments, |rooms, tiles| encode_tile::<C, N>(table, &mut x, rooms, tiles));
    for n in 0..N {
        segments[n].lanes = store_windows(x[n]).to_encoder(log);
    }
}

/// Encodes one tile of each of `N` segments. Returns the bytes filled at the end of the rooms.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode_tile<C: Steps, const N: usize>(
    table: &C::EncodeTable,
    x: &mut [[Windows; 2]; N],
    rooms: [&mut [u8; ROOM]; N],
    tiles: [&[u8; TILE]; N],
) -> [usize; N] {
    let mut quads: [[__m512i; 2]; N] = tiles.map(|tile| load(tile));
    let mut at = [ROOM; N];
    for _ in 0..STEPS / 2 {
        let mut words = quads;
        for (half, n) in chains::<N>() {
            let Windows { low, high, room, .. } = x[n][half];
            words[n][half] = _mm512_shldv_epi32(high, low, room);
        }
        for _ in 0..2 {
            for (half, n) in chains::<N>() {
                let Windows { low, high, room, cell } = &mut x[n][half];
                let symbols = _mm512_srli_epi32::<24>(quads[n][half]);
                quads[n][half] = _mm512_slli_epi32::<8>(quads[n][half]);
                // SAFETY: this function has the instructions.
                let (value, bits) = unsafe { C::encode_lanes(table, symbols, cell) };
                *high = _mm512_shldv_epi32(*high, *low, bits);
                *low = _mm512_shldv_epi32(*low, value, bits);
                *room = _mm512_sub_epi32(*room, bits);
            }
        }
        for (half, n) in chains::<N>().rev() {
            let room = &mut x[n][half].room;
            // From -24 to 32 in 7 bits.
            let emit = _mm512_test_epi32_mask(*room, _mm512_set1_epi32(64));
            *room = _mm512_mask_add_epi32(*room, emit, *room, _mm512_set1_epi32(32));
            let words = _mm512_maskz_compress_epi32(emit, words[n][half]);
            let count = emit.count_ones();
            at[n] -= 4 * count as usize;
            // SAFETY: 4 stores of at most 16 words of 4 bytes fill at most the room.
            unsafe {
                let start = rooms[n].as_mut_ptr().add(at[n]);
                _mm512_mask_storeu_epi32(start.cast(), _bzhi_u32(0xffff, count) as _, words);
            }
        }
    }
    at.map(|at| ROOM - at)
}

/// What depends on nothing else within a step: both halves of the lanes of `N` segments.
#[inline(always)]
fn chains<const N: usize>() -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..2 * N).map(|i| (i / N, i % N))
}

/// Lanes are loaded from and stored to arrays of 32.
const _: () = assert!(LANES == 32 && ROOM == 4 * 16 * 4);
