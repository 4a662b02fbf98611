//! Twin of `kernels/histogram.comp`.

use super::push;
use crate::kernel::generated::{EncodeBlock, HistogramPush};

/// Bytes a chunk at most: 64 invocations count 252 each.
const CHUNK_BYTES: u32 = 64 * 252;

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let HistogramPush { chunks } = push(bytes);
    let [blocks, pieces, raw, histograms] = buffers else { panic!("four buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let raw: &[u8] = bytemuck::cast_slice(raw);
    for ((chunk, &number), counts) in (0..chunks).zip(pieces.iter()).zip(histograms.chunks_mut(256))
    {
        let block = &blocks[number as usize];
        let share = 256 * block.raw_size.div_ceil(CHUNK_BYTES);
        let length = block.raw_size.div_ceil(share) as usize * 256;
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        counts.fill(0);
        if let Some(own) = raw.chunks(length).nth((chunk - block.chunk) as usize) {
            own.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        }
    }
}
