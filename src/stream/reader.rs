//! Decompression as a `Read` adapter.

use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufRead, BufReader, Read},
};

use crate::{
    Options, Pipeline, Progress,
    block::Encoded,
    engine::{Block, Buffers, Config, Engine, Finished, Route, Side, Wait, Work},
    error::{BlockFault, Error, Result},
    format::{FrameHeader, FrameReader, RECORD_HEADER_SIZE},
    sched::Spawner,
    stream::{Failure, Input, Start},
    telemetry::{Kind, Piece, Run},
};

/// Small structures and blocks are read together in pieces of this size; larger payloads are read directly.
const PIECE: usize = 32 << 10;

/// Decompresses all frames that it reads, skipping skippable ones, up to the end of the input.
///
/// Blocks are read ahead of what has been asked for, as many as the memory limit allows; but not beyond a block
/// that is shorter than it might be before that one has been returned: whoever flushed there may wait for an
/// answer.
///
/// Every byte that is returned belongs to a block whose checksum was right (unless
/// [`Options::verify_checksums`] says otherwise). But only when the end is reached without an error is it certain
/// that nothing is missing. After an error, every further call returns that error again.
///
/// ```
/// use std::io::Read;
///
/// let coded = ranvil::compress(b"Hello, hello, hello!")?;
/// let mut text = String::new();
/// ranvil::Options::new().decompressor(&coded[..])?.read_to_string(&mut text)?;
/// assert_eq!(text, "Hello, hello, hello!");
/// # Ok::<(), ranvil::Error>(())
/// ```
pub struct Decompressor<R> {
    input: Input<BufReader<R>>,
    options: Options,
    /// The route until the first engine takes it: an explicit device is opened before anything is read.
    route: Option<Route>,
    run: Run,
    /// Made for the first frame, and anew for one that it does not [fit](Engine::fits).
    engine: Option<Engine<'static>>,
    state: State,
    /// The blocks in flight.
    pending: VecDeque<Pending>,
    /// A block that was shorter than its frame's block size is in flight.
    short: bool,
    /// The block being returned, and how much of it has been.
    current: Option<(Buffers<'static>, usize)>,
    /// Raw bytes of all blocks whose headers have been read.
    announced: u64,
    progress: Progress,
    failure: Failure,
}

/// Where in the input the reader stands.
enum State {
    /// Where a frame begins or the input ends.
    Between,
    /// Before the first record of a frame, for which the engine may have to be replaced.
    Begun(FrameReader),
    /// Before a record.
    Inside(FrameReader),
    /// Nothing more is to be read. What comes after the blocks in flight: the end, or an error.
    Over(Result<()>),
}

/// What is known of a block in flight.
struct Pending {
    number: u64,
    /// Position of its header.
    offset: u64,
    /// Position after its padding.
    end: u64,
    crc: u32,
}

impl Options {
    /// A decompressor of the frames that `inner` yields, up to its end. It reads large pieces: `inner` needs no
    /// buffer.
    ///
    /// # Errors
    /// An impossible option or device. Nothing has been read then.
    pub fn decompressor<R: Read>(&self, inner: R) -> Result<Decompressor<R>> {
        Ok(Decompressor::new(self, inner, Route::choose(self)?))
    }
}

impl<R: Read> Decompressor<R> {
    pub(super) fn new(options: &Options, inner: R, route: Route) -> Self {
        Self {
            input: Input::new(BufReader::with_capacity(PIECE, inner), 0),
            options: options.clone(),
            route: Some(route),
            run: Run::begin(options.telemetry.as_ref(), "decompress"),
            engine: None,
            state: State::Between,
            pending: VecDeque::new(),
            short: false,
            current: None,
            announced: 0,
            progress: Progress::default(),
            failure: Failure::default(),
        }
    }

    /// Reads and submits blocks as long as there are buffers. An error waits for the blocks before it.
    fn read_ahead(&mut self) {
        loop {
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => self.state = State::Over(Err(error)),
            }
        }
    }

