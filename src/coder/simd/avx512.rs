//! AVX-512: a segment's 32 states in two registers.

use std::arch::x86_64::*;

use crate::coder::{
    decode_table::DecodeTable,
    lanes::{LANES, STATE_MIN, STEPS, TILE},
    rans::EncodeTable,
    tiles::{Decoding, Encoding, Tiles, WINDOW, decode_each, encode_each},
};

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

impl Tiles for Avx512 {
    fn decode<const N: usize>(self, table: &DecodeTable, segments: [&mut Decoding<'_>; N]) {
        // SAFETY: `self` proves the instructions.
        unsafe { decode(table, segments) }
    }

    fn decode_partial(
        self,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; WINDOW],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        // SAFETY: `self` proves the instructions.
        unsafe { decode_partial(table, states, words, tile, symbols) }
    }

    fn encode<const N: usize>(self, table: &EncodeTable, segments: [&mut Encoding<'_>; N]) {
        // SAFETY: `self` proves the instructions.
        unsafe { encode(table, segments) }
    }

    fn encode_partial(
        self,
        table: &EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; WINDOW],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize {
        // SAFETY: `self` proves the instructions.
        unsafe { encode_partial(table, states, room, tile, symbols) }
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
fn decode<const N: usize>(table: &DecodeTable, mut segments: [&mut Decoding<'_>; N]) {
    let mut x = segments.each_ref().map(|segment| load(&segment.states));
    decode_each(&mut segments, |windows, tiles| {
        decode_tile::<N, false>(table, &mut x, windows, tiles, TILE)
    });
    for n in 0..N {
        store(x[n], &mut segments[n].states);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_partial(
    table: &DecodeTable,
    states: &mut [u32; LANES],
    words: &[u8; WINDOW],
    tile: &mut [u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [load(states)];
    let [taken] = decode_tile::<1, true>(table, &mut x, [words], [tile], symbols);
    store(x[0], states);
    taken
}

/// Decodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are in
/// order. Returns the bytes taken from the windows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_tile<const N: usize, const PARTIAL: bool>(
    table: &DecodeTable,
    x: &mut [Lanes; N],
    windows: [&[u8; WINDOW]; N],
    tiles: [&mut [u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60);
    let first = [first, _mm512_add_epi32(first, _mm512_set1_epi32(64))];
    let mut quads = [[_mm512_setzero_si512(); 2]; N];
    let mut at = [0; N];
    for step in 0..STEPS {
        for half in 0..2 {
            for n in 0..N {
                let old = x[n][half];
                let (slot, mut new) = decode_symbols(table, old);
                quads[n][half] = _mm512_shldi_epi32::<8>(quads[n][half], slot);
                let mut refill = _mm512_cmplt_epu32_mask(new, _mm512_set1_epi32(STATE_MIN as i32));
                if PARTIAL {
                    let active = active(first[half], step, symbols);
                    new = _mm512_mask_mov_epi32(old, active, new);
                    refill &= active;
                }
                // SAFETY: before the last of 8 loads at most 7 * 16 words have been taken, and it is of 16 words.
                let words = unsafe { _mm256_loadu_si256(windows[n].as_ptr().add(at[n]).cast()) };
                let words = _mm512_maskz_expand_epi32(refill, _mm512_cvtepu16_epi32(words));
                x[n][half] = _mm512_or_si512(_mm512_mask_slli_epi32::<16>(new, refill, new), words);
                at[n] += 2 * refill.count_ones() as usize;
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

/// One symbol of each of 16 lanes: what the states' slots hold, and the states before any refill.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_symbols(table: &DecodeTable, x: __m512i) -> (__m512i, __m512i) {
    let index = _mm512_and_si512(x, _mm512_set1_epi32((1 << table.log.min(12)) - 1));
    // SAFETY: indices are at most 4095, in a table of 4096.
    let slot = unsafe { _mm512_i32gather_epi32::<4>(index, table.slots.as_ptr().cast()) };
    let freq = _mm512_and_si512(slot, _mm512_set1_epi32(0xfff));
    let bias = _mm512_and_si512(_mm512_srli_epi32::<12>(slot), _mm512_set1_epi32(0xfff));
    let high = _mm512_srl_epi32(x, _mm_cvtsi32_si128(table.log as i32));
    (slot, _mm512_add_epi32(_mm512_mullo_epi32(high, freq), bias))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode<const N: usize>(table: &EncodeTable, mut segments: [&mut Encoding<'_>; N]) {
    let mut x = segments.each_ref().map(|segment| deal(load(&segment.states)));
    encode_each(&mut segments, |windows, tiles| {
        encode_tile::<N, false>(table, &mut x, windows, tiles, TILE)
    });
    for n in 0..N {
        store(deal_back(x[n]), &mut segments[n].states);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode_partial(
    table: &EncodeTable,
    states: &mut [u32; LANES],
    room: &mut [u8; WINDOW],
    tile: &[u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [deal(load(states))];
    let [filled] = encode_tile::<1, true>(table, &mut x, [room], [tile], symbols);
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
fn encode_tile<const N: usize, const PARTIAL: bool>(
    table: &EncodeTable,
    x: &mut [Lanes; N],
    windows: [&mut [u8; WINDOW]; N],
    tiles: [&[u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let first = _mm512_setr_epi32(0, 4, 8, 12, 32, 36, 40, 44, 64, 68, 72, 76, 96, 100, 104, 108);
    let first = [first, _mm512_add_epi32(first, _mm512_set1_epi32(16))];
    let mut quads = tiles.map(|tile| deal(load(tile)));
    let mut at = [WINDOW; N];
    for step in (0..STEPS).rev() {
        for n in 0..N {
            let low_words = x[n].map(|x| _mm512_and_si512(x, _mm512_set1_epi32(0xffff)));
            let mut emit = [0; 2];
            for half in 0..2 {
                let entries = look_up(table, _mm512_srli_epi32::<24>(quads[n][half]));
                quads[n][half] = _mm512_slli_epi32::<8>(quads[n][half]);
                let active = if PARTIAL { active(first[half], step, symbols) } else { 0xffff };
                (x[n][half], emit[half]) = encode_symbols(table.log, x[n][half], entries, active);
            }
            let words = _mm512_packus_epi32(low_words[0], low_words[1]);
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
    at.map(|at| WINDOW - at)
}

/// What an [`EncodeTable`] says of the symbols of 16 lanes.
#[derive(Clone, Copy)]
struct Entries {
    /// In the low halves of 64 bits, those of even lanes and those of odd lanes.
    reciprocals: [__m512i; 2],
    /// The entries' upper halves, lane by lane.
    freq_cum: __m512i,
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn look_up(table: &EncodeTable, symbols: __m512i) -> Entries {
    let even = _mm512_and_si512(symbols, _mm512_set1_epi64(0xff));
    let odd = _mm512_srli_epi64::<32>(symbols);
    let base = table.symbols.as_ptr().cast();
    // SAFETY: indices are bytes, in a table of 256 times 8 bytes.
    let reciprocals = unsafe {
        [_mm512_i64gather_epi64::<8>(even, base), _mm512_i64gather_epi64::<8>(odd, base)]
    };
    Entries { reciprocals, freq_cum: upper_halves(reciprocals) }
}

/// The upper halves of 64 bits: those of the first register in even lanes, those of the second in odd lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn upper_halves([even, odd]: [__m512i; 2]) -> __m512i {
    _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even)
}

/// One symbol of each of 16 lanes: the new states, and which of the old ones yield their low words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode_symbols(
    log: u32,
    x: __m512i,
    Entries { reciprocals, freq_cum }: Entries,
    active: __mmask16,
) -> (__m512i, __mmask16) {
    let freq = _mm512_srli_epi32::<20>(freq_cum);
    let cum = _mm512_and_si512(_mm512_srli_epi32::<8>(freq_cum), _mm512_set1_epi32(0xfff));
    let top = _mm512_srl_epi32(x, _mm_cvtsi32_si128(32 - log as i32));
    let emit = _mm512_mask_cmpge_epu32_mask(active, top, freq);
    let short = _mm512_mask_srli_epi32::<16>(x, emit, x);
    // short + quotient * (2^log - freq) + cum
    let complement = _mm512_sub_epi32(_mm512_set1_epi32(1 << log), freq);
    let grown = _mm512_mullo_epi32(divide(short, reciprocals, freq_cum), complement);
    let new = _mm512_add_epi32(_mm512_add_epi32(short, cum), grown);
    (_mm512_mask_mov_epi32(x, active, new), emit)
}

/// See [`EncodeSymbol`](crate::coder::rans::EncodeSymbol).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn divide(x: __m512i, [even, odd]: [__m512i; 2], freq_cum: __m512i) -> __m512i {
    let one = _mm512_set1_epi32(1);
    let addend = _mm512_test_epi32_mask(freq_cum, _mm512_set1_epi32(1 << 5));
    let x = _mm512_mask_add_epi32(x, addend, x, one);
    let even = _mm512_mul_epu32(x, even);
    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(x), odd);
    // A funnel shift uses the low five bits of its count alone.
    _mm512_shrdv_epi32(upper_halves([even, odd]), _mm512_setzero_si512(), freq_cum)
}
