//! Data cut into blocks, and what the CPU makes of them.

use std::{collections::HashMap, ops::Range};

use anyhow::{Result, bail, ensure};
use ranvil::{
    Simd,
    coder::{self, BlockParams, Codec},
    format::BlockKind,
    kernel::plan::{MAX_BLOCKS, max_raw_bytes},
    testing,
};

use crate::case::{Case, Params};

/// The blocks of some data, again and again until there are enough, so that each need be coded but once by the CPU.
pub struct Blocks {
    data: Vec<u8>,
    /// Those that differ.
    distinct: Vec<Block>,
    /// Which of them each block is.
    order: Vec<usize>,
    pub params: BlockParams,
    /// An encoder is to bring the payloads together.
    pub gather: bool,
}

/// A block as the CPU codes it.
pub struct Block {
    range: Range<usize>,
    pub kind: BlockKind,
    pub table_log: u8,
    /// Empty if the block is stored.
    pub payload: Vec<u8>,
}

impl Blocks {
    /// As many as the case says, a batch takes, and buffers of `max_buffer` bytes hold.
    ///
    /// # Errors
    /// There is no data, or the coder has no such table log.
    pub fn new(case: &Case, data: &[u8], max_buffer: u64) -> Result<Self> {
        let Params { block, segment_log, table_log, size, gather, .. } = case.params;
        let coder = coder::Coder::from(case.coder);
        let logs = coder.table_logs();
        ensure!(!data.is_empty(), "there is no data");
        if let Some(log) = table_log.filter(|log| !logs.contains(log)) {
            bail!("{} has table logs {} to {}, not {log}", case.coder, logs.start(), logs.end());
        }
        let params = BlockParams { coder, segment_log, table_log };
        let block = block as usize;
        let size = (size as usize).min(max_raw_bytes(max_buffer));

        let mut codec = Codec::new(Simd::Auto)?;
        let (mut distinct, mut order) = (Vec::new(), Vec::new());
        let mut known = HashMap::new();
        let (mut left, mut start) = (size, 0);
        while left > 0 && order.len() < MAX_BLOCKS {
            let range = start..data.len().min(start + block.min(left));
            left -= range.len();
            start = if range.end == data.len() { 0 } else { range.end };
            let number = *known.entry(range.clone()).or_insert_with(|| {
                distinct.push(Block::new(&mut codec, data, range, &params));
                distinct.len() - 1
            });
            order.push(number);
        }
        Ok(Self { data: data.to_vec(), distinct, order, params, gather })
    }

    /// Each block's raw bytes and what the CPU made of them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Block)> {
        self.order.iter().map(|&number| {
            let block = &self.distinct[number];
            (&self.data[block.range.clone()], block)
        })
    }

    /// Those that have a payload of a coder.
    pub fn coded(&self) -> impl Iterator<Item = (&[u8], &Block)> {
        self.iter().filter(|(_, block)| block.kind == BlockKind::Coded)
    }

    pub fn raw_bytes(&self) -> u64 {
        self.iter().map(|(raw, _)| raw.len() as u64).sum()
    }

    /// Bytes of all payloads.
    pub fn coded_bytes(&self) -> u64 {
        let size = |(raw, block): (&[u8], &Block)| match block.kind {
            BlockKind::Stored => raw.len() as u64,
            _ => block.payload.len() as u64,
        };
        self.iter().map(size).sum()
    }

    /// CRC-32C of all raw bytes.
    pub fn crc32c(&self) -> u32 {
        self.iter().fold(0, |crc, (raw, _)| crc32c::crc32c_append(crc, raw))
    }

    /// CRC-32C of what the CPU made of all blocks: of each the kind, the table log and the payload.
    pub fn encoded_crc32c(&self) -> u32 {
        self.iter().fold(0, |crc, (_, block)| {
            let crc = crc32c::crc32c_append(crc, &[block.kind as u8, block.table_log]);
            crc32c::crc32c_append(crc, &block.payload)
        })
    }

    /// As the accelerator takes them.
    pub fn to_decode(&self) -> Vec<testing::CodedBlock> {
        let block = |(raw, block): (&[u8], &Block)| testing::CodedBlock {
            coder: self.params.coder,
            kind: block.kind,
            table_log: block.table_log,
            segment_log: self.params.segment_log,
            raw_size: raw.len() as u32,
            payload: match block.kind {
                BlockKind::Stored => raw.to_vec(),
                _ => block.payload.clone(),
            },
        };
        self.iter().map(block).collect()
    }
}

impl Block {
    fn new(codec: &mut Codec, data: &[u8], range: Range<usize>, params: &BlockParams) -> Self {
        let mut payload = Vec::new();
        let encoded = codec.encode(&data[range.clone()], params, &mut payload);
        Self { range, kind: encoded.kind, table_log: encoded.table_log, payload }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_repeat_until_there_are_enough() {
        let data: Vec<u8> = (0..10_000_u32).map(|i| ((i * i) >> 7) as u8 & 31).collect();
        let mut case = Case::default();
        (case.params.block, case.params.size) = (4096, 25_000);
        let blocks = Blocks::new(&case, &data, 1 << 27).unwrap();
        let raw: Vec<u8> = blocks.iter().flat_map(|(raw, _)| raw.to_vec()).collect();
        let expected: Vec<u8> = data.iter().cycle().take(25_000).copied().collect();
        assert!(raw == expected);
        assert_eq!(blocks.raw_bytes(), 25_000);
        assert_eq!(blocks.crc32c(), crc32c::crc32c(&expected));
        assert_eq!(blocks.distinct.len(), 4, "three of the data, and a last one cut short");
        assert!(blocks.coded_bytes() < 25_000);
    }
}
