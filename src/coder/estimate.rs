//! STUB (lead), to be replaced by branch `coder`'s.
use crate::block::Coder;

/// Stub.
pub fn coded_bytes(counts: &[u32; 256], symbols: usize, coder: Coder, segment_log: u8) -> u64 {
    let n = symbols as f64;
    let bits: f64 =
        counts.iter().filter(|&&c| c > 0).map(|&c| -f64::from(c) * (f64::from(c) / n).log2()).sum();
    let bits = if coder == Coder::Huffman { bits * 1.01 } else { bits };
    let present = counts.iter().filter(|&&c| c > 0).count() as f64;
    (bits / 8.0 + 34.0 + present + 60.0 * (n / f64::from(1_u32 << segment_log)).ceil()) as u64
}
