//! One symbol of each of 16 lanes.

use std::arch::x86_64::*;

use crate::coder::{
    rans::{self, Rans, STATE_MIN},
    scalar::LaneCoder,
};

/// What a coder does with a symbol of each of 16 lanes.
pub(in crate::coder) trait Steps: LaneCoder<Lane = u32> {
    /// Decodes the symbols of `slots`: the next states. `refill` appends a word to those of the set.
    ///
    /// # Safety
    /// The caller has the instructions that [`Avx512`](super::Avx512) proves.
    unsafe fn decode_lanes(
        log: u32,
        x: __m512i,
        slots: __m512i,
        refill: impl FnOnce(__m512i, __mmask16) -> __m512i,
    ) -> __m512i;

    /// Encodes symbols: the next states, words in the low halves, and whose words count.
    ///
    /// # Safety
    /// The caller has the instructions that [`Avx512`](super::Avx512) proves.
    unsafe fn encode_lanes(
        table: &Self::EncodeTable,
        x: __m512i,
        symbols: __m512i,
    ) -> (__m512i, __m512i, __mmask16);
}

impl Steps for Rans {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn decode_lanes(
        log: u32,
        x: __m512i,
        slots: __m512i,
        refill: impl FnOnce(__m512i, __mmask16) -> __m512i,
    ) -> __m512i {
        let freq = _mm512_and_si512(slots, _mm512_set1_epi32(0xfff));
        let bias = _mm512_and_si512(_mm512_srli_epi32::<12>(slots), _mm512_set1_epi32(0xfff));
        let high = _mm512_srl_epi32(x, _mm_cvtsi32_si128(log as i32));
        let x = _mm512_add_epi32(_mm512_mullo_epi32(high, freq), bias);
        refill(x, _mm512_cmplt_epu32_mask(x, _mm512_set1_epi32(STATE_MIN as i32)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
    unsafe fn encode_lanes(
        table: &rans::EncodeTable,
        x: __m512i,
        symbols: __m512i,
    ) -> (__m512i, __m512i, __mmask16) {
        let Entries { reciprocals, freq_cum } = look_up_entries(table, symbols);
        let freq = _mm512_srli_epi32::<20>(freq_cum);
        let cum = _mm512_and_si512(_mm512_srli_epi32::<8>(freq_cum), _mm512_set1_epi32(0xfff));
        let top = _mm512_srl_epi32(x, _mm_cvtsi32_si128(32 - table.log as i32));
        let emit = _mm512_cmpge_epu32_mask(top, freq);
        let short = _mm512_mask_srli_epi32::<16>(x, emit, x);
        // short + quotient * (2^log - freq) + cum
        let complement = _mm512_sub_epi32(_mm512_set1_epi32(1 << table.log), freq);
        let grown = _mm512_mullo_epi32(divide(short, reciprocals, freq_cum), complement);
        (_mm512_add_epi32(_mm512_add_epi32(short, cum), grown), x, emit)
    }
}

/// What a table says of the symbols of 16 lanes.
#[derive(Clone, Copy)]
struct Entries {
    /// In the low halves of 64 bits, those of even lanes and those of odd lanes.
    reciprocals: [__m512i; 2],
    /// The entries' upper halves, lane by lane.
    freq_cum: __m512i,
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,bmi1,bmi2,popcnt")]
fn look_up_entries(table: &rans::EncodeTable, symbols: __m512i) -> Entries {
    let even = _mm512_and_si512(symbols, _mm512_set1_epi64(0xff));
    let odd = _mm512_and_si512(_mm512_srli_epi64::<32>(symbols), _mm512_set1_epi64(0xff));
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
