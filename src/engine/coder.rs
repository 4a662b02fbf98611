//! The stages of a block on one thread: all at once, or those before, in and behind the entropy stage, which a device
//! may do instead.

use std::{
    mem::{swap, take},
    sync::{Arc, atomic::AtomicBool},
};

use super::{
    accel::{self, Class, Job, Outcome},
    block::{Block, Buffers, Finished, Side, Work},
    budget::{PAYLOAD_SLACK, streams_bound},
    bytes::Bytes,
};
use crate::{
    Pipeline, Simd,
    block::{BlockParams, DecodePart, EncodePart, Encoded, EncodedPart},
    bulk,
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
pub(crate) struct Rest<'a> {
    block: Block<'a>,
    model: Model,
    /// The checksum, once it has been made.
    crc: Option<u32>,
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

impl<'a> Job<'a> {
    /// The entropy stage of a block without a model: the block is the only part.
    pub fn whole(id: u64, mut block: Block<'a>, strict: bool) -> Self {
        let Block { pipeline, segment_log, .. } = block;
        let coder = *pipeline.coders().first().expect("stored blocks have no entropy stage");
        let Buffers { raw, payload, .. } = &mut block.buffers;
        let work = match block.work {
            Work::Encode { table_log, .. } => {
                let parts = vec![EncodePart { range: 0..raw.len(), coder, table_log }];
                let (raw, payload) = (Arc::new(take(raw)), take(payload));
                accel::Work::Encode { raw, parts, segment_log, payload }
            }
            Work::Decode { encoded, raw_size } => {
                let (from, range) = (0..payload.len(), 0..raw_size as usize);
                let parts = vec![DecodePart { payload: from, range, encoded, coder }];
                let (payload, raw) = (Arc::new(take(payload)), take(raw));
                accel::Work::Decode { payload, parts, segment_log, raw }
            }
        };
        let rest = Some(Box::new(Rest { block, model: Model::None, crc: None }));
        Self { id, work, class: Class::First, strict, in_place: false, rest }
    }
}

impl Job<'_> {
    /// A piece of work on its block, of the stages that `stages` names.
    pub fn piece(&self, name: &'static str, stages: fn(&Block<'_>) -> &'static [u8]) -> Piece {
        let block = self.rest.as_ref().map(|rest| &rest.block);
        // Without a model the work has the block's bytes.
        let modelled = block.filter(|block| block.pipeline.model().is_some());
        let bytes = modelled.map_or(self.work.raw_bytes(), |block| block.raw_size()) as u64;
        Piece { name, stages: block.map_or(&[], stages), block: self.id, bytes }
    }

    /// Takes in the checksum of what is to be encoded, if somebody made it: that of the block, unless a model has made streams
    /// of it.
    pub fn checked(&mut self, crc: Option<u32>) {
        if let (Some(_), Some(rest)) = (crc, &mut self.rest)
            && matches!(rest.model, Model::None)
        {
            rest.crc = crc;
        }
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
    pub fn code<'a>(&mut self, id: u64, mut block: Block<'a>) -> Finished<'a> {
        let outcome = match block.work {
            Work::Encode { level, table_log } => Ok(self.encode(&mut block, level, table_log)),
            Work::Decode { encoded, raw_size } => {
                self.decode(&mut block, encoded, raw_size as usize).map(|()| encoded)
            }
        };
        self.finish(id, block, outcome, Side::Cpu, None)
    }

    fn encode(&mut self, block: &mut Block<'_>, level: u8, table_log: Option<u8>) -> Encoded {
        let Block { pipeline, segment_log, .. } = *block;
        let (raw, payload) = (&block.buffers.raw, block.buffers.payload.buffer());
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
        block: &mut Block<'_>,
        encoded: Encoded,
        raw_size: usize,
    ) -> Result<(), BlockFault> {
        let Block { pipeline, segment_log, .. } = *block;
        let Encoded { kind, table_log } = encoded;
        let (raw, payload) = (&mut block.buffers.raw, &mut block.buffers.payload);
        if kind == BlockKind::Stored {
            return store(payload, raw, raw_size);
        }
        let raw = raw.sized(raw_size).ok_or(BlockFault::Size)?;
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
    pub fn prepare<'a>(
        &mut self,
        id: u64,
        mut block: Block<'a>,
        strict: bool,
    ) -> Result<Job<'a>, Box<Finished<'a>>> {
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
                let (raw, payload) = (take(streams), Bytes::Own(take(&mut block.buffers.coded)));
                let raw = Arc::new(Bytes::Own(raw));
                let work = accel::Work::Encode { raw, parts, segment_log, payload };
                let rest = Some(Box::new(Rest { block, model: Model::Assemble(split), crc: None }));
                let job = Job { id, work, class: Class::Later, strict, in_place: false, rest };
                if nothing { Err(Box::new(self.stand_in(job, Side::Cpu))) } else { Ok(job) }
            }
            Work::Decode { raw_size, .. } => {
                let opened = match Opened::read(&block.buffers.payload, model, raw_size as usize) {
                    Ok(opened) => opened,
                    Err(fault) => {
                        return Err(self.finish(id, block, Err(fault), Side::Cpu, None).into());
                    }
                };
                let coded = |part: &DecodePart| part.encoded.kind == BlockKind::Coded;
                if !opened.parts.iter().any(coded) {
                    return Err(Box::new(self.code(id, block)));
                }
                if block.buffers.raw.sized(raw_size as usize).is_none() {
                    return Err(self
                        .finish(id, block, Err(BlockFault::Size), Side::Cpu, None)
                        .into());
                }
                let payload = take(&mut block.buffers.payload);
                let (raw, parts) = (take(&mut block.buffers.streams), opened.parts.clone());
                let (payload, raw) = (Arc::new(payload), Bytes::Own(raw));
                let work = accel::Work::Decode { payload, parts, segment_log, raw };
                let rest =
                    Some(Box::new(Rest { block, model: Model::Rebuild(opened, model), crc: None }));
                Ok(Job { id, work, class: Class::Fused, strict, in_place: false, rest })
            }
        }
    }

    /// The entropy stage, which the device could not do, and the stage behind it.
    pub fn stand_in<'a>(&mut self, mut job: Job<'a>, side: Side) -> Finished<'a> {
        let outcome = self.code_parts(&mut job.work);
        self.complete(job, outcome, side)
    }

    /// The entropy stage.
    pub fn code_parts(&mut self, work: &mut accel::Work<'_>) -> Result<Outcome, BlockFault> {
        match work {
            accel::Work::Encode { raw, parts, segment_log, payload } => {
                Ok(Outcome::Encoded(self.encode_parts(raw, parts, *segment_log, payload.buffer())))
            }
            accel::Work::Decode { payload, parts, segment_log, raw } => self
                .decode_parts(payload, parts, *segment_log, raw)
                .map(|()| Outcome::Decoded(None)),
        }
    }

    /// The same until `stop` is set. The results are of no use then.
    pub fn back_up(
        &mut self,
        work: &mut accel::Work<'_>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Outcome, BlockFault> {
        self.codec.stop_at(Some(Arc::clone(stop)));
        let outcome = self.code_parts(work);
        self.codec.stop_at(None);
        outcome
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
        raw: &mut Bytes<'_>,
    ) -> Result<(), BlockFault> {
        let length = parts.last().map_or(0, |part| part.range.end);
        let raw = raw.sized(length).ok_or(BlockFault::Size)?;
        parts.iter().try_for_each(|DecodePart { payload: from, range, encoded, coder }| {
            let (payload, raw) = (&payload[from.clone()], &mut raw[range.clone()]);
            let Encoded { kind, table_log } = *encoded;
            self.codec.decode(payload, kind, *coder, table_log, segment_log, raw)
        })
    }

    /// The stage behind the entropy stage, and the checksum.
    pub fn complete<'a>(
        &self,
        job: Job<'a>,
        outcome: Result<Outcome, BlockFault>,
        side: Side,
    ) -> Finished<'a> {
        let Job { id, work, rest, .. } = job;
        let Rest { mut block, model, crc } = *rest.expect("the engine's jobs have it");
        let buffers = &mut block.buffers;
        match (work, &model) {
            (accel::Work::Encode { raw, payload, .. }, Model::None) => {
                (buffers.raw, buffers.payload) = (unshared(raw), payload);
            }
            (accel::Work::Decode { raw, payload, .. }, Model::None) => {
                (buffers.raw, buffers.payload) = (raw, unshared(payload));
            }
            (accel::Work::Encode { raw, mut payload, .. }, _) => {
                debug_assert!(!matches!(payload, Bytes::Held(..)), "only whole blocks may stay");
                (buffers.streams, buffers.coded) =
                    (take(unshared(raw).buffer()), take(payload.buffer()));
            }
            (accel::Work::Decode { mut raw, payload, .. }, _) => {
                (buffers.streams, buffers.payload) = (take(raw.buffer()), unshared(payload));
            }
        }
        let crc = match (&outcome, &model) {
            (&Ok(Outcome::Decoded(made)), Model::None) => made,
            _ => crc,
        };
        let outcome = outcome.and_then(|outcome| match (model, block.work) {
            (Model::None, Work::Encode { .. }) => Ok(outcome.parts()[0].encoded),
            (Model::None, Work::Decode { encoded, .. }) => Ok(encoded),
            (Model::Assemble(split), _) => Ok(assemble(&split, outcome.parts(), buffers)),
            (Model::Rebuild(opened, model), _) => {
                let Buffers { raw, payload, streams, .. } = buffers;
                let raw = raw.sized(raw.len()).expect("its own length");
                LzCoder::rebuild(self.simd, &opened, model, payload, streams, raw).map(|()| CODED)
            }
        });
        self.finish(id, block, outcome, side, crc)
    }

    /// Adds the checksum, if it is not made yet.
    fn finish<'a>(
        &self,
        id: u64,
        block: Block<'a>,
        outcome: Result<Encoded, BlockFault>,
        side: Side,
        crc: Option<u32>,
    ) -> Finished<'a> {
        let wanted = match block.work {
            Work::Encode { .. } => true,
            Work::Decode { .. } => self.verifies && outcome.is_ok(),
        };
        let Block { buffers, pipeline, .. } = block;
        // What a device has read or written by itself this core has not.
        let cold = matches!(side, Side::Device(_)) && pipeline.model().is_none();
        let make = || match wanted {
            true if cold => bulk::checksum(&buffers.raw),
            true => crc32c::crc32c(&buffers.raw),
            false => 0,
        };
        let crc = crc.unwrap_or_else(make);
        Finished { id, buffers, outcome, crc, side, pipeline }
    }
}

/// A stored block: its payload is its bytes.
fn store<'a>(
    payload: &mut Bytes<'a>,
    raw: &mut Bytes<'a>,
    raw_size: usize,
) -> Result<(), BlockFault> {
    if payload.len() != raw_size {
        return Err(BlockFault::Size);
    }
    match (&*payload, &*raw) {
        (Bytes::Own(_), Bytes::Own(_)) => swap(payload, raw),
        _ => raw.sized(raw_size).ok_or(BlockFault::Size)?.copy_from_slice(payload),
    }
    Ok(())
}

/// The buffer, or a copy of it while somebody else still works on the same block.
fn unshared(buffer: Arc<Bytes<'_>>) -> Bytes<'_> {
    Arc::try_unwrap(buffer).unwrap_or_else(|shared| shared.again())
}

fn assemble(split: &Split, parts: &[EncodedPart], buffers: &mut Buffers<'_>) -> Encoded {
    let Buffers { raw, payload, streams, coded, .. } = buffers;
    let payload = payload.buffer();
    payload.clear();
    payload.reserve_exact(raw.len() + PAYLOAD_SLACK);
    LzCoder::assemble(split, raw, streams, parts, coded, payload)
}
