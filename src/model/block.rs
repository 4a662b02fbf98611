//! LZ blocks from end to end: parse, split into streams, code the parts; and back.
//!
//! The two halves of each direction can also be run apart, with the parts coded by somebody else, a device, in between:
//! [`split`](LzCoder::split) and [`assemble`](LzCoder::assemble), [`Opened::read`] and [`rebuild`](LzCoder::rebuild).

use std::ops::Range;

use super::{
    LzParams, Model, Sequence, make_room,
    parse::Parser,
    parts::{
        MAX_PART, Opened, PartWriter, Planned, directory_memory, most_parts, plan, plan_memory,
    },
    simd::Instructions,
    streams::{Streams, View},
};
use crate::{
    block::{BlockParams, Coder, EncodePart, Encoded, EncodedPart},
    coder::Codec,
    error::{BlockFault, Result},
    format::BlockKind,
    options::Simd,
};

/// Encodes and decodes LZ blocks on one thread. It owns its tables and scratch memory, so once warm it hardly allocates.
#[derive(Debug)]
pub struct LzCoder {
    simd: Simd,
    codec: Codec,
    parser: Parser,
    sequences: Vec<Sequence>,
    streams: Streams,
    planned: Vec<Planned>,
    /// A part's payload; decoded streams.
    scratch: Vec<u8>,
}

/// A block whose parts are being coded by somebody else.
#[derive(Debug)]
pub(crate) struct Split {
    counts: [u32; 4],
    /// Where the parts lie among the streams, and their coders.
    parts: Vec<(Range<usize>, Option<Coder>)>,
    tail: Vec<u8>,
}

/// What a coded part may take beyond its raw size before it is noticed that it does not shrink.
const PART_SLACK: usize = 2 << 10;

const STORED: Encoded = Encoded { kind: BlockKind::Stored, table_log: 0 };
const CODED: Encoded = Encoded { kind: BlockKind::Coded, table_log: 0 };

