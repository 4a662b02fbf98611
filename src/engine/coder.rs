//! The stages of a block on one thread: all at once, or those before, in and behind the entropy stage, which a device
//! may do instead.

use std::{mem::take, sync::Arc};

use super::{
    accel::{self, Class, Job, Outcome},
    block::{Block, Buffers, Finished, Side, Work},
    budget::{PAYLOAD_SLACK, streams_bound},
    resize_exact,
};
use crate::{
    Pipeline, Simd,
    block::{BlockParams, DecodePart, EncodePart, Encoded, EncodedPart},
    coder::Codec,
    error::{BlockFault, Result},
    format::BlockKind,
    model::{self, LzCoder, LzParams, Opened, Split},
    telemetry::Piece,
};

const STORED: Encoded = Encoded { kind: BlockKind::Stored, table_log: 0 };
/// A block that a model has rebuilt.
const CODED: Encoded = Encoded { kind: BlockKind::Coded, table_log: 0 };

/// What a thread needs to code blocks.
pub(crate) struct Coder {
    simd: Simd,
    codec: Codec,
    /// Made for the first block that has a model.
    lz: Option<Box<LzCoder>>,
    /// Whether decoded blocks need their checksum computed.
    verifies: bool,
}

/// A block whose entropy stage is elsewhere, without the buffers that are there.
#[derive(Debug)]
pub(crate) struct Rest {
    block: Block,
    model: Model,
}

/// What the model has to do when the entropy stage is done.
#[derive(Debug)]
enum Model {
    /// There is none.
    None,
    /// Put the coded streams together.
    Assemble(Split),
    /// Rebuild the block, whose buffer has its length, from the decoded streams.
    Rebuild(Opened, model::Model),
}

impl Job {
    /// The entropy stage of a block without a model: the block is the only part.
    pub fn whole(id: u64, mut block: Block, strict: bool) -> Self {
        let Block { pipeline, segment_log, .. } = block;
        let coder = *pipeline.coders().first().expect("stored blocks have no entropy stage");
        let (raw, payload) = (take(&mut block.buffers.raw), take(&mut block.buffers.payload));
        let work = match block.work {
            Work::Encode { table_log, .. } => {
                let parts = vec![EncodePart { range: 0..raw.len(), coder, table_log }];
                accel::Work::Encode { raw: Arc::new(raw), parts, segment_log, payload }
            }
            Work::Decode { encoded, raw_size } => {
                let (from, range) = (0..payload.len(), 0..raw_size as usize);
                let parts = vec![DecodePart { payload: from, range, encoded, coder }];
                accel::Work::Decode { payload: Arc::new(payload), parts, segment_log, raw }
            }
        };
        let rest = Some(Box::new(Rest { block, model: Model::None }));
        Self { id, work, class: Class::First, strict, rest }
    }
}

impl Job {
    /// A piece of work on its block, of the stages that `stages` names.
    pub fn piece(&self, name: &'static str, stages: fn(&Block) -> &'static [u8]) -> Piece {
        let block = self.rest.as_ref().map(|rest| &rest.block);
        // Without a model the work has the block's bytes.
        let modelled = block.filter(|block| block.pipeline.model().is_some());
        let bytes = modelled.map_or(self.work.raw_bytes(), Block::raw_size) as u64;
        Piece { name, stages: block.map_or(&[], stages), block: self.id, bytes }
    }

    /// The entropy stage, and what comes behind it.
    pub fn standing_in(&self) -> Piece {
        self.piece("entropy", |block| match block.work {
            Work::Encode { .. } => block.entropy_stage(),
            Work::Decode { .. } => block.stages(),
        })
    }
}

impl Coder {
    /// # Errors
    /// The processor lacks the instructions.
    pub fn new(simd: Simd, verifies: bool) -> Result<Self> {
        Ok(Self { simd, codec: Codec::new(simd)?, lz: None, verifies })
    }

    fn lz(&mut self) -> &mut LzCoder {
        self.lz.get_or_insert_with(|| {
            Box::new(LzCoder::new(self.simd).expect("the codec has the same instructions"))
        })
    }

    /// All stages of a block.
    pub fn code(&mut self, id: u64, mut block: Block) -> Finished {
        let outcome = match block.work {
            Work::Encode { level, table_log } => Ok(self.encode(&mut block, level, table_log)),
            Work::Decode { encoded, raw_size } => {
                self.decode(&mut block, encoded, raw_size as usize).map(|()| encoded)
            }
        };
        self.finish(id, block, outcome, Side::Cpu)
    }

