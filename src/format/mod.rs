//! The frame format as pure bytes: no I/O, no allocation that the input controls. `docs/FORMAT.md` is its
//! specification.

use std::ops::RangeInclusive;

use crate::block::Coder;

mod footer;
mod frame;
mod header;
mod record;
mod skippable;
#[cfg(test)]
mod tests;

pub use footer::{FOOTER_MAGIC, Footer, IndexEntry};
pub(crate) use frame::{FrameReader, FrameWriter, entry, frame_bound};
pub use header::{FrameHeader, MAGIC, VERSION};
pub(crate) use record::MOST_PADDING;
pub use record::{BlockHeader, RECORD_HEADER_SIZE, Record, padding, record_size};
pub use skippable::{SKIPPABLE_MAGIC, SkippableHeader};

/// Smallest block: 4 KiB.
pub const MIN_BLOCK_LOG: u8 = 12;
/// Largest block: 4 MiB.
pub const MAX_BLOCK_LOG: u8 = 22;
/// Largest block of a pipeline without a model, and largest part of one with a model: 1 MiB.
pub const MAX_PART_LOG: u8 = 20;
/// Smallest segment: 4 KiB.
pub const MIN_SEGMENT_LOG: u8 = 12;
/// Largest segment: 64 KiB.
pub const MAX_SEGMENT_LOG: u8 = 16;
/// Smallest table of rANS: 256 slots.
pub const MIN_TABLE_LOG: u8 = 8;
/// Largest table of any coder: 4096 slots.
pub const MAX_TABLE_LOG: u8 = 12;

/// The pipeline byte of a frame header, as read: it may name a pipeline that this build does not have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PipelineId(pub u8);

impl PipelineId {
    /// The pipeline's name in the format's table, if the format defines it.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 10] =
            ["stored", "rans", "fse", "huff", "lzr", "lzf", "lzh", "lzseqr", "lzseqf", "deflate"];
        NAMES.get(usize::from(self.0)).copied()
    }

    /// Exponent of the largest block. A pipeline that this build does not have may have a model.
    pub(crate) fn max_block_log(self) -> u8 {
        if self.0 <= 3 { MAX_PART_LOG } else { MAX_BLOCK_LOG }
    }

    /// Whether the header of a coded block may hold this table log. Of a pipeline that this build does not have
    /// nothing is known.
    pub(crate) fn takes_table_log(self, log: u8) -> bool {
        match self.0 {
            0 => false,
            1..=3 => self.table_logs().contains(&log),
            4..=8 => log == 0,
            _ => true,
        }
    }

    /// The table logs of a pipeline that has one table a block.
    pub(crate) fn table_logs(self) -> RangeInclusive<u8> {
        match self.0 {
            1 => Coder::Rans.table_logs(),
            2 => Coder::Fse.table_logs(),
            3 => Coder::Huffman.table_logs(),
            _ => 0..=0,
        }
    }
}

impl std::fmt::Display for PipelineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name:?} (id {})", self.0),
            None => write!(f, "with the unknown id {}", self.0),
        }
    }
}

/// What a block record holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BlockKind {
    /// The raw bytes.
    Stored = 0,
    /// One byte value, repeated.
    Single = 1,
    /// Lane streams behind a table, or an LZ block's parts.
    Coded = 2,
}

fn field_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn field_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn field_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
