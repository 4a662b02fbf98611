//! LZ models: what lies between a block and the entropy coders. [`parse`](parse::Parser) finds the sequences of a
//! block, a [`Model`] turns them into streams of bytes and back into the block (`docs/FORMAT.md`, section 3).

mod block;
pub mod codes;
mod copy;
mod lz77;
pub mod lzseq;
pub mod parse;
mod parts;
mod simd;
#[doc(hidden)]
pub mod stages;
pub mod streams;
#[cfg(test)]
mod tests;
pub mod twin;

pub use block::LzCoder;
pub(crate) use block::Split;
pub(crate) use parts::Opened;

use crate::{block::Coder, error::BlockFault};
use simd::Instructions;
use streams::{Streams, View};

/// How sequences become streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Model {
    /// Tokens, bytes of offsets and lengths: the fastest to rebuild.
    Lz77,
    /// Codes with extra bits and three repeat offsets: the smallest.
    LzSeq,
}

impl Model {
    /// The shortest match.
    pub const fn min_match(self) -> u32 {
        match self {
            Self::Lz77 => 4,
            Self::LzSeq => 3,
        }
    }

    /// How many streams it has.
    pub const fn streams(self) -> usize {
        match self {
            Self::Lz77 => 6,
            Self::LzSeq => 5,
        }
    }

    /// Turns a block and its sequences into streams, which replace those in `streams`.
    ///
    /// The sequences must be this model's and rebuild the block, which is not checked: of others the streams are no use.
    ///
    /// # Panics
    /// If the sequences do not lie within the block. It may if they are not this model's.
    pub fn split(self, raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
        Instructions::best().split(self, raw, sequences, streams);
    }

    /// Rebuilds a block of `raw.len()` bytes from its streams.
    ///
    /// # Errors
    /// [`BlockFault::Sequences`] or [`BlockFault::Match`] if the streams are not valid; what `raw` then holds is
    /// unspecified.
    pub fn rebuild(self, streams: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
        Instructions::best().rebuild(self, streams, raw)
    }
}

/// Empties a buffer and makes room for `count` items and no more: instead of growing it is replaced.
fn make_room<T>(buffer: &mut Vec<T>, count: usize) {
    buffer.clear();
    if buffer.capacity() < count {
        // The old one first: there is not memory for both.
        *buffer = Vec::new();
        buffer.reserve_exact(count);
    }
}

/// A run of literals and the match behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequence {
    /// Literals before the match.
    pub literals: u32,
    /// Bytes that the match copies: at least [`Model::min_match`].
    pub length: u32,
    /// How far back it begins: 1 to the bytes before it.
    pub offset: u32,
}

/// What decides the bytes that a block encodes to, besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LzParams {
    /// The model.
    pub model: Model,
    /// The coders that parts of streams may have.
    pub coders: &'static [Coder],
    /// 1, the fastest, to 9, the smallest.
    pub level: u8,
    /// Exponent of the segment size in bytes, 12 to 16.
    pub segment_log: u8,
}
