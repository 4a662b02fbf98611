//! Entropy coders on the CPU. [`Codec`] encodes and decodes whole blocks; below it lie the parts that kernels
//! share with it: [`table`], [`lanes`] and the [`scalar`] reference of [`rans`] and, on [`window`]s, of [`fse`] and [`huffman`].

mod bits;
pub mod decode_table;
pub mod estimate;
pub mod fse;
pub mod histogram;
pub mod huffman;
pub mod lanes;
pub mod normalize;
pub mod places;
mod portable;
pub mod rans;
pub mod scalar;
#[cfg(target_arch = "x86_64")]
mod simd;
pub mod states;
pub mod table;
mod tiles;
pub mod window;

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

pub use crate::block::{BlockParams, Coder, Encoded};
use crate::{
    error::{BlockFault, Error, Result},
    format::{BlockKind, MAX_SEGMENT_LOG, MIN_SEGMENT_LOG},
    options::Simd,
};
use decode_table::DecodeTable;
use fse::Fse;
use huffman::Huffman;
use lanes::Layout;
use places::{Appended, Costs};
use portable::Portable;
use rans::Rans;
use table::Table;
use tiles::{Coded, Tiles};

const SEGMENT_LOGS: RangeInclusive<u8> = MIN_SEGMENT_LOG..=MAX_SEGMENT_LOG;

/// An implementation of the segment coder.
#[derive(Clone, Copy, Debug)]
enum Instructions {
    Scalar,
    Portable(Portable),
    #[cfg(target_arch = "x86_64")]
    Avx2(simd::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(simd::Avx512),
}

impl Instructions {
    /// `None` if the processor lacks them.
    fn new(simd: Simd) -> Option<Self> {
        match simd {
            Simd::Auto => Simd::available().into_iter().next_back().and_then(Self::new),
            Simd::Scalar => Some(Self::Scalar),
            Simd::Portable => Some(Self::Portable(Portable)),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx2 => simd::Avx2::new().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            Simd::Avx512 => simd::Avx512::new().map(Self::Avx512),
            #[cfg(not(target_arch = "x86_64"))]
            Simd::Avx2 | Simd::Avx512 => None,
        }
    }
}

/// A coder in every implementation.
#[cfg(target_arch = "x86_64")]
trait Implemented: Tiles<Portable> + Tiles<simd::Avx2> + Tiles<simd::Avx512> {}
#[cfg(not(target_arch = "x86_64"))]
trait Implemented: Tiles<Portable> {}

impl Implemented for Rans {}
impl Implemented for Fse {}
impl Implemented for Huffman {}

impl Instructions {
    /// Encodes segments, each into the end of its buffer; returns where the streams begin.
    fn encode<C: Implemented, const N: usize>(
        self,
        table: &C::EncodeTable,
        segments: [(&[u8], &mut [u8]); N],
    ) -> [usize; N] {
        match self {
            Self::Scalar => segments.map(|(raw, out)| scalar::encode_segment::<C>(table, raw, out)),
            Self::Portable(tiles) => tiles::encode_segments::<C, _, N>(tiles, table, segments),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(tiles) => tiles::encode_segments::<C, _, N>(tiles, table, segments),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(tiles) => tiles::encode_segments::<C, _, N>(tiles, table, segments),
        }
    }