    fn encode(&mut self, block: &mut Block, level: u8, table_log: Option<u8>) -> Encoded {
        let Block { pipeline, segment_log, .. } = *block;
        let (raw, payload) = (&block.buffers.raw, &mut block.buffers.payload);
        payload.clear();
        if pipeline != Pipeline::Stored {
            payload.reserve_exact(raw.len() + PAYLOAD_SLACK);
        }
        match (pipeline.model(), pipeline.coders()) {
            (Some(model), coders) => {
                self.lz().encode(raw, &LzParams { model, coders, level, segment_log }, payload)
            }
            (None, &[coder, ..]) => {
                self.codec.encode(raw, &BlockParams { coder, segment_log, table_log }, payload)
            }
            (None, []) => STORED,
        }
    }

    fn decode(
        &mut self,
        block: &mut Block,
        encoded: Encoded,
        raw_size: usize,
    ) -> Result<(), BlockFault> {
        let Block { pipeline, segment_log, .. } = *block;
        let Encoded { kind, table_log } = encoded;
        let (raw, payload) = (&mut block.buffers.raw, &mut block.buffers.payload);
        if kind == BlockKind::Stored {
            std::mem::swap(payload, raw);
            return if raw.len() == raw_size { Ok(()) } else { Err(BlockFault::Size) };
        }
        resize_exact(raw, raw_size);
        match (pipeline.model(), pipeline.coders()) {
            (Some(model), _) if kind == BlockKind::Coded => {
                self.lz().decode(payload, model, segment_log, raw)
            }
            (_, &[coder, ..]) => {
                self.codec.decode(payload, kind, coder, table_log, segment_log, raw)
            }
            (_, []) => Err(BlockFault::Kind),
        }
    }

    /// The stage before the entropy stage: a job for the device. The block is finished where there is nothing for
    /// the device to do.
    pub fn prepare(
        &mut self,
        id: u64,
        mut block: Block,
        strict: bool,
    ) -> Result<Job, Box<Finished>> {
        let Block { pipeline, segment_log, .. } = block;
        let Some(model) = pipeline.model() else { return Ok(Job::whole(id, block, strict)) };
        match block.work {
            Work::Encode { level, .. } => {
                let params = LzParams { model, coders: pipeline.coders(), level, segment_log };
                let Buffers { raw, streams, .. } = &mut block.buffers;
                streams.clear();
                streams.reserve_exact(streams_bound(raw.len()));
                let Some((split, parts)) = self.lz().split(raw, &params, streams) else {
                    return Err(Box::new(self.code(id, block)));
                };
                let nothing = parts.is_empty();
                let (raw, payload) = (take(streams), take(&mut block.buffers.coded));
                let work = accel::Work::Encode { raw: Arc::new(raw), parts, segment_log, payload };
                let rest = Some(Box::new(Rest { block, model: Model::Assemble(split) }));
                let job = Job { id, work, class: Class::Later, strict, rest };
                if nothing { Err(Box::new(self.stand_in(job, Side::Cpu))) } else { Ok(job) }
            }
            Work::Decode { raw_size, .. } => {
                let opened = match Opened::read(&block.buffers.payload, model, raw_size as usize) {
                    Ok(opened) => opened,
                    Err(fault) => return Err(self.finish(id, block, Err(fault), Side::Cpu).into()),
                };
                let coded = |part: &DecodePart| part.encoded.kind == BlockKind::Coded;
                if !opened.parts.iter().any(coded) {
                    return Err(Box::new(self.code(id, block)));
                }
                resize_exact(&mut block.buffers.raw, raw_size as usize);
                let payload = take(&mut block.buffers.payload);
                let (raw, parts) = (take(&mut block.buffers.streams), opened.parts.clone());
                let payload = Arc::new(payload);
                let work = accel::Work::Decode { payload, parts, segment_log, raw };
                let rest = Some(Box::new(Rest { block, model: Model::Rebuild(opened, model) }));
                Ok(Job { id, work, class: Class::Fused, strict, rest })
            }
        }
    }

    /// The entropy stage, which the device could not do, and the stage behind it.
    pub fn stand_in(&mut self, mut job: Job, side: Side) -> Finished {
        let outcome = self.code_parts(&mut job.work);
        self.complete(job, outcome, side)
    }

    /// The entropy stage.
    pub fn code_parts(&mut self, work: &mut accel::Work) -> Result<Outcome, BlockFault> {
        match work {
            accel::Work::Encode { raw, parts, segment_log, payload } => {
                Ok(Outcome::Encoded(self.encode_parts(raw, parts, *segment_log, payload)))
            }
            accel::Work::Decode { payload, parts, segment_log, raw } => {
                self.decode_parts(payload, parts, *segment_log, raw).map(|()| Outcome::Decoded)
            }
        }
    }

