//! Canonical Huffman codes on one lane, a [`window`](super::window). Codes are kept with their bits reversed, so that a
//! window's low bits begin with the code's first.

use super::{
    decode_table::DecodeTable,
    table::Table,
    window::{Window, WindowCoder},
};
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
    let mut keys = [0_u32; 256];
    let mut n = 0;
    for (symbol, &count) in (0..).zip(counts).filter(|&(_, &count)| count > 0) {
        keys[n] = count << 8 | symbol;
        n += 1;
    }
    let keys = &mut keys[..n];
    assert!(n >= 2 && n <= 1 << limit && limit <= 12, "{n} symbols in at most {limit} bits");
    keys.sort_unstable();
    let mut items = [u32::MAX; ROOM];
    items.iter_mut().zip(&*keys).for_each(|(item, key)| *item = key >> 8);

    // Bit `l` of a place is set if list `l` has an item there.
    let mut is_item = [0_u16; ROOM];
    let mut list = [0_u32; ROOM];
    let mut sums = [u32::MAX; ROOM];
    let mut length = 0;
    for l in 0..limit {
        let pairs = list[..length].as_chunks::<2>().0;
        sums.iter_mut().zip(pairs).for_each(|(sum, pair)| *sum = pair[0] + pair[1]);
        length = n + pairs.len();
        merge((&items, n), (&sums, pairs.len()), &mut list, &mut is_item, l);
    }

    let mut lengths = [0; 256];
    let mut taken = 2 * n - 2;
    for l in (0..limit).rev() {
        let taken_items: u16 = is_item[..taken].iter().map(|lists| lists >> l & 1).sum();
        let taken_items = usize::from(taken_items);
        keys[..taken_items].iter().for_each(|&key| lengths[key as usize & 0xff] += 1);
        taken = 2 * (taken - taken_items);
    }
    lengths
}

/// Room for a list, and for what merging reads and writes past its end.
const ROOM: usize = 516;

/// Merges `n` items and `m` sums, all followed by numbers above them, into list number `l`. In four parts side by side, as
/// each step waits for the one before.
fn merge(
    (items, n): (&[u32; ROOM], usize),
    (sums, m): (&[u32; ROOM], usize),
    list: &mut [u32; ROOM],
    is_item: &mut [u16; ROOM],
    l: u8,
) {
    const PARTS: usize = 4;
    let length = (n + m).div_ceil(PARTS);
    let mut at: [(usize, usize); PARTS] = std::array::from_fn(|part| {
        let place = (part * length).min(n + m);
        // How many of the entries before that place are items.
        let (mut low, mut high) = (place.saturating_sub(m), place.min(n));
        while low < high {
            let item = low.midpoint(high);
            if items[item] <= sums[place - 1 - item] { low = item + 1 } else { high = item }
        }
        (low, place - low)
    });
    for i in 0..length {
        for (part, (item, sum)) in at.iter_mut().enumerate() {
            // No branch: it would be mispredicted often.
            let (a, b) = (items[*item % 512], sums[*sum % 512]);
            let take_item = a <= b;
            list[part * length + i] = a.min(b);
            is_item[part * length + i] |= u16::from(take_item) << l;
            *item += usize::from(take_item);
            *sum += usize::from(!take_item);
        }
    }
}

/// How many codes have each length.
fn length_counts(table: &Table) -> [u16; 13] {
    let log = u32::from(table.log());
    let mut counts = [0; 13];
    table.symbols().for_each(|(_, freq, _)| counts[(log - freq.ilog2()) as usize] += 1);
    counts
}

