//! The cheapest sequences by dynamic programming, with the prices of the statistics so far.

use super::bytes::{common, load32};
use super::finder::{Finder, Found};
use super::levels::Level;
use super::price::{BIT, Prices, Statistics};
use super::rows::Match;
use super::{END, FAR, Output, START, stride};
use crate::model::{Sequence, codes::OFFSET, lzseq::FIRST_REPEATS};

/// Positions that are weighed at once.
const WINDOW: usize = 2048;
/// Prices are set anew after this many bytes.
const PRICED: usize = 1 << 15;
/// What a sequence costs beyond its codes: fewer sequences are faster to decode, and prices of rare codes are too low.
const SEQUENCE: u32 = BIT;
/// The longest match that is weighed against others.
pub const LONGEST: usize = 256;

/// Arrivals are cleared so many at once.
const STEP: usize = 128;
/// Bytes of the tables, about.
pub const MEMORY: u64 = 1 << 17;

/// The cheapest way found to a position: its price (32 bits) above its last step, the length of a match, 0 for a literal,
/// (10 bits) above its offset (22 bits). So the least of two is the cheaper one, without a branch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Arrival(u64);

impl Arrival {
    const NONE: Self = Self(u64::MAX);

    #[inline(always)]
    fn new(price: u32, offset: u32) -> Self {
        Self(u64::from(price) << 32 | u64::from(offset))
    }

    #[inline(always)]
    fn price(self) -> u32 {
        (self.0 >> 32) as u32
    }

    #[inline(always)]
    fn length(self) -> u32 {
        self.0 as u32 >> 22
    }

    #[inline(always)]
    fn offset(self) -> u32 {
        self.0 as u32 & ((1 << 22) - 1)
    }

    /// This and a match of a length: `length` is from [`Prices::lengths`].
    #[inline(always)]
    fn matched(self, length: u64) -> Self {
        Self(self.0 + length)
    }
}

/// What the next sequence depends on.
#[derive(Clone, Copy, Debug)]
struct State {
    /// Literals since the last match.
    run: u32,
    reps: [u32; 3],
}

impl State {
    const FIRST: Self = Self { run: 0, reps: FIRST_REPEATS };

    /// The code of an offset.
    #[inline(always)]
    fn code(&self, offset: u32) -> u8 {
        match self.reps.iter().position(|&rep| rep == offset) {
            Some(index) => (index as u8 + 3 - u8::from(self.run == 0)) % 3,
            None => OFFSET.code(offset).code,
        }
    }

    /// The state behind a match.
    #[inline(always)]
    fn after(&self, offset: u32) -> Self {
        let [first, second, third] = self.reps;
        let last = if offset == first || offset == second { third } else { second };
        Self { run: 0, reps: if offset == first { self.reps } else { [offset, first, last] } }
    }
}

/// Everything that a parse needs, allocated once.
#[derive(Debug)]
pub struct Optimal {
    arrivals: Vec<Arrival>,
    states: Vec<State>,
    /// The position of the farthest arrival.
    last: usize,
    /// Arrivals are set up to here.
    clear: usize,
    path: Vec<Sequence>,
    found: Found,
    counts: Statistics,
    prices: Prices,
}

impl Default for Optimal {
    fn default() -> Self {
        Self {
            arrivals: vec![Arrival::default(); WINDOW + LONGEST + STEP + 1],
            states: vec![State::FIRST; WINDOW + 1],
            last: 0,
            clear: 0,
            path: Vec::new(),
            found: Found::default(),
            counts: Statistics::default(),
            prices: Prices::default(),
        }
    }
}

impl Optimal {
    /// Sets the first prices from the sequences of a sample.
    pub fn guess(&mut self, sample: &[u8], list: &[Sequence]) {
        let mut counts = Statistics::default();
        let (mut state, mut at) = (State::FIRST, 0);
        for &sequence in list {
            counts.literals(&sample[at..at + sequence.literals as usize]);
            state.run = sequence.literals;
            counts.sequence(sequence, state.code(sequence.offset));
            state = state.after(sequence.offset);
            at += (sequence.literals + sequence.length) as usize;
        }
        counts.literals(&sample[at..]);
        self.prices.set(&counts);
        self.counts = counts;
    }

    /// Cuts the block; [`Self::guess`] must have set the first prices.
    pub fn parse(
        &mut self,
        raw: &[u8],
        finder: &mut Finder,
        skip: u32,
        level: &Level,
        out: &mut Output<'_>,
    ) {
        let limit = raw.len().saturating_sub(END);
        let mut counts = std::mem::take(&mut self.counts);
        counts.age();
        let mut state = State::FIRST;
        let (mut base, mut priced) = (START, START);
        while base < limit {
            state.run = (base - out.anchor) as u32;
            let (end, long) = self.weigh(raw, base, state, finder, skip, level);
            self.trace(end);
            let long = long.map(|found| Sequence {
                literals: self.states[end].run,
                length: found.length as u32,
                offset: found.offset as u32,
            });
            for sequence in self.path.drain(..).rev().chain(long) {
                state.run = sequence.literals;
                counts.literals(&raw[out.anchor..out.anchor + sequence.literals as usize]);
                counts.sequence(sequence, state.code(sequence.offset));
                state = state.after(sequence.offset);
                let start = out.anchor + sequence.literals as usize;
                out.push(start, sequence.length as usize, sequence.offset as usize);
            }
            base = match long {
                Some(_) => out.anchor,
                None if end == WINDOW => base + end,
                None => {
                    let step = stride(base + end - out.anchor);
                    if step > FAR && base + end + step < limit {
                        finder.jump(raw, base + end + step);
                    }
                    base + end + step
                }
            };
            if base > priced + PRICED {
                self.prices.set(&counts);
                counts.age();
                priced = base;
            }
        }
    }