    /// Decodes segments; the fault is that of the first bad one.
    fn decode<C: Implemented, const N: usize>(
        self,
        table: &DecodeTable,
        segments: [Coded<'_>; N],
    ) -> Result<(), BlockFault> {
        match self {
            Self::Scalar => segments.into_iter().try_for_each(|Coded { stream, size, raw }| {
                scalar::decode_segment::<C>(table, &stream[..size], raw)
            }),
            Self::Portable(tiles) => tiles::decode_segments::<C, _, N>(tiles, table, segments),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(tiles) => tiles::decode_segments::<C, _, N>(tiles, table, segments),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(tiles) => tiles::decode_segments::<C, _, N>(tiles, table, segments),
        }
    }
}

impl Simd {
    /// What this processor has, the fastest last.
    pub fn available() -> Vec<Self> {
        let all = [Self::Scalar, Self::Portable, Self::Avx2, Self::Avx512];
        all.into_iter().filter(|&simd| Instructions::new(simd).is_some()).collect()
    }
}

/// Encodes and decodes blocks on one thread. It owns its scratch memory, so once warm it does not allocate.
#[derive(Debug)]
pub struct Codec {
    instructions: Instructions,
    fse_table: fse::EncodeTable,
    decode_table: DecodeTable,
    scratch: [Vec<u8>; 2],
    /// Each segment's symbols, counted.
    counts: Vec<[u32; 256]>,
    rooms: Vec<usize>,
    stop: Stop,
}

/// What ends the work on a block, if anything does.
#[derive(Clone, Default, Debug)]
struct Stop(Option<Arc<AtomicBool>>);

impl Stop {
    fn is_set(&self) -> bool {
        self.0.as_ref().is_some_and(|stop| stop.load(Relaxed))
    }
}

impl Codec {
    /// A codec that uses the given instructions.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the processor lacks them.
    pub fn new(simd: Simd) -> Result<Self> {
        let instructions = Instructions::new(simd).ok_or_else(|| Error::InvalidOption {
            name: "simd",
            reason: format!("this processor has no {simd:?}; it has {:?}", Simd::available()),
        })?;
        Ok(Self {
            instructions,
            fse_table: fse::EncodeTable::new(),
            decode_table: DecodeTable::new(),
            scratch: Default::default(),
            counts: Vec::new(),
            rooms: Vec::new(),
            stop: Stop::default(),
        })
    }

    /// From now on, work on a block ends before its next two segments once this is set, with results that are of no use; `None`: never.
    pub(crate) fn stop_at(&mut self, stop: Option<Arc<AtomicBool>>) {
        self.stop = Stop(stop);
    }

    /// Encodes a block of 1 byte to 1 MiB into `payload`, which is cleared first and left empty if the block is
    /// to be stored.
    ///
    /// # Panics
    /// If the block is larger than 1 MiB or the parameters are outside what [`BlockParams`] says.
    pub fn encode(&mut self, raw: &[u8], params: &BlockParams, payload: &mut Vec<u8>) -> Encoded {
        self.count_segments(raw, params.segment_log);
        let mut counts = [0; 256];
        self.counts.iter().for_each(|own| histogram::add(&mut counts, own));
        self.encode_with_counts(raw, &counts, params, payload)
    }

    /// Counts the symbols of each segment.
    ///
    /// # Panics
    /// If the segment log is not 12 to 16.
    fn count_segments(&mut self, raw: &[u8], segment_log: u8) {
        assert!(SEGMENT_LOGS.contains(&segment_log), "segment log {segment_log}");
        self.counts.clear();
        self.counts.extend(raw.chunks(1 << segment_log).map(histogram::histogram));
    }

    /// Encodes a block whose segments' symbols have been counted, and its own.
    fn encode_with_counts(
        &mut self,
        raw: &[u8],
        counts: &[u32; 256],
        params: &BlockParams,
        payload: &mut Vec<u8>,
    ) -> Encoded {
        payload.clear();
        let stored = Encoded { kind: BlockKind::Stored, table_log: 0 };
        let Some(&first) = raw.first() else { return stored };
        if counts[usize::from(first)] as usize == raw.len() {
            payload.push(first);
            return Encoded { kind: BlockKind::Single, table_log: 0 };
        }
        let table = Table::from_counts(counts, params.coder, params.table_log);
        self.encode_segments(&table, raw, params.segment_log, payload);
        if payload.is_empty() {
            return stored;
        }
        Encoded { kind: BlockKind::Coded, table_log: table.log() }
    }

