//! Canonical Huffman codes on one lane: rANS's states with the division replaced by a shift. Codes are kept with their
//! bits reversed, so that a state's low bits begin with the code's first.

use super::{decode_table::DecodeTable, lanes::STATE_MIN, scalar::LaneCoder, table::Table};
use crate::block::Coder;

/// The longest code when nothing forces another.
pub const MAX_LENGTH: u8 = 11;

/// Lengths of the best prefix code of at most `limit` bits for symbols that occur `counts` times; 0 for those that do
/// not occur.
///
/// This is the package-merge algorithm (Larmore and Hirschberg, "A fast algorithm for optimal length-limited Huffman
/// codes", 1990) with definite ties, so that kernels find the same lengths. The *items* are the symbols in ascending order of
/// count, equal ones by symbol. The first list is the items; each of the `limit - 1` others merges the items with the sums
/// of the last list's pairs (an odd last entry is dropped), an item before a sum that equals it. Of the last list the
/// first `2 n - 2` entries are taken, of each list before twice as many as sums were taken. An item's code is as long as
/// the number of lists in which it was taken; these are the first items of each list.
///
/// # Panics
/// If fewer than two symbols occur, more than `2^limit`, or `limit` is above 12, or the counts add up to more than 2^20.
pub fn lengths(counts: &[u32; 256], limit: u8) -> [u8; 256] {
    let mut items = [0_u32; 256];
    let mut n = 0;
    for (symbol, &count) in (0..).zip(counts).filter(|&(_, &count)| count > 0) {
        items[n] = count << 8 | symbol;
        n += 1;
    }
    let items = &mut items[..n];
    assert!(n >= 2 && n <= 1 << limit && limit <= 12, "{n} symbols in at most {limit} bits");
    items.sort_unstable();

    // Bit `l` of a place is set if list `l` has an item there.
    let mut is_item = [0_u16; 512];
    let mut list = [0_u32; 512];
    let mut length = 0;
    for l in 0..limit {
        let mut merged = [0_u32; 512];
        let sums = length / 2;
        let (mut item, mut sum) = (0, 0);
        for place in 0..n + sums {
            let next_sum = if sum < sums { list[2 * sum] + list[2 * sum + 1] } else { u32::MAX };
            let take_item = item < n && items[item] >> 8 <= next_sum;
            merged[place] = if take_item { items[item] >> 8 } else { next_sum };
            is_item[place] |= u16::from(take_item) << l;
            item += usize::from(take_item);
            sum += usize::from(!take_item);
        }
        length = n + sums;
        list = merged;
    }

    let mut lengths = [0; 256];
    let mut taken = 2 * n - 2;
    for l in (0..limit).rev() {
        let taken_items = is_item[..taken].iter().filter(|&&lists| lists >> l & 1 == 1).count();
        items[..taken_items].iter().for_each(|&item| lengths[item as usize & 0xff] += 1);
        taken = 2 * (taken - taken_items);
    }
    lengths
}

/// Calls `visit` with each symbol in ascending order, the length of its code, and the code, bits reversed.
pub(crate) fn for_each_code(table: &Table, mut visit: impl FnMut(u8, u32, u32)) {
    let log = u32::from(table.log());
    let length = |freq: u32| log - freq.ilog2();
    let mut counts = [0; 13];
    table.symbols().for_each(|(_, freq, _)| counts[length(freq) as usize] += 1);
    // The first code of each length.
    let mut next = [0_u16; 13];
    for length in 1..13 {
        next[length] = (next[length - 1] + counts[length - 1]) << 1;
    }
    for (symbol, freq, _) in table.symbols() {
        let length = length(freq);
        let code = &mut next[length as usize];
        visit(symbol, length, u32::from(code.reverse_bits() >> (16 - length)));
        *code += 1;
    }
}

/// Fills the decoder's slots: `symbol:8 | 0:16 | length:8`.
pub(super) fn fill_slots(table: &Table, slots: &mut [u32]) {
    for_each_code(table, |symbol, length, code| {
        let entry = u32::from(symbol) << 24 | length;
        slots[code as usize..].iter_mut().step_by(1 << length).for_each(|slot| *slot = entry);
    });
}

/// What the encoder knows of each symbol: `code:24 | length:8`.
#[derive(Clone, Debug)]
pub struct EncodeTable {
    pub(super) symbols: [u32; 256],
}

impl EncodeTable {
    /// The encoder's form of `table`.
    pub fn new(table: &Table) -> Self {
        let mut symbols = [0; 256];
        for_each_code(table, |symbol, length, code| {
            symbols[usize::from(symbol)] = code << 8 | length;
        });
        Self { symbols }
    }
}

/// Canonical Huffman codes.
#[derive(Debug)]
pub struct Huffman;

impl LaneCoder for Huffman {
    const CODER: Coder = Coder::Huffman;
    type EncodeTable = EncodeTable;

    fn encode(table: &EncodeTable, mut x: u32, symbol: u8) -> (u32, Option<u16>) {
        let entry = table.symbols[usize::from(symbol)];
        let (code, length) = (entry >> 8, entry & 0xff);
        let mut word = None;
        if x >> (32 - length) != 0 {
            word = Some(x as u16);
            x >>= 16;
        }
        (x << length | code, word)
    }

    fn decode(
        table: &DecodeTable,
        x: u32,
        word: impl FnOnce() -> Option<u16>,
    ) -> Option<(u8, u32)> {
        let slot = table.slot(x);
        let mut x = x >> (slot & 0xff);
        if x < STATE_MIN {
            x = x << 16 | u32::from(word()?);
        }
        Some(((slot >> 24) as u8, x))
    }
}
