//! Decompression from memory to memory: workers read payloads and write blocks where they are.

use std::{collections::VecDeque, io::Cursor, mem::take, thread};

use crate::{
    Options, Pipeline, Progress,
    block::Encoded,
    engine::{Block, Bytes, Config, Engine, Finished, Route, Side, Work},
    error::{BlockFault, Error, Result},
    format::{BlockHeader, FrameHeader, RECORD_HEADER_SIZE, padding, record_size},
    sched::Spawner,
    telemetry::Run,
    walk::{Step, walk},
};

/// Where the blocks of a file are, and how large they say to be.
pub(crate) struct Layout {
    frames: Vec<FrameHeader>,
    blocks: Vec<Location>,
    raw_bytes: u64,
}

struct Location {
    /// Its frame in the list, and its number there.
    frame: usize,
    number: u64,
    /// Position of its header.
    offset: usize,
    header: BlockHeader,
}

impl Layout {
    /// The layout of a file that has a frame and is whole.
    ///
    /// # Errors
    /// It is not. What is wrong with it first is for a decompressor to say.
    pub fn of(coded: &[u8]) -> Result<Self> {
        let mut layout = Self { frames: Vec::new(), blocks: Vec::new(), raw_bytes: 0 };
        let (mut at, mut number) = (0, 0);
        let end = coded.len() as u64;
        walk(&mut Cursor::new(coded), 0, end, |step| {
            match step {
                Step::Frame { offset, header } => {
                    Pipeline::try_from(header.pipeline)?;
                    layout.frames.push(header);
                    (at, number) = (offset as usize + FrameHeader::SIZE, 0);
                }
                Step::Block(header) => {
                    let frame = layout.frames.len() - 1;
                    layout.blocks.push(Location { frame, number, offset: at, header });
                    layout.raw_bytes += u64::from(header.raw_size);
                    number += 1;
                    let next = at + record_size(header.coded_size) as usize;
                    if coded[next - padding(header.coded_size)..next].iter().any(|&byte| byte != 0)
                    {
                        let (block, offset) = (number - 1, at as u64);
                        let reason = BlockFault::Padding;
                        return Err(Error::CorruptBlock { block, offset, reason });
                    }
                    at = next;
                }
                Step::Skippable { .. } | Step::End { .. } => {}
            }
            Ok(())
        })?;
        if layout.frames.is_empty() {
            return Err(Error::Truncated { offset: end, inside: "a frame header" });
        }
        Ok(layout)
    }

    /// Raw bytes of all blocks.
    pub fn raw_bytes(&self) -> u64 {
        self.raw_bytes
    }
}

/// Decompresses the blocks of `layout`, which is that of `coded`, to the beginning of `raw`.
///
/// # Errors
/// A damaged block; an impossible option, device or memory limit; [`Error::Cancelled`].
///
/// # Panics
/// If `raw` is shorter than they are.
pub(crate) fn restore(
    options: &Options,
    route: Route,
    coded: &[u8],
    layout: &Layout,
    raw: &mut [u8],
) -> Result<()> {
    let run = Run::begin(options.telemetry.as_ref(), "decompress");
    thread::scope(|scope| {
        let mut restorer = Restorer {
            options,
            layout,
            route: Some(route),
            run,
            spawner: Spawner::scoped(scope),
            engine: None,
            pending: VecDeque::new(),
            progress: Progress::default(),
        };
        restorer.run(coded, raw)
    })
}

struct Restorer<'a, 'b> {
    options: &'b Options,
    layout: &'b Layout,
    /// The route until the first engine takes it.
    route: Option<Route>,
    run: Run,
    spawner: Spawner<'a>,
    /// Made for the first frame, and anew for one that it does not [fit](Engine::fits).
    engine: Option<Engine<'a>>,
    /// The blocks in flight.
    pending: VecDeque<&'b Location>,
    progress: Progress,
}

impl<'a> Restorer<'a, '_> {
    fn run(&mut self, coded: &'a [u8], mut raw: &'a mut [u8]) -> Result<()> {
        let mut announced = 0;
        for block in &self.layout.blocks {
            let &Location { frame, offset, header, .. } = block;
            let frame = &self.layout.frames[frame];
            let pipeline = Pipeline::try_from(frame.pipeline)?;
            self.fit(frame, pipeline)?;
            let (place, rest) = take(&mut raw).split_at_mut(header.raw_size as usize);
            raw = rest;
            let payload = &coded[offset + RECORD_HEADER_SIZE..][..header.coded_size as usize];
            let encoded = Encoded { kind: header.kind, table_log: header.table_log };
            let engine = loop {
                let engine = self.engine.as_mut().expect("made for the frame");
                if let Some(mut buffers) = engine.acquire() {
                    (buffers.raw, buffers.payload) = (Bytes::Place(place), Bytes::Lent(payload));
                    let work = Work::Decode { encoded, raw_size: header.raw_size };
                    engine.submit(Block {
                        buffers,
                        pipeline,
                        segment_log: frame.segment_log,
                        work,
                    });
                    break engine;
                }
                self.accept_next()?;
            };
            announced += u64::from(header.raw_size);
            engine.expect_content(self.layout.raw_bytes, announced)?;
            self.pending.push_back(block);
        }
        while self.accept_next()? {}
        Ok(())
    }

    /// Makes an engine for a frame where there is none that does.
    fn fit(&mut self, frame: &FrameHeader, pipeline: Pipeline) -> Result<()> {
        let block_size = frame.block_size();
        if let Some(engine) = &self.engine {
            engine.accepts(pipeline)?;
            if engine.fits(block_size, pipeline) {
                return Ok(());
            }
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
        let Some(Finished { outcome, crc, side, buffers, .. }) = engine.next(true)? else {
            return Ok(false);
        };
        engine.release(buffers);
        let block = self.pending.pop_front().expect("every block in flight is pending");
        let &Location { number, offset, header, .. } = block;
        let verdict = match outcome {
            Ok(_) if self.options.verify && crc != header.crc => Err(BlockFault::Checksum),
            outcome => outcome,
        };
        verdict.map_err(|reason| {
            let (block, offset) = (number, offset as u64);
            Error::CorruptBlock { block, offset, reason }
        })?;
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
