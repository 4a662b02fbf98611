//! A batch of parts to encode. The results come down first; they say how many bytes of payload follow them.

use std::ops::Range;

use super::{
    limit::reserve,
    share::{Deal, Lease, Share, lend, load, unload},
};
use crate::{
    block::{Coder, EncodePart, Encoded, EncodedPart},
    bulk,
    engine::accel::{BatchLimit, Outcome, Stay, Unload, Way, Work},
    error::DeviceError,
    format::BlockKind,
    kernel::{
        generated::{EncodeBlock, EncodeResult},
        plan::{EncodePlan, RawBlock},
    },
    vk::{
        pipeline::Pipelines,
        submit::{Part, Slot},
        transfer::Transfers,
    },
};

pub(super) struct EncodeBatch {
    /// What runs on the device; `None` if there is nothing for it.
    plan: Option<EncodePlan>,
    /// The numbers of each job's parts in the plan.
    jobs: Vec<Range<usize>>,
    /// Where the raw bytes come from.
    raw: Transfers,
    /// How each part was encoded, and where its payload is in bytes; `None` while the device works.
    results: Option<Vec<PartResult>>,
}

type PartResult = (Encoded, Range<usize>);

impl EncodeBatch {
    pub fn plan(
        slot: &mut Slot,
        limit: BatchLimit,
        works: &[&Work<'_>],
        lease: &Lease,
    ) -> Result<(Self, Vec<Way>), DeviceError> {
        let mut blocks: Vec<RawBlock> = Vec::new();
        let mut segments = 0;
        let jobs: Vec<Range<usize>> = works
            .iter()
            .map(|work| {
                let Work::Encode { raw, parts, segment_log, .. } = work else { wrong_way() };
                segments = *segment_log;
                let first = blocks.len();
                blocks.extend(parts_of(raw, parts).map(|(raw, part)| RawBlock {
                    raw_size: raw.len() as u32,
                    coder: part.coder,
                    table_log: part.table_log,
                }));
                first..blocks.len()
            })
            .collect();
        if blocks.is_empty() {
            let ways = jobs.iter().map(|_| load(lease, |_| None).into()).collect();
            return Ok((
                Self { plan: None, jobs, raw: Transfers::new(EncodePlan::RAW), results: None },
                ways,
            ));
        }
        // Over a link the payloads go as one piece.
        let (plan, capacity) = match slot.device().has_link() {
            true => {
                let plan = EncodePlan::gathered(&blocks, segments);
                (plan, EncodePlan::gathered_capacity as fn(_, _) -> _)
            }
            false => (EncodePlan::new(&blocks, segments), EncodePlan::capacity as fn(_, _) -> _),
        };
        let raw_bytes = blocks.iter().map(|block| block.raw_size as usize).sum();
        reserve(slot, limit, blocks.len(), raw_bytes, capacity)?;
        let descriptions: &[u8] = bytemuck::cast_slice(&plan.blocks);
        slot.upload(EncodePlan::BLOCKS).bytes_mut()[..descriptions.len()]
            .copy_from_slice(descriptions);
        let pieces: &[u8] = bytemuck::cast_slice(&plan.pieces);
        slot.upload(EncodePlan::PIECES).bytes_mut()[..pieces.len()].copy_from_slice(pieces);
        let mut deal = Deal::new(slot.upload(EncodePlan::RAW));
        let mut transfers = Transfers::new(EncodePlan::RAW);
        let ways = works.iter().zip(&jobs).map(|(work, numbers)| {
            let ranges: Vec<_> = numbers.clone().map(|n| plan.raw_range(n)).collect();
            let Work::Encode { raw, parts, .. } = work else { wrong_way() };
            let callers = match &parts[..] {
                [part] => raw.lent().map(|raw| &raw[part.range.clone()]),
                _ => None,
            };
            // SAFETY: input that is lent is only read until the engine has ended, whose submission thread waits for its device.
            if unsafe { transfers.add(slot.memory(), &ranges, callers) } {
                return Way { load: None, in_place: false };
            }
            let share = deal.share(ranges);
            load(lease, move |work| fill(share, work)).into()
        });
        let ways = ways.collect();
        Ok((Self { plan: Some(plan), jobs, raw: transfers, results: None }, ways))
    }

    /// All loads have been called.
    pub fn start(&self, slot: &mut Slot, pipelines: &mut Pipelines) -> Result<(), DeviceError> {
        let Some(plan) = &self.plan else { return Ok(()) };
        let eager: &[_] = if plan.gathers { &[] } else { &[EncodePlan::RESULTS] };
        slot.run(pipelines, &plan.recording, eager, &[&self.raw])
    }

    pub fn has_device_work(&self) -> bool {
        self.plan.is_some()
    }

    /// Whether the payloads are there. Once the results are, it starts to fetch them.
    pub fn advance(&mut self, slot: &mut Slot) -> Result<bool, DeviceError> {
        let Some(plan) = &self.plan else { return Ok(true) };
        if self.results.is_some() || !slot.finished()? {
            return Ok(self.results.is_some() && slot.finished()?);
        }
        let (report, buffer) = plan.outputs();
        let results = read_results(plan, slot.download(report).bytes())?;
        let mut parts: Vec<Part> = Vec::new();
        for (_, payload) in results.iter().filter(|(_, payload)| !payload.is_empty()) {
            let (offset, size) = (payload.start as u64, payload.len().next_multiple_of(4) as u64);
            match parts.last_mut() {
                Some(last) if last.offset + last.size == offset => last.size += size,
                _ => parts.push(Part { buffer, offset, size }),
            }
        }
        if !parts.is_empty() {
            slot.fetch(&parts)?;
        }
        self.results = Some(results);
        slot.finished()
    }

    /// The payloads are there.
    pub fn unloads(self, slot: &mut Slot, lease: &Lease, lends: bool) -> Vec<Unload> {
        let (Some(plan), Some(results)) = (self.plan, self.results) else {
            let store = |_| unload(lease, |work| Ok(read(&[], None, work, Stay::No).0));
            return self.jobs.into_iter().map(store).collect();
        };
        let mut deal = Deal::new(slot.download(plan.outputs().1));
        let unloads = self.jobs.into_iter().map(|numbers| {
            let results = results[numbers].to_vec();
            let coded = results.iter().filter(|(encoded, _)| encoded.kind == BlockKind::Coded);
            let share = deal.share(coded.map(|(_, payload)| payload.clone()).collect());
            if lends && share.is_cached() {
                return lend(lease, share, move |work, share, stay| {
                    read(&results, Some(share), work, stay)
                });
            }
            unload(lease, move |work| Ok(read(&results, Some(&share), work, Stay::No).0))
        });
        unloads.collect()
    }
}

const STORED: Encoded = Encoded { kind: BlockKind::Stored, table_log: 0 };

fn wrong_way() -> ! {
    unreachable!("all jobs of a batch go the same direction")
}

/// The parts of a job that are the device's work, and their bytes; an empty one is stored.
fn parts_of<'a>(
    raw: &'a [u8],
    parts: &'a [EncodePart],
) -> impl Iterator<Item = (&'a [u8], &'a EncodePart)> {
    let parts = parts.iter().filter(|part| !part.range.is_empty());
    parts.map(|part| (&raw[part.range.clone()], part))
}

