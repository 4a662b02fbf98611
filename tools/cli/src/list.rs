//! `--list`: what compressed files hold.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Result;
use ranvil::{ContentInfo, FrameInfo, FrameKind};
use serde::Serialize;

use crate::{
    foreign,
    input::{Accept, Source},
    report::{self, Status},
    run::print,
    size::{human, percent},
    table,
};

/// The JSON document. Fields may be added; none is renamed or removed.
#[derive(Serialize, Debug, Default)]
struct Document {
    files: Vec<Listing>,
    total: Sizes,
}

#[derive(Serialize, Debug)]
struct Listing {
    file: String,
    #[serde(flatten)]
    sizes: Sizes,
    frames: Vec<Frame>,
}

#[derive(Serialize, Clone, Copy, Debug, Default)]
struct Sizes {
    compressed_size: u64,
    uncompressed_size: u64,
    /// Compressed through uncompressed; none where there is no content.
    ratio: Option<f64>,
    blocks: u64,
}

#[derive(Serialize, Debug)]
struct Frame {
    offset: u64,
    compressed_size: u64,
    #[serde(flatten)]
    content: Content,
}

#[derive(Serialize, Debug)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Content {
    Content {
        uncompressed_size: u64,
        pipeline: String,
        block_size: u32,
        segment_size: u32,
        blocks: u64,
        stored_blocks: u64,
        single_blocks: u64,
        checksum: &'static str,
        index: bool,
    },
    Skippable,
}

impl Sizes {
    fn add(&mut self, other: Self) {
        self.compressed_size += other.compressed_size;
        self.uncompressed_size += other.uncompressed_size;
        self.blocks += other.blocks;
        self.ratio = (self.uncompressed_size > 0)
            .then(|| self.compressed_size as f64 / self.uncompressed_size as f64);
    }
}

impl From<FrameInfo> for Frame {
    fn from(frame: FrameInfo) -> Self {
        let content = match frame.kind {
            FrameKind::Content(info) => Content::Content {
                uncompressed_size: info.raw_size,
                pipeline: info
                    .pipeline
                    .name()
                    .map_or_else(|| format!("unknown-{}", info.pipeline.0), str::to_owned),
                block_size: info.block_size,
                segment_size: info.segment_size,
                blocks: info.blocks,
                stored_blocks: info.stored_blocks,
                single_blocks: info.single_blocks,
                checksum: ContentInfo::CHECKSUM,
                index: info.indexed,
            },
            _ => Content::Skippable,
        };
        Self { offset: frame.offset, compressed_size: frame.coded_size, content }
    }
}

/// Lists files on standard output. A file that cannot be listed is reported and does not stop the others.
///
/// # Errors
/// If standard output cannot be written.
pub fn list(files: &[PathBuf], json: bool) -> Result<Status> {
    let mut document = Document::default();
    let mut status = Status::Done;
    for path in files {
        match listing(path) {
            Ok(listing) => {
                document.total.add(listing.sizes);
                document.files.push(listing);
            }
            Err(error) => status = Status::of(&error).report(&report::name(path), &error),
        }
    }
    print(|out| {
        let written = if json { write_json(&document, out) } else { write_table(&document, out) };
        Ok(written?)
    })?;
    Ok(status)
}

/// Writes a JSON document and a line end.
pub fn write_json(document: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, document)?;
    writeln!(out)
}

fn listing(path: &Path) -> Result<Listing> {
    let source = Source::open(path, Accept::Seekable)?;
    let mut sizes = Sizes::default();
    let frames = ranvil::inspect(source.file).map_err(|error| foreign::explain(error.into()))?;
    let frames: Vec<Frame> = frames.into_iter().map(Frame::from).collect();
    for frame in &frames {
        let (uncompressed_size, blocks) = match frame.content {
            Content::Content { uncompressed_size, blocks, .. } => (uncompressed_size, blocks),
            Content::Skippable => (0, 0),
        };
        sizes.add(Sizes {
            compressed_size: frame.compressed_size,
            uncompressed_size,
            blocks,
            ratio: None,
        });
    }
    Ok(Listing { file: report::name(path), sizes, frames })
}

fn write_table(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    const HEAD: [&str; 9] = [
        "Compressed",
        "Uncompressed",
        "Ratio",
        "Pipeline",
        "Blocks",
        "Block size",
        "Checksum",
        "Index",
        "File",
    ];
    if document.files.is_empty() {
        return Ok(());
    }
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    rows.extend(document.files.iter().map(Listing::row));
    if document.files.len() > 1 {
        let [compressed, raw, ratio, blocks] = document.total.cells();
        let files = format!("{} files", document.files.len());
        let empty = String::new;
        rows.push(vec![compressed, raw, ratio, empty(), blocks, empty(), empty(), empty(), files]);
    }
    table::lines(&rows, &[8]).iter().try_for_each(|line| writeln!(out, "{line}"))
}

impl Sizes {
    fn cells(self) -> [String; 4] {
        let Self { compressed_size, uncompressed_size, blocks, .. } = self;
        [
            human(compressed_size),
            human(uncompressed_size),
            percent(compressed_size, uncompressed_size),
            blocks.to_string(),
        ]
    }
}

impl Listing {
    fn row(&self) -> Vec<String> {
        let contents = || {
            self.frames.iter().filter_map(|frame| match &frame.content {
                Content::Content { pipeline, block_size, checksum, index, .. } => {
                    Some((pipeline, *block_size, *checksum, *index))
                }
                Content::Skippable => None,
            })
        };
        let [compressed, raw, ratio, blocks] = self.sizes.cells();
        vec![
            compressed,
            raw,
            ratio,
            distinct(contents().map(|(pipeline, ..)| pipeline)),
            blocks,
            distinct(contents().map(|(_, size, ..)| human(size.into()))),
            distinct(contents().map(|(_, _, checksum, _)| checksum)),
            distinct(contents().map(|(.., index)| if index { "yes" } else { "no" })),
            self.file.clone(),
        ]
    }
}

/// What the frames of a file have, each value once.
fn distinct<T: Display + Ord>(values: impl Iterator<Item = T>) -> String {
    let values: BTreeSet<T> = values.collect();
    values.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
