//! A batch of blocks to decode. Stored and single-value blocks are copied by the host.

use crate::{
    block::Coder,
    engine::accel::{BatchLimit, Done, Job, Outcome, Work},
    error::{BlockFault, DeviceError},
    format::{
        BlockKind, MAX_BLOCK_LOG, MAX_SEGMENT_LOG, MAX_TABLE_LOG, MIN_SEGMENT_LOG, MIN_TABLE_LOG,
    },
    kernel::plan::{CodedBlock, DecodePlan},
    vk::{pipeline::Pipelines, submit::Slot},
};

pub(super) struct DecodeBatch {
    /// What runs on the device; `None` if there is nothing for it.
    plan: Option<DecodePlan>,
}

impl DecodeBatch {
    pub fn start(
        slot: &mut Slot,
        pipelines: &mut Pipelines,
        limit: BatchLimit,
        jobs: &[Job],
    ) -> Result<Self, DeviceError> {
        let coded: Vec<_> = jobs.iter().filter_map(|job| coded(&job.work)).collect();
        let Some(&(_, _, segment_log)) = coded.first() else { return Ok(Self { plan: None }) };
        let blocks: Vec<CodedBlock> = coded.iter().map(|&(block, ..)| block).collect();
        let plan = DecodePlan::new(&blocks, segment_log);
        slot.reserve(&DecodePlan::capacity(limit.blocks, limit.raw_bytes))?;
        let descriptions: &[u8] = bytemuck::cast_slice(&plan.blocks);
        slot.upload(DecodePlan::BLOCKS)[..descriptions.len()].copy_from_slice(descriptions);
        let upload = slot.upload(DecodePlan::PAYLOAD);
        for (number, (_, payload, _)) in coded.iter().enumerate() {
            upload[plan.payload_range(number)].copy_from_slice(payload);
        }
        slot.run(pipelines, &plan.recording, &[DecodePlan::STATUS, DecodePlan::RAW])?;
        Ok(Self { plan: Some(plan) })
    }

    pub fn finished(&self, slot: &Slot) -> Result<bool, DeviceError> {
        if self.plan.is_none() { Ok(true) } else { slot.finished() }
    }

    /// Hands the jobs back. The batch has finished.
    pub fn finish(self, slot: &Slot, jobs: Vec<Job>, done: &mut Vec<Done>) {
        let mut numbers = 0_usize..;
        for mut job in jobs {
            let on_device = coded(&job.work).is_some();
            let Work::Decode { payload, raw, kind, raw_size, .. } = &mut job.work else {
                unreachable!("all jobs of a batch go the same direction");
            };
            raw.clear();
            let outcome = match &self.plan {
                Some(plan) if on_device => {
                    let number = numbers.next().expect("the range has no end");
                    read_block(plan, slot, number, raw)
                }
                _ => decode_trivial(*kind, payload, *raw_size as usize, raw),
            };
            let outcome = outcome.map(|()| Outcome::Decoded);
            done.push(Done { id: job.id, work: job.work, outcome });
        }
    }
}

/// The block, its payload and its segment size, if its decoding is the device's work. Whatever is not possible in a
/// coded block is refused by the host.
fn coded(work: &Work) -> Option<(CodedBlock, &[u8], u8)> {
    let Work::Decode { payload, kind: BlockKind::Coded, table_log, segment_log, raw_size, .. } =
        work
    else {
        return None;
    };
    let possible = payload.len() < *raw_size as usize
        && *raw_size <= 1 << MAX_BLOCK_LOG
        && (MIN_TABLE_LOG..=MAX_TABLE_LOG).contains(table_log)
        && (MIN_SEGMENT_LOG..=MAX_SEGMENT_LOG).contains(segment_log);
    let block = CodedBlock {
        coder: Coder::Rans,
        coded_size: payload.len() as u32,
        raw_size: *raw_size,
        table_log: *table_log,
    };
    possible.then_some((block, payload, *segment_log))
}

fn read_block(
    plan: &DecodePlan,
    slot: &Slot,
    number: usize,
    raw: &mut Vec<u8>,
) -> Result<(), BlockFault> {
    let status = &slot.download(DecodePlan::STATUS)[4 * number..][..4];
    match u32::from_le_bytes([status[0], status[1], status[2], status[3]]) {
        0 => raw.extend_from_slice(&slot.download(DecodePlan::RAW)[plan.raw_range(number)]),
        word => return Err(BlockFault::from_status(word).unwrap_or(BlockFault::Stream)),
    }
    Ok(())
}

fn decode_trivial(
    kind: BlockKind,
    payload: &[u8],
    raw_size: usize,
    raw: &mut Vec<u8>,
) -> Result<(), BlockFault> {
    match (kind, payload) {
        (BlockKind::Stored, _) if payload.len() == raw_size => raw.extend_from_slice(payload),
        (BlockKind::Single, &[value]) => raw.resize(raw_size, value),
        _ => return Err(BlockFault::Size),
    }
    Ok(())
}
