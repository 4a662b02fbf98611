//! Twin of `kernels/histogram.comp`.

use super::push;
use crate::kernel::generated::{EncodeBlock, HistogramPush};

/// Bytes a chunk at most.
const CHUNK_BYTES: usize = 256 << 10;

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let HistogramPush { chunks } = push(bytes);
    let [blocks, pieces, raw, histograms] = buffers else { panic!("four buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let raw: &[u8] = bytemuck::cast_slice(raw);
    for ((chunk, &number), counts) in (0..chunks).zip(pieces.iter()).zip(histograms.chunks_mut(256))
    {
        let block = &blocks[number as usize];
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let own = raw.chunks(CHUNK_BYTES).nth((chunk - block.chunk) as usize);
        counts.fill(0);
        own.into_iter().flatten().for_each(|&byte| counts[usize::from(byte)] += 1);
    }
}
