//! The work of a direction as a recording with inputs, and whether its results are right.

use anyhow::{Result, ensure};
use bytemuck::cast_slice;
use ranvil::{
    coder,
    format::BlockKind,
    kernel::{
        self, BufferId, Command, KernelDesc, Recording,
        generated::EncodeResult,
        plan::{CodedBlock, DecodePlan, EncodePlan, RawBlock},
    },
    testing::{Gpu, Resident},
};

use crate::{
    blocks::Blocks,
    case::{Coder, Direction},
};

/// A plan over blocks.
pub struct Work<'a> {
    blocks: &'a Blocks,
    plan: Plan,
}

enum Plan {
    Encode(EncodePlan),
    Decode(DecodePlan),
}

impl<'a> Work<'a> {
    /// # Errors
    /// No block is worth coding, so there is nothing to decode.
    pub fn new(direction: Direction, blocks: &'a Blocks) -> Result<Self> {
        let params = blocks.params;
        let plan = match direction {
            Direction::Encode => {
                let block = |(raw, _): (&[u8], _)| RawBlock {
                    raw_size: raw.len() as u32,
                    coder: params.coder,
                    table_log: params.table_log,
                };
                let raw: Vec<RawBlock> = blocks.iter().map(block).collect();
                let plan = if blocks.gather { EncodePlan::gathered } else { EncodePlan::new };
                Plan::Encode(plan(&raw, params.segment_log))
            }
            Direction::Decode => {
                let coded: Vec<CodedBlock> = blocks
                    .coded()
                    .map(|(raw, block)| CodedBlock {
                        coder: params.coder,
                        coded_size: block.payload.len() as u32,
                        raw_size: raw.len() as u32,
                        table_log: block.table_log,
                    })
                    .collect();
                ensure!(!coded.is_empty(), "no block of this data becomes smaller");
                Plan::Decode(DecodePlan::new(&coded, params.segment_log))
            }
        };
        Ok(Self { blocks, plan })
    }

    pub fn recording(&self) -> &Recording {
        match &self.plan {
            Plan::Encode(plan) => &plan.recording,
            Plan::Decode(plan) => &plan.recording,
        }
    }

