//! Kernels as the host sees them: descriptors generated from the SPIR-V, recordings of commands as plain data,
//! and a CPU twin of every kernel.

mod desc;
pub mod generated;
pub mod plan;
mod recording;
pub mod twin;

pub use desc::{BindingDesc, Form, KernelDesc, SpecDesc, Variant};
pub use generated::KERNELS as ALL;
/// For kernels that tools bring along.
#[doc(hidden)]
pub use generated::words;
pub use recording::{Binding, BufferDesc, BufferId, Command, Recording, Role};

/// The kernel of this name.
pub fn find(name: &str) -> Option<&'static KernelDesc> {
    ALL.iter().find(|kernel| kernel.name == name)
}
