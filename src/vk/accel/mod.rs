//! Batches of blocks through a device: a ring of slots, one batch in each.
//!
//! A slot's batch is planned, loaded, started and unloaded. Loading and unloading is copying, and done by whoever has
//! the time; the slot is idle again when the last of those copies is over.

mod decode;
mod encode;
mod limit;
mod share;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{Ordering::Acquire, fence},
    },
    time::{Duration, Instant},
};

use self::{
    decode::DecodeBatch,
    encode::EncodeBatch,
    limit::Ring,
    share::{Lease, Use},
};
use super::{
    device::Device,
    doorbell::{Doorbell, Target},
    instance::Messages,
    memory::Memory,
    parking,
    pipeline::Pipelines,
    submit::Slot,
};
use crate::{
    engine::accel::{Accelerator, Arrival, BatchLimit, Planned, Waker, Way, Work},
    error::DeviceError,
};

pub(crate) use self::limit::Shape;

/// A device that was well so lately is taken up without waiting until it is idle, which it was when it was parked (an H200's driver
/// takes 100 to 130 us to say so). Whether it is lost its first batch would tell as well; that would be the CPU's then.
const FRESH: Duration = Duration::from_secs(1);

/// A Vulkan device that encodes and decodes blocks.
pub(crate) struct VulkanAccelerator {
    name: String,
    /// What another run may ask for it by.
    key: Option<parking::Key>,
    /// When it was last known to be well: a batch had arrived, or it was idle, as it said.
    well: Option<Instant>,
    limit: BatchLimit,
    staging_bytes: u64,
    /// Host memory within which the ring was made, of the device's own shape if it may be parked.
    budget: u64,
    /// Dropped before what their work uses.
    ring: Vec<RingSlot>,
    /// Started slots whose batches have not arrived, oldest first.
    in_flight: VecDeque<usize>,
    doorbell: Arc<Doorbell>,
    measured: bool,
    /// Buffers and pipelines that had been made when it was last asked.
    made: usize,
    /// Why the device is not used any more.
    failed: Option<DeviceError>,
    pipelines: Pipelines,
    memory: Arc<Memory>,
}

struct RingSlot {
    slot: Slot,
    /// Shared with the loads and unloads that have not been dropped, and with what these have lent.
    lease: Lease,
    stage: Stage,
}

/// Where a slot stands.
enum Stage {
    /// Without a batch, or with one of which only unloads are left.
    Idle,
    /// A batch with so many loads is being loaded.
    Planned(Batch, usize),
    Started(Batch),
}

enum Batch {
    Decode(DecodeBatch),
    /// The results are on their way, and then, fetched by their offsets, the payloads.
    Encode(EncodeBatch),
}

impl Batch {
    fn has_device_work(&self) -> bool {
        match self {
            Self::Decode(batch) => batch.has_device_work(),
            Self::Encode(batch) => batch.has_device_work(),
        }
    }
}

impl RingSlot {
    fn new(memory: &Arc<Memory>, waker: Waker) -> Result<Self, DeviceError> {
        let lease = Arc::new(Use::new(waker));
        Ok(Self { slot: Slot::new(memory)?, lease, stage: Stage::Idle })
    }

    /// Gives its memory back if the host sees more than so many bytes of it.
    fn keep_within(&mut self, bytes: u64) {
        self.stage = Stage::Idle;
        if self.slot.host_bytes() > bytes {
            self.slot.release();
        }
    }

    fn is_idle(&self) -> bool {
        match &self.stage {
            Stage::Idle => !self.lease.is_out() && self.slot.is_sole(),
            // Loads that were dropped without a call have left a batch that cannot start.
            Stage::Planned(_, loads) => {
                let loading = Arc::strong_count(&self.lease) > 1;
                fence(Acquire); // Who sees that a load has gone sees that it was called.
                !loading && self.slot.is_sole() && self.lease.loaded() < *loads
            }
            Stage::Started(_) => false,
        }
    }

    /// Whether it is idle but for what is yet to be unloaded.
    fn is_unloading(&self) -> bool {
        matches!(self.stage, Stage::Idle) && !self.is_idle()
    }

