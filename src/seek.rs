//! Random access to the content of a file.

use std::io::{self, Read, Seek, SeekFrom};

use crate::{Options, error::Result};

/// The content of a file as `Read + Seek`.
pub struct SeekableReader<R> {
    inner: R,
}

impl Options {
    /// Opens a file for random access to its content.
    ///
    /// # Errors
    /// Damaged structure.
    pub fn seekable<R: Read + Seek>(&self, inner: R) -> Result<SeekableReader<R>> {
        Ok(SeekableReader { inner })
    }
}

impl<R: Read + Seek> SeekableReader<R> {
    /// Raw bytes of the content.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        todo!()
    }

    /// Gives the reader back.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read + Seek> Read for SeekableReader<R> {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}

impl<R: Read + Seek> Seek for SeekableReader<R> {
    fn seek(&mut self, _to: SeekFrom) -> io::Result<u64> {
        todo!()
    }
}
