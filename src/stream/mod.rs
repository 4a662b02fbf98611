//! The `Write` and `Read` adapters.

mod reader;
mod writer;

pub use reader::Decompressor;
pub use writer::Compressor;
