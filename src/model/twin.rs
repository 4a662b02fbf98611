//! The CPU twin of rebuilding a block on a device: nothing but data-parallel steps, so that each of them can become a
//! kernel. In a step every index is an invocation; it reads what earlier steps wrote.
//!
//! Whatever depends on all sequences before is a scan: positions of extra bits, lengths, literals and output are prefix sums,
//! repeat offsets a composition of maps. Matches are resolved by pointer doubling: a byte points to the one that it
//! copies, and follows pointers until it arrives at a literal.

use super::{
    Model,
    codes::{FINE_BITS, LENGTH, OFFSET, RUN, Values},
    lzseq::FIRST_REPEATS,
    streams::View,
};
use crate::error::BlockFault;

/// The same as [`Model::rebuild`]; of several faults it may report another one.
///
/// # Errors
/// As [`Model::rebuild`].
pub fn rebuild(model: Model, streams: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    let sequences = match model {
        Model::Lz77 => lz77(streams)?,
        Model::LzSeq => lzseq(streams)?,
    };
    let literals = streams.bytes[0];
    let spans = spans(&sequences, literals.len(), raw.len())?;
    let mut sources = sources(&sequences, &spans, raw.len());
    resolve(&mut sources);
    each(raw, |i| literals[(sources[i] & !LITERAL) as usize]);
    Ok(())
}

/// Decoded sequences.
struct Sequences {
    literals: Vec<u32>,
    lengths: Vec<u32>,
    offsets: Vec<u32>,
}

/// One step: every element from its index.
fn each<T>(elements: &mut [T], element: impl Fn(usize) -> T) {
    elements.iter_mut().enumerate().for_each(|(i, to)| *to = element(i));
}

fn map<T>(count: usize, element: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(element).collect()
}

/// Inclusive scan with an associative operation, in the steps of Hillis and Steele (CACM 29, 1986).
fn scan<T: Copy>(elements: Vec<T>, operation: impl Fn(T, T) -> T) -> Vec<T> {
    let mut scanned = elements;
    let mut distance = 1;
    while distance < scanned.len() {
        scanned = map(scanned.len(), |i| match i.checked_sub(distance) {
            Some(before) => operation(scanned[before], scanned[i]),
            None => scanned[i],
        });
        distance *= 2;
    }
    scanned
}

/// Inclusive prefix sums. They saturate, which is as associative as addition.
fn sums(elements: Vec<u32>) -> Vec<u32> {
    scan(elements, u32::saturating_add)
}

/// The sum of the elements before an index.
fn before(sums: &[u32], i: usize) -> u32 {
    i.checked_sub(1).map_or(0, |last| sums[last])
}

fn total(sums: &[u32]) -> u32 {
    before(sums, sums.len())
}

fn lzseq(view: View<'_>) -> Result<Sequences, BlockFault> {
    let [_, runs, lengths, offsets, fine, _] = view.bytes;
    let count = runs.len();
    if lengths.len() != count || offsets.len() != count {
        return Err(BlockFault::Sequences);
    }
    let is_fine = |i: usize| !fine.is_empty() && OFFSET.values(offsets[i]).width >= FINE_BITS;
    let fine_ends = sums(map(count, |i| u32::from(is_fine(i))));
    if total(&fine_ends) as usize != fine.len()
        || map(fine.len(), |i| fine[i] >> FINE_BITS != 0).contains(&true)
    {
        return Err(BlockFault::Sequences);
    }
    // An offset's fine bits, and how many it has.
    let fine_bits = |i: usize| match is_fine(i) {
        true => (u32::from(fine[before(&fine_ends, i) as usize]), FINE_BITS),
        false => (0, 0),
    };
    let values = |i: usize| -> [Values; 3] {
        let Values { base, width } = OFFSET.values(offsets[i]);
        let offset = Values { base, width: width - fine_bits(i).1 };
        [offset, LENGTH.values(lengths[i]), RUN.values(runs[i])]
    };
    let ends = sums(map(count, |i| values(i).iter().map(|values| values.width).sum()));
    let used = total(&ends) as usize;
    let padding = (8 * view.tail.len()).checked_sub(used).ok_or(BlockFault::Sequences)?;
    if padding >= 32 || !view.tail.len().is_multiple_of(4) || bits(view.tail, used, padding) != 0 {
        return Err(BlockFault::Sequences);
    }
    let fields = map(count, |i| {
        let mut at = before(&ends, i) as usize;
        let [offset, length, run] = values(i);
        let mut extra = |width: u32| {
            at += width as usize;
            bits(view.tail, at - width as usize, width as usize)
        };
        let (fine, fine_width) = fine_bits(i);
        let offset = offset.base + (extra(offset.width) << fine_width) + fine;
        [offset, length.base + extra(length.width), run.base + extra(run.width)]
    });
    let moves = scan(map(count, |i| Move::new(offsets[i], fields[i])), Move::then);
    Ok(Sequences {
        literals: map(count, |i| fields[i][2]),
        lengths: map(count, |i| fields[i][1]),
        offsets: map(count, |i| moves[i].apply(FIRST_REPEATS)[0]),
    })
}

/// `count` bits, below 32, from position `at` on, all within the bytes.
fn bits(bytes: &[u8], at: usize, count: usize) -> u32 {
    let byte = |i: usize| u64::from(bytes.get(at / 8 + i).copied().unwrap_or(0)) << (8 * i);
    let word = (0..5).map(byte).sum::<u64>() >> (at % 8);
    (word & ((1 << count) - 1)) as u32
}

