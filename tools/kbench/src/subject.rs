//! A case on a device: its kernels in the forms that it asks for, its data in the device's memory.

use anyhow::Result;
use ranvil::{
    kernel::Form,
    testing::{CommandTime, Gpu, Resident, Stamps},
};

use crate::{
    blocks::Blocks,
    case::Case,
    variants::{self, Entry},
    work::Work,
};

/// What results are overwritten with before they are checked.
const POISON: u32 = 0xdead_beef;

/// The specialisation constant that is the workgroup size.
const WORKGROUP: u32 = 0;

pub struct Subject<'a> {
    pub case: Case,
    pub work: Work<'a>,
    pub entries: Vec<Entry>,
    resident: Resident,
}

impl<'a> Subject<'a> {
    /// # Errors
    /// There is no such variant, the device cannot run it, or it has no memory for the data.
    pub fn new(gpu: &mut Gpu, case: &Case, blocks: &'a Blocks) -> Result<Self> {
        let work = Work::new(case.direction, blocks)?;
        let mut entries = variants::choose(gpu, &work.kernels(), &case.variant)?;
        for entry in &mut entries {
            if let Some(size) = case.params.workgroup
                && entry.choice.variant.form != Form::Any
            {
                entry.choice.spec.push((WORKGROUP, size));
            }
        }
        let resident = gpu.reside(work.recording(), &work.inputs())?;
        Ok(Self { case: case.clone(), work, entries, resident })
    }

    /// Makes the device's next kernels this subject's.
    pub fn take_device(&self, gpu: &mut Gpu) -> Result<()> {
        for Entry { kernel, choice, experiment, .. } in &self.entries {
            let own = experiment.is_some()
                || self.case.params.workgroup.is_some()
                || self.case.variant != variants::AUTO;
            gpu.force(kernel.name, own.then(|| choice.clone()))?;
        }
        Ok(())
    }

    /// Overwrites all results, runs once, and says what is wrong with them.
    pub fn verify(&mut self, gpu: &mut Gpu) -> Result<Result<(), String>> {
        self.take_device(gpu)?;
        gpu.repeat(&mut self.resident, 1, Stamps::Commands)?;
        gpu.poison(&mut self.resident, POISON)?;
        gpu.run(&mut self.resident)?;
        self.work.check(gpu, &mut self.resident)
    }

    /// How often a run repeats the recording, and where it takes timestamps.
    pub fn repeat(&mut self, gpu: &mut Gpu, times: usize, stamps: Stamps) -> Result<()> {
        Ok(gpu.repeat(&mut self.resident, times, stamps)?)
    }

    /// Runs, and returns what the timestamps say.
    pub fn run(&mut self, gpu: &mut Gpu) -> Result<Vec<CommandTime>> {
        self.take_device(gpu)?;
        Ok(gpu.run(&mut self.resident)?)
    }

    /// The forms of its kernels, as `KERNEL VARIANT`, and the CRC-32C of each one's SPIR-V.
    pub fn modules(&self) -> Vec<(String, u32)> {
        let module = |entry: &Entry| {
            let spirv = bytemuck::cast_slice(entry.choice.variant.spirv);
            (format!("{} {}", entry.kernel.name, entry.name), crc32c::crc32c(spirv))
        };
        self.entries.iter().map(module).collect()
    }
}
