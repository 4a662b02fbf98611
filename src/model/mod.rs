//! LZ models: what lies between a block and the entropy coders. [`parse`](parse::Parser) finds the sequences of a
//! block, a [`Model`] turns them into streams of bytes and back into the block (`docs/FORMAT.md`, section 3).

pub mod parse;

/// How sequences become streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Model {
    /// Tokens, bytes of offsets and lengths: the fastest to rebuild.
    Lz77,
    /// Codes with extra bits and three repeat offsets: the smallest.
    LzSeq,
}

impl Model {
    /// The shortest match.
    pub const fn min_match(self) -> u32 {
        match self {
            Self::Lz77 => 4,
            Self::LzSeq => 3,
        }
    }
}

/// A run of literals and the match behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sequence {
    /// Literals before the match.
    pub literals: u32,
    /// Bytes that the match copies: at least [`Model::min_match`].
    pub length: u32,
    /// How far back it begins: 1 to the bytes before it.
    pub offset: u32,
}
