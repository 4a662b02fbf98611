//! FSE and Huffman on lanes that hold a window of up to 64 bits, refilled with words of 32 bits at most once for each
//! pair of symbols (`docs/FORMAT.md`, section 2.5).

use super::{
    decode_table::DecodeTable,
    lanes::{LANES, STEPS, last_pair},
    scalar::{LaneCoder, padded, unpad},
    states::State,
};
use crate::block::Coder;

/// A lane. Bits are popped from the low end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// The bits, zeros above them.
    pub bits: u64,
    /// How many there are, at most [`CAPACITY`].
    pub count: u32,
    /// FSE's cell, a decoder's as [`WindowCoder::decoder_cell`] says, an encoder's with its bits reversed at the top; else 0.
    pub cell: u32,
}

/// The most bits of a lane. An encoder that would exceed it emits a word; so a decoder that has room for a word takes one.
pub const CAPACITY: u32 = 64;
/// Bits of a lane's part of the seed.
const SEED_BITS: u32 = 32;

impl Window {
    /// Removes the `count` lowest bits, at most 24.
    pub fn pop(&mut self, count: u32) -> u32 {
        let popped = self.bits & ((1 << count) - 1);
        self.bits >>= count;
        self.count -= count;
        popped as u32
    }

    /// Undoes [`pop`](Self::pop).
    pub fn push(&mut self, value: u32, count: u32) {
        self.bits = self.bits << count | u64::from(value);
        self.count += count;
    }

    /// Puts a word above the bits, at most 32.
    pub fn refill(&mut self, word: u32) {
        self.bits |= u64::from(word) << self.count;
        self.count += u32::BITS;
    }

    /// Undoes [`refill`](Self::refill).
    pub fn emit(&mut self) -> u32 {
        self.count -= u32::BITS;
        let word = self.bits >> self.count;
        self.bits &= (1 << self.count) - 1;
        word as u32
    }
}

/// 32 windows as vector registers hold them, the two halves of their bits apart.
///
/// A decoder has the bits at the top of 64, so that a word goes into the upper half alone. An encoder has them at the
/// bottom, with any bits above, and the cell counted from `2^K` on and with its bits reversed at the top.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Halves {
    pub low: [u32; LANES],
    pub high: [u32; LANES],
    /// In the 7 lowest bits, how many bits are wanting to 64.
    pub room: [u32; LANES],
    /// An encoder's in the `K` lowest bits.
    pub cell: [u32; LANES],
}

impl Halves {
    /// Those of a decoder.
    pub fn of_decoder(lanes: &[Window; LANES]) -> Self {
        Self::of(lanes, |lane| lane.bits.unbounded_shl(CAPACITY - lane.count), |cell| cell)
    }

    /// Those of an encoder.
    pub fn of_encoder(lanes: &[Window; LANES], table_log: u32) -> Self {
        Self::of(lanes, |lane| lane.bits, |cell| cell | 1 << table_log)
    }

    fn of(
        lanes: &[Window; LANES],
        bits: impl Fn(&Window) -> u64,
        cell: impl Fn(u32) -> u32,
    ) -> Self {
        Self {
            low: lanes.each_ref().map(|lane| bits(lane) as u32),
            high: lanes.each_ref().map(|lane| (bits(lane) >> 32) as u32),
            room: lanes.each_ref().map(|lane| CAPACITY - lane.count),
            cell: lanes.each_ref().map(|lane| cell(lane.cell)),
        }
    }

    /// The lanes of a decoder.
    pub fn to_decoder(self, table_log: u32) -> [Window; LANES] {
        self.to(table_log, |bits, room| bits.unbounded_shr(room))
    }

    /// The lanes of an encoder.
    pub fn to_encoder(self, table_log: u32) -> [Window; LANES] {
        let lanes = self.to(table_log, |bits, room| bits & u64::MAX.unbounded_shr(room));
        lanes.map(|lane| Window { cell: both_ways(lane.cell), ..lane })
    }

    fn to(self, table_log: u32, clean: impl Fn(u64, u32) -> u64) -> [Window; LANES] {
        std::array::from_fn(|i| {
            let room = self.room[i] % 128;
            let bits = u64::from(self.high[i]) << 32 | u64::from(self.low[i]);
            let cell = self.cell[i] & ((1 << table_log) - 1);
            Window { bits: clean(bits, room), count: CAPACITY.wrapping_sub(room), cell }
        })
    }
}

/// A cell of an encoder, at most 12 bits, with its bits reversed at the top.
fn both_ways(cell: u32) -> u32 {
    cell | cell.reverse_bits()
}

/// A coder whose lanes are windows.
pub trait WindowCoder {
    /// The coder's name.
    const CODER: Coder;
    /// Whether lanes have cells.
    const HAS_CELLS: bool;

