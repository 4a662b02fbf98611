//! What integration tests and benchmarks need of the device layer. Not part of the public API.

use super::{
    accel::VulkanAccelerator,
    device::{Device, OpenOptions},
    instance::Messages,
    submit::{Part, Slot},
    timing::Timestamps,
};
pub use super::{
    inspect::{Compiled, compile_all},
    timing::CommandTime,
};
use crate::{
    block::{BlockParams, Coder, DecodePart, EncodePart, Encoded},
    device::{DeviceInfo, DeviceSelector},
    engine::accel::{Accelerator, Done, Job, Outcome, Work},
    error::{BlockFault, DeviceError},
    format::BlockKind,
    kernel::{Binding, BufferDesc, BufferId, Command, Recording, Role},
};

/// A device on which recordings run, one at a time, and blocks as the engine runs them.
pub struct Gpu {
    slot: Slot,
    accelerator: VulkanAccelerator,
}

/// The first warnings and errors that the validation layer has sent to this process.
pub fn validation_messages() -> Vec<String> {
    Messages::first()
}

impl Gpu {
    /// Opens a device with a staging ring of at most so many bytes, `RANVIL_KERNEL_FORM` and `RANVIL_VALIDATION`
    /// considered.
    pub fn open(selector: &DeviceSelector, budget: u64) -> Result<Self, DeviceError> {
        Self::new(super::open(selector, budget)?)
    }

    /// Opens a device and treats it as if it had memory and queues for copies of its own: every buffer is staged, and
    /// copies are submitted apart from kernels.
    pub fn open_as_discrete(selector: &DeviceSelector, budget: u64) -> Result<Self, DeviceError> {
        let options = OpenOptions { as_discrete: true, ..OpenOptions::from_env()? };
        let device = super::open_device(selector, options)?;
        Self::new(VulkanAccelerator::new(device, budget)?)
    }

