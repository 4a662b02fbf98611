//! The CPU twin of every kernel: the same buffers in, the same buffers out, in plain code. [`replay`] runs a whole
//! recording on twins, so a kernel that goes wrong is found by comparing buffers after each step.

mod decode;
mod encode;
mod gather;
mod histogram;
mod lengths;
mod normalise;
mod parse;

use bytemuck::Pod;

use super::recording::{Binding, Command, Recording};
use crate::coder::{Coder, fse::Fse, huffman::Huffman, rans::Rans, table::Table};

/// A kernel's twin. Takes the push constants and the bound ranges, in binding order.
type Twin = fn(&[u8], &mut [&mut [u32]]);

const TWINS: [(&str, Twin); 11] = [
    ("decode_fse", decode::run::<Fse>),
    ("decode_huff", decode::run::<Huffman>),
    ("decode_rans", decode::run::<Rans>),
    ("encode_fse", encode::run::<Fse>),
    ("encode_huff", encode::run::<Huffman>),
    ("encode_rans", encode::run::<Rans>),
    ("gather", gather::run),
    ("histogram", histogram::run),
    ("lengths", lengths::run),
    ("normalise", normalise::run),
    ("parse", parse::run),
];

/// Runs a recording over `buffers`, one for each of [`Recording::buffers`] and at least as large.
///
/// # Panics
/// If a command names a kernel without a twin, binds a buffer twice, or reaches past a buffer's end; or if the
/// content of a buffer is nothing that the plans or the kernels before it yield.
pub fn replay(recording: &Recording, buffers: &mut [Vec<u32>]) {
    recording.commands.iter().for_each(|command| step(command, buffers));
}

/// Runs one command.
///
/// # Panics
/// As [`replay`].
pub fn step(command: &Command, buffers: &mut [Vec<u32>]) {
    match command {
        Command::Dispatch { kernel, bindings, push, .. } => {
            let twin = TWINS.iter().find(|(name, _)| name == kernel);
            let (_, twin) = twin.unwrap_or_else(|| panic!("{kernel} has no twin"));
            let mut bound: Vec<Vec<u32>> = bindings
                .iter()
                .map(|b| std::mem::take(&mut buffers[b.buffer.0 as usize]))
                .collect();
            let mut ranges: Vec<&mut [u32]> = bound
                .iter_mut()
                .zip(bindings)
                .map(|(words, binding)| range(words, binding))
                .collect();
            twin(push, &mut ranges);
            for (words, binding) in bound.into_iter().zip(bindings) {
                buffers[binding.buffer.0 as usize] = words;
            }
        }
        Command::Copy { from, to: (to, offset) } => {
            let words = range(&mut buffers[from.buffer.0 as usize], from).to_vec();
            buffers[to.0 as usize][(offset / 4) as usize..][..words.len()].copy_from_slice(&words);
        }
        Command::Fill { range: filled, value } => {
            range(&mut buffers[filled.buffer.0 as usize], filled).fill(*value);
        }
    }
}

fn range<'a>(words: &'a mut [u32], binding: &Binding) -> &'a mut [u32] {
    &mut words[(binding.offset / 4) as usize..][..(binding.size / 4) as usize]
}

/// A kernel's push constants.
fn push<T: Pod>(bytes: &[u8]) -> T {
    bytemuck::pod_read_unaligned(bytes)
}

/// A buffer as an array of 16-bit words.
fn half(words: &[u32], at: u32) -> u32 {
    words[at as usize / 2] >> (16 * (at % 2)) & 0xffff
}

/// The words cum << 16 | f of the kernels.
fn write_cums(table: &Table, words: &mut [u32]) {
    let mut cum = 0;
    for (word, &freq) in words.iter_mut().zip(table.freqs()) {
        *word = cum << 16 | u32::from(freq);
        cum += u32::from(freq);
    }
}

/// The table of such words.
fn read_cums(coder: Coder, log: u32, words: &[u32]) -> Table {
    let mut freqs = [0; 256];
    freqs.iter_mut().zip(words).for_each(|(freq, &word)| *freq = word as u16);
    Table::from_freqs(coder, log as u8, freqs)
}

#[cfg(test)]
mod tests;
