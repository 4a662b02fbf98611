//! One symbol of each of 8 lanes.

use std::arch::x86_64::*;

use super::Symbols;
use crate::coder::{
    rans::{self, Rans},
    scalar::LaneCoder,
};

/// What a coder does with a symbol of each of 8 lanes.
pub(in crate::coder) trait Steps: LaneCoder<Lane = u32> {
    /// Decodes the symbols of `slots`: the next states. `refill` appends a word to those that are all ones in its second
    /// argument.
    ///
    /// # Safety
    /// The caller has the instructions that [`Avx2`](super::Avx2) proves.
    unsafe fn decode_lanes(
        log: u32,
        x: __m256i,
        slots: __m256i,
        refill: impl FnOnce(__m256i, __m256i) -> __m256i,
    ) -> __m256i;

    /// Encodes symbols: the next states, words in the low halves, and all ones where the word does not count.
    ///
    /// # Safety
    /// The caller has the instructions that [`Avx2`](super::Avx2) proves.
    unsafe fn encode_lanes<const GATHER: bool>(
        table: &Self::EncodeTable,
        x: __m256i,
        symbols: Symbols<'_>,
    ) -> (__m256i, __m256i, __m256i);
}

impl Steps for Rans {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn decode_lanes(
        log: u32,
        x: __m256i,
        slots: __m256i,
        refill: impl FnOnce(__m256i, __m256i) -> __m256i,
    ) -> __m256i {
        let freq = _mm256_and_si256(slots, _mm256_set1_epi32(0xfff));
        let bias = _mm256_and_si256(_mm256_srli_epi32::<12>(slots), _mm256_set1_epi32(0xfff));
        let high = _mm256_srl_epi32(x, _mm_cvtsi32_si128(log as i32));
        let x = _mm256_add_epi32(_mm256_mullo_epi32(high, freq), bias);
        refill(x, is_zero(_mm256_srli_epi32::<16>(x)))
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn encode_lanes<const GATHER: bool>(
        table: &rans::EncodeTable,
        x: __m256i,
        symbols: Symbols<'_>,
    ) -> (__m256i, __m256i, __m256i) {
        let Entries { reciprocals, freq_cum } = look_up_entries(table, symbols);
        let freq = _mm256_srli_epi32::<20>(freq_cum);
        let cum = _mm256_and_si256(_mm256_srli_epi32::<8>(freq_cum), _mm256_set1_epi32(0xfff));
        let top = _mm256_srl_epi32(x, _mm_cvtsi32_si128(32 - table.log as i32));
        let keep = _mm256_cmpgt_epi32(freq, top);
        let short = unless_kept(x, keep);
        // short + quotient * (2^log - freq) + cum
        let complement = _mm256_sub_epi32(_mm256_set1_epi32(1 << table.log), freq);
        let grown = _mm256_mullo_epi32(divide(short, reciprocals, freq_cum), complement);
        (_mm256_add_epi32(_mm256_add_epi32(short, cum), grown), x, keep)
    }
}

/// What a table says of the symbols of 8 lanes.
#[derive(Clone, Copy)]
struct Entries {
    /// In the low halves of 64 bits, those of even lanes and those of odd lanes.
    reciprocals: [__m256i; 2],
    /// The entries' upper halves, lane by lane.
    freq_cum: __m256i,
}

/// The symbols are in memory, so that single loads take no longer than gathers, on any processor.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn look_up_entries(table: &rans::EncodeTable, symbols: Symbols<'_>) -> Entries {
    let entry = |i: usize| table.symbols[usize::from(symbols.get(i))].0 as i64;
    let even = _mm256_setr_epi64x(entry(0), entry(2), entry(4), entry(6));
    let odd = _mm256_setr_epi64x(entry(1), entry(3), entry(5), entry(7));
    Entries { reciprocals: [even, odd], freq_cum: upper_halves(even, odd) }
}

/// The upper halves of 64 bits: those of `even` in even lanes, those of `odd` in odd lanes.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn upper_halves(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd)
}

/// See [`EncodeSymbol`](crate::coder::rans::EncodeSymbol).
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn divide(x: __m256i, [even, odd]: [__m256i; 2], freq_cum: __m256i) -> __m256i {
    let addend = _mm256_and_si256(_mm256_srli_epi32::<5>(freq_cum), _mm256_set1_epi32(1));
    let x = _mm256_add_epi32(x, addend);
    let even = _mm256_mul_epu32(x, even);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(x), odd);
    let shift = _mm256_and_si256(freq_cum, _mm256_set1_epi32(31));
    _mm256_srlv_epi32(upper_halves(even, odd), shift)
}

/// All ones where `x` is 0.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn is_zero(x: __m256i) -> __m256i {
    _mm256_cmpeq_epi32(x, _mm256_setzero_si256())
}

/// `x` without its low half, which is emitted, where `keep` is not all ones.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn unless_kept(x: __m256i, keep: __m256i) -> __m256i {
    _mm256_srlv_epi32(x, _mm256_andnot_si256(keep, _mm256_set1_epi32(16)))
}
