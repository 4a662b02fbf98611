//! The generated part: descriptors, and structs that mirror those of the kernels.

use super::desc::{BindingDesc, Form, KernelDesc, SpecDesc, Variant};

include!(concat!(env!("OUT_DIR"), "/generated.rs"));

/// The bytes of a SPIR-V module as words.
pub const fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    assert!(bytes.len() == 4 * N);
    let mut words = [0; N];
    let mut i = 0;
    while i < N {
        words[i] = u32::from_le_bytes([
            bytes[4 * i],
            bytes[4 * i + 1],
            bytes[4 * i + 2],
            bytes[4 * i + 3],
        ]);
        i += 1;
    }
    words
}
