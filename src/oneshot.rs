//! Slices in, vectors out.

use crate::{Options, error::Result};

/// Compresses `raw` with the default options.
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
    /// Compresses `raw` to one frame.
    ///
    /// # Errors
    /// An impossible option, device or memory limit; [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn compress(&self, raw: &[u8]) -> Result<Vec<u8>> {
        let _ = raw;
        todo!()
    }

    /// Decompresses all frames of `coded`.
    ///
    /// # Errors
    /// Damaged or foreign input; content beyond the output limit; an impossible option, device or memory limit;
    /// [`Error::Cancelled`](crate::Error::Cancelled).
    pub fn decompress(&self, coded: &[u8]) -> Result<Vec<u8>> {
        let _ = coded;
        todo!()
    }
}
