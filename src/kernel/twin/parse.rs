//! Twin of `kernels/parse.comp`.

use std::cmp::Reverse;

use super::push;
use crate::{
    BlockFault,
    coder::{Coder, lanes::Layout, table::Table},
    kernel::{
        generated::{DecodeBlock, ParsePush},
        plan::RUNS,
    },
};

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let ParsePush { segment_log } = push(bytes);
    let [blocks, payload, tables, streams, status] = buffers else { panic!("five buffers") };
    let blocks: &[DecodeBlock] = bytemuck::cast_slice(blocks);
    let payload: &[u8] = bytemuck::cast_slice(payload);
    for ((block, table), status) in
        blocks.iter().zip(tables.chunks_mut(RUNS)).zip(status.iter_mut())
    {
        let payload = &payload[4 * block.payload as usize..][..block.coded_size as usize];
        *status = match parse(block, segment_log, payload) {
            Ok((parsed, starts)) => {
                write_runs(&parsed, table);
                streams[block.streams as usize..][..starts.len()].copy_from_slice(&starts);
                0
            }
            Err(fault) => fault as u32,
        };
    }
}

/// The table as the decode kernels read it.
fn write_runs(table: &Table, words: &mut [u32]) {
    let mut symbols: Vec<_> = table.symbols().collect();
    if table.coder() == Coder::Huffman {
        // In canonical order: the largest frequency, and so the shortest code, first.
        symbols.sort_by_key(|&(symbol, freq, _)| (Reverse(freq), symbol));
    }
    words.fill(1 << (table.log() + 16));
    let mut first = 0;
    for (word, (symbol, freq, _)) in words.iter_mut().zip(symbols) {
        *word = first << 16 | u32::from(symbol);
        first += freq;
    }
}

/// The table, and the first 16-bit word of each segment and of what follows the last.
fn parse(
    block: &DecodeBlock,
    segment_log: u32,
    payload: &[u8],
) -> Result<(Table, Vec<u32>), BlockFault> {
    let segments = block.raw_size.div_ceil(1 << segment_log) as usize;
    let (counts, rest) = payload.split_at_checked(2 * segments).ok_or(BlockFault::SegmentSizes)?;
    let coder = Coder::ALL[block.coder as usize];
    let layout = Layout::of(coder);
    let (table, length) = Table::parse(rest, coder, block.table_log as u8)?;
    let mut end = 2 * segments + length;
    let zeros = payload.get(end..end + layout.padding(end)).ok_or(BlockFault::Table)?;
    if zeros.iter().any(|&byte| byte != 0) {
        return Err(BlockFault::Table);
    }
    end += zeros.len();
    let mut starts = Vec::with_capacity(segments + 1);
    for count in counts.chunks(2) {
        starts.push(2 * block.payload + end as u32 / 2);
        end += layout.word * usize::from(u16::from_le_bytes([count[0], count[1]]));
    }
    starts.push(2 * block.payload + end as u32 / 2);
    if end == payload.len() { Ok((table, starts)) } else { Err(BlockFault::SegmentSizes) }
}
