//! The model lz77: tokens, bytes of offsets and lengths (`docs/FORMAT.md`, section 3.2). The tokens are those of LZ4.

use super::{
    Model, Sequence,
    copy::Output,
    streams::{Streams, View},
};
use crate::error::BlockFault;

const MIN_MATCH: u32 = Model::Lz77.min_match();
/// The nibble that a length follows.
const NIBBLE: u32 = 15;
/// The short length that a long one follows.
const LONG: u32 = 255;

pub(super) fn split(raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
    streams.clear();
    let Streams { bytes: [literals, tokens, low, middle, high, short], tail: long } = streams;
    let mut nibble = |value: u32| {
        if value < NIBBLE {
            return value as u8;
        }
        let above = (value - NIBBLE).min(LONG);
        short.push(above as u8);
        if above == LONG {
            long.extend_from_slice(&value.to_le_bytes());
        }
        NIBBLE as u8
    };
    let mut at = 0;
    for sequence in sequences {
        let run = sequence.literals as usize;
        literals.extend_from_slice(&raw[at..at + run]);
        at += run + sequence.length as usize;
        tokens.push(nibble(sequence.literals) << 4 | nibble(sequence.length - MIN_MATCH));
        let [first, second, third, _] = (sequence.offset - 1).to_le_bytes();
        low.push(first);
        middle.push(second);
        high.push(third);
    }
    literals.extend_from_slice(&raw[at..]);
}

pub(super) fn rebuild(view: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    let View { bytes: [literals, tokens, low, middle, high, short], tail } = view;
    if [low, middle, high].iter().any(|stream| stream.len() != tokens.len()) {
        return Err(BlockFault::Sequences);
    }
    let (long, rest) = tail.as_chunks();
    let mut lengths = Lengths { short, long };
    let mut output = Output::new(raw, literals);
    for (i, &token) in tokens.iter().enumerate() {
        let literals = lengths.value(token >> 4)?;
        let length = lengths.value(token & 15)?.saturating_add(MIN_MATCH);
        let offset = u32::from_le_bytes([low[i], middle[i], high[i], 0]) + 1;
        output.append(&[Sequence { literals, length, offset }])?;
    }
    if !lengths.short.is_empty() || !lengths.long.is_empty() || !rest.is_empty() {
        return Err(BlockFault::Sequences);
    }
    output.finish()
}

/// The lengths that do not fit a nibble.
struct Lengths<'a> {
    short: &'a [u8],
    long: &'a [[u8; 4]],
}

impl Lengths<'_> {
    fn value(&mut self, nibble: u8) -> Result<u32, BlockFault> {
        if u32::from(nibble) < NIBBLE {
            return Ok(nibble.into());
        }
        let (&short, rest) = self.short.split_first().ok_or(BlockFault::Sequences)?;
        self.short = rest;
        if u32::from(short) < LONG {
            return Ok(NIBBLE + u32::from(short));
        }
        let (&long, rest) = self.long.split_first().ok_or(BlockFault::Sequences)?;
        self.long = rest;
        let value = u32::from_le_bytes(long);
        if value >= NIBBLE + LONG { Ok(value) } else { Err(BlockFault::Sequences) }
    }
}