    /// Plans a batch in this slot, which is idle.
    fn plan(&mut self, limit: BatchLimit, works: &[&Work<'_>]) -> Result<Vec<Way>, DeviceError> {
        self.stage = Stage::Idle;
        self.lease = Arc::new(self.lease.again());
        let Self { slot, lease, .. } = self;
        let (batch, ways) = match works.first() {
            Some(Work::Encode { .. }) => {
                let (batch, ways) = EncodeBatch::plan(slot, limit, works, lease)?;
                (Batch::Encode(batch), ways)
            }
            _ => {
                let (batch, ways) = DecodeBatch::plan(slot, limit, works, lease)?;
                (Batch::Decode(batch), ways)
            }
        };
        let loads = ways.iter().filter(|way| way.load.is_some()).count();
        self.stage = Stage::Planned(batch, loads);
        Ok(ways)
    }

    fn start(&mut self, pipelines: &mut Pipelines, measured: bool) -> Result<(), DeviceError> {
        let loaded = self.lease.loaded();
        let batch = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Planned(batch, loads) if loaded == loads => batch,
            _ => {
                return Err(DeviceError::Vulkan {
                    call: "starting a batch",
                    result: "it has not been loaded".to_owned(),
                });
            }
        };
        self.slot.measure(measured)?;
        // The slot has it before the device may be at what it has of the caller's memory, and after an error as well.
        self.stage = Stage::Started(batch);
        match &self.stage {
            Stage::Started(Batch::Decode(batch)) => batch.start(&mut self.slot, pipelines),
            Stage::Started(Batch::Encode(batch)) => batch.start(&mut self.slot, pipelines),
            _ => unreachable!("it was started"),
        }
    }

    /// Moves the batch on as far as it goes without waiting. Whether it has arrived.
    fn advance(&mut self) -> Result<bool, DeviceError> {
        match &mut self.stage {
            Stage::Started(Batch::Encode(batch)) => batch.advance(&mut self.slot),
            Stage::Started(Batch::Decode(_)) => self.slot.finished(),
            _ => Ok(false),
        }
    }

    /// Hands out the batch, which has arrived, so that its payloads may stay where they are if it `lends`.
    fn take(&mut self, slot: usize, lends: bool) -> Result<Arrival, DeviceError> {
        let Stage::Started(batch) = std::mem::replace(&mut self.stage, Stage::Idle) else {
            unreachable!("only a batch that was started arrives");
        };
        let spans = if batch.has_device_work() { self.slot.spans()? } else { Vec::new() };
        let unloads = match batch {
            Batch::Decode(batch) => batch.unloads(&mut self.slot, &self.lease),
            Batch::Encode(batch) => batch.unloads(&mut self.slot, &self.lease, lends),
        };
        Ok(Arrival { slot, unloads, spans })
    }
}

impl VulkanAccelerator {
    /// Takes at most `budget` bytes of host memory for staging, unless not even one block fits.
    pub fn new(device: Arc<Device>, budget: u64) -> Result<Self, DeviceError> {
        let shape = Shape::of(&device);
        Self::with_shape(device, shape, budget)
    }

    /// With a ring of another shape than the device's own.
    pub fn with_shape(device: Arc<Device>, shape: Shape, budget: u64) -> Result<Self, DeviceError> {
        let memory = Memory::new(Arc::clone(&device))?;
        let ring = limit::ring(&device, shape, budget);
        let doorbell = Arc::new(Doorbell::new(&device)?);
        let slots = (0..ring.slots).map(|_| RingSlot::new(&memory, waker(&doorbell)));
        Ok(Self {
            name: device.info.name.clone(),
            key: None,
            well: None,
            limit: ring.limit,
            staging_bytes: ring.staging_bytes,
            budget,
            ring: slots.collect::<Result<_, DeviceError>>()?,
            in_flight: VecDeque::new(),
            doorbell: Arc::clone(&doorbell),
            measured: false,
            made: 0,
            failed: None,
            pipelines: Pipelines::new(device),
            memory,
        })
    }

    /// The same, to be [parked](Accelerator::park) by this key.
    pub fn opened_by(self, key: parking::Key) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Prepares a parked device for another run, whose staging may take `budget` bytes. False if it cannot be used any more.
    pub fn unpark(&mut self, budget: u64) -> bool {
        let fresh = self.well.is_some_and(|well| well.elapsed() < FRESH);
        if !self.doorbell.is_whole() || !(fresh || self.device().wait_idle().is_ok()) {
            return false;
        }
        if !fresh {
            self.well = Some(Instant::now());
        }
        budget == self.budget || self.set_ring(self.ring_within(budget)).is_ok()
    }

    /// The ring that suits the device and a budget, and that budget.
    fn ring_within(&self, budget: u64) -> (Ring, u64) {
        (limit::ring(self.device(), Shape::of(self.device()), budget), budget)
    }

    /// Gives the ring this shape. The slots are idle; those that have more memory than is their share give it back.
    fn set_ring(&mut self, (ring, budget): (Ring, u64)) -> Result<(), DeviceError> {
        self.ring.truncate(ring.slots);
        let share = ring.staging_bytes / ring.slots as u64;
        self.ring.iter_mut().for_each(|slot| slot.keep_within(share));
        while self.ring.len() < ring.slots {
            self.ring.push(RingSlot::new(&self.memory, waker(&self.doorbell))?);
        }
        (self.limit, self.staging_bytes) = (ring.limit, ring.staging_bytes);
        self.budget = budget;
        Ok(())
    }

