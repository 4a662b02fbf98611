//! FSE on one lane: tabled asymmetric numeral systems (Duda, arXiv:1311.2540) on a
//! [`window`](super::window).

use super::{
    decode_table::DecodeTable,
    table::{Table, least_log},
    window::{Window, WindowCoder},
};
use crate::block::Coder;

/// The largest table log that nothing forces. (256 symbols need one of 9.)
pub const MOST_LOG: u8 = 11;

/// The table log when nothing forces one (`docs/DECISIONS.md`).
pub fn choose_log(counts: &[u32; 256]) -> u8 {
    let total: u32 = counts.iter().sum();
    let worth = (total.ilog2() as u8).saturating_sub(2);
    worth.min(MOST_LOG).max(least_log(counts) + 1).max(5)
}

/// The numbers below 4096, each with its 12 bits reversed.
static REVERSED: [u16; 4096] = {
    let mut reversed = [0; 4096];
    let mut number = 0_u16;
    while number < 4096 {
        reversed[number as usize] = number.reverse_bits() >> 4;
        number += 1;
    }
    reversed
};

/// How many of a cell's highest bits, which are the lowest of its slot, reversed, decide first which of its symbol's cells it is.
const CLASS_LOG: u32 = 4;

/// Calls `visit` with each slot, its symbol `s`, and `f(s) + i` for the `i`-th cell of `s`: in the order of their highest [`CLASS_LOG`] bits, then
/// in that of their slots.
///
/// A cell is its slot with the `K` bits reversed, and slots belong to symbols by ranges: so the cells of a symbol are nearly evenly spread (van der
/// Corput's sequence), and which of them a cell is follows from the range alone, which is how kernels find it. The lower half is
/// visited upwards, the upper half downwards, in turns: each cell of a symbol waits for its last one.
fn for_each_slot(table: &Table, mut visit: impl FnMut(u32, u8, u32)) {
    let size = 1_u32 << table.log();
    let mut symbols = [0; 4096];
    let (mut up, mut down) = ([0_u16; 256], [0_u16; 256]);
    for (symbol, freq, cum) in table.symbols() {
        symbols[cum as usize..(cum + freq) as usize].fill(symbol);
        up[usize::from(symbol)] = freq as u16;
        down[usize::from(symbol)] = 2 * freq as u16 - 1;
    }
    for class in 0..1 << (CLASS_LOG - 1) {
        for slot in (reversed(class, CLASS_LOG)..size).step_by(1 << CLASS_LOG) {
            let symbol = symbols[slot as usize % 4096];
            let y = &mut up[usize::from(symbol)];
            visit(slot, symbol, u32::from(*y));
            *y += 1;
            let slot = size - 1 - slot;
            let symbol = symbols[slot as usize % 4096];
            let y = &mut down[usize::from(symbol)];
            visit(slot, symbol, u32::from(*y));
            *y -= 1;
        }
    }
}

/// Fills the decoder's cells, each at its slot: `symbol:8 | y':12 | 0:4 | bits:8`, with `y'` the bits
/// of `y` without the highest, reversed, at the top of the 12.
///
/// A window has a symbol's bits highest first. So bits shifted into `y'` from above yield the next cell, reversed.
pub(super) fn fill_slots(table: &Table, slots: &mut [u32; 4096]) {
    let log = u32::from(table.log());
    for_each_slot(table, |slot, symbol, y| {
        let rest = (y ^ 1 << y.ilog2()).reverse_bits() >> 8;
        slots[slot as usize % 4096] = u32::from(symbol) << 24 | rest | (log - y.ilog2());
    });
}

/// The low `count` bits of a value, reversed.
fn reversed(value: u32, count: u32) -> u32 {
    (u64::from(value.reverse_bits()) >> (u32::BITS - count)) as u32
}

/// What a decoder's window holds at least once it has seen whether it needs a word; so what an encoder's holds with its first symbols.
const REFILLED: u32 = u32::BITS + 1;

/// Where the number of a symbol's bits lies in the sum of its entry and a cell.
pub(super) const BITS_AT: u32 = 13;
/// Where the place of a symbol's first cell lies in its entry.
pub(super) const FIRST_AT: u32 = 20;

