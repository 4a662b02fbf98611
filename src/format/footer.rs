//! The index and the footer.

use crate::format::{FrameHeader, RECORD_HEADER_SIZE, field_u32, field_u64};

/// The last four bytes of a frame.
pub const FOOTER_MAGIC: [u8; 4] = *b"LVR\x89";

/// One entry of the index: a block's sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    /// Raw bytes.
    pub raw_size: u32,
    /// Payload bytes.
    pub coded_size: u32,
}

impl IndexEntry {
    /// Length in bytes.
    pub const SIZE: usize = 8;

    /// The entry's bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.raw_size.to_le_bytes());
        bytes[4..].copy_from_slice(&self.coded_size.to_le_bytes());
        bytes
    }

    /// Parses an entry. Any bytes are an entry; the caller checks the sizes.
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Self {
        Self { raw_size: field_u32(bytes, 0), coded_size: field_u32(bytes, 4) }
    }
}

/// The footer.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 8 | number of blocks |
/// | 8 | 8 | content size |
/// | 16 | 8 | frame size |
/// | 24 | 4 | CRC-32C of the index and bytes 0 to 23 |
/// | 28 | 4 | magic |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Footer {
    /// Blocks of the frame.
    pub blocks: u64,
    /// Raw bytes of the frame.
    pub content_size: u64,
    /// Bytes from the frame's magic number through the footer.
    pub frame_size: u64,
    /// CRC-32C of the index and the fields above.
    pub crc: u32,
}

impl Footer {
    /// Length in bytes.
    pub const SIZE: usize = 32;

    /// A footer behind an index whose CRC-32C is `index_crc` (0 if there is none).
    pub fn new(blocks: u64, content_size: u64, frame_size: u64, index_crc: u32) -> Self {
        let mut footer = Self { blocks, content_size, frame_size, crc: 0 };
        footer.crc = footer.expected_crc(index_crc);
        footer
    }

    /// What the checksum should be behind an index whose CRC-32C is `index_crc` (0 if there is none).
    pub fn expected_crc(&self, index_crc: u32) -> u32 {
        crc32c::crc32c_append(index_crc, &self.encode()[..24])
    }

    /// The footer's bytes.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..8].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.content_size.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.frame_size.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.crc.to_le_bytes());
        bytes[28..].copy_from_slice(&FOOTER_MAGIC);
        bytes
    }

    /// Parses a footer; `None` if the magic is missing. The checksum needs the index and is for the caller.
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        (bytes[28..] == FOOTER_MAGIC).then(|| Self {
            blocks: field_u64(bytes, 0),
            content_size: field_u64(bytes, 8),
            frame_size: field_u64(bytes, 16),
            crc: field_u32(bytes, 24),
        })
    }

    /// Bytes of the index before this footer; `None` if the frame size is too small for the number of blocks.
    pub fn index_size(&self, header: &FrameHeader) -> Option<u64> {
        let entry = if header.indexed { IndexEntry::SIZE as u64 } else { 0 };
        // The smallest block: a header, one payload byte, and its padding.
        let smallest = RECORD_HEADER_SIZE as u64 + 4 + entry;
        let rest = (FrameHeader::SIZE + RECORD_HEADER_SIZE + Self::SIZE) as u64;
        let blocks = self.blocks.checked_mul(smallest)?.checked_add(rest)?;
        (blocks <= self.frame_size).then_some(self.blocks * entry)
    }
}