    /// Encodes a block with a table that has all its symbols; leaves `payload` empty if it would not be smaller than
    /// the block. If a symbol is not in the table, this may panic or yield a payload that does not decode.
    ///
    /// # Panics
    /// If the segment log is not 12 to 16.
    pub fn encode_with(
        &mut self,
        table: &Table,
        raw: &[u8],
        segment_log: u8,
        payload: &mut Vec<u8>,
    ) {
        self.count_segments(raw, segment_log);
        self.encode_segments(table, raw, segment_log, payload);
    }

    /// [`encode_with`](Self::encode_with) where the segments' symbols have been counted.
    fn encode_segments(
        &mut self,
        table: &Table,
        raw: &[u8],
        segment_log: u8,
        payload: &mut Vec<u8>,
    ) {
        payload.clear();
        payload.resize(2 * raw.len().div_ceil(1 << segment_log), 0);
        table.write(payload);
        let layout = Layout::of(table.coder());
        payload.resize(payload.len() + layout.padding(payload.len()), 0);
        let segment = 1 << segment_log;
        let cell_bits = if table.coder() == Coder::Fse { table.log().into() } else { 0 };
        let costs = Costs::of(table);
        self.rooms.clear();
        let segments = raw.chunks(segment).zip(&self.counts);
        self.rooms.extend(segments.map(|(raw, counts)| costs.room(layout, counts, raw)));
        let Self { instructions, fse_table, scratch, rooms, stop, .. } = self;
        let out = Appended::new(layout, cell_bits, rooms, payload, raw.len());
        if out.is_hopeless() {
            return payload.clear();
        }
        match table.coder() {
            Coder::Rans => {
                let table = rans::EncodeTable::new(table);
                encode_segments::<Rans>(*instructions, scratch, &table, raw, segment, out, stop);
            }
            Coder::Fse => {
                fse_table.fill(table);
                encode_segments::<Fse>(*instructions, scratch, fse_table, raw, segment, out, stop);
            }
            Coder::Huffman => {
                let table = huffman::EncodeTable::new(table);
                encode_segments::<Huffman>(*instructions, scratch, &table, raw, segment, out, stop);
            }
        }
        if payload.len() >= raw.len() {
            payload.clear();
        }
    }

