//! A reader that counts and tells a clean end from truncation.

use std::io::{self, Read};

use crate::{
    engine::resize_exact,
    error::{BlockFault, Error, Result},
    format::{BlockHeader, FrameHeader, FrameReader, MAGIC, SkippableHeader, padding},
};

#[derive(Debug)]
pub(crate) struct Input<R> {
    inner: R,
    /// Bytes read so far.
    pub offset: u64,
}

/// What stands where a frame may begin.
#[derive(Debug)]
pub(crate) enum Start {
    Frame(FrameHeader),
    Skippable(SkippableHeader),
    /// The end of the input.
    End,
}

impl<R: Read> Input<R> {
    /// An input whose next byte is at `offset`.
    pub fn new(inner: R, offset: u64) -> Self {
        Self { inner, offset }
    }

    /// Fills `buffer`, or less of it at the end of the input.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.inner.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// Fills `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] with `inside`.
    pub fn read_exact(&mut self, buffer: &mut [u8], inside: &'static str) -> Result<()> {
        if self.fill(buffer)? < buffer.len() {
            return Err(Error::Truncated { offset: self.offset, inside });
        }
        Ok(())
    }

    /// Reads a structure of fixed size.
    pub fn read_array<const N: usize>(&mut self, inside: &'static str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes, inside)?;
        Ok(bytes)
    }

    /// Reads a frame's header or that of a skippable frame.
    pub fn read_start(&mut self) -> Result<Start> {
        let offset = self.offset;
        let mut magic = [0; 4];
        let length = self.fill(&mut magic)?;
        if length == 0 {
            return Ok(Start::End);
        }
        let skippable = SkippableHeader { variant: magic[0] & 0xF, length: 0 }.encode();
        if magic[..length] == MAGIC[..length] {
            if length < 4 {
                return Err(Error::Truncated { offset: self.offset, inside: "a frame header" });
            }
            let mut bytes = [0; FrameHeader::SIZE];
            bytes[..4].copy_from_slice(&magic);
            // The version decides what the rest is.
            self.read_exact(&mut bytes[4..5], "a frame header")?;
            if bytes[4] != crate::format::VERSION {
                return Err(Error::UnsupportedVersion(bytes[4]));
            }
            self.read_exact(&mut bytes[5..], "a frame header")?;
            FrameHeader::parse(&bytes, offset).map(Start::Frame)
        } else if magic[..length] == skippable[..length] {
            let mut bytes = skippable;
            if length < 4 {
                let inside = "the header of a skippable frame";
                return Err(Error::Truncated { offset: self.offset, inside });
            }
            self.read_exact(&mut bytes[4..], "the header of a skippable frame")?;
            let header = SkippableHeader::parse(&bytes);
            Ok(Start::Skippable(header.expect("the magic number was compared")))
        } else {
            Err(Error::NotAFrame { offset, found: magic })
        }
    }

    /// Reads the payload of block `number`, whose header is at `offset`, and its padding.
    pub fn read_payload(
        &mut self,
        payload: &mut Vec<u8>,
        block: &BlockHeader,
        number: u64,
        offset: u64,
    ) -> Result<()> {
        let size = block.coded_size as usize;
        resize_exact(payload, size + padding(block.coded_size));
        self.read_exact(payload, "a block's payload")?;
        if payload[size..].iter().any(|&byte| byte != 0) {
            let reason = BlockFault::Padding;
            return Err(Error::CorruptBlock { block: number, offset, reason });
        }
        payload.truncate(size);
        Ok(())
    }

    /// Reads what follows the end mark of a frame: index and footer.
    pub fn read_end(&mut self, frame: &mut FrameReader) -> Result<()> {
        let mut rest = frame.index_size();
        let mut piece = [0; 4096];
        while rest > 0 {
            let piece = &mut piece[..rest.min(4096) as usize];
            self.read_exact(piece, "the index")?;
            frame.index(piece);
            rest -= piece.len() as u64;
        }
        frame.footer(&self.read_array("the footer")?)
    }

    /// Reads past `length` bytes.
    pub fn skip(&mut self, length: u64, inside: &'static str) -> Result<()> {
        let skipped = io::copy(&mut (&mut self.inner).take(length), &mut io::sink())?;
        self.offset += skipped;
        if skipped < length {
            return Err(Error::Truncated { offset: self.offset, inside });
        }
        Ok(())
    }
}

impl<R> Input<R> {
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }

    pub fn into_inner(self) -> R {
        self.inner
    }
}
