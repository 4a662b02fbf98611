//! Encoding a batch: histogram, normalise and lengths, encode with each coder that it has.

use std::ops::Range;

use super::{MAX_BLOCKS, MAX_RAW_BYTES, NO_PUSH, TABLE_LOG_ID, check_limits, dispatch, words};
use crate::{
    block::Coder,
    coder::fse,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodePush, EncodeResult, GatherPush, HistogramPush},
        recording::{BufferDesc, BufferId, Recording, Role},
    },
};

/// Bytes of a chunk, which a workgroup of the kernel `histogram` counts at a time.
const CHUNK_BYTES: u32 = 256 << 10;
/// Words (32 bits) that a block's serialised table may take.
pub(crate) const TABLE_WORDS: usize = 132;

/// A block to encode.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RawBlock {
    /// Bytes, 1 to 1 MiB.
    pub raw_size: u32,
    /// How to code it.
    pub coder: Coder,
    /// Forced table log, one of [`Coder::table_logs`], or `None` for the rules of `docs/DECISIONS.md`.
    pub table_log: Option<u8>,
}

/// How to encode a batch.
///
/// The host uploads [`blocks`](Self::blocks) to [`BLOCKS`](Self::BLOCKS), [`pieces`](Self::pieces) to
/// [`PIECES`](Self::PIECES) and the raw bytes of each block to its range of [`RAW`](Self::RAW), runs the recording,
/// and finds an [`EncodeResult`] a block in [`RESULTS`](Self::RESULTS). A coded block's payload lies in
/// [`PAYLOAD`](Self::PAYLOAD) from word `payload` on, which is the block's own `payload`. A
/// single value's payload is its first raw byte, a stored block's is the block.
///
/// A [gathered](Self::gathered) plan brings the payloads together behind that, for a host that is to get them over a link.
#[derive(Clone, PartialEq, Debug)]
pub struct EncodePlan {
    /// What to run.
    pub recording: Recording,
    /// The content of `BLOCKS`.
    pub blocks: Vec<EncodeBlock>,
    /// The content of `PIECES`.
    pub pieces: Vec<u32>,
    /// The payloads are brought together.
    pub gathers: bool,
}

impl EncodePlan {
    /// Upload: an [`EncodeBlock`] a block.
    pub const BLOCKS: BufferId = BufferId(0);
    /// Upload: the block's number for each histogram chunk.
    pub const PIECES: BufferId = BufferId(1);
    /// Upload: the raw bytes, each block from a multiple of 4 bytes.
    pub const RAW: BufferId = BufferId(2);
    /// Device: 256 counts a chunk.
    pub const HISTOGRAMS: BufferId = BufferId(3);
    /// Device: an [`EncodeInfo`] a block.
    pub const INFOS: BufferId = BufferId(4);
    /// Device: the serialised tables.
    pub const TABLES: BufferId = BufferId(5);
    /// Device: the encoder's tables.
    pub const ENTRIES: BufferId = BufferId(6);
    /// Device: how often each byte value occurs in each segment.
    pub const COUNTS: BufferId = BufferId(7);
    /// Download, or Device if the plan gathers: an [`EncodeResult`] a block.
    pub const RESULTS: BufferId = BufferId(8);
    /// Download, or Device if the plan gathers: the payloads of coded blocks.
    pub const PAYLOAD: BufferId = BufferId(9);
    /// Report: of a plan that gathers the results, with the words of `GATHERED` from which on the payloads lie.
    pub const REPORTS: BufferId = BufferId(10);
    /// Download: of a plan that gathers the payloads of coded blocks in the order of the blocks, each from the first multiple of 4 bytes
    /// behind the one before.
    pub const GATHERED: BufferId = BufferId(11);

    /// Plans a batch of blocks with segments of `2^segment_log` bytes.
    ///
    /// # Panics
    /// If the batch is empty, exceeds [`MAX_BLOCKS`] or 1 GiB, or if a block or the segment log is out of range.
    pub fn new(raw: &[RawBlock], segment_log: u8) -> Self {
        let raw_bytes = raw.iter().map(|block| block.raw_size as usize).sum();
        check_limits(raw.len(), raw_bytes, segment_log);
        let mut next = EncodeBlock::default();
        let mut blocks = Vec::with_capacity(raw.len());
        let mut pieces = Vec::new();
        for (&RawBlock { raw_size, coder, table_log }, number) in raw.iter().zip(0..) {
            assert!((1..=1 << 20).contains(&raw_size), "a block of {raw_size} bytes");
            assert!(
                table_log.is_none_or(|log| coder.table_logs().contains(&log)),
                "{coder:?} with table log {table_log:?}"
            );
            next.payload += room_before(raw_size, segment_log);
            blocks.push(EncodeBlock {
                raw_size,
                coder: coder as u32,
                forced_log: table_log.map_or(0, u32::from),
                ..next
            });
            next.raw += raw_size.div_ceil(4);
            next.payload += raw_size.div_ceil(4);
            next.counts += raw_size.div_ceil(2 << segment_log) * COUNT_WORDS;
            next.chunk += raw_size.div_ceil(CHUNK_BYTES);
            pieces.resize(next.chunk as usize, number);
        }
        let recording =
            Recording { buffers: buffers(raw.len() as u64, &next), commands: Vec::new() };
        let mut plan = Self { recording, blocks, pieces, gathers: false };
        plan.record(&next, segment_log);
        plan
    }

