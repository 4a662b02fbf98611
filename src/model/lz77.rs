//! The model lz77: tokens, bytes of offsets and lengths (`docs/FORMAT.md`, section 3.2). The tokens are those of LZ4.

use super::{
    Model, Sequence,
    copy::{BATCH, Batch, Output},
    streams::{Streams, View, WIDE, count_literals, gather_literals, long_room},
};
use crate::error::BlockFault;

const MIN_MATCH: u32 = Model::Lz77.min_match();
/// The nibble that a length follows.
const NIBBLE: u32 = 15;
/// The short length that a long one follows.
const LONG: u32 = 255;

#[inline(always)]
pub(super) fn split(raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
    let (count, n) = (count_literals(raw, sequences), sequences.len());
    streams.make_room([count + WIDE, n, n, n, n, 2 * n, long_room(raw.len())], raw.len());
    let Streams { bytes: [literals, tokens, low, middle, high, short], tail: long } = streams;
    gather_literals(raw, sequences, count, literals);
    let nibbles = |sequence: &Sequence| [sequence.literals, sequence.length - MIN_MATCH];
    tokens.extend(sequences.iter().map(|sequence| {
        let [run, length] = nibbles(sequence).map(|value| value.min(NIBBLE) as u8);
        run << 4 | length
    }));
    for (byte, stream) in [low, middle, high].into_iter().enumerate() {
        stream.extend(sequences.iter().map(|sequence| ((sequence.offset - 1) >> (8 * byte)) as u8));
    }
    short.resize(2 * n, 0);
    let mut count = 0;
    for value in sequences.iter().flat_map(nibbles) {
        // Written whether there is one or not: which cannot be predicted.
        let above = value.wrapping_sub(NIBBLE);
        short[count] = above.min(LONG) as u8;
        count += usize::from(value >= NIBBLE);
        if value >= NIBBLE + LONG {
            long.extend_from_slice(&value.to_le_bytes());
        }
    }
    short.truncate(count);
}

#[inline(always)]
pub(super) fn rebuild(view: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    let View { bytes: [literals, tokens, low, middle, high, short], tail } = view;
    if [low, middle, high].iter().any(|stream| stream.len() != tokens.len()) {
        return Err(BlockFault::Sequences);
    }
    let (long, rest) = tail.as_chunks();
    let mut lengths = Lengths { short, long };
    let mut output = Output::new(raw, literals);
    let mut batch = Batch::new();
    for (n, tokens) in tokens.chunks(BATCH).enumerate() {
        let range = n * BATCH..n * BATCH + tokens.len();
        let bytes = low[range.clone()].iter().zip(&middle[range.clone()]).zip(&high[range]);
        for (to, ((&low, &middle), &high)) in batch.offsets.iter_mut().zip(bytes) {
            *to = u32::from_le_bytes([low, middle, high, 0]) + 1;
        }
        let values = batch.literals.iter_mut().zip(&mut batch.lengths);
        for (&token, (literals, length)) in tokens.iter().zip(values) {
            *literals = u32::from(token >> 4);
            *length = u32::from(token & 15) + MIN_MATCH;
        }
        // Which nibbles a length follows. A number is written for each; that it counts cannot be predicted.
        let mut followed = [0_u16; 2 * BATCH];
        let mut count = 0;
        for (i, &token) in (0..).zip(tokens) {
            followed[count] = 2 * i;
            count += usize::from(token >= 0xf0);
            followed[count] = 2 * i + 1;
            count += usize::from(token & 15 == 15);
        }
        for &i in &followed[..count] {
            let (value, index) = (lengths.next()?, usize::from(i / 2));
            if i % 2 == 0 {
                batch.literals[index] = value;
            } else {
                batch.lengths[index] = value.saturating_add(MIN_MATCH);
            }
        }
        output.append(&batch, tokens.len())?;
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
    fn next(&mut self) -> Result<u32, BlockFault> {
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
