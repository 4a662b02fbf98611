//! Where the segments of a block go. Each gets room for what its symbols' costs add up to and a margin, so that a device can write all
//! of them where they belong at once; what is left is the gap in it. If one does not fit or would leave a long gap, none has a
//! gap. A payload is the same whoever writes it, so this is done here too.

use super::{
    estimate::LOG2,
    lanes::{LANES, Layout},
    states,
    table::Table,
};

/// The longest gap that a segment is left with, in words.
const MOST_LEFT: usize = 15;
/// Fractional bits of costs.
const FRACTION: u32 = super::estimate::FRACTION;

/// What each symbol of a table costs: bits, in fixed point, rounded up.
#[derive(Clone, Debug)]
pub struct Costs {
    costs: [u32; 256],
    /// Those that have one, as many as are `present`.
    symbols: [u8; 256],
    present: usize,
}

impl Costs {
    /// Those of a table. (A code of length `l` is a frequency of `2^(K - l)`, which costs `l` exactly.)
    pub fn of(table: &Table) -> Self {
        let mut all = Self { costs: [0; 256], symbols: [0; 256], present: 0 };
        let whole = u32::from(table.log()) << FRACTION;
        for (symbol, freq, _) in table.symbols() {
            all.costs[usize::from(symbol)] = whole - u32::from(LOG2[freq as usize]);
            all.symbols[all.present] = symbol;
            all.present += 1;
        }
        all
    }

    /// What the body of a segment of at most 64 KiB costs, from the counts of all its symbols, of which its seed's are taken off.
    pub fn of_body(&self, counts: &[u32; 256], seed: &[u8]) -> u32 {
        let cost = |symbol: u8| self.costs[usize::from(symbol)];
        // Kernels count in 16 bits.
        let count = |symbol: u8| counts[usize::from(symbol)].min(0xffff);
        let symbols = &self.symbols[..self.present];
        let all: u32 = symbols.iter().map(|&symbol| count(symbol) * cost(symbol)).sum();
        seed.iter().fold(all, |sum, &symbol| sum.wrapping_sub(cost(symbol)))
    }
}

/// Words of the room for a segment whose body has so many symbols and costs so much.
pub fn room(layout: Layout, cell_bits: u32, body: usize, body_cost: u32) -> usize {
    // An encoder starts from the highest cell, which is worth nearly a bit more than the lowest.
    let cell_bits = if cell_bits > 0 { cell_bits as usize + 1 } else { 0 };
    let states = 8 * layout.seed + LANES * (layout.planes + cell_bits);
    let margin = (body / 32).min(layout.margin);
    let bits = states + states::GAP_BITS as usize + body_cost.div_ceil(1 << FRACTION) as usize;
    (bits + margin).div_ceil(8 * layout.word)
}

/// Appends segments to a payload.
#[derive(Debug)]
pub struct Appended<'a> {
    layout: Layout,
    cell_bits: u32,
    /// Of all segments, in words.
    rooms: &'a [usize],
    /// Whether no segment has a gap. A single one needs none.
    exact: bool,
    /// How many there are.
    number: usize,
    /// Where the first one is.
    first: usize,
    payload: &'a mut Vec<u8>,
}

impl<'a> Appended<'a> {
    /// Behind the head of a payload, at whose front there is space for the sizes of as many segments as there are `rooms`.
    pub fn new(
        layout: Layout,
        cell_bits: u32,
        rooms: &'a [usize],
        payload: &'a mut Vec<u8>,
    ) -> Self {
        let first = payload.len();
        Self { layout, cell_bits, rooms, exact: rooms.len() == 1, number: 0, first, payload }
    }

    /// Bytes of the payload if no segment misses its room.
    pub fn expected(&self) -> usize {
        self.first + self.layout.word * self.rooms.iter().sum::<usize>()
    }

    /// Clears the payload.
    pub fn give_up(self) {
        self.payload.clear();
    }

    /// Appends a segment without a gap.
    pub fn push(&mut self, segment: &[u8]) {
        let words = segment.len() / self.layout.word;
        let gap = self.rooms[self.number].checked_sub(words).filter(|&gap| gap <= MOST_LEFT);
        if gap.is_none() && !self.exact {
            self.remove_gaps();
        }
        let gap = if self.exact { 0 } else { gap.unwrap_or(0) };
        let (states, stream) = self.split(segment);
        let begin = self.payload.len();
        self.payload.extend_from_slice(states);
        self.payload[begin + states::gap_place(self.layout)] = gap as u8;
        self.payload.resize(self.payload.len() + gap * self.layout.word, 0);
        self.payload.extend_from_slice(stream);
        self.set_size(words + gap);
        self.number += 1;
    }

    /// A segment's states, and what follows them.
    fn split<'b>(&self, segment: &'b [u8]) -> (&'b [u8], &'b [u8]) {
        segment.split_at(states::written(self.layout, self.cell_bits, segment))
    }

    fn set_size(&mut self, words: usize) {
        self.payload[2 * self.number..][..2].copy_from_slice(&(words as u16).to_le_bytes());
    }

    /// Appends all segments again, without their gaps.
    fn remove_gaps(&mut self) {
        self.exact = true;
        let appended = self.payload.split_off(self.first);
        let mut rest = &appended[..];
        for number in 0..std::mem::take(&mut self.number) {
            let size = [self.payload[2 * number], self.payload[2 * number + 1]];
            let size = usize::from(u16::from_le_bytes(size)) * self.layout.word;
            let (segment, after) = rest.split_at(size);
            let (states, stream) = self.split(segment);
            let gap = usize::from(states[states::gap_place(self.layout)]) * self.layout.word;
            self.push(&[states, &stream[gap..]].concat());
            rest = after;
        }
    }
}
