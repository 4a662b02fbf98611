//! Twin of the kernels `kernels/encode_*.comp`.

use super::{push, read_cums};
use crate::{
    coder::{
        Coder,
        fse::{self, Fse},
        huffman::{self, Huffman},
        rans::{self, Rans},
        scalar::{LaneCoder, encode_segment},
        table::Table,
    },
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodePush},
        plan::stream_space,
    },
};

pub fn run<C: Entries>(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let EncodePush { segment_log } = push(bytes);
    let [blocks, raw, infos, entries, counts, scratch] = buffers else { panic!("six buffers") };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let infos: &[EncodeInfo] = bytemuck::cast_slice(infos);
    let raw: &[u8] = bytemuck::cast_slice(raw);
    for ((block, info), entries) in blocks.iter().zip(infos).zip(entries.chunks(512)) {
        if block.coder != C::CODER as u32 || info.kind != BlockKind::Coded as u32 {
            continue;
        }
        let table = C::read(entries, info.table_log);
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let mut end = block.scratch as usize;
        for (raw, count) in raw.chunks(1 << segment_log).zip(&mut counts[block.segment as usize..])
        {
            let mut stream = segment::<C>(raw, &table);
            *count = ((2 * stream.len() - C::LAYOUT.states) / C::LAYOUT.word) as u32;
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

/// A coder's form of the entries that the kernels before it made.
pub trait Entries: LaneCoder {
    fn read(entries: &[u32], table_log: u32) -> Self::EncodeTable;
}

impl Entries for Rans {
    fn read(entries: &[u32], table_log: u32) -> Self::EncodeTable {
        let freq = |symbol: usize| (entries[2 * symbol + 1] >> 20) as u16;
        let freqs = std::array::from_fn(freq);
        rans::EncodeTable::new(&Table::from_freqs(Coder::Rans, table_log as u8, freqs))
    }
}

impl Entries for Fse {
    fn read(entries: &[u32], table_log: u32) -> Self::EncodeTable {
        let mut table = fse::EncodeTable::new();
        table.fill(&read_cums(Coder::Fse, table_log, entries));
        table
    }
}

impl Entries for Huffman {
    fn read(entries: &[u32], table_log: u32) -> Self::EncodeTable {
        let freq = |symbol: usize| match entries[symbol] & 0xff {
            0 => 0,
            length => 1 << (table_log - length),
        };
        let freqs = std::array::from_fn(freq);
        huffman::EncodeTable::new(&Table::from_freqs(Coder::Huffman, table_log as u8, freqs))
    }
}

/// The words of a segment in halves, initial states included, last one first.
fn segment<C: LaneCoder>(raw: &[u8], table: &C::EncodeTable) -> Vec<u16> {
    let mut stream = vec![0; C::LAYOUT.stream_bound(raw.len())];
    let start = encode_segment::<C>(table, raw, &mut stream);
    let halves = stream[start..].as_chunks().0;
    halves.iter().rev().map(|&half| u16::from_le_bytes(half)).collect()
}
