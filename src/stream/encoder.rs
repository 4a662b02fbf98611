//! The blocks of one frame, from raw bytes to where the frame goes.

use super::output::Sink;
use crate::{
    Options, Progress,
    engine::{
        Block, Buffers, Bytes, Config, Engine, Finished, Route, Side, Wait, Work, resize_exact,
    },
    error::{Error, Result},
    format::{
        BlockHeader, BlockKind, FrameHeader, FrameWriter, IndexEntry, MOST_PADDING, entry, padding,
        record_size,
    },
    sched::Spawner,
    telemetry::{Kind, Piece, Run},
};

/// Bytes of memory for an entry of the index: a growing vector may briefly take three times its length.
const INDEX_ENTRY: u64 = 3 * IndexEntry::SIZE as u64;

/// Bytes that are read at once as long as there may be no more.
const PIECE: usize = 64 << 10;

/// Encodes what it takes in as one frame: bytes that it copies, or others that outlive it. It is not used any more after an
/// error.
pub(crate) struct Encoder<'a, S> {
    pub(super) sink: S,
    /// Bytes that it has taken.
    written: u64,
    engine: Engine<'a>,
    options: Options,
    pub(super) header: FrameHeader,
    frame: FrameWriter,
    /// The frame's index so far, if it is to have one, as bytes.
    index: Vec<u8>,
    /// The block being filled, and how many bytes of it are.
    current: Option<(Buffers<'a>, usize)>,
    /// Raw bytes taken in.
    taken: u64,
    progress: Progress,
}

