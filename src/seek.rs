//! Random access to the content of a file.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
};

use crate::{
    Options, Pipeline,
    block::Encoded,
    engine::{self, Block, Buffers, Bytes, Coder, Work},
    error::{BlockFault, Error, FrameFault, Result},
    format::{Footer, FrameHeader, IndexEntry, RECORD_HEADER_SIZE, Record, record_size},
    stream::{Input, Start},
    walk::{Step, walk},
};

/// Decoded blocks that are kept, so that small reads here and there do not decode a block again and again.
const CACHED: u64 = 4;

/// The content of a file, all frames together, as `Read + Seek`.
///
/// Opening reads the footers and indexes from the end of the file backward; where a frame has no index, and
/// where a skippable frame comes last, block headers are read forward. Reading decodes just the blocks that are
/// touched, on the caller's thread; the latest few are kept. Of the options only the memory limit, the checksums
/// and the instructions count: to decode all of a file fast, on many threads or on a device, use a
/// [`Decompressor`](crate::Decompressor).
///
/// A damaged block fails only the reads that touch it, every time.
///
/// ```
/// use std::io::{Cursor, Read, Seek, SeekFrom};
///
/// let raw: Vec<u8> = (0..1_000_000u32).flat_map(|n| (n / 1000).to_le_bytes()).collect();
/// let file = Cursor::new(ranvil::compress(&raw)?);
/// let mut reader = ranvil::Options::new().seekable(file)?;
/// assert_eq!(reader.len(), 4_000_000);
/// reader.seek(SeekFrom::Start(3_000_000))?;
/// let mut number = [0; 4];
/// reader.read_exact(&mut number)?;
/// assert_eq!(u32::from_le_bytes(number), 750);
/// # Ok::<(), ranvil::Error>(())
/// ```
pub struct SeekableReader<R> {
    inner: R,
    verify: bool,
    frames: Vec<FrameMap>,
    length: u64,
    position: u64,
    coder: Coder,
    /// Latest first.
    cache: Vec<Cached>,
    cache_size: usize,
}

/// Where the blocks of a frame are.
struct FrameMap {
    header: FrameHeader,
    /// Position of the frame in the file.
    offset: u64,
    /// Position of its content in the whole.
    raw_start: u64,
    /// Where each block begins, and behind them where the end mark does: never empty.
    places: Vec<Place>,
}

/// A position in a frame: in its content and in its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    raw: u64,
    coded: u64,
}

impl Place {
    /// The first block's.
    const FIRST: Self = Self { raw: 0, coded: FrameHeader::SIZE as u64 };

    fn after(self, raw_size: u32, coded_size: u32) -> Self {
        Self { raw: self.raw + u64::from(raw_size), coded: self.coded + record_size(coded_size) }
    }
}

impl FrameMap {
    fn end(&self) -> Place {
        *self.places.last().expect("there is always the end mark's")
    }
}

struct Cached {
    frame: usize,
    block: usize,
    raw: Vec<u8>,
}

impl Options {
    /// Opens a file for random access to its content.
    ///
    /// # Errors
    /// Damaged footers, indexes or block headers; a pipeline that this build does not have;
    /// [`Error::MemoryLimit`] if the limit does not hold a block and 16 bytes for each block of the file.
    pub fn seekable<R: Read + Seek>(&self, mut inner: R) -> Result<SeekableReader<R>> {
        let mut opening = Opening { source: &mut inner, limit: self.memory_limit, used: 0 };
        let frames = opening.frames()?;
        let block_size = frames.iter().map(|f| f.header.block_size()).max().unwrap_or(0);
        // Beside the cache there are a payload and the scratch memory.
        let scratch = frames.iter().map(|FrameMap { header, .. }| {
            let pipeline = Pipeline::try_from(header.pipeline).unwrap_or_default();
            engine::scratch(pipeline, header.block_size(), None)
        });
        opening.charge(u64::from(block_size) + scratch.max().unwrap_or(0))?;
        let cache_size = opening.left() / u64::from(block_size.max(1));
        if cache_size == 0 {
            opening.charge(u64::from(block_size))?;
        }
        Ok(SeekableReader {
            inner,
            verify: self.verify,
            length: frames.last().map_or(0, |frame| frame.raw_start + frame.end().raw),
            frames,
            position: 0,
            coder: Coder::new(self.simd, self.verify)?,
            cache: Vec::new(),
            cache_size: cache_size.clamp(1, CACHED) as usize,
        })
    }
}

/// Builds the map of a file.
struct Opening<'a, R> {
    source: &'a mut R,
    /// The memory limit, and how much of it is used.
    limit: u64,
    used: u64,
}

