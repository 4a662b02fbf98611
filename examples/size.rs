//! How far the pipeline `rans` is above the order-0 entropy of the blocks of files, everything included.
//!
//! ```text
//! cargo run --release --features compile-kernels --example size -- FILE…
//! ```

use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    const BLOCK: usize = 256 << 10;
    let options = ranvil::Options::new()
        .pipeline(ranvil::Pipeline::Rans)
        .block_size(BLOCK)?
        .device(ranvil::DeviceSelector::Cpu);
    let (mut all_coded, mut all_bound) = (0.0, 0.0);
    println!("{:>12} {:>12} {:>12} {:>8}  file", "raw", "coded", "entropy", "excess");
    for file in env::args().skip(1) {
        let raw = fs::read(&file)?;
        let coded = options.compress(&raw)?.len() as f64;
        let bound: f64 = raw.chunks(BLOCK).map(entropy).sum();
        println!("{:>12} {coded:>12} {bound:>12.0} {:>8}  {file}", raw.len(), excess(coded, bound));
        all_coded += coded;
        all_bound += bound;
    }
    println!("{:>12} {all_coded:>12} {all_bound:>12.0} {:>8}", "all", excess(all_coded, all_bound));
    Ok(())
}

fn excess(coded: f64, bound: f64) -> String {
    format!("{:.3} %", 100.0 * (coded / bound - 1.0))
}

/// Order-0 entropy of a block, in bytes.
fn entropy(block: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    block.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
    let length = block.len() as f64;
    let bits = |&count: &u32| f64::from(count) * (length / f64::from(count)).log2();
    counts.iter().filter(|&&count| count > 0).map(bits).sum::<f64>() / 8.0
}
