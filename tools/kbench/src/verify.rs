//! Every form of every kernel that the device runs, against its twin, word for word, after each step of real work; and the
//! whole against the CPU's coder.

use anyhow::Result;
use ranvil::{
    kernel::{Command, Recording, twin},
    testing::{Choice, Gpu},
};

use crate::{
    blocks::Blocks,
    case::Case,
    variants::{self, Entry},
    work::Work,
};

/// What buffers hold before a kernel writes to them.
const POISON: u32 = 0xdead_beef;

/// Buffers of which what lies in them beside payloads is the affair of the kernels that use it.
const PRIVATE: &[&str] = &["payload"];

/// A form of a kernel, and what became of it.
#[derive(Debug)]
pub struct Finding {
    pub kernel: &'static str,
    pub variant: String,
    /// How it differs.
    pub outcome: Result<(), String>,
}

/// Checks all forms of the case's kernels whose name `wanted` accepts.
///
/// # Errors
/// The device's; or the twins do not compute what the CPU's coder does.
pub fn case(
    gpu: &mut Gpu,
    case: &Case,
    data: &[u8],
    wanted: impl Fn(&Entry) -> bool,
) -> Result<Vec<Finding>> {
    let blocks = Blocks::new(case, data, gpu.max_buffer())?;
    let work = Work::new(case.direction, &blocks)?;
    let recording = work.recording();
    let mut buffers = poisoned(recording);
    for (id, bytes) in work.inputs() {
        let buffer: &mut [u8] = bytemuck::cast_slice_mut(&mut buffers[id.0 as usize]);
        buffer[..bytes.len()].copy_from_slice(&bytes);
    }
    let mut findings = Vec::new();
    for (number, command) in recording.commands.iter().enumerate() {
        let last = number + 1 == recording.commands.len();
        let before = buffers.clone();
        twin::step(command, &mut buffers);
        let Command::Dispatch { kernel, .. } = *command else { continue };
        let step =
            Recording { buffers: recording.buffers.clone(), commands: vec![command.clone()] };
        let desc = ranvil::kernel::find(kernel).expect("plans name kernels of the library");
        for entry in variants::of(desc).into_iter().filter(&wanted) {
            if gpu.runs(&entry.choice).is_ok() {
                let found = replay(gpu, kernel, entry.choice, &step, &before)?;
                let same = difference(&step, &found, &buffers);
                let outcome = if last { same.and(work.check_buffers(&found)) } else { same };
                findings.push(Finding { kernel, variant: entry.name, outcome });
            }
        }
    }
    // The twins are the kernels' reference; theirs is the coder.
    if let Err(difference) = work.check_buffers(&buffers) {
        anyhow::bail!("the twins of {case}: {difference}");
    }
    Ok(findings)
}

fn poisoned(recording: &Recording) -> Vec<Vec<u32>> {
    recording.buffers.iter().map(|desc| vec![POISON; desc.size as usize / 4]).collect()
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
