//! Slices in, vectors out.

use std::io::{BufRead, Write};

use crate::{
    Options,
    error::{Error, Result},
    format::{FrameHeader, RECORD_HEADER_SIZE},
};

/// Compresses `raw` with the default options.
///
/// ```
/// let raw = b"to be, or not to be ".repeat(100);
/// let coded = ranvil::compress(&raw)?;
/// assert!(coded.len() < raw.len());
/// assert_eq!(ranvil::decompress(&coded)?, raw);
/// # Ok::<(), ranvil::Error>(())
/// ```
///
/// # Errors
/// See [`Options::compress`].
pub fn compress(raw: &[u8]) -> Result<Vec<u8>> {
    Options::default().compress(raw)
}

/// Decompresses all frames of `coded` with the default options. Limit the output of untrusted input with
/// [`Options::output_limit`].
///
/// # Errors
/// See [`Options::decompress`].
pub fn decompress(coded: &[u8]) -> Result<Vec<u8>> {
    Options::default().decompress(coded)
}

impl Options {
    /// Compresses `raw` to one frame, whose header names the content's size whatever
    /// [`content_size`](Self::content_size) says. The result is not counted against the memory limit.
    ///
    /// # Errors
    /// An impossible option, device or memory limit; [`Error::Cancelled`].
    pub fn compress(&self, raw: &[u8]) -> Result<Vec<u8>> {
        let mut coded = Vec::new();
        // Most content shrinks; what does not grows the vector as it comes.
        reserve(&mut coded, raw.len() / 2 + FrameHeader::SIZE + RECORD_HEADER_SIZE)?;
        let options = self.clone().content_size(Some(raw.len() as u64));
        let mut compressor = options.compressor(coded)?;
        compressor.write_all(raw).map_err(Error::from_io)?;
        compressor.finish()
    }

    /// Decompresses all frames of `coded`. The result is not counted against the memory limit, but against the
    /// [output limit](Self::output_limit).
    ///
    /// # Errors
    /// Damaged or foreign input; content beyond the output limit; an impossible option, device or memory limit;
    /// [`Error::Cancelled`].
    pub fn decompress(&self, coded: &[u8]) -> Result<Vec<u8>> {
        let mut raw = Vec::new();
        // What the header says is believed only as far as most content goes.
        let header = coded.first_chunk().and_then(|bytes| FrameHeader::parse(bytes, 0).ok());
        if let Some(size) = header.and_then(|header| header.content_size) {
            let plausible = self.output_limit.min(4 * coded.len() as u64);
            reserve(&mut raw, size.min(plausible) as usize)?;
        }
        let mut decompressor = self.decompressor(coded)?;
        loop {
            let chunk = decompressor.chunk()?;
            if chunk.is_empty() {
                return Ok(raw);
            }
            let length = chunk.len();
            reserve(&mut raw, length)?;
            raw.extend_from_slice(chunk);
            decompressor.consume(length);
        }
    }
}

fn reserve(buffer: &mut Vec<u8>, more: usize) -> Result<()> {
    buffer.try_reserve(more).map_err(|_| {
        let needed = (buffer.len() + more) as u64;
        Error::OutOfMemory { needed }
    })
}
