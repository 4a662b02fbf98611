//! Twin of `kernels/pack.comp`.

use super::{half, push};
use crate::{
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodeResult, PackPush},
        plan::{TABLE_WORDS, stream_space},
    },
};

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let PackPush { segment_log, .. } = push(bytes);
    let [blocks, _, infos, tables, counts, scratch, places, results, payload] = buffers else {
        panic!("nine buffers")
    };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let infos: &[EncodeInfo] = bytemuck::cast_slice(infos);
    let results: &[EncodeResult] = bytemuck::cast_slice(results);
    for (number, (block, result)) in blocks.iter().zip(results).enumerate() {
        if result.kind != BlockKind::Coded as u32 {
            continue;
        }
        let segment = 1 << segment_log;
        let segments = block.raw_size.div_ceil(segment);
        let own = block.segment as usize..(block.segment + segments) as usize;
        let mut halves: Vec<u32> = counts[own.clone()].to_vec();
        let table = &tables[TABLE_WORDS * number..][..TABLE_WORDS];
        halves.extend((0..infos[number].table_size / 2).map(|i| half(table, i)));
        let mut end = 2 * block.scratch;
        for ((&count, &place), index) in counts[own.clone()].iter().zip(&places[own]).zip(0..) {
            assert_eq!(place, 2 * result.payload + halves.len() as u32, "layout and pack disagree");
            end += stream_space(segment.min(block.raw_size - index * segment));
            halves.extend((end - 64 - count..end).map(|i| half(scratch, i)));
        }
        for (word, pair) in payload[result.payload as usize..].iter_mut().zip(halves.chunks(2)) {
            *word = pair[0] | pair.get(1).copied().unwrap_or(0) << 16;
        }
    }
}
