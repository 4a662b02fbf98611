//! The levels.

use crate::model::Model;

/// How a level walks through a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// One table of hashes of 5 or 7 bytes, the first match.
    Fast { bytes: u32 },
    /// Two tables, of long and of short hashes, and a look at the next position.
    Double,
    /// Rows of candidates; the best, unless one of the next `steps` positions has a better one.
    Lazy { steps: u32 },
    /// Rows of candidates; the cheapest way through. A position is not searched if the next is already reached for less than
    /// the price of its own and `skip` more.
    Optimal { skip: u32 },
}

/// What a level is made of.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    pub strategy: Strategy,
    /// Binary logarithms of the entries of the first table (fast; long hashes; four bytes) and of the second (short hashes)
    /// or the number of rows.
    pub logs: [u32; 2],
    /// Candidates of a row looked at for a position.
    pub depth: usize,
    /// A match this long is taken without looking further: at most [`LONGEST`](super::optimal::LONGEST) where the strategy
    /// is the optimal one.
    pub nice: usize,
}

const fn level(strategy: Strategy, logs: [u32; 2], depth: usize, nice: usize) -> Level {
    Level { strategy, logs, depth, nice }
}

/// Runs `$body` with the constant `$SIZE` as the size of a table, which one of [`LOGS`] must be: of an array no access by a
/// hash needs a check.
macro_rules! with_table_size {
    ($size:expr, $SIZE:ident => $body:block) => {
        with_table_size!($size, $SIZE => $body, 12 13 14 15 16 17 18)
    };
    ($size:expr, $SIZE:ident => $body:block, $($log:literal)*) => {
        match $size.ilog2() {
            $($log => {
                const $SIZE: usize = 1 << $log;
                $body
            })*
            log => unreachable!("no table of a level has 2^{log} entries"),
        }
    };
}
pub(super) use with_table_size;

/// Binary logarithms of the sizes of tables of the strategies fast and double.
const LOGS: std::ops::RangeInclusive<u32> = 12..=18;

/// Levels 1 to 9.
pub const LEVELS: [Level; 9] = [
    level(Strategy::Fast { bytes: 7 }, [16, 0], 1, 0),
    level(Strategy::Fast { bytes: 5 }, [17, 0], 1, 0),
    level(Strategy::Double, [17, 17], 1, 64),
    level(Strategy::Double, [18, 18], 1, 256),
    level(Strategy::Lazy { steps: 1 }, [16, 14], 4, 64),
    level(Strategy::Lazy { steps: 1 }, [16, 15], 8, 128),
    level(Strategy::Lazy { steps: 2 }, [16, 15], 8, 256),
    level(Strategy::Optimal { skip: 1536 }, [16, 14], 8, 32),
    level(Strategy::Optimal { skip: 1024 }, [16, 15], 8, 80),
];

impl Level {
    /// The most sequences of a block: only the optimal strategy takes matches of three bytes, where there are any.
    pub fn sequences(self, block_size: usize, model: Model) -> usize {
        match self.strategy {
            Strategy::Optimal { .. } => block_size / model.min_match() as usize,
            _ => block_size / 4,
        }
    }

    /// The level for blocks of `length` bytes: a smaller block needs smaller tables, which have to be cleared for each.
    pub fn fit(self, length: usize) -> Self {
        let log = length.max(1 << *LOGS.start()).next_power_of_two().ilog2();
        let [first, second] = self.logs;
        let second = match self.strategy {
            Strategy::Fast { .. } | Strategy::Double => second.min(log),
            Strategy::Lazy { .. } | Strategy::Optimal { .. } => second.min(log - 3),
        };
        Self { logs: [first.min(log), second], ..self }
    }
}
