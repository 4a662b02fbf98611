//! AVX2: a segment's 32 states in four registers.

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

/// Proof of AVX2 and POPCNT.
#[derive(Clone, Copy, Debug)]
pub(in crate::coder) struct Avx2 {
    /// Whether tables are looked up with gathers or one by one: the same bytes, another speed.
    gathers: bool,
}

impl Avx2 {
    /// `None` if the processor or the operating system lacks one of them.
    pub fn new() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
        present.then(|| Self { gathers: !is_amd() })
    }

    #[cfg(test)]
    pub fn with_gathers(mut self, gathers: bool) -> Self {
        self.gathers = gathers;
        self
    }
}

/// On AMD's processors a gather is slower than single loads (seen on Zen 4); on an Intel Xeon (Sapphire Rapids class)
/// it makes the decoder a third faster.
fn is_amd() -> bool {
    // SAFETY: whatever has AVX2 has the instruction; later versions of Rust know.
    #[allow(unused_unsafe)]
    let vendor = unsafe { __cpuid(0) };
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}

impl Tiles<Avx2> for Rans {
    fn decode<const N: usize>(
        avx2: Avx2,
        table: &DecodeTable,
        segments: [&mut Decoding<'_, Rans>; N],
    ) {
        // SAFETY: `avx2` proves the instructions.
        unsafe {
            match avx2.gathers {
                true => decode::<Rans, N, true>(table, segments),
                false => decode::<Rans, N, false>(table, segments),
            }
        }
    }

    fn decode_partial(
        _: Avx2,
        table: &DecodeTable,
        states: &mut [u32; LANES],
        words: &[u8; ROOM],
        tile: &mut [u8; TILE],
        symbols: usize,
    ) -> usize {
        // SAFETY: there is an `Avx2`.
        unsafe { decode_partial::<Rans>(table, states, words, tile, symbols) }
    }

    fn encode<const N: usize>(
        avx2: Avx2,
        table: &rans::EncodeTable,
        segments: [&mut Encoding<'_, Rans>; N],
    ) {
        // SAFETY: `avx2` proves the instructions.
        unsafe {
            match avx2.gathers {
                true => encode::<Rans, N, true>(table, segments),
                false => encode::<Rans, N, false>(table, segments),
            }
        }
    }

    fn encode_partial(
        _: Avx2,
        table: &rans::EncodeTable,
        states: &mut [u32; LANES],
        room: &mut [u8; ROOM],
        tile: &[u8; TILE],
        symbols: usize,
    ) -> usize {
        // SAFETY: there is an `Avx2`.
        unsafe { encode_partial::<Rans>(table, states, room, tile, symbols) }
    }
}

/// 32 lanes of `u32`; which lane is where is the caller's choice.
type Lanes = [__m256i; 4];

/// For each set of 8 lanes, a byte shuffle of 8 words.
#[repr(align(16))]
struct Shuffles([[u8; 16]; 256]);

/// Spreads the first words to the lanes of the set, zero to the others.
static EXPAND: Shuffles = shuffles(true);
/// Moves the words of the lanes of the set to the end.
static COMPRESS: Shuffles = shuffles(false);

const fn shuffles(expand: bool) -> Shuffles {
    let mut shuffles = [[0x80; 16]; 256];
    let mut set = 0;
    while set < 256 {
        let mut lane = 0;
        let mut word = if expand { 0 } else { 8 - (set as u32).count_ones() as usize };
        while lane < 8 {
            if set >> lane & 1 == 1 {
                let (to, from) = if expand { (lane, word) } else { (word, lane) };
                shuffles[set][2 * to] = 2 * from as u8;
                shuffles[set][2 * to + 1] = 2 * from as u8 + 1;
                word += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    Shuffles(shuffles)
}

/// The shuffle for the set in the low 8 bits.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn shuffle(shuffles: &'static Shuffles, set: u32) -> __m128i {
    // SAFETY: 16 bytes, aligned.
    unsafe { _mm_load_si128(shuffles.0[set as usize % 256].as_ptr().cast()) }
}

/// Loads 32 lanes.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load(states: &[u32; LANES]) -> Lanes {
    // SAFETY: 4 times 32 bytes.
    std::array::from_fn(|v| unsafe { _mm256_loadu_si256(states.as_ptr().cast::<__m256i>().add(v)) })
}

/// Stores 32 lanes to 128 bytes: states or a tile.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn store<T: bytemuck::Pod>(from: Lanes, lanes: &mut T) {
    const { assert!(size_of::<T>() == 128) }
    let first: *mut __m256i = std::ptr::from_mut(lanes).cast();
    for v in 0..4 {
        // SAFETY: 4 times 32 bytes.
        unsafe { _mm256_storeu_si256(first.add(v), from[v]) }
    }
}

/// All ones in those of 8 lanes that have a symbol below `symbols`, if their symbols lie at `position`.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn active(position: __m256i, symbols: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(symbols as i32), position)
}

#[target_feature(enable = "avx2,popcnt")]
fn decode<C: Steps, const N: usize, const GATHER: bool>(
    table: &DecodeTable,
    mut segments: [&mut Decoding<'_, C>; N],
) {
    let mut x = segments.each_ref().map(|segment| load(&segment.lanes));
    decode_each(&mut segments, |windows, tiles| {
        decode_tile::<C, N, GATHER, false>(table, &mut x, windows, tiles, TILE)
    });
    for n in 0..N {
        store(x[n], &mut segments[n].lanes);
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn decode_partial<C: Steps>(
    table: &DecodeTable,
    states: &mut [u32; LANES],
    words: &[u8; ROOM],
    tile: &mut [u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [load(states)];
    let [taken] = decode_tile::<C, 1, true, true>(table, &mut x, [words], [tile], symbols);
    store(x[0], states);
    taken
}

/// Decodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are in
/// order. Returns the bytes taken from the windows.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn decode_tile<C: Steps, const N: usize, const GATHER: bool, const PARTIAL: bool>(
    table: &DecodeTable,
    x: &mut [Lanes; N],
    windows: [&[u8; ROOM]; N],
    tiles: [&mut [u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let position = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    let mask = _mm256_set1_epi32((1 << table.log) - 1);
    let mut quads = [[_mm256_setzero_si256(); 4]; N];
    let mut at = [0; N];
    for step in 0..STEPS {
        for v in 0..4 {
            for n in 0..N {
                let old = x[n][v];
                let slots = look_up::<GATHER, _>(&table.slots, _mm256_and_si256(old, mask));
                let symbol = _mm256_and_si256(slots, _mm256_set1_epi32(0xff << 24));
                quads[n][v] = _mm256_or_si256(_mm256_srli_epi32::<8>(quads[n][v]), symbol);
                let offset = _mm256_set1_epi32((32 * v + step) as i32);
                let active = active(_mm256_add_epi32(position, offset), symbols);
                let refill = |x, wanting| {
                    let wanting = if PARTIAL { _mm256_and_si256(wanting, active) } else { wanting };
                    let set = _mm256_movemask_ps(_mm256_castsi256_ps(wanting)) as u32;
                    // SAFETY: before the last of 16 loads at most 15 * 8 words have been taken, and it is of 8 words.
                    let words = unsafe { _mm_loadu_si128(windows[n].as_ptr().add(at[n]).cast()) };
                    let words = _mm_shuffle_epi8(words, shuffle(&EXPAND, set));
                    at[n] += 2 * set.count_ones() as usize;
                    let by = _mm256_and_si256(wanting, _mm256_set1_epi32(16));
                    _mm256_or_si256(_mm256_sllv_epi32(x, by), _mm256_cvtepu16_epi32(words))
                };
                // SAFETY: this function has the instructions.
                let new = unsafe { C::decode_lanes(table.log, old, slots, refill) };
                x[n][v] = if PARTIAL { _mm256_blendv_epi8(old, new, active) } else { new };
            }
        }
    }
    for (quads, tile) in quads.into_iter().zip(tiles) {
        store(quads, tile);
    }
    at
}

/// Entries of 8 lanes. Indices wrap at the table's size.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn look_up<const GATHER: bool, const SIZE: usize>(table: &[u32; SIZE], index: __m256i) -> __m256i {
    const { assert!(SIZE.is_power_of_two() && SIZE < 1 << 31) }
    if GATHER {
        let index = _mm256_and_si256(index, _mm256_set1_epi32(SIZE as i32 - 1));
        // SAFETY: the indices are below the size.
        return unsafe { _mm256_i32gather_epi32::<4>(table.as_ptr().cast(), index) };
    }
    let two = |pair: i64| {
        let [low, high] = [pair, pair >> 32].map(|i| table[i as usize % SIZE] as i32);
        _mm_insert_epi32::<1>(_mm_cvtsi32_si128(low), high)
    };
    let a = two(_mm256_extract_epi64::<0>(index));
    let b = two(_mm256_extract_epi64::<1>(index));
    let c = two(_mm256_extract_epi64::<2>(index));
    let d = two(_mm256_extract_epi64::<3>(index));
    _mm256_set_m128i(_mm_unpacklo_epi64(c, d), _mm_unpacklo_epi64(a, b))
}

#[target_feature(enable = "avx2,popcnt")]
fn encode<C: Steps, const N: usize, const GATHER: bool>(
    table: &C::EncodeTable,
    mut segments: [&mut Encoding<'_, C>; N],
) {
    let mut x = segments.each_ref().map(|segment| deal(load(&segment.lanes)));
    encode_each(&mut segments, |windows, tiles| {
        encode_tile::<C, N, GATHER, false>(table, &mut x, windows, tiles, TILE)
    });
    for n in 0..N {
        store(deal(x[n]), &mut segments[n].lanes);
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn encode_partial<C: Steps>(
    table: &C::EncodeTable,
    states: &mut [u32; LANES],
    room: &mut [u8; ROOM],
    tile: &[u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [deal(load(states))];
    let [filled] = encode_tile::<C, 1, true, true>(table, &mut x, [room], [tile], symbols);
    store(deal(x[0]), states);
    filled
}

/// Swaps the inner fours of lanes of both pairs of registers, so that packing a pair to 16 bits (which works on halves
/// of registers) puts the lanes in order. Its own inverse.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn deal([a, b, c, d]: Lanes) -> Lanes {
    [
        _mm256_permute2x128_si256::<0x20>(a, b),
        _mm256_permute2x128_si256::<0x31>(a, b),
        _mm256_permute2x128_si256::<0x20>(c, d),
        _mm256_permute2x128_si256::<0x31>(c, d),
    ]
}

/// Encodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are
/// [dealt](deal). Returns the bytes filled at the end of the windows.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn encode_tile<C: Steps, const N: usize, const GATHER: bool, const PARTIAL: bool>(
    table: &C::EncodeTable,
    x: &mut [Lanes; N],
    windows: [&mut [u8; ROOM]; N],
    tiles: [&[u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let position = _mm256_setr_epi32(0, 4, 8, 12, 32, 36, 40, 44);
    let mut at = [ROOM; N];
    for step in (0..STEPS).rev() {
        for pair in [1, 0] {
            for n in 0..N {
                let old = [x[n][2 * pair], x[n][2 * pair + 1]];
                let mut words = old;
                let mut keep = old;
                for v in 0..2 {
                    let symbols_of_lanes =
                        Symbols { tile: tiles[n], lane: 16 * pair + 4 * v, step };
                    // SAFETY: this function has the instructions.
                    let (new, word, kept) =
                        unsafe { C::encode_lanes::<GATHER>(table, old[v], symbols_of_lanes) };
                    let offset = _mm256_set1_epi32((64 * pair + 16 * v + step) as i32);
                    let active = active(_mm256_add_epi32(position, offset), symbols);
                    x[n][2 * pair + v] =
                        if PARTIAL { _mm256_blendv_epi8(old[v], new, active) } else { new };
                    words[v] = _mm256_and_si256(word, _mm256_set1_epi32(0xffff));
                    // What is not active keeps its word.
                    let passive = _mm256_cmpeq_epi32(active, _mm256_setzero_si256());
                    keep[v] = if PARTIAL { _mm256_or_si256(kept, passive) } else { kept };
                }
                let words = _mm256_packus_epi32(words[0], words[1]);
                let keep = _mm256_packs_epi32(keep[0], keep[1]);
                let emit = !_mm256_movemask_epi8(_mm256_packs_epi16(keep, keep)) as u32;
                for (set, words) in [
                    (emit >> 16 & 0xff, _mm256_extracti128_si256::<1>(words)),
                    (emit & 0xff, _mm256_castsi256_si128(words)),
                ] {
                    let words = _mm_shuffle_epi8(words, shuffle(&COMPRESS, set));
                    // SAFETY: before the last of 16 stores at most 15 * 8 words lie at the window's end, and it is
                    // of 8 words. What it writes below the words of its set is written over.
                    unsafe {
                        let end = windows[n].as_mut_ptr().add(at[n]);
                        _mm_storeu_si128(end.sub(16).cast(), words);
                    }
                    at[n] -= 2 * set.count_ones() as usize;
                }
            }
        }
    }
    at.map(|at| ROOM - at)
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn low_byte(x: __m256i) -> __m256i {
    _mm256_and_si256(x, _mm256_set1_epi32(0xff))
}

/// The symbols of the `v`-th 8 lanes.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_quads(tile: &[u8; TILE], v: usize) -> __m256i {
    let quads = &tile.as_chunks::<32>().0[v];
    // SAFETY: 32 bytes.
    unsafe { _mm256_loadu_si256(quads.as_ptr().cast()) }
}

/// Symbols of the lanes from `lane` to `lane + 3` and from `lane + 8` to `lane + 11`.
#[derive(Clone, Copy)]
pub(in crate::coder) struct Symbols<'a> {
    tile: &'a [u8; TILE],
    lane: usize,
    step: usize,
}

impl Symbols<'_> {
    /// That of the `i`-th of them.
    #[inline]
    fn get(self, i: usize) -> u8 {
        self.tile[(self.lane + i % 4 + i / 4 * 8) * STEPS + self.step]
    }
}
