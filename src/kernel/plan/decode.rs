//! Decoding a batch: parse, then decode with each coder that it has.

use std::ops::Range;

use super::{MAX_BLOCKS, MAX_RAW_BYTES, check_limits, dispatch, words};
use crate::{
    block::Coder,
    format::MAX_SEGMENT_LOG,
    kernel::{
        generated::{DecodeBlock, DecodePush, ParsePush},
        recording::{BufferDesc, BufferId, Recording, Role},
    },
};

/// A block of kind coded, as its header describes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CodedBlock {
    /// How it is coded.
    pub coder: Coder,
    /// Bytes of its payload; less than `raw_size`.
    pub coded_size: u32,
    /// Bytes that it decodes to, 1 to 1 MiB.
    pub raw_size: u32,
    /// Its table log, one of [`Coder::table_logs`].
    pub table_log: u8,
}

/// How to decode a batch.
///
/// The host uploads [`blocks`](Self::blocks) to [`BLOCKS`](Self::BLOCKS) and each payload to its range of
/// [`PAYLOAD`](Self::PAYLOAD), runs the recording, and finds a status word a block in [`STATUS`](Self::STATUS): 0, or
/// the discriminant of a [`BlockFault`](crate::BlockFault). The raw bytes of blocks without a fault are at their
/// ranges of [`RAW`](Self::RAW).
#[derive(Clone, PartialEq, Debug)]
pub struct DecodePlan {
    /// What to run.
    pub recording: Recording,
    /// The content of `BLOCKS`.
    pub blocks: Vec<DecodeBlock>,
}

impl DecodePlan {
    /// Upload: a [`DecodeBlock`] a block.
    pub const BLOCKS: BufferId = BufferId(0);
    /// Upload: the payloads, each from a multiple of 4 bytes.
    pub const PAYLOAD: BufferId = BufferId(1);
    /// Device: 257 words a block, the symbols' first slots.
    pub const TABLES: BufferId = BufferId(2);
    /// Device: where segments begin.
    pub const STREAMS: BufferId = BufferId(3);
    /// Download: a status word a block.
    pub const STATUS: BufferId = BufferId(4);
    /// Download: the raw bytes, each block from a multiple of 4 bytes, zeros between blocks.
    pub const RAW: BufferId = BufferId(5);

    /// The most words of a [gap](Self::with_gaps): a record's header fits, and what aligns both sides of a copy.
    pub(crate) const MOST_GAP: u32 = 15;

    /// Plans a batch of blocks with segments of `2^segment_log` bytes.
    ///
    /// # Panics
    /// If the batch is empty, exceeds [`MAX_BLOCKS`] or 1 GiB, or if a block's header fields are not what
    /// [`CodedBlock`] says.
    pub fn new(coded: &[CodedBlock], segment_log: u8) -> Self {
        Self::with_gaps(coded, &[], segment_log)
    }

