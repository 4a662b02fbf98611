//! A batch of parts to decode. Stored and single-value parts are copied by the host.

use std::ops::Range;

use super::{
    limit::reserve,
    share::{Deal, Lease, Share, load, unload},
};
use crate::{
    block::{DecodePart, Encoded},
    bulk,
    engine::{
        Bytes,
        accel::{BatchLimit, Outcome, Unload, Way, Work},
    },
    error::{BlockFault, DeviceError},
    format::{BlockKind, MAX_PART_LOG, MAX_SEGMENT_LOG, MIN_SEGMENT_LOG},
    kernel::plan::{CodedBlock, DecodePlan},
    vk::{pipeline::Pipelines, submit::Slot, transfer::Transfers},
};

pub(super) struct DecodeBatch {
    /// What runs on the device; `None` if there is nothing for it.
    plan: Option<DecodePlan>,
    jobs: Vec<Job>,
    /// Where the payloads come from, and where the raw bytes go.
    payload: Transfers,
    raw: Transfers,
}

struct Job {
    /// The numbers of its parts in the plan.
    numbers: Range<usize>,
    /// The device writes its raw bytes where they belong.
    in_place: bool,
}

impl DecodeBatch {
    pub fn plan(
        slot: &mut Slot,
        limit: BatchLimit,
        works: &[&Work<'_>],
        lease: &Lease,
    ) -> Result<(Self, Vec<Way>), DeviceError> {
        let mut blocks: Vec<CodedBlock> = Vec::new();
        let mut segments = 0;
        let mut jobs: Vec<Job> = works
            .iter()
            .map(|work| {
                let Parts { parts, segment_log, .. } = Parts::of(work);
                segments = segment_log;
                let first = blocks.len();
                blocks.extend(parts.iter().filter_map(|part| coded_block(part, segment_log)));
                Job { numbers: first..blocks.len(), in_place: false }
            })
            .collect();
        let mut payloads = Transfers::with_gaps(DecodePlan::PAYLOAD);
        let mut raws = Transfers::new(DecodePlan::RAW);
        if blocks.is_empty() {
            let ways = jobs.iter().map(|_| load(lease, |_| None).into()).collect();
            return Ok((Self { plan: None, jobs, payload: payloads, raw: raws }, ways));
        }
        let gaps = match slot.device().reaches_host_memory() {
            true => gaps(works, &jobs, &blocks),
            false => Vec::new(),
        };
        let plan = DecodePlan::with_gaps(&blocks, &gaps, segments);
        let raw_bytes = blocks.iter().map(|block| block.raw_size as usize).sum();
        reserve(slot, limit, blocks.len(), raw_bytes, DecodePlan::capacity)?;
        let descriptions: &[u8] = bytemuck::cast_slice(&plan.blocks);
        slot.upload(DecodePlan::BLOCKS).bytes_mut()[..descriptions.len()]
            .copy_from_slice(descriptions);
        let mut deal = Deal::new(slot.upload(DecodePlan::PAYLOAD));
        let ways = works.iter().zip(&mut jobs).map(|(work, job)| {
            let Work::Decode { payload, parts, raw, .. } = work else { wrong_way() };
            let to = raw.place().filter(|_| parts.len() == 1);
            let from = lent_payload(payload, parts);
            let ranges = |range: fn(&DecodePlan, usize) -> Range<usize>| -> Vec<_> {
                job.numbers.clone().map(|number| range(&plan, number)).collect()
            };
            let (raw_ranges, ranges) =
                (ranges(DecodePlan::raw_range), ranges(DecodePlan::payload_range));
            // SAFETY: a place is its block's alone, and the way says that the device has it: the engine leaves such a block to the device
            // until its results have arrived or the device is quiet. Input that is lent is only read. Both are borrowed until the engine has
            // ended, whose submission thread waits for its device.
            let (in_place, is_reached) = unsafe {
                let memory = slot.memory();
                (raws.add(memory, &raw_ranges, to), payloads.add(memory, &ranges, from))
            };
            job.in_place = in_place;
            let load = (!is_reached).then(|| {
                let share = deal.share(ranges);
                load(lease, move |work| fill(share, work))
            });
            Way { load, in_place }
        });
        let ways = ways.collect();
        Ok((Self { plan: Some(plan), jobs, payload: payloads, raw: raws }, ways))
    }

    /// All loads have been called.
    pub fn start(&self, slot: &mut Slot, pipelines: &mut Pipelines) -> Result<(), DeviceError> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let eager = [DecodePlan::STATUS, DecodePlan::RAW];
        slot.run(pipelines, &plan.recording, &eager, &[&self.payload, &self.raw])
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
        let unloads = self.jobs.into_iter().map(|Job { numbers, in_place }| {
            let status = status[numbers.clone()].to_vec();
            if in_place {
                return unload(lease, move |work| arrived(&status, work));
            }
            let share = deal.share(numbers.map(|n| plan.raw_range(n)).collect());
            unload(lease, move |work| read(&status, Some(share), work))
        });
        unloads.collect()
    }
}

/// The payload of a job that is one part, if it is in the caller's memory.
fn lent_payload<'a>(payload: &'a Bytes<'_>, parts: &[DecodePart]) -> Option<&'a [u8]> {
    match parts {
        [part] => payload.lent().map(|payload| &payload[part.payload.clone()]),
        _ => None,
    }
}

