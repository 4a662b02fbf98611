//! One block, raw or encoded: what travels between the stream adapters, the CPU workers and the device.

use std::ops::RangeInclusive;

use crate::format::BlockKind;

/// An entropy coder on 32 lanes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Coder {
    /// Range asymmetric numeral systems.
    Rans,
    /// Finite state entropy: tabled asymmetric numeral systems.
    Fse,
    /// Canonical Huffman codes.
    Huffman,
}

impl Coder {
    /// Every coder.
    pub const ALL: [Self; 3] = [Self::Rans, Self::Fse, Self::Huffman];

    /// The table logs that the format allows.
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