/// Calls `visit` with each symbol in ascending order, the length of its code, and the code, bits reversed.
pub(crate) fn for_each_code(table: &Table, mut visit: impl FnMut(u8, u32, u32)) {
    let log = u32::from(table.log());
    let length = |freq: u32| log - freq.ilog2();
    let counts = length_counts(table);
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
///
/// Codes of one length after those of another: the slots of the codes up to a length repeat with a period of `2^length`.
pub(super) fn fill_slots(table: &Table, slots: &mut [u32; 4096]) {
    let mut codes = [(0_u32, 0_u32); 256];
    let mut ends = length_counts(table);
    for length in 1..ends.len() {
        ends[length] += ends[length - 1];
    }
    let mut next = [0; 13];
    next[1..].copy_from_slice(&ends[..12]);
    for_each_code(table, |symbol, length, code| {
        let at = &mut next[length as usize];
        codes[usize::from(*at)] = (code, u32::from(symbol) << 24 | length);
        *at += 1;
    });
    for length in 1..=usize::from(table.log()) {
        let period = 1 << (length - 1);
        slots.copy_within(..period, period);
        let own = usize::from(ends[length - 1])..usize::from(ends[length]);
        codes[own].iter().for_each(|&(code, entry)| slots[code as usize % 4096] = entry);
    }
}

/// What the encoder knows of each symbol: its code in the `length` highest bits, and `length` in the 8 lowest.
#[derive(Clone, Debug)]
pub struct EncodeTable {
    pub(super) log: u32,
    pub(super) symbols: [u32; 256],
}

impl EncodeTable {
    /// The encoder's form of `table`.
    pub fn new(table: &Table) -> Self {
        let mut symbols = [0; 256];
        for_each_code(table, |symbol, length, code| {
            symbols[usize::from(symbol)] = code << (32 - length) | length;
        });
        Self { log: table.log().into(), symbols }
    }
}

/// Canonical Huffman codes.
#[derive(Debug)]
pub struct Huffman;

impl WindowCoder for Huffman {
    const CODER: Coder = Coder::Huffman;
    const HAS_CELLS: bool = false;
    type EncodeTable = EncodeTable;

    fn table_log(table: &EncodeTable) -> u32 {
        table.log
    }

    fn encode(table: &EncodeTable, _: &mut u32, symbol: u8) -> (u32, u32) {
        let entry = table.symbols[usize::from(symbol)];
        let length = entry & 0xff;
        (entry >> (32 - length), length)
    }

    fn decode(table: &DecodeTable, lane: &mut Window) -> u8 {
        let slot = table.slot(lane.bits as u32);
        lane.pop(slot & 0xff);
        (slot >> 24) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[u32]) -> [u32; 256] {
        let mut counts = [0; 256];
        counts[..list.len()].copy_from_slice(list);
        counts
    }

    fn cost(counts: &[u32], lengths: &[u8]) -> u64 {
        counts.iter().zip(lengths).map(|(&c, &l)| u64::from(c) * u64::from(l)).sum()
    }

    /// The least cost of any complete code: all ways to give ascending counts descending lengths.
    fn least_cost(ascending: &[u32], most: u8, room: u32, limit: u8) -> u64 {
        let Some((&count, rest)) = ascending.split_first() else {
            return if room == 0 { 0 } else { u64::MAX };
        };
        let costs = (1..=most).filter(|length| 1 << (limit - length) <= room).map(|length| {
            least_cost(rest, length, room - (1 << (limit - length)), limit)
                .saturating_add(u64::from(count) * u64::from(length))
        });
        costs.min().unwrap_or(u64::MAX)
    }

    #[test]
    fn lengths_are_optimal_within_the_limit() {
        let mut random = 1_u64;
        for _ in 0..400 {
            let mut next = |below: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((random >> 33) % below) as u32
            };
            let n = 2 + next(7) as usize;
            let spread = 1 + next(14);
            let mut count = || 1 + next(1 << spread) / (1 + next(1 << spread));
            let mut list: Vec<u32> = (0..n).map(|_| count()).collect();
            list.sort_unstable();
            for limit in (1..=6).filter(|limit| n <= 1 << limit) {
                let lengths = lengths(&counts(&list), limit);
                let space: u32 = lengths[..n].iter().map(|l| 1 << (limit - l)).sum();
                assert_eq!(space, 1 << limit, "{list:?}: {:?} is no complete code", &lengths[..n]);
                let found = cost(&list, &lengths);
                assert_eq!(found, least_cost(&list, limit, 1 << limit, limit), "{list:?}, {limit}");
            }
        }
    }

    #[test]
    fn ties_are_settled_by_symbol_and_for_items() {
        // Of equal counts the later symbol has the shorter code.
        assert_eq!(lengths(&counts(&[5, 5, 5]), 11)[..3], [2, 2, 1]);
        // 1 + 1 against 2: the item goes first, and all codes have two bits instead of 1, 2, 3 and 3.
        assert_eq!(lengths(&counts(&[1, 1, 2, 2]), 11)[..4], [2, 2, 2, 2]);
        // Fibonacci numbers want a comb; the limit flattens it.
        assert_eq!(lengths(&counts(&[1, 1, 2, 3, 5, 8]), 11)[..6], [5, 5, 4, 3, 2, 1]);
        assert_eq!(lengths(&counts(&[1, 1, 2, 3, 5, 8]), 4)[..6], [4, 4, 3, 2, 2, 2]);
        // No limit is too small for 256 symbols but those below 8.
        assert_eq!(lengths(&[7; 256], 8), [8; 256]);
        let mut extreme = [1; 256];
        extreme[9] = (1 << 20) - 255;
        assert_eq!(lengths(&extreme, 12)[9], 1);
    }

    /// RFC 1951, section 3.2.2.
    #[test]
    fn codes_are_canonical() {
        let lengths = [3, 3, 3, 3, 3, 2, 4, 4];
        // Lengths are optimal for counts that are powers of two.
        let table =
            Table::from_counts(&counts(&lengths.map(|length| 16 >> length)), Coder::Huffman, None);
        let mut codes = Vec::new();
        for_each_code(&table, |_, length, code| {
            codes.push((length, code.reverse_bits() >> (32 - length)))
        });
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111];
        assert_eq!(codes, lengths.into_iter().zip(expected).collect::<Vec<_>>());
    }
}
