//! The model lzseq: codes with extra bits, and three repeat offsets (`docs/FORMAT.md`, section 3.1).

use super::{
    Sequence,
    codes::{Coded, Codes, LENGTH, OFFSET, RUN},
    copy::{BATCH, Batch, Output},
    streams::{Streams, View},
};
use crate::error::BlockFault;
use std::hint::select_unpredictable;

/// The last three offsets, the latest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeats(pub [u32; 3]);

impl Default for Repeats {
    fn default() -> Self {
        Self([1, 4, 8])
    }
}

impl Repeats {
    /// The offset code 0 to 2 of an offset behind a run of `literals`, if it is one of the three.
    #[inline]
    pub fn code(&self, offset: u32, literals: u32) -> Option<u8> {
        let index = self.0.iter().position(|&repeat| repeat == offset)?;
        Some(if literals > 0 { index as u8 } else { [2, 0, 1][index] })
    }

    /// Moves an offset to the front; a new one replaces the oldest.
    #[inline]
    pub fn push(&mut self, offset: u32) {
        let [first, second, _] = self.0;
        if offset == second {
            self.0 = [second, first, self.0[2]];
        } else if offset != first {
            self.0 = [offset, first, second];
        }
    }
}

#[inline(always)]
pub(super) fn split(raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
    streams.clear();
    let Streams { bytes: [literals, runs, lengths, offsets, ..], tail } = streams;
    let mut repeats = Repeats::default();
    let mut bits = BitWriter { bytes: tail, word: 0, used: 0 };
    let mut at = 0;
    for sequence in sequences {
        let run = sequence.literals as usize;
        literals.extend_from_slice(&raw[at..at + run]);
        at += run + sequence.length as usize;
        let offset = match repeats.code(sequence.offset, sequence.literals) {
            Some(code) => Coded { code, width: 0, extra: 0 },
            None => OFFSET.code(sequence.offset),
        };
        repeats.push(sequence.offset);
        let length = LENGTH.code(sequence.length);
        let run = RUN.code(sequence.literals);
        for (stream, coded) in [(&mut *offsets, offset), (lengths, length), (runs, run)] {
            stream.push(coded.code);
            bits.push(coded);
        }
    }
    literals.extend_from_slice(&raw[at..]);
    bits.finish();
}

#[inline(always)]
pub(super) fn rebuild(view: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    let View { bytes: [literals, runs, lengths, offsets, ..], tail } = view;
    if runs.len() != lengths.len() || runs.len() != offsets.len() {
        return Err(BlockFault::Sequences);
    }
    let mut output = Output::new(raw, literals);
    let mut bits = BitReader { bytes: tail, at: 0 };
    let mut repeats = Repeats::default();
    let mut decoder = Decoder::new();
    let codes = runs.chunks(BATCH).zip(lengths.chunks(BATCH)).zip(offsets.chunks(BATCH));
    for ((runs, lengths), offsets) in codes {
        decoder.set_bases([runs, lengths, offsets]);
        bits.read(&decoder.widths, &mut decoder.words[..runs.len()])?;
        decoder.add_extra_bits();
        decoder.resolve_repeats(offsets, &mut repeats);
        output.append(&decoder.batch, runs.len())?;
    }
    bits.finish()?;
    output.finish()
}

/// A batch on its way from codes to sequences: in simple loops, which become vector code, but for two short serial ones.
struct Decoder {
    batch: Batch,
    /// How many extra bits each has: literal runs, lengths, offsets.
    widths: [[u32; BATCH]; 3],
    /// The extra bits of each sequence, and others above them.
    words: [u64; BATCH],
}

impl Decoder {
    fn new() -> Self {
        Self { batch: Batch::new(), widths: [[0; BATCH]; 3], words: [0; BATCH] }
    }

    #[inline(always)]
    fn set_bases(&mut self, codes: [&[u8]; 3]) {
        let Self { batch, widths: [run_widths, length_widths, offset_widths], .. } = self;
        set_bases(RUN, codes[0], &mut batch.literals, run_widths);
        set_bases(LENGTH, codes[1], &mut batch.lengths, length_widths);
        set_bases(OFFSET, codes[2], &mut batch.offsets, offset_widths);
    }

