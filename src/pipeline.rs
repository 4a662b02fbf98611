//! Pipelines: what happens to a block.

use std::{fmt, str::FromStr};

use crate::{
    block::Coder,
    error::{Error, Result},
    format::PipelineId,
    model::Model,
    options::SegmentProfile,
};

/// A model, which finds repetition, and the entropy coders behind it; or coders alone. Whatever the pipeline, what
/// does not shrink is stored, and a block of one value is that value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Pipeline {
    /// Blocks as they are, with checksums and index.
    Stored = 0,
    /// Order-0 rANS.
    Rans = 1,
    /// Order-0 FSE (tabled ANS).
    Fse = 2,
    /// Order-0 Huffman codes.
    Huff = 3,
    /// LZ77 and rANS.
    Lzr = 4,
    /// LZ77 and, for each part of a stream, FSE or Huffman codes.
    Lzf = 5,
    /// LZ77 and Huffman codes.
    Lzh = 6,
    /// LZ sequences with repeat offsets and rANS.
    #[default]
    Lzseqr = 7,
    /// LZ sequences with repeat offsets and, for each part of a stream, FSE or Huffman codes.
    Lzseqf = 8,
}

impl Pipeline {
    /// Every pipeline of this build.
    pub const ALL: &'static [Self] = &[
        Self::Stored,
        Self::Rans,
        Self::Fse,
        Self::Huff,
        Self::Lzr,
        Self::Lzf,
        Self::Lzh,
        Self::Lzseqr,
        Self::Lzseqf,
    ];

    /// The identifier in the frame header.
    pub fn id(self) -> PipelineId {
        PipelineId(self as u8)
    }

    /// The pipeline's name.
    pub fn name(self) -> &'static str {
        self.id().name().expect("every pipeline of this build is in the format's table")
    }

    /// What it does and is good for, in one line.
    pub fn description(self) -> &'static str {
        match self {
            Self::Stored => "no compression; checksums and index only",
            Self::Rans => "rANS alone: no repetition is found; for numbers, weights, textures",
            Self::Fse => "FSE (tANS) alone, as rans",
            Self::Huff => "Huffman codes alone, as rans; coarser and fast",
            Self::Lzr => "LZ77 and rANS: fast to restore",
            Self::Lzf => "LZ77 and FSE or Huffman codes: fast to restore",
            Self::Lzh => "LZ77 and Huffman codes: fast to restore, somewhat larger",
            Self::Lzseqr => "LZ sequences with repeat offsets and rANS: the smallest",
            Self::Lzseqf => "LZ sequences with repeat offsets and FSE or Huffman codes",
        }
    }

    /// What finds repetition; `None` where every byte is coded by itself.
    pub fn model(self) -> Option<Model> {
        match self {
            Self::Stored | Self::Rans | Self::Fse | Self::Huff => None,
            Self::Lzr | Self::Lzf | Self::Lzh => Some(Model::Lz77),
            Self::Lzseqr | Self::Lzseqf => Some(Model::LzSeq),
        }
    }

    /// The entropy coders that an encoder chooses from, for each part of each stream where there is a model.
    pub fn coders(self) -> &'static [Coder] {
        match self {
            Self::Stored => &[],
            Self::Rans | Self::Lzr | Self::Lzseqr => &[Coder::Rans],
            Self::Fse => &[Coder::Fse],
            Self::Huff | Self::Lzh => &[Coder::Huffman],
            Self::Lzf | Self::Lzseqf => &[Coder::Fse, Coder::Huffman],
        }
    }

    /// Exponent of the block size, if none is asked for.
    pub(crate) fn default_block_log(self) -> u8 {
        if self.model().is_some() { 20 } else { 18 }
    }

    /// Exponent of the segment size. A model makes several streams of a block, each shorter than it.
    pub(crate) fn segment_log(self, profile: SegmentProfile) -> u8 {
        match profile {
            SegmentProfile::Latency => 12,
            SegmentProfile::Throughput if self.model().is_some() => 16,
            SegmentProfile::Throughput => 14,
        }
    }
}

impl TryFrom<PipelineId> for Pipeline {
    type Error = Error;

    fn try_from(id: PipelineId) -> Result<Self> {
        Self::ALL.iter().copied().find(|p| p.id() == id).ok_or(Error::UnsupportedPipeline(id))
    }
}

impl FromStr for Pipeline {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|p| p.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|p| p.name()).collect();
            Error::InvalidOption {
                name: "pipeline",
                reason: format!("{text:?} is unknown; this build has {}", known.join(", ")),
            }
        })
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_identifiers_name_one_pipeline_each() {
        for (&pipeline, id) in Pipeline::ALL.iter().zip(0..) {
            assert_eq!(pipeline.id(), PipelineId(id));
            assert_eq!(Pipeline::try_from(PipelineId(id)).unwrap(), pipeline);
            assert_eq!(pipeline.name().parse::<Pipeline>().unwrap(), pipeline);
            assert_eq!(pipeline.coders().is_empty(), pipeline == Pipeline::Stored);
        }
        assert!(Pipeline::try_from(PipelineId(9)).is_err() && "zip".parse::<Pipeline>().is_err());
    }
}