    fn encode_parts(
        &mut self,
        raw: &[u8],
        parts: &[EncodePart],
        segment_log: u8,
        payload: &mut Vec<u8>,
    ) -> Vec<EncodedPart> {
        payload.clear();
        if let [EncodePart { range, coder, table_log }] = parts {
            payload.reserve_exact(range.len() + PAYLOAD_SLACK);
            let params = BlockParams { coder: *coder, segment_log, table_log: *table_log };
            let encoded = self.codec.encode(&raw[range.clone()], &params, payload);
            return vec![EncodedPart { encoded, payload: 0..payload.len() }];
        }
        payload.reserve_exact(streams_bound(raw.len()).saturating_sub(payload.len()));
        let mut one = Vec::new();
        let parts = parts.iter().map(|EncodePart { range, coder, table_log }| {
            let params = BlockParams { coder: *coder, segment_log, table_log: *table_log };
            let encoded = self.codec.encode(&raw[range.clone()], &params, &mut one);
            let start = payload.len();
            payload.extend_from_slice(&one);
            EncodedPart { encoded, payload: start..payload.len() }
        });
        parts.collect()
    }

    fn decode_parts(
        &mut self,
        payload: &[u8],
        parts: &[DecodePart],
        segment_log: u8,
        raw: &mut Vec<u8>,
    ) -> Result<(), BlockFault> {
        resize_exact(raw, parts.last().map_or(0, |part| part.range.end));
        parts.iter().try_for_each(|DecodePart { payload: from, range, encoded, coder }| {
            let (payload, raw) = (&payload[from.clone()], &mut raw[range.clone()]);
            let Encoded { kind, table_log } = *encoded;
            self.codec.decode(payload, kind, *coder, table_log, segment_log, raw)
        })
    }

    /// The stage behind the entropy stage, and the checksum.
    pub fn complete(&self, job: Job, outcome: Result<Outcome, BlockFault>, side: Side) -> Finished {
        let Job { id, work, rest, .. } = job;
        let Rest { mut block, model } = *rest.expect("the engine's jobs have it");
        let buffers = &mut block.buffers;
        match (work, &model) {
            (accel::Work::Encode { raw, payload, .. }, Model::None) => {
                (buffers.raw, buffers.payload) = (unshared(raw), payload);
            }
            (accel::Work::Decode { raw, payload, .. }, Model::None) => {
                (buffers.raw, buffers.payload) = (raw, unshared(payload));
            }
            (accel::Work::Encode { raw, payload, .. }, _) => {
                (buffers.streams, buffers.coded) = (unshared(raw), payload);
            }
            (accel::Work::Decode { raw, payload, .. }, _) => {
                (buffers.streams, buffers.payload) = (raw, unshared(payload));
            }
        }
        let outcome = outcome.and_then(|outcome| match (model, block.work) {
            (Model::None, Work::Encode { .. }) => Ok(outcome.parts()[0].encoded),
            (Model::None, Work::Decode { encoded, .. }) => Ok(encoded),
            (Model::Assemble(split), _) => Ok(assemble(&split, outcome.parts(), buffers)),
            (Model::Rebuild(opened, model), _) => {
                let Buffers { raw, payload, streams, .. } = buffers;
                LzCoder::rebuild(self.simd, &opened, model, payload, streams, raw).map(|()| CODED)
            }
        });
        self.finish(id, block, outcome, side)
    }

    /// Adds the checksum.
    fn finish(
        &self,
        id: u64,
        block: Block,
        outcome: Result<Encoded, BlockFault>,
        side: Side,
    ) -> Finished {
        let wanted = match block.work {
            Work::Encode { .. } => true,
            Work::Decode { .. } => self.verifies && outcome.is_ok(),
        };
        let crc = if wanted { crc32c::crc32c(&block.buffers.raw) } else { 0 };
        let Block { buffers, pipeline, .. } = block;
        Finished { id, buffers, outcome, crc, side, pipeline }
    }
}

/// The buffer, or a copy of it while somebody else still works on the same block.
fn unshared(buffer: Arc<Vec<u8>>) -> Vec<u8> {
    Arc::try_unwrap(buffer).unwrap_or_else(|shared| Vec::clone(&shared))
}

fn assemble(split: &Split, parts: &[EncodedPart], buffers: &mut Buffers) -> Encoded {
    let Buffers { raw, payload, streams, coded, .. } = buffers;
    payload.clear();
    payload.reserve_exact(raw.len() + PAYLOAD_SLACK);
    LzCoder::assemble(split, raw, streams, parts, coded, payload)
}
