//! A batch of blocks to encode. The results come down first; they say how many bytes of payload follow them.

use crate::{
    block::{BlockParams, Encoded},
    engine::accel::{BatchLimit, Done, Job, Outcome, Work},
    error::DeviceError,
    format::{BlockKind, MAX_TABLE_LOG, MIN_TABLE_LOG},
    kernel::{
        generated::EncodeResult,
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
    /// How each block was encoded, and where its payload is in bytes; `None` while the device works.
    results: Option<Vec<(Encoded, std::ops::Range<usize>)>>,
}

impl EncodeBatch {
    pub fn start(
        slot: &mut Slot,
        pipelines: &mut Pipelines,
        limit: BatchLimit,
        jobs: &[Job],
    ) -> Result<Self, DeviceError> {
        let blocks: Vec<_> = jobs.iter().filter_map(|job| block(&job.work)).collect();
        let Some(&(_, params)) = blocks.first() else {
            return Ok(Self { plan: None, results: Some(Vec::new()) });
        };
        let raw: Vec<RawBlock> = blocks
            .iter()
            .map(|(raw, params)| RawBlock {
                raw_size: raw.len() as u32,
                coder: params.coder,
                table_log: params.table_log,
            })
            .collect();
        let plan = EncodePlan::new(&raw, params.segment_log);
        slot.reserve(&EncodePlan::capacity(limit.blocks, limit.raw_bytes))?;
        let descriptions: &[u8] = bytemuck::cast_slice(&plan.blocks);
        slot.upload(EncodePlan::BLOCKS)[..descriptions.len()].copy_from_slice(descriptions);
        let pieces: &[u8] = bytemuck::cast_slice(&plan.pieces);
        slot.upload(EncodePlan::PIECES)[..pieces.len()].copy_from_slice(pieces);
        let upload = slot.upload(EncodePlan::RAW);
        for (number, (raw, _)) in blocks.iter().enumerate() {
            upload[plan.raw_range(number)].copy_from_slice(raw);
        }
        slot.run(pipelines, &plan.recording, &[EncodePlan::RESULTS])?;
        Ok(Self { plan: Some(plan), results: None })
    }

    /// Reads the results once they are there, and fetches the payloads of the blocks that were coded.
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
                read_result(result, block.raw_size).ok_or_else(|| DeviceError::Vulkan {
                    call: "encoding a batch of blocks",
                    result: format!("the device returned the impossible {result:?}"),
                })
            })
            .collect::<Result<_, _>>()?;
        let size = results.iter().map(|(_, payload)| payload.end).max().unwrap_or(0);
        let size = size as u64;
        if size > plan.recording.buffers[EncodePlan::PAYLOAD.0 as usize].size {
            return Err(DeviceError::Vulkan {
                call: "encoding a batch of blocks",
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
            let result = block(&job.work).and_then(|_| results.next());
            let Work::Encode { raw, payload, .. } = &mut job.work else {
                unreachable!("all jobs of a batch go the same direction");
            };
            payload.clear();
            let stored = Encoded { kind: BlockKind::Stored, table_log: 0 };
            let (encoded, range) = result.unwrap_or((stored, 0..0));
            match encoded.kind {
                BlockKind::Stored => {}
                BlockKind::Single => payload.extend(raw.first()),
                BlockKind::Coded => {
                    payload.extend_from_slice(&slot.download(EncodePlan::PAYLOAD)[range]);
                }
            }
            let outcome = Ok(Outcome::Encoded(encoded));
            done.push(Done { id: job.id, work: job.work, outcome });
        }
    }
}

/// The block, if there is something to encode; an empty one is stored.
fn block(work: &Work) -> Option<(&[u8], BlockParams)> {
    match work {
        Work::Encode { raw, params, .. } if !raw.is_empty() => Some((raw, *params)),
        _ => None,
    }
}

/// What a result says; `None` if no kernel that works can have written it.
fn read_result(result: EncodeResult, raw_size: u32) -> Option<(Encoded, std::ops::Range<usize>)> {
    let EncodeResult { kind, table_log, coded_size, payload } = result;
    let trivial = |kind| Some((Encoded { kind, table_log: 0 }, 0..0));
    const STORED: u32 = BlockKind::Stored as u32;
    const SINGLE: u32 = BlockKind::Single as u32;
    const CODED: u32 = BlockKind::Coded as u32;
    match kind {
        STORED => trivial(BlockKind::Stored),
        SINGLE => trivial(BlockKind::Single),
        CODED if coded_size < raw_size => {
            let table_log = u8::try_from(table_log).ok()?;
            let start = 4 * payload as usize;
            (MIN_TABLE_LOG..=MAX_TABLE_LOG).contains(&table_log).then(|| {
                (Encoded { kind: BlockKind::Coded, table_log }, start..start + coded_size as usize)
            })
        }
        _ => None,
    }
}