    /// The same with gaps before payloads, so many words each, at most [`MOST_GAP`](Self::MOST_GAP): a copy may then bring several payloads
    /// as they lie elsewhere. None is left before those that are not named.
    ///
    /// # Panics
    /// As [`new`](Self::new) does, or if a gap is larger.
    pub(crate) fn with_gaps(coded: &[CodedBlock], gaps: &[u32], segment_log: u8) -> Self {
        let raw_bytes: usize = coded.iter().map(|block| block.raw_size as usize).sum();
        check_limits(coded.len(), raw_bytes, segment_log);
        let mut next = DecodeBlock::default();
        let mut blocks = Vec::with_capacity(coded.len());
        let gaps = gaps.iter().copied().chain(std::iter::repeat(0));
        for (&CodedBlock { coder, coded_size, raw_size, table_log }, gap) in coded.iter().zip(gaps)
        {
            assert!(gap <= Self::MOST_GAP, "a gap of {gap} words");
            next.payload += gap;
            assert!(
                coded_size < raw_size && raw_size <= 1 << 20,
                "{coded_size} of {raw_size} bytes"
            );
            assert!(
                coder.table_logs().contains(&table_log),
                "{coder:?} with table log {table_log}"
            );
            blocks.push(DecodeBlock {
                coded_size,
                raw_size,
                table_log: table_log.into(),
                coder: coder as u32,
                ..next
            });
            next.payload += coded_size.div_ceil(4);
            next.raw += raw_size.div_ceil(4);
            next.streams += raw_size.div_ceil(1 << segment_log) + 1;
        }

        let count = coded.len() as u32;
        let mut recording = Recording {
            buffers: buffers(
                coded.len(),
                u64::from(next.payload) + slack(segment_log),
                next.streams.into(),
                next.raw.into(),
            ),
            commands: Vec::new(),
        };
        let segment_log = segment_log.into();
        dispatch(
            &mut recording,
            "parse",
            count,
            &ParsePush { segment_log },
            (&[], None),
            &[Self::BLOCKS, Self::PAYLOAD, Self::TABLES, Self::STREAMS, Self::STATUS],
        );
        for coder in Coder::ALL {
            let own = || coded.iter().filter(|block| block.coder == coder);
            let Some(largest) = own().map(|block| block.raw_size).max() else { continue };
            // A table of log 11 takes half the shared memory, so twice as many workgroups run at once.
            let max_log = own().fold(11, |log, block| log.max(block.table_log));
            let segments = largest.div_ceil(1 << segment_log);
            let mut spec = vec![(TABLE_LOG_ID, max_log.into())];
            if coder == Coder::Rans {
                spec.push((UNIT_ID, 2));
                spec.extend(is_compact(max_log, segments).then_some((COMPACT_ID, 1)));
            }
            dispatch(
                &mut recording,
                match coder {
                    Coder::Rans => "decode_rans",
                    Coder::Fse => "decode_fse",
                    Coder::Huffman => "decode_huff",
                },
                count,
                &DecodePush { segment_log },
                (&spec, Some(segments)),
                &[
                    Self::BLOCKS,
                    Self::PAYLOAD,
                    Self::TABLES,
                    Self::STREAMS,
                    Self::STATUS,
                    Self::RAW,
                ],
            );
        }
        Self { recording, blocks }
    }

    /// Sizes of the buffers that serve every batch of at most so many blocks and raw bytes.
    pub fn capacity(blocks: usize, raw_bytes: usize) -> Vec<BufferDesc> {
        let (blocks, raw_bytes) = (blocks.min(MAX_BLOCKS), raw_bytes.min(MAX_RAW_BYTES));
        let bytes = (raw_bytes / 4 + blocks) as u64;
        let gaps = u64::from(Self::MOST_GAP) * blocks as u64;
        let payload = bytes + gaps + slack(MAX_SEGMENT_LOG);
        buffers(blocks, payload, (raw_bytes / 4096 + 2 * blocks) as u64, bytes)
    }

    /// Where block `number`'s payload goes in `PAYLOAD`, in bytes.
    pub fn payload_range(&self, number: usize) -> Range<usize> {
        let block = &self.blocks[number];
        let start = 4 * block.payload as usize;
        start..start + block.coded_size as usize
    }

    /// Where block `number`'s raw bytes are in `RAW`, in bytes.
    pub fn raw_range(&self, number: usize) -> Range<usize> {
        let block = &self.blocks[number];
        let start = 4 * block.raw as usize;
        start..start + block.raw_size as usize
    }
}

/// Words of a block in [`DecodePlan::TABLES`]: `RUNS` of `kernels/shared/decode.glsl`.
pub(crate) const RUNS: usize = 257;

/// Words behind the last payload: while they decode whole tiles, kernels do not look whether a stream has ended, and they load
/// ahead of time.
fn slack(segment_log: u8) -> u64 {
    (2 << segment_log) / 4 + 256
}

/// The specialisation constant that is the largest table log of a batch.
pub(crate) const TABLE_LOG_ID: u32 = 1;
/// The one that makes tables compact: by far less shared memory for a look-up more. Only a device that gains by it gets it.
pub(crate) const COMPACT_ID: u32 = 2;
/// The one that is what words of rans are counted in: 2 for bytes. Only a device that was seen to gain by it gets it, and software devices.
pub(crate) const UNIT_ID: u32 = 3;
/// Bytes of a table for each subgroup that shares it from which on compact ones are faster, as measured
/// (docs/DECISIONS.md, "Compact tables").
const SHARE: u32 = 576;

