//! Twin of the kernels `kernels/encode_*.comp`.

use std::ops::Range;

use super::{half, push, read_cums, symbols};
use crate::{
    coder::{
        Coder,
        fse::{self, Fse},
        huffman::{self, Huffman},
        lanes::{LANES, body_len, seeded_states},
        rans::{self, Rans},
        scalar::LaneCoder,
        table::Table,
    },
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeInfo, EncodePush, EncodeResult},
        plan::{TABLE_WORDS, stream_space},
    },
};

pub fn run<C: Entries>(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let EncodePush { segment_log } = push(bytes);
    let [blocks, raw, infos, tables, entries, scratch, results, payload] = buffers else {
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
        let trivial = |kind, coded_size| EncodeResult { kind, table_log: 0, coded_size, payload: 0 };
        if info.kind != BlockKind::Coded as u32 {
            results[number] = trivial(info.kind, 1);
            continue;
        }
        let table = C::read(&entries[512 * number..][..512], info.table_log);
        let raw = &raw[4 * block.raw as usize..][..block.raw_size as usize];
        let streams: Vec<_> =
            raw.chunks(1 << segment_log).map(|raw| segment::<C>(raw, &table)).collect();
        let mut end = block.scratch as usize;
        for (stream, raw) in streams.iter().zip(raw.chunks(1 << segment_log)) {
            end += stream_space(raw.len() as u32) as usize / 2;
            keep(stream, &mut scratch[..end]);
        }
        let head = head(&streams, &tables[TABLE_WORDS * number..], info.table_size);
        let target = &mut payload[block.raw as usize..];
        let words = append(&streams, &head, raw.len(), target);
        results[number] = if 2 * words < raw.len() {
            write_pairs(&head, 0..head.len() / 2, target);
            let (kind, table_log) = (info.kind, info.table_log);
            EncodeResult { kind, table_log, coded_size: 2 * words as u32, payload: block.raw }
        } else {
            trivial(BlockKind::Stored as u32, block.raw_size)
        };
    }
}

/// Puts a stream at the end of its space, as the kernel does: 64 words at a time.
fn keep(stream: &[u16], space: &mut [u32]) {
    let mut words = vec![0; stream.len().next_multiple_of(64)];
    let start = words.len() - stream.len();
    words[start..].copy_from_slice(stream);
    let start = space.len() - words.len() / 2;
    write_pairs(&words, 0..words.len() / 2, &mut space[start..]);
}

/// What precedes the streams of a payload.
fn head(streams: &[Vec<u16>], table: &[u32], table_size: u32) -> Vec<u16> {
    let counts = streams.iter().map(|stream| (stream.len() - 2 * LANES) as u16);
    counts.chain((0..table_size / 2).map(|i| half(table, i) as u16)).collect()
}

/// Writes the streams behind the head as long as the payload is no larger than the block; its length in words.
fn append(streams: &[Vec<u16>], head: &[u16], most: usize, target: &mut [u32]) -> usize {
    let mut words = head.to_vec();
    for stream in streams {
        let begin = words.len();
        words.extend_from_slice(stream);
        if 2 * words.len() <= most {
            write_pairs(&words, begin / 2..words.len() / 2, target);
        }
    }
    let length = words.len();
    if 2 * length < most {
        words.push(0);
        write_pairs(&words, length / 2..length.div_ceil(2), target);
    }
    length
}

fn write_pairs(words: &[u16], pairs: Range<usize>, target: &mut [u32]) {
    for i in pairs {
        target[i] = u32::from(words[2 * i]) | u32::from(words[2 * i + 1]) << 16;
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

/// The words of a segment, initial states included.
fn segment<C: LaneCoder>(raw: &[u8], table: &C::EncodeTable) -> Vec<u16> {
    let (body, seed) = raw.split_at(body_len(raw.len()));
    let mut states = seeded_states(C::CODER, seed);
    let mut words = Vec::with_capacity(raw.len());
    for (lane, position) in symbols(body.len()).rev() {
        let (state, word) = C::encode(table, states[lane], body[position]);
        states[lane] = state;
        words.extend(word);
    }
    for state in states.iter().rev() {
        words.extend([(state >> 16) as u16, *state as u16]);
    }
    words.reverse();
    words
}