    #[inline(always)]
    fn add_extra_bits(&mut self) {
        let Self { batch, widths, words } = self;
        for (i, &word) in words.iter().enumerate() {
            let [run, length, offset] = widths.each_ref().map(|widths| widths[i] % 32);
            batch.offsets[i] += (word & ((1 << offset) - 1)) as u32;
            let word = word >> offset;
            batch.lengths[i] += (word & ((1 << length) - 1)) as u32;
            let word = word >> length;
            batch.literals[i] += (word & ((1 << run) - 1)) as u32;
        }
    }

    /// Replaces the offsets of the codes 0 to 2.
    #[inline(always)]
    fn resolve_repeats(&mut self, codes: &[u8], repeats: &mut Repeats) {
        const NEW: u8 = 3;
        let Batch { literals, offsets, .. } = &mut self.batch;
        let mut indices = [NEW; BATCH];
        for ((index, &code), &literals) in indices.iter_mut().zip(codes).zip(&*literals) {
            let shifted = code.wrapping_add(u8::from(literals == 0));
            *index = match code {
                0..3 => {
                    if shifted == 3 {
                        0
                    } else {
                        shifted
                    }
                }
                _ => NEW,
            };
        }
        let [mut first, mut second, mut third] = repeats.0;
        for (offset, &index) in offsets.iter_mut().zip(&indices[..codes.len()]) {
            // Which it is cannot be predicted.
            *offset = select_unpredictable(index == 2, third, *offset);
            *offset = select_unpredictable(index == 1, second, *offset);
            *offset = select_unpredictable(index == 0, first, *offset);
            third = select_unpredictable(index >= 2, second, third);
            second = select_unpredictable(index >= 1, first, second);
            first = *offset;
        }
        repeats.0 = [first, second, third];
    }
}

#[inline(always)]
fn set_bases(kind: Codes, codes: &[u8], bases: &mut [u32; BATCH], widths: &mut [u32; BATCH]) {
    for ((&code, base), width) in codes.iter().zip(bases).zip(widths) {
        let values = kind.values(code);
        (*base, *width) = (values.base, values.width);
    }
}

struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    word: u64,
    used: u32,
}

impl BitWriter<'_> {
    fn push(&mut self, coded: Coded) {
        self.word |= u64::from(coded.extra) << self.used;
        self.used += u32::from(coded.width);
        if self.used >= 32 {
            self.bytes.extend_from_slice(&(self.word as u32).to_le_bytes());
            self.word >>= 32;
            self.used -= 32;
        }
    }

    fn finish(self) {
        if self.used > 0 {
            self.bytes.extend_from_slice(&(self.word as u32).to_le_bytes());
        }
    }
}

struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits taken.
    at: usize,
}

impl BitReader<'_> {
    /// Reads the extra bits of a batch, of the given widths: into the low bits of words that have others above.
    #[inline(always)]
    fn read(&mut self, widths: &[[u32; BATCH]; 3], words: &mut [u64]) -> Result<(), BlockFault> {
        const WINDOW: usize = 8 * BATCH + 8;
        let first = self.at / 8;
        let rest = &self.bytes[first..];
        let mut padded = [0; WINDOW];
        let window = rest.first_chunk().unwrap_or_else(|| {
            padded[..rest.len()].copy_from_slice(rest);
            &padded
        });
        let mut at = self.at % 8;
        for (i, word) in words.iter_mut().enumerate() {
            let bytes = window[at / 8..].first_chunk().expect("at most 57 bits a sequence");
            *word = u64::from_le_bytes(*bytes) >> (at % 8);
            at += widths.iter().map(|widths| widths[i] as usize).sum::<usize>();
        }
        self.at = 8 * first + at;
        if self.at <= 8 * self.bytes.len() { Ok(()) } else { Err(BlockFault::Sequences) }
    }

    fn finish(self) -> Result<(), BlockFault> {
        let Self { bytes, at } = self;
        let last = bytes.last_chunk().map_or(0, |&last| u32::from_le_bytes(last));
        let used = at.div_ceil(32) * 4 == bytes.len() && (at % 32 == 0 || last >> (at % 32) == 0);
        if used { Ok(()) } else { Err(BlockFault::Sequences) }
    }
}
