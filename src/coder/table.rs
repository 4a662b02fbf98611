//! The coding table of a block: the symbols' frequencies, or the lengths of their codes, and how they are written
//! (`docs/FORMAT.md`, sections 2.1 and 2.2).

use super::{
    bits::{BitReader, BitWriter},
    fse, huffman,
    normalize::normalize,
    rans,
};
use crate::{block::Coder, error::BlockFault};

/// Frequencies of the 256 byte values that add up to `2^log`; at least two are present. Those of a Huffman code are
/// powers of two: a code of `length` bits has the frequency `2^(log - length)`, and the longest code has `log` bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    coder: Coder,
    log: u8,
    freqs: [u16; 256],
}

impl Table {
    /// The longest that [`write`](Self::write) appends, in bytes: 2 and 32 of masks, 256 classes of 4 bits,
    /// and less than 11 bits for every other part of a frequency.
    pub const MAX_BYTES: usize = 2 + 32 + 128 + 352;

    /// The table with which `coder` codes symbols that occur `counts` times, with the forced table log or that of the
    /// coder's rule; either is raised as far as the number of present symbols demands.
    ///
    /// # Panics
    /// If fewer than two symbols occur, if the counts add up to more than 2^20, or if `forced_log` is none of
    /// [`Coder::table_logs`].
    pub fn from_counts(counts: &[u32; 256], coder: Coder, forced_log: Option<u8>) -> Self {
        if let Some(log) = forced_log {
            assert!(coder.table_logs().contains(&log), "table log {log} for {coder:?}");
        }
        let log = forced_log.unwrap_or_else(|| match coder {
            Coder::Rans => rans::choose_log(counts),
            Coder::Fse => fse::choose_log(counts),
            Coder::Huffman => huffman::MAX_LENGTH,
        });
        let log = log.max(least_log(counts));
        match coder {
            Coder::Rans | Coder::Fse => Self { coder, log, freqs: normalize(counts, log) },
            Coder::Huffman => Self::from_lengths(&huffman::lengths(counts, log)),
        }
    }

    /// The table of a Huffman code; symbols of length 0 are absent.
    fn from_lengths(lengths: &[u8; 256]) -> Self {
        let log = *lengths.iter().max().expect("256 of them");
        let freqs = lengths.map(|length| if length == 0 { 0 } else { 1 << (log - length) });
        Self { coder: Coder::Huffman, log, freqs }
    }

    /// A table whose frequencies are known to be valid.
    pub(crate) fn from_freqs(coder: Coder, log: u8, freqs: [u16; 256]) -> Self {
        debug_assert_eq!(freqs.iter().map(|&freq| u32::from(freq)).sum::<u32>(), 1 << log);
        Self { coder, log, freqs }
    }

    /// The coder that the table is for.
    pub fn coder(&self) -> Coder {
        self.coder
    }

    /// The table log, one of [`Coder::table_logs`].
    pub fn log(&self) -> u8 {
        self.log
    }

    /// The frequencies.
    pub fn freqs(&self) -> &[u16; 256] {
        &self.freqs
    }

    /// Present symbols in ascending order, as (symbol, frequency, sum of the frequencies below).
    pub fn symbols(&self) -> impl Iterator<Item = (u8, u32, u32)> {
        let mut cum = 0;
        (0..=255).zip(self.freqs).filter(|&(_, freq)| freq > 0).map(move |(symbol, freq)| {
            cum += u32::from(freq);
            (symbol, u32::from(freq), cum - u32::from(freq))
        })
    }

    /// Appends the table, an even number of bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut masks = [0_u32; 8];
        let mut present = [0; 256];
        let mut n = 0;
        let (mut least, mut most) = (u32::MAX, 0);
        for (symbol, freq, _) in self.symbols() {
            masks[usize::from(symbol) / 32] |= 1 << (symbol % 32);
            least = least.min(freq);
            most = most.max(freq);
            present[n] = freq;
            n += 1;
        }
        let present = &present[..n];
        let base = least.ilog2();
        let width = u32::BITS - (most.ilog2() - base).leading_zeros();
        let groups = (0..8).filter(|&g| masks[g] != 0).fold(0, |bits, g| bits | 1 << g);
        out.extend([groups, (base | width << 4) as u8]);
        masks.iter().filter(|&&mask| mask != 0).for_each(|mask| out.extend(mask.to_le_bytes()));

        let mut bits = BitWriter::new(out);
        present.iter().for_each(|freq| bits.put(freq.ilog2() - base, width));
        if self.coder != Coder::Huffman {
            let rest = |&freq: &u32| bits.put(freq - (1 << freq.ilog2()), freq.ilog2());
            present.iter().for_each(rest);
        }
        bits.finish();
        if (out.len() - start) % 2 == 1 {
            out.push(0);
        }
    }

    /// Reads a table of `coder` with table log `log` from the front of `bytes`; also returns its length in bytes.
    ///
    /// # Errors
    /// [`BlockFault::Table`] if the bytes are no valid table or end inside it.
    pub fn parse(bytes: &[u8], coder: Coder, log: u8) -> Result<(Self, usize), BlockFault> {
        parse(bytes, coder, log).ok_or(BlockFault::Table)
    }
}

