//! Twin of `kernels/decode.comp`. On a bad stream it goes on with zero words, as the kernel does, so that the bytes
//! are the same.

use super::{half, push, symbols};
use crate::{
    BlockFault,
    coder::{
        Coder,
        lanes::{LANES, STATE_MIN, body_len, take_seed},
    },
    kernel::generated::{DecodeBlock, DecodePush},
};

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let DecodePush { segment_log } = push(bytes);
    let [blocks, payload, tables, streams, status, raw] = buffers else { panic!("six buffers") };
    let blocks: &[DecodeBlock] = bytemuck::cast_slice(blocks);
    for ((block, table), status) in blocks.iter().zip(tables.chunks(256)).zip(status.iter_mut()) {
        if *status != 0 {
            continue;
        }
        let slots = slots(table, block.table_log);
        let mut out = vec![0; block.raw_size as usize];
        let mut fault = None;
        let starts = &streams[block.streams as usize..];
        for (bounds, out) in starts.windows(2).zip(out.chunks_mut(1 << segment_log)) {
            let own = segment(payload, &slots, (bounds[0], bounds[1]), out);
            fault = fault.or(own);
        }
        *status = fault.map_or(0, |fault| fault as u32);
        out.resize(out.len().next_multiple_of(4), 0);
        for (word, bytes) in raw[block.raw as usize..].iter_mut().zip(out.chunks(4)) {
            *word = u32::from_le_bytes(bytes.try_into().expect("chunks of 4"));
        }
    }
}

/// The decode table: f, slot - cum and symbol of each slot.
fn slots(table: &[u32], table_log: u32) -> Vec<(u32, u32, u8)> {
    let mut slots = Vec::with_capacity(1 << table_log);
    for (word, symbol) in table.iter().zip(0..=255) {
        let f = word & 0xffff;
        slots.extend((0..f).map(|bias| (f, bias, symbol)));
    }
    slots
}

fn segment(
    payload: &[u32],
    slots: &[(u32, u32, u8)],
    (start, end): (u32, u32),
    out: &mut [u8],
) -> Option<BlockFault> {
    let mut states: [u32; LANES] = std::array::from_fn(|lane| {
        let at = start + 2 * lane as u32;
        half(payload, at) | half(payload, at + 1) << 16
    });
    let mut fault = states.iter().any(|&x| x < STATE_MIN).then_some(BlockFault::FinalState);
    let mut next = start + 2 * LANES as u32;
    let (body, seed) = out.split_at_mut(body_len(out.len()));
    for (lane, position) in symbols(body.len()) {
        let x = states[lane];
        let (f, bias, symbol) = slots[x as usize % slots.len()];
        body[position] = symbol;
        let mut x = f * (x / slots.len() as u32) + bias;
        if x < STATE_MIN {
            x = x << 16 | if next < end { half(payload, next) } else { 0 };
            next += 1;
        }
        states[lane] = x;
    }
    if next != end {
        fault = fault.or(Some(BlockFault::Stream));
    }
    take_seed(Coder::Rans, &states, seed)
        .is_none()
        .then_some(BlockFault::FinalState)
        .map_or(fault, |own| fault.or(Some(own)))
}
