//! The stages of blocks one by one, for tools that measure or count them. Not part of the public API.

use super::{LzCoder, LzParams, Opened};
use crate::{
    Pipeline, Simd,
    block::{BlockParams, Coder, EncodePart, Encoded},
    coder::Codec,
    error::Result,
    format::BlockKind,
};

/// What decides the bytes of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// The pipeline; not [`Pipeline::Stored`].
    pub pipeline: Pipeline,
    /// 1 to 9; of no meaning without a model.
    pub level: u8,
    /// Exponent of the segment size.
    pub segment_log: u8,
    /// As in [`BlockParams`]; for pipelines without a model.
    pub table_log: Option<u8>,
}

impl Params {
    fn lz(&self) -> Option<LzParams> {
        let Self { pipeline, level, segment_log, .. } = *self;
        let coders = pipeline.coders();
        pipeline.model().map(|model| LzParams { model, coders, level, segment_log })
    }
}

/// A block and what each of its stages works on.
pub struct Block<'a> {
    raw: &'a [u8],
    /// What the entropy stage encodes: the streams of the model, one behind the other, or nothing if that is `raw`.
    streams: Vec<u8>,
    parts: Vec<EncodePart>,
    /// What the block is encoded to; the second is what the model's payload holds.
    encoded: Encoded,
    payload: Vec<u8>,
    opened: Option<Opened>,
}

impl Block<'_> {
    /// Bytes of the payload; those of the block if it is stored.
    pub fn coded_bytes(&self) -> usize {
        match self.encoded.kind {
            BlockKind::Stored => self.raw.len(),
            _ => self.payload.len(),
        }
    }
}

/// Does the work of one thread.
pub struct Stages {
    params: Params,
    simd: Simd,
    codec: Codec,
    lz: LzCoder,
    streams: Vec<u8>,
    payload: Vec<u8>,
    raw: Vec<u8>,
}

impl Stages {
    /// # Errors
    /// As [`Codec::new`].
    pub fn new(params: Params, simd: Simd) -> Result<Self> {
        Ok(Self {
            params,
            simd,
            codec: Codec::new(simd)?,
            lz: LzCoder::new(simd)?,
            streams: Vec::new(),
            payload: Vec::new(),
            raw: Vec::new(),
        })
    }

    /// Encodes a block and decodes it again.
    ///
    /// # Panics
    /// If it does not come back.
    pub fn prepare<'a>(&mut self, raw: &'a [u8]) -> Block<'a> {
        let mut block = match self.params.lz() {
            Some(params) => self.prepare_lz(raw, &params),
            None => self.prepare_plain(raw),
        };
        block.payload.shrink_to_fit();
        self.decode_entropy(&block);
        self.decode_model(&block);
        let comes_back = block.encoded.kind != BlockKind::Coded || self.raw == raw;
        assert!(comes_back, "{:?} does not restore the block", self.params);
        block
    }

    fn prepare_plain<'a>(&mut self, raw: &'a [u8]) -> Block<'a> {
        let mut payload = Vec::new();
        let (coder, table_log) = (self.params.pipeline.coders()[0], self.params.table_log);
        let parts = vec![EncodePart { range: 0..raw.len(), coder, table_log }];
        let encoded = self.codec.encode(raw, &self.part(coder, table_log), &mut payload);
        Block { raw, streams: Vec::new(), parts, encoded, payload, opened: None }
    }

    fn prepare_lz<'a>(&mut self, raw: &'a [u8], params: &LzParams) -> Block<'a> {
        let (mut streams, mut payload) = (Vec::new(), Vec::new());
        let split = self.lz.split(raw, params, &mut streams);
        let parts = split.map(|(_, parts)| parts).unwrap_or_default();
        let encoded = self.lz.encode(raw, params, &mut payload);
        let coded = encoded.kind == BlockKind::Coded;
        let opened = coded.then(|| Opened::read(&payload, params.model, raw.len()));
        let opened = opened.map(|opened| opened.expect("own payload"));
        Block { raw, streams, parts, encoded, payload, opened }
    }

    fn part(&self, coder: Coder, table_log: Option<u8>) -> BlockParams {
        BlockParams { coder, segment_log: self.params.segment_log, table_log }
    }

    /// The model's part of encoding: sequences, streams, and the plan of how they are coded.
    pub fn encode_model(&mut self, block: &Block<'_>) {
        if let Some(params) = self.params.lz() {
            self.lz.split(block.raw, &params, &mut self.streams);
        }
    }

    /// The entropy coder's part of encoding.
    pub fn encode_entropy(&mut self, block: &Block<'_>) {
        let bytes = if self.params.lz().is_some() { &block.streams } else { block.raw };
        for EncodePart { range, coder, table_log } in &block.parts {
            let params = self.part(*coder, *table_log);
            self.codec.encode(&bytes[range.clone()], &params, &mut self.payload);
        }
    }

    /// The entropy coder's part of decoding.
    ///
    /// # Panics
    /// If the block is damaged, which cannot be.
    pub fn decode_entropy(&mut self, block: &Block<'_>) {
        let Self { params, codec, streams, raw, .. } = self;
        if block.encoded.kind != BlockKind::Coded {
            return;
        }
        let mut decode = |payload, encoded: Encoded, coder, out: &mut [u8]| {
            let Encoded { kind, table_log } = encoded;
            codec
                .decode(payload, kind, coder, table_log, params.segment_log, out)
                .expect("verified")
        };
        match &block.opened {
            None => {
                raw.resize(block.raw.len(), 0);
                decode(&block.payload, block.encoded, params.pipeline.coders()[0], raw);
            }
            Some(opened) => {
                streams.resize(opened.size(), 0);
                for part in &opened.parts {
                    let payload = &block.payload[part.payload.clone()];
                    decode(payload, part.encoded, part.coder, &mut streams[part.range.clone()]);
                }
            }
        }
    }

    /// The model's part of decoding: the block from its streams.
    ///
    /// # Panics
    /// If the block is damaged, which cannot be.
    pub fn decode_model(&mut self, block: &Block<'_>) {
        if let (Some(opened), Some(model)) = (&block.opened, self.params.pipeline.model()) {
            self.raw.resize(block.raw.len(), 0);
            let (payload, streams, raw) = (&block.payload, &block.streams, &mut self.raw);
            LzCoder::rebuild(self.simd, opened, model, payload, streams, raw).expect("verified");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_make_up_every_pipeline() {
        let text = include_bytes!("../../tests/data/alice29.txt");
        for &pipeline in Pipeline::ALL.iter().filter(|pipeline| **pipeline != Pipeline::Stored) {
            let params = Params { pipeline, level: 3, segment_log: 14, table_log: None };
            let mut stages = Stages::new(params, Simd::Auto).unwrap();
            let block = stages.prepare(text);
            assert!(block.coded_bytes() < text.len() * 7 / 10, "{pipeline}");
            // What the entropy stage decodes is what the model has made, and what it encodes.
            stages.streams.clear();
            stages.decode_entropy(&block);
            assert_eq!(stages.streams, block.streams, "{pipeline}");
            stages.streams.clear();
            stages.encode_model(&block);
            assert_eq!(stages.streams, block.streams, "{pipeline}");
            stages.encode_entropy(&block);
            assert!(!stages.payload.is_empty(), "{pipeline}");
            stages.prepare(&[7; 5000]);
        }
    }
}