    fn new(accelerator: VulkanAccelerator) -> Result<Self, DeviceError> {
        Ok(Self { slot: Slot::new(accelerator.memory())?, accelerator })
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
            self.slot.upload(BufferId((count + index) as u32))[..bytes.len()]
                .copy_from_slice(bytes);
        }
        let all: Vec<BufferId> = (0..count as u32).map(BufferId).collect();
        self.slot.run(self.accelerator.pipelines(), &whole, &all)?;
        self.slot.wait()?;
        for (id, words) in all.into_iter().zip(buffers) {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
            bytes.copy_from_slice(&self.slot.download(id)[..bytes.len()]);
        }
        self.device().messages().map_or(Ok(()), |messages| messages.check())
    }

    /// Encodes blocks with the same parameters.
    pub fn encode(
        &mut self,
        blocks: &[&[u8]],
        params: BlockParams,
    ) -> Result<Vec<(Encoded, Vec<u8>)>, DeviceError> {
        let works = blocks.iter().map(|raw| encode_work(raw, params));
        let done = self.run(works)?.into_iter();
        Ok(done
            .map(|done| match (done.outcome, done.job.work) {
                (Ok(Outcome::Encoded(parts)), Work::Encode { payload, .. }) => {
                    (parts[0].encoded, payload)
                }
                other => panic!("an encode job came back as {other:?}"),
            })
            .collect())
    }

    /// Decodes blocks with the same segment size.
    pub fn decode(
        &mut self,
        blocks: &[CodedBlock],
    ) -> Result<Vec<Result<Vec<u8>, BlockFault>>, DeviceError> {
        let works = blocks.iter().cloned().map(|block| Work::Decode {
            parts: vec![DecodePart {
                payload: 0..block.payload.len(),
                range: 0..block.raw_size as usize,
                encoded: Encoded { kind: block.kind, table_log: block.table_log },
                coder: block.coder,
            }],
            payload: block.payload,
            raw: vec![0xEE; 3],
            segment_log: block.segment_log,
        });
        let done = self.run(works)?.into_iter();
        Ok(done
            .map(|done| match (done.outcome, done.job.work) {
                (Ok(Outcome::Decoded), Work::Decode { raw, .. }) => Ok(raw),
                (Err(fault), _) => Err(fault),
                other => panic!("a decode job came back as {other:?}"),
            })
            .collect())
    }

    /// Starts a batch of these blocks and loses the device. Returns what comes back: the blocks of the batch, then those
    /// of another batch that is submitted after the loss.
    pub fn lose(mut self, blocks: &[&[u8]], params: BlockParams) -> [Vec<Vec<u8>>; 2] {
        let jobs = || -> Vec<Job> {
            let works = blocks.iter().map(|raw| encode_work(raw, params));
            (0..).zip(works).map(|(id, work)| Job { id, work, rest: None }).collect()
        };
        let raw = |jobs: Vec<Job>| -> Vec<Vec<u8>> {
            let works = jobs.into_iter().map(|job| match job.work {
                Work::Encode { raw, .. } | Work::Decode { raw, .. } => raw,
            });
            works.collect()
        };
        self.accelerator.submit(jobs()).expect("the device is not lost yet");
        self.accelerator.lose();
        let Err((DeviceError::Lost, in_flight)) = self.accelerator.poll(true) else {
            panic!("the device is lost");
        };
        let Err((DeviceError::Lost, refused)) = self.accelerator.submit(jobs()) else {
            panic!("the device is still lost");
        };
        [raw(in_flight), raw(refused)]
    }

    /// All jobs in batches as large and as many at once as the accelerator takes.
    fn run(&mut self, works: impl Iterator<Item = Work>) -> Result<Vec<Done>, DeviceError> {
        let limit = self.accelerator.batch_limit();
        let mut works = (0..).zip(works).map(|(id, work)| Job { id, work, rest: None }).peekable();
        let mut done = Vec::new();
        while works.peek().is_some() || self.accelerator.batches_in_flight() > 0 {
            if works.peek().is_none()
                || self.accelerator.batches_in_flight() == self.accelerator.slots()
            {
                done.extend(self.accelerator.poll(true).map_err(|(error, _)| error)?);
                continue;
            }
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(job) = works.next_if(|job| {
                batch.is_empty()
                    || batch.len() < limit.parts && bytes + job.work.raw_bytes() <= limit.raw_bytes
            }) {
                bytes += job.work.raw_bytes();
                batch.push(job);
            }
            self.accelerator.submit(batch).map_err(|(error, _)| error)?;
        }
        assert!(
            done.iter().zip(0..).all(|(done, id)| done.job.id == id),
            "jobs come back in order"
        );
        Ok(done)
    }
}

fn encode_work(raw: &[u8], params: BlockParams) -> Work {
    let BlockParams { coder, segment_log, table_log } = params;
    let parts = vec![EncodePart { range: 0..raw.len(), coder, table_log }];
    Work::Encode { raw: raw.to_vec(), parts, segment_log, payload: Vec::new() }
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
        gpu.slot.timestamps = Timestamps::new(gpu.accelerator.device(), commands.len())?;
        gpu.slot.reserve(&recording.buffers)?;
        for &(buffer, bytes) in inputs {
            gpu.slot.upload(buffer)[..bytes.len()].copy_from_slice(bytes);
        }
        let recording = Recording { buffers: recording.buffers.clone(), commands };
        Ok(Self { gpu, recording })
    }

    /// Runs all repetitions; how long each command took.
    pub fn run(&mut self) -> Result<Vec<CommandTime>, DeviceError> {
        let Gpu { slot, accelerator } = &mut self.gpu;
        slot.run(accelerator.pipelines(), &self.recording, &[])?;
        slot.wait()?;
        slot.timestamps.as_ref().map_or(Ok(Vec::new()), Timestamps::read)
    }

    /// A Download buffer as the last run left it.
    pub fn read(&mut self, buffer: BufferId) -> Result<Vec<u8>, DeviceError> {
        let size = self.recording.buffers[buffer.0 as usize].size;
        self.gpu.slot.fetch(&[Part { buffer, offset: 0, size }])?;
        self.gpu.slot.wait()?;
        Ok(self.gpu.slot.download(buffer)[..size as usize].to_vec())
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
