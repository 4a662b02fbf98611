//! The `Write` and `Read` adapters. Only the caller's thread touches the inner writer or reader, which therefore
//! need not be `Send`; the adapters are if it is.

mod encoder;
mod input;
mod output;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use encoder::Encoder;
pub(crate) use input::{Input, Start};
pub use reader::Decompressor;
pub use writer::Compressor;

use crate::error::{Error, Result};

/// What keeps an adapter from going on after an error: the error, which every further call gets again.
#[derive(Debug, Default)]
struct Failure(Option<Error>);

impl Failure {
    /// # Errors
    /// The first error, if there was one.
    fn check(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |error| Err(error.again()))
    }

    /// Passes a result on and remembers an error.
    fn note<T>(&mut self, result: Result<T>) -> Result<T> {
        result.inspect_err(|error| self.0 = Some(error.again()))
    }
}
