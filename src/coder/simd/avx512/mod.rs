//! AVX-512: a segment's 32 states in two registers.

mod steps;
mod windows;

use std::arch::x86_64::*;

use crate::coder::{
    decode_table::DecodeTable,
    lanes::{LANES, STEPS, TILE},
    rans::{self, Rans},
    tiles::{Decoding, Encoding, ROOM, Tiles, decode_each, encode_each},
};
pub(in crate::coder) use steps::Steps;

/// Proof of AVX-512 F, BW, VL, VBMI2 and of BMI1, BMI2 and POPCNT.
#[derive(Clone, Copy, Debug)]
pub(in crate::coder) struct Avx512(());

impl Avx512 {
    /// `None` if the processor or the operating system lacks one of them.
    pub fn new() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("popcnt");
        present.then_some(Self(()))
    }
}

impl Tiles<Avx512> for Rans {
    fn decode<const N: usize>(
        _: Avx512,
        table: &DecodeTable,
        segments: [&mut Decoding<'_, Rans>; N],
    ) {
        // SAFETY: there is an `Avx512`.
        unsafe { decode::<Rans, N>(table, segments) }
    }

    fn decode_partial(
        _: Avx512,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; ROOM],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        // SAFETY: there is an `Avx512`.
        unsafe { decode_partial::<Rans>(table, states, words, tile, symbols) }
    }

    fn encode<const N: usize>(
        _: Avx512,
        table: &rans::EncodeTable,
        segments: [&mut Encoding<'_, Rans>; N],
    ) {
        // SAFETY: there is an `Avx512`.
        unsafe { encode::<Rans, N>(table, segments) }
    }

    fn encode_partial(
        _: Avx512,
        table: &rans::EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; ROOM],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize {
        // SAFETY: there is an `Avx512`.
        unsafe { encode_partial::<Rans>(table, states, room, tile, symbols) }
    }
}

/// 32 lanes of `u32`; which lane is where is the caller's choice.
type Lanes = [__m512i; 2];

/// Loads 32 lanes from 128 bytes: states or a tile.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn load<T: bytemuck::Pod>(lanes: &T) -> Lanes {
    const { assert!(size_of::<T>() == 128) }
    let low: *const __m512i = std::ptr::from_ref(lanes).cast();
    // SAFETY: 2 times 64 bytes.
    unsafe { [_mm512_loadu_si512(low), _mm512_loadu_si512(low.add(1))] }
}

/// Stores 32 lanes to 128 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn store<T: bytemuck::Pod>(from: Lanes, lanes: &mut T) {
    const { assert!(size_of::<T>() == 128) }
    let low: *mut __m512i = std::ptr::from_mut(lanes).cast();
    // SAFETY: 2 times 64 bytes.
    unsafe {
        _mm512_storeu_si512(low, from[0]);
        _mm512_storeu_si512(low.add(1), from[1]);
    }
}