impl LzCoder {
    /// A coder that uses the given instructions.
    ///
    /// # Errors
    /// As [`Codec::new`].
    pub fn new(simd: Simd) -> Result<Self> {
        Ok(Self {
            codec: Codec::new(simd)?,
            simd,
            parser: Parser::new(),
            sequences: Vec::new(),
            streams: Streams::default(),
            planned: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// The most bytes of tables and scratch memory that encoding blocks of `block_size` bytes at `level` takes.
    pub fn memory(block_size: usize, model: Model, level: u8) -> u64 {
        let sequences = Parser::sequences(block_size, model, level);
        let buffers = sequences * size_of::<Sequence>()
            + Streams::memory(model, block_size, sequences)
            + plan_memory(block_size + block_size / 2)
            + block_size.min(MAX_PART)
            + PART_SLACK;
        Parser::memory(block_size, level) + buffers as u64
    }

    /// The most bytes of scratch memory that decoding blocks of `block_size` bytes takes.
    pub fn decode_memory(block_size: usize) -> u64 {
        // The streams of a hostile payload, and its directory.
        let streams = block_size + block_size / 2;
        (streams + directory_memory(streams)) as u64
    }

    /// Encodes a block of 1 byte to 4 MiB into `payload`, which is cleared first and left empty if the block is to be
    /// stored.
    ///
    /// # Panics
    /// If the block is larger than 4 MiB or the parameters are outside what [`LzParams`] says.
    pub fn encode(&mut self, raw: &[u8], params: &LzParams, payload: &mut Vec<u8>) -> Encoded {
        payload.clear();
        if let Some(encoded) = trivial(raw, payload) {
            return encoded;
        }
        self.plan(raw, params);
        let longest = self.planned.iter().map(|part| part.range.len()).max().unwrap_or(0);
        make_room(&mut self.scratch, longest + PART_SLACK);
        let counts = self.streams.counts(params.model);
        let mut writer = PartWriter::new(payload, counts, self.planned.len());
        let mut planned = self.planned.iter();
        let mut start = 0;
        for stream in &self.streams.bytes {
            let end = start + stream.len();
            while start < end
                && let Some(part) = planned.next()
            {
                let raw = &stream[part.range.start - start..part.range.end - start];
                let encoded = match part.coder {
                    Some(coder) => {
                        let segment_log = params.segment_log;
                        let params = BlockParams { coder, segment_log, table_log: None };
                        self.codec.encode(raw, &params, &mut self.scratch)
                    }
                    None => STORED,
                };
                writer.push(raw, part.coder, encoded, &self.scratch);
                if part.range.end == end {
                    break;
                }
            }
            start = end;
        }
        writer.finish(&self.streams.tail);
        finished(raw, payload)
    }

    /// Sequences, streams and parts of a block.
    fn plan(&mut self, raw: &[u8], params: &LzParams) {
        self.parser.parse(raw, params.model, params.level, &mut self.sequences);
        let instructions = Instructions::new(self.simd);
        instructions.split(params.model, raw, &self.sequences, &mut self.streams);
        let streams = &self.streams.bytes;
        make_room(&mut self.planned, streams.iter().map(|stream| most_parts(stream.len())).sum());
        let mut start = 0;
        for stream in &self.streams.bytes {
            plan(stream, start, params, &mut self.planned);
            start += stream.len();
        }
    }

    /// The first half of encoding: writes the streams, one behind the other, to `streams` and says which parts are to be
    /// coded. `None` if the block is not worth it: [`encode`](Self::encode) knows what to do.
    pub(crate) fn split(
        &mut self,
        raw: &[u8],
        params: &LzParams,
        streams: &mut Vec<u8>,
    ) -> Option<(Split, Vec<EncodePart>)> {
        if trivial(raw, &mut Vec::new()).is_some() {
            return None;
        }
        self.plan(raw, params);
        streams.clear();
        self.streams.bytes.iter().for_each(|stream| streams.extend_from_slice(stream));
        let parts = self.planned.iter().filter_map(|part| {
            let (range, table_log) = (part.range.clone(), None);
            part.coder.map(|coder| EncodePart { range, coder, table_log })
        });
        let parts = parts.collect();
        let split = Split {
            counts: self.streams.counts(params.model),
            parts: self.planned.iter().map(|part| (part.range.clone(), part.coder)).collect(),
            tail: self.streams.tail.clone(),
        };
        Some((split, parts))
    }

    /// The second half: the payload of a block from its streams and its coded parts, whose payloads lie in `coded`.
    pub(crate) fn assemble(
        split: &Split,
        raw: &[u8],
        streams: &[u8],
        results: &[EncodedPart],
        coded: &[u8],
        payload: &mut Vec<u8>,
    ) -> Encoded {
        let mut writer = PartWriter::new(payload, split.counts, split.parts.len());
        let mut results = results.iter();
        for (range, coder) in &split.parts {
            let result = coder.and_then(|_| results.next());
            let (encoded, bytes) = match result {
                Some(EncodedPart { encoded, payload }) => (*encoded, &coded[payload.clone()]),
                None => (STORED, &[][..]),
            };
            writer.push(&streams[range.clone()], *coder, encoded, bytes);
        }
        writer.finish(&split.tail);
        finished(raw, payload)
    }

    /// Decodes the payload of a block of kind coded to exactly `raw`.
    ///
    /// # Errors
    /// What is wrong with the payload. `raw` then holds nothing of use.
    pub fn decode(
        &mut self,
        payload: &[u8],
        model: Model,
        segment_log: u8,
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        let simd = self.simd;
        let opened = Opened::read(payload, model, raw.len())?;
        let mut streams = std::mem::take(&mut self.scratch);
        if streams.len() < opened.size() {
            make_room(&mut streams, opened.size());
            streams.resize(opened.size(), 0);
        }
        let decoded = opened.parts.iter().try_for_each(|part| {
            let Encoded { kind, table_log } = part.encoded;
            let out = &mut streams[part.range.clone()];
            self.codec.decode(
                &payload[part.payload.clone()],
                kind,
                part.coder,
                table_log,
                segment_log,
                out,
            )
        });
        let rebuilt =
            decoded.and_then(|()| Self::rebuild(simd, &opened, model, payload, &streams, raw));
        self.scratch = streams;
        rebuilt
    }

    /// The second half of decoding: the block from its decoded streams.
    ///
    /// # Errors
    /// What is wrong with the payload. `raw` then holds nothing of use.
    pub(crate) fn rebuild(
        simd: Simd,
        opened: &Opened,
        model: Model,
        payload: &[u8],
        streams: &[u8],
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        let mut rest = streams;
        let bytes = opened.layout.bytes.map(|length| {
            let (stream, after) = rest.split_at(length);
            rest = after;
            stream
        });
        let tail = &payload[opened.tail.clone()];
        Instructions::new(simd).rebuild(model, View { bytes, tail }, raw)
    }
}

/// How a block is encoded that needs no model.
fn trivial(raw: &[u8], payload: &mut Vec<u8>) -> Option<Encoded> {
    let (&first, rest) = raw.split_first()?;
    if rest == &raw[..rest.len()] {
        payload.push(first);
        return Some(Encoded { kind: BlockKind::Single, table_log: 0 });
    }
    None
}

fn finished(raw: &[u8], payload: &mut Vec<u8>) -> Encoded {
    if payload.len() >= raw.len() {
        payload.clear();
        return STORED;
    }
    CODED
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [&[u8]; 2] = [
        include_bytes!("../../tests/data/alice29.txt"),
        include_bytes!("../../tests/data/helmet_mesh.64k"),
    ];
    const SETS: [(Model, &[Coder]); 5] = [
        (Model::Lz77, &[Coder::Rans]),
        (Model::Lz77, &[Coder::Fse, Coder::Huffman]),
        (Model::Lz77, &[Coder::Huffman]),
        (Model::LzSeq, &[Coder::Rans]),
        (Model::LzSeq, &[Coder::Fse, Coder::Huffman]),
    ];

    fn params() -> impl Iterator<Item = LzParams> {
        let sets = SETS.into_iter().zip([12, 16, 14, 16, 13]);
        sets.flat_map(|((model, coders), segment_log)| {
            [1, 3, 9].map(|level| LzParams { model, coders, level, segment_log })
        })
    }

    /// What a device would do with the parts.
    fn code_parts(
        streams: &[u8],
        parts: &[EncodePart],
        segment_log: u8,
    ) -> (Vec<EncodedPart>, Vec<u8>) {
        let mut codec = Codec::new(Simd::Scalar).unwrap();
        let (mut coded, mut payload) = (Vec::new(), Vec::new());
        let results = parts.iter().map(|EncodePart { range, coder, table_log }| {
            let params = BlockParams { coder: *coder, segment_log, table_log: *table_log };
            let encoded = codec.encode(&streams[range.clone()], &params, &mut payload);
            let start = coded.len();
            coded.extend_from_slice(&payload);
            EncodedPart { encoded, payload: start..coded.len() }
        });
        (results.collect(), coded)
    }

    #[test]
    fn blocks_come_back_and_halves_make_a_whole() {
        let mut coder = LzCoder::new(Simd::Auto).unwrap();
        let (mut payload, mut streams, mut assembled) = (Vec::new(), Vec::new(), Vec::new());
        for params in params() {
            for file in FILES {
                for size in [1, 2, 63, 64, 65, 4095, 65_536, file.len()] {
                    let raw = &file[..size.min(file.len())];
                    let encoded = coder.encode(raw, &params, &mut payload);
                    if encoded.kind != BlockKind::Coded {
                        assert!(size < 4096, "{params:?}, {size} bytes are {:?}", encoded.kind);
                        continue;
                    }
                    let mut back = vec![0xee; raw.len()];
                    let LzParams { model, segment_log, .. } = params;
                    coder.decode(&payload, model, segment_log, &mut back).unwrap();
                    assert!(back == raw, "{params:?}, {size} bytes");

                    let (split, parts) = coder.split(raw, &params, &mut streams).unwrap();
                    let (results, coded) = code_parts(&streams, &parts, segment_log);
                    let whole =
                        LzCoder::assemble(&split, raw, &streams, &results, &coded, &mut assembled);
                    assert_eq!(whole, encoded);
                    assert!(assembled == payload, "{params:?}, {size} bytes");
                }
            }
        }
    }

    #[test]
    fn damage_is_an_error_or_harmless() {
        let mut coder = LzCoder::new(Simd::Auto).unwrap();
        let mut payload = Vec::new();
        for params in params().filter(|params| params.level == 3) {
            let raw = &FILES[0][..20_000];
            let LzParams { model, segment_log, .. } = params;
            assert_eq!(coder.encode(raw, &params, &mut payload).kind, BlockKind::Coded);
            let mut back = vec![0; raw.len()];
            for length in (0..payload.len()).step_by(7) {
                let cut = coder.decode(&payload[..length], model, segment_log, &mut back);
                assert!(cut.is_err(), "{params:?} cut to {length}");
            }
            // Every bit of counts and directory, and some of the parts.
            for bit in (0..8 * 80).chain((640..8 * payload.len()).step_by(101)) {
                let mut bad = payload.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let decoded = coder.decode(&bad, model, segment_log, &mut back);
                // A flipped literal is for the checksum to find.
                assert!(bit >= 640 || decoded.is_err() || back != raw, "{params:?} bit {bit}");
            }
        }
    }
}
