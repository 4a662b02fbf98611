//! Decompression as a `Read` adapter.

use std::io::{self, Read};

use crate::{Options, Progress, error::Result};

/// Decompresses the frames that it reads.
pub struct Decompressor<R> {
    inner: R,
}

impl Options {
    /// A decompressor of the frames that `inner` yields, up to its end.
    ///
    /// # Errors
    /// An impossible option or device. Nothing has been read then.
    pub fn decompressor<R: Read>(&self, inner: R) -> Result<Decompressor<R>> {
        Ok(Decompressor { inner })
    }
}

impl<R: Read> Decompressor<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Gives the reader back. How much of it has been read is unspecified before the end of the content.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// How far the decompression has come.
    pub fn progress(&self) -> Progress {
        todo!()
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}
