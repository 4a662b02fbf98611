//! The model lzseq: codes with extra bits, and three repeat offsets (`docs/FORMAT.md`, section 3.1).

use std::hint::select_unpredictable;

use super::{
    Sequence,
    codes::{Coded, Codes, FINE_BITS, LENGTH, OFFSET, RUN},
    copy::{BATCH, Batch, Output},
    streams::{Streams, View, WIDE, count_literals, gather_literals, tail_room},
};
use crate::{
    block::Coder, coder::estimate::coded_bytes, error::BlockFault, format::MAX_SEGMENT_LOG,
};

/// The repeat offsets before the first sequence, the latest first.
pub const FIRST_REPEATS: [u32; 3] = [1, 4, 8];

/// No repeat offset.
const NEW: u8 = 3;

#[inline(always)]
pub(super) fn split(raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
    let (count, n) = (count_literals(raw, sequences), sequences.len());
    let fine_bits = fine_bits_pay(sequences);
    let fine = if fine_bits { n } else { 0 };
    let tail = tail_room(raw.len(), n);
    streams.make_room([count + WIDE, n, n, n, fine, 0, tail], raw.len());
    gather_literals(raw, sequences, count, &mut streams.bytes[0]);
    if fine_bits {
        split_sequences::<true>(sequences, streams);
    } else {
        split_sequences::<false>(sequences, streams);
    }
}

/// Whether the low bits of offsets are uneven enough for a stream of their own, as they are in tables and arrays. A guess:
/// it takes an offset for a new one if it is not the one before.
fn fine_bits_pay(sequences: &[Sequence]) -> bool {
    let mut counts = [0; 256];
    let (mut total, mut last) = (0, 0);
    for &Sequence { offset, .. } in sequences {
        let counted = offset != last && OFFSET.code(offset).width >= FINE_BITS;
        counts[offset.wrapping_sub(1) as usize % (1 << FINE_BITS)] += u32::from(counted);
        total += usize::from(counted);
        last = offset;
    }
    let plain = total as u64 * u64::from(FINE_BITS) / 8;
    coded_bytes(&counts, total, Coder::Rans, MAX_SEGMENT_LOG) < plain - plain / 32
}

#[inline(always)]
fn split_sequences<const FINE: bool>(sequences: &[Sequence], streams: &mut Streams) {
    let Streams { bytes: [_, runs, lengths, offsets, fine, _], tail } = streams;
    for stream in [&mut *runs, lengths, offsets] {
        stream.resize(sequences.len(), 0);
    }
    let mut bits = BitWriter { bytes: tail, word: 0, used: 0 };
    let mut repeats = FIRST_REPEATS;
    let mut encoder = Encoder::new();
    let streams =
        runs.chunks_mut(BATCH).zip(lengths.chunks_mut(BATCH)).zip(offsets.chunks_mut(BATCH));
    for (sequences, ((runs, lengths), offsets)) in sequences.chunks(BATCH).zip(streams) {
        encoder.find_repeats(sequences, &mut repeats);
        encoder.encode::<FINE>(sequences, [runs, lengths, offsets]);
        bits.write(&encoder.words[..sequences.len()], &encoder.widths);
        if FINE {
            let fine_bits = encoder.fine[..sequences.len()].iter();
            fine.extend(fine_bits.filter(|&&bits| bits != NO_FINE));
        }
    }
    bits.finish();
}

/// A batch on its way from sequences to codes.
struct Encoder {
    /// Which of the repeat offsets each offset is, or [`NEW`].
    indices: [u8; BATCH],
    /// The extra bits of each sequence, and how many they are.
    words: [u64; BATCH],
    widths: [u32; BATCH],
    /// Each offset's fine bits, or [`NO_FINE`].
    fine: [u8; BATCH],
}

impl Encoder {
    fn new() -> Self {
        let (words, widths) = ([0; BATCH], [0; BATCH]);
        Self { indices: [NEW; BATCH], words, widths, fine: [NO_FINE; BATCH] }
    }

    /// Which offsets are among the last three.
    #[inline(always)]
    fn find_repeats(&mut self, sequences: &[Sequence], repeats: &mut [u32; 3]) {
        let [mut first, mut second, mut third] = *repeats;
        for (to, &Sequence { offset, .. }) in self.indices.iter_mut().zip(sequences) {
            // Which it is cannot be predicted.
            let index = select_unpredictable(offset == third, 2, NEW);
            let index = select_unpredictable(offset == second, 1, index);
            let index = select_unpredictable(offset == first, 0, index);
            *to = index;
            third = select_unpredictable(index >= 2, second, third);
            second = select_unpredictable(index >= 1, first, second);
            first = offset;
        }
        *repeats = [first, second, third];
    }