impl<R: Read + Seek> Opening<'_, R> {
    fn frames(&mut self) -> Result<Vec<FrameMap>> {
        let end = self.source.seek(SeekFrom::End(0))?;
        if end == 0 {
            return Err(Error::Truncated { offset: 0, inside: "a frame header" });
        }
        let mut front = end;
        let mut frames = Vec::new();
        while let Some(frame) = self.last_frame(front)? {
            front = frame.offset;
            frames.push(frame);
        }
        frames.reverse();
        if front > 0 {
            let before = match self.walk(front) {
                Ok(before) => before,
                // The frames behind may have been found inside a skippable frame, whose content can be anything.
                Err(_) if front < end => {
                    frames.clear();
                    self.used = 0;
                    self.walk(end)?
                }
                Err(error) => return Err(error),
            };
            frames.splice(0..0, before);
        }
        let mut raw_start = 0u64;
        for frame in &mut frames {
            frame.raw_start = raw_start;
            let reason = FrameFault::ContentSize;
            raw_start = raw_start
                .checked_add(frame.end().raw)
                .ok_or(Error::CorruptFrame { offset: frame.offset, reason })?;
        }
        Ok(frames)
    }

    /// The frame that ends at `end`, from its index. `None` if that makes no sense: then what ends there is a
    /// frame without an index, a skippable frame or damaged, and the walk forward will tell.
    fn last_frame(&mut self, end: u64) -> Result<Option<FrameMap>> {
        let Some(footer_offset) = end.checked_sub(Footer::SIZE as u64) else { return Ok(None) };
        let bytes = self.at(footer_offset)?.read_array("the footer")?;
        let Some(footer) = Footer::parse(&bytes) else { return Ok(None) };
        let Some(offset) = end.checked_sub(footer.frame_size) else { return Ok(None) };
        let header = match self.at(offset)?.read_start() {
            Ok(Start::Frame(header)) if header.indexed => header,
            Err(error @ Error::Io(_)) => return Err(error),
            _ => return Ok(None),
        };
        let Some(index_size) = footer.index_size(&header) else { return Ok(None) };
        let content_size = header.content_size.unwrap_or(footer.content_size);
        if content_size != footer.content_size || Pipeline::try_from(header.pipeline).is_err() {
            return Ok(None);
        }
        self.charge(FRAME_MEMORY)?;
        self.charge(PLACE_MEMORY.saturating_mul(footer.blocks))?;

        let index_offset = footer_offset - index_size;
        let end_mark = index_offset - RECORD_HEADER_SIZE as u64;
        let bytes = self.at(end_mark)?.read_array("the end mark")?;
        if !matches!(Record::parse(&bytes, footer.blocks, &header), Ok(Record::End { .. })) {
            return Ok(None);
        }
        let Some(places) = self.read_index(&footer, &header, index_offset)? else {
            return Ok(None);
        };
        let map = FrameMap { header, offset, raw_start: 0, places };
        let fits = map.end() == Place { raw: footer.content_size, coded: end_mark - offset };
        Ok(fits.then_some(map))
    }

    /// Reads the index at `offset`; `None` if it makes no sense.
    fn read_index(
        &mut self,
        footer: &Footer,
        header: &FrameHeader,
        offset: u64,
    ) -> Result<Option<Vec<Place>>> {
        self.source.seek(SeekFrom::Start(offset))?;
        let mut input = Input::new(BufReader::new(&mut *self.source), offset);
        let mut places = Vec::with_capacity(footer.blocks as usize + 1);
        let mut place = Place::FIRST;
        let mut crc = 0;
        places.push(place);
        for _ in 0..footer.blocks {
            let bytes = input.read_array("the index")?;
            crc = crc32c::crc32c_append(crc, &bytes);
            let IndexEntry { raw_size, coded_size } = IndexEntry::parse(&bytes);
            let sizes_fit = 0 < coded_size && coded_size <= raw_size;
            if !sizes_fit || raw_size > header.block_size() {
                return Ok(None);
            }
            place = place.after(raw_size, coded_size);
            places.push(place);
        }
        Ok((footer.expected_crc(crc) == footer.crc).then_some(places))
    }

    /// The frames before `end`, from their block headers.
    fn walk(&mut self, end: u64) -> Result<Vec<FrameMap>> {
        let mut frames: Vec<FrameMap> = Vec::new();
        let (limit, mut used) = (self.limit, self.used);
        walk(BufReader::new(&mut *self.source), 0, end, |step| {
            match step {
                Step::Frame { offset, header } => {
                    Pipeline::try_from(header.pipeline)?;
                    charge(&mut used, FRAME_MEMORY, limit)?;
                    let places = vec![Place::FIRST];
                    frames.push(FrameMap { header, offset, raw_start: 0, places });
                }
                Step::Block(block) => {
                    // A growing vector may briefly take three times its length.
                    charge(&mut used, 3 * PLACE_MEMORY, limit)?;
                    let frame = frames.last_mut().expect("a frame came before its blocks");
                    let place = frame.end().after(block.raw_size, block.coded_size);
                    frame.places.push(place);
                }
                Step::Skippable { .. } | Step::End { .. } => {}
            }
            Ok(())
        })?;
        self.used = used;
        Ok(frames)
    }

    fn charge(&mut self, bytes: u64) -> Result<()> {
        charge(&mut self.used, bytes, self.limit)
    }

    fn left(&self) -> u64 {
        self.limit - self.used
    }

    fn at(&mut self, offset: u64) -> Result<Input<&mut R>> {
        self.source.seek(SeekFrom::Start(offset))?;
        Ok(Input::new(&mut *self.source, offset))
    }
}

