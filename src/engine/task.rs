//! What a worker does with a block.

use crate::{
    block::{Coder as EntropyCoder, Encoded},
    coder::Codec,
    engine::accel::{Done, Job, Outcome, Work},
    error::{BlockFault, Result},
    format::BlockKind,
    options::Simd,
    sched::Task,
};

/// Who coded a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Cpu,
    Device,
    /// The CPU, after the device had failed.
    Retried,
}

/// A task of the workers.
pub(crate) enum BlockTask {
    /// Codes a block.
    Code(Job, Side),
    /// Computes the checksum of a block that the device has coded.
    Check(Done),
}

/// A block that has been through all its stages.
#[derive(Debug)]
pub(crate) struct Finished {
    pub id: u64,
    /// The job's buffers, filled where `outcome` is `Ok`.
    pub work: Work,
    pub outcome: Result<Outcome, BlockFault>,
    /// CRC-32C of the raw bytes; 0 where nobody asked for it.
    pub crc: u32,
    pub side: Side,
}

/// What a thread needs to code blocks.
pub(crate) struct Coder {
    codec: Codec,
    /// Without it every block is stored.
    encodes: bool,
    /// Whether decoded blocks need their checksum computed.
    verifies: bool,
}

impl Coder {
    /// # Errors
    /// The processor lacks the instructions.
    pub fn new(simd: Simd, encodes: bool, verifies: bool) -> Result<Self> {
        Ok(Self { codec: Codec::new(simd)?, encodes, verifies })
    }

    /// Codes a block.
    pub fn code(&mut self, job: Job, side: Side) -> Finished {
        let Job { id, mut work } = job;
        let outcome = match &mut work {
            Work::Encode { raw, payload, params } => {
                payload.clear();
                let encoded = if self.encodes {
                    payload.reserve_exact(raw.len() + super::budget::PAYLOAD_SLACK);
                    self.codec.encode(raw, params, payload)
                } else {
                    Encoded { kind: BlockKind::Stored, table_log: 0 }
                };
                Ok(Outcome::Encoded(encoded))
            }
            Work::Decode { payload, raw, kind, table_log, segment_log, raw_size } => {
                let size = *raw_size as usize;
                match kind {
                    BlockKind::Stored => {
                        std::mem::swap(payload, raw);
                        if raw.len() == size { Ok(()) } else { Err(BlockFault::Size) }
                    }
                    _ => {
                        super::resize_exact(raw, size);
                        self.codec.decode(
                            payload,
                            *kind,
                            EntropyCoder::Rans,
                            *table_log,
                            *segment_log,
                            raw,
                        )
                    }
                }
                .map(|()| Outcome::Decoded)
            }
        };
        self.check(Done { id, work, outcome }, side)
    }

    /// Adds the checksum.
    pub fn check(&self, done: Done, side: Side) -> Finished {
        let Done { id, work, outcome } = done;
        let crc = match &work {
            Work::Encode { raw, .. } => crc32c::crc32c(raw),
            Work::Decode { raw, .. } if self.verifies && outcome.is_ok() => crc32c::crc32c(raw),
            Work::Decode { .. } => 0,
        };
        Finished { id, work, outcome, crc, side }
    }
}

impl Task for BlockTask {
    type Scratch = Coder;
    type Output = Finished;

    fn run(self, coder: &mut Coder) -> Finished {
        match self {
            Self::Code(job, side) => coder.code(job, side),
            Self::Check(done) => coder.check(done, Side::Device),
        }
    }
}
