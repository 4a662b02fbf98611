//! One block, raw or encoded: what travels between the stream adapters, the CPU workers and the device.

use std::ops::{Range, RangeInclusive};

use crate::format::BlockKind;

/// An entropy coder on 32 lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Coder {
    /// Range asymmetric numeral systems.
    Rans = 0,
    /// Finite state entropy: tabled asymmetric numeral systems.
    Fse = 1,
    /// Canonical Huffman codes.
    Huffman = 2,
}

impl Coder {
    /// Every coder.
    pub const ALL: [Self; 3] = [Self::Rans, Self::Fse, Self::Huffman];

    /// The table logs that a coded block may have.
    pub const fn table_logs(self) -> RangeInclusive<u8> {
        match self {
            Self::Rans => 8..=12,
            Self::Fse => 5..=12,
            Self::Huffman => 1..=12,
        }
    }
}

/// What decides the bytes that an entropy coder yields for a block, or a part of a block's stream, besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockParams {
    /// The coder.
    pub coder: Coder,
    /// Exponent of the segment size in bytes, 12 to 16.
    pub segment_log: u8,
    /// Forced table log (rans 8 to 12, fse 5 to 12; Huffman at most that long codes, 1 to 12), or `None` for the rules of
    /// `docs/DECISIONS.md`. It is raised as far as the number of present symbols demands.
    pub table_log: Option<u8>,
}

/// How a block was encoded. The payload itself is in a buffer beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// What the payload holds. For `Stored` the payload is the raw bytes and is not copied.
    pub kind: BlockKind,
    /// Table log if `kind` is `Coded` and the pipeline has one table a block, else 0.
    pub table_log: u8,
}

/// A range of bytes that an entropy coder encodes on its own: a part of an LZ block's stream, or a whole block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodePart {
    /// Where the bytes lie among those of the block's streams.
    pub range: Range<usize>,
    /// The coder.
    pub coder: Coder,
    /// Forced table log.
    pub table_log: Option<u8>,
}

/// What became of an [`EncodePart`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedPart {
    /// What its payload holds.
    pub encoded: Encoded,
    /// Where its payload lies among those of all parts; empty if it is stored.
    pub payload: Range<usize>,
}

/// A payload that an entropy decoder decodes on its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecodePart {
    /// Where its payload lies in the block's.
    pub payload: Range<usize>,
    /// Where its bytes go among those of the block's streams.
    pub range: Range<usize>,
    /// What the payload holds.
    pub encoded: Encoded,
    /// The coder, if the payload is coded.
    pub coder: Coder,
}
