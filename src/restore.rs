//! Decompression from memory to memory: workers read payloads and write blocks where they are.

use std::{collections::VecDeque, io::Cursor, mem::take};

use crate::{
    Options, Pipeline, Progress,
    block::Encoded,
    engine::{Block, Bytes, Config, Engine, Finished, Route, Side, Wait, Work},
    error::{BlockFault, Error, Result},
    format::{BlockHeader, FrameHeader, RECORD_HEADER_SIZE, padding, record_size},
    sched::{self, Spawner},
    telemetry::Run,
    walk::{Step, walk},
};

/// What a file has, from front to back.
enum Part {
    Frame(FrameHeader),
    /// Of the frame that came last.
    Block(Location),
}

/// Where a block is, and how large it says to be.
struct Location {
    /// Its number in the frame.
    number: u64,
    /// Position of its header.
    offset: usize,
    header: BlockHeader,
}

impl Location {
    fn payload<'a>(&self, coded: &'a [u8]) -> &'a [u8] {
        &coded[self.offset + RECORD_HEADER_SIZE..][..self.header.coded_size as usize]
    }

    fn padding<'a>(&self, coded: &'a [u8]) -> &'a [u8] {
        let size = self.header.coded_size;
        let end = self.offset + record_size(size) as usize;
        &coded[end - padding(size)..end]
    }

    fn fault(&self, reason: BlockFault) -> Error {
        Error::CorruptBlock { block: self.number, offset: self.offset as u64, reason }
    }
}

/// Visits frames and blocks. Nothing is kept of them, as hostile input may have very many.
fn visit_parts(coded: &[u8], mut visit: impl FnMut(Part) -> Result<()>) -> Result<()> {
    let (mut offset, mut number) = (0, 0);
    // Without a buffer, which would copy what it does not need.
    walk(Cursor::new(coded), 0, coded.len() as u64, |step| match step {
        Step::Frame { offset: begin, header } => {
            (offset, number) = (begin as usize + FrameHeader::SIZE, 0);
            visit(Part::Frame(header))
        }
        Step::Block(header) => {
            let block = Location { number, offset, header };
            number += 1;
            offset += record_size(header.coded_size) as usize;
            visit(Part::Block(block))
        }
        Step::Skippable { .. } | Step::End { .. } => Ok(()),
    })
}

/// The raw bytes that the blocks of a file say to have, if it has a frame and is whole.
///
/// # Errors
/// It is not. What is wrong with it first is for a decompressor to say.
pub(crate) fn raw_bytes(coded: &[u8]) -> Result<u64> {
    let (mut frames, mut raw_bytes) = (0, 0);
    visit_parts(coded, |part| {
        match part {
            Part::Frame(header) => {
                Pipeline::try_from(header.pipeline)?;
                frames += 1;
            }
            Part::Block(block) if block.padding(coded).iter().any(|&byte| byte != 0) => {
                return Err(block.fault(BlockFault::Padding));
            }
            Part::Block(block) => raw_bytes += u64::from(block.header.raw_size),
        }
        Ok(())
    })?;
    if frames == 0 {
        return Err(Error::Truncated { offset: coded.len() as u64, inside: "a frame header" });
    }
    Ok(raw_bytes)
}

/// Decompresses `coded`, which is whole, to `raw`, which has its [`raw_bytes`].
///
/// # Errors
/// A damaged block; an impossible option, device or memory limit; [`Error::Cancelled`].
///
/// # Panics
/// If `raw` is shorter than they are.
pub(crate) fn restore(options: &Options, route: Route, coded: &[u8], raw: &mut [u8]) -> Result<()> {
    let run = Run::begin(options.telemetry.as_ref(), "decompress");
    sched::scope(|scope| {
        let mut restorer = Restorer {
            options,
            coded,
            raw_bytes: raw.len() as u64,
            route: Some(route),
            run,
            spawner: Spawner::scoped(scope),
            engine: None,
            pending: VecDeque::new(),
            announced: 0,
            progress: Progress::default(),
        };
        restorer.run(raw)
    })
}

