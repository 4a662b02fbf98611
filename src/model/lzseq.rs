//! The model lzseq: codes with extra bits, and three repeat offsets (`docs/FORMAT.md`, section 3.1).

use super::{
    Sequence,
    codes::{Coded, LENGTH, OFFSET, RUN, Values},
    copy::Output,
    streams::{Streams, View},
};
use crate::error::BlockFault;

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

    /// The offset that the code 0 to 2 behind a run of `literals` stands for.
    #[inline]
    pub fn offset(&self, code: u8, literals: u32) -> u32 {
        self.0[(usize::from(code) + usize::from(literals == 0)) % 3]
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

pub(super) fn rebuild(view: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    const RUNS: [Values; 256] = RUN.table();
    const LENGTHS: [Values; 256] = LENGTH.table();
    const OFFSETS: [Values; 256] = OFFSET.table();
    let View { bytes: [literals, runs, lengths, offsets, ..], tail } = view;
    if runs.len() != lengths.len() || runs.len() != offsets.len() {
        return Err(BlockFault::Sequences);
    }
    let mut output = Output::new(raw, literals);
    let mut bits = BitReader { bytes: tail, at: 0 };
    let mut repeats = Repeats::default();
    for ((&run, &length), &code) in runs.iter().zip(lengths).zip(offsets) {
        let new = if code < 3 { 0 } else { bits.value(OFFSETS[usize::from(code)]) };
        let length = bits.value(LENGTHS[usize::from(length)]);
        let literals = bits.value(RUNS[usize::from(run)]);
        let offset = if code < 3 { repeats.offset(code, literals) } else { new };
        // As the format says: a new offset moves the others down even if it is one of them.
        if code < 3 {
            repeats.push(offset)
        } else {
            repeats.0 = [offset, repeats.0[0], repeats.0[1]]
        }
        output.append(&[Sequence { literals, length, offset }])?;
    }
    bits.finish()?;
    output.finish()
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
    fn value(&mut self, values: Values) -> u32 {
        let mut word = [0; 8];
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let count = rest.len().min(8);
        word[..count].copy_from_slice(&rest[..count]);
        let word = u64::from_le_bytes(word) >> (self.at % 8);
        self.at += values.width as usize;
        values.base + (word as u32 & ((1 << values.width) - 1))
    }

    fn finish(self) -> Result<(), BlockFault> {
        let Self { bytes, at } = self;
        let last = bytes.last_chunk().map_or(0, |&last| u32::from_le_bytes(last));
        let used = at.div_ceil(32) * 4 == bytes.len() && (at % 32 == 0 || last >> (at % 32) == 0);
        if used { Ok(()) } else { Err(BlockFault::Sequences) }
    }
}