/// What a block takes, and a frame beside its blocks.
const PLACE_MEMORY: u64 = size_of::<Place>() as u64;
const FRAME_MEMORY: u64 = size_of::<FrameMap>() as u64 + PLACE_MEMORY;

fn charge(used: &mut u64, bytes: u64, limit: u64) -> Result<()> {
    let needed = used.saturating_add(bytes);
    if needed > limit {
        return Err(Error::MemoryLimit { needed, limit });
    }
    *used = needed;
    Ok(())
}

impl<R> SeekableReader<R> {
    /// Raw bytes of the content.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there is no content.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The file.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Gives the file back, wherever it stands.
    pub fn into_inner(self) -> R {
        self.inner
    }

    /// The frame and block that hold the byte at `position`, which is less than the length.
    fn find(&self, position: u64) -> (usize, usize) {
        let frame = self.frames.partition_point(|frame| frame.raw_start <= position) - 1;
        let map = &self.frames[frame];
        let inside = position - map.raw_start;
        let block = map.places.partition_point(|place| place.raw <= inside) - 1;
        (frame, block)
    }
}

impl<R: Read + Seek> SeekableReader<R> {
    /// The content from the current position to the end of a block; empty at the end.
    fn chunk(&mut self) -> Result<&[u8]> {
        if self.position >= self.length {
            return Ok(&[]);
        }
        let (frame, block) = self.find(self.position);
        match self.cache.iter().position(|c| (c.frame, c.block) == (frame, block)) {
            Some(found) => self.cache[..=found].rotate_right(1),
            None => {
                let full = self.cache.len() == self.cache_size;
                let old = full.then(|| self.cache.pop()).flatten();
                let raw = self.decode(frame, block, old.map_or_else(Vec::new, |c| c.raw))?;
                self.cache.insert(0, Cached { frame, block, raw });
            }
        }
        let map = &self.frames[frame];
        let start = map.raw_start + map.places[block].raw;
        Ok(&self.cache[0].raw[(self.position - start) as usize..])
    }

    /// Decodes a block, using the memory of `raw`.
    fn decode(&mut self, frame: usize, block: usize, raw: Vec<u8>) -> Result<Vec<u8>> {
        let map = &self.frames[frame];
        let (place, next) = (map.places[block], map.places[block + 1]);
        let number = block as u64;
        let offset = map.offset + place.coded;
        let corrupt = |reason| Error::CorruptBlock { block: number, offset, reason };

        self.inner.seek(SeekFrom::Start(offset))?;
        let mut input = Input::new(&mut self.inner, offset);
        let bytes = input.read_array("a block header")?;
        let header = match Record::parse(&bytes, number, &map.header).map_err(corrupt)? {
            Record::Block(header) => header,
            Record::End { .. } => return Err(corrupt(BlockFault::Kind)),
        };
        if place.after(header.raw_size, header.coded_size) != next {
            return Err(corrupt(BlockFault::Size));
        }
        let mut payload = Vec::new();
        input.read_payload(&mut payload, &header, number, offset)?;
        let encoded = Encoded { kind: header.kind, table_log: header.table_log };
        let block = Block {
            buffers: Buffers {
                raw: Bytes::Own(raw),
                payload: Bytes::Own(payload),
                ..Buffers::default()
            },
            pipeline: Pipeline::try_from(map.header.pipeline)?,
            segment_log: map.header.segment_log,
            work: Work::Decode { encoded, raw_size: header.raw_size },
        };
        let mut block = self.coder.code(0, block);
        block.outcome.map_err(corrupt)?;
        if self.verify && block.crc != header.crc {
            return Err(corrupt(BlockFault::Checksum));
        }
        Ok(std::mem::take(block.buffers.raw.buffer()))
    }
}

impl<R: Read + Seek> Read for SeekableReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
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
impl<R: Read + Seek> BufRead for SeekableReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.chunk()?)
    }

    fn consume(&mut self, count: usize) {
        self.position += count as u64;
    }
}

impl<R: Read + Seek> Seek for SeekableReader<R> {
    /// Like that of [`io::Cursor`]: positions behind the end are allowed, and reading there yields nothing.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = target.ok_or_else(|| {
            let message = "the position is negative or beyond 64 bits";
            io::Error::new(io::ErrorKind::InvalidInput, message)
        })?;
        Ok(self.position)
    }
}

impl<R> fmt::Debug for SeekableReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeekableReader")
            .field("length", &self.length)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
