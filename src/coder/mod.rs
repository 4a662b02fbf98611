//! Entropy coders on the CPU. [`Codec`] encodes and decodes whole blocks; below it lie the parts that kernels
//! share with it: [`table`], [`lanes`] and the scalar reference [`rans`].

pub mod histogram;
pub mod lanes;
pub mod normalize;
pub mod rans;
pub mod table;

pub use crate::block::{BlockParams, Encoded};
use crate::{
    error::{BlockFault, Error, Result},
    format::{BlockKind, MAX_SEGMENT_LOG, MAX_TABLE_LOG, MIN_SEGMENT_LOG, MIN_TABLE_LOG},
    options::Simd,
};
use histogram::histogram;
use rans::{DecodeTable, EncodeTable, stream_bound};
use table::Table;

/// Encodes and decodes blocks on one thread. It owns its scratch memory, so once warm it does not allocate.
#[derive(Debug)]
pub struct Codec {
    decode_table: DecodeTable,
    scratch: Vec<u8>,
}

impl Codec {
    /// A codec that uses the given instructions.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the processor lacks them.
    pub fn new(simd: Simd) -> Result<Self> {
        match simd {
            Simd::Auto | Simd::Scalar => {}
            _ => {
                return Err(Error::InvalidOption {
                    name: "simd",
                    reason: format!("this processor has no {simd:?}: use Auto"),
                });
            }
        }
        let flat = Table::from_counts(&[1; 256], MIN_TABLE_LOG);
        Ok(Self { decode_table: DecodeTable::new(&flat), scratch: Vec::new() })
    }

    /// Encodes a block of 1 byte to 1 MiB into `payload`, which is cleared first and left empty if the block is
    /// to be stored.
    ///
    /// # Panics
    /// If the block is larger than 1 MiB or the parameters are outside what [`BlockParams`] says.
    pub fn encode(&mut self, raw: &[u8], params: &BlockParams, payload: &mut Vec<u8>) -> Encoded {
        payload.clear();
        let stored = Encoded { kind: BlockKind::Stored, table_log: 0 };
        let Some(&first) = raw.first() else { return stored };
        let counts = histogram(raw);
        if counts[usize::from(first)] as usize == raw.len() {
            payload.push(first);
            return Encoded { kind: BlockKind::Single, table_log: 0 };
        }
        let table_log = params.table_log.unwrap_or_else(|| table::choose_log(&counts));
        let table = Table::from_counts(&counts, table_log);
        self.encode_segments(raw, 1 << params.segment_log, &table, payload);
        if payload.is_empty() { stored } else { Encoded { kind: BlockKind::Coded, table_log } }
    }

    /// Fills `payload`, or leaves it empty if it would not be smaller than the block.
    fn encode_segments(
        &mut self,
        raw: &[u8],
        segment: usize,
        table: &Table,
        payload: &mut Vec<u8>,
    ) {
        payload.resize(2 * raw.len().div_ceil(segment), 0);
        table.write(payload);
        let table = EncodeTable::new(table);
        let bound = stream_bound(segment.min(raw.len()));
        if self.scratch.len() < bound {
            self.scratch.resize(bound, 0);
        }
        for (number, segment) in raw.chunks(segment).enumerate() {
            let start = rans::encode_segment(&table, segment, &mut self.scratch);
            let stream = &self.scratch[start..];
            let words = ((stream.len() - lanes::STATE_BYTES) / 2) as u16;
            payload[2 * number..2 * number + 2].copy_from_slice(&words.to_le_bytes());
            if payload.len() + stream.len() >= raw.len() {
                return payload.clear();
            }
            payload.extend_from_slice(stream);
        }
    }

    /// Decodes a payload to exactly `raw`. The other parameters are the block's and frame's header fields.
    ///
    /// # Errors
    /// What is wrong with the payload. `raw` then holds nothing of use.
    pub fn decode(
        &mut self,
        payload: &[u8],
        kind: BlockKind,
        table_log: u8,
        segment_log: u8,
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        match (kind, payload) {
            (BlockKind::Stored, _) if payload.len() == raw.len() => raw.copy_from_slice(payload),
            (BlockKind::Single, &[value]) => raw.fill(value),
            (BlockKind::Coded, _) if payload.len() < raw.len() => {
                self.decode_segments(payload, table_log, segment_log, raw)?;
            }
            _ => return Err(BlockFault::Size),
        }
        Ok(())
    }

    fn decode_segments(
        &mut self,
        payload: &[u8],
        table_log: u8,
        segment_log: u8,
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        if !(MIN_SEGMENT_LOG..=MAX_SEGMENT_LOG).contains(&segment_log)
            || !(MIN_TABLE_LOG..=MAX_TABLE_LOG).contains(&table_log)
        {
            return Err(BlockFault::Size);
        }
        let segment = 1 << segment_log;
        let counts = 2 * raw.len().div_ceil(segment);
        let (counts, rest) = payload.split_at_checked(counts).ok_or(BlockFault::SegmentSizes)?;
        let (table, length) = Table::parse(rest, table_log)?;
        self.decode_table.fill(&table);
        let mut streams = &rest[length..];
        for (count, raw) in counts.chunks_exact(2).zip(raw.chunks_mut(segment)) {
            let words = usize::from(u16::from_le_bytes([count[0], count[1]]));
            let (stream, after) = streams
                .split_at_checked(lanes::STATE_BYTES + 2 * words)
                .ok_or(BlockFault::SegmentSizes)?;
            rans::decode_segment(&self.decode_table, stream, raw)?;
            streams = after;
        }
        if streams.is_empty() { Ok(()) } else { Err(BlockFault::SegmentSizes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_files_come_back() {
        let mut codec = Codec::new(Simd::Scalar).unwrap();
        let mut payload = Vec::new();
        for raw in [
            &include_bytes!("../../tests/data/alice29.txt")[..],
            include_bytes!("../../tests/data/ecoli.64k"),
            include_bytes!("../../tests/data/levitus_temp.96k"),
            &[7; 1000],
            b"x",
            b"xy",
        ] {
            for segment_log in 12..=16 {
                for table_log in [None, Some(8), Some(9), Some(10), Some(11), Some(12)] {
                    let params = BlockParams { segment_log, table_log };
                    let encoded = codec.encode(raw, &params, &mut payload);
                    let payload = if encoded.kind == BlockKind::Stored { raw } else { &payload };
                    let mut back = vec![0; raw.len()];
                    let done = codec.decode(
                        payload,
                        encoded.kind,
                        encoded.table_log,
                        segment_log,
                        &mut back,
                    );
                    assert_eq!(done, Ok(()));
                    assert!(back == raw);
                }
            }
        }
    }
}
