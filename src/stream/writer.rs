//! Compression as a `Write` adapter.

use std::io::{self, Write};

use crate::{Options, Progress, error::Result};

/// Compresses what is written to it into one frame.
pub struct Compressor<W> {
    inner: W,
}

impl Options {
    /// A compressor that writes one frame to `inner`.
    ///
    /// # Errors
    /// An impossible option, device or memory limit. Nothing has been written then.
    pub fn compressor<W: Write>(&self, inner: W) -> Result<Compressor<W>> {
        Ok(Compressor { inner })
    }
}

impl<W: Write> Compressor<W> {
    /// Ends the frame and returns the writer.
    pub fn finish(self) -> Result<W> {
        todo!()
    }

    /// The writer.
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// How far the compression has come.
    pub fn progress(&self) -> Progress {
        todo!()
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, _raw: &[u8]) -> io::Result<usize> {
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        todo!()
    }
}