    /// The kernels that it runs, in order.
    pub fn kernels(&self) -> Vec<&'static KernelDesc> {
        dispatched(self.recording())
    }

    /// Bytes of all buffers.
    pub fn working_set(&self) -> u64 {
        self.recording().buffers.iter().map(|buffer| buffer.size).sum()
    }

    /// Raw bytes that are coded: stored blocks are not decoded by any kernel.
    pub fn raw_bytes(&self) -> u64 {
        match self.plan {
            Plan::Encode(_) => self.blocks.raw_bytes(),
            Plan::Decode(_) => self.blocks.coded().map(|(raw, _)| raw.len() as u64).sum(),
        }
    }

    /// Bytes of their payloads.
    pub fn coded_bytes(&self) -> u64 {
        match self.plan {
            Plan::Encode(_) => self.blocks.coded_bytes(),
            Plan::Decode(_) => self.blocks.coded().map(|(_, b)| b.payload.len() as u64).sum(),
        }
    }

    /// What the Upload buffers hold.
    pub fn inputs(&self) -> Vec<(BufferId, Vec<u8>)> {
        match &self.plan {
            Plan::Encode(plan) => {
                let mut bytes = self.buffer(EncodePlan::RAW);
                for (number, (raw, _)) in self.blocks.iter().enumerate() {
                    bytes[plan.raw_range(number)].copy_from_slice(raw);
                }
                vec![
                    (EncodePlan::BLOCKS, cast_slice(&plan.blocks).to_vec()),
                    (EncodePlan::PIECES, cast_slice(&plan.pieces).to_vec()),
                    (EncodePlan::RAW, bytes),
                ]
            }
            Plan::Decode(plan) => {
                let mut bytes = self.buffer(DecodePlan::PAYLOAD);
                for (number, (_, block)) in self.blocks.coded().enumerate() {
                    bytes[plan.payload_range(number)].copy_from_slice(&block.payload);
                }
                vec![
                    (DecodePlan::BLOCKS, cast_slice(&plan.blocks).to_vec()),
                    (DecodePlan::PAYLOAD, bytes),
                ]
            }
        }
    }

    fn buffer(&self, id: BufferId) -> Vec<u8> {
        vec![0; self.recording().buffers[id.0 as usize].size as usize]
    }

    /// Whether what the last run left is what the CPU makes of the blocks, and how not.
    ///
    /// # Errors
    /// The device's.
    pub fn check(&self, gpu: &Gpu, resident: &mut Resident) -> Result<Result<(), String>> {
        let mut read = |buffer| gpu.read(resident, buffer);
        Ok(match &self.plan {
            Plan::Encode(plan) => {
                let (results, payload) = outputs(plan.gathers);
                self.check_encoded(&read(results)?, &read(payload)?)
            }
            Plan::Decode(plan) => {
                let (status, raw) = (read(DecodePlan::STATUS)?, read(DecodePlan::RAW)?);
                self.check_decoded(plan, cast_slice(&status), &raw)
            }
        })
    }

    /// The same for buffers as one of its kernels leaves them, if that is one that leaves results.
    pub fn check_buffers(&self, kernel: &str, buffers: &[Vec<u32>]) -> Result<(), String> {
        let bytes = |id: BufferId| cast_slice::<u32, u8>(&buffers[id.0 as usize]);
        match &self.plan {
            Plan::Encode(_) if kernel == "gather" || kernel.starts_with("encode_") => {
                let (results, payload) = outputs(kernel == "gather");
                self.check_encoded(bytes(results), bytes(payload))
            }
            Plan::Decode(plan) if kernel.starts_with("decode_") => {
                let status = &buffers[DecodePlan::STATUS.0 as usize];
                self.check_decoded(plan, status, bytes(DecodePlan::RAW))
            }
            _ => Ok(()),
        }
    }

    fn check_encoded(&self, results: &[u8], payloads: &[u8]) -> Result<(), String> {
        let results: Vec<EncodeResult> = results
            .chunks_exact(size_of::<EncodeResult>())
            .map(bytemuck::pod_read_unaligned)
            .collect();
        for (number, ((_, block), result)) in self.blocks.iter().zip(&results).enumerate() {
            let expected = (block.kind as u32, u32::from(block.table_log));
            if (result.kind, result.table_log) != expected {
                return Err(format!(
                    "block {number} is of kind {} with table log {}, the CPU has {} and {}",
                    result.kind, result.table_log, expected.0, expected.1
                ));
            }
            if block.kind == BlockKind::Coded {
                let start = 4 * result.payload as usize;
                let found = payloads.get(start..start + result.coded_size as usize);
                if found != Some(&block.payload[..]) {
                    return Err(format!("block {number} has another payload than the CPU's"));
                }
            }
        }
        Ok(())
    }

    fn check_decoded(&self, plan: &DecodePlan, status: &[u32], raw: &[u8]) -> Result<(), String> {
        for (number, (expected, _)) in self.blocks.coded().enumerate() {
            if status[number] != 0 {
                return Err(format!("block {number} was refused with fault {:#x}", status[number]));
            }
            let found = &raw[plan.raw_range(number)];
            if found != expected {
                let at = (0..expected.len()).find(|&at| found[at] != expected[at]);
                return Err(format!("block {number} has a wrong byte at {}", at.unwrap_or(0)));
            }
        }
        Ok(())
    }
}

/// Where an encoder's results are, and its payloads.
fn outputs(gathered: bool) -> (BufferId, BufferId) {
    match gathered {
        true => (EncodePlan::REPORTS, EncodePlan::GATHERED),
        false => (EncodePlan::RESULTS, EncodePlan::PAYLOAD),
    }
}

/// The kernels of such work, whatever the data.
pub fn kernels(direction: Direction, coder: Coder, gather: bool) -> Vec<&'static KernelDesc> {
    let (coder, table_log, segment_log) = (coder.into(), None, 14);
    match direction {
        Direction::Encode => {
            let plan = if gather { EncodePlan::gathered } else { EncodePlan::new };
            let block = RawBlock { raw_size: 2, coder, table_log };
            dispatched(&plan(&[block], segment_log).recording)
        }
        Direction::Decode => {
            let table_log = *coder::Coder::table_logs(coder).end();
            let block = CodedBlock { coder, coded_size: 1, raw_size: 2, table_log };
            dispatched(&DecodePlan::new(&[block], segment_log).recording)
        }
    }
}

fn dispatched(recording: &Recording) -> Vec<&'static KernelDesc> {
    let kernel = |command: &Command| match command {
        Command::Dispatch { kernel, .. } => kernel::find(kernel),
        Command::Copy { .. } | Command::Fill { .. } => None,
    };
    recording.commands.iter().filter_map(kernel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What no plan here runs, nothing here verifies.
    #[test]
    fn every_kernel_of_the_library_is_in_some_plan() {
        let mut named = Vec::new();
        for coder in [Coder::Rans, Coder::Fse, Coder::Huff] {
            for direction in [Direction::Encode, Direction::Decode] {
                named.extend(kernels(direction, coder, true).iter().map(|kernel| kernel.name));
            }
        }
        for kernel in kernel::ALL {
            assert!(named.contains(&kernel.name), "{}", kernel.name);
        }
    }
}
