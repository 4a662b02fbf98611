//! Compression as a `Write` adapter.

use std::{
    fmt,
    io::{self, Write},
};

use super::{Encoder, Failure, output::Output};
use crate::{Options, Progress, engine::Route, error::Result, sched::Spawner};

/// Compresses what is written to it into one frame.
///
/// [`finish`](Self::finish) ends the frame. Dropping a compressor without it leaves the frame unfinished, which
/// every reader reports as [`Error::Truncated`](crate::Error::Truncated); there is no implicit finish, as its errors would be lost.
///
/// [`flush`](Write::flush) ends the current block early and writes out everything so far, so that the reader can
/// decode it; frequent flushes cost size.
///
/// After an error, every further call returns that error again.
///
/// ```
/// use std::io::Write;
///
/// let mut compressor = ranvil::Options::new().compressor(Vec::new())?;
/// for line in 0..1000 {
///     writeln!(compressor, "line {line}")?;
/// }
/// let coded = compressor.finish()?;
/// assert!(coded.len() < 5000);
/// # Ok::<(), ranvil::Error>(())
/// ```
pub struct Compressor<W> {
    encoder: Encoder<'static, Output<W>>,
    failure: Failure,
}

impl Options {
    /// A compressor that writes one frame to `inner`. It writes large pieces: `inner` needs no buffer.
    ///
    /// # Errors
    /// An impossible option, device or memory limit. Nothing has been written then.
    pub fn compressor<W: Write>(&self, inner: W) -> Result<Compressor<W>> {
        Compressor::new(self, inner, Route::choose(self)?)
    }
}

impl<W: Write> Compressor<W> {
    pub(crate) fn new(options: &Options, inner: W, route: Route) -> Result<Self> {
        let encoder = Encoder::new(options, Output::new(inner), route, Spawner::free())?;
        Ok(Self { encoder, failure: Failure::default() })
    }

    /// Ends the frame, flushes the writer and returns it.
    ///
    /// # Errors
    /// Those of writing, and [`Error::InvalidOption`](crate::Error::InvalidOption) if fewer bytes were written than
    /// [`Options::content_size`] announced.
    pub fn finish(mut self) -> Result<W> {
        self.failure.check()?;
        self.encoder.end_frame()?;
        Ok(self.encoder.sink.into_inner())
    }
}

/// Without a copy, as [`BufRead`](std::io::BufRead) is for reading: the bytes are put where a worker reads them.
impl<W: Write> Compressor<W> {
    /// Room for raw bytes, at least one, that [`commit`](Self::commit) is to take in. What it holds is unspecified.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// let mut source = &b"Hello, hello, hello!"[..];
    /// let mut compressor = ranvil::Options::new().compressor(Vec::new())?;
    /// loop {
    ///     let count = source.read(compressor.room()?)?;
    ///     if count == 0 {
    ///         break;
    ///     }
    ///     compressor.commit(count)?;
    /// }
    /// assert_eq!(ranvil::decompress(&compressor.finish()?)?, b"Hello, hello, hello!");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of writing: blocks that are finished may have to be written first.
    pub fn room(&mut self) -> Result<&mut [u8]> {
        self.failure.check()?;
        let Self { encoder, failure } = self;
        failure.note(encoder.next_room())
    }

    /// Takes the first `count` bytes of the [room](Self::room) in.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) if they are more than [`Options::content_size`] announced.
    ///
    /// # Panics
    /// If the room was shorter.
    pub fn commit(&mut self, count: usize) -> Result<()> {
        self.failure.check()?;
        let result = self.encoder.advance(count);
        self.failure.note(result)
    }
}

impl<W> Compressor<W> {
    /// The writer.
    pub fn get_ref(&self) -> &W {
        self.encoder.sink.get_ref()
    }

    /// How far the compression has come: blocks that have been written.
    pub fn progress(&self) -> Progress {
        self.encoder.progress()
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, raw: &[u8]) -> io::Result<usize> {
        self.failure.check()?;
        let result = self.encoder.take(raw);
        self.failure.note(result)?;
        Ok(raw.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.failure.check()?;
        let result = self.encoder.flush();
        Ok(self.failure.note(result)?)
    }
}

impl<W> fmt::Debug for Compressor<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("header", &self.encoder.header)
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}
