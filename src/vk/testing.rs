//! What integration tests and benchmarks need of the device layer. Not part of the public API.

use std::sync::Arc;

use super::{
    device::{Device, ForcedForm, OpenOptions},
    instance::Messages,
    memory::Memory,
    pipeline::Pipelines,
    submit::Slot,
};
pub use super::{
    inspect::{Compiled, compile_all},
    timing::CommandTime,
};
use crate::{
    device::{DeviceInfo, DeviceSelector},
    error::DeviceError,
    kernel::{Binding, BufferDesc, BufferId, Command, Recording, Role},
};

/// A device on which recordings run, one at a time.
pub struct Gpu {
    slot: Slot,
    pipelines: Pipelines,
    memory: Arc<Memory>,
}

/// Messages of the validation layer, readable after everything else is gone.
pub struct ValidationLog(Option<Arc<Messages>>);

impl ValidationLog {
    /// Fails with the messages since the last call, if there are any.
    pub fn check(&self) -> Result<(), DeviceError> {
        self.0.as_ref().map_or(Ok(()), |messages| messages.check())
    }
}

impl Gpu {
    /// Opens a device, `RANVIL_KERNEL_FORM` and `RANVIL_VALIDATION` considered.
    pub fn open(selector: &DeviceSelector) -> Result<Self, DeviceError> {
        let options = OpenOptions { form: ForcedForm::from_env()?, ..OpenOptions::default() };
        let memory = Memory::new(super::open_device(selector, options)?)?;
        Ok(Self {
            slot: Slot::new(&memory)?,
            pipelines: Pipelines::new(Arc::clone(&memory.device)),
            memory,
        })
    }

    fn device(&self) -> &Device {
        &self.memory.device
    }

    /// What the device is.
    pub fn info(&self) -> &DeviceInfo {
        &self.device().info
    }

    /// The subgroup size that kernels run at; `None` is their shared-memory form.
    pub fn subgroup(&self) -> Option<u32> {
        self.device().subgroup
    }

    /// The validation layer's messages.
    pub fn validation_log(&self) -> ValidationLog {
        ValidationLog(self.device().messages().cloned())
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
        self.slot.run(&mut self.pipelines, &whole, &all)?;
        self.slot.wait()?;
        for (id, words) in all.into_iter().zip(buffers) {
            let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
            bytes.copy_from_slice(&self.slot.download(id)[..bytes.len()]);
        }
        self.device().messages().map_or(Ok(()), |messages| messages.check())
    }
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
