//! One block, raw or encoded: what travels between the stream adapters, the CPU workers and the device.

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
}

/// What decides the bytes that an entropy coder yields for a block, or a part of a block's stream, besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockParams {
    /// The coder.
    pub coder: Coder,
    /// Exponent of the segment size in bytes, 12 to 16.
    pub segment_log: u8,
    /// Forced table log (rans 8 to 12, fse 5 to 12, Huffman the longest code's length, up to 12), or `None` for the
    /// rules of `docs/DECISIONS.md`.
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
