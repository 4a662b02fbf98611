//! What a file holds, without decoding it.

use std::io::{BufReader, Read, Seek, SeekFrom};

use crate::{
    error::{Error, Result},
    format::{BlockHeader, BlockKind, FrameHeader, PipelineId, SkippableHeader},
    walk::{Step, walk},
};

/// A frame of a file, as [`inspect`] found it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Position of the frame's first byte in the file.
    pub offset: u64,
    /// Bytes from the frame's magic number through its end.
    pub coded_size: u64,
    /// What the frame is.
    pub kind: FrameKind,
}

/// The two kinds of frame.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FrameKind {
    /// A frame with content.
    Content(ContentInfo),
    /// A skippable frame: no content.
    Skippable {
        /// Its magic number, `0x184D2A50` to `0x184D2A5F`.
        magic: u32,
    },
}

/// What a frame says of its content.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ContentInfo {
    /// The pipeline; it may be one that this build does not have.
    pub pipeline: PipelineId,
    /// The most raw bytes that a block may hold.
    pub block_size: u32,
    /// Raw bytes per segment.
    pub segment_size: u32,
    /// Raw bytes of the content.
    pub raw_size: u64,
    /// Blocks of all kinds.
    pub blocks: u64,
    /// Blocks that hold their raw bytes.
    pub stored_blocks: u64,
    /// Blocks of one byte value.
    pub single_blocks: u64,
    /// Whether the header names the content's size.
    pub content_size_known: bool,
    /// Whether the frame has an index.
    pub indexed: bool,
}

impl ContentInfo {
    /// The name of the checksum that protects every block.
    pub const CHECKSUM: &'static str = "CRC-32C";

    fn new(header: &FrameHeader) -> Self {
        Self {
            pipeline: header.pipeline,
            block_size: header.block_size(),
            segment_size: 1 << header.segment_log,
            raw_size: 0,
            blocks: 0,
            stored_blocks: 0,
            single_blocks: 0,
            content_size_known: header.content_size.is_some(),
            indexed: header.indexed,
        }
    }

    fn add(&mut self, block: &BlockHeader) {
        self.raw_size += u64::from(block.raw_size);
        self.blocks += 1;
        self.stored_blocks += u64::from(block.kind == BlockKind::Stored);
        self.single_blocks += u64::from(block.kind == BlockKind::Single);
    }
}

/// Lists the frames of a file. Everything but payloads is read and verified. The list grows with the number of
/// frames.
///
/// ```
/// let coded = ranvil::compress(&[7; 1_000_000])?;
/// let frames = ranvil::inspect(std::io::Cursor::new(&coded))?;
/// let ranvil::FrameKind::Content(content) = &frames[0].kind else { panic!() };
/// assert_eq!((content.raw_size, content.blocks), (1_000_000, 1));
/// # Ok::<(), ranvil::Error>(())
/// ```
///
/// # Errors
/// Those of decompression, as far as they show without payloads. A pipeline that this build does not have is
/// none.
pub fn inspect<R: Read + Seek>(mut source: R) -> Result<Vec<FrameInfo>> {
    let end = source.seek(SeekFrom::End(0))?;
    if end == 0 {
        return Err(Error::Truncated { offset: 0, inside: "a frame header" });
    }
    let mut frames: Vec<FrameInfo> = Vec::new();
    walk(BufReader::new(source), 0, end, |step| {
        match step {
            Step::Skippable { offset, header } => frames.push(FrameInfo {
                offset,
                coded_size: SkippableHeader::SIZE as u64 + u64::from(header.length),
                kind: FrameKind::Skippable { magic: header.magic() },
            }),
            Step::Frame { offset, header } => frames.push(FrameInfo {
                offset,
                coded_size: 0,
                kind: FrameKind::Content(ContentInfo::new(&header)),
            }),
            Step::Block(block) => {
                if let Some(FrameKind::Content(content)) = frames.last_mut().map(|f| &mut f.kind) {
                    content.add(&block);
                }
            }
            Step::End { offset } => {
                if let Some(frame) = frames.last_mut() {
                    frame.coded_size = offset - frame.offset;
                }
            }
        }
        Ok(())
    })?;
    Ok(frames)
}
