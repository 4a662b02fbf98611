//! Visits the structures of a file from front to back without its payloads.

use std::io::{Read, Seek, SeekFrom};

use crate::{
    error::{Error, Result},
    format::{
        BlockHeader, FrameHeader, FrameReader, RECORD_HEADER_SIZE, SkippableHeader, record_size,
    },
    stream::{Input, Start},
};

/// What a walk comes by.
#[derive(Debug)]
pub(crate) enum Step {
    Skippable {
        offset: u64,
        header: SkippableHeader,
    },
    /// A frame begins.
    Frame {
        offset: u64,
        header: FrameHeader,
    },
    /// A block of the frame that began last.
    Block(BlockHeader),
    /// That frame ends before `offset`.
    End {
        offset: u64,
    },
}

/// Walks from `start`, where a frame begins, to `end`, where one has to end. Headers are read one by one: a file wants a buffer, in which small
/// blocks are passed over.
///
/// # Errors
/// All that a decompressor would find without payloads and their padding, and what `visit` returns.
pub(crate) fn walk<R: Read + Seek>(
    mut source: R,
    start: u64,
    end: u64,
    mut visit: impl FnMut(Step) -> Result<()>,
) -> Result<()> {
    source.seek(SeekFrom::Start(start))?;
    let mut input = Input::new(source, start);
    while input.offset < end {
        let offset = input.offset;
        match input.read_start()? {
            Start::End => return Err(Error::Truncated { offset, inside: "the file" }),
            Start::Skippable(header) => {
                pass(&mut input, header.length.into(), end, "a skippable frame")?;
                visit(Step::Skippable { offset, header })?;
            }
            Start::Frame(header) => {
                visit(Step::Frame { offset, header })?;
                let mut frame = FrameReader::new(offset, header);
                while let Some(block) = frame.record(&input.read_array("a block header")?)? {
                    let payload = record_size(block.coded_size) - RECORD_HEADER_SIZE as u64;
                    pass(&mut input, payload, end, "a block's payload")?;
                    visit(Step::Block(block))?;
                }
                input.read_end(&mut frame)?;
                visit(Step::End { offset: input.offset })?;
            }
        }
    }
    // Only where the caller took another frame's end for `end` does the file go on.
    if input.offset == end {
        Ok(())
    } else {
        Err(Error::Truncated { offset: end, inside: "a frame" })
    }
}

/// Seeks past `length` bytes.
fn pass<R: Read + Seek>(
    input: &mut Input<R>,
    length: u64,
    end: u64,
    inside: &'static str,
) -> Result<()> {
    if length > end.saturating_sub(input.offset) {
        return Err(Error::Truncated { offset: end, inside });
    }
    // At most 4 GiB, the length of a skippable frame.
    input.get_mut().seek_relative(length as i64)?;
    input.offset += length;
    Ok(())
}
