//! Moves blocks through CPU workers and the accelerator, in order and within the memory limit.
pub(crate) mod accel;