/// What sequences do to the three repeat offsets: where each of them then comes from.
#[derive(Clone, Copy)]
struct Move([Slot; 3]);

#[derive(Clone, Copy)]
enum Slot {
    /// One of those before.
    Old(usize),
    New(u32),
}

impl Move {
    fn new(code: u8, [new, _, literals]: [u32; 3]) -> Self {
        use Slot::{New, Old};
        match (code, (usize::from(code) + usize::from(literals == 0)) % 3) {
            (3.., _) => Self([New(new), Old(0), Old(1)]),
            (_, 0) => Self([Old(0), Old(1), Old(2)]),
            (_, 1) => Self([Old(1), Old(0), Old(2)]),
            _ => Self([Old(2), Old(0), Old(1)]),
        }
    }

    /// This one, then another.
    fn then(self, next: Self) -> Self {
        Self(next.0.map(|slot| match slot {
            Slot::Old(index) => self.0[index],
            new => new,
        }))
    }

    fn apply(self, repeats: [u32; 3]) -> [u32; 3] {
        self.0.map(|slot| match slot {
            Slot::Old(index) => repeats[index],
            Slot::New(offset) => offset,
        })
    }
}

fn lz77(view: View<'_>) -> Result<Sequences, BlockFault> {
    let [_, tokens, low, middle, high, short] = view.bytes;
    let count = tokens.len();
    let (long, rest) = view.tail.as_chunks::<4>();
    if [low, middle, high].iter().any(|stream| stream.len() != count) || !rest.is_empty() {
        return Err(BlockFault::Sequences);
    }
    let nibbles = |i: usize| [tokens[i] >> 4, tokens[i] & 15].map(u32::from);
    // How many short lengths the tokens, and how many long ones the short ones have used up.
    let shorts =
        sums(map(count, |i| nibbles(i).iter().filter(|&&nibble| nibble == 15).count() as u32));
    let longs = sums(map(short.len(), |i| u32::from(short[i] == 255)));
    if total(&shorts) as usize != short.len() || total(&longs) as usize != long.len() {
        return Err(BlockFault::Sequences);
    }
    let above = map(short.len(), |i| match short[i] {
        255 => u32::from_le_bytes(long[before(&longs, i) as usize]).saturating_sub(15),
        short => short.into(),
    });
    if map(short.len(), |i| short[i] == 255 && above[i] < 255).contains(&true) {
        return Err(BlockFault::Sequences);
    }
    let value = |nibble: u32, index: u32| match nibble {
        15 => above[index as usize].saturating_add(15),
        _ => nibble,
    };
    Ok(Sequences {
        literals: map(count, |i| value(nibbles(i)[0], before(&shorts, i))),
        lengths: map(count, |i| {
            let [run, length] = nibbles(i);
            let index = before(&shorts, i) + u32::from(run == 15);
            value(length, index).saturating_add(Model::Lz77.min_match())
        }),
        offsets: map(count, |i| u32::from_le_bytes([low[i], middle[i], high[i], 0]) + 1),
    })
}

/// Where sequences lie.
struct Spans {
    /// Ends in the block; one more for the literals after the last sequence.
    ends: Vec<u32>,
    /// Literals used up to each one's match.
    literals: Vec<u32>,
}

fn spans(sequences: &Sequences, literals: usize, raw_size: usize) -> Result<Spans, BlockFault> {
    let Sequences { literals: runs, lengths, offsets } = sequences;
    let count = runs.len();
    let taken = sums(map(count, |i| runs[i]));
    let mut ends = sums(map(count, |i| runs[i].saturating_add(lengths[i])));
    let left = (literals as u32).checked_sub(total(&taken)).ok_or(BlockFault::Sequences)?;
    if total(&ends).saturating_add(left) as usize != raw_size {
        return Err(BlockFault::Sequences);
    }
    let rebuilt = |i: usize| ends[i] - lengths[i];
    if map(count, |i| offsets[i] > rebuilt(i)).contains(&true) {
        return Err(BlockFault::Match);
    }
    ends.push(raw_size as u32);
    Ok(Spans { ends, literals: taken })
}

/// Marks a source that is the number of a literal, not the position of an earlier byte.
const LITERAL: u32 = 1 << 31;

/// For each byte of the block, what it is a copy of.
fn sources(sequences: &Sequences, spans: &Spans, raw_size: usize) -> Vec<u32> {
    let Sequences { literals, lengths, offsets } = sequences;
    // Each sequence marks its first byte with its number; the largest number up to a byte is its sequence.
    let mut marks = vec![0; raw_size + 1];
    for i in 0..spans.ends.len() {
        marks[before(&spans.ends, i) as usize] = i;
    }
    let owners = scan(marks, usize::max);
    map(raw_size, |at| {
        let i = owners[at];
        let position = at as u32 - before(&spans.ends, i);
        if literals.get(i).is_none_or(|&run| position < run) {
            return LITERAL | (before(&spans.literals, i) + position);
        }
        // A match that overlaps itself repeats what is before it.
        let start = spans.ends[i] - lengths[i];
        start - offsets[i] + (position - literals[i]) % offsets[i]
    })
}

/// Follows the sources to literals. Each step doubles how far.
fn resolve(sources: &mut Vec<u32>) {
    while sources.iter().any(|source| source & LITERAL == 0) {
        *sources = map(sources.len(), |i| match sources[i] {
            literal if literal & LITERAL != 0 => literal,
            earlier => sources[earlier as usize],
        });
    }
}
