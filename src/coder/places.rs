//! Where the segments of a block go. Each gets room for what its symbols' costs add up to and a margin, so that a device can write all
//! of them where they belong at once; what is left is the gap in it. If one does not fit or would leave a long gap, none has a
//! gap. A payload is the same whoever writes it, so this is done here too.

use super::{
    estimate::LOG2,
    lanes::{LANES, Layout, last_pair},
    states,
    table::Table,
};
use crate::block::Coder;

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
    /// What the last symbols of a lane cost at least, since zeros are put before them; 0 where none are.
    least: u32,
    /// Whether a symbol has a quarter of the slots.
    skewed: bool,
}

impl Costs {
    /// Those of a table. (A code of length `l` is a frequency of `2^(K - l)`, which costs `l` exactly.)
    pub fn of(table: &Table) -> Self {
        let mut all =
            Self { costs: [0; 256], symbols: [0; 256], present: 0, least: 0, skewed: false };
        if table.coder() == Coder::Fse {
            all.least = (u32::from(table.log()) + 1) << FRACTION;
        }
        let whole = u32::from(table.log()) << FRACTION;
        for (symbol, freq, _) in table.symbols() {
            all.skewed |= 4 * freq >= 1 << table.log();
            all.costs[usize::from(symbol)] = whole - u32::from(LOG2[freq as usize]);
            all.symbols[all.present] = symbol;
            all.present += 1;
        }
        all
    }

    /// Words of the room for a segment of at most 64 KiB, whose symbols occur `counts` times.
    pub fn room(&self, layout: Layout, counts: &[u32; 256], raw: &[u8]) -> usize {
        let (body, seed) = raw.split_at(layout.body(raw.len()));
        let cost = self.of_body(counts, seed) + self.of_padding(body);
        room(layout, self.skewed, body.len(), cost)
    }

    /// What the body of a segment costs, from the counts of all its symbols, of which its seed's are taken off.
    fn of_body(&self, counts: &[u32; 256], seed: &[u8]) -> u32 {
        let cost = |symbol: u8| self.costs[usize::from(symbol)];
        // Kernels count in 16 bits.
        let count = |symbol: u8| counts[usize::from(symbol)].min(0xffff);
        let symbols = &self.symbols[..self.present];
        let all: u32 = symbols.iter().map(|&symbol| count(symbol) * cost(symbol)).sum();
        seed.iter().fold(all, |sum, &symbol| sum.wrapping_sub(cost(symbol)))
    }

    /// What is put before the lanes' last symbols, if these cost what is expected.
    fn of_padding(&self, body: &[u8]) -> u32 {
        if self.least == 0 {
            return 0;
        }
        let pairs = (0..LANES).map(|lane| last_pair(body, lane)).filter(|pair| !pair.is_empty());
        let cost = |pair: &[u8]| pair.iter().map(|&symbol| self.costs[usize::from(symbol)]).sum();
        pairs.map(|pair| self.least.saturating_sub(cost(pair))).sum()
    }
}

/// Words of the room for a segment whose body has so many symbols and costs so much. `skewed` says whether a symbol has a quarter of the
/// table's slots: then what it costs in fact depends on its neighbours.
pub fn room(layout: Layout, skewed: bool, body: usize, body_cost: u32) -> usize {
    let states = 8 * layout.seed + LANES * layout.planes;
    let margin = (body / 32).min(if skewed { layout.skewed_margin } else { layout.margin });
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
    /// As many bytes are too many.
    limit: usize,
    payload: &'a mut Vec<u8>,
}

impl<'a> Appended<'a> {
    /// Behind the head of a payload of fewer than `limit` bytes, at whose front there is space for the sizes of as many segments as there
    /// are `rooms`.
    pub fn new(
        layout: Layout,
        cell_bits: u32,
        rooms: &'a [usize],
        payload: &'a mut Vec<u8>,
        limit: usize,
    ) -> Self {
        let first = payload.len();
        Self { layout, cell_bits, rooms, exact: rooms.len() == 1, number: 0, first, limit, payload }
    }

    /// Whether the rooms already are too many bytes. Then nothing may be appended.
    pub fn is_hopeless(&self) -> bool {
        self.first + self.layout.word * self.rooms.iter().sum::<usize>() >= self.limit
    }

    /// Appends a segment that has no gap. Returns whether there is room for more; if not, the payload has become too large.
    pub fn push(&mut self, segment: &[u8]) -> bool {
        let words = segment.len() / self.layout.word;
        let gap = self.rooms[self.number].checked_sub(words).filter(|&gap| gap <= MOST_LEFT);
        if gap.is_none() && !self.exact {
            self.remove_gaps();
        }
        let gap = gap.filter(|_| !self.exact).unwrap_or(0);
        let (states, stream) =
            segment.split_at(states::written(self.layout, self.cell_bits, segment));
        let begin = self.payload.len();
        self.payload.extend_from_slice(states);
        self.payload[begin + states::gap_place(self.layout)] = gap as u8;
        self.payload.resize(self.payload.len() + gap * self.layout.word, 0);
        self.payload.extend_from_slice(stream);
        self.set_size(self.number, words + gap);
        self.number += 1;
        self.payload.len() < self.limit
    }

    fn size(&self, number: usize) -> usize {
        let size = &self.payload[2 * number..][..2];
        usize::from(u16::from_le_bytes([size[0], size[1]]))
    }

    fn set_size(&mut self, number: usize, words: usize) {
        self.payload[2 * number..][..2].copy_from_slice(&(words as u16).to_le_bytes());
    }

    /// Moves all segments together, without their gaps.
    fn remove_gaps(&mut self) {
        self.exact = true;
        let (mut from, mut to) = (self.first, self.first);
        for number in 0..self.number {
            let words = self.size(number);
            let end = from + words * self.layout.word;
            let gap_place = states::gap_place(self.layout);
            let gap = usize::from(std::mem::take(&mut self.payload[from + gap_place]));
            let states = states::written(self.layout, self.cell_bits, &self.payload[from..end]);
            let stream = from + states + gap * self.layout.word;
            self.payload.copy_within(from..from + states, to);
            self.payload.copy_within(stream..end, to + states);
            to += states + end - stream;
            from = end;
            self.set_size(number, words - gap);
        }
        self.payload.truncate(to);
    }
}
