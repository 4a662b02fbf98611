//! Every form of every kernel that the device runs, against its twin, word for word, after each step of real work; the results
//! against the CPU's coder; and what that makes of the data against what is recorded.

use std::{
    io::{Write, stdout},
    path::Path,
};

use anyhow::{Result, ensure};
use ranvil::{
    DeviceSelector,
    kernel::{BufferDesc, Command, KernelDesc, Recording, twin},
    testing::{Choice, Gpu},
};

use crate::{
    args,
    blocks::Blocks,
    case::{Case, Direction, Param},
    checksums::Checksums,
    is_closed_pipe,
    run::{STAGING, load, usage},
    variants::{self, Entry},
    work::{self, Work},
};

/// Where checksums are recorded if nothing else is said.
const CHECKSUMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baselines/encoded.tsv");

/// What buffers hold before a kernel writes to them.
const POISON: u32 = 0xdead_beef;

/// Buffers of which what lies in them beside payloads is the affair of the kernels that use it.
const PRIVATE: &[&str] = &["payload"];

/// A form of a kernel, or what else is checked, and what became of it.
#[derive(Debug)]
pub struct Finding {
    pub kernel: &'static str,
    pub variant: String,
    /// How it differs.
    pub outcome: Result<(), String>,
}

/// What was checked.
#[derive(Default)]
struct Tally {
    checked: usize,
    wrong: usize,
    /// Cases that could not be checked, or not to their end.
    left: usize,
}

impl Tally {
    /// Counts a finding and prints it.
    ///
    /// # Errors
    /// Nobody reads on.
    fn add(&mut self, case: &Case, finding: Finding) -> Result<()> {
        let Finding { kernel, variant, outcome } = finding;
        let said = match outcome {
            Ok(()) => "right".to_owned(),
            Err(difference) => {
                self.wrong += 1;
                format!("WRONG: {difference}")
            }
        };
        let Case { direction, coder, .. } = case;
        Ok(writeln!(stdout(), "{direction} {coder:<5}{kernel:<14}{variant:<28}{said}")?)
    }

    /// False if anything was wrong.
    ///
    /// # Errors
    /// Not all of it could be checked, or nothing was.
    fn outcome(&self) -> Result<bool> {
        if self.wrong > 0 {
            return Ok(false);
        }
        ensure!(self.left == 0, "{} could not be checked, as said above", self.left);
        ensure!(self.checked > 0, "no variant was checked: see `kbench list` for their names");
        Ok(true)
    }
}

/// Checks what is asked for; false if anything is wrong.
///
/// # Errors
/// The device cannot be opened, there is no data; or not everything could be checked.
pub fn run(selector: &DeviceSelector, args: &args::Verify) -> Result<bool> {
    let mut gpu = Gpu::open(selector, STAGING)?;
    let (runs, lacks): (Vec<Entry>, Vec<Entry>) =
        forms(args).into_iter().partition(|entry| gpu.runs(&entry.choice).is_ok());
    if args.names {
        let name = |entry: &Entry| writeln!(stdout(), "{} {}", entry.kernel.name, entry.name);
        runs.iter().try_for_each(name)?;
        return Ok(true);
    }
    writeln!(stdout(), "{}, {} {}", gpu.info().name, gpu.info().driver, gpu.info().driver_version)?;
    let data = load(&args.data)?;
    let mut checksums = Checksums::read(args.checksums.as_deref())?;
    let mut tally = Tally::default();
    for case in cases(args)? {
        let found = Blocks::new(&case, &data, gpu.max_buffer()).and_then(|blocks| {
            checksum(&mut tally, &case, args, blocks.encoded_crc32c(), &mut checksums)?;
            self::case(&mut gpu, &case, &blocks, args, &mut tally)
        });
        match found {
            Ok(()) => {}
            Err(error) if is_closed_pipe(&error) => return Err(error),
            Err(error) => {
                tally.left += 1;
                let Case { direction, coder, .. } = case;
                writeln!(stdout(), "{direction} {coder:<5}not checked: {error:#}")?;
            }
        }
    }
    if !lacks.is_empty() {
        writeln!(
            stdout(),
            "{} not checked, as this device lacks them: {}",
            lacks.len(),
            names(&lacks)
        )?;
    }
    let Tally { checked, wrong, left } = tally;
    writeln!(stdout(), "{checked} checked, {wrong} wrong, {left} not possible")?;
    let good = tally.outcome()?;
    if good && args.update_checksums {
        let path = args.checksums.as_deref().unwrap_or(Path::new(CHECKSUMS));
        checksums.write(path)?;
        writeln!(stdout(), "recorded in {}", path.display())?;
    }
    Ok(good)
}

/// Every coder in every direction that is asked for; encoders bring payloads together, which adds a kernel.
fn cases(args: &args::Verify) -> Result<Vec<Case>> {
    let mut base = Case::default();
    usage(base.params.set(Param::Block, args.block))?;
    usage(base.params.set(Param::Size, args.size))?;
    let mut cases = Vec::new();
    for &coder in &args.coder {
        for &direction in &args.direction {
            let mut case = Case { direction, coder, ..base.clone() };
            case.params.gather = direction == Direction::Encode;
            cases.push(case);
        }
    }
    Ok(cases)
}

/// The forms of the kernels of what is asked for, whatever the device.
fn forms(args: &args::Verify) -> Vec<Entry> {
    let mut kernels: Vec<&KernelDesc> = Vec::new();
    for &coder in &args.coder {
        for &direction in &args.direction {
            for kernel in work::kernels(direction, coder, true) {
                if !kernels.iter().any(|known| known.name == kernel.name) {
                    kernels.push(kernel);
                }
            }
        }
    }
    let entries = kernels.into_iter().flat_map(variants::of);
    entries.filter(|entry| entry.name.contains(&args.variant)).collect()
}

