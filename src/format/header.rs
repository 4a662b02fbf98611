//! The frame header.

use crate::{
    error::{Error, FrameFault, Result},
    format::{MAX_SEGMENT_LOG, MIN_BLOCK_LOG, MIN_SEGMENT_LOG, PipelineId, field_u32, field_u64},
};

/// The first four bytes of a frame.
pub const MAGIC: [u8; 4] = *b"\x89RVL";
/// The version that this build reads and writes.
pub const VERSION: u8 = 1;

const CONTENT_SIZE_KNOWN: u8 = 1;
const INDEXED: u8 = 2;

/// The frame header: what every block of the frame has in common.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 4 | magic |
/// | 4 | 1 | version |
/// | 5 | 1 | flags |
/// | 6 | 1 | pipeline |
/// | 7 | 1 | block size exponent |
/// | 8 | 1 | segment size exponent |
/// | 9 | 3 | reserved |
/// | 12 | 8 | content size, or 0 |
/// | 20 | 4 | CRC-32C of bytes 0 to 19 |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHeader {
    /// The pipeline, which may be one that this build does not have.
    pub pipeline: PipelineId,
    /// Exponent of the block size in bytes.
    pub block_log: u8,
    /// Exponent of the segment size in bytes.
    pub segment_log: u8,
    /// Raw bytes in the frame, if known when the header was written.
    pub content_size: Option<u64>,
    /// Whether an index stands before the footer.
    pub indexed: bool,
}

impl FrameHeader {
    /// Length in bytes.
    pub const SIZE: usize = 24;

    /// The most raw bytes in a block.
    pub fn block_size(&self) -> u32 {
        1 << self.block_log
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        if self.content_size.is_some() {
            bytes[5] |= CONTENT_SIZE_KNOWN;
        }
        if self.indexed {
            bytes[5] |= INDEXED;
        }
        bytes[6] = self.pipeline.0;
        bytes[7] = self.block_log;
        bytes[8] = self.segment_log;
        bytes[12..20].copy_from_slice(&self.content_size.unwrap_or(0).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..20]);
        bytes[20..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Parses a header that begins at `offset` in the input.
    ///
    /// # Errors
    /// [`Error::NotAFrame`], [`Error::UnsupportedVersion`] and [`Error::CorruptFrame`].
    pub fn parse(bytes: &[u8; Self::SIZE], offset: u64) -> Result<Self> {
        let corrupt = |reason| Error::CorruptFrame { offset, reason };
        if bytes[..4] != MAGIC {
            return Err(Error::NotAFrame {
                offset,
                found: [bytes[0], bytes[1], bytes[2], bytes[3]],
            });
        }
        if bytes[4] != VERSION {
            return Err(Error::UnsupportedVersion(bytes[4]));
        }
        if field_u32(bytes, 20) != crc32c::crc32c(&bytes[..20]) {
            return Err(corrupt(FrameFault::HeaderChecksum));
        }
        let flags = bytes[5];
        if flags & !(CONTENT_SIZE_KNOWN | INDEXED) != 0 || bytes[9..12] != [0; 3] {
            return Err(corrupt(FrameFault::Reserved));
        }
        let pipeline = PipelineId(bytes[6]);
        let block_log = bytes[7];
        if !(MIN_BLOCK_LOG..=pipeline.max_block_log()).contains(&block_log) {
            return Err(corrupt(FrameFault::BlockSize));
        }
        let segment_log = bytes[8];
        if !(MIN_SEGMENT_LOG..=MAX_SEGMENT_LOG.min(block_log)).contains(&segment_log) {
            return Err(corrupt(FrameFault::SegmentSize));
        }
        let content_size = field_u64(bytes, 12);
        let known = flags & CONTENT_SIZE_KNOWN != 0;
        if !known && content_size != 0 {
            return Err(corrupt(FrameFault::Reserved));
        }
        Ok(Self {
            pipeline,
            block_log,
            segment_log,
            content_size: known.then_some(content_size),
            indexed: flags & INDEXED != 0,
        })
    }
}