    #[inline(always)]
    fn encode<const FINE: bool>(&mut self, sequences: &[Sequence], codes: [&mut [u8]; 3]) {
        let [runs, lengths, offsets] = codes;
        let codes = runs.iter_mut().zip(lengths).zip(offsets);
        let bits = self.words.iter_mut().zip(&mut self.widths).zip(&mut self.fine);
        let all = sequences.iter().zip(&self.indices).zip(codes).zip(bits);
        for (((sequence, &index), ((run, length), offset)), ((word, width), fine)) in all {
            let &Sequence { literals, length: bytes, offset: distance } = sequence;
            let (r, l, mut o) = (RUN.code(literals), LENGTH.code(bytes), OFFSET.code(distance));
            if index < NEW {
                // 0 to 2 stand for the second, the third and the first if there are no literals.
                let shifted = index.wrapping_sub(u8::from(literals == 0));
                o = Coded { code: shifted.min(2), width: 0, extra: 0 };
            }
            (*run, *length, *offset) = (r.code, l.code, o.code);
            if FINE {
                let split = o.width >= FINE_BITS;
                *fine = if split { o.extra as u8 % (1 << FINE_BITS) } else { NO_FINE };
                let bits = if split { FINE_BITS } else { 0 };
                (o.width, o.extra) = (o.width - bits, o.extra >> bits);
            }
            *word = u64::from(o.extra)
                | u64::from(l.extra) << o.width
                | u64::from(r.extra) << (o.width + l.width);
            *width = o.width + l.width + r.width;
        }
    }
}

/// No fine bits: the offset is repeated or small.
const NO_FINE: u8 = u8::MAX;

#[inline(always)]
pub(super) fn rebuild(view: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    if view.bytes[4].is_empty() {
        rebuild_sequences::<false>(view, raw)
    } else {
        rebuild_sequences::<true>(view, raw)
    }
}

#[inline(always)]
fn rebuild_sequences<const FINE: bool>(view: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    let View { bytes: [literals, runs, lengths, offsets, fine, _], tail } = view;
    if runs.len() != lengths.len() || runs.len() != offsets.len() {
        return Err(BlockFault::Sequences);
    }
    let mut output = Output::new(raw, literals);
    let mut bits = BitReader { bytes: tail, at: 0 };
    let mut fine = FineReader::new(fine)?;
    let mut repeats = FIRST_REPEATS;
    let mut decoder = Decoder::new();
    let codes = runs.chunks(BATCH).zip(lengths.chunks(BATCH)).zip(offsets.chunks(BATCH));
    for ((runs, lengths), offsets) in codes {
        decoder.set_bases([runs, lengths, offsets]);
        if FINE {
            fine.read(&mut decoder, offsets.len())?;
        }
        bits.read(&decoder.widths, &mut decoder.words[..runs.len()])?;
        decoder.add_extra_bits::<FINE>();
        decoder.resolve_repeats(offsets, &mut repeats);
        output.append(&decoder.batch, runs.len())?;
    }
    bits.finish()?;
    fine.finish()?;
    output.finish()
}

/// A batch on its way from codes to sequences: in simple loops, which become vector code, but for two short serial ones.
struct Decoder {
    batch: Batch,
    /// How many extra bits each has: literal runs, lengths, offsets.
    widths: [[u32; BATCH]; 3],
    /// The extra bits of each sequence, and others above them.
    words: [u64; BATCH],
    /// How many fine bits each offset has, and those bits.
    fine_widths: [u32; BATCH],
    fine: [u32; BATCH],
}

impl Decoder {
    fn new() -> Self {
        let (widths, words) = ([[0; BATCH]; 3], [0; BATCH]);
        Self { batch: Batch::new(), widths, words, fine_widths: [0; BATCH], fine: [0; BATCH] }
    }

    #[inline(always)]
    fn set_bases(&mut self, codes: [&[u8]; 3]) {
        let Self { batch, widths: [run_widths, length_widths, offset_widths], .. } = self;
        set_bases(RUN, codes[0], &mut batch.literals, run_widths);
        set_bases(LENGTH, codes[1], &mut batch.lengths, length_widths);
        set_bases(OFFSET, codes[2], &mut batch.offsets, offset_widths);
    }

