//! Two tables, of long and of short hashes.

use super::bytes::{common, common_before, hash, load32, load64};
use super::{END, Output, START, levels::with_table_size, stride};

struct Tables<'a, const SIZE: usize> {
    long: &'a mut [u32; SIZE],
    short: &'a mut [u32; SIZE],
}

impl<const SIZE: usize> Tables<'_, SIZE> {
    #[inline(always)]
    fn insert(&mut self, word: u64, at: usize) -> (usize, usize) {
        let log = SIZE.ilog2();
        let long = std::mem::replace(&mut self.long[hash::<8>(word, log)], at as u32);
        let short = std::mem::replace(&mut self.short[hash::<5>(word, log)], at as u32);
        (long as usize, short as usize)
    }

    /// The best match at `at` and its length, 0 if none.
    #[inline(always)]
    fn search(&mut self, raw: &[u8], at: usize, rep: usize) -> (usize, usize) {
        let word = load64(raw, at);
        let (long, short) = self.insert(word, at);
        let (mut length, mut offset) = (0, 0);
        if load32(raw, at - rep) == word as u32 {
            (length, offset) = (4 + common(raw, at - rep + 4, at + 4), rep);
        }
        let from = if load64(raw, long) == word {
            long
        } else if load32(raw, short) == word as u32 {
            short
        } else {
            return (length, offset);
        };
        let other = 4 + common(raw, from + 4, at + 4);
        if offset == 0 || gain(other, at - from) > gain(length, 1) {
            (length, offset) = (other, at - from);
        }
        (length, offset)
    }
}

fn gain(length: usize, offset: usize) -> i32 {
    4 * length as i32 - offset.ilog2() as i32
}

/// Prefers matches of 8 bytes and more to those of 4 and more. The tables are of one size, one of
/// [`levels`](super::levels)'.
pub fn parse(raw: &[u8], long: &mut [u32], short: &mut [u32], nice: usize, out: &mut Output<'_>) {
    with_table_size!(long.len(), SIZE => {
        let long: &mut [u32; SIZE] = long.try_into().expect("its size");
        let short: &mut [u32; SIZE] = short.try_into().expect("the same size");
        parse_with(raw, Tables { long, short }, nice, out);
    });
}

fn parse_with<const SIZE: usize>(
    raw: &[u8],
    mut tables: Tables<'_, SIZE>,
    nice: usize,
    out: &mut Output<'_>,
) {
    let limit = raw.len().saturating_sub(END);
    let [mut rep0, mut rep1] = [1, 4];
    let mut at = START;
    while at < limit {
        let (mut length, mut offset) = tables.search(raw, at, rep0);
        if length == 0 {
            at += stride(at - out.anchor);
            continue;
        }
        let mut start = at;
        while length < nice && at + 1 < limit {
            at += 1;
            let (l, o) = tables.search(raw, at, rep0);
            if l == 0
                || gain(l, if o == rep0 { 1 } else { o })
                    <= gain(length, if offset == rep0 { 1 } else { offset }) + 4
            {
                break;
            }
            (start, length, offset) = (at, l, o);
        }
        let back = if offset == rep0 {
            0
        } else {
            common_before(raw, start - offset, start, start - out.anchor)
        };
        if offset != rep0 {
            (rep0, rep1) = (offset, rep0);
        }
        out.push(start - back, back + length, offset);
        at = start + length;
        if at >= limit {
            break;
        }
        for position in [start + 2, at - 2] {
            tables.insert(load64(raw, position), position);
        }
        while at < limit && load32(raw, at) == load32(raw, at - rep1) {
            let length = 4 + common(raw, at - rep1 + 4, at + 4);
            tables.insert(load64(raw, at), at);
            out.push(at, length, rep1);
            (rep0, rep1) = (rep1, rep0);
            at += length;
        }
    }
}