/// The least table log with a slot for every present symbol.
pub(super) fn least_log(counts: &[u32; 256]) -> u8 {
    let present = counts.iter().filter(|&&count| count > 0).count();
    present.next_power_of_two().ilog2() as u8
}

fn parse(bytes: &[u8], coder: Coder, log: u8) -> Option<(Table, usize)> {
    if !coder.table_logs().contains(&log) {
        return None;
    }
    let (&[groups, classes], mut rest) = bytes.split_first_chunk()?;
    let (base, width) = (u32::from(classes & 15), u32::from(classes >> 4));
    if base > 11 || width > 4 {
        return None;
    }

    let mut symbols = [0_u8; 256];
    let mut present = 0;
    for group in (0..8).filter(|g| groups >> g & 1 == 1) {
        let (mask, after) = rest.split_first_chunk()?;
        let mask = u32::from_le_bytes(*mask);
        if mask == 0 {
            return None;
        }
        for bit in (0..32).filter(|bit| mask >> bit & 1 == 1) {
            symbols[present] = 32 * group + bit;
            present += 1;
        }
        rest = after;
    }
    let symbols = &symbols[..present];

    let mut bits = BitReader::new(rest);
    let mut freqs = [0_u16; 256];
    let mut least_class = u32::MAX;
    for &symbol in symbols {
        let class = base + bits.take(width)?;
        if class > 11 || class >= u32::from(log) {
            return None;
        }
        least_class = least_class.min(class);
        freqs[usize::from(symbol)] = 1 << class;
    }
    if coder != Coder::Huffman {
        for &symbol in symbols {
            let freq = &mut freqs[usize::from(symbol)];
            *freq += bits.take(freq.ilog2())? as u16;
        }
    } else if least_class > 0 {
        return None;
    }
    let mut rest = bits.finish()?;
    if (bytes.len() - rest.len()) % 2 == 1 {
        let (&pad, after) = rest.split_first()?;
        rest = after;
        if pad != 0 {
            return None;
        }
    }
    let sum: u32 = freqs.iter().map(|&freq| u32::from(freq)).sum();
    let table = Table { coder, log, freqs };
    (present >= 2 && sum == 1 << log).then_some((table, bytes.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(u8, u16)], log: u8) -> Table {
        let mut freqs = [0; 256];
        pairs.iter().for_each(|&(symbol, freq)| freqs[usize::from(symbol)] = freq);
        Table { coder: Coder::Fse, log, freqs }
    }

    fn written(table: &Table) -> Vec<u8> {
        let mut bytes = Vec::new();
        table.write(&mut bytes);
        bytes
    }

    /// Written by hand from the specification.
    #[test]
    fn the_bytes_are_those_of_the_specification() {
        // Classes 7, 6 and 6: base 6, width 1; class bits 1, 0, 0; rests all 0.
        let bytes = written(&table(&[(1, 128), (2, 64), (255, 64)], 8));
        assert_eq!(
            bytes,
            [0x81, 0x16, 0b110, 0, 0, 0, 0, 0, 0, 0x80, 0b001, 0, 0, 0],
            "3 class bits and 7 + 6 + 6 rest bits fill 22 bits: 3 bytes, one of padding"
        );
        // Equal classes: no class bits; 192 = 128 + 64.
        let bytes = written(&table(&[(0, 255), (32, 1)], 8));
        // Base 0, width 3 (classes 7 and 0): bits 111 000, then 1111111.
        assert_eq!(bytes, [0x03, 0x30, 1, 0, 0, 0, 1, 0, 0, 0, 0b1100_0111, 0b0001_1111]);
    }

    #[test]
    fn every_table_comes_back() {
        let data: &[&[u8]] = &[
            include_bytes!("../../tests/data/alice29.txt"),
            include_bytes!("../../tests/data/ecoli.64k"),
            include_bytes!("../../tests/data/helmet_color.bc7.96k"),
            include_bytes!("../../tests/data/levitus_temp.96k"),
            b"ab",
            &[&[0; 4095][..], &[1]].concat(),
        ];
        for raw in data {
            for log in 8..=12 {
                let table = Table::from_counts(
                    &super::super::histogram::histogram(raw),
                    Coder::Fse,
                    Some(log),
                );
                let mut bytes = written(&table);
                let length = bytes.len();
                assert!(length.is_multiple_of(2) && length <= Table::MAX_BYTES);
                bytes.extend([0xff; 3]);
                assert_eq!(Table::parse(&bytes, Coder::Fse, log), Ok((table, length)));
            }
        }
    }

    #[test]
    fn damage_is_refused_or_yields_a_valid_table() {
        let raw = include_bytes!("../../tests/data/alice29.txt");
        let counts = super::super::histogram::histogram(raw);
        for log in 8..=12 {
            let bytes = written(&Table::from_counts(&counts, Coder::Fse, Some(log)));
            for length in 0..bytes.len() {
                assert!(
                    Table::parse(&bytes[..length], Coder::Fse, log).is_err(),
                    "cut to {length}"
                );
            }
            for bit in 0..8 * bytes.len() {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                if let Ok((table, _)) = Table::parse(&bytes, Coder::Fse, log) {
                    assert_eq!(table.symbols().map(|(_, f, _)| f).sum::<u32>(), 1 << log);
                    assert!(table.symbols().count() >= 2);
                }
            }
        }
    }

    #[test]
    fn each_rule_is_checked() {
        let good = written(&table(&[(0, 255), (32, 1)], 8));
        assert!(Table::parse(&good, Coder::Fse, 8).is_ok());
        for (at, value, rule) in [
            (0, 0x00, "no symbols"),
            (0, 0x01, "one symbol"),
            (1, 0x3c, "class base"),
            (1, 0x50, "class width"),
            (2, 0x00, "empty group"),
            (10, 0b1100_1111, "class 8 at table log 8"),
            (11, 0b0011_1111, "padding"),
            (11, 0b0000_1111, "sum"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = value;
            assert_eq!(Table::parse(&bytes, Coder::Fse, 8), Err(BlockFault::Table), "{rule}");
        }
        assert_eq!(Table::parse(&good, Coder::Fse, 7), Err(BlockFault::Table));
        assert_eq!(Table::parse(&good, Coder::Fse, 13), Err(BlockFault::Table));
        let padded = written(&table(&[(1, 128), (2, 64), (255, 64)], 8));
        let mut bytes = padded.clone();
        *bytes.last_mut().unwrap() = 1;
        assert_eq!(Table::parse(&bytes, Coder::Fse, 8), Err(BlockFault::Table), "padding byte");
    }

    fn code(lengths: &[(u8, u8)]) -> Table {
        let mut all = [0; 256];
        lengths.iter().for_each(|&(symbol, length)| all[usize::from(symbol)] = length);
        Table::from_lengths(&all)
    }

    /// Written by hand from the specification.
    #[test]
    fn the_bytes_of_a_code_are_those_of_the_specification() {
        // K = 3: classes 2, 1, 0, 0; base 0, width 2; bits 10 01 00 00 from the low end up.
        let table = code(&[(0, 1), (1, 2), (2, 3), (33, 3)]);
        assert_eq!(
            written(&table),
            [0x03, 0x20, 0b111, 0, 0, 0, 0b10, 0, 0, 0, 0b0000_0110, 0],
            "a byte of classes, one of padding"
        );
        // All codes alike: no bits.
        assert_eq!(written(&code(&[(0, 1), (255, 1)])), [0x81, 0, 1, 0, 0, 0, 0, 0, 0, 0x80]);
    }

    #[test]
    fn each_rule_of_codes_is_checked() {
        let good = written(&code(&[(0, 1), (1, 2), (2, 3), (33, 3)]));
        let parse = |bytes: &[u8], log| Table::parse(bytes, Coder::Huffman, log);
        assert!(parse(&good, 3).is_ok());
        for (at, value, rule) in [
            (1, 0x21, "no longest code"),
            (2, 0b1111, "five codes: the bits end early or the sum is too large"),
            (10, 0b0000_0101, "sum"),
            (10, 0b0000_0111, "class 3 at table log 3"),
            (10, 0b0001_0110, "sum too large"),
            (11, 1, "padding byte"),
        ] {
            let mut bytes = good.clone();
            bytes[at] = value;
            assert_eq!(parse(&bytes, 3), Err(BlockFault::Table), "{rule}");
        }
        for log in [0, 2, 4, 13] {
            assert_eq!(parse(&good, log), Err(BlockFault::Table), "table log {log}");
        }
        // Two symbols of class 1 at table log 2 are a complete code, but its longest has one bit.
        assert_eq!(parse(&[1, 1, 0b11, 0, 0, 0], 2), Err(BlockFault::Table));
        assert!(parse(&[1, 0, 0b11, 0, 0, 0], 1).is_ok());
        assert_eq!(Table::parse(&[1, 0, 0b11, 0, 0, 0], Coder::Fse, 1), Err(BlockFault::Table));
    }

    #[test]
    fn forced_logs_are_raised_to_hold_all_symbols() {
        let mut counts = [0; 256];
        counts[..100].fill(3);
        for (coder, forced, log) in [
            (Coder::Fse, 5, 7),
            (Coder::Fse, 8, 8),
            (Coder::Huffman, 1, 7),
            (Coder::Huffman, 12, 7),
            (Coder::Rans, 8, 8),
        ] {
            let table = Table::from_counts(&counts, coder, Some(forced));
            assert_eq!(table.log(), log, "{coder:?}, forced {forced}");
            assert_eq!(Table::parse(&written(&table), coder, log).unwrap().0, table);
        }
    }
}
