//! The best of several matches, unless a later position has a better one.

use super::bytes::{common, common_before, load32};
use super::finder::{Finder, Found};
use super::levels::Level;
use super::rows::Match;
use super::{END, Output, START, stride};

/// What a match is worth: the bytes it covers less what its offset costs, in quarter bytes.
#[inline(always)]
fn gain(found: Match, rep: bool) -> i32 {
    4 * found.length as i32 - if rep { 0 } else { found.offset.ilog2() as i32 }
}

#[inline(always)]
fn search(
    rows: &mut Finder,
    raw: &[u8],
    at: usize,
    reps: [usize; 3],
    level: &Level,
    matches: &mut Found,
) -> (Match, i32) {
    let mut best = Match::default();
    let mut best_gain = 0;
    let word = load32(raw, at);
    for offset in reps {
        if load32(raw, at - offset) == word {
            let length = 4 + common(raw, at - offset + 4, at + 4);
            if length > best.length {
                best = Match { length, offset };
            }
        }
    }
    if best.length > 0 {
        best_gain = gain(best, true);
    }
    rows.find::<false>(raw, at, best.length.max(3), level, matches);
    for &found in matches.matches() {
        let gain = gain(found, false);
        if gain > best_gain {
            (best, best_gain) = (found, gain);
        }
    }
    (best, best_gain)
}

pub fn parse(raw: &[u8], rows: &mut Finder, steps: u32, level: &Level, out: &mut Output<'_>) {
    let limit = raw.len().saturating_sub(END);
    let mut reps = [1, 4, 8];
    let mut at = START;
    let mut matches = Found::default();
    while at < limit {
        let (mut best, mut best_gain) = search(rows, raw, at, reps, level, &mut matches);
        if best.length == 0 {
            at += stride(at - out.anchor);
            continue;
        }
        let mut start = at;
        let mut left = steps;
        while left > 0 && best.length < level.nice && at + 1 < limit {
            at += 1;
            let (later, gain) = search(rows, raw, at, reps, level, &mut matches);
            if later.length > 0 && gain > best_gain + if left == steps { 3 } else { 6 } {
                (best, best_gain, start) = (later, gain, at);
                left = steps;
            } else {
                left -= 1;
            }
        }
        let Match { length, offset } = best;
        let back = common_before(raw, start - offset, start, start - out.anchor);
        match reps.iter().position(|&rep| rep == offset) {
            Some(index) => reps[..=index].rotate_right(1),
            None => reps = [offset, reps[0], reps[1]],
        }
        out.push(start - back, back + length, offset);
        at = start + length;
    }
}
