//! Block headers and the end mark.

use crate::{
    error::BlockFault,
    format::{BlockKind, FrameHeader, PipelineId, field_u16, field_u32},
};

/// Length in bytes of a block header and of the end mark.
pub const RECORD_HEADER_SIZE: usize = 16;

const END_MARK: u8 = 3;

/// A block's header.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 1 | kind |
/// | 1 | 1 | table log |
/// | 2 | 2 | check |
/// | 4 | 4 | raw size |
/// | 8 | 4 | coded size |
/// | 12 | 4 | CRC-32C of the raw bytes |
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockHeader {
    /// What the payload holds.
    pub kind: BlockKind,
    /// Table log, or 0 where there is not just one table.
    pub table_log: u8,
    /// Raw bytes.
    pub raw_size: u32,
    /// Payload bytes.
    pub coded_size: u32,
    /// CRC-32C of the raw bytes.
    pub crc: u32,
}

/// What a record header announces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// A block follows.
    Block(BlockHeader),
    /// The frame's blocks end here.
    End {
        /// CRC-32C of the headers of all blocks.
        seal: u32,
    },
}

/// The most bytes of zero behind a payload.
pub(crate) const MOST_PADDING: usize = 3;

/// Bytes of zero between a payload and the next record.
pub fn padding(coded_size: u32) -> usize {
    coded_size.wrapping_neg() as usize % 4
}

/// Bytes that a block takes in the frame: header, payload and padding.
pub fn record_size(coded_size: u32) -> u64 {
    (RECORD_HEADER_SIZE + padding(coded_size)) as u64 + u64::from(coded_size)
}

impl Record {
    /// The header's bytes as record `number` of a frame.
    pub fn encode(&self, number: u64) -> [u8; RECORD_HEADER_SIZE] {
        let (kind, table_log, raw_size, coded_size, crc) = match *self {
            Self::Block(b) => (b.kind as u8, b.table_log, b.raw_size, b.coded_size, b.crc),
            Self::End { seal } => (END_MARK, 0, 0, 0, seal),
        };
        let mut bytes = [0; RECORD_HEADER_SIZE];
        bytes[0] = kind;
        bytes[1] = table_log;
        bytes[4..8].copy_from_slice(&raw_size.to_le_bytes());
        bytes[8..12].copy_from_slice(&coded_size.to_le_bytes());
        bytes[12..].copy_from_slice(&crc.to_le_bytes());
        let check = check(number, &bytes);
        bytes[2..4].copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Parses record `number` of a frame.
    ///
    /// # Errors
    /// [`BlockFault::HeaderCheck`], [`BlockFault::Kind`], [`BlockFault::Size`] and, for the table log,
    /// [`BlockFault::Table`].
    pub fn parse(
        bytes: &[u8; RECORD_HEADER_SIZE],
        number: u64,
        frame: &FrameHeader,
    ) -> Result<Self, BlockFault> {
        if field_u16(bytes, 2) != check(number, bytes) {
            return Err(BlockFault::HeaderCheck);
        }
        let table_log = bytes[1];
        let raw_size = field_u32(bytes, 4);
        let coded_size = field_u32(bytes, 8);
        let crc = field_u32(bytes, 12);
        let kind = match bytes[0] {
            0 => BlockKind::Stored,
            1 => BlockKind::Single,
            2 if frame.pipeline != PipelineId(0) => BlockKind::Coded,
            END_MARK => {
                return match (table_log, raw_size, coded_size) {
                    (0, 0, 0) => Ok(Self::End { seal: crc }),
                    _ => Err(BlockFault::Size),
                };
            }
            _ => return Err(BlockFault::Kind),
        };
        let coded_size_fits = match kind {
            BlockKind::Stored => coded_size == raw_size,
            BlockKind::Single => coded_size == 1,
            BlockKind::Coded => 0 < coded_size && coded_size < raw_size,
        };
        if raw_size == 0 || raw_size > frame.block_size() || !coded_size_fits {
            return Err(BlockFault::Size);
        }
        let table_log_fits = match kind {
            BlockKind::Coded => frame.pipeline.takes_table_log(table_log),
            _ => table_log == 0,
        };
        if !table_log_fits {
            return Err(BlockFault::Table);
        }
        Ok(Self::Block(BlockHeader { kind, table_log, raw_size, coded_size, crc }))
    }
}

/// The check bits: they cover the number, so that a block that was moved, doubled or lost is noticed.
fn check(number: u64, bytes: &[u8; RECORD_HEADER_SIZE]) -> u16 {
    let mut unchecked = *bytes;
    unchecked[2..4].fill(0);
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &unchecked) as u16
}