    /// Reads the next structure; false if there is none, or nowhere to put it.
    fn advance(&mut self) -> Result<bool> {
        let in_flight = self.engine.as_ref().map_or(0, Engine::in_flight);
        if self.short && in_flight > 0 {
            return Ok(self.waits_for_all());
        }
        self.short = false;
        match &mut self.state {
            State::Over(_) => return Ok(self.waits_for_all()),
            State::Between => self.begin_frame()?,
            State::Begun(frame) => {
                let block_size = frame.header().block_size();
                let pipeline = Pipeline::try_from(frame.header().pipeline)?;
                self.engine.as_ref().map_or(Ok(()), |engine| engine.accepts(pipeline))?;
                let fits = |engine: &Engine<'_>| engine.fits(block_size, pipeline);
                if !self.engine.as_ref().is_some_and(fits) {
                    if in_flight > 0 {
                        return Ok(self.waits_for_all());
                    }
                    self.make_engine()?;
                }
                let State::Begun(frame) = std::mem::replace(&mut self.state, State::Between) else {
                    unreachable!("matched above")
                };
                self.state = State::Inside(frame);
            }
            State::Inside(_) => return self.read_record(),
        }
        Ok(true)
    }

    /// Nothing more is submitted until what is in flight has come back.
    fn waits_for_all(&self) -> bool {
        self.engine.iter().for_each(Engine::submitted_all);
        false
    }

    fn begin_frame(&mut self) -> Result<()> {
        let start = self.input.offset;
        self.state = match self.input.read_start()? {
            Start::End if start == 0 => {
                return Err(Error::Truncated { offset: 0, inside: "a frame header" });
            }
            Start::End => State::Over(Ok(())),
            Start::Skippable(header) => {
                self.input.skip(u64::from(header.length), "a skippable frame")?;
                self.progress.coded_bytes = self.input.offset;
                State::Between
            }
            Start::Frame(header) => {
                Pipeline::try_from(header.pipeline)?;
                let content_size = header.content_size.unwrap_or(0);
                add_within(self.announced, content_size, self.options.output_limit)?;
                State::Begun(FrameReader::new(start, header))
            }
        };
        Ok(())
    }

    fn make_engine(&mut self) -> Result<()> {
        let State::Begun(frame) = &self.state else { return Ok(()) };
        // The old one goes first: both together may exceed the memory limit.
        self.engine = None;
        let route = match self.route.take() {
            Some(route) => route,
            None => Route::choose(&self.options)?,
        };
        let config = Config {
            block_size: frame.header().block_size(),
            pipeline: Pipeline::try_from(frame.header().pipeline)?,
            level: None,
            verifies: self.options.verify,
            reserve: 0,
        };
        let mut engine = Engine::in_run(&self.run, &self.options, route, config, Spawner::free())?;
        engine.expect_content(frame.header().content_size.unwrap_or(0), 0)?;
        self.engine = Some(engine);
        Ok(())
    }

    /// Reads a block and submits it, or the end of the frame. False if there are no buffers for a block.
    fn read_record(&mut self) -> Result<bool> {
        let (State::Inside(frame), Some(engine)) = (&mut self.state, &mut self.engine) else {
            return Ok(false);
        };
        engine.check_cancelled()?;
        let Some(mut buffers) = engine.acquire() else { return Ok(false) };
        let (number, offset) = (frame.blocks(), frame.position());
        engine.recorder().begin();
        let bytes = self.input.read_array::<RECORD_HEADER_SIZE>("a block header")?;
        let Some(block) = frame.record(&bytes)? else {
            engine.release(buffers);
            return self.end_frame().map(|()| true);
        };
        let &FrameHeader { pipeline, segment_log, content_size, .. } = frame.header();
        let short = block.raw_size < frame.header().block_size();
        let limit = self.options.output_limit;
        self.announced = add_within(self.announced, u64::from(block.raw_size), limit)?;
        self.input.read_payload(buffers.payload.buffer(), &block, number, offset)?;
        let bytes = u64::from(block.coded_size);
        let piece = Piece { name: "read", stages: &[], block: number, bytes };
        engine.recorder().lap_piece(Kind::Other, piece);
        // What has no announced end is expected to go on for as long again.
        let expected = content_size.unwrap_or(self.announced.saturating_mul(2));
        engine.expect_content(expected, self.announced)?;
        let encoded = Encoded { kind: block.kind, table_log: block.table_log };
        engine.submit(Block {
            buffers,
            pipeline: Pipeline::try_from(pipeline)?,
            segment_log,
            work: Work::Decode { encoded, raw_size: block.raw_size },
        });
        self.short = short;
        self.pending.push_back(Pending { number, offset, end: self.input.offset, crc: block.crc });
        Ok(true)
    }

