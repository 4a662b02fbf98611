//! Skippable frames, the same as in Zstandard (RFC 8878, section 3.1.2) and LZ4.

use crate::format::field_u32;

/// The first of the sixteen magic numbers.
pub const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;

/// The header of a skippable frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SkippableHeader {
    /// The low four bits of the magic number.
    pub variant: u8,
    /// Bytes that follow and are to be ignored.
    pub length: u32,
}

impl SkippableHeader {
    /// Length in bytes.
    pub const SIZE: usize = 8;

    /// Whether a frame that begins with these bytes is skippable.
    pub fn is_magic(bytes: [u8; 4]) -> bool {
        u32::from_le_bytes(bytes) & !0xF == SKIPPABLE_MAGIC
    }

    /// The magic number.
    pub fn magic(&self) -> u32 {
        SKIPPABLE_MAGIC | u32::from(self.variant)
    }

    /// The header's bytes.
    ///
    /// # Panics
    /// If the variant is above 15.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        assert!(self.variant < 16, "there are sixteen magic numbers");
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.magic().to_le_bytes());
        bytes[4..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// Parses a header; `None` if the magic number is another.
    pub fn parse(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let magic = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Self::is_magic(magic).then(|| Self { variant: bytes[0] & 0xF, length: field_u32(bytes, 4) })
    }
}
