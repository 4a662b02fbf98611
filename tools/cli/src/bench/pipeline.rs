//! A whole pipeline, through the public interface: through the stream adapters, or from slice to slice.

use std::{
    io::{Read, Write},
    mem::take,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use ranvil::{Error, Options, Telemetry};

use super::{BenchArgs, Content, Prepared, Sample, Work};

/// The work and the size of what it compresses to. The round trip is verified.
pub fn prepare<'a>(
    args: &BenchArgs,
    options: &Options,
    content: &'a Content,
) -> Result<Prepared<'a>> {
    let raw = &content.bytes[..];
    let mut coded = Vec::new();
    let bound = options.compress_bound(raw.len())?;
    coded.try_reserve_exact(bound).context("no memory for the round trip")?;
    let slices = args.slices;
    compress(options, raw, &mut coded, slices)?;
    let mut back = Vec::new();
    back.try_reserve_exact(raw.len()).context("no memory for the round trip")?;
    back.resize(raw.len(), 0);
    decompress(options, &coded, &mut back, slices)?;
    ensure!(
        back == raw,
        "internal error: the round trip does not restore the data; please report it"
    );
    let size = coded.len();
    let work: Box<dyn Work> = match args.decompress {
        true => Box::new(Decompress { coded, back, slices }),
        false => Box::new(Compress { raw, coded, size, slices }),
    };
    Ok(Prepared { work, coded_bytes: size as u64 })
}

struct Compress<'a> {
    raw: &'a [u8],
    /// Reused, so that no page is new to the process.
    coded: Vec<u8>,
    /// What it must compress to.
    size: usize,
    slices: bool,
}

impl Work for Compress<'_> {
    fn run(&mut self, options: &Options, telemetry: Option<&Telemetry>) -> Result<Sample> {
        let sample =
            compress(&watched(options, telemetry), self.raw, &mut self.coded, self.slices)?;
        ensure!(self.coded.len() == self.size, "internal error: the size varies; please report it");
        Ok(sample)
    }
}

struct Decompress {
    coded: Vec<u8>,
    back: Vec<u8>,
    slices: bool,
}

impl Work for Decompress {
    fn run(&mut self, options: &Options, telemetry: Option<&Telemetry>) -> Result<Sample> {
        decompress(&watched(options, telemetry), &self.coded, &mut self.back, self.slices)
    }
}

fn watched(options: &Options, telemetry: Option<&Telemetry>) -> Options {
    let options = options.clone();
    match telemetry {
        Some(telemetry) => options.telemetry(telemetry.clone()),
        None => options,
    }
}

fn compress(options: &Options, raw: &[u8], coded: &mut Vec<u8>, slices: bool) -> Result<Sample> {
    coded.clear();
    if slices {
        coded.resize(options.compress_bound(raw.len())?, 0);
        let start = Instant::now();
        let length = options.compress_into(raw, coded)?;
        let sample = sample(start, start);
        coded.truncate(length);
        return Ok(sample);
    }
    let sink = take(coded);
    let options = options.clone().content_size(Some(raw.len() as u64));
    let begin = Instant::now();
    let mut compressor = options.compressor(sink)?;
    let start = Instant::now();
    compressor.write_all(raw).map_err(Error::from_io)?;
    *coded = compressor.finish()?;
    Ok(sample(begin, start))
}

fn decompress(options: &Options, coded: &[u8], back: &mut [u8], slices: bool) -> Result<Sample> {
    if slices {
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