/// Whether tables of this log would leave a multiprocessor too few workgroups that decode so many segments at once.
fn is_compact(table_log: u8, segments: u32) -> bool {
    // A workgroup has at most 16 groups of 32 lanes, and a power of two of them.
    4 << table_log > segments.next_power_of_two().min(16) * SHARE
}

fn buffers(blocks: usize, payload: u64, streams: u64, raw: u64) -> Vec<BufferDesc> {
    let count = blocks as u64;
    vec![
        words("blocks", count * size_of::<DecodeBlock>() as u64 / 4, Role::Upload),
        words("payload", payload, Role::Upload),
        words("tables", RUNS as u64 * count, Role::Device),
        words("streams", streams, Role::Device),
        words("status", count, Role::Download),
        words("raw", raw, Role::Download),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::recording::Command;

    #[test]
    fn tables_are_compact_where_a_few_subgroups_share_a_large_one() {
        let compact = |coder, table_log, raw_size| {
            let block = CodedBlock { coder, coded_size: raw_size - 1, raw_size, table_log };
            let plan = DecodePlan::new(&[block], 14);
            let spec = plan.recording.commands.iter().find_map(|command| match command {
                Command::Dispatch { kernel, spec, .. } if kernel.starts_with("decode") => {
                    Some(spec)
                }
                _ => None,
            });
            spec.expect("it is decoded").contains(&(COMPACT_ID, 1))
        };
        let rans = |table_log, raw_size| compact(Coder::Rans, table_log, raw_size);
        assert!(rans(12, 256 << 10) && rans(12, 1 << 20), "two workgroups where four would fit");
        assert!(rans(11, 64 << 10) && rans(11, 128 << 10) && !rans(11, 256 << 10));
        // As many as a workgroup of the same size would have.
        assert!(!rans(11, (9 * 16) << 10));
        assert!(!compact(Coder::Fse, 12, 64 << 10) && !compact(Coder::Huffman, 11, 64 << 10));
    }

    #[test]
    fn only_rans_is_told_to_count_in_bytes() {
        for coder in Coder::ALL {
            let block = CodedBlock { coder, coded_size: 4000, raw_size: 5000, table_log: 11 };
            let plan = DecodePlan::new(&[block], 14);
            let told = plan.recording.commands.iter().any(|command| {
                let Command::Dispatch { spec, .. } = command else { return false };
                spec.contains(&(UNIT_ID, 2))
            });
            assert_eq!(told, coder == Coder::Rans, "{coder:?}");
        }
    }

    #[test]
    fn capacity_serves_every_batch_within_it() {
        for (sizes, segment_log) in [
            (vec![4096; 200], 12),
            (vec![262_144; 16], 14),
            (vec![65, 262_144, 4097, 16_129, 131_071], 12),
            (vec![1 << 20, 5, 1 << 20], 16),
        ] {
            let raw_bytes = sizes.iter().map(|&size| size as usize).sum();
            let capacity = DecodePlan::capacity(sizes.len(), raw_bytes);
            let (coder, table_log) = (Coder::Rans, 11);
            let block =
                |&raw_size| CodedBlock { coder, coded_size: raw_size - 1, raw_size, table_log };
            let blocks = sizes.iter().map(block).collect::<Vec<_>>();
            let gaps = vec![DecodePlan::MOST_GAP; blocks.len()];
            let plan = DecodePlan::with_gaps(&blocks, &gaps, segment_log);
            for (limit, used) in capacity.iter().zip(&plan.recording.buffers) {
                assert_eq!((limit.name, limit.role), (used.name, used.role));
                assert!(used.size <= limit.size, "{used:?} is more than {limit:?}");
            }
            // 32 words of 32 bits for two symbols of each lane, or of 16 for one, and what is loaded ahead.
            let most = 2_u64 << segment_log;
            let last = plan.payload_range(sizes.len() - 1).end as u64;
            let payload = plan.recording.buffers[DecodePlan::PAYLOAD.0 as usize].size;
            assert!(payload >= last + most + 1024, "{payload} bytes for {last}");
        }
    }
}
