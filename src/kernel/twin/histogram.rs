//! Twin of `kernels/histogram.comp`.

use super::push;
use crate::{
    coder::histogram::histogram,
    kernel::{
        generated::{EncodeBlock, HistogramPush},
        plan::COUNT_WORDS,
    },
};

/// Bytes a chunk at most.
const CHUNK_BYTES: usize = 256 << 10;

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let HistogramPush { chunks, segment_log } = push(bytes);
    let [blocks, pieces, raw, histograms, counts] = buffers else { panic!("five buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let raw: &[u8] = bytemuck::cast_slice(raw);
    for ((chunk, &number), all) in (0..chunks).zip(pieces.iter()).zip(histograms.chunks_mut(256)) {
        let block = &blocks[number as usize];
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let chunk = (chunk - block.chunk) as usize;
        let own = raw.chunks(CHUNK_BYTES).nth(chunk).unwrap_or_default();
        all.copy_from_slice(&histogram(own));
        let segments = own.chunks(1 << segment_log).enumerate();
        let first = (chunk * CHUNK_BYTES) >> segment_log;
        for (segment, raw) in segments.map(|(i, raw)| (first + i, raw)) {
            let words = &mut counts[block.counts as usize + segment / 2 * COUNT_WORDS as usize..];
            for (word, count) in words.iter_mut().zip(histogram(raw)) {
                let below = if segment.is_multiple_of(2) { 0 } else { *word & 0xffff };
                *word = below | count.min(0xffff) << (16 * (segment % 2));
            }
        }
    }
}
