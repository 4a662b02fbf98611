//! The seam between the engine and a device: a submission thread owns one [`Accelerator`] and feeds it batches.
//!
//! The device never owns a block. Its input is copied to the mapped memory of a slot by a [`Load`] and its results are
//! copied out by an [`Unload`], both on any thread; meanwhile the engine keeps the [`Job`], so that the CPU can do it as
//! well.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

pub(crate) use crate::telemetry::{Queue, Span};
use crate::{
    block::{DecodePart, EncodePart, EncodedPart},
    engine::{Bytes, Rest},
    error::{BlockFault, DeviceError},
};

/// The entropy stage of one block. Buffers travel with the job, so that the engine's pool bounds all host memory.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The engine's own number of the block.
    pub id: u64,
    /// What to do.
    pub work: Work<'a>,
    /// When it is served.
    pub class: Class,
    /// Whether it is for a device and nobody else.
    pub strict: bool,
    /// Whether a device has it and writes the results where they belong: nobody else does it meanwhile.
    pub in_place: bool,
    /// The block, and what the engine does with it afterwards: nothing to the accelerator.
    pub rest: Option<Box<Rest<'a>>>,
}

/// The order in which a submission thread serves what waits: a block that is nearly done frees its buffers soonest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Class {
    /// Behind a stage that ran on the CPU.
    Later,
    /// Several streams of a block in one go.
    Fused,
    /// A block that nobody has worked on.
    First,
}

/// The two directions. A part is coded by itself, as a block of a pipeline without a model; such a block is one part.
/// The input is shared with a worker that does the same because the device is late.
#[derive(Debug)]
pub(crate) enum Work<'a> {
    /// Encode the parts of `raw`; `payload` becomes their payloads, those of stored parts left out. The one of a single
    /// part may stay [held](Bytes::Held) by the device.
    Encode { raw: Arc<Bytes<'a>>, parts: Vec<EncodePart>, segment_log: u8, payload: Bytes<'a> },
    /// Decode the parts of `payload` to their ranges of `raw`, which lie end to end. Neither the parts'
    /// table logs nor their payloads have been checked.
    Decode { payload: Arc<Bytes<'a>>, parts: Vec<DecodePart>, segment_log: u8, raw: Bytes<'a> },
}

impl Work<'_> {
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What became of each part.
    Encoded(Vec<EncodedPart>),
    /// With the CRC-32C of all bytes, if it was made on the way.
    Decoded(Option<u32>),
}

