//! Streams as parts: where they are cut, which coder codes each part, and the directory that says so
//! (`docs/FORMAT.md`, section 3).

use std::ops::Range;

use super::{
    LzParams, Model,
    streams::{Layout, MAX_STREAMS},
};
use crate::{
    block::{Coder, DecodePart, Encoded},
    coder::{estimate::coded_bytes, histogram::histogram},
    error::BlockFault,
    format::{BlockKind, MAX_SEGMENT_LOG, padding},
};

/// The most bytes in a part.
pub(super) const MAX_PART: usize = 1 << 20;
/// Every part but a stream's last is a multiple of this.
const PART_UNIT: usize = 1 << 12;
/// What a stream is first cut into; neighbours are then joined where one table for both is cheaper than two.
const CUT: usize = 1 << 13;
/// Bytes of the counts and of a directory entry.
const COUNTS: usize = 16;
const ENTRY: usize = 8;

const RAW: u64 = 0;
const SINGLE: u64 = 1;
const fn method(coder: Coder) -> u64 {
    match coder {
        Coder::Rans => 2,
        Coder::Fse => 3,
        Coder::Huffman => 4,
    }
}

/// A part that is about to be coded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Planned {
    /// Where its bytes lie among those of all streams.
    pub range: Range<usize>,
    /// Its coder; `None` if none would make it smaller.
    pub coder: Option<Coder>,
    /// How often each byte value occurs.
    pub counts: [u32; 256],
    /// Bytes that it takes, about; with the directory's entry.
    cost: u64,
}

/// Bytes that the plan for streams of so many bytes takes.
pub(super) const fn plan_memory(streams: usize) -> usize {
    (streams / CUT + MAX_STREAMS) * (size_of::<Planned>() + size_of::<Option<u64>>())
}

/// The most parts that the plan begins with for a stream of so many bytes.
pub(super) fn most_parts(stream: usize) -> usize {
    stream.div_ceil(CUT)
}

/// Cuts a stream that begins at `start` among all streams into parts, and chooses their coders.
///
/// The stream is first cut finely; then neighbours are joined, the pair that gains most first, as long as one table
/// for both is cheaper than two.
pub(super) fn plan(bytes: &[u8], start: usize, params: &LzParams, parts: &mut Vec<Planned>) {
    let (first, mut end) = (parts.len(), start);
    parts.extend(bytes.chunks(CUT).map(|unit| {
        end += unit.len();
        Planned::new(end - unit.len()..end, histogram(unit), params)
    }));
    // A unit that was joined to the one before it is left empty. Gains are of joining a unit to the one before it.
    let units = &mut parts[first..];
    let mut gains: Vec<Option<u64>> =
        (0..units.len()).map(|at| units[at.checked_sub(1)?].gain(&units[at], params)).collect();
    while let Some(at) = first_of_most(&gains) {
        let is_left = |&at: &usize| !units[at].range.is_empty();
        let before = (0..at).rfind(is_left).expect("it has a gain");
        let (earlier, later) = ((0..before).rfind(is_left), (at + 1..units.len()).find(is_left));
        units[before] = units[before].join(&units[at], params);
        units[at].range = 0..0;
        gains[at] = None;
        if let Some(earlier) = earlier {
            gains[before] = units[earlier].gain(&units[before], params);
        }
        if let Some(later) = later {
            gains[later] = units[before].gain(&units[later], params);
        }
    }
    parts.retain(|part| !part.range.is_empty());
}

/// Where the first of the largest gains is.
fn first_of_most(gains: &[Option<u64>]) -> Option<usize> {
    let known = (0..gains.len()).rev().filter_map(|at| Some((gains[at]?, at)));
    known.max_by_key(|&(gain, _)| gain).map(|(_, at)| at)
}

impl Planned {
    fn new(range: Range<usize>, counts: [u32; 256], params: &LzParams) -> Self {
        let size = range.len();
        let costs = params
            .coders
            .iter()
            .map(|&coder| (coded_bytes(&counts, size, coder, params.segment_log), Some(coder)));
        let best = costs.min_by_key(|&(cost, _)| cost);
        // A part that hardly shrinks is not worth the decoder's time.
        let raw = (size - size / 64) as u64;
        let (cost, coder) = best.filter(|&(cost, _)| cost < raw).unwrap_or((size as u64, None));
        // A part of one value needs a coder's attention, but no room.
        let single = counts.iter().any(|&count| count as usize == size);
        let (cost, coder) =
            if single { (1, params.coders.first().copied()) } else { (cost, coder) };
        Self { range, coder, counts, cost: cost + ENTRY as u64 }
    }

    /// This part and the one behind it as one.
    fn join(&self, next: &Self, params: &LzParams) -> Self {
        let counts = std::array::from_fn(|symbol| self.counts[symbol] + next.counts[symbol]);
        Self::new(self.range.start..next.range.end, counts, params)
    }

    /// How many bytes it saves if the next part is joined to this one; `None` if it does not.
    fn gain(&self, next: &Self, params: &LzParams) -> Option<u64> {
        if self.range.len() + next.range.len() > MAX_PART {
            return None;
        }
        if self.coder.is_none() && next.coder.is_none() {
            return Some(ENTRY as u64); // As good as certain, and much faster to say.
        }
        (self.cost + next.cost).checked_sub(self.join(next, params).cost)
    }
}

/// Writes a block's payload: counts, directory, parts, tail.
pub(super) struct PartWriter<'a> {
    payload: &'a mut Vec<u8>,
    parts: usize,
}

