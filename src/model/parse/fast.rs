//! One probe of one table per position, after the fast strategy of LZ4 and Zstandard (RFC 8878 describes the format
//! it serves, not the search).

use super::bytes::{common, common_before, hash, load32, load64};
use super::{END, Output, START, levels::with_table_size};

/// Matches of at least 4 bytes whose first `BYTES` bytes share a hash. The size of the table is one of
/// [`levels`](super::levels)'.
pub fn parse<const BYTES: u32>(raw: &[u8], table: &mut [u32], out: &mut Output<'_>) {
    with_table_size!(table.len(), SIZE => {
        let table: &mut [u32; SIZE] = table.try_into().expect("its size");
        parse_with::<BYTES, SIZE>(raw, table, out);
    });
}

fn parse_with<const BYTES: u32, const SIZE: usize>(
    raw: &[u8],
    table: &mut [u32; SIZE],
    out: &mut Output<'_>,
) {
    let log = SIZE.ilog2();
    let limit = raw.len().saturating_sub(END);
    let [mut rep0, mut rep1] = [1, 4];
    let mut at = START;
    while at < limit {
        let (first, second) = (load64(raw, at), load64(raw, at + 1));
        let (slot0, slot1) = (hash::<BYTES>(first, log), hash::<BYTES>(second, log));
        let from0 = std::mem::replace(&mut table[slot0], at as u32) as usize;
        let from1 = std::mem::replace(&mut table[slot1], at as u32 + 1) as usize;
        let (start, from) = if load32(raw, at + 1 - rep0) == second as u32 {
            (at + 1, at + 1 - rep0)
        } else if load32(raw, from0) == first as u32 {
            (at, from0)
        } else if load32(raw, from1) == second as u32 {
            (at + 1, from1)
        } else {
            // In greater strides than other levels: what is found late is worth less than the time.
            at += 2 + ((at - out.anchor) >> 6).min(127);
            continue;
        };
        let back = common_before(raw, from, start, start - out.anchor);
        let length = 4 + common(raw, from + 4, start + 4);
        let offset = start - from;
        if offset != rep0 {
            (rep0, rep1) = (offset, rep0);
        }
        out.push(start - back, back + length, offset);
        at = start + length;
        if at >= limit {
            break;
        }
        table[hash::<BYTES>(load64(raw, start + 2), log)] = start as u32 + 2;
        table[hash::<BYTES>(load64(raw, at - 2), log)] = at as u32 - 2;
        // No literal between: the last offset but one is the cheapest.
        while at < limit && load32(raw, at) == load32(raw, at - rep1) {
            let length = 4 + common(raw, at - rep1 + 4, at + 4);
            table[hash::<BYTES>(load64(raw, at), log)] = at as u32;
            out.push(at, length, rep1);
            (rep0, rep1) = (rep1, rep0);
            at += length;
        }
    }
}
