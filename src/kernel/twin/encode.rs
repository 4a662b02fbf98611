//! Twin of `kernels/encode.comp`, with the entries that normalise made.

use super::{push, symbols};
use crate::{
    coder::{
        Coder,
        lanes::{LANES, body_len, seeded_states},
    },
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodePush},
        plan::stream_space,
    },
};

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let EncodePush { segment_log } = push(bytes);
    let [blocks, raw, infos, entries, counts, scratch] = buffers else { panic!("six buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let infos: &[EncodeInfo] = bytemuck::cast_slice(infos);
    let raw: &[u8] = bytemuck::cast_slice(raw);
    for ((block, info), entries) in blocks.iter().zip(infos).zip(entries.chunks(512)) {
        if info.kind != BlockKind::Coded as u32 {
            continue;
        }
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let mut end = block.scratch as usize;
        for (raw, count) in raw.chunks(1 << segment_log).zip(&mut counts[block.segment as usize..])
        {
            let mut stream = segment(raw, entries, info.table_log);
            *count = stream.len() as u32 - 2 * LANES as u32;
            // The kernel writes 64 words at a time, from the end of the segment's space.
            stream.resize(stream.len().next_multiple_of(64), 0);
            end += stream_space(raw.len() as u32) as usize / 2;
            let space = &mut scratch[end - stream.len() / 2..end];
            for (word, pair) in space.iter_mut().rev().zip(stream.chunks(2)) {
                *word = u32::from(pair[1]) | u32::from(pair[0]) << 16;
            }
        }
    }
}

/// The words of a segment, initial states included, last one first.
fn segment(raw: &[u8], entries: &[u32], table_log: u32) -> Vec<u16> {
    let (body, seed) = raw.split_at(body_len(raw.len()));
    let mut states = seeded_states(Coder::Rans, seed);
    let mut words = Vec::with_capacity(raw.len());
    for (lane, position) in symbols(body.len()).rev() {
        let at = 2 * usize::from(body[position]);
        let (m, fields) = (entries[at], entries[at + 1]);
        let (f, cum, s, a) = (fields >> 20, fields >> 8 & 0xfff, fields >> 4 & 15, fields & 1);
        let mut x = states[lane];
        if x >> (32 - table_log) >= f {
            words.push(x as u16);
            x >>= 16;
        }
        let quotient = ((u64::from(x + a) * u64::from(m)) >> 32) as u32 >> s;
        states[lane] = x + cum + quotient * ((1 << table_log) - f);
    }
    for state in states.iter().rev() {
        words.extend([(state >> 16) as u16, *state as u16]);
    }
    words
}
