//! The seam between the engine and a device: the submission thread owns one [`Accelerator`] and feeds it
//! batches of jobs.

use crate::{
    block::{BlockParams, Encoded},
    error::{BlockFault, DeviceError},
    format::BlockKind,
};

/// Work on one block. Buffers travel with the job and come back in [`Done`], so that the engine's pool
/// bounds all host memory.
#[derive(Debug)]
pub(crate) struct Job {
    /// The engine's own number of the block.
    pub id: u64,
    /// What to do.
    pub work: Work,
}

/// The two directions.
#[derive(Debug)]
pub(crate) enum Work {
    /// Encode `raw`; the payload is written to `payload` (cleared first; left empty if stored).
    Encode { raw: Vec<u8>, payload: Vec<u8>, params: BlockParams },
    /// Decode `payload` to exactly `raw_size` bytes of `raw` (cleared first). Header fields have been checked
    /// against the frame; the payload has not.
    Decode {
        payload: Vec<u8>,
        raw: Vec<u8>,
        kind: BlockKind,
        table_log: u8,
        segment_log: u8,
        raw_size: u32,
    },
}

impl Work {
    /// The buffer of raw bytes.
    pub fn into_raw(self) -> Vec<u8> {
        match self {
            Self::Encode { raw, .. } | Self::Decode { raw, .. } => raw,
        }
    }
}

/// A finished job. CRC-32C is the engine's work, not the accelerator's.
#[derive(Debug)]
pub(crate) struct Done {
    pub id: u64,
    /// The job's buffers, filled where `outcome` is `Ok`.
    pub work: Work,
    pub outcome: Result<Outcome, BlockFault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Encoded(Encoded),
    Decoded,
}

/// How much an accelerator takes in one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimit {
    pub blocks: usize,
    pub raw_bytes: usize,
}

/// A device as the submission thread sees it. Only that thread calls it.
pub(crate) trait Accelerator: Send {
    /// Readable name, for logs and telemetry.
    fn name(&self) -> &str;

    /// The largest batch worth submitting at once.
    fn batch_limit(&self) -> BatchLimit;

    /// Batches that may be in flight at once; `submit` is not called beyond that.
    fn slots(&self) -> usize;

    /// Host memory in bytes that the staging ring takes, to be counted against the memory limit.
    fn staging_bytes(&self) -> u64;

    /// Uploads and starts a batch. All jobs of a batch go the same direction with the same parameters. On an
    /// error the jobs come back so that the CPU can take them.
    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), (DeviceError, Vec<Job>)>;

    /// Finished jobs, oldest batch first. With `wait`, blocks until at least one batch has finished (if one
    /// is in flight). On an error every job in flight comes back unfinished, with its input buffers intact.
    fn poll(&mut self, wait: bool) -> Result<Vec<Done>, (DeviceError, Vec<Job>)>;
}