    /// The same, with the payloads brought together: [`REPORTS`](Self::REPORTS) and [`GATHERED`](Self::GATHERED) have what the host wants.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn gathered(raw: &[RawBlock], segment_log: u8) -> Self {
        let mut plan = Self::new(raw, segment_log);
        let payload = plan.blocks.iter().map(|block| u64::from(block.raw_size.div_ceil(4))).sum();
        let blocks = plan.blocks.len() as u32;
        plan.gathers = true;
        gather(&mut plan.recording.buffers, blocks.into(), payload);
        dispatch(
            &mut plan.recording,
            "gather",
            GATHER_SHARES * blocks,
            &GatherPush { blocks },
            (&[], None),
            &[Self::RESULTS, Self::PAYLOAD, Self::REPORTS, Self::GATHERED],
        );
        plan
    }

    /// What the host reads the results from, and the payloads.
    pub(crate) fn outputs(&self) -> (BufferId, BufferId) {
        match self.gathers {
            true => (Self::REPORTS, Self::GATHERED),
            false => (Self::RESULTS, Self::PAYLOAD),
        }
    }

    /// Records the kernels; `total` holds what all blocks together take.
    fn record(&mut self, total: &EncodeBlock, segment_log: u8) {
        let block_count = self.blocks.len() as u32;
        let log = u32::from(segment_log);
        let segments = |coder: Coder| {
            let own = self.blocks.iter().filter(|block| block.coder == coder as u32);
            own.map(|block| block.raw_size.div_ceil(1 << log)).max()
        };
        let [rans, fse, huffman] = Coder::ALL.map(segments);
        let recording = &mut self.recording;
        dispatch(
            recording,
            "histogram",
            histogram_groups(total.chunk),
            &HistogramPush { chunks: total.chunk, segment_log: log },
            (&[], None),
            &[Self::BLOCKS, Self::PIECES, Self::RAW, Self::HISTOGRAMS, Self::COUNTS],
        );
        for (kernel, segments) in [("normalise", rans.or(fse)), ("lengths", huffman)] {
            if segments.is_some() {
                dispatch(
                    recording,
                    kernel,
                    block_count,
                    &NO_PUSH,
                    (&[], None),
                    &[Self::BLOCKS, Self::HISTOGRAMS, Self::INFOS, Self::TABLES, Self::ENTRIES],
                );
            }
        }
        // As in decoding, a table of a smaller log takes less shared memory.
        let own = self.blocks.iter().filter(|block| block.coder == Coder::Fse as u32);
        let most = own.fold(u32::from(fse::MOST_LOG), |log, block| log.max(block.forced_log));
        let fse_log = [(TABLE_LOG_ID, most)];
        for (kernel, spec, segments) in [
            ("encode_rans", &[][..], rans),
            ("encode_fse", &fse_log, fse),
            ("encode_huff", &[], huffman),
        ] {
            if segments.is_some() {
                dispatch(
                    recording,
                    kernel,
                    block_count,
                    &EncodePush { segment_log: log },
                    (spec, segments),
                    &[
                        Self::BLOCKS,
                        Self::RAW,
                        Self::INFOS,
                        Self::TABLES,
                        Self::ENTRIES,
                        Self::COUNTS,
                        Self::RESULTS,
                        Self::PAYLOAD,
                    ],
                );
            }
        }
    }

    /// Sizes of the buffers that serve every batch of at most so many blocks and raw bytes.
    pub fn capacity(blocks: usize, raw_bytes: usize) -> Vec<BufferDesc> {
        let (blocks, raw_bytes) =
            (blocks.min(MAX_BLOCKS) as u32, raw_bytes.min(MAX_RAW_BYTES) as u32);
        // A block has at most the room before it that its own bytes ask for, or a segment of 64 KiB.
        let before = (raw_bytes / 32).min(blocks << 11) + 65 * blocks;
        let total = EncodeBlock {
            raw: raw_bytes / 4 + blocks,
            raw_size: 0,
            payload: raw_bytes / 4 + blocks + before,
            counts: (raw_bytes / 8192 + blocks) * COUNT_WORDS,
            chunk: raw_bytes / CHUNK_BYTES + blocks,
            coder: 0,
            forced_log: 0,
        };
        buffers(blocks.into(), &total)
    }

    /// The same for plans that gather.
    pub fn gathered_capacity(blocks: usize, raw_bytes: usize) -> Vec<BufferDesc> {
        let mut buffers = Self::capacity(blocks, raw_bytes);
        let (blocks, raw_bytes) = (blocks.min(MAX_BLOCKS), raw_bytes.min(MAX_RAW_BYTES));
        gather(&mut buffers, blocks as u64, (raw_bytes / 4 + blocks) as u64);
        buffers
    }

    /// Where block `number`'s raw bytes go in `RAW`, in bytes.
    pub fn raw_range(&self, number: usize) -> Range<usize> {
        let block = &self.blocks[number];
        let start = 4 * block.raw as usize;
        start..start + block.raw_size as usize
    }
}