/// What the encoder knows: for each symbol an entry `(cum - freq) mod 4096:12 | 0:3 | bits * 2^13 - freq * 2^bits:17`, and each
/// symbol's cells in their order, those of `s` from number `cum(s)` on, counted from `2^K` on, with the cell's bits reversed
/// at the top.
///
/// In cell `t`, counted so, a symbol pushes the low `bits` of `t`, the highest of them lowest, or one less where `t < freq * 2^bits`, as the rest would
/// be below `freq` then: it is a number in `freq..2 * freq`, which says which of the symbol's cells comes next. The
/// entry's lowest part and `t` add up to the number of bits pushed, in units of 2^13 (as in the FSE of Y. Collet).
#[derive(Clone, Debug)]
pub struct EncodeTable {
    pub(super) log: u32,
    pub(super) symbols: [u32; 256],
    pub(super) cells: Box<[u32; 4096]>,
}

impl EncodeTable {
    /// Room for any table; it holds none yet.
    #[expect(clippy::new_without_default, reason = "an empty table is of no use")]
    pub fn new() -> Self {
        Self { log: 0, symbols: [0; 256], cells: Box::new([0; 4096]) }
    }

    /// Makes this the encoder's form of `table`, without an allocation.
    pub fn fill(&mut self, table: &Table) {
        self.log = table.log().into();
        for (symbol, freq, cum) in table.symbols() {
            let (first, bits) = (cum.wrapping_sub(freq) & 0xfff, self.log - freq.ilog2());
            self.symbols[usize::from(symbol)] =
                first << FIRST_AT | ((bits << BITS_AT) - (freq << bits));
        }
        for_each_slot(table, |slot, symbol, y| {
            let first = self.symbols[usize::from(symbol)] >> FIRST_AT;
            let reversed = slot << (u32::BITS - self.log);
            let cell = u32::from(REVERSED[slot as usize % 4096] >> (12 - self.log));
            self.cells[(first + y) as usize % 4096] = reversed | 1 << self.log | cell;
        });
    }
}

/// FSE.
#[derive(Debug)]
pub struct Fse;

impl WindowCoder for Fse {
    const CODER: Coder = Coder::Fse;
    const HAS_CELLS: bool = true;
    type EncodeTable = EncodeTable;

    /// The cell holds the seed's highest bits and the window the others: with the first symbols 33 bits or more, as with fewer the
    /// decoder would take a word that nobody emitted.
    fn seeded(table: &EncodeTable, seed: u32, pair: &[u8]) -> Window {
        let bits = seed & (u32::MAX >> table.log);
        // The low bits of the reversed seed, and at the top these reversed again.
        let low = u32::from(REVERSED[(seed >> 20) as usize]) & ((1 << table.log) - 1);
        let cell = seed ^ bits | low;
        let mut ahead = cell;
        let pushed: u32 = pair.iter().rev().map(|&s| Self::encode(table, &mut ahead, s).1).sum();
        // A lane without symbols takes no word.
        let padded = if pair.is_empty() { 0 } else { REFILLED - pushed };
        let count = padded.max(u32::BITS - table.log);
        Window { bits: bits.into(), count, cell }
    }

    fn seed_of(table_log: u32, lane: &Window) -> u32 {
        lane.cell << (u32::BITS - table_log) | lane.bits as u32
    }

    fn is_final(table_log: u32, lane: &Window) -> bool {
        let own = u32::BITS - table_log;
        (own..=REFILLED).contains(&lane.count) && lane.bits >> own == 0
    }

    fn table_log(table: &EncodeTable) -> u32 {
        table.log
    }

    fn encode(table: &EncodeTable, cell: &mut u32, symbol: u8) -> (u32, u32) {
        let t = *cell & 0xfff | 1 << table.log;
        let entry = table.symbols[usize::from(symbol)];
        let bits = (entry + t) >> BITS_AT & 0xf;
        let next = table.cells[((entry >> FIRST_AT) + (t >> bits)) as usize % 4096];
        let own = (u64::from(*cell) >> (u32::BITS - bits)) as u32;
        *cell = next ^ 1 << table.log;
        (own, bits)
    }

    fn decoder_cell(table_log: u32, cell: u32) -> u32 {
        reversed(cell, table_log)
    }

