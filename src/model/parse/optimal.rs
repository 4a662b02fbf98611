//! The cheapest sequences by dynamic programming.

use super::bytes::{common, load32};
use super::chains::{Chains, Match};
use super::levels::Level;
use super::price::{Prices, Statistics};
use super::{END, Output, START, stride};
use crate::model::Sequence;

/// Positions that are weighed at once.
const WINDOW: usize = 4096;

/// The cheapest way found to a position.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    price: u32,
    /// The match that leads here; a literal if 0.
    length: u32,
    offset: u32,
    /// Literals since the last match.
    run: u32,
    reps: [u32; 3],
}

/// Scratch space.
#[derive(Debug, Default)]
pub struct Scratch {
    nodes: Vec<Node>,
    found: Vec<Match>,
    path: Vec<Sequence>,
    prices: Prices,
}

/// The code of an offset, and the repeat offsets behind it.
#[inline(always)]
fn repeat(reps: [u32; 3], offset: u32, run: u32) -> (u32, [u32; 3]) {
    let z = u32::from(run == 0);
    match reps.iter().position(|&rep| rep == offset) {
        Some(0) => ((3 - z) % 3, reps),
        Some(1) => (1 - z, [offset, reps[0], reps[2]]),
        Some(_) => (2 - z, [offset, reps[0], reps[1]]),
        None => (Prices::offset_code(offset as usize), [offset, reps[0], reps[1]]),
    }
}

pub fn parse(
    raw: &[u8],
    chains: &mut Chains,
    scratch: &mut Scratch,
    start: &[Sequence],
    level: &Level,
    out: &mut Output<'_>,
) {
    let (depth, nice) = (level.depth as usize, level.nice as usize);
    let limit = raw.len().saturating_sub(END);
    let mut counts = Statistics::default();
    gather(raw, start, &mut counts);
    let Scratch { nodes, found, path, prices } = scratch;
    prices.set(&counts);
    nodes.resize(WINDOW + raw.len().min(1 << 17) + 1, Node::default());
    let mut reps = [1u32, 4, 8];
    let mut base = START;
    let mut priced = 0;
    counts.age();
    while base < limit {
        let run = (base - out.anchor) as u32;
        nodes[0] = Node { price: prices.run(run as usize), length: 0, offset: 0, run, reps };
        let mut last = 0;
        let mut cur = 0;
        let mut bare = false;
        loop {
            let at = base + cur;
            if cur > 0 {
                let before = nodes[cur - 1];
                let literal = before.price
                    + prices.literals[usize::from(raw[at - 1])]
                    + prices.run(before.run as usize + 1)
                    - prices.run(before.run as usize);
                let node = nodes[cur];
                if literal <= node.price {
                    nodes[cur] = Node {
                        price: literal,
                        length: 0,
                        offset: 0,
                        run: before.run + 1,
                        reps: before.reps,
                    };
                } else {
                    let from = nodes[cur - node.length as usize];
                    nodes[cur].reps = repeat(from.reps, node.offset, from.run).1;
                }
            }
            if cur >= WINDOW || at >= limit {
                break;
            }
            let Node { price, run, reps, .. } = nodes[cur];
            let mut best = 2;
            let basis = price + prices.run(0);
            // repeat offsets
            let z = usize::from(run == 0);
            let reach = |last: &mut usize,
                         nodes: &mut Vec<Node>,
                         lengths: std::ops::RangeInclusive<usize>,
                         offset: u32,
                         code: u32| {
                let end = cur + *lengths.end();
                while *last < end {
                    *last += 1;
                    nodes[*last].price = u32::MAX;
                }
                let basis = basis + prices.offsets[code as usize];
                for length in lengths {
                    let price = basis + prices.length(length);
                    let node = &mut nodes[cur + length];
                    if price < node.price {
                        *node = Node { price, length: length as u32, offset, run: 0, reps: [0; 3] };
                    }
                }
            };
            let word = load32(raw, at);
            let mut enough = 0;
            for index in z..3 {
                let offset = reps[index] as usize;
                if offset > at || (load32(raw, at - offset) ^ word) << 8 != 0 {
                    continue;
                }
                let length = common(raw, at - offset, at).min(1 << 16);
                if length > best {
                    best = length;
                    reach(&mut last, nodes, 3..=length, offset as u32, (index - z) as u32);
                    if length >= nice {
                        enough = length;
                        break;
                    }
                }
            }
            if enough == 0 {
                chains.find(raw, at, 2, depth, nice, found);
                let mut shorter = 2;
                for m in found.iter() {
                    let length = m.length.min(1 << 16);
                    reach(
                        &mut last,
                        nodes,
                        shorter + 1..=length,
                        m.offset as u32,
                        Prices::offset_code(m.offset),
                    );
                    shorter = length;
                    if length >= nice {
                        enough = length;
                    }
                }
            }
            if enough > 0 {
                cur += enough;
                last = cur;
                let node = nodes[cur];
                let from = nodes[cur - node.length as usize];
                nodes[cur].reps = repeat(from.reps, node.offset, from.run).1;
                chains.insert(raw, (base + cur).min(limit));
                break;
            }
            if cur == last {
                bare = true;
                break;
            }
            cur += 1;
        }
        let _ = last;
        // Backwards along the cheapest way.
        path.clear();
        let end = nodes[cur];
        let mut back = cur;
        while back > 0 {
            let node = nodes[back];
            back -= node.length.max(1) as usize;
            if node.length > 0 {
                path.push(Sequence {
                    literals: nodes[back].run,
                    length: node.length,
                    offset: node.offset,
                });
            }
        }
        for &sequence in path.iter().rev() {
            counts.literals(&raw[out.anchor..out.anchor + sequence.literals as usize]);
            counts.sequence(sequence, repeat(reps, sequence.offset, sequence.literals).0);
            reps = repeat(reps, sequence.offset, sequence.literals).1;
            out.push(
                out.anchor + sequence.literals as usize,
                sequence.length as usize,
                sequence.offset as usize,
            );
        }
        assert_eq!(reps, end.reps);
        base += cur;
        if bare {
            base += stride(base - out.anchor);
        }
        if base > priced + (1 << 16) {
            prices.set(&counts);
            counts.age();
            priced = base;
        }
    }
}

fn gather(raw: &[u8], list: &[Sequence], counts: &mut Statistics) {
    let mut reps = [1, 4, 8];
    let mut at = 0;
    for &sequence in list {
        counts.literals(&raw[at..at + sequence.literals as usize]);
        let (code, after) = repeat(reps, sequence.offset, sequence.literals);
        reps = after;
        counts.sequence(sequence, code);
        at += (sequence.literals + sequence.length) as usize;
    }
    counts.literals(&raw[at..]);
}