/// Such as `parse (any), decode_rans (shared, subgroup8)`.
fn names(entries: &[Entry]) -> String {
    let kernel = |entries: &[Entry]| {
        let forms: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        format!("{} ({})", entries[0].kernel.name, forms.join(", "))
    };
    let kernels = entries.chunk_by(|a, b| a.kernel.name == b.kernel.name);
    kernels.map(kernel).collect::<Vec<_>>().join(", ")
}

/// Compares with what is recorded, or records it.
fn checksum(
    tally: &mut Tally,
    case: &Case,
    args: &args::Verify,
    found: u32,
    checksums: &mut Checksums,
) -> Result<()> {
    if args.update_checksums {
        checksums.set(case, &args.data, found);
    }
    let outcome = match checksums.check(case, &args.data, found) {
        Some(outcome) => outcome,
        None if args.recorded => Err("none is recorded: see --update-checksums".to_owned()),
        None => {
            let Case { direction, coder, .. } = case;
            writeln!(stdout(), "{direction} {coder:<5}has no recorded checksum")?;
            return Ok(());
        }
    };
    tally.add(case, Finding { kernel: "checksum", variant: String::new(), outcome })
}

/// Checks all forms of the case's kernels that are wanted and that the device runs.
///
/// # Errors
/// The device's; or there is nothing to decode.
fn case(
    gpu: &mut Gpu,
    case: &Case,
    blocks: &Blocks,
    args: &args::Verify,
    tally: &mut Tally,
) -> Result<()> {
    let work = Work::new(case.direction, blocks)?;
    let recording = work.recording();
    let mut buffers = poisoned(&work);
    for command in &recording.commands {
        let before = buffers.clone();
        twin::step(command, &mut buffers);
        let Command::Dispatch { kernel, .. } = *command else { continue };
        // The twins are the kernels' reference; theirs is the coder.
        if let Err(difference) = work.check_buffers(kernel, &buffers) {
            let (variant, outcome) = ("twin".to_owned(), Err(difference));
            tally.add(case, Finding { kernel, variant, outcome })?;
        }
        let step =
            Recording { buffers: recording.buffers.clone(), commands: vec![command.clone()] };
        let desc = ranvil::kernel::find(kernel).expect("plans name kernels of the library");
        for Entry { name, choice, .. } in variants::of(desc) {
            if !name.contains(&args.variant) || gpu.runs(&choice).is_err() {
                continue;
            }
            let found = replay(gpu, kernel, choice, &step, &before)?;
            let same = difference(&step, &found, &buffers);
            let outcome = same.and_then(|()| work.check_buffers(kernel, &found));
            tally.checked += 1;
            tally.add(case, Finding { kernel, variant: name, outcome })?;
        }
    }
    Ok(())
}

/// Buffers with the work's inputs, and nothing of use in the others.
pub fn poisoned(work: &Work<'_>) -> Vec<Vec<u32>> {
    let words = |desc: &BufferDesc| vec![POISON; desc.size as usize / 4];
    let mut buffers: Vec<Vec<u32>> = work.recording().buffers.iter().map(words).collect();
    for (id, bytes) in work.inputs() {
        let buffer: &mut [u8] = bytemuck::cast_slice_mut(&mut buffers[id.0 as usize]);
        buffer[..bytes.len()].copy_from_slice(&bytes);
    }
    buffers
}

/// What one command in one form makes of these buffers.
///
/// # Errors
/// The device's.
pub fn replay(
    gpu: &mut Gpu,
    kernel: &'static str,
    choice: Choice,
    step: &Recording,
    before: &[Vec<u32>],
) -> Result<Vec<Vec<u32>>> {
    gpu.force(kernel, Some(choice))?;
    let mut found = before.to_vec();
    let ran = gpu.replay(step, &mut found);
    gpu.force(kernel, None)?;
    ran?;
    Ok(found)
}

/// The first word that differs from the twin's, [`PRIVATE`] buffers apart.
pub fn difference(
    step: &Recording,
    found: &[Vec<u32>],
    expected: &[Vec<u32>],
) -> Result<(), String> {
    let buffers = found.iter().zip(expected).zip(&step.buffers);
    for ((found, expected), desc) in buffers.filter(|(_, desc)| !PRIVATE.contains(&desc.name)) {
        if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
            let (found, expected) = (found[at], expected[at]);
            let place = format!("{}[{at}]", desc.name);
            return Err(format!("{place} is {found:#010x}, the twin has {expected:#010x}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_if_all_is_right_all_is_right() {
        let outcome = |checked, wrong, left| Tally { checked, wrong, left }.outcome();
        assert!(outcome(3, 0, 0).unwrap());
        assert!(!outcome(3, 1, 0).unwrap());
        assert!(!outcome(3, 1, 1).unwrap(), "wrong is more than not checked");
        outcome(3, 0, 1).unwrap_err();
        outcome(0, 0, 0).unwrap_err();
        let mut tally = Tally::default();
        for (outcome, wrong) in [(Ok(()), 0), (Err("other bytes".to_owned()), 1)] {
            let variant = "any".to_owned();
            tally.add(&Case::default(), Finding { kernel: "parse", variant, outcome }).unwrap();
            assert_eq!(tally.wrong, wrong);
        }
    }
}
