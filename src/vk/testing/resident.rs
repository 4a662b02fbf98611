//! Recordings over buffers that stay in the device's memory, made of the kernels' variants that one asks for.

use super::Gpu;
use crate::{
    device::SubgroupSizes,
    error::DeviceError,
    kernel::{Binding, BufferId, Command, Form, KernelDesc, Recording, Role, Variant},
    vk::{
        pipeline::{Choice, choose_variant, runs},
        submit::{Part, Slot},
        timing::{CommandTime, Timestamps},
    },
};

/// Where timestamps are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stamps {
    /// After every command.
    Commands,
    /// After each repetition of the recording.
    Repetitions,
}

/// A recording whose inputs are in the device's memory, to be run again and again.
pub struct Resident {
    slot: Slot,
    recording: Recording,
    /// What a run runs: the recording's commands, repeated.
    repeated: Recording,
}

impl Resident {
    /// The recording.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

impl Gpu {
    /// Lets recordings name these kernels too.
    pub fn add_kernels(&mut self, kernels: &'static [KernelDesc]) {
        self.accelerator.pipelines().add(kernels);
    }

    /// Makes a kernel of this choice from now on, or again of what suits the device.
    ///
    /// # Errors
    /// The device cannot run the variant.
    pub fn force(
        &mut self,
        kernel: &'static str,
        choice: Option<Choice>,
    ) -> Result<(), DeviceError> {
        if let Some(choice) = &choice
            && let Err(missing) = self.runs(choice)
        {
            let device = self.info().name.clone();
            let missing = format!("{missing}, which {kernel} {} needs", choice.variant.name);
            return Err(DeviceError::Unsupported { device, missing });
        }
        self.accelerator.pipelines().force(kernel, choice);
        Ok(())
    }

    /// Whether the device can run it, or what it lacks.
    pub fn runs(&self, choice: &Choice) -> Result<(), String> {
        let device = self.device();
        let Choice { variant, spec, .. } = choice;
        if let Form::Subgroup(size) = variant.form
            && !device.offer.runs_at(size, device.info.subgroup.default)
        {
            return Err(format!("subgroups of {size}"));
        }
        let most = device.offer.limits.max_compute_work_group_invocations;
        let workgroup = spec.iter().find(|(id, _)| *id == 0).map_or(0, |(_, size)| *size);
        if !runs(variant, device) || workgroup > most {
            return Err("a limit or a feature".to_owned());
        }
        Ok(())
    }

    /// The variant that suits the device.
    pub fn suitable(&self, kernel: &'static KernelDesc) -> Result<&'static Variant, DeviceError> {
        choose_variant(kernel, self.device())
    }

    /// Subgroup sizes, the most invocations of a workgroup, and bytes of shared memory that a workgroup can have.
    pub fn workgroup_limits(&self) -> (SubgroupSizes, u32, u32) {
        let limits = &self.device().offer.limits;
        let invocations = limits.max_compute_work_group_invocations;
        (self.info().subgroup, invocations, limits.max_compute_shared_memory_size)
    }

    /// Brings `inputs` to the device and makes room for the rest.
    pub fn reside(
        &mut self,
        recording: &Recording,
        inputs: &[(BufferId, Vec<u8>)],
    ) -> Result<Resident, DeviceError> {
        let mut slot = Slot::new(self.accelerator.memory())?;
        slot.reserve(&recording.buffers)?;
        for (buffer, bytes) in inputs {
            slot.upload(*buffer).bytes_mut()[..bytes.len()].copy_from_slice(bytes);
        }
        let nothing = Recording { buffers: recording.buffers.clone(), commands: Vec::new() };
        slot.run(self.accelerator.pipelines(), &nothing, &[], &[])?;
        slot.wait()?;
        Ok(Resident { slot, recording: recording.clone(), repeated: recording.clone() })
    }

    /// Makes a run repeat the recording so many times, with timestamps.
    pub fn repeat(
        &mut self,
        resident: &mut Resident,
        times: usize,
        stamps: Stamps,
    ) -> Result<(), DeviceError> {
        let Resident { slot, recording, repeated } = resident;
        let own = recording.commands.len();
        repeated.commands = recording.commands.iter().cycle().take(times * own).cloned().collect();
        let every = if stamps == Stamps::Commands { 1 } else { own };
        slot.timestamps = Timestamps::new(self.accelerator.device(), times * own, every)?;
        Ok(())
    }

    /// Runs all repetitions, once unless told otherwise; what the timestamps say, nothing where the device has none.
    pub fn run(&mut self, resident: &mut Resident) -> Result<Vec<CommandTime>, DeviceError> {
        let Resident { slot, repeated, .. } = resident;
        slot.rerun(self.accelerator.pipelines(), repeated)?;
        slot.wait()?;
        slot.timestamps.as_ref().map_or(Ok(Vec::new()), Timestamps::read)
    }

    /// Fills everything but the inputs with a word, so that nothing that an earlier run left can pass for a result.
    pub fn poison(&mut self, resident: &mut Resident, word: u32) -> Result<(), DeviceError> {
        let Resident { slot, recording, .. } = resident;
        let buffers = (0..).map(BufferId).zip(&recording.buffers);
        let fills = buffers.filter(|(_, desc)| desc.role != Role::Upload).map(|(buffer, desc)| {
            let range = Binding { buffer, offset: 0, size: desc.size };
            Command::Fill { range, value: word }
        });
        let fills = Recording { buffers: recording.buffers.clone(), commands: fills.collect() };
        let timestamps = slot.timestamps.take();
        slot.rerun(self.accelerator.pipelines(), &fills)?;
        slot.timestamps = timestamps;
        slot.wait()
    }

    /// A Download buffer as the last run left it.
    pub fn read(&self, resident: &mut Resident, buffer: BufferId) -> Result<Vec<u8>, DeviceError> {
        let Resident { slot, recording, .. } = resident;
        let size = recording.buffers[buffer.0 as usize].size;
        slot.fetch(&[Part { buffer, offset: 0, size }])?;
        slot.wait()?;
        Ok(slot.download(buffer).bytes()[..size as usize].to_vec())
    }
}
