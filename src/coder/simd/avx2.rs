//! AVX2: a segment's 32 states in four registers.

use std::arch::x86_64::*;

use crate::coder::{
    lanes::{LANES, STEPS, TILE},
    rans::{DecodeTable, EncodeTable},
    tiles::{Decoding, Encoding, Tiles, WINDOW, shorten},
};

/// Proof of AVX2 and POPCNT.
#[derive(Clone, Copy, Debug)]
pub(in crate::coder) struct Avx2(());

impl Avx2 {
    /// `None` if the processor or the operating system lacks one of them.
    pub fn new() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
        present.then_some(Self(()))
    }
}

impl Tiles for Avx2 {
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
#[target_feature(enable = "avx2")]
fn shuffle(shuffles: &'static Shuffles, set: u32) -> __m128i {
    // SAFETY: 16 bytes, aligned.
    unsafe { _mm_load_si128(shuffles.0[set as usize % 256].as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; TILE]) -> Lanes {
    // SAFETY: 4 times 32 bytes.
    std::array::from_fn(|v| unsafe { _mm256_loadu_si256(bytes.as_ptr().add(32 * v).cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(lanes: Lanes, bytes: &mut [u8; TILE]) {
    for v in 0..4 {
        // SAFETY: 4 times 32 bytes.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().add(32 * v).cast(), lanes[v]) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_states(states: &[u32; LANES]) -> Lanes {
    // SAFETY: 4 times 32 bytes.
    std::array::from_fn(|v| unsafe { _mm256_loadu_si256(states.as_ptr().add(8 * v).cast()) })
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_states(lanes: Lanes, states: &mut [u32; LANES]) {
    for v in 0..4 {
        // SAFETY: 4 times 32 bytes.
        unsafe { _mm256_storeu_si256(states.as_mut_ptr().add(8 * v).cast(), lanes[v]) }
    }
}

/// All ones in those of 8 lanes, whose first symbols lie at `first`, that have a symbol below `symbols` in this step.
#[inline]
#[target_feature(enable = "avx2")]
fn active(first: __m256i, step: usize, symbols: usize) -> __m256i {
    _mm256_cmpgt_epi32(_mm256_set1_epi32(symbols as i32 - step as i32), first)
}

#[inline]
#[target_feature(enable = "avx2")]
fn sign_bits(lanes: __m256i) -> u32 {
    _mm256_movemask_ps(_mm256_castsi256_ps(lanes)) as u32
}

#[target_feature(enable = "avx2,popcnt")]
fn decode<const N: usize>(table: &DecodeTable, segments: [&mut Decoding<'_>; N]) {
    let mut x = [[_mm256_setzero_si256(); 4]; N];
    for n in 0..N {
        x[n] = load_states(&segments[n].states);
    }
    while segments.iter().all(|s| s.words.len() >= WINDOW && s.body.len() >= TILE) {
        let windows = std::array::from_fn(|n| segments[n].words.first_chunk().expect("checked"));
        let (tiles, taken) = decode_tile::<N, false>(table, &mut x, windows, TILE);
        for n in 0..N {
            let body = std::mem::take(&mut segments[n].body);
            let (tile, rest) = body.split_first_chunk_mut().expect("checked");
            store(tiles[n], tile);
            segments[n].body = rest;
            segments[n].words = &segments[n].words[taken[n]..];
        }
    }
    for n in 0..N {
        store_states(x[n], &mut segments[n].states);
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn decode_partial(
    table: &DecodeTable,
    states: &mut [u32; LANES],
    words: &[u8; WINDOW],
    tile: &mut [u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [load_states(states)];
    let ([quads], [taken]) = decode_tile::<1, true>(table, &mut x, [words], symbols);
    store_states(x[0], states);
    store(quads, tile);
    taken
}

/// Decodes one tile of each of `N` segments, of which only the first `symbols` count if it is `PARTIAL`. Lanes are in
/// order. Returns the tiles and the bytes taken from the windows.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn decode_tile<const N: usize, const PARTIAL: bool>(
    table: &DecodeTable,
    x: &mut [Lanes; N],
    windows: [&[u8; WINDOW]; N],
    symbols: usize,
) -> ([Lanes; N], [usize; N]) {
    let first = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    let log = _mm_cvtsi32_si128(table.log as i32);
    let mask = _mm256_set1_epi32((1 << table.log.min(12)) - 1);
    let mut quads = [[_mm256_setzero_si256(); 4]; N];
    let mut at = [0; N];
    for step in 0..STEPS {
        let mut slots = quads;
        for v in 0..4 {
            for n in 0..N {
                let index = _mm256_and_si256(x[n][v], mask);
                // SAFETY: indices are at most 4095, in a table of 4096.
                slots[n][v] =
                    unsafe { _mm256_i32gather_epi32::<4>(table.slots.as_ptr().cast(), index) };
            }
        }
        for v in 0..4 {
            for n in 0..N {
                let (slot, old) = (slots[n][v], x[n][v]);
                quads[n][v] = _mm256_or_si256(
                    _mm256_srli_epi32::<8>(quads[n][v]),
                    _mm256_slli_epi32::<24>(slot),
                );
                let bias = _mm256_and_si256(_mm256_srli_epi32::<8>(slot), _mm256_set1_epi32(0xfff));
                let scaled =
                    _mm256_mullo_epi32(_mm256_srl_epi32(old, log), _mm256_srli_epi32::<20>(slot));
                let mut new = _mm256_add_epi32(scaled, bias);
                // Below 2^16: AVX2 has no unsigned comparison.
                let mut refill =
                    _mm256_cmpeq_epi32(_mm256_srli_epi32::<16>(new), _mm256_setzero_si256());
                if PARTIAL {
                    let first = _mm256_add_epi32(first, _mm256_set1_epi32(32 * v as i32));
                    let active = active(first, step, symbols);
                    new = _mm256_blendv_epi8(old, new, active);
                    refill = _mm256_and_si256(refill, active);
                }
                let set = sign_bits(refill);
                // SAFETY: before the last of 16 loads at most 15 * 8 words have been taken, and it is of 8 words.
                let words = unsafe { _mm_loadu_si128(windows[n].as_ptr().add(at[n]).cast()) };
                let words = _mm256_cvtepu16_epi32(_mm_shuffle_epi8(words, shuffle(&EXPAND, set)));
                let by = _mm256_and_si256(refill, _mm256_set1_epi32(16));
                x[n][v] = _mm256_or_si256(_mm256_sllv_epi32(new, by), words);
                at[n] += 2 * set.count_ones() as usize;
            }
        }
    }
    (quads, at)
}

#[target_feature(enable = "avx2,popcnt")]
fn encode<const N: usize>(table: &EncodeTable, mut segments: [&mut Encoding<'_>; N]) {
    let mut x = [[_mm256_setzero_si256(); 4]; N];
    for n in 0..N {
        x[n] = deal(load_states(&segments[n].states));
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
        store_states(deal(x[n]), &mut segments[n].states);
    }
}

#[target_feature(enable = "avx2,popcnt")]
fn encode_partial(
    table: &EncodeTable,
    states: &mut [u32; LANES],
    room: &mut [u8; WINDOW],
    tile: &[u8; TILE],
    symbols: usize,
) -> usize {
    let mut x = [deal(load_states(states))];
    let [taken] = encode_tile::<1, true>(table, &mut x, [room], [tile], symbols);
    store_states(deal(x[0]), states);
    taken
}

/// Swaps the inner fours of lanes of both pairs of registers, so that packing a pair to 16 bits (which works on halves
/// of registers) puts the lanes in order. Its own inverse.
#[inline]
#[target_feature(enable = "avx2")]
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
fn encode_tile<const N: usize, const PARTIAL: bool>(
    table: &EncodeTable,
    x: &mut [Lanes; N],
    windows: [&mut [u8; WINDOW]; N],
    tiles: [&[u8; TILE]; N],
    symbols: usize,
) -> [usize; N] {
    let first = _mm256_setr_epi32(0, 4, 8, 12, 32, 36, 40, 44);
    let top = _mm_cvtsi32_si128(32 - table.log as i32);
    let total = _mm256_set1_epi32(1 << table.log);
    let low_word = _mm256_set1_epi32(0xffff);
    let mut quads = [[_mm256_setzero_si256(); 4]; N];
    for n in 0..N {
        quads[n] = deal(load(tiles[n]));
    }
    let mut at = [WINDOW; N];
    for step in (0..STEPS).rev() {
        for pair in [1, 0] {
            for n in 0..N {
                let mut keep = [low_word; 2];
                let mut words = [low_word; 2];
                for v in 0..2 {
                    let (quad, old) = (&mut quads[n][2 * pair + v], x[n][2 * pair + v]);
                    let symbol = _mm256_srli_epi32::<24>(*quad);
                    *quad = _mm256_slli_epi32::<8>(*quad);
                    let (reciprocals, freq_cum) = look_up(table, symbol);
                    let freq = _mm256_srli_epi32::<20>(freq_cum);
                    keep[v] = _mm256_cmpgt_epi32(freq, _mm256_srl_epi32(old, top));
                    if PARTIAL {
                        let first =
                            _mm256_add_epi32(first, _mm256_set1_epi32((64 * pair + 16 * v) as i32));
                        let active = active(first, step, symbols);
                        keep[v] = _mm256_or_si256(
                            keep[v],
                            _mm256_xor_si256(active, _mm256_set1_epi32(-1)),
                        );
                    }
                    words[v] = _mm256_and_si256(old, low_word);
                    let by = _mm256_andnot_si256(keep[v], _mm256_set1_epi32(16));
                    let short = _mm256_srlv_epi32(old, by);
                    let quotient = divide(short, reciprocals, freq_cum);
                    let cum = _mm256_and_si256(
                        _mm256_srli_epi32::<8>(freq_cum),
                        _mm256_set1_epi32(0xfff),
                    );
                    let grown = _mm256_mullo_epi32(quotient, _mm256_sub_epi32(total, freq));
                    let mut new = _mm256_add_epi32(_mm256_add_epi32(short, cum), grown);
                    if PARTIAL {
                        let first =
                            _mm256_add_epi32(first, _mm256_set1_epi32((64 * pair + 16 * v) as i32));
                        new = _mm256_blendv_epi8(old, new, active(first, step, symbols));
                    }
                    x[n][2 * pair + v] = new;
                }
                let words = _mm256_packus_epi32(words[0], words[1]);
                let keep = _mm256_packs_epi32(keep[0], keep[1]);
                let keep = _mm256_packs_epi16(keep, keep);
                let emit = !_mm256_movemask_epi8(keep) as u32;
                for (set, words) in [
                    (emit >> 16 & 0xff, _mm256_extracti128_si256::<1>(words)),
                    (emit & 0xff, _mm256_castsi256_si128(words)),
                ] {
                    let words = _mm_shuffle_epi8(words, shuffle(&COMPRESS, set));
                    // SAFETY: before the last of 16 stores at most 15 * 8 words lie at the window's end, and it is
                    // of 8 words. What it writes below the words of its set is written over.
                    unsafe {
                        let end = windows[n].as_mut_ptr().add(at[n] - 16);
                        _mm_storeu_si128(end.cast(), words);
                    }
                    at[n] -= 2 * set.count_ones() as usize;
                }
            }
        }
    }
    at.map(|at| WINDOW - at)
}

/// The entries of 8 symbols: the reciprocals of even lanes and of odd lanes in the low halves of 64 bits, and the
/// entries' upper halves in the order of lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(table: &EncodeTable, symbol: __m256i) -> ([__m256i; 2], __m256i) {
    let even = _mm256_and_si256(symbol, _mm256_set1_epi64x(0xff));
    let odd = _mm256_srli_epi64::<32>(symbol);
    let base = table.symbols.as_ptr().cast();
    // SAFETY: indices are bytes, in a table of 256 times 8 bytes.
    let (even, odd) = unsafe {
        (_mm256_i64gather_epi64::<8>(base, even), _mm256_i64gather_epi64::<8>(base, odd))
    };
    ([even, odd], upper_halves(even, odd))
}

/// The upper halves of 64 bits: those of `even` in even lanes, those of `odd` in odd lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_halves(even: __m256i, odd: __m256i) -> __m256i {
    _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd)
}

/// See [`EncodeSymbol`](crate::coder::rans::EncodeSymbol).
#[inline]
#[target_feature(enable = "avx2")]
fn divide(x: __m256i, [even, odd]: [__m256i; 2], freq_cum: __m256i) -> __m256i {
    let addend = _mm256_and_si256(_mm256_srli_epi32::<5>(freq_cum), _mm256_set1_epi32(1));
    let x = _mm256_add_epi32(x, addend);
    let even = _mm256_mul_epu32(x, even);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(x), odd);
    let shift = _mm256_and_si256(freq_cum, _mm256_set1_epi32(31));
    _mm256_srlv_epi32(upper_halves(even, odd), shift)
}
