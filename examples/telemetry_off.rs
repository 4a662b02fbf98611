//! What telemetry costs while it is off, as an instruction count: what a block more takes is the difference of two runs.
//!
//! ```text
//! cargo build --release --features compile-kernels --example telemetry_off
//! for blocks in 1000 2000; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/telemetry_off $blocks
//! done
//! ```

fn main() {
    let blocks = std::env::args().nth(1).and_then(|blocks| blocks.parse().ok());
    ranvil::record_nothing(blocks.expect("usage: telemetry_off BLOCKS"));
}
