//! The lane skeleton that the coders share: how the symbols of a segment spread over 32 lanes
//! (`docs/FORMAT.md`, section 2.3).

use crate::block::Coder;

/// Lanes that code a segment together.
pub const LANES: usize = 32;
/// Symbols of one lane in one tile: neighbours in the segment, one `u32`.
pub const STEPS: usize = 4;
/// Symbols in a tile.
pub const TILE: usize = LANES * STEPS;

/// The last symbols of a body that a lane codes as a pair: two or, if its symbols end with a single one, that; none if it has none.
pub fn last_pair(body: &[u8], lane: usize) -> &[u8] {
    let (whole, rest) = body.as_chunks::<TILE>();
    let quad = match rest.get(lane * STEPS..) {
        Some(own) if !own.is_empty() => &own[..own.len().min(STEPS)],
        _ => whole.last().map_or(&[][..], |tile| &tile.as_chunks::<STEPS>().0[lane]),
    };
    if quad.len() > 2 { &quad[2..] } else { quad }
}

/// Sizes of what a coder's segment consists of, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// A word of the stream.
    pub word: usize,
    /// Words of 32 bits that hold the lengths of the initial states.
    pub planes: usize,
    /// The least length of an initial state, in bits.
    pub least: u32,
    /// Bits by which a segment's room is larger than what its symbols are expected to cost: measured, see `docs/DECISIONS.md`.
    pub margin: usize,
    /// The same where a symbol has a quarter of the table's slots or more.
    pub skewed_margin: usize,
    /// The end of the segment that rides in the lanes' final states.
    pub seed: usize,
}

impl Layout {
    /// That of a coder.
    pub const fn of(coder: Coder) -> Self {
        match coder {
            Coder::Rans => {
                let (margin, skewed_margin) = (48, 48);
                Self { word: 2, planes: 4, least: 16, margin, skewed_margin, seed: 2 * LANES }
            }
            Coder::Fse => {
                let (margin, skewed_margin) = (128, 288);
                Self { word: 4, planes: 5, least: 4, margin, skewed_margin, seed: 4 * LANES }
            }
            Coder::Huffman => {
                let (margin, skewed_margin) = (0, 0);
                Self { word: 4, planes: 5, least: 16, margin, skewed_margin, seed: 4 * LANES }
            }
        }
    }

    /// The most bits of an initial state: 31 (rans), 35 and a cell of 12 (fse) or 47 (huff).
    pub const MAX_STATE_BITS: u32 = 47;

    /// The most bytes that a segment's initial states take: their lengths, a byte and their bits, whole words.
    pub const fn states_bound(self) -> usize {
        4 * self.planes + 4 + Self::MAX_STATE_BITS as usize * LANES / 8
    }

    /// Bytes of a segment of `length` bytes that are coded as symbols; the others are its seed.
    pub const fn body(self, length: usize) -> usize {
        length.saturating_sub(self.seed)
    }

    /// The longest coded segment of `length` bytes, whole tiles: a lane takes at most a word of 2 bytes a symbol, or one
    /// of 4 bytes a pair of symbols.
    pub const fn stream_bound(self, length: usize) -> usize {
        self.states_bound() + 2 * self.body(length).next_multiple_of(TILE)
    }

    /// Zero bytes that follow the segment sizes and the table, together `head` bytes, so that words are aligned.
    pub const fn padding(self, head: usize) -> usize {
        head.next_multiple_of(self.word) - head
    }
}
