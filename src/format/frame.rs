//! A frame from its header to its footer: what a writer counts and a reader checks on the way, in constant
//! memory.

use crate::{
    error::{Error, FrameFault, Result},
    format::{
        BlockHeader, Footer, FrameHeader, IndexEntry, MOST_PADDING, RECORD_HEADER_SIZE, Record,
        record_size,
    },
};

/// Sums over the blocks of a frame so far. Writers and readers keep the same.
#[derive(Clone, Debug)]
struct Totals {
    blocks: u64,
    raw_bytes: u64,
    /// Bytes from the frame's first through the last block's padding.
    coded_bytes: u64,
    /// CRC-32C of the block headers.
    seal: u32,
    /// CRC-32C of the index.
    index: u32,
}

impl Totals {
    fn new() -> Self {
        let coded_bytes = FrameHeader::SIZE as u64;
        Self { blocks: 0, raw_bytes: 0, coded_bytes, seal: 0, index: 0 }
    }

    fn add(&mut self, block: &BlockHeader, bytes: &[u8; RECORD_HEADER_SIZE]) {
        self.blocks += 1;
        self.raw_bytes += u64::from(block.raw_size);
        self.coded_bytes += record_size(block.coded_size);
        self.seal = crc32c::crc32c_append(self.seal, bytes);
        self.index = crc32c::crc32c_append(self.index, &entry(block).encode());
    }

    fn footer(&self, indexed: bool) -> Footer {
        let (size, crc) = match indexed {
            true => (self.blocks * IndexEntry::SIZE as u64, self.index),
            false => (0, 0),
        };
        let frame_size = self.coded_bytes + size + (RECORD_HEADER_SIZE + Footer::SIZE) as u64;
        Footer::new(self.blocks, self.raw_bytes, frame_size, crc)
    }
}

/// The index entry of a block.
pub(crate) fn entry(block: &BlockHeader) -> IndexEntry {
    IndexEntry { raw_size: block.raw_size, coded_size: block.coded_size }
}

/// The most bytes of a frame of this header whose content has `raw_bytes`, in full blocks but for the last one; `None` if it
/// is too large a number.
pub(crate) fn frame_bound(header: &FrameHeader, raw_bytes: u64) -> Option<u64> {
    let index = if header.indexed { IndexEntry::SIZE } else { 0 };
    // No payload is larger than its block.
    let blocks = raw_bytes.div_ceil(header.block_size().into());
    let most = (RECORD_HEADER_SIZE + MOST_PADDING + index) as u64;
    let rest = FrameHeader::SIZE + RECORD_HEADER_SIZE + Footer::SIZE;
    blocks.checked_mul(most)?.checked_add(rest as u64)?.checked_add(raw_bytes)
}

/// The writing side.
#[derive(Clone, Debug)]
pub(crate) struct FrameWriter {
    totals: Totals,
}

impl FrameWriter {
    pub fn new() -> Self {
        Self { totals: Totals::new() }
    }

    /// Counts the next block and returns its header's bytes.
    pub fn block(&mut self, block: &BlockHeader) -> [u8; RECORD_HEADER_SIZE] {
        let bytes = Record::Block(*block).encode(self.totals.blocks);
        self.totals.add(block, &bytes);
        bytes
    }

    pub fn end_mark(&self) -> [u8; RECORD_HEADER_SIZE] {
        Record::End { seal: self.totals.seal }.encode(self.totals.blocks)
    }

    pub fn footer(&self, indexed: bool) -> [u8; Footer::SIZE] {
        self.totals.footer(indexed).encode()
    }
}

/// The reading side: fed with the structures of a frame in order, it verifies each.
#[derive(Clone, Debug)]
pub(crate) struct FrameReader {
    /// Position of the frame in the input.
    start: u64,
    header: FrameHeader,
    totals: Totals,
    /// CRC-32C of the index as read.
    index_read: u32,
}

impl FrameReader {
    /// A frame whose header was read at `start`.
    pub fn new(start: u64, header: FrameHeader) -> Self {
        Self { start, header, totals: Totals::new(), index_read: 0 }
    }

    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Blocks so far: the number of the next one.
    pub fn blocks(&self) -> u64 {
        self.totals.blocks
    }

    /// Position in the input of the next record, while there are records.
    pub fn position(&self) -> u64 {
        self.start.saturating_add(self.totals.coded_bytes)
    }

    /// The next block's header; `None` for the end mark.
    pub fn record(&mut self, bytes: &[u8; RECORD_HEADER_SIZE]) -> Result<Option<BlockHeader>> {
        let offset = self.position();
        let corrupt = |reason| Error::CorruptFrame { offset, reason };
        match Record::parse(bytes, self.totals.blocks, &self.header) {
            Ok(Record::Block(block)) => {
                self.totals.add(&block, bytes);
                match self.header.content_size {
                    Some(size) if self.totals.raw_bytes > size => {
                        Err(corrupt(FrameFault::ContentSize))
                    }
                    _ => Ok(Some(block)),
                }
            }
            Ok(Record::End { seal }) if seal != self.totals.seal => Err(corrupt(FrameFault::Seal)),
            Ok(Record::End { .. }) => match self.header.content_size {
                Some(size) if self.totals.raw_bytes != size => {
                    Err(corrupt(FrameFault::ContentSize))
                }
                _ => Ok(None),
            },
            Err(reason) => Err(Error::CorruptBlock { block: self.totals.blocks, offset, reason }),
        }
    }

    /// Bytes of index that follow the end mark.
    pub fn index_size(&self) -> u64 {
        if self.header.indexed { self.totals.blocks * IndexEntry::SIZE as u64 } else { 0 }
    }

    /// The next bytes of the index.
    pub fn index(&mut self, bytes: &[u8]) {
        self.index_read = crc32c::crc32c_append(self.index_read, bytes);
    }

    /// The footer, which is compared with all that came before.
    pub fn footer(&self, bytes: &[u8; Footer::SIZE]) -> Result<()> {
        let index_offset = self.position().saturating_add(RECORD_HEADER_SIZE as u64);
        if self.header.indexed && self.index_read != self.totals.index {
            return Err(Error::CorruptFrame { offset: index_offset, reason: FrameFault::Index });
        }
        let expected = self.totals.footer(self.header.indexed);
        if *bytes != expected.encode() {
            let offset = index_offset.saturating_add(self.index_size());
            let reason = match Footer::parse(bytes) {
                Some(found) if found.content_size != expected.content_size => {
                    FrameFault::ContentSize
                }
                _ => FrameFault::End,
            };
            return Err(Error::CorruptFrame { offset, reason });
        }
        Ok(())
    }
}