    /// Finds the cheapest ways from `base` on, to where they meet or the window ends, and a match that is taken there.
    #[inline(always)]
    fn weigh(
        &mut self,
        raw: &[u8],
        base: usize,
        state: State,
        finder: &mut Finder,
        skip: u32,
        level: &Level,
    ) -> (usize, Option<Match>) {
        let limit = raw.len() - END;
        (self.last, self.clear) = (0, 0);
        self.states[0] = state;
        self.arrivals[0] = Arrival::new(self.prices.run(state.run), 0);
        let nice = level.nice;
        debug_assert!(nice <= LONGEST);
        let mut cur = 0;
        // Of `cur`; kept out of memory, where they would be read too soon after they were written.
        let (mut here, mut price) = (state, self.prices.run(state.run));
        loop {
            let at = base + cur;
            if cur > 0 {
                (here, price) = self.arrive(cur, raw[at - 1], here, price);
            }
            if cur >= WINDOW || at >= limit {
                return (cur, None);
            }
            if cur < self.last && self.arrivals[cur + 1].price() <= price + skip {
                finder.skip::<true>(raw, at);
                cur += 1;
                continue;
            }
            let State { run, reps } = here;
            let base_price = price + self.prices.run(0) + SEQUENCE;
            let word = load32(raw, at);
            let first = usize::from(run == 0);
            let mut best = 2;
            for (index, offset) in reps.map(|rep| rep as usize).into_iter().enumerate().skip(first)
            {
                if (load32(raw, at - offset) ^ word) << 8 != 0 {
                    continue;
                }
                let length = common(raw, at - offset, at);
                if length >= nice {
                    return (cur, Some(Match { length, offset }));
                }
                if length > best {
                    best = length;
                    self.reach(
                        cur,
                        3,
                        length,
                        base_price + self.prices.offsets[index - first],
                        offset,
                    );
                }
            }
            finder.find::<true>(raw, at, 2, level, &mut self.found);
            let mut shortest = 3;
            for index in 0..self.found.matches().len() {
                let Match { length, offset } = self.found.matches()[index];
                if length >= nice {
                    return (cur, Some(Match { length, offset }));
                }
                let code = OFFSET.code(offset as u32).code;
                self.reach(
                    cur,
                    shortest,
                    length,
                    base_price + self.prices.offsets[usize::from(code)],
                    offset,
                );
                shortest = length + 1;
            }
            if cur == self.last {
                return (cur, None);
            }
            cur += 1;
        }
    }

    /// Settles how `cur` is reached: as found before or by the literal before it.
    #[inline(always)]
    fn arrive(&mut self, cur: usize, literal: u8, before: State, price: u32) -> (State, u32) {
        let price =
            price + self.prices.literals[usize::from(literal)] + self.prices.run(before.run + 1)
                - self.prices.run(before.run);
        let arrival = self.arrivals[cur].min(Arrival::new(price, 0));
        self.arrivals[cur] = arrival;
        let state = match arrival.length() {
            0 => State { run: before.run + 1, ..before },
            length => self.states[cur - length as usize].after(arrival.offset()),
        };
        self.states[cur] = state;
        (state, arrival.price())
    }

    /// Weighs a match of each length from `shortest` to `longest` at `cur`.
    #[inline(always)]
    fn reach(&mut self, cur: usize, shortest: usize, longest: usize, price: u32, offset: usize) {
        self.last = self.last.max(cur + longest);
        if self.last > self.clear {
            // In steps, so that it is rare.
            self.arrivals[self.clear + 1..=self.last + STEP].fill(Arrival::NONE);
            self.clear = self.last + STEP;
        }
        let basis = Arrival::new(price, offset as u32);
        let lengths = &self.prices.lengths[shortest..=longest];
        let arrivals = &mut self.arrivals[cur + shortest..=cur + longest];
        for (arrival, &length) in arrivals.iter_mut().zip(lengths) {
            *arrival = basis.matched(length).min(*arrival);
        }
    }

    /// The sequences of the cheapest way to `end`, the last one first.
    fn trace(&mut self, mut end: usize) {
        self.path.clear();
        while end > 0 {
            let (length, offset) = (self.arrivals[end].length(), self.arrivals[end].offset());
            end -= length.max(1) as usize;
            if length > 0 {
                self.path.push(Sequence { literals: self.states[end].run, length, offset });
            }
        }
    }
}
