//! What integration tests and benchmarks need of the device layer. Not part of the public API.

mod link;
mod pinned;
mod resident;
mod seam;
mod traffic;

pub use self::{
    link::LinkRates,
    pinned::{direct_jobs, host_buffer_in_chunks},
    resident::{Resident, Stamps},
    traffic::{Traffic, Trip},
};
use super::{
    accel::{Shape, VulkanAccelerator},
    device::{Device, OpenOptions},
    instance::Messages,
    parking,
    submit::{Part, Slot},
    timing::Timestamps,
};
pub use super::{
    inspect::{Candidate, Compiled, compile},
    pipeline::Choice,
    timing::CommandTime,
};
use crate::{
    block::{BlockParams, Coder, Encoded},
    device::{DeviceInfo, DeviceSelector},
    engine::accel::Accelerator,
    error::{BlockFault, DeviceError},
    format::BlockKind,
    kernel::{Binding, BufferDesc, BufferId, Command, Recording, Role},
};

/// Threads that copy.
const COPIERS: usize = 2;

/// A device on which recordings run, one at a time, and blocks as the engine runs them.
pub struct Gpu {
    slot: Slot,
    accelerator: VulkanAccelerator,
}

/// The first warnings and errors that the validation layer has sent to this process.
pub fn validation_messages() -> Vec<String> {
    Messages::first()
}

/// How many devices this process has opened, how many of them are open, and how many of those are parked.
pub fn device_counts() -> (usize, usize, usize) {
    let (opened, open) = Device::counts();
    (opened, open, parking::count())
}

impl Gpu {
    /// Opens a device with a staging ring of at most so many bytes, `RANVIL_KERNEL_FORM` and `RANVIL_VALIDATION`
    /// considered.
    pub fn open(selector: &DeviceSelector, budget: u64) -> Result<Self, DeviceError> {
        Self::new(super::open(selector, budget)?)
    }

    /// Opens a device and treats it as if it had memory and queues for copies of its own: every buffer is staged, and
    /// copies are submitted apart from kernels. `RANVIL_VALIDATION=1` also checks the kernels' accesses.
    pub fn open_as_discrete(selector: &DeviceSelector, budget: u64) -> Result<Self, DeviceError> {
        let options =
            OpenOptions { as_discrete: true, instrumented: true, ..OpenOptions::from_env()? };
        let device = super::open_device(selector, options)?;
        Self::new(VulkanAccelerator::new(device, budget)?)
    }

    /// Opens a device with a ring of so many slots of so many raw bytes.
    pub fn open_with_ring(
        selector: &DeviceSelector,
        slots: usize,
        raw_bytes: usize,
    ) -> Result<Self, DeviceError> {
        let device = super::open_device(selector, OpenOptions::from_env()?)?;
        let shape = Shape { slots, raw_bytes };
        Self::new(VulkanAccelerator::with_shape(device, shape, u64::MAX)?)
    }

    fn new(accelerator: VulkanAccelerator) -> Result<Self, DeviceError> {
        Ok(Self { slot: Slot::new(accelerator.memory())?, accelerator })
    }

    /// Gives the device up as an engine does.
    pub fn park(self) {
        let Self { slot, accelerator } = self;
        drop(slot);
        Box::new(accelerator).park();
    }

    fn device(&self) -> &Device {
        self.accelerator.device()
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        &self.device().info
    }

    /// The largest storage buffer that the device can allocate and bind, in bytes.
    pub fn max_buffer(&self) -> u64 {
        self.device().max_buffer()
    }

    /// The subgroup size that kernels run at; `None` is their shared-memory form.
    pub fn subgroup(&self) -> Option<u32> {
        self.device().subgroup
    }

    /// Runs a recording over buffers with these contents, whatever their roles, and reads them all back.
    pub fn replay(
        &mut self,
        recording: &Recording,
        buffers: &mut [Vec<u32>],
    ) -> Result<(), DeviceError> {
        let whole = host_visible(recording);
        self.slot.reserve(&whole.buffers)?;
        let count = buffers.len();
        for (index, words) in buffers.iter().enumerate() {
            let bytes: &[u8] = bytemuck::cast_slice(words);
            self.slot.upload(BufferId((count + index) as u32)).bytes_mut()[..bytes.len()]
                .copy_from_slice(bytes);
        }
        let all: Vec<BufferId> = (0..count as u32).map(BufferId).collect();
        self.slot.run(self.accelerator.pipelines(), &whole, &all, &[])?;
        self.slot.wait()?;
        for (id, words) in all.into_iter().zip(buffers) {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
            bytes.copy_from_slice(&self.slot.download(id).bytes()[..bytes.len()]);
        }
        self.device().messages().map_or(Ok(()), |messages| messages.check())
    }

