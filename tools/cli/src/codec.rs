//! Bytes through the library: one source to one target, and the verification of what was written.

use std::io::{self, BufRead, Read, Write};

use anyhow::{Context, Error, Result, anyhow, bail};
use ranvil::{DeviceSelector, Options};

use crate::{
    args::Operation,
    output::{PendingFile, Target},
    tally::Tally,
};

/// How much went through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    pub compressed: u64,
    pub raw: u64,
    /// CRC-32C of the raw bytes, if it was wanted.
    pub raw_crc: Option<u32>,
}

/// Compresses all of `source`.
pub fn compress(
    options: &Options,
    source: impl Read,
    target: &mut Target,
    crc: bool,
) -> Result<Transfer> {
    let mut source = Tally::new(source, crc);
    let mut coded = Tally::new(&mut *target, false);
    let compressed = compress_to(options, &mut source, &mut coded).map(|()| coded.bytes);
    let compressed = compressed.map_err(|failure| failure.explain(target))?;
    Ok(Transfer { compressed, raw: source.bytes, raw_crc: source.crc })
}

fn compress_to(options: &Options, mut source: impl Read, sink: impl Write) -> Result<(), Failure> {
    // An I/O error of a compressor is one of the sink behind it.
    let failure = |error| match error {
        ranvil::Error::Io(error) => Failure::Write(error),
        error => Failure::Codec(error),
    };
    let mut compressor = options.compressor(sink).map_err(failure)?;
    loop {
        // Straight into the block that is to be compressed.
        match source.read(compressor.room().map_err(failure)?) {
            Ok(0) => break,
            Ok(read) => compressor.commit(read).map_err(failure)?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Read(error)),
        }
    }
    compressor.finish().map_err(failure)?;
    Ok(())
}

/// Decompresses all frames of `source`.
pub fn decompress(
    options: &Options,
    source: impl Read,
    target: &mut Target,
    crc: bool,
) -> Result<Transfer> {
    let mut source = Tally::new(source, false);
    let mut raw = Tally::new(&mut *target, crc);
    let written = decompress_to(options, &mut source, &mut raw).map(|()| (raw.bytes, raw.crc));
    let (raw, raw_crc) = written.map_err(|failure| failure.explain(target))?;
    Ok(Transfer { compressed: source.bytes, raw, raw_crc })
}

fn decompress_to(
    options: &Options,
    source: impl Read,
    mut sink: impl Write,
) -> Result<(), Failure> {
    // An I/O error of a decompressor is one of the source behind it.
    let failure = |error| match error {
        ranvil::Error::Io(error) => Failure::Read(error),
        error => Failure::Codec(error),
    };
    let mut decompressor = options.decompressor(source).map_err(failure)?;
    loop {
        // Whole blocks, from where they were decoded.
        let chunk = decompressor.fill_buf().map_err(|e| failure(ranvil::Error::from_io(e)))?;
        if chunk.is_empty() {
            return Ok(());
        }
        sink.write_all(chunk).map_err(Failure::Write)?;
        let length = chunk.len();
        decompressor.consume(length);
    }
}

/// Reads a complete output back and compares it with what went through. Compressed data is decoded on the CPU,
/// whatever device wrote it.
pub fn verify(
    options: &Options,
    operation: Operation,
    file: &PendingFile,
    expected: Transfer,
) -> Result<()> {
    let back = file.reopen()?;
    let found = if operation == Operation::Compress {
        let options = options.clone().device(DeviceSelector::Cpu);
        decompress(&options, back, &mut Target::Nowhere, true).context("verification failed")?
    } else {
        let mut back = Tally::new(back, true);
        io::copy(&mut back, &mut io::sink()).context("verification failed")?;
        Transfer { raw: back.bytes, raw_crc: back.crc, ..expected }
    };
    if found != expected {
        bail!("verification failed: what was written is not what was read; the source is kept");
    }
    Ok(())
}

/// What failed.
enum Failure {
    Read(io::Error),
    Write(io::Error),
    Codec(ranvil::Error),
}

impl Failure {
    fn explain(self, target: &Target) -> Error {
        match self {
            Self::Read(error) => Error::new(error).context("cannot read"),
            Self::Write(error) => target.write_error(error),
            Self::Codec(ranvil::Error::InvalidOption { name: "content size", .. }) => anyhow!(
                "its size changed while it was read, or is not what the file system says; \
                 through standard input it is taken as it comes"
            ),
            Self::Codec(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::interrupt::Interrupt;

    /// Runs `operation` over `source` into a pending file of its own directory.
    fn pending(operation: Operation, source: &[u8]) -> (tempfile::TempDir, PendingFile, Transfer) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("target");
        let mut target = Target::file(&path, false, None, &Interrupt::default()).unwrap();
        let transfer = match operation {
            Operation::Compress => compress(&Options::new(), source, &mut target, true),
            _ => decompress(&Options::new(), source, &mut target, true),
        };
        let Target::File(mut file) = target else { unreachable!("the target is new") };
        file.complete(None).unwrap();
        (directory, file, transfer.unwrap())
    }

    fn damage(directory: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let entry = fs::read_dir(directory).unwrap().next().unwrap().unwrap();
        let mut bytes = fs::read(entry.path()).unwrap();
        change(&mut bytes);
        fs::write(entry.path(), bytes).unwrap();
    }

    #[test]
    fn verification_finds_what_the_disk_changed() {
        let raw = b"what was read must be what was written".repeat(100);
        let coded = ranvil::compress(&raw).unwrap();
        for (operation, source) in [(Operation::Compress, &raw), (Operation::Decompress, &coded)] {
            let check = |change: fn(&mut Vec<u8>)| {
                let (directory, file, transfer) = pending(operation, source);
                damage(directory.path(), change);
                verify(&Options::new(), operation, &file, transfer)
            };
            check(|_| {}).unwrap();
            check(|bytes| bytes[40] ^= 1).unwrap_err();
            check(|bytes| bytes.truncate(bytes.len() - 1)).unwrap_err();
            check(Vec::clear).unwrap_err();
        }
    }

    #[test]
    fn verification_finds_another_valid_file() {
        let (directory, file, transfer) = pending(Operation::Compress, b"what was read");
        damage(directory.path(), |bytes| *bytes = ranvil::compress(b"what was rEad").unwrap());
        let error = verify(&Options::new(), Operation::Compress, &file, transfer).unwrap_err();
        assert!(error.to_string().contains("not what was read"), "{error}");
    }
}
