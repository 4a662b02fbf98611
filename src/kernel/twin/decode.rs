//! Twin of the kernels `kernels/decode_*.comp`. On a bad stream it goes on with zero words; a segment whose states cannot be read it leaves
//! alone. The bytes of bad blocks are nobody's.

use super::{half, push};
use crate::{
    BlockFault,
    coder::{
        Coder, decode_table::DecodeTable, lanes::TILE, scalar::LaneCoder, states, table::Table,
    },
    kernel::{
        generated::{DecodeBlock, DecodePush},
        plan::RUNS,
    },
};

pub fn run<C: LaneCoder>(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let DecodePush { segment_log } = push(bytes);
    let [blocks, payload, tables, streams, status, raw] = buffers else { panic!("six buffers") };
    let blocks: &[DecodeBlock] = bytemuck::cast_slice(blocks);
    for ((block, table), status) in blocks.iter().zip(tables.chunks(RUNS)).zip(status.iter_mut()) {
        if block.coder != C::CODER as u32 || *status != 0 {
            continue;
        }
        let mut slots = DecodeTable::new();
        slots.fill(&read_runs(C::CODER, block.table_log, table));
        let mut out = vec![0; block.raw_size as usize];
        let mut fault = None;
        let starts = &streams[block.streams as usize..];
        for (bounds, out) in starts.windows(2).zip(out.chunks_mut(1 << segment_log)) {
            let stream = Stream { payload, start: bounds[0], end: bounds[1] };
            let own = segment::<C>(&stream, &slots, block.table_log, out);
            fault = fault.or(own);
        }
        *status = fault.map_or(0, |fault| fault as u32);
        out.resize(out.len().next_multiple_of(4), 0);
        for (word, bytes) in raw[block.raw as usize..].iter_mut().zip(out.chunks(4)) {
            *word = u32::from_le_bytes(bytes.try_into().expect("chunks of 4"));
        }
    }
}

/// The table of which `parse` wrote these words.
fn read_runs(coder: Coder, log: u32, words: &[u32]) -> Table {
    let mut freqs = [0; 256];
    for run in words.windows(2).take_while(|run| run[0] >> 16 < 1 << log) {
        freqs[run[0] as usize & 0xff] = ((run[1] >> 16) - (run[0] >> 16)) as u16;
    }
    Table::from_freqs(coder, log as u8, freqs)
}

/// A segment's place in the payload, in words of 16 bits.
struct Stream<'a> {
    payload: &'a [u32],
    start: u32,
    end: u32,
}

fn segment<C: LaneCoder>(
    stream: &Stream<'_>,
    table: &DecodeTable,
    table_log: u32,
    out: &mut [u8],
) -> Option<BlockFault> {
    let &Stream { payload, start, end } = stream;
    let halves = |size: usize| size as u32 / 2;
    let bytes: Vec<u8> =
        (start..end).flat_map(|at| (half(payload, at) as u16).to_le_bytes()).collect();
    // What a kernel makes of a segment that it cannot read is nobody's concern.
    let Some((mut lanes, begin)) = states::read::<C>(table_log, &bytes) else {
        return Some(BlockFault::Stream);
    };
    let mut fault = None;
    let mut next = start + halves(begin);
    let mut word = || {
        let own = next..next + halves(C::LAYOUT.word);
        next = own.end;
        let bits = |at: u32| if at < end { half(payload, at) } else { 0 };
        Some(own.rev().fold(0, |word, at| word << 16 | bits(at)))
    };
    let (body, seed) = out.split_at_mut(C::LAYOUT.body(out.len()));
    for tile in body.chunks_mut(TILE) {
        C::decode_tile(table, &mut lanes, tile, &mut word).expect("words do not end");
    }
    if next != end {
        fault = fault.or(Some(BlockFault::Stream));
    }
    let ends = C::take_seed(table_log, &lanes, seed);
    fault.or((!ends).then_some(BlockFault::FinalState))
}
