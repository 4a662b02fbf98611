//! FSE and Huffman: windows of 8 lanes in two registers, one for each half of their 64 bits.

use std::arch::x86_64::*;

use super::{Avx2, look_up, low_byte};
use crate::coder::{
    decode_table::DecodeTable,
    fse::{self, Fse},
    huffman::{self, Huffman},
    lanes::{LANES, STEPS, TILE},
    tiles::{Decoding, Encoding, ROOM, Tiles, decode_each, encode_each},
    window::{Halves, WindowCoder},
};

impl<C: Steps> Tiles<Avx2> for C {
    fn decode<const N: usize>(
        avx2: Avx2,
        table: &DecodeTable,
        segments: [&mut Decoding<'_, C>; N],
    ) {
        // SAFETY: `avx2` proves the instructions.
        unsafe {
            match avx2.gathers {
                true => decode::<C, N, true>(table, segments),
                false => decode::<C, N, false>(table, segments),
            }
        }
    }

    fn encode<const N: usize>(
        avx2: Avx2,
        table: &C::EncodeTable,
        segments: [&mut Encoding<'_, C>; N],
    ) {
        // SAFETY: `avx2` proves the instructions.
        unsafe {
            match avx2.gathers {
                true => encode::<C, N, true>(table, segments),
                false => encode::<C, N, false>(table, segments),
            }
        }
    }
}

/// What a coder does with a symbol of each of 8 lanes.
pub(in crate::coder) trait Steps: WindowCoder {
    /// The decoder's entries. `next` holds the lanes' next 24 bits or more.
    ///
    /// # Safety
    /// The caller has the instructions that [`Avx2`] proves.
    unsafe fn slots<const GATHER: bool>(
        table: &DecodeTable,
        next: __m256i,
        cell: __m256i,
    ) -> __m256i;

    /// The cells after the symbols of `slots`, which have so many bits.
    ///
    /// # Safety
    /// As for `slots`.
    unsafe fn next_cell(
        table: &DecodeTable,
        slots: __m256i,
        bits: __m256i,
        next: __m256i,
        cell: __m256i,
    ) -> __m256i;

    /// Encodes symbols: their bits, and how many.
    ///
    /// # Safety
    /// As for `slots`.
    unsafe fn encode_lanes<const GATHER: bool>(
        table: &Self::EncodeTable,
        symbols: __m256i,
        cell: &mut __m256i,
    ) -> (__m256i, __m256i);
}

impl Steps for Huffman {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn slots<const GATHER: bool>(table: &DecodeTable, next: __m256i, _: __m256i) -> __m256i {
        let mask = _mm256_set1_epi32((1 << table.log) - 1);
        look_up::<GATHER, _>(&table.slots, _mm256_and_si256(next, mask))
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn next_cell(
        _: &DecodeTable,
        _: __m256i,
        _: __m256i,
        _: __m256i,
        cell: __m256i,
    ) -> __m256i {
        cell
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn encode_lanes<const GATHER: bool>(
        table: &huffman::EncodeTable,
        symbols: __m256i,
        _: &mut __m256i,
    ) -> (__m256i, __m256i) {
        let entries = look_up::<GATHER, _>(&table.symbols, symbols);
        let length = low_byte(entries);
        // A shift by 32 yields 0.
        (_mm256_srlv_epi32(entries, _mm256_sub_epi32(_mm256_set1_epi32(32), length)), length)
    }
}

impl Steps for Fse {
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn slots<const GATHER: bool>(table: &DecodeTable, _: __m256i, cell: __m256i) -> __m256i {
        look_up::<GATHER, _>(&table.slots, cell)
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn next_cell(
        table: &DecodeTable,
        slots: __m256i,
        bits: __m256i,
        next: __m256i,
        _: __m256i,
    ) -> __m256i {
        let low = _mm256_srlv_epi32(_mm256_slli_epi32::<8>(slots), bits);
        // A shift by 32 yields 0.
        let high = _mm256_sllv_epi32(next, _mm256_sub_epi32(_mm256_set1_epi32(32), bits));
        let count = _mm_cvtsi32_si128(32 - table.log as i32);
        _mm256_srl_epi32(_mm256_or_si256(low, high), count)
    }

    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    unsafe fn encode_lanes<const GATHER: bool>(
        table: &fse::EncodeTable,
        symbols: __m256i,
        cell: &mut __m256i,
    ) -> (__m256i, __m256i) {
        let t = *cell;
        let entries = look_up::<GATHER, _>(&table.symbols, symbols);
        let bits = _mm256_srli_epi32::<{ fse::BITS_AT as i32 }>(_mm256_add_epi32(entries, t));
        let bits = _mm256_and_si256(bits, _mm256_set1_epi32(15));
        let rest = _mm256_srlv_epi32(_mm256_and_si256(t, _mm256_set1_epi32(0x1fff)), bits);
        let number = _mm256_add_epi32(_mm256_srli_epi32::<{ fse::FIRST_AT as i32 }>(entries), rest);
        *cell = look_up::<GATHER, _>(&table.cells, number);
        // A shift by 32 yields 0.
        (_mm256_srlv_epi32(t, _mm256_sub_epi32(_mm256_set1_epi32(32), bits)), bits)
    }
}

/// For each set of 8 lanes, where a permutation finds their words.
#[repr(align(8))]
struct Permutations([[u8; 8]; 256]);

/// Spreads the first words to the lanes of the set.
static EXPAND: Permutations = permutations(true);
/// Moves the words of the lanes of the set to the end.
static COMPRESS: Permutations = permutations(false);

const fn permutations(expand: bool) -> Permutations {
    let mut all = [[0; 8]; 256];
    let mut set = 0;
    while set < 256 {
        let mut lane = 0;
        let mut word = if expand { 0 } else { 8 - (set as u32).count_ones() as usize };
        while lane < 8 {
            if set >> lane & 1 == 1 {
                let (to, from) = if expand { (lane, word) } else { (word, lane) };
                all[set][to] = from as u8;
                word += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    Permutations(all)
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn permute(words: __m256i, permutations: &'static Permutations, set: u32) -> __m256i {
    let lanes = _mm_cvtsi64_si128(i64::from_le_bytes(permutations.0[set as usize % 256]));
    _mm256_permutevar8x32_epi32(words, _mm256_cvtepu8_epi32(lanes))
}

/// 8 lanes.
#[derive(Clone, Copy)]
struct Windows {
    low: __m256i,
    high: __m256i,
    /// See [`Halves`].
    room: __m256i,
    cell: __m256i,
}

/// Windows of 32 lanes.
type Lanes = [Windows; 4];

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_windows(halves: &Halves) -> Lanes {
    let [low, high, room, cell] =
        [&halves.low, &halves.high, &halves.room, &halves.cell].map(|lanes| super::load(lanes));
    std::array::from_fn(|i| Windows { low: low[i], high: high[i], room: room[i], cell: cell[i] })
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn store_windows(windows: Lanes) -> Halves {
    let mut halves = Halves::default();
    super::store(windows.map(|w| w.low), &mut halves.low);
    super::store(windows.map(|w| w.high), &mut halves.high);
    super::store(windows.map(|w| w.room), &mut halves.room);
    super::store(windows.map(|w| w.cell), &mut halves.cell);
    halves
}

/// The lanes with room for a word, as their highest bits and as a set.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn wanting(room: __m256i) -> (__m256, u32) {
    let lanes = _mm256_castsi256_ps(_mm256_slli_epi32::<{ 31 - 5 }>(room));
    (lanes, _mm256_movemask_ps(lanes) as u32)
}

/// `b` in the lanes whose highest bit is set, else `a`.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn select(a: __m256i, b: __m256i, set: __m256) -> __m256i {
    let [a, b] = [a, b].map(|x| _mm256_castsi256_ps(x));
    _mm256_castps_si256(_mm256_blendv_ps(a, b, set))
}

#[target_feature(enable = "avx2,popcnt")]
fn decode<C: Steps, const N: usize, const GATHER: bool>(
    table: &DecodeTable,
    mut segments: [&mut Decoding<'_, C>; N],
) {
    let mut x = segments.each_ref().map(|s| load_windows(&Halves::of_decoder(&s.lanes)));
    decode_each(&mut segments, |rooms, tiles| {
        decode_tile::<C, N, GATHER>(table, &mut x, rooms, tiles)
    });
    for n in 0..N {
        segments[n].lanes = store_windows(x[n]).to_decoder(table.log);
    }
}

/// Decodes one tile of each of `N` segments. Returns the bytes taken from the rooms.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn decode_tile<C: Steps, const N: usize, const GATHER: bool>(
    table: &DecodeTable,
    x: &mut [Lanes; N],
    rooms: [&[u8; ROOM]; N],
    tiles: [&mut [u8; TILE]; N],
) -> [usize; N] {
    let word = _mm256_set1_epi32(32);
    let mut quads = [[_mm256_setzero_si256(); 4]; N];
    let mut at = [0; N];
    for _ in 0..STEPS / 2 {
        for v in 0..4 {
            for n in 0..N {
                let Windows { low, high, room, cell } = &mut x[n][v];
                let (wanting, set) = wanting(*room);
                // SAFETY: before the last of 8 loads at most 7 * 8 words have been taken, and it is of 8 words.
                let words = unsafe { _mm256_loadu_si256(rooms[n].as_ptr().add(at[n]).cast()) };
                *low = select(*low, *high, wanting);
                *high = select(*high, permute(words, &EXPAND, set), wanting);
                *room = _mm256_andnot_si256(word, *room);
                at[n] += 4 * set.count_ones() as usize;
                let up = _mm256_sllv_epi32(*high, _mm256_sub_epi32(word, *room));
                let mut next = _mm256_or_si256(_mm256_srlv_epi32(*low, *room), up);
                for _ in 0..2 {
                    // SAFETY: this function has the instructions.
                    let slots = unsafe { C::slots::<GATHER>(table, next, *cell) };
                    let bits = low_byte(slots);
                    // SAFETY: as above.
                    *cell = unsafe { C::next_cell(table, slots, bits, next, *cell) };
                    next = _mm256_srlv_epi32(next, bits);
                    *room = _mm256_add_epi32(*room, bits);
                    let symbol = _mm256_and_si256(slots, _mm256_set1_epi32(0xff << 24));
                    quads[n][v] = _mm256_or_si256(_mm256_srli_epi32::<8>(quads[n][v]), symbol);
                }
            }
        }
    }
    for (quads, tile) in quads.into_iter().zip(tiles) {
        super::store(quads, tile);
    }
    at
}

#[target_feature(enable = "avx2,popcnt")]
fn encode<C: Steps, const N: usize, const GATHER: bool>(
    table: &C::EncodeTable,
    mut segments: [&mut Encoding<'_, C>; N],
) {
    let log = C::table_log(table);
    let mut x = segments.each_ref().map(|s| load_windows(&Halves::of_encoder(&s.lanes, log)));
    encode_each(&mut segments, |rooms, tiles| {
        encode_tile::<C, N, GATHER>(table, &mut x, rooms, tiles)
    });
    for n in 0..N {
        segments[n].lanes = store_windows(x[n]).to_encoder(log);
    }
}

/// Encodes one tile of each of `N` segments. Returns the bytes filled at the end of the rooms.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn encode_tile<C: Steps, const N: usize, const GATHER: bool>(
    table: &C::EncodeTable,
    x: &mut [Lanes; N],
    rooms: [&mut [u8; ROOM]; N],
    tiles: [&[u8; TILE]; N],
) -> [usize; N] {
    let word = _mm256_set1_epi32(32);
    let mut at = [ROOM; N];
    for pair in [1, 0] {
        for v in (0..4).rev() {
            for n in 0..N {
                let Windows { low, high, room, cell } = &mut x[n][v];
                let down = _mm256_sub_epi32(word, *room);
                let words =
                    _mm256_or_si256(_mm256_sllv_epi32(*high, *room), _mm256_srlv_epi32(*low, down));
                let quads = super::load_quads(tiles[n], v);
                let [first, second] = [2 * pair, 2 * pair + 1].map(|step| {
                    let count = _mm_cvtsi32_si128(8 * step);
                    low_byte(_mm256_srl_epi32(quads, count))
                });
                // SAFETY: this function has the instructions.
                let (second, more) = unsafe { C::encode_lanes::<GATHER>(table, second, cell) };
                // SAFETY: as above.
                let (first, bits) = unsafe { C::encode_lanes::<GATHER>(table, first, cell) };
                let both = _mm256_or_si256(_mm256_sllv_epi32(second, bits), first);
                let bits = _mm256_add_epi32(bits, more);
                let over = _mm256_srlv_epi32(*low, _mm256_sub_epi32(word, bits));
                *high = _mm256_or_si256(_mm256_sllv_epi32(*high, bits), over);
                *low = _mm256_or_si256(_mm256_sllv_epi32(*low, bits), both);
                *room = _mm256_sub_epi32(*room, bits);
                // From -24 to 32: below 0 the word goes out.
                let set = _mm256_movemask_ps(_mm256_castsi256_ps(*room)) as u32;
                let refund = _mm256_and_si256(_mm256_srai_epi32::<31>(*room), word);
                *room = _mm256_add_epi32(*room, refund);
                let words = permute(words, &COMPRESS, set);
                // SAFETY: before the last of 8 stores at most 7 * 8 words lie at the room's end, and it is of 8 words.
                // What it writes below the words of its set is written over.
                unsafe {
                    let end = rooms[n].as_mut_ptr().add(at[n]);
                    _mm256_storeu_si256(end.sub(32).cast(), words);
                }
                at[n] -= 4 * set.count_ones() as usize;
            }
        }
    }
    at.map(|at| ROOM - at)
}

/// Lanes are loaded from and stored to arrays of 32.
const _: () = assert!(LANES == 32 && ROOM == 8 * 8 * 4);
