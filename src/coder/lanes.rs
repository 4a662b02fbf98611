//! The lane skeleton that the coders share: how the symbols of a segment spread over 32 lanes
//! (`docs/FORMAT.md`, section 2.3).

use crate::block::Coder;

/// Lanes that code a segment together.
pub const LANES: usize = 32;
/// Symbols of one lane in one tile: neighbours in the segment, one `u32`.
pub const STEPS: usize = 4;
/// Symbols in a tile.
pub const TILE: usize = LANES * STEPS;

/// Sizes of what a coder's segment consists of, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// A word of the stream.
    pub word: usize,
    /// The initial states at the front of the stream.
    pub states: usize,
    /// The end of the segment that rides in the lanes' final states.
    pub seed: usize,
}

impl Layout {
    /// That of a coder.
    pub const fn of(coder: Coder) -> Self {
        match coder {
            Coder::Rans => Self { word: 2, states: 4 * LANES, seed: 2 * LANES },
            Coder::Fse | Coder::Huffman => Self { word: 4, states: 6 * LANES, seed: 4 * LANES },
        }
    }

    /// Bytes of a segment of `length` bytes that are coded as symbols; the others are its seed.
    pub const fn body(self, length: usize) -> usize {
        length.saturating_sub(self.seed)
    }

    /// The longest stream of a segment of `length` bytes, whole tiles: a lane takes at most a word of 2 bytes a symbol, or one
    /// of 4 bytes a pair of symbols.
    pub const fn stream_bound(self, length: usize) -> usize {
        self.states + 2 * self.body(length).next_multiple_of(TILE)
    }

    /// Zero bytes that follow the word counts and the table, together `head` bytes, so that words are aligned.
    pub const fn padding(self, head: usize) -> usize {
        head.next_multiple_of(self.word) - head
    }
}
