//! Compiles, validates and reflects kernels for `build.rs`.
