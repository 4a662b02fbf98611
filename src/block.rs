//! One block, raw or encoded: what travels between the stream adapters, the CPU workers and the device.

use crate::format::BlockKind;

/// What decides the bytes that a block encodes to, besides the block itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockParams {
    /// Exponent of the segment size in bytes, 12 to 16.
    pub segment_log: u8,
    /// Forced table log (8 to 12), or `None` for the rule of `docs/DECISIONS.md`.
    pub table_log: Option<u8>,
}

/// How a block was encoded. The payload itself is in a buffer beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Encoded {
    /// What the payload holds. For `Stored` the payload is the raw bytes and is not copied.
    pub kind: BlockKind,
    /// Table log if `kind` is `Coded`, else 0.
    pub table_log: u8,
}