    /// Decodes a payload to exactly `raw`. The other parameters are the block's and frame's header fields.
    ///
    /// # Errors
    /// What is wrong with the payload. `raw` then holds nothing of use.
    pub fn decode(
        &mut self,
        payload: &[u8],
        kind: BlockKind,
        coder: Coder,
        table_log: u8,
        segment_log: u8,
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        match (kind, payload) {
            (BlockKind::Stored, _) if payload.len() == raw.len() => raw.copy_from_slice(payload),
            (BlockKind::Single, &[value]) => raw.fill(value),
            (BlockKind::Coded, _)
                if payload.len() < raw.len() && SEGMENT_LOGS.contains(&segment_log) =>
            {
                let segment = 1 << segment_log;
                let counts = 2 * raw.len().div_ceil(segment);
                let (counts, rest) =
                    payload.split_at_checked(counts).ok_or(BlockFault::SegmentSizes)?;
                let (table, length) = Table::parse(rest, coder, table_log)?;
                let padding = Layout::of(coder).padding(counts.len() + length);
                let (zeros, streams) =
                    rest[length..].split_at_checked(padding).ok_or(BlockFault::Table)?;
                if zeros.iter().any(|&byte| byte != 0) {
                    return Err(BlockFault::Table);
                }
                self.decode_table.fill(&table);
                let decode = match coder {
                    Coder::Rans => decode_segments::<Rans>,
                    Coder::Fse => decode_segments::<Fse>,
                    Coder::Huffman => decode_segments::<Huffman>,
                };
                let sizes = counts.as_chunks().0;
                let Self { instructions, decode_table, stop, .. } = self;
                decode(*instructions, decode_table, sizes, streams, segment, raw, stop)?;
            }
            _ => return Err(BlockFault::Size),
        }
        Ok(())
    }
}

/// Appends the segments of a block, as long as the payload is smaller than the block.
fn encode_segments<C: Implemented>(
    instructions: Instructions,
    scratch: &mut [Vec<u8>; 2],
    table: &C::EncodeTable,
    raw: &[u8],
    segment: usize,
    mut out: Appended<'_>,
    stop: &Stop,
) {
    let bound = C::LAYOUT.stream_bound(segment.min(raw.len()));
    let [a, b] = scratch.each_mut().map(|room| {
        if room.len() < bound {
            room.resize(bound, 0);
        }
        &mut room[..]
    });
    let mut segments = raw.chunks(segment);
    while let Some(first) = segments.next().filter(|_| !stop.is_set()) {
        if let Some(second) = segments.next() {
            let both = [(first, &mut *a), (second, &mut *b)];
            let [i, j] = instructions.encode::<C, _>(table, both);
            if !(out.push(&a[i..]) && out.push(&b[j..])) {
                return;
            }
        } else {
            let [i] = instructions.encode::<C, _>(table, [(first, &mut *a)]);
            out.push(&a[i..]);
        }
    }
}

/// Decodes the segments of a block, which have these sizes in words and lie end to end.
fn decode_segments<C: Implemented>(
    instructions: Instructions,
    table: &DecodeTable,
    sizes: &[[u8; 2]],
    mut streams: &[u8],
    segment: usize,
    raw: &mut [u8],
    stop: &Stop,
) -> Result<(), BlockFault> {
    let sizes = sizes.iter().map(|&n| C::LAYOUT.word * usize::from(u16::from_le_bytes(n)));
    if sizes.clone().sum::<usize>() != streams.len() {
        return Err(BlockFault::SegmentSizes);
    }
    let mut segments = sizes.zip(raw.chunks_mut(segment)).map(|(size, raw)| {
        let stream = streams;
        streams = &streams[size..];
        Coded { stream, size, raw }
    });
    while let Some(first) = segments.next().filter(|_| !stop.is_set()) {
        match segments.next() {
            Some(second) => instructions.decode::<C, _>(table, [first, second])?,
            None => instructions.decode::<C, _>(table, [first])?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What users can choose, and both of the AVX2 coder's look-ups.
    fn codecs() -> Vec<Codec> {
        let mut all: Vec<_> = Simd::available().into_iter().filter_map(Instructions::new).collect();
        #[cfg(target_arch = "x86_64")]
        all.extend(simd::Avx2::new().into_iter().flat_map(|avx2| {
            [true, false].map(|gathers| Instructions::Avx2(avx2.with_gathers(gathers)))
        }));
        let codec = |instructions| Codec { instructions, ..Codec::new(Simd::Scalar).unwrap() };
        all.into_iter().map(codec).collect()
    }

    #[test]
    fn every_implementation_yields_the_same_bytes() {
        let mut all = codecs();
        let mut reference = Codec::new(Simd::Scalar).unwrap();
        let (mut expected, mut payload) = (Vec::new(), Vec::new());
        let raw = include_bytes!("../../tests/data/alice29.txt");
        for coder in Coder::ALL {
            for (segment_log, table_log) in (12..=16).zip(8..=12) {
                let params = BlockParams { coder, segment_log, table_log: Some(table_log) };
                let encoded = reference.encode(raw, &params, &mut expected);
                for codec in &mut all {
                    let instructions = codec.instructions;
                    assert_eq!(codec.encode(raw, &params, &mut payload), encoded);
                    assert!(payload == expected, "{instructions:?} {params:?}");
                    let mut back = vec![0; raw.len()];
                    let Encoded { kind, table_log } = encoded;
                    let done =
                        codec.decode(&payload, kind, coder, table_log, segment_log, &mut back);
                    assert_eq!(done, Ok(()), "{instructions:?} {params:?}");
                    assert!(back == raw, "{instructions:?} {params:?}");
                }
            }
        }
    }

    #[test]
    fn work_that_is_stopped_ends_before_the_next_segments() {
        let raw = include_bytes!("../../tests/data/alice29.txt");
        let (mut whole, mut payload) = (Vec::new(), Vec::new());
        let stop = Arc::new(AtomicBool::new(true));
        for codec in &mut codecs() {
            for coder in Coder::ALL {
                let params = BlockParams { coder, segment_log: 12, table_log: None };
                let Encoded { kind, table_log } = codec.encode(raw, &params, &mut whole);
                codec.stop_at(Some(Arc::clone(&stop)));
                codec.encode(raw, &params, &mut payload);
                assert!(payload.len() < 2000 && whole.len() > 50_000, "{}", payload.len());
                let mut back = vec![b'~'; raw.len()];
                let _ = codec.decode(&whole, kind, coder, table_log, 12, &mut back);
                assert!(back.iter().all(|&byte| byte == b'~'), "something was decoded");
                codec.stop_at(None);
                codec.decode(&whole, kind, coder, table_log, 12, &mut back).unwrap();
                assert!(back == raw);
            }
        }
    }

    /// Each segment's gap, in words.
    fn gaps(payload: &[u8], coder: Coder, segments: usize) -> Vec<u8> {
        let layout = Layout::of(coder);
        let sizes: Vec<usize> = payload[..2 * segments]
            .as_chunks()
            .0
            .iter()
            .map(|&size| layout.word * usize::from(u16::from_le_bytes(size)))
            .collect();
        let mut at = payload.len() - sizes.iter().sum::<usize>();
        let gap = |size: &usize| {
            at += size;
            payload[at - size + states::gap_place(layout)]
        };
        sizes.iter().map(gap).collect()
    }

    /// Gaps are short, never with huff, where lengths are known, nor in a single segment, nor where one segment misses its room.
    #[test]
    fn gaps_are_where_they_are_of_use() {
        let mut codec = Codec::new(Simd::Auto).unwrap();
        let mut payload = Vec::new();
        let mut encode = |raw: &[u8], coder, segment_log, table_log| {
            let params = BlockParams { coder, segment_log, table_log };
            let encoded = codec.encode(raw, &params, &mut payload);
            assert_eq!(encoded.kind, BlockKind::Coded);
            gaps(&payload, coder, raw.len().div_ceil(1 << segment_log))
        };
        let text: &[u8] = include_bytes!("../../tests/data/alice29.txt");
        for coder in Coder::ALL {
            let gaps = encode(text, coder, 12, None);
            let most = if coder == Coder::Huffman { 0 } else { 15 };
            assert!(gaps.iter().all(|&gap| gap <= most), "{coder:?}: {gaps:?}");
            assert_eq!(gaps.iter().any(|&gap| gap > 0), coder != Coder::Huffman, "{gaps:?}");
            assert_eq!(encode(&text[..4096], coder, 12, None), [0]);
        }
        // A run of a symbol that has 5 of 32 cells, which always takes the same ways through them.
        let run: Vec<u8> =
            (0..32_768).map(|i| if i < 5120 { 0 } else { 1 + (text[i] & 15) }).collect();
        assert_eq!(encode(&run, Coder::Fse, 13, Some(5)), [0; 4]);
        assert!(encode(&run, Coder::Fse, 13, None).iter().any(|&gap| gap > 0));
    }

    /// Damage to sizes, table, padding, initial states and words, and a wrong raw size.
    #[test]
    fn every_implementation_finds_the_same_fault() {
        let mut all = codecs();
        let text = &include_bytes!("../../tests/data/alice29.txt")[..3 * 4096 + 777];
        let rare: Vec<u8> = text.iter().map(|&byte| u8::from(byte == b'z')).collect();
        let mut seed = 1_u64;
        let mut below = |limit: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % limit
        };
        let mut payload = Vec::new();
        for (coder, raw) in Coder::ALL.into_iter().flat_map(|c| [(c, text), (c, &rare)]) {
            let params = BlockParams { coder, segment_log: 12, table_log: None };
            let Encoded { kind, table_log } = all[0].encode(raw, &params, &mut payload);
            assert_eq!(kind, BlockKind::Coded);
            let mut faults = Vec::new();
            for round in 0..600 {
                let (mut damaged, mut size) = (payload.clone(), raw.len());
                for _ in 0..1 + below(3) {
                    // The front is often the place: counts, table, and the first segment's states.
                    let reach = [8, 400, damaged.len()][below(3)].min(damaged.len());
                    let at = below(reach);
                    match below(6) {
                        0 => damaged[at] = [0, 255][below(2)],
                        1 => damaged[at..].iter_mut().take(128).for_each(|byte| *byte = 0),
                        2 => {
                            (damaged[0], damaged[2]) =
                                (damaged[0].wrapping_add(1), damaged[2].wrapping_sub(1))
                        }
                        3 => size = 3 * 4096 + 1 + below(4096),
                        _ => damaged[at] ^= 1 << below(8),
                    }
                }
                let verdicts: Vec<_> = all
                    .iter_mut()
                    .map(|codec| {
                        let mut back = vec![0xcc; size];
                        let decoded = codec.decode(&damaged, kind, coder, table_log, 12, &mut back);
                        decoded.map(|()| back)
                    })
                    .collect();
                let same = verdicts.windows(2).all(|pair| pair[0] == pair[1]);
                let found: Vec<_> = verdicts.into_iter().map(|verdict| verdict.err()).collect();
                assert!(same, "{coder:?}, {round}: {found:?}");
                faults.extend(found[0]);
            }
            for fault in [BlockFault::SegmentSizes, BlockFault::Stream, BlockFault::FinalState] {
                assert!(faults.contains(&fault), "{coder:?}: no {fault:?}");
            }
        }
    }

    /// Segments of every length up to a few tiles, and some longer ones, with every table log.
    #[test]
    fn segments_of_every_length_come_back() {
        fn check<C: Implemented>(table: &Table, encoder: &C::EncodeTable, raw: &[u8]) {
            let mut decoder = DecodeTable::new();
            decoder.fill(table);
            for length in (0..600).chain([4096, 16_257, 40_000, 65_536]).rev() {
                let raw = &raw[..length];
                let mut expected: Option<Vec<u8>> = None;
                for simd in Simd::available() {
                    let what = format!("{simd:?}, {:?} {}, {length}", C::CODER, table.log());
                    let instructions = Instructions::new(simd).unwrap();
                    let mut stream = vec![0; C::LAYOUT.stream_bound(length)];
                    let [start] = instructions.encode::<C, 1>(encoder, [(raw, &mut stream)]);
                    let stream = &stream[start..];
                    assert!(expected.get_or_insert(stream.to_vec()) == stream, "{what}");
                    let mut back = vec![0xcc; length];
                    let coded = Coded { stream, size: stream.len(), raw: &mut back };
                    assert_eq!(instructions.decode::<C, 1>(&decoder, [coded]), Ok(()), "{what}");
                    assert!(back == raw, "{what}");
                }
            }
        }
        let text: &[u8] = include_bytes!("../../tests/data/alice29.txt");
        let floats: &[u8] = include_bytes!("../../tests/data/levitus_temp.96k");
        // Text; two values, one of them nearly alone (symbols of no bits); few values for small tables.
        let rare: Vec<u8> = text.iter().map(|&byte| u8::from(byte == b'z')).collect();
        let few: Vec<u8> = floats.iter().map(|&byte| byte & 0x91).collect();
        for raw in [text, &rare, &few] {
            for coder in Coder::ALL {
                for log in coder.table_logs() {
                    let table = Table::from_counts(&histogram::histogram(raw), coder, Some(log));
                    match coder {
                        Coder::Rans => check::<Rans>(&table, &rans::EncodeTable::new(&table), raw),
                        Coder::Fse => {
                            let mut encoder = fse::EncodeTable::new();
                            encoder.fill(&table);
                            check::<Fse>(&table, &encoder, raw);
                        }
                        Coder::Huffman => {
                            check::<Huffman>(&table, &huffman::EncodeTable::new(&table), raw);
                        }
                    }
                }
            }
        }
    }
}