impl<'a> PartWriter<'a> {
    /// Begins a payload of so many parts; whatever is in `payload` is replaced.
    pub fn new(payload: &'a mut Vec<u8>, counts: [u32; 4], parts: usize) -> Self {
        payload.clear();
        payload.extend(counts.into_iter().flat_map(u32::to_le_bytes));
        payload.resize(COUNTS + ENTRY * parts, 0);
        Self { payload, parts: 0 }
    }

    /// Appends the next part: `raw` itself if it is stored, else `coded`.
    pub fn push(&mut self, raw: &[u8], coder: Option<Coder>, encoded: Encoded, coded: &[u8]) {
        let (method, bytes) = match (encoded.kind, coder) {
            (BlockKind::Stored, _) | (_, None) => (RAW, raw),
            (BlockKind::Single, _) => (SINGLE, coded),
            (BlockKind::Coded, Some(coder)) => (method(coder), coded),
        };
        let log = if method > SINGLE { encoded.table_log } else { 0 };
        let entry =
            raw.len() as u64 | method << 24 | u64::from(log) << 28 | (bytes.len() as u64) << 32;
        let at = COUNTS + ENTRY * self.parts;
        self.payload[at..at + ENTRY].copy_from_slice(&entry.to_le_bytes());
        self.payload.extend_from_slice(bytes);
        self.payload.resize(self.payload.len() + padding(bytes.len() as u32), 0);
        self.parts += 1;
    }

    /// Appends the tail.
    pub fn finish(self, tail: &[u8]) {
        self.payload.extend_from_slice(tail);
    }
}

/// Bytes that the directory of streams of so many bytes takes at most.
pub(super) const fn directory_memory(streams: usize) -> usize {
    (streams / PART_UNIT + MAX_STREAMS) * size_of::<DecodePart>()
}

/// What a payload holds, its sizes checked; the parts' payloads are not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    /// Bytes of each stream. They lie end to end.
    pub layout: Layout,
    /// The parts of all streams.
    pub parts: Vec<DecodePart>,
    /// Where the tail lies in the payload.
    pub tail: Range<usize>,
}

impl Opened {
    /// Bytes of all streams: at most one and a half times the block.
    pub fn size(&self) -> usize {
        self.layout.bytes.iter().sum()
    }

    /// Reads the counts and the directory of a block of `raw_size` bytes.
    ///
    /// # Errors
    /// [`BlockFault::Size`], [`BlockFault::Directory`] or [`BlockFault::Padding`].
    pub fn read(payload: &[u8], model: Model, raw_size: usize) -> Result<Self, BlockFault> {
        let (counts, entries) = payload.split_at_checked(COUNTS).ok_or(BlockFault::Directory)?;
        let counts = counts.as_chunks().0;
        let counts = std::array::from_fn(|i| u32::from_le_bytes(counts[i]));
        let layout = Layout::new(model, counts, raw_size)?;
        let parts = read_directory(entries, &layout).ok_or(BlockFault::Directory)?;
        let mut opened = Self { layout, parts, tail: 0..0 };
        let mut at = COUNTS + ENTRY * opened.parts.len();
        for part in &mut opened.parts {
            let end = at + part.payload.len();
            let padded = end + padding(part.payload.len() as u32);
            match payload.get(end..padded) {
                Some(zeros) if zeros.iter().all(|&byte| byte == 0) => {}
                Some(_) => return Err(BlockFault::Padding),
                None => return Err(BlockFault::Directory),
            }
            part.payload = at..end;
            at = padded;
        }
        if layout.tail != payload.len() - at {
            return Err(BlockFault::Directory);
        }
        opened.tail = at..payload.len();
        Ok(opened)
    }
}

/// The parts, their payloads from 0 yet.
fn read_directory(entries: &[u8], layout: &Layout) -> Option<Vec<DecodePart>> {
    let entries = entries.as_chunks::<ENTRY>().0;
    // Neither a long payload nor a long directory takes more than the streams may have.
    let most: usize = layout.bytes.iter().map(|length| length.div_ceil(PART_UNIT)).sum();
    let mut parts = Vec::with_capacity(most.min(entries.len()));
    let (mut entries, mut end) = (entries.iter(), 0);
    for length in layout.bytes {
        let mut at = end;
        end += length;
        while at < end {
            let part = read_entry(u64::from_le_bytes(*entries.next()?), at)?;
            at = part.range.end;
            if at > end || at < end && part.range.len() % PART_UNIT != 0 {
                return None;
            }
            parts.push(part);
        }
    }
    Some(parts)
}

/// A part whose bytes begin at `at` among those of the streams; its payload from 0.
fn read_entry(entry: u64, at: usize) -> Option<DecodePart> {
    let size = (entry & 0x1f_ffff) as usize;
    let coded = (entry >> 32) as usize;
    let table_log = (entry >> 28 & 15) as u8;
    let method = entry >> 24 & 15;
    let (kind, coder) = match method {
        RAW if coded == size => (BlockKind::Stored, Coder::Rans),
        SINGLE if coded == 1 => (BlockKind::Single, Coder::Rans),
        _ => {
            let coder = Coder::ALL.into_iter().find(|&coder| self::method(coder) == method)?;
            (coded < size).then_some((BlockKind::Coded, coder))?
        }
    };
    let log_fits = match kind {
        BlockKind::Coded => coder.table_logs().contains(&table_log),
        _ => table_log == 0,
    };
    let valid = log_fits && entry >> 21 & 7 == 0 && (1..=MAX_PART).contains(&size);
    valid.then(|| DecodePart {
        payload: 0..coded,
        range: at..at + size,
        encoded: Encoded { kind, table_log },
        coder,
    })
}

/// No segment is longer than a part.
const _: () = assert!(1 << MAX_SEGMENT_LOG <= MAX_PART && CUT.is_multiple_of(PART_UNIT));