    fn decode(table: &DecodeTable, lane: &mut Window) -> u8 {
        let slot = table.slot(lane.cell);
        let bits = slot & 0xff;
        let next = lane.bits << u32::BITS | u64::from(slot << 8);
        lane.cell = (next >> bits) as u32 >> (u32::BITS - table.log);
        lane.bits >>= bits;
        lane.count -= bits;
        (slot >> 24) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells filled slot by slot, as the specification says.
    #[test]
    fn cells_are_those_of_the_specification() {
        let raw = include_bytes!("../../tests/data/alice29.txt");
        let counts = crate::coder::histogram::histogram(&raw[..3000]);
        for log in 7..=12 {
            let table = Table::from_counts(&counts, Coder::Fse, Some(log));
            let size = 1_usize << log;
            let mut symbols = vec![0; size];
            let mut slot = 0_usize;
            for (symbol, freq, _) in table.symbols() {
                for _ in 0..freq {
                    let cell = (0..log).fold(0, |cell, bit| cell << 1 | slot >> bit & 1);
                    symbols[cell] = symbol;
                    slot += 1;
                }
            }
            assert_eq!(slot, size, "every cell is filled once");
            let mut cells = Vec::new();
            for_each_slot(&table, |slot, symbol, y| {
                cells.push((slot.reverse_bits() as usize >> (32 - log), symbol, y));
            });
            cells.sort_unstable();
            let mut next = table.freqs().map(u32::from);
            let mut expected = Vec::new();
            for class in 0..16 {
                let mut class: Vec<_> = (class * size / 16..(class + 1) * size / 16).collect();
                class.sort_unstable_by_key(|cell| cell.reverse_bits());
                for cell in class {
                    let y = &mut next[usize::from(symbols[cell])];
                    expected.push((cell, symbols[cell], *y));
                    *y += 1;
                }
            }
            expected.sort_unstable();
            assert_eq!(cells, expected, "table log {log}");
        }
    }

    /// A lane that an encoder starts from holds its seed and, with what it encodes first, 33 bits or more; what no encoder starts from is told.
    #[test]
    fn final_lanes_hold_their_seeds() {
        let raw = include_bytes!("../../tests/data/alice29.txt");
        let skewed: Vec<u8> = raw[..3000].iter().map(|&byte| u8::from(byte == b'\n')).collect();
        for (raw, log) in [(&raw[..3000], 8), (&raw[..3000], 12), (&skewed, 5), (&skewed, 11)] {
            let counts = crate::coder::histogram::histogram(raw);
            let mut table = EncodeTable::new();
            table.fill(&Table::from_counts(&counts, Coder::Fse, Some(log)));
            let log = u32::from(log);
            let mut padded = 0;
            for (number, pair) in (0_u32..).zip(raw.chunks(2).chain([&[][..], &raw[..1]])) {
                let seed = number.wrapping_mul(0x9e37_79b9);
                let lane = Fse::seeded(&table, seed, pair);
                let mut cell = lane.cell;
                let pushed: u32 =
                    pair.iter().rev().map(|&s| Fse::encode(&table, &mut cell, s).1).sum();
                let own = 32 - log;
                let expected = if pair.is_empty() { own } else { own.max(33 - pushed) };
                assert_eq!(lane.count, expected);
                padded += u32::from(lane.count > own);
                let cell = Fse::decoder_cell(log, lane.cell & ((1 << log) - 1));
                let last = Window { cell, ..lane };
                assert!(Fse::is_final(log, &last) && Fse::seed_of(log, &last) == seed);
                for (bits, count) in [
                    (lane.bits, own - 1),
                    (lane.bits, 34),
                    (lane.bits, lane.count.wrapping_neg()),
                    (lane.bits | 1 << own, lane.count),
                    (lane.bits | 1 << 32, 33),
                ] {
                    assert!(!Fse::is_final(log, &Window { bits, count, ..last }), "{count}");
                }
            }
            assert!(padded > 10, "{padded} lanes of log {log} had zeros before their symbols");
        }
    }

    #[test]
    fn the_table_log_follows_size_and_symbols() {
        let log = |present: usize, count: u32| {
            let mut counts = [0; 256];
            counts[..present].fill(count);
            choose_log(&counts)
        };
        assert_eq!(log(2, 1), 5);
        assert_eq!(log(2, 500), 7);
        assert_eq!(log(2, 100_000), 11);
        assert_eq!(log(100, 5), 8, "a slot to spare for each symbol");
        assert_eq!(log(256, 2), 9);
        let mut counts = [1; 256];
        counts[0] = 100_000;
        assert_eq!(choose_log(&counts), 11, "many rare symbols, too");
    }
}