    /// Has what is in flight arrive, for nobody, and forgets what has not been started. Whether the device is then fit for
    /// another run.
    fn settle(&mut self) -> bool {
        for slot in &mut self.ring {
            if let Stage::Planned(..) = slot.stage {
                slot.stage = Stage::Idle;
            }
        }
        while !self.in_flight.is_empty() {
            if self.wait(None).and_then(|()| self.finished()).is_err() {
                return false;
            }
        }
        self.failed.is_none() && self.idle_slots() == self.slots()
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

    fn check_messages(&self) -> Result<(), DeviceError> {
        self.device().messages().map_or(Ok(()), |messages: &Arc<Messages>| messages.check())
    }

    /// Does it unless the device has failed; keeps an error.
    fn attempt<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let result = self.check_messages().and_then(|()| work(self));
        self.failed = result.as_ref().err().cloned();
        result
    }

    fn take_arrivals(&mut self, arrivals: &mut Vec<Arrival>) -> Result<(), DeviceError> {
        let mut place = 0;
        while let Some(&index) = self.in_flight.get(place) {
            if self.ring[index].advance()? {
                self.in_flight.remove(place);
                // Half of the slots are unloaded whole, so that the device has something to do however late blocks are taken;
                // and one at least, or blocks might wait for those before them to be taken, and these for a slot.
                let unloading = self.ring.iter().filter(|slot| slot.is_unloading()).count();
                let lends = unloading < self.ring.len() / 2;
                arrivals.push(self.ring[index].take(index, lends)?);
                self.well = Some(Instant::now());
            } else {
                place += 1;
            }
        }
        Ok(())
    }
}

fn waker(doorbell: &Arc<Doorbell>) -> Waker {
    let doorbell = Arc::clone(doorbell);
    Arc::new(move || doorbell.ring())
}

impl Accelerator for VulkanAccelerator {
    fn name(&self) -> &str {
        &self.name
    }

    fn uuid(&self) -> [u8; 16] {
        self.device().info.uuid
    }

    fn batch_limit(&self) -> BatchLimit {
        self.limit
    }

    fn slots(&self) -> usize {
        self.ring.len()
    }

    fn idle_slots(&self) -> usize {
        self.ring.iter().filter(|slot| slot.is_idle()).count()
    }

    fn staging_bytes(&self) -> u64 {
        self.staging_bytes
    }

    fn shrink(&mut self, staging: u64) {
        let ring = self.ring_within(staging);
        if ring.0.staging_bytes < self.staging_bytes {
            self.failed = self.set_ring(ring).err();
        }
    }

    fn waker(&self) -> Waker {
        waker(&self.doorbell)
    }

    fn measure(&mut self, spans: bool) {
        self.measured = spans;
    }

    fn plan(&mut self, works: &[&Work<'_>]) -> Result<Planned, DeviceError> {
        self.attempt(|this| {
            let index = this.ring.iter().position(RingSlot::is_idle);
            let index = index.expect("called where there is an idle slot");
            let ways = this.ring[index].plan(this.limit, works)?;
            Ok(Planned { slot: index, ways })
        })
    }

    fn start(&mut self, slot: usize) -> Result<(), DeviceError> {
        self.attempt(|this| {
            this.ring[slot].start(&mut this.pipelines, this.measured)?;
            this.in_flight.push_back(slot);
            Ok(())
        })
    }

    fn has_prepared(&mut self) -> bool {
        let made = self.memory.made() + self.pipelines.made();
        std::mem::replace(&mut self.made, made) != made
    }

    fn finished(&mut self) -> Result<Vec<Arrival>, DeviceError> {
        let mut arrivals = Vec::new();
        match self.attempt(|this| this.take_arrivals(&mut arrivals)) {
            // What has arrived is handed over first; the next call has the error.
            Err(_) if !arrivals.is_empty() => Ok(arrivals),
            result => result.map(|()| arrivals),
        }
    }

    fn wait(&mut self, most: Option<Duration>) -> Result<(), DeviceError> {
        self.attempt(|this| {
            let mut targets: Vec<Target> = Vec::new();
            for &index in &this.in_flight {
                let RingSlot { slot, stage, .. } = &this.ring[index];
                match stage {
                    Stage::Started(batch) if batch.has_device_work() => targets.push(slot.target()),
                    _ => return Ok(()),
                }
            }
            this.doorbell.wait(&targets, most)
        })
    }

    fn quiet(&mut self) {
        self.device().settle();
    }

    /// Waits for what is in flight, as dropping it does.
    fn park(mut self: Box<Self>) {
        self.memory.stop_importing();
        if self.device().messages().is_some() {
            return; // With validation on, everything is destroyed, so that nothing can be forgotten.
        }
        if self.settle()
            && let Some(key) = self.key.clone()
        {
            parking::add(key, *self);
        }
    }
}