/// Which of 16 lanes, whose first symbols lie at `first`, have a symbol below `symbols` in this step.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn active(first: __m512i, step: usize, symbols: usize) -> __mmask16 {
    _mm512_cmplt_epi32_mask(first, _mm512_set1_epi32(symbols as i32 - step as i32))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode<C: Steps, const N: usize>(table: &DecodeTable, mut segments: [&mut Decoding<'_, C>; N]) {
    let mut x = segments.each_ref().map(|segment| load(&segment.lanes));
    decode_each(&mut segments, |windows, tiles| {
        decode_tile::<C, N, false>(table, &mut x, windows, tiles, TILE)
    });
    for n in 0..N {
        store(x[n], &mut segments[n].lanes);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_partial<C: Steps>(
    table: &DecodeTable,
    states: &mut [u32; LANES],
    words: &[u8; ROOM],
    tile: &mut [u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [load(states)];
    let [taken] = decode_tile::<C, 1, true>(table, &mut x, [words], [tile], symbols);
    store(x[0], states);
    taken
}

/// Decodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are in
/// order. Returns the bytes taken from the windows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_tile<C: Steps, const N: usize, const PARTIAL: bool>(
    table: &DecodeTable,
    x: &mut [Lanes; N],
    windows: [&[u8; ROOM]; N],
    tiles: [&mut [u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60);
    let first = [first, _mm512_add_epi32(first, _mm512_set1_epi32(64))];
    let mask = _mm512_set1_epi32((1 << table.log) - 1);
    let mut quads = [[_mm512_setzero_si512(); 2]; N];
    let mut at = [0; N];
    for step in 0..STEPS {
        for half in 0..2 {
            for n in 0..N {
                let old = x[n][half];
                let slot = look_up(&table.slots, _mm512_and_si512(old, mask));
                quads[n][half] = _mm512_shldi_epi32::<8>(quads[n][half], slot);
                let active = if PARTIAL { active(first[half], step, symbols) } else { 0xffff };
                let refill = |x, wanting: __mmask16| {
                    let wanting = wanting & active;
                    // SAFETY: before the last of 8 loads at most 7 * 16 words have been taken, and it is of 16 words.
                    let words =
                        unsafe { _mm256_loadu_si256(windows[n].as_ptr().add(at[n]).cast()) };
                    let words = _mm512_maskz_expand_epi32(wanting, _mm512_cvtepu16_epi32(words));
                    at[n] += 2 * wanting.count_ones() as usize;
                    _mm512_or_si512(_mm512_mask_slli_epi32::<16>(x, wanting, x), words)
                };
                // SAFETY: this function has the instructions.
                let new = unsafe { C::decode_lanes(table.log, old, slot, refill) };
                x[n][half] = if PARTIAL { _mm512_mask_mov_epi32(old, active, new) } else { new };
            }
        }
    }
    for (quads, tile) in quads.into_iter().zip(tiles) {
        store(quads.map(|quad| swap_bytes(quad)), tile);
    }
    at
}

/// Each lane's bytes in the other order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn swap_bytes(x: __m512i) -> __m512i {
    let order = _mm_setr_epi8(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
    _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(order))
}

/// Entries of 16 lanes. Indices wrap at the table's size.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn look_up<const SIZE: usize>(table: &[u32; SIZE], index: __m512i) -> __m512i {
    const { assert!(SIZE.is_power_of_two() && SIZE < 1 << 31) }
    let index = _mm512_and_si512(index, _mm512_set1_epi32(SIZE as i32 - 1));
    // SAFETY: the indices are below the size.
    unsafe { _mm512_i32gather_epi32::<4>(index, table.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode<C: Steps, const N: usize>(
    table: &C::EncodeTable,
    mut segments: [&mut Encoding<'_, C>; N],
) {
    let mut x = segments.each_ref().map(|segment| deal(load(&segment.lanes)));
    encode_each(&mut segments, |windows, tiles| {
        encode_tile::<C, N, false>(table, &mut x, windows, tiles, TILE)
    });
    for n in 0..N {
        store(deal_back(x[n]), &mut segments[n].lanes);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode_partial<C: Steps>(
    table: &C::EncodeTable,
    states: &mut [u32; LANES],
    room: &mut [u8; ROOM],
    tile: &[u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [deal(load(states))];
    let [filled] = encode_tile::<C, 1, true>(table, &mut x, [room], [tile], symbols);
    store(deal_back(x[0]), states);
    filled
}

/// From lanes in order to fours of lanes dealt to the two registers in turn, so that packing both to 16 bits (which
/// works on quarters of registers) puts the lanes in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn deal([low, high]: Lanes) -> Lanes {
    let even = _mm512_shuffle_i32x4::<0b10_00_10_00>(low, high);
    let odd = _mm512_shuffle_i32x4::<0b11_01_11_01>(low, high);
    [even, odd]
}

/// The inverse of [`deal`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn deal_back([even, odd]: Lanes) -> Lanes {
    let low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    let high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    [_mm512_permutex2var_epi64(even, low, odd), _mm512_permutex2var_epi64(even, high, odd)]
}

/// Encodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are
/// [dealt](deal). Returns the bytes filled at the end of the windows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode_tile<C: Steps, const N: usize, const PARTIAL: bool>(
    table: &C::EncodeTable,
    x: &mut [Lanes; N],
    windows: [&mut [u8; ROOM]; N],
    tiles: [&[u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let first = _mm512_setr_epi32(0, 4, 8, 12, 32, 36, 40, 44, 64, 68, 72, 76, 96, 100, 104, 108);
    let first = [first, _mm512_add_epi32(first, _mm512_set1_epi32(16))];
    let mut quads = tiles.map(|tile| deal(load(tile)));
    let mut at = [ROOM; N];
    for step in (0..STEPS).rev() {
        for n in 0..N {
            let mut words = [_mm512_setzero_si512(); 2];
            let mut emit = [0; 2];
            for half in 0..2 {
                let old = x[n][half];
                let symbols_of_lanes = _mm512_srli_epi32::<24>(quads[n][half]);
                quads[n][half] = _mm512_slli_epi32::<8>(quads[n][half]);
                // SAFETY: this function has the instructions.
                let (new, word, set) = unsafe { C::encode_lanes(table, old, symbols_of_lanes) };
                words[half] = _mm512_and_si512(word, _mm512_set1_epi32(0xffff));
                let active = if PARTIAL { active(first[half], step, symbols) } else { 0xffff };
                x[n][half] = if PARTIAL { _mm512_mask_mov_epi32(old, active, new) } else { new };
                emit[half] = set & active;
            }
            let words = _mm512_packus_epi32(words[0], words[1]);
            let [even, odd] = emit.map(u32::from);
            let emit = _pdep_u32(even, 0x0f0f_0f0f) | _pdep_u32(odd, 0xf0f0_f0f0);
            let words = _mm512_maskz_compress_epi16(emit, words);
            let count = emit.count_ones();
            at[n] -= 2 * count as usize;
            // SAFETY: 4 steps of at most 32 words of 2 bytes fill at most the window.
            unsafe {
                let start = windows[n].as_mut_ptr().add(at[n]);
                _mm512_mask_storeu_epi16(start.cast(), _bzhi_u32(!0, count), words);
            }
        }
    }
    at.map(|at| ROOM - at)
}