/// Copies the bytes of a job's parts to the slot, and makes the checksum if it is one part.
fn fill(mut share: Share, work: &Work<'_>) -> Option<u32> {
    let Work::Encode { raw, parts, .. } = work else { wrong_way() };
    if let [EncodePart { range, .. }] = &parts[..]
        && !range.is_empty()
    {
        return Some(bulk::copy_with_checksum(&raw[range.clone()], share.part_mut(0)));
    }
    for (number, (raw, _)) in parts_of(raw, parts).enumerate() {
        share.part_mut(number).copy_from_slice(raw);
    }
    None
}

/// Copies a job's payloads out of the slot, unless it is only one and may stay.
fn read(
    results: &[PartResult],
    share: Option<&Share>,
    work: &mut Work<'_>,
    stay: Stay,
) -> (Outcome, bool) {
    let Work::Encode { raw, parts, payload, .. } = work else { wrong_way() };
    if stay == Stay::May
        && parts.len() == 1
        && let [(encoded, range)] = results
        && encoded.kind == BlockKind::Coded
    {
        let part = EncodedPart { encoded: *encoded, payload: 0..range.len() };
        return (Outcome::Encoded(vec![part]), true);
    }
    let payload = payload.buffer();
    payload.clear();
    payload.reserve(results.iter().map(|(_, range)| range.len()).sum());
    let mut results = results.iter();
    let mut coded = share.into_iter().flat_map(Share::parts);
    let parts = parts.iter().map(|part| {
        let start = payload.len();
        let result = if part.range.is_empty() { None } else { results.next() };
        let encoded = result.map_or(STORED, |&(encoded, _)| encoded);
        match encoded.kind {
            BlockKind::Stored => {}
            BlockKind::Single => payload.push(raw[part.range.start]),
            BlockKind::Coded => payload.extend_from_slice(coded.next().unwrap_or_default()),
        }
        EncodedPart { encoded, payload: start..payload.len() }
    });
    (Outcome::Encoded(parts.collect()), false)
}

/// What the device says of each part.
fn read_results(plan: &EncodePlan, bytes: &[u8]) -> Result<Vec<PartResult>, DeviceError> {
    let results = bytes.chunks_exact(size_of::<EncodeResult>()).map(bytemuck::pod_read_unaligned);
    let mut gathered = 0;
    let read = |(block, result): (&EncodeBlock, EncodeResult)| {
        let payload = if plan.gathers { gathered } else { block.payload };
        let read = read_result(result, block, payload).ok_or_else(|| DeviceError::Vulkan {
            call: "encoding a batch",
            result: format!("the device returned {result:?}"),
        })?;
        gathered += read.1.len().div_ceil(4) as u32;
        Ok(read)
    };
    plan.blocks.iter().zip(results).map(read).collect()
}

/// What a result says of a block whose payload begins at that word if it is coded; `None` if no kernel that works can have written it.
fn read_result(result: EncodeResult, block: &EncodeBlock, begin: u32) -> Option<PartResult> {
    let EncodeResult { kind, table_log, coded_size, payload } = result;
    let trivial = |kind| Some((Encoded { kind, table_log: 0 }, 0..0));
    const STORED: u32 = BlockKind::Stored as u32;
    const SINGLE: u32 = BlockKind::Single as u32;
    const CODED: u32 = BlockKind::Coded as u32;
    match kind {
        STORED => trivial(BlockKind::Stored),
        SINGLE => trivial(BlockKind::Single),
        CODED if coded_size < block.raw_size && payload == begin => {
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