    /// Reads index and footer.
    fn end_frame(&mut self) -> Result<()> {
        let State::Inside(frame) = &mut self.state else { return Ok(()) };
        self.input.read_end(frame)?;
        self.state = State::Between;
        Ok(())
    }

    /// Makes the next block the current one; false at the end.
    fn next_block(&mut self) -> Result<bool> {
        if let (Some((buffers, _)), Some(engine)) = (self.current.take(), &mut self.engine) {
            engine.release(buffers);
        }
        loop {
            // Afterwards there is a block in flight, or nothing more to come.
            self.read_ahead();
            let next = self.engine.as_mut().map_or(Ok(None), |engine| engine.next(Wait::Block))?;
            if let Some(block) = next {
                self.accept(block)?;
                return Ok(true);
            }
            if let State::Over(result) = &mut self.state {
                std::mem::replace(result, Ok(()))?;
                self.progress.coded_bytes = self.input.offset;
                return Ok(false);
            }
        }
    }

    fn accept(&mut self, block: Finished<'static>) -> Result<()> {
        let Pending { number, offset, end, crc } =
            self.pending.pop_front().expect("every block in flight is pending");
        let verdict = match block.outcome {
            Ok(_) if self.options.verify && block.crc != crc => Err(BlockFault::Checksum),
            outcome => outcome,
        };
        verdict.map_err(|reason| Error::CorruptBlock { block: number, offset, reason })?;
        self.progress.blocks += 1;
        self.progress.raw_bytes += block.buffers.raw.len() as u64;
        self.progress.coded_bytes = end;
        self.progress.device_blocks += u64::from(matches!(block.side, Side::Device(_)));
        self.progress.retried_blocks += u64::from(block.side == Side::Retried);
        self.current = Some((block.buffers, 0));
        if let Some(report) = &self.options.progress {
            report(self.progress);
        }
        Ok(())
    }

    /// The rest of the current block, or the next one; empty at the end.
    pub(crate) fn chunk(&mut self) -> Result<&[u8]> {
        self.failure.check()?;
        let exhausted = |(buffers, at): &(Buffers<'_>, usize)| *at == buffers.raw.len();
        if self.current.as_ref().is_none_or(exhausted) {
            let result = self.next_block();
            self.failure.note(result)?;
        }
        Ok(self.current.as_ref().map_or(&[], |(buffers, at)| &buffers.raw[*at..]))
    }
}

/// The sum of raw sizes.
fn add_within(announced: u64, more: u64, limit: u64) -> Result<u64> {
    announced.checked_add(more).filter(|&sum| sum <= limit).ok_or(Error::OutputLimit { limit })
}

impl<R> Decompressor<R> {
    /// The reader.
    pub fn get_ref(&self) -> &R {
        self.input.get_ref().get_ref()
    }

    /// Gives the reader back. How much of it has been read is unspecified before the end of the content.
    pub fn into_inner(self) -> R {
        self.input.into_inner().into_inner()
    }

    /// How far the decompression has come: blocks that have been decoded and handed to the caller's thread.
    pub fn progress(&self) -> Progress {
        self.progress
    }
}

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.failure.check()?;
        if buf.is_empty() {
            return Ok(0);
        }
        let chunk = self.chunk()?;
        let count = chunk.len().min(buf.len());
        buf[..count].copy_from_slice(&chunk[..count]);
        self.consume(count);
        Ok(count)
    }
}

/// Whole blocks without a copy.
impl<R: Read> BufRead for Decompressor<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.chunk()?)
    }

    fn consume(&mut self, count: usize) {
        if let Some((buffers, at)) = &mut self.current {
            *at = buffers.raw.len().min(at.saturating_add(count));
        }
    }
}

impl<R> fmt::Debug for Decompressor<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("progress", &self.progress).finish_non_exhaustive()
    }
}
