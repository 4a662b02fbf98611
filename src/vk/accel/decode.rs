//! A batch of parts to decode. Stored and single-value parts are copied by the host.

use std::ops::Range;

use super::{
    copy::copy_with_checksum,
    limit::reserve,
    share::{Deal, Lease, Share, load, unload},
};
use crate::{
    block::{DecodePart, Encoded},
    engine::accel::{BatchLimit, Load, Outcome, Unload, Work},
    error::{BlockFault, DeviceError},
    format::{BlockKind, MAX_PART_LOG, MAX_SEGMENT_LOG, MIN_SEGMENT_LOG},
    kernel::plan::{CodedBlock, DecodePlan},
    vk::{pipeline::Pipelines, submit::Slot},
};

pub(super) struct DecodeBatch {
    /// What runs on the device; `None` if there is nothing for it.
    plan: Option<DecodePlan>,
    /// The numbers of each job's parts in the plan.
    jobs: Vec<Range<usize>>,
}

impl DecodeBatch {
    pub fn plan(
        slot: &mut Slot,
        limit: BatchLimit,
        works: &[&Work<'_>],
        lease: &Lease,
    ) -> Result<(Self, Vec<Load>), DeviceError> {
        let mut blocks: Vec<CodedBlock> = Vec::new();
        let mut segments = 0;
        let jobs: Vec<Range<usize>> = works
            .iter()
            .map(|work| {
                let Parts { parts, segment_log, .. } = Parts::of(work);
                segments = segment_log;
                let first = blocks.len();
                blocks.extend(parts.iter().filter_map(|part| coded_block(part, segment_log)));
                first..blocks.len()
            })
            .collect();
        if blocks.is_empty() {
            let loads = jobs.iter().map(|_| load(lease, |_| None)).collect();
            return Ok((Self { plan: None, jobs }, loads));
        }
        let plan = DecodePlan::new(&blocks, segments);
        let raw_bytes = blocks.iter().map(|block| block.raw_size as usize).sum();
        reserve(slot, limit, blocks.len(), raw_bytes, DecodePlan::capacity)?;
        let descriptions: &[u8] = bytemuck::cast_slice(&plan.blocks);
        slot.upload(DecodePlan::BLOCKS).bytes_mut()[..descriptions.len()]
            .copy_from_slice(descriptions);
        let mut deal = Deal::new(slot.upload(DecodePlan::PAYLOAD));
        let loads = jobs.iter().map(|numbers| {
            let share = deal.share(numbers.clone().map(|n| plan.payload_range(n)).collect());
            load(lease, move |work| fill(share, work))
        });
        let loads = loads.collect();
        Ok((Self { plan: Some(plan), jobs }, loads))
    }

    /// All loads have been called.
    pub fn start(&self, slot: &mut Slot, pipelines: &mut Pipelines) -> Result<(), DeviceError> {
        let Some(plan) = &self.plan else { return Ok(()) };
        slot.run(pipelines, &plan.recording, &[DecodePlan::STATUS, DecodePlan::RAW])
    }

    pub fn has_device_work(&self) -> bool {
        self.plan.is_some()
    }

    /// The batch has finished.
    pub fn unloads(self, slot: &mut Slot, lease: &Lease) -> Vec<Unload> {
        let Some(plan) = self.plan else {
            let read = |_| unload(lease, |work| read(&[], None, work));
            return self.jobs.into_iter().map(read).collect();
        };
        let status = slot.download(DecodePlan::STATUS);
        let status: Vec<u32> =
            status.bytes().chunks_exact(4).map(bytemuck::pod_read_unaligned).collect();
        let mut deal = Deal::new(slot.download(DecodePlan::RAW));
        let unloads = self.jobs.into_iter().map(|numbers| {
            let status = status[numbers.clone()].to_vec();
            let share = deal.share(numbers.map(|n| plan.raw_range(n)).collect());
            unload(lease, move |work| read(&status, Some(share), work))
        });
        unloads.collect()
    }
}

/// What there is to decode.
struct Parts<'a> {
    payload: &'a [u8],
    parts: &'a [DecodePart],
    segment_log: u8,
}

impl<'a> Parts<'a> {
    fn of(work: &'a Work<'_>) -> Self {
        let Work::Decode { payload, parts, segment_log, .. } = work else {
            unreachable!("all jobs of a batch go the same direction");
        };
        Self { payload, parts, segment_log: *segment_log }
    }
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

/// Copies the payloads of a job's coded parts to the slot.
fn fill(mut share: Share, work: &Work<'_>) -> Option<u32> {
    let Parts { payload, parts, segment_log } = Parts::of(work);
    let coded = parts.iter().filter(|part| coded_block(part, segment_log).is_some());
    for (number, part) in coded.enumerate() {
        share.part_mut(number).copy_from_slice(&payload[part.payload.clone()]);
    }
    None
}

/// Copies a job's bytes out of the slot, with the status words and the bytes of its coded parts.
fn read(status: &[u32], share: Option<Share>, work: &mut Work<'_>) -> Result<Outcome, BlockFault> {
    let Work::Decode { payload, parts, segment_log, raw } = work else {
        unreachable!("all jobs of a batch go the same direction");
    };
    let length = parts.last().map_or(0, |part| part.range.end);
    let raw = raw.sized(length).ok_or(BlockFault::Size)?;
    let mut coded = status.iter().zip(share.iter().flat_map(Share::parts));
    let (mut crc, several) = (None, parts.len() > 1);
    for part in parts {
        let (payload, raw) = (&payload[part.payload.clone()], &mut raw[part.range.clone()]);
        match (coded_block(part, *segment_log), part.encoded.kind) {
            (Some(_), _) => match coded.next() {
                // The streams of a block with a model are read again next.
                Some((0, bytes)) if several => raw.copy_from_slice(bytes),
                Some((0, bytes)) => crc = Some(copy_with_checksum(bytes, raw)),
                fault => {
                    let fault = fault.and_then(|(&word, _)| BlockFault::from_status(word));
                    return Err(fault.unwrap_or(BlockFault::Stream));
                }
            },
            (None, BlockKind::Stored) if payload.len() == part.range.len() => {
                raw.copy_from_slice(payload);
            }
            (None, BlockKind::Single) if payload.len() == 1 => {
                raw.fill(payload[0]);
            }
            _ => return Err(BlockFault::Size),
        }
    }
    Ok(Outcome::Decoded(crc))
}
