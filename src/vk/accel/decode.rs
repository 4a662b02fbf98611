//! A batch of parts to decode. Stored and single-value parts are copied by the host.

use crate::{
    block::{DecodePart, Encoded},
    engine::{
        accel::{BatchLimit, Done, Job, Outcome, Work},
        resize_exact,
    },
    error::{BlockFault, DeviceError},
    format::{BlockKind, MAX_PART_LOG, MAX_SEGMENT_LOG, MIN_SEGMENT_LOG},
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
        let coded: Vec<_> = jobs.iter().flat_map(|job| coded(&job.work)).collect();
        let Some(&(_, _, segment_log)) = coded.first() else { return Ok(Self { plan: None }) };
        let blocks: Vec<CodedBlock> = coded.iter().map(|&(block, ..)| block).collect();
        let plan = DecodePlan::new(&blocks, segment_log);
        slot.reserve(&DecodePlan::capacity(limit.parts, limit.raw_bytes))?;
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
        let mut numbers = 0..;
        for mut job in jobs {
            let Work::Decode { payload, parts, segment_log, raw } = &mut job.work else {
                unreachable!("all jobs of a batch go the same direction");
            };
            resize_exact(raw, parts.last().map_or(0, |part| part.range.end));
            let mut outcome = Ok(());
            for part in parts {
                let (payload, raw) = (&payload[part.payload.clone()], &mut raw[part.range.clone()]);
                let decoded = match &self.plan {
                    Some(plan) if coded_block(part, *segment_log).is_some() => {
                        let number = numbers.next().expect("the range has no end");
                        read_part(plan, slot, number, raw)
                    }
                    _ => decode_trivial(part.encoded, payload, raw),
                };
                // The first fault; the numbers of the parts behind it are counted all the same.
                outcome = outcome.and(decoded);
            }
            done.push(Done { job, outcome: outcome.map(|()| Outcome::Decoded) });
        }
    }
}

/// The parts that are the device's work, with their payloads and segment size.
fn coded(work: &Work) -> impl Iterator<Item = (CodedBlock, &[u8], u8)> {
    let (payload, parts, segment_log) = match work {
        Work::Decode { payload, parts, segment_log, .. } => {
            (&payload[..], &parts[..], *segment_log)
        }
        Work::Encode { .. } => (&[][..], &[][..], 0),
    };
    parts.iter().filter_map(move |part| {
        let block = coded_block(part, segment_log)?;
        Some((block, &payload[part.payload.clone()], segment_log))
    })
}

/// The part, if its decoding is the device's work. Whatever is not possible in a coded one is refused by the host.
fn coded_block(part: &DecodePart, segment_log: u8) -> Option<CodedBlock> {
    let &DecodePart { encoded: Encoded { kind, table_log }, coder, .. } = part;
    let (coded_size, raw_size) = (part.payload.len(), part.range.len());
    let possible = kind == BlockKind::Coded
        && coded_size < raw_size
        && raw_size <= 1 << MAX_PART_LOG
        && coder.table_logs().contains(&table_log)
        && (MIN_SEGMENT_LOG..=MAX_SEGMENT_LOG).contains(&segment_log);
    let (coded_size, raw_size) = (coded_size as u32, raw_size as u32);
    possible.then_some(CodedBlock { coder, coded_size, raw_size, table_log })
}

fn read_part(
    plan: &DecodePlan,
    slot: &Slot,
    number: usize,
    raw: &mut [u8],
) -> Result<(), BlockFault> {
    let status = &slot.download(DecodePlan::STATUS)[4 * number..][..4];
    match u32::from_le_bytes([status[0], status[1], status[2], status[3]]) {
        0 => raw.copy_from_slice(&slot.download(DecodePlan::RAW)[plan.raw_range(number)]),
        word => return Err(BlockFault::from_status(word).unwrap_or(BlockFault::Stream)),
    }
    Ok(())
}

fn decode_trivial(encoded: Encoded, payload: &[u8], raw: &mut [u8]) -> Result<(), BlockFault> {
    match (encoded.kind, payload) {
        (BlockKind::Stored, _) if payload.len() == raw.len() => raw.copy_from_slice(payload),
        (BlockKind::Single, &[value]) => raw.fill(value),
        _ => return Err(BlockFault::Size),
    }
    Ok(())
}
