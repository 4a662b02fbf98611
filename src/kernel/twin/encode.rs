//! Twin of the kernels `kernels/encode_*.comp`.

use super::{push, read_cums};
use crate::{
    coder::{
        Coder,
        fse::{self, Fse},
        huffman::{self, Huffman},
        lanes::Layout,
        rans::{self, Rans},
        scalar::{LaneCoder, encode_segment},
        table::Table,
    },
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodePush, EncodeResult},
        plan::TABLE_WORDS,
    },
};

/// Writes payloads only: the twin leaves alone what a kernel may write beside them.
pub fn run<C: Entries>(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let EncodePush { segment_log } = push(bytes);
    let [blocks, raw, infos, tables, entries, _, results, payload] = buffers else {
        panic!("eight buffers")
    };
    let blocks: &[EncodeBlock] = bytemuck::cast_slice(blocks);
    let infos: &[EncodeInfo] = bytemuck::cast_slice(infos);
    let results: &mut [EncodeResult] = bytemuck::cast_slice_mut(results);
    let raw: &[u8] = bytemuck::cast_slice(raw);
    for (number, (block, info)) in blocks.iter().zip(infos).enumerate() {
        if block.coder != C::CODER as u32 {
            continue;
        }
        let trivial =
            |kind, coded_size| EncodeResult { kind, table_log: 0, coded_size, payload: 0 };
        if info.kind != BlockKind::Coded as u32 {
            results[number] = trivial(info.kind, 1);
            continue;
        }
        let table = C::read(&entries[512 * number..][..512], info.table_log);
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let segments: Vec<_> =
            raw.chunks(1 << segment_log).map(|raw| segment::<C>(raw, &table)).collect();
        let written =
            &bytemuck::cast_slice(&tables[TABLE_WORDS * number..])[..info.table_size as usize];
        let mut bytes = head(C::LAYOUT, &segments, written);
        bytes.extend(segments.concat());
        let size = bytes.len();
        results[number] = if size < raw.len() {
            let target = bytemuck::cast_slice_mut(payload);
            target[4 * block.raw as usize..][..size].copy_from_slice(&bytes);
            let EncodeInfo { kind, table_log, .. } = *info;
            EncodeResult { kind, table_log, coded_size: size as u32, payload: block.raw }
        } else {
            trivial(BlockKind::Stored as u32, block.raw_size)
        };
    }
}

/// What precedes the streams of a payload.
fn head(layout: Layout, streams: &[Vec<u8>], table: &[u8]) -> Vec<u8> {
    let count = |stream: &Vec<u8>| ((stream.len() - layout.states) / layout.word) as u16;
    let mut head: Vec<u8> = streams.iter().flat_map(|stream| count(stream).to_le_bytes()).collect();
    head.extend_from_slice(table);
    head.resize(head.len() + layout.padding(head.len()), 0);
    head
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

/// The stream of a segment, initial states included.
fn segment<C: LaneCoder>(raw: &[u8], table: &C::EncodeTable) -> Vec<u8> {
    let mut stream = vec![0; C::LAYOUT.stream_bound(raw.len())];
    let start = encode_segment::<C>(table, raw, &mut stream);
    stream.split_off(start)
}
