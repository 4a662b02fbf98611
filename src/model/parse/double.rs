//! Two tables, of long and of short hashes.

use super::bytes::{common, common_before, hash, load32, load64};
use super::{END, Output, START, stride};

/// Prefers matches of 8 bytes and more to those of 4 and more.
pub fn parse(raw: &[u8], long: &mut [u32], short: &mut [u32], out: &mut Output<'_>) {
    let (long_log, short_log) = (long.len().ilog2(), short.len().ilog2());
    let limit = raw.len().saturating_sub(END);
    let [mut rep0, mut rep1] = [1, 4];
    let mut at = START;
    while at < limit {
        let word = load64(raw, at);
        let next = load64(raw, at + 1);
        let long_from = std::mem::replace(&mut long[hash::<8>(word, long_log)], at as u32) as usize;
        let short_from =
            std::mem::replace(&mut short[hash::<5>(word, short_log)], at as u32) as usize;
        let (start, from) = if load32(raw, at + 1 - rep0) == next as u32 {
            (at + 1, at + 1 - rep0)
        } else if load64(raw, long_from) == word {
            (at, long_from)
        } else if load32(raw, short_from) == word as u32 {
            let slot = &mut long[hash::<8>(next, long_log)];
            let next_from = std::mem::replace(slot, at as u32 + 1) as usize;
            if load64(raw, next_from) == next { (at + 1, next_from) } else { (at, short_from) }
        } else {
            at += stride(at - out.anchor);
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
        for position in [start + 2, at - 2] {
            let word = load64(raw, position);
            long[hash::<8>(word, long_log)] = position as u32;
            short[hash::<5>(word, short_log)] = position as u32;
        }
        while at < limit && load32(raw, at) == load32(raw, at - rep1) {
            let word = load64(raw, at);
            long[hash::<8>(word, long_log)] = at as u32;
            short[hash::<5>(word, short_log)] = at as u32;
            let length = 4 + common(raw, at - rep1 + 4, at + 4);
            out.push(at, length, rep1);
            (rep0, rep1) = (rep1, rep0);
            at += length;
        }
    }
}