    /// What the encoder knows of the symbols.
    type EncodeTable;

    /// The lane from which an encoder starts, and where the decoder ends, with its part of the seed. `pair` is what is encoded first, at
    /// most two symbols.
    fn seeded(_: &Self::EncodeTable, seed: u32, _pair: &[u8]) -> Window {
        Window { bits: seed.into(), count: SEED_BITS, cell: 0 }
    }

    /// The seed of a decoder's last lane.
    fn seed_of(_table_log: u32, lane: &Window) -> u32 {
        lane.bits as u32
    }

    /// Whether FORMAT.md has a lane end like this, which encoders then need not have started from.
    fn is_final(_table_log: u32, lane: &Window) -> bool {
        lane.count == SEED_BITS
    }

    /// The table log of an encoder's table.
    fn table_log(table: &Self::EncodeTable) -> u32;

    /// Encodes a symbol: its bits, the one popped first lowest, and how many (at most 12).
    fn encode(table: &Self::EncodeTable, cell: &mut u32, symbol: u8) -> (u32, u32);

    /// A cell as a decoder has it.
    fn decoder_cell(_table_log: u32, cell: u32) -> u32 {
        cell
    }

    /// Decodes a symbol.
    fn decode(table: &DecodeTable, lane: &mut Window) -> u8;
}

/// An encoder ends with fewer bits in each lane than this.
const fn limit<C: WindowCoder>() -> u32 {
    C::LAYOUT.least + u32::BITS
}

/// The pairs of a tile, first to last, as (lane, its first symbol's place in the tile).
fn pairs() -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..2 * LANES).map(|i| (i % LANES, i % LANES * STEPS + i / LANES * 2))
}

impl<C: WindowCoder> LaneCoder for C {
    const CODER: Coder = C::CODER;
    type EncodeTable = C::EncodeTable;
    type Lane = Window;

    fn seeded(table: &Self::EncodeTable, body: &[u8], seed: &[u8]) -> [Window; LANES] {
        let seeds = padded(seed).map(u32::from_le_bytes);
        std::array::from_fn(|lane| C::seeded(table, seeds[lane], last_pair(body, lane)))
    }

    fn encode_tile(
        table: &Self::EncodeTable,
        lanes: &mut [Window; LANES],
        tile: &[u8],
        mut emit: impl FnMut(u32),
    ) {
        for (lane, place) in pairs().rev().filter(|&(_, place)| place < tile.len()) {
            let lane = &mut lanes[lane];
            let (mut bits, mut count) = (0, 0);
            for &symbol in tile[place..].iter().take(2).rev() {
                let (own_bits, own_count) = C::encode(table, &mut lane.cell, symbol);
                bits = bits << own_count | own_bits;
                count += own_count;
            }
            if lane.count + count > CAPACITY {
                emit(lane.emit());
            }
            lane.push(bits, count);
        }
    }

    fn log_of(table: &Self::EncodeTable) -> u32 {
        C::table_log(table)
    }

    fn finish(lanes: &mut [Window; LANES], mut emit: impl FnMut(u32)) {
        for lane in lanes.iter_mut().rev().filter(|lane| lane.count >= limit::<C>()) {
            emit(lane.emit());
        }
    }

    fn cell_bits(table_log: u32) -> u32 {
        if C::HAS_CELLS { table_log } else { 0 }
    }

    fn state(table_log: u32, lane: Window) -> State {
        let cell_bits = C::cell_bits(table_log);
        let cell = u64::from(lane.cell) & ((1 << cell_bits) - 1);
        let bits = lane.bits | cell << lane.count;
        State { length: lane.count, bits, count: lane.count + cell_bits }
    }

    fn initial(table_log: u32, state: State) -> Window {
        let cell = C::decoder_cell(table_log, (state.bits >> state.length) as u32);
        Window { bits: state.bits & ((1 << state.length) - 1), count: state.length, cell }
    }

    fn decode_tile(
        table: &DecodeTable,
        lanes: &mut [Window; LANES],
        tile: &mut [u8],
        mut word: impl FnMut() -> Option<u32>,
    ) -> Option<()> {
        let length = tile.len();
        for (lane, place) in pairs().filter(|&(_, place)| place < length) {
            let lane = &mut lanes[lane];
            if lane.count + u32::BITS <= CAPACITY {
                lane.refill(word()?);
            }
            for symbol in tile[place..].iter_mut().take(2) {
                *symbol = C::decode(table, lane);
            }
        }
        Some(())
    }

    fn take_seed(table_log: u32, lanes: &[Window; LANES], seed: &mut [u8]) -> bool {
        let seeds = lanes.each_ref().map(|lane| C::seed_of(table_log, lane).to_le_bytes());
        unpad(&seeds, seed) && lanes.iter().all(|lane| C::is_final(table_log, lane))
    }
}
