//! The blocks of one frame, from raw bytes to a writer.

use std::io::{self, Write};

use super::output::Output;
use crate::{
    Options, Progress,
    engine::{Block, Buffers, Bytes, Config, Engine, Finished, Route, Side, Work},
    error::{Error, Result},
    format::{BlockHeader, BlockKind, FrameHeader, FrameWriter, IndexEntry, entry, padding},
    sched::Spawner,
    telemetry::{Kind, Piece, Run},
};

/// Bytes of memory for an entry of the index: a growing vector may briefly take three times its length.
const INDEX_ENTRY: u64 = 3 * IndexEntry::SIZE as u64;

/// Encodes what it takes in as one frame: bytes that it copies, or others that outlive it. It is not used any more after an
/// error.
pub(crate) struct Encoder<'a, W> {
    pub(super) out: Output<W>,
    engine: Engine<'a>,
    options: Options,
    pub(super) header: FrameHeader,
    frame: FrameWriter,
    /// The frame's index so far, if it is to have one, as bytes.
    index: Vec<u8>,
    /// The block being filled.
    current: Option<Buffers<'a>>,
    /// Raw bytes taken in.
    taken: u64,
    progress: Progress,
}

impl<'a, W: Write> Encoder<'a, W> {
    /// An encoder whose workers are threads from `spawner`.
    pub fn new(options: &Options, inner: W, route: Route, spawner: Spawner<'a>) -> Result<Self> {
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
            out: Output::new(inner),
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

    /// Ends the frame and flushes the writer.
    pub fn end_frame(&mut self) -> Result<()> {
        if self.header.content_size.is_some_and(|size| size != self.taken) {
            return Err(self.wrong_content_size());
        }
        self.flush_blocks()?;
        self.out.put(&self.frame.end_mark())?;
        self.out.put(&self.index)?;
        self.out.put(&self.frame.footer(self.header.indexed))?;
        self.out.flush()?;
        Ok(())
    }

    fn wrong_content_size(&self) -> Error {
        let announced = self.header.content_size.unwrap_or(0);
        let reason = format!("{announced} bytes were announced, another number was written");
        Error::InvalidOption { name: "content size", reason }
    }

    /// Takes a copy of all of `raw` in.
    pub fn take(&mut self, mut raw: &[u8]) -> Result<()> {
        self.engine.check_cancelled()?;
        let after = self.taken.saturating_add(raw.len() as u64);
        if self.header.content_size.is_some_and(|size| size < after) {
            return Err(self.wrong_content_size());
        }
        while !raw.is_empty() {
            let mut block = match self.current.take() {
                Some(block) => block,
                None => self.free_buffers()?,
            };
            let room = self.header.block_size() as usize - block.raw.len();
            let (now, later) = raw.split_at(room.min(raw.len()));
            append(block.raw.buffer(), now, self.header.block_size() as usize);
            self.taken += now.len() as u64;
            raw = later;
            let full = now.len() == room;
            self.current = Some(block);
            if full {
                self.submit();
            }
        }
        Ok(())
    }

    /// Takes all of `raw` in, which the workers read where it is.
    pub fn lend(&mut self, raw: &'a [u8]) -> Result<()> {
        self.flush_blocks()?;
        for piece in raw.chunks(self.header.block_size() as usize) {
            let mut block = self.free_buffers()?;
            block.raw = Bytes::Lent(piece);
            self.taken += piece.len() as u64;
            self.current = Some(block);
            self.submit();
        }
        Ok(())
    }

    /// Empty buffers for a block. Writes out what has finished, and waits for it if there are no others.
    fn free_buffers(&mut self) -> Result<Buffers<'a>> {
        // What has no announced end is expected to go on for as long again.
        let expected = self.header.content_size.unwrap_or(self.taken.saturating_mul(2));
        self.engine.expect_content(expected, self.taken)?;
        while let Some(block) = self.engine.next(false)? {
            self.write_block(block)?;
        }
        loop {
            if let Some(mut buffers) = self.engine.acquire() {
                buffers.raw.buffer().clear();
                return Ok(buffers);
            }
            let block = self.engine.next(true)?;
            self.write_block(block.expect("all buffers are in flight"))?;
        }
    }

    /// Hands the current block to the engine, if there is one.
    fn submit(&mut self) {
        let Some(buffers) = self.current.take() else { return };
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
        self.submit();
        while let Some(block) = self.engine.next(true)? {
            self.write_block(block)?;
        }
        self.write_header()?;
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        if self.out.offset == 0 { self.out.put(&self.header.encode()) } else { Ok(()) }
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
        self.out.put(&self.frame.block(&header))?;
        self.out.put(payload)?;
        self.out.put(&[0; 3][..padding(header.coded_size)])?;
        if self.header.indexed {
            self.check_index((self.index.len() / IndexEntry::SIZE) as u64 + 1)?;
            self.index.extend_from_slice(&entry(&header).encode());
        }
        let bytes = u64::from(header.coded_size);
        let piece = Piece { name: "write", stages: &[], block: self.progress.blocks, bytes };
        self.engine.recorder().lap_piece(Kind::Other, piece);
        self.progress.blocks += 1;
        self.progress.raw_bytes += u64::from(header.raw_size);
        self.progress.device_blocks += u64::from(matches!(block.side, Side::Device(_)));
        self.progress.retried_blocks += u64::from(block.side == Side::Retried);
        self.engine.release(block.buffers);
        if let Some(report) = &self.options.progress {
            report(self.progress());
        }
        Ok(())
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

    /// Ends the current block, writes everything so far and flushes the writer.
    pub fn flush(&mut self) -> Result<()> {
        self.flush_blocks()?;
        Ok(self.out.flush()?)
    }
}

impl<W> Encoder<'_, W> {
    /// How far it has come: blocks that have been written.
    pub fn progress(&self) -> Progress {
        Progress { coded_bytes: self.out.offset, ..self.progress }
    }
}

/// Appends to a block, which never takes more memory than a whole one.
fn append(block: &mut Vec<u8>, bytes: &[u8], block_size: usize) {
    let length = block.len() + bytes.len();
    if length > block.capacity() {
        let capacity = length.max(2 * block.capacity()).min(block_size);
        block.reserve_exact(capacity - block.len());
    }
    block.extend_from_slice(bytes);
}
