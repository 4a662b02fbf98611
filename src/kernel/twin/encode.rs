//! Twin of the kernels `kernels/encode_*.comp`.

use super::{push, read_cums};
use crate::{
    coder::{
        Coder,
        fse::{self, Fse},
        huffman::{self, Huffman},
        places::{Appended, Costs},
        rans::{self, Rans},
        scalar::{LaneCoder, encode_segment},
        table::Table,
    },
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodePush, EncodeResult},
        plan::{COUNT_WORDS, TABLE_WORDS},
    },
};

/// Writes payloads only: the twin leaves alone what a kernel may write beside them.
pub fn run<C: Entries>(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let EncodePush { segment_log } = push(bytes);
    let [blocks, raw, infos, tables, entries, counts, results, payload] = buffers else {
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
        let table = C::table(&entries[512 * number..][..512], info.table_log);
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let written =
            &bytemuck::cast_slice(&tables[TABLE_WORDS * number..])[..info.table_size as usize];
        let counts = &counts[block.counts as usize..];
        let bytes = compose::<C>(&table, written, raw, counts, 1 << segment_log);
        let size = bytes.len();
        results[number] = if size < raw.len() {
            let target = bytemuck::cast_slice_mut(payload);
            target[4 * block.payload as usize..][..size].copy_from_slice(&bytes);
            let EncodeInfo { kind, table_log, .. } = *info;
            EncodeResult { kind, table_log, coded_size: size as u32, payload: block.payload }
        } else {
            trivial(BlockKind::Stored as u32, block.raw_size)
        };
    }
}

/// A payload, or anything no smaller than the block.
fn compose<C: Entries>(
    table: &Table,
    written: &[u8],
    raw: &[u8],
    counts: &[u32],
    segment: usize,
) -> Vec<u8> {
    let layout = C::LAYOUT;
    let cell_bits = C::cell_bits(table.log().into());
    let costs = Costs::of(table);
    let rooms: Vec<usize> = raw
        .chunks(segment)
        .enumerate()
        .map(|(number, raw)| {
            let words = &counts[number / 2 * COUNT_WORDS as usize..];
            let counts = std::array::from_fn(|i| words[i] >> (16 * (number % 2)) & 0xffff);
            costs.room(layout, &counts, raw)
        })
        .collect();
    let mut payload = vec![0; 2 * rooms.len()];
    payload.extend_from_slice(written);
    payload.resize(payload.len() + layout.padding(payload.len()), 0);
    let mut out = Appended::new(layout, cell_bits, &rooms, &mut payload, raw.len());
    if out.is_hopeless() {
        return raw.to_vec();
    }
    let table = C::read(table);
    for raw in raw.chunks(segment) {
        let mut room = vec![0; layout.stream_bound(raw.len())];
        let start = encode_segment::<C>(&table, raw, &mut room);
        if !out.push(&room[start..]) {
            break;
        }
    }
    payload
}

/// A coder's form of the entries that the kernels before it made.
pub trait Entries: LaneCoder {
    fn table(entries: &[u32], table_log: u32) -> Table;
    fn read(table: &Table) -> Self::EncodeTable;
}

impl Entries for Rans {
    fn table(entries: &[u32], table_log: u32) -> Table {
        let freq = |symbol: usize| (entries[2 * symbol + 1] >> 20) as u16;
        Table::from_freqs(Coder::Rans, table_log as u8, std::array::from_fn(freq))
    }

    fn read(table: &Table) -> Self::EncodeTable {
        rans::EncodeTable::new(table)
    }
}

impl Entries for Fse {
    fn table(entries: &[u32], table_log: u32) -> Table {
        read_cums(Coder::Fse, table_log, entries)
    }

    fn read(table: &Table) -> Self::EncodeTable {
        let mut encoder = fse::EncodeTable::new();
        encoder.fill(table);
        encoder
    }
}

impl Entries for Huffman {
    fn table(entries: &[u32], table_log: u32) -> Table {
        let freq = |symbol: usize| match entries[symbol] & 0xff {
            0 => 0,
            length => 1 << (table_log - length),
        };
        Table::from_freqs(Coder::Huffman, table_log as u8, std::array::from_fn(freq))
    }

    fn read(table: &Table) -> Self::EncodeTable {
        huffman::EncodeTable::new(table)
    }
}
