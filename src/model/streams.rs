//! The streams of bytes that a block's sequences become.

use super::{Model, Sequence, codes::OFFSET, make_room};
use crate::error::BlockFault;

/// The most streams that a model has.
pub const MAX_STREAMS: usize = 6;

/// Streams of a block in the format's order, and the tail. The buffers are reused from block to block.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Streams {
    /// The first [`Model::streams`] of them are the model's; the literals come first.
    pub bytes: [Vec<u8>; MAX_STREAMS],
    /// Extra bits or long lengths: what is not entropy coded.
    pub tail: Vec<u8>,
}

impl Streams {
    /// The most bytes that the buffers take for blocks of `block_size` bytes of at most so many sequences.
    pub(super) fn memory(model: Model, block_size: usize, sequences: usize) -> usize {
        let matched = sequences * model.min_match() as usize;
        let [of_sequences, tail] = match model {
            Model::LzSeq => [4 * sequences, tail_room(block_size, sequences)],
            Model::Lz77 => [6 * sequences, long_room(block_size)],
        };
        let dense = block_size.saturating_sub(matched) + of_sequences + tail;
        dense.max(usual(block_size)) + WIDE
    }

    /// Empties all of them and makes room for such lengths, the tail's last.
    pub(super) fn make_room(&mut self, lengths: [usize; MAX_STREAMS + 1], block_size: usize) {
        let [a, b, c, d, e, f] = &mut self.bytes;
        let mut buffers = [a, b, c, d, e, f, &mut self.tail];
        let held: usize = buffers.iter().map(|buffer| buffer.capacity()).sum();
        let needed = lengths.iter().sum::<usize>();
        let both =
            buffers.iter().zip(lengths).map(|(buffer, length)| length.max(buffer.capacity()));
        // Blocks of different kinds need different streams: never more than one block needs at once.
        if both.sum::<usize>() > held.max(needed).max(usual(block_size)) {
            buffers.iter_mut().for_each(|buffer| **buffer = Vec::new());
        }
        buffers.into_iter().zip(lengths).for_each(|(buffer, length)| make_room(buffer, length));
    }

    /// The counts that the payload begins with.
    pub fn counts(&self, model: Model) -> [u32; 4] {
        let lengths = self.bytes.each_ref().map(|stream| stream.len() as u32);
        let tail = self.tail.len() as u32;
        match model {
            Model::LzSeq => [lengths[0], lengths[1], tail, lengths[4]],
            Model::Lz77 => [lengths[0], lengths[1], lengths[5], tail / 4],
        }
    }

    /// What [`Model::rebuild`] takes.
    pub fn view(&self) -> View<'_> {
        View { bytes: self.bytes.each_ref().map(Vec::as_slice), tail: &self.tail }
    }
}

/// What the streams of a block may take even if it needs less.
fn usual(block_size: usize) -> usize {
    block_size + block_size / 2
}

/// Room for the extra bits of so many sequences of a block: those of the offsets, and those of runs and lengths, each of
/// which is at least eight times as large as it has extra bits.
pub(super) fn tail_room(block_size: usize, sequences: usize) -> usize {
    let width = OFFSET.code(block_size.max(1) as u32).width as usize;
    sequences * width / 8 + block_size / 64 + 8
}

/// Room for the lengths of 4 bytes of a block, each of at least 256.
pub(super) fn long_room(block_size: usize) -> usize {
    block_size / 64
}

/// Borrowed streams.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// As in [`Streams`].
    pub bytes: [&'a [u8]; MAX_STREAMS],
    /// As in [`Streams`].
    pub tail: &'a [u8],
}

/// Sizes of a block's streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes of each stream; 0 for those that the model does not have.
    pub bytes: [usize; MAX_STREAMS],
    /// Bytes of the tail.
    pub tail: usize,
}

impl Layout {
    /// The sizes that a payload's `counts` stand for.
    ///
    /// # Errors
    /// [`BlockFault::Size`] if no block of `raw_size` bytes has these counts. So what a reader allocates for the streams
    /// is bounded by the raw size.
    pub fn new(model: Model, counts: [u32; 4], raw_size: usize) -> Result<Self, BlockFault> {
        let [literals, sequences, third, fourth] = counts.map(|count| count as usize);
        let matched = sequences.checked_mul(model.min_match() as usize);
        let rebuilt = matched.and_then(|matched| matched.checked_add(literals));
        let (bytes, tail, fits) = match model {
            Model::LzSeq => (
                [literals, sequences, sequences, sequences, fourth, 0],
                third,
                third % 4 == 0 && third / 8 <= sequences && fourth <= sequences,
            ),
            Model::Lz77 => (
                [literals, sequences, sequences, sequences, sequences, third],
                fourth.saturating_mul(4),
                third.div_ceil(2) <= sequences && fourth <= third,
            ),
        };
        let fits = fits && rebuilt.is_some_and(|size| size <= raw_size);
        if fits { Ok(Self { bytes, tail }) } else { Err(BlockFault::Size) }
    }
}

/// Bytes of literals that are copied at once, whatever is needed of them.
pub(super) const WIDE: usize = 16;

/// How many bytes of a block no match covers.
pub(super) fn count_literals(raw: &[u8], sequences: &[Sequence]) -> usize {
    raw.len() - sequences.iter().map(|sequence| sequence.length as usize).sum::<usize>()
}

/// Replaces `literals` by those of a block, `count` bytes: what no match covers.
#[inline(always)]
pub(super) fn gather_literals(
    raw: &[u8],
    sequences: &[Sequence],
    count: usize,
    literals: &mut Vec<u8>,
) {
    literals.clear();
    literals.resize(count + WIDE, 0);
    let (mut at, mut taken) = (0, 0);
    for &Sequence { literals: run, length, .. } in sequences {
        let run = run as usize;
        match raw[at..].first_chunk::<WIDE>() {
            Some(wide) if run <= WIDE => literals[taken..taken + WIDE].copy_from_slice(wide),
            _ => literals[taken..taken + run].copy_from_slice(&raw[at..at + run]),
        }
        taken += run;
        at += run + length as usize;
    }
    literals[taken..count].copy_from_slice(&raw[at..]);
    literals.truncate(count);
}