/// Words to leave before each block's payload, so that those that lie close together in the caller's memory lie so on the device: as many
/// copies take three times as long. Where such a row begins, both sides are equally aligned, as far as words can be.
fn gaps(works: &[&Work<'_>], jobs: &[Job], blocks: &[CodedBlock]) -> Vec<u32> {
    /// Copies like it.
    const ALIGNED: usize = 4 * (DecodePlan::MOST_GAP as usize + 1);
    let mut gaps = vec![0; blocks.len()];
    // Where the payload before ends, in words: on the device, from the first one's beginning, and in the caller's memory.
    let (mut device_end, mut callers_end) = (0, None);
    for (work, job) in works.iter().zip(jobs) {
        let Work::Decode { payload, parts, .. } = work else { wrong_way() };
        let lent = lent_payload(payload, parts).filter(|_| job.numbers.len() == 1);
        let start = lent.map(|lent| lent.as_ptr() as usize);
        if let Some(start) = start {
            let distance = callers_end.and_then(|end| start.checked_sub(end));
            let gap = match distance.filter(|&bytes| bytes < ALIGNED && bytes % 4 == 0) {
                Some(distance) => distance,
                None => (start.wrapping_sub(device_end) % ALIGNED) & !3,
            };
            gaps[job.numbers.start] = (gap / 4) as u32;
            device_end += gap;
        }
        let coded = blocks[job.numbers.clone()].iter();
        let bytes: usize = coded.map(|block| block.coded_size.next_multiple_of(4) as usize).sum();
        device_end += bytes;
        callers_end = start.map(|start| start + bytes);
    }
    gaps
}

/// What the device has brought to a job's place, with the status words of its parts.
fn arrived(status: &[u32], work: &mut Work<'_>) -> Result<Outcome, BlockFault> {
    let outcome = status.iter().try_for_each(|&word| succeeded(word));
    if let (Err(_), Work::Decode { raw: Bytes::Place(place), .. }) = (outcome, work) {
        place.fill(0); // It has come down whole, with what an earlier batch had there.
    }
    outcome.map(|()| Outcome::Decoded(None))
}

/// What a block's status word says.
fn succeeded(status: u32) -> Result<(), BlockFault> {
    match status {
        0 => Ok(()),
        fault => Err(BlockFault::from_status(fault).unwrap_or(BlockFault::Stream)),
    }
}

fn wrong_way() -> ! {
    unreachable!("all jobs of a batch go the same direction")
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
            wrong_way();
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
        wrong_way();
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
                Some((&word, bytes)) if several => {
                    succeeded(word)?;
                    raw.copy_from_slice(bytes);
                }
                Some((&word, bytes)) => {
                    succeeded(word)?;
                    crc = Some(bulk::copy_with_checksum(bytes, raw));
                }
                None => return Err(BlockFault::Stream),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::coder::Coder;

    /// Payloads of such sizes with a record's header before each, from a byte of `memory` on.
    fn works<'a>(memory: &'a [u8], sizes: &[usize], mut at: usize) -> Vec<Work<'a>> {
        let work = |&size: &usize| {
            at += 16;
            let payload = Arc::new(Bytes::Lent(&memory[at..at + size]));
            at += size.next_multiple_of(4);
            let encoded = Encoded { kind: BlockKind::Coded, table_log: 11 };
            let (range, coder) = (0..2 * size, Coder::Rans);
            let parts = vec![DecodePart { payload: 0..size, range, encoded, coder }];
            Work::Decode { payload, parts, segment_log: 14, raw: Bytes::default() }
        };
        sizes.iter().map(work).collect()
    }

    #[test]
    fn payloads_that_lie_close_together_lie_so_on_the_device() {
        let memory = vec![0; 1 << 20];
        for start in [0, 1, 4, 60, 62, 4096] {
            let mut all = works(&memory, &[1001, 70_000, 4, 333], start);
            all.extend(works(&memory, &[50_000, 8], 500_000 + start));
            all.extend(works(&memory, &[9], 100));
            let works: Vec<&Work<'_>> = all.iter().collect();
            let block =
                |work: &&Work<'_>| coded_block(&Parts::of(work).parts[0], 14).expect("it is coded");
            let blocks: Vec<CodedBlock> = works.iter().map(block).collect();
            let numbers = (0..blocks.len()).map(|number| number..number + 1);
            let jobs: Vec<Job> = numbers.map(|numbers| Job { numbers, in_place: false }).collect();
            let gaps = gaps(&works, &jobs, &blocks);
            let plan = DecodePlan::with_gaps(&blocks, &gaps, 14);
            let place = |number: usize| {
                let payload = Parts::of(works[number]).payload.as_ptr() as usize;
                (payload, plan.payload_range(number).start)
            };
            for row in [0..4, 4..6, 6..7] {
                let (first, on_device) = place(row.start);
                assert_eq!((first / 4 - on_device / 4) % 16, 0, "both are equally aligned");
                for number in row {
                    let (callers, device) = place(number);
                    assert_eq!(callers - first, device - on_device, "{start}, {number}");
                }
            }
        }
    }
}
