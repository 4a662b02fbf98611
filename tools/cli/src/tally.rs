//! Counting what passes.

use std::io::{self, Read, Write};

/// Counts the bytes that pass, and their CRC-32C if it is wanted.
pub struct Tally<T> {
    inner: T,
    pub bytes: u64,
    pub crc: Option<u32>,
}

impl<T> Tally<T> {
    pub fn new(inner: T, crc: bool) -> Self {
        Self { inner, bytes: 0, crc: crc.then_some(0) }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc = self.crc.map(|crc| crc32c::crc32c_append(crc, bytes));
    }
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count(&buffer[..read]);
        Ok(read)
    }
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.count(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
