//! Twin of `kernels/layout.comp`.

use super::push;
use crate::{
    format::BlockKind,
    kernel::generated::{EncodeBlock, EncodeInfo, EncodeResult, LayoutPush},
};

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let LayoutPush { block_count, segment_log } = push(bytes);
    let [blocks, infos, counts, places, results] = buffers else { panic!("five buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let infos: &[EncodeInfo] = bytemuck::cast_slice(infos);
    let results: &mut [EncodeResult] = bytemuck::cast_slice_mut(results);
    let mut next = 0;
    for number in 0..block_count as usize {
        let (block, info) = (&blocks[number], &infos[number]);
        let segments = block.raw_size.div_ceil(1 << segment_log);
        let own = block.segment as usize..(block.segment + segments) as usize;
        results[number] = if info.kind == BlockKind::Coded as u32 {
            let head = segments + info.table_size / 2;
            let words: u32 = head + counts[own.clone()].iter().map(|count| 64 + count).sum::<u32>();
            if 2 * words < block.raw_size {
                let mut at = 2 * next + head;
                for (place, count) in places[own.clone()].iter_mut().zip(&counts[own]) {
                    *place = at;
                    at += 64 + count;
                }
                let payload = next;
                next += words.div_ceil(2);
                EncodeResult {
                    kind: info.kind,
                    table_log: info.table_log,
                    coded_size: 2 * words,
                    payload,
                }
            } else {
                let kind = BlockKind::Stored as u32;
                EncodeResult { kind, table_log: 0, coded_size: block.raw_size, payload: 0 }
            }
        } else {
            EncodeResult { kind: info.kind, table_log: 0, coded_size: 1, payload: 0 }
        };
    }
}