struct Restorer<'a, 'b> {
    options: &'b Options,
    coded: &'a [u8],
    raw_bytes: u64,
    /// The route until the first engine takes it.
    route: Option<Route>,
    run: Run,
    spawner: Spawner<'a>,
    /// Made for the first frame, and anew for one that it does not [fit](Engine::fits).
    engine: Option<Engine<'a>>,
    /// The blocks in flight.
    pending: VecDeque<Location>,
    /// Raw bytes of the blocks so far.
    announced: u64,
    progress: Progress,
}

impl<'a> Restorer<'a, '_> {
    fn run(&mut self, mut raw: &'a mut [u8]) -> Result<()> {
        let mut frame = None;
        visit_parts(self.coded, |part| match part {
            Part::Frame(header) => {
                let pipeline = Pipeline::try_from(header.pipeline)?;
                frame = Some((header, pipeline));
                let fitted = self.fit(&header, pipeline);
                if fitted.is_err() {
                    while self.accept_next()? {} // What is wrong there comes first.
                }
                fitted
            }
            Part::Block(block) => {
                let (place, rest) = take(&mut raw).split_at_mut(block.header.raw_size as usize);
                raw = rest;
                let (header, pipeline) = frame.expect("blocks are in frames");
                self.submit(block, place, pipeline, header.segment_log)
            }
        })?;
        self.engine.iter().for_each(Engine::submitted_all);
        while self.accept_next()? {}
        Ok(())
    }

    fn submit(
        &mut self,
        location: Location,
        place: &'a mut [u8],
        pipeline: Pipeline,
        segment_log: u8,
    ) -> Result<()> {
        let BlockHeader { kind, table_log, raw_size, .. } = location.header;
        let mut buffers = loop {
            match self.engine.as_mut().expect("made for the frame").acquire() {
                Some(buffers) => break buffers,
                None => self.accept_next()?,
            };
        };
        (buffers.raw, buffers.payload) =
            (Bytes::Place(place), Bytes::Lent(location.payload(self.coded)));
        let work = Work::Decode { encoded: Encoded { kind, table_log }, raw_size };
        let engine = self.engine.as_mut().expect("made for the frame");
        engine.submit(Block { buffers, pipeline, segment_log, work });
        self.announced += u64::from(raw_size);
        self.pending.push_back(location);
        engine.expect_content(self.raw_bytes, self.announced)
    }

    /// Makes an engine for a frame where there is none that does.
    fn fit(&mut self, frame: &FrameHeader, pipeline: Pipeline) -> Result<()> {
        let block_size = frame.block_size();
        if let Some(engine) = &self.engine {
            engine.accepts(pipeline)?;
            if engine.fits(block_size, pipeline) {
                return Ok(());
            }
            engine.submitted_all();
        }
        while self.accept_next()? {}
        // The old one goes first: both together may exceed the memory limit.
        self.engine = None;
        let route = self.route.take().map_or_else(|| Route::choose(self.options), Ok)?;
        let verifies = self.options.verify;
        let config = Config { block_size, pipeline, level: None, verifies, reserve: 0 };
        let spawner = self.spawner.clone();
        self.engine = Some(Engine::in_run(&self.run, self.options, route, config, spawner)?);
        Ok(())
    }

    /// Waits for the next block in order; false if none is in flight.
    fn accept_next(&mut self) -> Result<bool> {
        let Some(engine) = &mut self.engine else { return Ok(false) };
        let Some(Finished { outcome, crc, side, buffers, .. }) = engine.next(Wait::Block)? else {
            return Ok(false);
        };
        engine.release(buffers);
        let block = self.pending.pop_front().expect("every block in flight is pending");
        let Location { offset, header, .. } = block;
        let verdict = match outcome {
            Ok(_) if self.options.verify && crc != header.crc => Err(BlockFault::Checksum),
            outcome => outcome,
        };
        verdict.map_err(|reason| block.fault(reason))?;
        self.progress.blocks += 1;
        self.progress.raw_bytes += u64::from(header.raw_size);
        self.progress.coded_bytes = offset as u64 + record_size(header.coded_size);
        self.progress.device_blocks += u64::from(matches!(side, Side::Device(_)));
        self.progress.retried_blocks += u64::from(side == Side::Retried);
        if let Some(report) = &self.options.progress {
            report(self.progress);
        }
        Ok(true)
    }
}
