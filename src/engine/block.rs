//! A block on its way through the engine.

use std::mem::take;

use super::bytes::Bytes;
use crate::{
    Pipeline,
    block::Encoded,
    error::BlockFault,
    telemetry::{Piece, Recorder, SideStats, StageStats},
};

/// The memory of one block in flight. `raw` and `payload` grow to little more than the block size, and so do the others
/// where a device codes the streams of a model.
#[derive(Debug, Default)]
pub(crate) struct Buffers<'a> {
    pub raw: Bytes<'a>,
    pub payload: Bytes<'a>,
    /// The streams that the model makes of the block.
    pub streams: Vec<u8>,
    /// The payloads that the device makes of them.
    pub coded: Vec<u8>,
    /// Bytes that the engine last found them to take.
    pub found: usize,
}

impl Buffers<'_> {
    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        let streams = self.streams.capacity() + self.coded.capacity();
        self.raw.capacity() + self.payload.capacity() + streams
    }

    /// Their own memory without its content: what they hold of the caller's is left out.
    pub fn emptied(mut self) -> Buffers<'static> {
        let empty = |buffer: &mut Vec<u8>| {
            buffer.clear();
            take(buffer)
        };
        Buffers {
            raw: Bytes::Own(empty(self.raw.buffer())),
            payload: Bytes::Own(empty(self.payload.buffer())),
            streams: empty(&mut self.streams),
            coded: empty(&mut self.coded),
            found: 0,
        }
    }
}

/// A block, and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub buffers: Buffers<'a>,
    pub pipeline: Pipeline,
    pub segment_log: u8,
    pub work: Work,
}

impl Block<'_> {
    /// Its raw bytes, or those that it says to have.
    pub fn raw_size(&self) -> usize {
        match self.work {
            Work::Encode { .. } => self.buffers.raw.len(),
            Work::Decode { raw_size, .. } => raw_size as usize,
        }
    }

    /// All of its stages.
    pub fn stages(&self) -> &'static [u8] {
        if self.pipeline.model().is_some() { &[0, 1] } else { &[0] }
    }

    /// The entropy stage.
    pub fn entropy_stage(&self) -> &'static [u8] {
        if self.pipeline.model().is_some() { &[1] } else { &[0] }
    }

    /// The rebuilding by a model, if that is its last stage.
    pub fn rebuilding(&self) -> &'static [u8] {
        match self.work {
            Work::Decode { .. } if self.pipeline.model().is_some() => &[0],
            _ => &[],
        }
    }

    /// A piece of work on it.
    pub fn piece(&self, id: u64, name: &'static str, stages: &'static [u8]) -> Piece {
        Piece { name, stages, block: id, bytes: self.raw_size() as u64 }
    }
}

/// The two directions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Work {
    /// Encode `raw` to `payload`, which is left empty if the block is to be stored.
    Encode { level: u8, table_log: Option<u8> },
    /// Decode `payload` to `raw_size` bytes of `raw`. Header fields have been checked against the frame; the payload
    /// has not.
    Decode { encoded: Encoded, raw_size: u32 },
}

/// Who coded a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Cpu,
    /// The device of this number.
    Device(usize),
    /// The CPU, after the device had failed.
    Retried,
}

impl Side {
    fn of(self, stage: &mut StageStats) -> &mut SideStats {
        match self {
            Self::Cpu => &mut stage.cpu,
            Self::Device(_) => &mut stage.gpu,
            Self::Retried => &mut stage.retried,
        }
    }
}

/// A block that has been through all its stages.
#[derive(Debug)]
pub(crate) struct Finished<'a> {
    pub id: u64,
    /// Filled where `outcome` is `Ok`.
    pub buffers: Buffers<'a>,
    /// How the block is encoded.
    pub outcome: Result<Encoded, BlockFault>,
    /// CRC-32C of the raw bytes; 0 where nobody asked for it.
    pub crc: u32,
    /// Who did the entropy stage.
    pub side: Side,
    pub pipeline: Pipeline,
}

impl Finished<'_> {
    /// Counts its stages, unless it is damaged.
    pub fn count(&self, recorder: &mut Recorder) {
        if self.outcome.is_err() {
            return;
        }
        let raw_bytes = self.buffers.raw.len();
        let entropy = usize::from(self.pipeline.model().is_some());
        if entropy == 1 {
            recorder.block(0, raw_bytes, |stage| Side::Cpu.of(stage));
        }
        recorder.block(entropy, raw_bytes, |stage| self.side.of(stage));
        if let Side::Device(device) = self.side {
            recorder.device_block(device, raw_bytes);
        }
    }
}
