//! The seam between the engine and a device: the submission thread owns one [`Accelerator`] and feeds it
//! batches of jobs.

use crate::{
    block::{DecodePart, EncodePart, EncodedPart},
    engine::Rest,
    error::{BlockFault, DeviceError},
};

/// The entropy stage of one block. Buffers travel with the job and come back in [`Done`], so that the engine's pool
/// bounds all host memory.
#[derive(Debug)]
pub(crate) struct Job {
    /// The engine's own number of the block.
    pub id: u64,
    /// What to do.
    pub work: Work,
    /// The block, and what the engine does with it afterwards: nothing to the accelerator.
    pub rest: Option<Box<Rest>>,
}

/// The two directions. A part is coded by itself, as a block of a pipeline without a model; such a block is one part.
#[derive(Debug)]
pub(crate) enum Work {
    /// Encode the parts of `raw`; their payloads are written to `payload` (cleared first), those of stored parts left
    /// out.
    Encode { raw: Vec<u8>, parts: Vec<EncodePart>, segment_log: u8, payload: Vec<u8> },
    /// Decode the parts of `payload` to their ranges of `raw`, which lie end to end (cleared first). Neither the parts'
    /// table logs nor their payloads have been checked.
    Decode { payload: Vec<u8>, parts: Vec<DecodePart>, segment_log: u8, raw: Vec<u8> },
}

impl Work {
    /// How many parts it has.
    pub fn parts(&self) -> usize {
        match self {
            Self::Encode { parts, .. } => parts.len(),
            Self::Decode { parts, .. } => parts.len(),
        }
    }

    /// Raw bytes of all parts.
    pub fn raw_bytes(&self) -> usize {
        match self {
            Self::Encode { parts, .. } => parts.iter().map(|part| part.range.len()).sum(),
            Self::Decode { parts, .. } => parts.iter().map(|part| part.range.len()).sum(),
        }
    }

    /// Whether an accelerator takes both in one batch.
    pub fn may_share_batch(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Encode { segment_log: a, .. }, Self::Encode { segment_log: b, .. })
            | (Self::Decode { segment_log: a, .. }, Self::Decode { segment_log: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// A finished job.
#[derive(Debug)]
pub(crate) struct Done {
    /// The job with its buffers, filled where `outcome` is `Ok`.
    pub job: Job,
    pub outcome: Result<Outcome, BlockFault>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What became of each part.
    Encoded(Vec<EncodedPart>),
    Decoded,
}

impl Outcome {
    /// What became of each part that was encoded.
    pub fn parts(&self) -> &[EncodedPart] {
        match self {
            Self::Encoded(parts) => parts,
            Self::Decoded => &[],
        }
    }
}

/// How much an accelerator takes in one batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimit {
    /// Parts of all jobs.
    pub parts: usize,
    /// Their raw bytes.
    pub raw_bytes: usize,
}

/// A device as the submission thread sees it. Only that thread calls it.
pub(crate) trait Accelerator: Send {
    /// Readable name, for logs and telemetry.
    fn name(&self) -> &str;

    /// The largest batch worth submitting at once. `submit` is not called with a larger one.
    fn batch_limit(&self) -> BatchLimit;

    /// Batches that may be in flight at once; `submit` is not called beyond that.
    fn slots(&self) -> usize;

    /// Host memory in bytes that the staging ring takes, to be counted against the memory limit.
    fn staging_bytes(&self) -> u64;

    /// Uploads and starts a batch of jobs that [may share it](Work::may_share_batch). On an error the jobs come back
    /// so that the CPU can take them.
    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), (DeviceError, Vec<Job>)>;

    /// Finished jobs, oldest batch first. With `wait`, blocks until at least one batch has finished (if one
    /// is in flight). On an error every job in flight comes back unfinished, with its input buffers intact.
    fn poll(&mut self, wait: bool) -> Result<Vec<Done>, (DeviceError, Vec<Job>)>;
}