impl<'a, S: Sink<'a>> Encoder<'a, S> {
    /// An encoder whose workers are threads from `spawner`.
    pub fn new(options: &Options, sink: S, route: Route, spawner: Spawner<'a>) -> Result<Self> {
        let header = options.frame_header()?;
        let config = Config {
            block_size: header.block_size(),
            pipeline: options.pipeline,
            level: Some(options.level),
            verifies: false,
            reserve: if options.index { options.memory_limit / 16 } else { 0 },
        };
        let run = Run::begin(options.telemetry.as_ref(), "compress");
        let engine = Engine::in_run(&run, options, route, config, spawner);
        let mut engine = engine.map_err(|error| match error {
            // The reserve grows with the limit.
            Error::MemoryLimit { needed, limit } if options.index => {
                let needed = (needed - config.reserve).div_ceil(15).saturating_mul(16);
                Error::MemoryLimit { needed, limit }
            }
            error => error,
        })?;
        let expected = options.content_size.unwrap_or(0);
        engine.expect_content(expected, 0)?;
        let index = (expected.div_ceil(header.block_size().into())).saturating_mul(INDEX_ENTRY);
        engine.keep(if options.index { index } else { 0 });
        let encoder = Self {
            sink,
            written: 0,
            engine,
            options: options.clone(),
            header,
            frame: FrameWriter::new(),
            index: Vec::new(),
            current: None,
            taken: 0,
            progress: Progress::default(),
        };
        // Better now than after hours.
        encoder.check_index(expected.div_ceil(header.block_size().into()))?;
        Ok(encoder)
    }

    /// Ends the frame and flushes the sink. Returns the frame's size in bytes.
    pub fn end_frame(&mut self) -> Result<u64> {
        if self.header.content_size.is_some_and(|size| size != self.taken) {
            return Err(self.wrong_content_size());
        }
        self.flush_blocks()?;
        self.put(&self.frame.end_mark())?;
        self.sink.put(&self.index)?;
        self.written += self.index.len() as u64;
        self.put(&self.frame.footer(self.header.indexed))?;
        self.engine.settle()?;
        self.sink.flush()?;
        Ok(self.written)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.put(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn wrong_content_size(&self) -> Error {
        let announced = self.header.content_size.unwrap_or(0);
        let reason = format!("{announced} bytes were announced, another number was written");
        Error::InvalidOption { name: "content size", reason }
    }

    /// Takes a copy of all of `raw` in.
    pub fn take(&mut self, mut raw: &[u8]) -> Result<()> {
        self.check_room(raw.len())?;
        while !raw.is_empty() {
            let room = self.room(raw.len())?;
            let (now, later) = raw.split_at(room.len().min(raw.len()));
            room[..now.len()].copy_from_slice(now);
            self.advance(now.len())?;
            raw = later;
        }
        Ok(())
    }

    /// Room for the next raw bytes: for `wanted`, or as many as the current block still takes, and at least one.
    pub fn room(&mut self, wanted: usize) -> Result<&mut [u8]> {
        self.engine.check_cancelled()?;
        if self.current.is_none() {
            self.current = Some((self.free_buffers()?, 0));
        }
        let block_size = self.header.block_size() as usize;
        let (buffers, filled) = self.current.as_mut().expect("just made");
        let raw = buffers.raw.buffer();
        let length = filled.saturating_add(wanted.max(1)).min(block_size);
        if raw.len() < length {
            // Few steps, and never more memory than for a whole block.
            resize_exact(raw, length.max(2 * raw.len()).min(block_size));
        }
        Ok(&mut raw[*filled..])
    }

    /// Room for a whole block, or for a piece of the first one: it may be all that there is.
    pub fn next_room(&mut self) -> Result<&mut [u8]> {
        let started = self.taken >= u64::from(self.header.block_size());
        self.room(if started { usize::MAX } else { PIECE })
    }

    /// Takes the first `count` bytes of the room in.
    ///
    /// # Panics
    /// If it has not so many.
    pub fn advance(&mut self, count: usize) -> Result<()> {
        self.check_room(count)?;
        let Some((buffers, filled)) = &mut self.current else {
            assert_eq!(count, 0, "no room was asked for");
            return Ok(());
        };
        assert!(count <= buffers.raw.len() - *filled, "more bytes than there was room for");
        *filled += count;
        self.taken += count as u64;
        if *filled == self.header.block_size() as usize {
            self.submit_current();
        }
        Ok(())
    }

    /// # Errors
    /// With `more` bytes there are more than were announced.
    fn check_room(&self, more: usize) -> Result<()> {
        let after = self.taken.saturating_add(more as u64);
        match self.header.content_size {
            Some(size) if size < after => Err(self.wrong_content_size()),
            _ => Ok(()),
        }
    }

    /// Takes all of `raw` in, which the workers read where it is.
    pub fn lend(&mut self, raw: &'a [u8]) -> Result<()> {
        self.flush_blocks()?;
        for piece in raw.chunks(self.header.block_size() as usize) {
            let mut buffers = self.free_buffers()?;
            buffers.raw = Bytes::Lent(piece);
            self.taken += piece.len() as u64;
            self.submit(buffers);
        }
        Ok(())
    }

    /// Empty buffers for a block. Writes out what has finished, and waits if there are no others.
    fn free_buffers(&mut self) -> Result<Buffers<'a>> {
        // What has no announced end is expected to go on for as long again, with an index of as many entries.
        let expected = self.header.content_size.unwrap_or(self.taken.saturating_mul(2));
        self.engine.keep(2 * self.entries() * INDEX_ENTRY);
        self.engine.expect_content(expected, self.taken)?;
        while let Some(block) = self.engine.next(Wait::No)? {
            self.write_block(block)?;
        }
        loop {
            if let Some(buffers) = self.engine.acquire() {
                return Ok(buffers);
            }
            if let Some(block) = self.engine.next(Wait::Buffers)? {
                self.write_block(block)?;
            }
        }
    }

    /// Hands the current block to the engine, if there is one.
    fn submit_current(&mut self) {
        match self.current.take() {
            None => {}
            Some((buffers, 0)) => self.engine.release(buffers),
            Some((mut buffers, filled)) => {
                buffers.raw.buffer().truncate(filled);
                self.submit(buffers);
            }
        }
    }

    fn submit(&mut self, buffers: Buffers<'a>) {
        let Options { pipeline, level, table_log, .. } = self.options;
        self.engine.submit(Block {
            buffers,
            pipeline,
            segment_log: self.header.segment_log,
            work: Work::Encode { level, table_log },
        });
    }

    /// Ends the current block and writes everything so far.
    fn flush_blocks(&mut self) -> Result<()> {
        self.engine.check_cancelled()?;
        self.submit_current();
        self.engine.submitted_all();
        while let Some(block) = self.engine.next(Wait::Block)? {
            self.write_block(block)?;
        }
        self.write_header()?;
        Ok(())
    }

    fn write_header(&mut self) -> Result<()> {
        if self.written == 0 { self.put(&self.header.encode()) } else { Ok(()) }
    }

    fn write_block(&mut self, block: Finished<'a>) -> Result<()> {
        self.engine.recorder().begin();
        self.write_header()?;
        let Ok(encoded) = block.outcome else {
            return Err(Error::Internal("a block was not encoded".to_owned()));
        };
        let Buffers { raw, payload, .. } = &block.buffers;
        let payload = if encoded.kind == BlockKind::Stored { raw } else { payload };
        let header = BlockHeader {
            kind: encoded.kind,
            table_log: encoded.table_log,
            raw_size: raw.len() as u32,
            coded_size: payload.len() as u32,
            crc: block.crc,
        };
        self.sink.put(&self.frame.block(&header))?;
        let place = self.sink.place(payload.len())?;
        if place.is_none() {
            self.sink.put(payload)?;
        }
        self.sink.put(&[0; MOST_PADDING][..padding(header.coded_size)])?;
        self.written += record_size(header.coded_size);
        if self.header.indexed {
            self.check_index(self.entries() + 1)?;
            self.index.extend_from_slice(&entry(&header).encode());
        }
        let bytes = u64::from(header.coded_size);
        let piece = Piece { name: "write", stages: &[], block: self.progress.blocks, bytes };
        self.engine.recorder().lap_piece(Kind::Other, piece);
        self.progress.blocks += 1;
        self.progress.raw_bytes += u64::from(header.raw_size);
        self.progress.device_blocks += u64::from(matches!(block.side, Side::Device(_)));
        self.progress.retried_blocks += u64::from(block.side == Side::Retried);
        match place {
            Some(place) => self.engine.place(block, place),
            None => self.engine.release(block.buffers),
        }
        if let Some(report) = &self.options.progress {
            report(self.progress());
        }
        Ok(())
    }

    /// Entries of the index so far.
    fn entries(&self) -> u64 {
        (self.index.len() / IndexEntry::SIZE) as u64
    }

    /// # Errors
    /// [`Error::MemoryLimit`] if an index of so many entries exceeds it.
    fn check_index(&self, entries: u64) -> Result<()> {
        if !self.header.indexed {
            return Ok(());
        }
        let index = entries.saturating_mul(INDEX_ENTRY);
        let spare = self.engine.spare_memory();
        let limit = self.options.memory_limit;
        if index > spare {
            return Err(Error::MemoryLimit {
                needed: (limit - spare).saturating_add(index),
                limit,
            });
        }
        Ok(())
    }

    /// Ends the current block, writes everything so far and flushes the sink.
    pub fn flush(&mut self) -> Result<()> {
        self.flush_blocks()?;
        self.sink.flush()
    }
}

impl<S> Encoder<'_, S> {
    /// How far it has come: blocks that have been written.
    pub fn progress(&self) -> Progress {
        Progress { coded_bytes: self.written, ..self.progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pipeline, engine::Route, stream::output::Output};

    /// A device that joins gets no memory that the index has, or is expected to have.
    #[test]
    fn memory_is_kept_for_the_index_of_a_stream_without_an_announced_end() {
        let options = Options::new().pipeline(Pipeline::Rans).threads(1).memory_limit(4 << 20);
        let output = Output::new(Vec::new());
        let mut encoder = Encoder::new(&options, output, Route::cpu(), Spawner::free()).unwrap();
        for blocks in 1..20_000 {
            encoder.take(b"x").unwrap();
            encoder.flush().unwrap();
            let kept = encoder.engine.kept();
            assert!(kept >= blocks * INDEX_ENTRY, "{blocks} blocks, {kept} bytes");
        }
    }
}
