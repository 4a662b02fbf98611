//! A batch of parts to encode. The results come down first; they say how many bytes of payload follow them.

use std::ops::Range;

use crate::{
    block::{Coder, EncodePart, Encoded, EncodedPart},
    engine::accel::{BatchLimit, Done, Job, Outcome, Work},
    error::DeviceError,
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeResult},
        plan::{EncodePlan, RawBlock},
    },
    vk::{
        pipeline::Pipelines,
        submit::{Part, Slot},
    },
};

pub(super) struct EncodeBatch {
    /// What runs on the device; `None` if there is nothing for it.
    plan: Option<EncodePlan>,
    /// How each part was encoded, and where its payload is in bytes; `None` while the device works.
    results: Option<Vec<(Encoded, Range<usize>)>>,
}

impl EncodeBatch {
    pub fn start(
        slot: &mut Slot,
        pipelines: &mut Pipelines,
        limit: BatchLimit,
        jobs: &[Job],
    ) -> Result<Self, DeviceError> {
        let parts: Vec<_> = jobs.iter().flat_map(|job| parts(&job.work)).collect();
        let Some(Work::Encode { segment_log, .. }) =
            jobs.first().map(|job| &job.work).filter(|_| !parts.is_empty())
        else {
            return Ok(Self { plan: None, results: Some(Vec::new()) });
        };
        let blocks: Vec<RawBlock> = parts
            .iter()
            .map(|&(raw, part)| {
                let EncodePart { coder, table_log, .. } = *part;
                RawBlock { raw_size: raw.len() as u32, coder, table_log }
            })
            .collect();
        let plan = EncodePlan::new(&blocks, *segment_log);
        slot.reserve(&EncodePlan::capacity(limit.parts, limit.raw_bytes))?;
        let descriptions: &[u8] = bytemuck::cast_slice(&plan.blocks);
        slot.upload(EncodePlan::BLOCKS)[..descriptions.len()].copy_from_slice(descriptions);
        let pieces: &[u8] = bytemuck::cast_slice(&plan.pieces);
        slot.upload(EncodePlan::PIECES)[..pieces.len()].copy_from_slice(pieces);
        let upload = slot.upload(EncodePlan::RAW);
        for (number, (raw, _)) in parts.iter().enumerate() {
            upload[plan.raw_range(number)].copy_from_slice(raw);
        }
        slot.run(pipelines, &plan.recording, &[EncodePlan::RESULTS])?;
        Ok(Self { plan: Some(plan), results: None })
    }

    /// Reads the results once they are there, and fetches the payloads of the parts that were coded.
    pub fn advance(&mut self, slot: &mut Slot) -> Result<(), DeviceError> {
        let Some(plan) = self.plan.as_ref().filter(|_| self.results.is_none()) else {
            return Ok(());
        };
        if !slot.finished()? {
            return Ok(());
        }
        let bytes = slot.download(EncodePlan::RESULTS);
        let results: Vec<_> = plan
            .blocks
            .iter()
            .zip(bytes.chunks_exact(size_of::<EncodeResult>()))
            .map(|(block, result)| {
                let result = bytemuck::pod_read_unaligned(result);
                read_result(result, block).ok_or_else(|| DeviceError::Vulkan {
                    call: "encoding a batch",
                    result: format!("the device returned the impossible {result:?}"),
                })
            })
            .collect::<Result<_, _>>()?;
        let size = results.iter().map(|(_, payload)| payload.end).max().unwrap_or(0);
        let size = size as u64;
        if size > plan.recording.buffers[EncodePlan::PAYLOAD.0 as usize].size {
            return Err(DeviceError::Vulkan {
                call: "encoding a batch",
                result: format!("the device returned {size} bytes, more than went in"),
            });
        }
        if size > 0 {
            slot.fetch(&[Part { buffer: EncodePlan::PAYLOAD, offset: 0, size }])?;
        }
        self.results = Some(results);
        Ok(())
    }

    /// Whether [`advance`](Self::advance) has nothing more to do and the payloads are there.
    pub fn finished(&self, slot: &Slot) -> Result<bool, DeviceError> {
        match (&self.plan, &self.results) {
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
            (Some(_), Some(_)) => slot.finished(),
        }
    }

    /// Hands the jobs back. The batch has finished.
    pub fn finish(self, slot: &Slot, jobs: Vec<Job>, done: &mut Vec<Done>) {
        let mut results = self.results.unwrap_or_default().into_iter();
        for mut job in jobs {
            let Work::Encode { raw, parts, payload, .. } = &mut job.work else {
                unreachable!("all jobs of a batch go the same direction");
            };
            payload.clear();
            let outcome = parts.iter().map(|part| {
                let start = payload.len();
                let result = if part.range.is_empty() { None } else { results.next() };
                let (encoded, range) = result.unwrap_or((STORED, 0..0));
                match encoded.kind {
                    BlockKind::Stored => {}
                    BlockKind::Single => payload.push(raw[part.range.start]),
                    BlockKind::Coded => {
                        payload.extend_from_slice(&slot.download(EncodePlan::PAYLOAD)[range]);
                    }
                }
                EncodedPart { encoded, payload: start..payload.len() }
            });
            let outcome = Ok(Outcome::Encoded(outcome.collect()));
            done.push(Done { job, outcome });
        }
    }
}

const STORED: Encoded = Encoded { kind: BlockKind::Stored, table_log: 0 };

/// The parts of a job and their bytes; an empty one is stored.
fn parts(work: &Work) -> impl Iterator<Item = (&[u8], &EncodePart)> {
    let (raw, parts) = match work {
        Work::Encode { raw, parts, .. } => (&raw[..], &parts[..]),
        Work::Decode { .. } => (&[][..], &[][..]),
    };
    let bytes = parts.iter().map(|part| (&raw[part.range.clone()], part));
    bytes.filter(|(raw, _)| !raw.is_empty())
}

/// What a result says; `None` if no kernel that works can have written it.
fn read_result(result: EncodeResult, block: &EncodeBlock) -> Option<(Encoded, Range<usize>)> {
    let EncodeResult { kind, table_log, coded_size, payload } = result;
    let trivial = |kind| Some((Encoded { kind, table_log: 0 }, 0..0));
    const STORED: u32 = BlockKind::Stored as u32;
    const SINGLE: u32 = BlockKind::Single as u32;
    const CODED: u32 = BlockKind::Coded as u32;
    match kind {
        STORED => trivial(BlockKind::Stored),
        SINGLE => trivial(BlockKind::Single),
        CODED if coded_size < block.raw_size => {
            let table_log = u8::try_from(table_log).ok()?;
            let start = 4 * payload as usize;
            let coder = Coder::ALL.get(block.coder as usize)?;
            coder.table_logs().contains(&table_log).then(|| {
                (Encoded { kind: BlockKind::Coded, table_log }, start..start + coded_size as usize)
            })
        }
        _ => None,
    }
}
