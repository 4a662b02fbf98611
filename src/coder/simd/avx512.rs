//! AVX-512: a segment's 32 states in two registers.

use std::arch::x86_64::*;

use crate::coder::{
    lanes::{LANES, STATE_MIN, STEPS, TILE},
    rans::{DecodeTable, EncodeTable},
    tiles::{Decoding, Encoding, Tiles, WINDOW, shorten},
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

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn load(words: &[u32; LANES]) -> Lanes {
    // SAFETY: 2 times 64 bytes.
    unsafe {
        [_mm512_loadu_si512(words.as_ptr().cast()), _mm512_loadu_si512(words[16..].as_ptr().cast())]
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn store(lanes: Lanes, words: &mut [u32; LANES]) {
    // SAFETY: 2 times 64 bytes.
    unsafe {
        _mm512_storeu_si512(words.as_mut_ptr().cast(), lanes[0]);
        _mm512_storeu_si512(words[16..].as_mut_ptr().cast(), lanes[1]);
    }
}

/// Which of 16 lanes, whose first symbols lie at `first`, have a symbol below `symbols` in this step.
#[inline]
#[target_feature(enable = "avx512f")]
fn active(first: __m512i, step: usize, symbols: usize) -> __mmask16 {
    _mm512_cmplt_epi32_mask(first, _mm512_set1_epi32(symbols as i32 - step as i32))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode<const N: usize>(table: &DecodeTable, segments: [&mut Decoding<'_>; N]) {
    let mut x = [[_mm512_setzero_si512(); 2]; N];
    for n in 0..N {
        x[n] = load(&segments[n].states);
    }
    while segments.iter().all(|s| s.words.len() >= WINDOW && s.body.len() >= TILE) {
        let windows = std::array::from_fn(|n| segments[n].words.first_chunk().expect("checked"));
        let (tiles, taken) = decode_tile::<N, false>(table, &mut x, windows, TILE);
        for n in 0..N {
            let body = std::mem::take(&mut segments[n].body);
            let (tile, rest) = body.split_first_chunk_mut::<TILE>().expect("checked");
            // SAFETY: 2 times 64 bytes.
            unsafe {
                _mm512_storeu_si512(tile.as_mut_ptr().cast(), tiles[n][0]);
                _mm512_storeu_si512(tile[64..].as_mut_ptr().cast(), tiles[n][1]);
            }
            segments[n].body = rest;
            segments[n].words = &segments[n].words[taken[n]..];
        }
    }
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
    let ([quads], [taken]) = decode_tile::<1, true>(table, &mut x, [words], symbols);
    store(x[0], states);
    // SAFETY: 2 times 64 bytes.
    unsafe {
        _mm512_storeu_si512(tile.as_mut_ptr().cast(), quads[0]);
        _mm512_storeu_si512(tile[64..].as_mut_ptr().cast(), quads[1]);
    }
    taken
}

/// Decodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are in
/// order. Returns the tiles and the bytes taken from the windows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn decode_tile<const N: usize, const PARTIAL: bool>(
    table: &DecodeTable,
    x: &mut [Lanes; N],
    windows: [&[u8; WINDOW]; N],
    symbols: usize,
) -> ([Lanes; N], [usize; N]) {
    let first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60);
    let first = [first, _mm512_add_epi32(first, _mm512_set1_epi32(64))];
    let log = _mm_cvtsi32_si128(table.log as i32);
    let mask = _mm512_set1_epi32((1 << table.log.min(12)) - 1);
    let mut quads = [[_mm512_setzero_si512(); 2]; N];
    let mut at = [0; N];
    for step in 0..STEPS {
        let mut slots = quads;
        for n in 0..N {
            for half in 0..2 {
                let index = _mm512_and_si512(x[n][half], mask);
                // SAFETY: indices are at most 4095, in a table of 4096.
                slots[n][half] =
                    unsafe { _mm512_i32gather_epi32::<4>(index, table.slots.as_ptr().cast()) };
            }
        }
        for half in 0..2 {
            for n in 0..N {
                let (slot, old) = (slots[n][half], x[n][half]);
                quads[n][half] = _mm512_shrdi_epi32::<8>(quads[n][half], slot);
                let bias = _mm512_and_si512(_mm512_srli_epi32::<8>(slot), _mm512_set1_epi32(0xfff));
                let scaled =
                    _mm512_mullo_epi32(_mm512_srl_epi32(old, log), _mm512_srli_epi32::<20>(slot));
                let mut new = _mm512_add_epi32(scaled, bias);
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
    (quads, at)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn encode<const N: usize>(table: &EncodeTable, mut segments: [&mut Encoding<'_>; N]) {
    let mut x = [[_mm512_setzero_si512(); 2]; N];
    for n in 0..N {
        x[n] = deal(load(&segments[n].states));
    }
    while segments.iter().all(|s| s.body.len() >= TILE) {
        let mut rooms = segments.each_mut().map(|segment| std::mem::take(&mut segment.room));
        let tiles = segments.each_mut().map(|segment| {
            let (rest, tile) = segment.body.split_last_chunk().expect("checked");
            segment.body = rest;
            tile
        });
        let windows = rooms.each_mut().map(|room| room.last_chunk_mut().expect("whole tiles"));
        let taken = encode_tile::<N, false>(table, &mut x, windows, tiles, TILE);
        for ((segment, room), taken) in segments.iter_mut().zip(rooms).zip(taken) {
            segment.room = shorten(room, taken);
        }
    }
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
    let [taken] = encode_tile::<1, true>(table, &mut x, [room], [tile], symbols);
    store(deal_back(x[0]), states);
    taken
}

/// From lanes in order to fours of lanes dealt to the two registers in turn, so that packing both
/// to 16 bits (which works on quarters of registers) puts the lanes in order.
#[inline]
#[target_feature(enable = "avx512f")]
fn deal([low, high]: Lanes) -> Lanes {
    [
        _mm512_shuffle_i32x4::<0b10_00_10_00>(low, high),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(low, high),
    ]
}

/// The inverse of [`deal`].
#[inline]
#[target_feature(enable = "avx512f")]
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
    let top = _mm_cvtsi32_si128(32 - table.log as i32);
    let total = _mm512_set1_epi32(1 << table.log);
    let low_word = _mm512_set1_epi32(0xffff);
    let mut quads = [[_mm512_setzero_si512(); 2]; N];
    for n in 0..N {
        // SAFETY: 2 times 64 bytes.
        quads[n] = deal(unsafe {
            [
                _mm512_loadu_si512(tiles[n].as_ptr().cast()),
                _mm512_loadu_si512(tiles[n][64..].as_ptr().cast()),
            ]
        });
    }
    let mut at = [WINDOW; N];
    for step in (0..STEPS).rev() {
        for n in 0..N {
            let mut emit = [0; 2];
            let mut words = [low_word; 2];
            for half in 0..2 {
                let symbol = _mm512_srli_epi32::<24>(quads[n][half]);
                quads[n][half] = _mm512_slli_epi32::<8>(quads[n][half]);
                let active = if PARTIAL { active(first[half], step, symbols) } else { 0xffff };
                let old = x[n][half];
                let (reciprocals, freq_cum) = look_up(table, symbol);
                let freq = _mm512_srli_epi32::<20>(freq_cum);
                emit[half] = _mm512_mask_cmpge_epu32_mask(active, _mm512_srl_epi32(old, top), freq);
                words[half] = _mm512_and_si512(old, low_word);
                let short = _mm512_mask_srli_epi32::<16>(old, emit[half], old);
                let quotient = divide(short, reciprocals, freq_cum);
                let cum =
                    _mm512_and_si512(_mm512_srli_epi32::<8>(freq_cum), _mm512_set1_epi32(0xfff));
                let grown = _mm512_mullo_epi32(quotient, _mm512_sub_epi32(total, freq));
                let new = _mm512_add_epi32(_mm512_add_epi32(short, cum), grown);
                x[n][half] = _mm512_mask_mov_epi32(old, active, new);
            }
            let words = _mm512_packus_epi32(words[0], words[1]);
            let emit =
                _pdep_u32(emit[0].into(), 0x0f0f_0f0f) | _pdep_u32(emit[1].into(), 0xf0f0_f0f0);
            let words = _mm512_maskz_compress_epi16(emit, words);
            let count = emit.count_ones();
            at[n] -= 2 * count as usize;
            // SAFETY: 4 steps of at most 32 words of 2 bytes fill at most the window.
            unsafe {
                let end = windows[n].as_mut_ptr().add(at[n]);
                _mm512_mask_storeu_epi16(end.cast(), _bzhi_u32(!0, count), words);
            }
        }
    }
    at.map(|at| WINDOW - at)
}

/// The entries of 16 symbols: the reciprocals of even lanes and of odd lanes in the low halves of 64 bits, and the
/// entries' upper halves in the order of lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn look_up(table: &EncodeTable, symbol: __m512i) -> ([__m512i; 2], __m512i) {
    let even = _mm512_and_si512(symbol, _mm512_set1_epi64(0xff));
    let odd = _mm512_srli_epi64::<32>(symbol);
    let base = table.symbols.as_ptr().cast();
    // SAFETY: indices are bytes, in a table of 256 times 8 bytes.
    let (even, odd) = unsafe {
        (_mm512_i64gather_epi64::<8>(even, base), _mm512_i64gather_epi64::<8>(odd, base))
    };
    ([even, odd], _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even))
}

/// See [`EncodeSymbol`](crate::coder::rans::EncodeSymbol).
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn divide(x: __m512i, [even, odd]: [__m512i; 2], freq_cum: __m512i) -> __m512i {
    let one = _mm512_set1_epi32(1);
    let addend = _mm512_test_epi32_mask(freq_cum, _mm512_set1_epi32(1 << 5));
    let x = _mm512_mask_add_epi32(x, addend, x, one);
    let even = _mm512_mul_epu32(x, even);
    let odd = _mm512_mul_epu32(_mm512_srli_epi64::<32>(x), odd);
    let high = _mm512_mask_shuffle_epi32::<0b11_11_01_01>(odd, 0x5555, even);
    // A funnel shift uses the low five bits of its count alone.
    _mm512_shrdv_epi32(high, _mm512_setzero_si512(), freq_cum)
}
