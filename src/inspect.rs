//! What a file holds, without decoding it.

use std::io::{Read, Seek};

use crate::{error::Result, format::PipelineId};

/// A frame of a file, as [`inspect`] found it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Position of the frame's first byte in the file.
    pub offset: u64,
    /// Bytes from the frame's magic number through its end.
    pub coded_size: u64,
    /// What the frame is.
    pub kind: FrameKind,
}

/// The two kinds of frame.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FrameKind {
    /// A frame with content.
    Content(ContentInfo),
    /// A skippable frame: no content.
    Skippable {
        /// Its magic number, `0x184D2A50` to `0x184D2A5F`.
        magic: u32,
    },
}

/// What a frame says of its content.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ContentInfo {
    /// The pipeline; it may be one that this build does not have.
    pub pipeline: PipelineId,
    /// The most raw bytes that a block may hold.
    pub block_size: u32,
    /// Raw bytes per segment.
    pub segment_size: u32,
    /// Raw bytes of the content.
    pub raw_size: u64,
    /// Blocks of all kinds.
    pub blocks: u64,
    /// Blocks that hold their raw bytes.
    pub stored_blocks: u64,
    /// Blocks of one byte value.
    pub single_blocks: u64,
    /// Whether the header names the content's size.
    pub content_size_known: bool,
    /// Whether the frame has an index.
    pub indexed: bool,
}

impl ContentInfo {
    /// The name of the checksum that protects every block.
    pub const CHECKSUM: &'static str = "CRC-32C";
}

/// Lists the frames of a file. Every block header, checksum of structure and size is verified; payloads are not read.
///
/// # Errors
/// Like decompression, for all that is visible without payloads.
pub fn inspect<R: Read + Seek>(source: R) -> Result<Vec<FrameInfo>> {
    let _ = source;
    todo!()
}
