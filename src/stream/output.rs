//! Where a frame goes: to a writer, small pieces joined, or into memory, where others fill places in it.

use std::{
    io::{self, Write},
    mem::take,
};

use crate::error::{Error, Result};

/// Pieces are joined up to this size; what is larger goes through directly.
const JOIN: usize = 32 << 10;

/// Takes a frame from its beginning to its end. `'a` is how long its places last.
pub(crate) trait Sink<'a> {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]) -> Result<()>;

    /// The place of the next bytes, which somebody else fills; `None` if they are to be put.
    fn place(&mut self, length: usize) -> Result<Option<&'a mut [u8]>>;

    /// Hands everything on.
    fn flush(&mut self) -> Result<()>;
}

/// A frame in memory.
pub(crate) struct Memory<'a> {
    rest: &'a mut [u8],
    length: usize,
}

impl<'a> Memory<'a> {
    /// From the beginning of `memory` on.
    pub fn new(memory: &'a mut [u8]) -> Self {
        Self { length: memory.len(), rest: memory }
    }

    fn next(&mut self, length: usize) -> Result<&'a mut [u8]> {
        let Some((next, rest)) = take(&mut self.rest).split_at_mut_checked(length) else {
            let reason = format!(
                "more than {} bytes are needed: Options::compress_bound says how many are enough",
                self.length
            );
            return Err(Error::InvalidOption { name: "length of the output", reason });
        };
        self.rest = rest;
        Ok(next)
    }
}

impl<'a> Sink<'a> for Memory<'a> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.next(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn place(&mut self, length: usize) -> Result<Option<&'a mut [u8]>> {
        self.next(length).map(Some)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A writer. Unlike a `BufWriter` it writes nothing when it is dropped: after an error or without a `finish` no more bytes
/// reach the writer.
#[derive(Debug)]
pub(crate) struct Output<W> {
    inner: W,
    joined: Vec<u8>,
}

impl<W: Write> Output<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, joined: Vec::new() }
    }

    fn drain(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.joined)?;
        self.joined.clear();
        Ok(())
    }
}

impl<W: Write> Sink<'_> for Output<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        if self.joined.len() + bytes.len() > JOIN {
            self.drain()?;
        }
        if bytes.len() >= JOIN {
            self.inner.write_all(bytes)?;
        } else {
            self.joined.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn place(&mut self, _: usize) -> Result<Option<&'static mut [u8]>> {
        Ok(None)
    }

    fn flush(&mut self) -> Result<()> {
        self.drain()?;
        Ok(self.inner.flush()?)
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