impl Outcome {
    /// What became of each part that was encoded.
    pub fn parts(&self) -> &[EncodedPart] {
        match self {
            Self::Encoded(parts) => parts,
            Self::Decoded(_) => &[],
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

/// Copies a job's input into the slot that was planned for it. Returns the CRC-32C of what is to be encoded, where that was made
/// on the way. Dropping it without a call leaves the slot unfit to be started.
pub(crate) type Load = Box<dyn FnOnce(&Work<'_>) -> Option<u32> + Send>;

/// Copies a job's results out of the slot, into the job's buffers, or lends them. The slot is free when all of its batch are
/// gone, and all that they lent; the last of them wakes the accelerator.
pub(crate) type Unload = Box<dyn FnOnce(&mut Work<'_>, Stay) -> Result<Outcome, BlockFault> + Send>;

/// Whether results may stay in the slot, [held](Bytes::Held) by the job, which is then not free before they are let go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stay {
    May,
    /// They will be needed late, or the job is to go elsewhere.
    No,
}

/// Wakes a thread in [`Accelerator::wait`], or about to be.
pub(crate) type Waker = Arc<dyn Fn() + Send + Sync>;

/// A batch that has been given a slot.
pub(crate) struct Planned {
    pub slot: usize,
    /// One for each job, in their order.
    pub ways: Vec<Way>,
}

/// How a job gets to the device and back.
pub(crate) struct Way {
    /// Nothing if the device itself reads all that is the job's where it is.
    pub load: Option<Load>,
    /// Whether it writes the results to the job's place. From then on until the results have arrived, or the device is
    /// [quiet](Accelerator::quiet), nobody else is at that.
    pub in_place: bool,
}

impl From<Load> for Way {
    /// There and back by copies.
    fn from(load: Load) -> Self {
        Self { load: Some(load), in_place: false }
    }
}

/// A batch whose results are there.
pub(crate) struct Arrival {
    pub slot: usize,
    /// One for each job, in their order.
    pub unloads: Vec<Unload>,
    /// What the device did when, if it has been asked to tell.
    pub spans: Vec<Span>,
}

/// A device as its submission thread sees it. Only that thread calls it. After an error it is not used any more: the
/// CPU does what was in flight.
pub(crate) trait Accelerator: Send {
    /// Readable name, for logs and telemetry.
    fn name(&self) -> &str;

    /// What tells it from other devices, and is the same in every run.
    fn uuid(&self) -> [u8; 16];

    /// The largest batch worth submitting at once. `plan` is not called with a larger one.
    fn batch_limit(&self) -> BatchLimit;

    /// Batches that may be in flight at once.
    fn slots(&self) -> usize;

    /// Slots without a batch, without unloads that have not been dropped and without bytes that are held. `plan` is not called
    /// at 0. When unloads or held bytes go and one more is idle, [`wait`](Self::wait) returns, now or the next time. Not all
    /// slots are held at once: blocks in flight would wait for those before them to be taken, and these for a slot.
    fn idle_slots(&self) -> usize;

    /// Host memory in bytes that the staging ring takes, to be counted against the memory limit.
    fn staging_bytes(&self) -> u64;

    /// Takes at most so many bytes for it, or the least that it can do with. Called before anything else.
    fn shrink(&mut self, staging: u64);

    /// Wakes [`wait`](Self::wait). A call before the wait begins is not lost.
    fn waker(&self) -> Waker;

    /// Whether arrivals are to have their spans. Off at first.
    fn measure(&mut self, spans: bool);

    /// Gives a batch of jobs that [may share it](Work::may_share_batch) an idle slot.
    fn plan(&mut self, works: &[&Work<'_>]) -> Result<Planned, DeviceError>;

    /// Starts the batch of a slot, all of whose loads have been called.
    fn start(&mut self, slot: usize) -> Result<(), DeviceError>;

    /// Whether it has made something since it was last asked that it will need again: memory, pipelines. Everybody has waited
    /// for that, and nobody will again.
    fn has_prepared(&mut self) -> bool {
        false
    }

    /// What has arrived, roughly in the order of starts: a batch of two steps may be overtaken between them. Does not wait.
    fn finished(&mut self) -> Result<Vec<Arrival>, DeviceError>;

    /// Returns when `finished` may have something new, when it has been woken, or after the time.
    fn wait(&mut self, most: Option<Duration>) -> Result<(), DeviceError>;

    /// Returns when it is at nobody's memory any more, whatever becomes of what is in flight. The engine asks for it before somebody else
    /// does the jobs of a device that has failed.
    fn quiet(&mut self) {}

    /// The engine gives it up: what is in flight is for nobody. It may be kept for another engine that opens the same.
    fn park(self: Box<Self>);
}

/// A device that is open and not at work. Dropping it [parks](Accelerator::park) the device.
pub(crate) struct Idle(Option<Box<dyn Accelerator>>);

impl Idle {
    pub fn new(device: impl Accelerator + 'static) -> Self {
        Self(Some(Box::new(device)))
    }

    /// The device, to be put to work.
    pub fn into_inner(mut self) -> Box<dyn Accelerator> {
        self.0.take().expect(THERE)
    }
}

/// Until it is taken out, which consumes the `Idle`.
const THERE: &str = "the device is there";

impl Deref for Idle {
    type Target = dyn Accelerator;

    fn deref(&self) -> &Self::Target {
        self.0.as_deref().expect(THERE)
    }
}

impl DerefMut for Idle {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.0.as_deref_mut().expect(THERE)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(device) = self.0.take() {
            device.park();
        }
    }
}
