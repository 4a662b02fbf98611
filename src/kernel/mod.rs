//! Kernels as the host sees them: descriptors generated from the SPIR-V, recordings of commands as plain data,
//! and a CPU twin of every kernel.

mod recording;

pub use recording::{Binding, BufferDesc, BufferId, Command, Recording, Role};
