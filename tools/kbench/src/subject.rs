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
        let module =
            |entry: &Entry| (format!("{} {}", entry.kernel.name, entry.name), entry.module());
        self.entries.iter().map(module).collect()
    }
}

/// On the first Vulkan device.
#[cfg(test)]
mod tests {
    use ranvil::testing::Choice;

    use super::*;
    use crate::{case::Coder, data, measure, run::STAGING, verify};

    /// A kernel of another coder in its place, which does nothing: what is in the buffers must not pass for its work.
    #[test]
    fn a_variant_that_is_wrong_on_purpose_has_no_speed() {
        let mut gpu = Gpu::open(&"0".parse().unwrap(), STAGING).unwrap();
        let mut case = Case { coder: Coder::Huff, ..Case::default() };
        case.variant = "shared".to_owned();
        (case.params.size, case.params.block) = (100_000, 30_000);
        let data = data::load("alice").unwrap();
        let blocks = Blocks::new(&case, &data, gpu.max_buffer()).unwrap();
        let mut subject = Subject::new(&mut gpu, &case, &blocks).unwrap();
        measure::verify(&mut gpu, &mut subject).unwrap();

        let decode = subject.entries.iter_mut().find(|e| e.kernel.name == "decode_huff").unwrap();
        let other = ranvil::kernel::find("decode_rans").unwrap();
        let wrong = other.variants.iter().find(|variant| variant.name == "shared").unwrap();
        decode.choice = Choice { variant: wrong, spec: Vec::new(), checked: false };
        let error = measure::verify(&mut gpu, &mut subject).unwrap_err();
        assert!(error.downcast_ref::<measure::Wrong>().is_some(), "{error}");
        assert!(error.to_string().contains("has no speed"), "{error}");
    }

    /// The same in the comparison with twins.
    #[test]
    fn a_wrong_kernel_differs_from_its_twin() {
        use ranvil::kernel::{Command, Recording, find, twin};
        let mut gpu = Gpu::open(&"0".parse().unwrap(), STAGING).unwrap();
        let mut case = Case::default();
        (case.params.size, case.params.block) = (50_000, 30_000);
        let data = data::load("alice").unwrap();
        let blocks = Blocks::new(&case, &data, gpu.max_buffer()).unwrap();
        let work = Work::new(case.direction, &blocks).unwrap();
        let recording = work.recording();
        let mut buffers = verify::poisoned(&work);
        for command in &recording.commands {
            let before = buffers.clone();
            twin::step(command, &mut buffers);
            let Command::Dispatch { kernel: kernel @ "decode_rans", .. } = *command else {
                continue;
            };
            let step =
                Recording { buffers: recording.buffers.clone(), commands: vec![command.clone()] };
            for (name, right) in [("decode_rans", true), ("decode_huff", false)] {
                let mut variants = find(name).unwrap().variants.iter();
                let variant = variants.find(|variant| variant.name == "shared").unwrap();
                let choice = Choice { variant, spec: Vec::new(), checked: false };
                let found = verify::replay(&mut gpu, kernel, choice, &step, &before).unwrap();
                let outcome = verify::difference(&step, &found, &buffers);
                assert_eq!(outcome.is_ok(), right, "{outcome:?}");
            }
        }
    }
}
