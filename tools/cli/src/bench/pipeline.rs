//! A whole pipeline, through the public interface: through the stream adapters, or from slice to slice.

use std::{
    io::{Cursor, Read, Write},
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ranvil::{Error, HostBuffer, Options, Telemetry};

use super::{BenchArgs, Content, Prepared, Sample, Work};

/// The work and the size of what it compresses to. The round trip is verified.
pub fn prepare<'a>(
    args: &BenchArgs,
    options: &Options,
    content: &'a Content,
) -> Result<Prepared<'a>> {
    let way = match (args.pinned, args.slices) {
        (true, _) => Way::Pinned,
        (false, true) => Way::Slices,
        (false, false) => Way::Streams,
    };
    let raw = match way {
        Way::Pinned => {
            let mut raw = Memory::new(content.bytes.len(), way)?;
            raw.copy_from_slice(&content.bytes);
            Raw::Copied(raw)
        }
        _ => Raw::Borrowed(&content.bytes),
    };
    let bound = options.compress_bound(raw.len())?;
    let mut coded = Coded { memory: Memory::new(bound, way)?, length: 0 };
    compress(options, &raw, &mut coded, way)?;
    let mut back = Memory::new(raw.len(), way)?;
    decompress(options, coded.bytes(), &mut back, way)?;
    ensure!(
        *back == *raw,
        "internal error: the round trip does not restore the data; please report it"
    );
    let size = coded.length;
    let work: Box<dyn Work> = match args.decompress {
        true => Box::new(Decompress { coded, back, way }),
        false => Box::new(Compress { raw, coded, size, way }),
    };
    Ok(Prepared { work, coded_bytes: size as u64 })
}

/// How bytes get to the library and back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Streams,
    Slices,
    /// Slices of memory that devices reach themselves.
    Pinned,
}

/// Memory that is allocated once, so that no page of it is new to the process when the time is taken.
enum Memory {
    Vec(Vec<u8>),
    Pinned(HostBuffer),
}

impl Memory {
    /// So many zeros.
    fn new(length: usize, way: Way) -> Result<Self> {
        const NONE: &str = "no memory for the round trip";
        if way == Way::Pinned {
            return Ok(Self::Pinned(HostBuffer::new(length).context(NONE)?));
        }
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length).context(NONE)?;
        bytes.resize(length, 0);
        Ok(Self::Vec(bytes))
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Vec(bytes) => bytes,
            Self::Pinned(bytes) => bytes,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Vec(bytes) => bytes,
            Self::Pinned(bytes) => bytes,
        }
    }
}

enum Raw<'a> {
    Borrowed(&'a [u8]),
    Copied(Memory),
}

impl Deref for Raw<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

/// What it compresses to, and room for more.
struct Coded {
    memory: Memory,
    length: usize,
}

impl Coded {
    fn bytes(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

struct Compress<'a> {
    raw: Raw<'a>,
    coded: Coded,
    /// What it must compress to.
    size: usize,
    way: Way,
}

impl Work for Compress<'_> {
    fn run(&mut self, options: &Options, telemetry: Option<&Telemetry>) -> Result<Sample> {
        let options = watched(options, telemetry);
        let sample = compress(&options, &self.raw, &mut self.coded, self.way)?;
        let same = self.coded.length == self.size;
        ensure!(same, "internal error: the size varies; please report it");
        Ok(sample)
    }
}

struct Decompress {
    coded: Coded,
    back: Memory,
    way: Way,
}

impl Work for Decompress {
    fn run(&mut self, options: &Options, telemetry: Option<&Telemetry>) -> Result<Sample> {
        let options = watched(options, telemetry);
        decompress(&options, self.coded.bytes(), &mut self.back, self.way)
    }
}

fn watched(options: &Options, telemetry: Option<&Telemetry>) -> Options {
    let options = options.clone();
    match telemetry {
        Some(telemetry) => options.telemetry(telemetry.clone()),
        None => options,
    }
}

fn compress(options: &Options, raw: &[u8], coded: &mut Coded, way: Way) -> Result<Sample> {
    if way != Way::Streams {
        let start = Instant::now();
        coded.length = options.compress_into(raw, &mut coded.memory)?;
        return Ok(sample(start, start));
    }
    let options = options.clone().content_size(Some(raw.len() as u64));
    let begin = Instant::now();
    let mut compressor = options.compressor(Cursor::new(&mut coded.memory[..]))?;
    let start = Instant::now();
    compressor.write_all(raw).map_err(Error::from_io)?;
    let end = compressor.finish()?;
    let sample = sample(begin, start);
    coded.length = usize::try_from(end.position())?;
    Ok(sample)
}

fn decompress(options: &Options, coded: &[u8], back: &mut [u8], way: Way) -> Result<Sample> {
    if way != Way::Streams {
        let start = Instant::now();
        options.decompress_into(coded, back)?;
        return Ok(sample(start, start));
    }
    let begin = Instant::now();
    let mut decompressor = options.decompressor(coded)?;
    let start = Instant::now();
    decompressor.read_exact(back).map_err(Error::from_io)?;
    let more = decompressor.read(&mut [0]).map_err(Error::from_io)?;
    drop(decompressor);
    let sample = sample(begin, start);
    ensure!(more == 0, "internal error: more comes back than went in; please report it");
    Ok(sample)
}

fn sample(begin: Instant, start: Instant) -> Sample {
    let time = start.elapsed().max(Duration::from_nanos(1));
    Sample { time, setup: start - begin }
}
