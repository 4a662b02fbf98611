//! Batches of blocks through a device: a ring of slots, one batch in each.

mod decode;
mod encode;
mod limit;

use std::{collections::VecDeque, sync::Arc};

use self::{decode::DecodeBatch, encode::EncodeBatch};
use super::{
    device::Device, instance::Messages, memory::Memory, pipeline::Pipelines, submit::Slot,
};
use crate::{
    engine::accel::{Accelerator, BatchLimit, Done, Job, Work},
    error::DeviceError,
};

/// A Vulkan device that encodes and decodes blocks.
pub(crate) struct VulkanAccelerator {
    name: String,
    limit: BatchLimit,
    staging_bytes: u64,
    /// Dropped before what their work uses.
    ring: Vec<RingSlot>,
    /// Slots with a batch, oldest first.
    in_flight: VecDeque<usize>,
    /// Why the device is not used any more.
    failed: Option<DeviceError>,
    pipelines: Pipelines,
    memory: Arc<Memory>,
}

struct RingSlot {
    slot: Slot,
    batch: Option<Batch>,
}

/// Jobs in flight. They keep their input buffers, which have been copied to the slot.
struct Batch {
    jobs: Vec<Job>,
    stage: Stage,
}

/// Where a batch stands.
enum Stage {
    Decode(DecodeBatch),
    /// The results are on their way, and then, fetched by their offsets, the payloads.
    Encode(EncodeBatch),
}

impl VulkanAccelerator {
    /// Takes at most `budget` bytes of host memory for staging, unless not even one block fits.
    pub fn new(device: Arc<Device>, budget: u64) -> Result<Self, DeviceError> {
        let memory = Memory::new(Arc::clone(&device))?;
        let ring = limit::ring(&device, budget);
        let slots =
            (0..ring.slots).map(|_| Ok(RingSlot { slot: Slot::new(&memory)?, batch: None }));
        Ok(Self {
            name: device.info.name.clone(),
            limit: ring.limit,
            staging_bytes: ring.staging_bytes,
            ring: slots.collect::<Result<_, DeviceError>>()?,
            in_flight: VecDeque::new(),
            failed: None,
            pipelines: Pipelines::new(device),
            memory,
        })
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.memory.device
    }

    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    pub fn pipelines(&mut self) -> &mut Pipelines {
        &mut self.pipelines
    }

    /// Behaves from now on as if the device had been lost, for tests.
    pub fn lose(&mut self) {
        self.failed = Some(DeviceError::Lost);
    }

    pub fn batches_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    fn check_messages(&self) -> Result<(), DeviceError> {
        self.device().messages().map_or(Ok(()), |messages: &Arc<Messages>| messages.check())
    }

    fn start(&mut self, index: usize, jobs: &[Job]) -> Result<Stage, DeviceError> {
        self.check_messages()?;
        let slot = &mut self.ring[index].slot;
        Ok(match jobs.first().map(|job| &job.work) {
            Some(Work::Encode { .. }) => {
                Stage::Encode(EncodeBatch::start(slot, &mut self.pipelines, self.limit, jobs)?)
            }
            _ => Stage::Decode(DecodeBatch::start(slot, &mut self.pipelines, self.limit, jobs)?),
        })
    }

    /// Moves every batch on that can be moved on without waiting, then takes the finished ones.
    fn take_finished(&mut self) -> Result<Vec<Done>, DeviceError> {
        for &index in &self.in_flight {
            let RingSlot { slot, batch } = &mut self.ring[index];
            if let Some(Batch { stage: Stage::Encode(encode), .. }) = batch {
                encode.advance(slot)?;
            }
        }
        self.check_messages()?;
        let mut done = Vec::new();
        while let Some(&index) = self.in_flight.front() {
            let RingSlot { slot, batch } = &mut self.ring[index];
            let finished = match batch {
                Some(Batch { stage: Stage::Decode(decode), .. }) => decode.finished(slot),
                Some(Batch { stage: Stage::Encode(encode), .. }) => encode.finished(slot),
                None => Ok(false),
            };
            let finished = match finished {
                // What is done is handed over first; the error will not have gone by the next call.
                Err(_) if !done.is_empty() => break,
                finished => finished?,
            };
            let Some(Batch { jobs, stage }) = batch.take_if(|_| finished) else { break };
            self.in_flight.pop_front();
            match stage {
                Stage::Decode(decode) => decode.finish(slot, jobs, &mut done),
                Stage::Encode(encode) => encode.finish(slot, jobs, &mut done),
            }
        }
        Ok(done)
    }

    fn try_poll(&mut self, wait: bool) -> Result<Vec<Done>, DeviceError> {
        if let Some(DeviceError::Lost) = self.failed {
            return Err(DeviceError::Lost);
        }
        loop {
            let done = self.take_finished()?;
            match self.in_flight.front() {
                Some(&oldest) if wait && done.is_empty() => self.ring[oldest].slot.wait()?,
                _ => return Ok(done),
            }
        }
    }

    /// Takes back every job in flight. What the device still does is waited for when the slots are dropped.
    fn take_back(&mut self) -> Vec<Job> {
        let slots = std::mem::take(&mut self.in_flight).into_iter();
        slots.filter_map(|index| self.ring[index].batch.take()).flat_map(|b| b.jobs).collect()
    }
}

impl Accelerator for VulkanAccelerator {
    fn name(&self) -> &str {
        &self.name
    }

    fn batch_limit(&self) -> BatchLimit {
        self.limit
    }

    fn slots(&self) -> usize {
        self.ring.len()
    }

    fn staging_bytes(&self) -> u64 {
        self.staging_bytes
    }

    fn submit(&mut self, jobs: Vec<Job>) -> Result<(), (DeviceError, Vec<Job>)> {
        if let Some(error) = &self.failed {
            return Err((error.clone(), jobs));
        }
        let idle = self.ring.iter().position(|slot| slot.batch.is_none());
        let index = idle.expect("no more batches than slots");
        match self.start(index, &jobs) {
            Ok(stage) => {
                self.ring[index].batch = Some(Batch { jobs, stage });
                self.in_flight.push_back(index);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(error.clone());
                Err((error, jobs))
            }
        }
    }

    fn poll(&mut self, wait: bool) -> Result<Vec<Done>, (DeviceError, Vec<Job>)> {
        self.try_poll(wait).map_err(|error| {
            self.failed = Some(error.clone());
            (error, self.take_back())
        })
    }
}
