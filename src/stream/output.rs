//! A writer that counts, and joins small pieces.

use std::io::{self, Write};

/// Pieces are joined up to this size; what is larger goes through directly.
const JOIN: usize = 32 << 10;

/// Unlike a `BufWriter` it writes nothing when it is dropped: after an error or without a `finish` no more bytes
/// reach the writer.
#[derive(Debug)]
pub(super) struct Output<W> {
    inner: W,
    joined: Vec<u8>,
    /// Bytes put so far.
    pub offset: u64,
}

impl<W: Write> Output<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, joined: Vec::new(), offset: 0 }
    }

    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.joined.len() + bytes.len() > JOIN {
            self.drain()?;
        }
        if bytes.len() >= JOIN {
            self.inner.write_all(bytes)?;
        } else {
            self.joined.extend_from_slice(bytes);
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Writes everything out and flushes the writer.
    pub fn flush(&mut self) -> io::Result<()> {
        self.drain()?;
        self.inner.flush()
    }

    fn drain(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.joined)?;
        self.joined.clear();
        Ok(())
    }
}

impl<W> Output<W> {
    pub fn get_ref(&self) -> &W {
        &self.inner
    }

    /// The writer; what is still to be joined is lost.
    pub fn into_inner(self) -> W {
        self.inner
    }
}