    /// Encodes blocks with the same parameters.
    pub fn encode(
        &mut self,
        blocks: &[&[u8]],
        params: BlockParams,
    ) -> Result<Vec<(Encoded, Vec<u8>)>, DeviceError> {
        let mut traffic = Traffic::encode(blocks, params);
        self.send(&mut traffic, COPIERS)?;
        Ok(traffic.encoded().map(|(encoded, payload)| (encoded, payload.to_vec())).collect())
    }

    /// Decodes blocks with the same segment size.
    pub fn decode(
        &mut self,
        blocks: &[CodedBlock],
    ) -> Result<Vec<Result<Vec<u8>, BlockFault>>, DeviceError> {
        let mut traffic = Traffic::decode(blocks);
        self.send(&mut traffic, COPIERS)?;
        Ok(traffic.decoded().map(|raw| raw.map(<[u8]>::to_vec)).collect())
    }

    /// Sends blocks through the accelerator; `threads` threads copy.
    pub fn send(&mut self, traffic: &mut Traffic, threads: usize) -> Result<Trip, DeviceError> {
        traffic::send(&mut self.accelerator, traffic, threads)
    }

    /// Slots of the ring, the most raw bytes of a batch, and the host memory that all of them take.
    pub fn ring(&self) -> (usize, usize, u64) {
        let accelerator = &self.accelerator;
        (accelerator.slots(), accelerator.batch_limit().raw_bytes, accelerator.staging_bytes())
    }
}

/// A recording that can be run again and again over the same device-resident buffers, for benchmarks.
pub struct Bench {
    gpu: Gpu,
    recording: Recording,
}

impl Bench {
    /// Uploads `inputs` and compiles the kernels. The recording's commands are repeated `times` times within a run.
    pub fn new(
        mut gpu: Gpu,
        recording: &Recording,
        inputs: &[(BufferId, &[u8])],
        times: usize,
    ) -> Result<Self, DeviceError> {
        let commands: Vec<_> =
            (0..times).flat_map(|_| recording.commands.iter().cloned()).collect();
        gpu.slot.timestamps = Timestamps::new(gpu.accelerator.device(), commands.len(), 1)?;
        gpu.slot.reserve(&recording.buffers)?;
        for &(buffer, bytes) in inputs {
            gpu.slot.upload(buffer).bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        }
        let recording = Recording { buffers: recording.buffers.clone(), commands };
        Ok(Self { gpu, recording })
    }

    /// Runs all repetitions; how long each command took.
    pub fn run(&mut self) -> Result<Vec<CommandTime>, DeviceError> {
        let Gpu { slot, accelerator } = &mut self.gpu;
        slot.run(accelerator.pipelines(), &self.recording, &[], &[])?;
        slot.wait()?;
        slot.timestamps.as_ref().map_or(Ok(Vec::new()), Timestamps::read)
    }

    /// A Download buffer as the last run left it.
    pub fn read(&mut self, buffer: BufferId) -> Result<Vec<u8>, DeviceError> {
        let size = self.recording.buffers[buffer.0 as usize].size;
        self.gpu.slot.fetch(&[Part { buffer, offset: 0, size }])?;
        self.gpu.slot.wait()?;
        Ok(self.gpu.slot.download(buffer).bytes()[..size as usize].to_vec())
    }

    /// The device, for another recording.
    pub fn into_gpu(self) -> Gpu {
        self.gpu
    }
}

/// A block to be decoded.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "fields of a block header and its payload")]
pub struct CodedBlock {
    pub coder: Coder,
    pub kind: BlockKind,
    pub table_log: u8,
    pub segment_log: u8,
    pub raw_size: u32,
    pub payload: Vec<u8>,
}

/// The recording with every buffer as Download, preceded by copies from as many Upload buffers.
fn host_visible(recording: &Recording) -> Recording {
    let count = recording.buffers.len();
    let with_role =
        |role| recording.buffers.iter().map(move |desc| BufferDesc { role, ..desc.clone() });
    let copies = recording.buffers.iter().enumerate().map(|(index, desc)| Command::Copy {
        from: Binding { buffer: BufferId((count + index) as u32), offset: 0, size: desc.size },
        to: (BufferId(index as u32), 0),
    });
    Recording {
        buffers: with_role(Role::Download).chain(with_role(Role::Upload)).collect(),
        commands: copies.chain(recording.commands.iter().cloned()).collect(),
    }
}