/// Words of two segments in [`EncodePlan::COUNTS`]: `COUNT_WORDS` of `kernels/shared/encode.glsl`.
pub(crate) const COUNT_WORDS: u32 = 256;
/// Words (32 bits) before a block's payload that kernels may overwrite: a segment that needs more than the room that it was given goes beyond
/// it, the first one beyond the payload. A symbol takes at most 1 bit more than it was charged (fse: its state rounds the cost up;
/// rans .09: a state is at least `f << (16 - K)` before it grows to `(x / f << K) + ...`, which is less than `(1 + 1/16) x (2^K / f)`). What
/// precedes the words is not written then.
fn room_before(raw_size: u32, segment_log: u8) -> u32 {
    raw_size.min(1 << segment_log) / 32 + 64
}

/// Workgroups for so many chunks. One clears its counters once, and takes the next chunk's bytes while it counts one's.
fn histogram_groups(chunks: u32) -> u32 {
    chunks.min(ENOUGH_GROUPS.max(chunks / 4))
}

/// Workgroups that keep any device busy.
const ENOUGH_GROUPS: u32 = 1536;

/// `SHARES` of `kernels/gather.comp`.
const GATHER_SHARES: u32 = 4;

/// Makes the buffers of a plan those of one that gathers so many words of payload.
fn gather(buffers: &mut Vec<BufferDesc>, blocks: u64, payload: u64) {
    for buffer in [EncodePlan::RESULTS, EncodePlan::PAYLOAD] {
        buffers[buffer.0 as usize].role = Role::Device;
    }
    let results = blocks * size_of::<EncodeResult>() as u64 / 4;
    buffers.push(words("reports", results, Role::Report));
    buffers.push(words("gathered", payload, Role::Download));
}

fn buffers(blocks: u64, total: &EncodeBlock) -> Vec<BufferDesc> {
    let structs = |size: usize| blocks * size as u64 / 4;
    let EncodeBlock { raw, payload, counts, chunk, .. } = *total;
    let [raw, payload, counts, chunk] = [raw, payload, counts, chunk].map(u64::from);
    vec![
        words("blocks", structs(size_of::<EncodeBlock>()), Role::Upload),
        words("pieces", chunk, Role::Upload),
        words("raw", raw, Role::Upload),
        words("histograms", 256 * chunk, Role::Device),
        words("infos", structs(size_of::<EncodeInfo>()), Role::Device),
        words("tables", TABLE_WORDS as u64 * blocks, Role::Device),
        words("entries", 512 * blocks, Role::Device),
        words("counts", counts, Role::Device),
        words("results", structs(size_of::<EncodeResult>()), Role::Download),
        words("payload", payload, Role::Download),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        block::Coder,
        kernel::{plan::max_raw_bytes, recording::Command},
    };

    #[test]
    fn capacity_serves_every_batch_within_it() {
        for (sizes, segment_log) in [
            (vec![1; 100], 12),
            (vec![262_144; 16], 14),
            (vec![4096; 200], 12),
            (vec![65, 262_144, 1, 4097, 16_129, 131_071], 12),
            (vec![1 << 20, 5, 1 << 20], 16),
        ] {
            let raw_bytes = sizes.iter().map(|&size| size as usize).sum();
            let block = |&raw_size| RawBlock { raw_size, coder: Coder::Rans, table_log: None };
            let blocks: Vec<_> = sizes.iter().map(block).collect();
            for (capacity, plan) in [
                (EncodePlan::capacity as fn(_, _) -> _, EncodePlan::new as fn(_, _) -> _),
                (EncodePlan::gathered_capacity, EncodePlan::gathered),
            ] {
                let (capacity, plan): (Vec<BufferDesc>, EncodePlan) =
                    (capacity(sizes.len(), raw_bytes), plan(&blocks, segment_log));
                assert_eq!(capacity.len(), plan.recording.buffers.len());
                for (limit, used) in capacity.iter().zip(&plan.recording.buffers) {
                    assert_eq!((limit.name, limit.role), (used.name, used.role));
                    assert!(used.size <= limit.size, "{used:?} is more than {limit:?}");
                }
            }
        }
        assert!(max_raw_bytes(128 << 20) >= 64 << 20);
    }

    #[test]
    fn cells_are_as_many_as_a_batch_may_need() {
        for (forced, most) in [([None, Some(10)], 11), ([None, Some(12)], 12)] {
            let block = |table_log| RawBlock { raw_size: 9000, coder: Coder::Fse, table_log };
            let plan = EncodePlan::new(&forced.map(block), 14);
            let found = plan.recording.commands.iter().any(|command| {
                let Command::Dispatch { kernel, spec, .. } = command else { return false };
                *kernel == "encode_fse" && *spec == [(TABLE_LOG_ID, most)]
            });
            assert!(found, "{forced:?}");
        }
    }
}