    #[inline(always)]
    fn add_extra_bits<const FINE: bool>(&mut self) {
        let Self { batch, widths, words, fine_widths, fine } = self;
        for (i, &word) in words.iter().enumerate() {
            let [run, length, offset] = widths.each_ref().map(|widths| widths[i] % 32);
            let extra = (word & ((1 << offset) - 1)) as u32;
            batch.offsets[i] +=
                if FINE { (extra << (fine_widths[i] % 32)) + fine[i] } else { extra };
            let word = word >> offset;
            batch.lengths[i] += (word & ((1 << length) - 1)) as u32;
            let word = word >> length;
            batch.literals[i] += (word & ((1 << run) - 1)) as u32;
        }
    }

    /// Replaces the offsets of the codes 0 to 2.
    #[inline(always)]
    fn resolve_repeats(&mut self, codes: &[u8], repeats: &mut [u32; 3]) {
        let Batch { literals, offsets, .. } = &mut self.batch;
        let mut indices = [NEW; BATCH];
        for ((index, &code), &literals) in indices.iter_mut().zip(codes).zip(&*literals) {
            let shifted = match code.wrapping_add(u8::from(literals == 0)) {
                3 => 0,
                shifted => shifted,
            };
            *index = if code < NEW { shifted } else { NEW };
        }
        let [mut first, mut second, mut third] = *repeats;
        for (offset, &index) in offsets.iter_mut().zip(&indices[..codes.len()]) {
            // Which it is cannot be predicted.
            *offset = select_unpredictable(index == 2, third, *offset);
            *offset = select_unpredictable(index == 1, second, *offset);
            *offset = select_unpredictable(index == 0, first, *offset);
            third = select_unpredictable(index >= 2, second, third);
            second = select_unpredictable(index >= 1, first, second);
            first = *offset;
        }
        *repeats = [first, second, third];
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
    /// Bits that are no whole byte yet.
    word: u64,
    /// How many, below 8.
    used: u32,
}

impl BitWriter<'_> {
    /// Appends `widths` bits of words, at most 57; the bits above are zero.
    #[inline(always)]
    fn write(&mut self, words: &[u64], widths: &[u32]) {
        let mut buffer = [0; 8 * BATCH];
        let mut count = 0;
        for (&word, &width) in words.iter().zip(widths) {
            self.word |= word << self.used;
            buffer[count..count + 8].copy_from_slice(&self.word.to_le_bytes());
            self.used += width;
            count += self.used as usize / 8;
            // In two steps, as it may be all 64 bits.
            self.word = self.word >> (self.used / 8 * 4) >> (self.used / 8 * 4);
            self.used %= 8;
        }
        self.bytes.extend_from_slice(&buffer[..count]);
    }

    fn finish(self) {
        if self.used > 0 {
            self.bytes.push(self.word as u8);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// The stream of fine bits.
struct FineReader<'a> {
    rest: &'a [u8],
}

impl<'a> FineReader<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, BlockFault> {
        let most = bytes.iter().copied().max().unwrap_or(0);
        if u32::from(most) >> FINE_BITS == 0 {
            Ok(Self { rest: bytes })
        } else {
            Err(BlockFault::Sequences)
        }
    }

    /// Takes them off the widths of a batch's first offsets.
    #[inline(always)]
    fn read(&mut self, decoder: &mut Decoder, count: usize) -> Result<(), BlockFault> {
        let mut padded = [0; BATCH];
        let window = self.rest.first_chunk().unwrap_or_else(|| {
            padded[..self.rest.len()].copy_from_slice(self.rest);
            &padded
        });
        let Decoder { widths: [.., widths], fine_widths, fine, .. } = decoder;
        for (width, fine_width) in widths.iter_mut().zip(&mut *fine_widths) {
            *fine_width = if *width >= FINE_BITS { FINE_BITS } else { 0 };
            *width -= *fine_width;
        }
        let mut at = 0;
        for (bits, &width) in fine.iter_mut().zip(&*fine_widths).take(count) {
            let has = width != 0;
            *bits = u32::from(window[at % BATCH]) & u32::from(has).wrapping_neg();
            at += usize::from(has);
        }
        self.rest = self.rest.get(at..).ok_or(BlockFault::Sequences)?;
        Ok(())
    }

    fn finish(self) -> Result<(), BlockFault> {
        if self.rest.is_empty() { Ok(()) } else { Err(BlockFault::Sequences) }
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
