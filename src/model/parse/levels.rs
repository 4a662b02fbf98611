//! The levels.

/// How a level walks through a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// One table, the first match.
    Fast,
    /// Long matches before short ones.
    Double,
    /// The cheapest of many.
    Optimal,
}

/// What a level is made of.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    pub strategy: Strategy,
    /// Entries of the tables, as binary logarithms.
    pub first_log: u32,
    pub second_log: u32,
    /// Bytes that are hashed for the (first) table.
    pub hash_bytes: u32,
    /// Candidates looked at for a position.
    pub depth: u32,
    /// A match this long is taken without looking further.
    pub nice: u32,
}

const fn level(
    strategy: Strategy,
    logs: [u32; 2],
    hash_bytes: u32,
    depth: u32,
    nice: u32,
) -> Level {
    Level { strategy, first_log: logs[0], second_log: logs[1], hash_bytes, depth, nice }
}

/// Levels 1 to 9.
pub const LEVELS: [Level; 9] = [
    level(Strategy::Fast, [16, 0], 6, 1, 0),
    level(Strategy::Fast, [16, 0], 5, 1, 0),
    level(Strategy::Double, [17, 17], 8, 1, 64),
    level(Strategy::Double, [17, 17], 8, 1, 0),
    level(Strategy::Double, [18, 18], 8, 1, 0),
    level(Strategy::Optimal, [17, 16], 4, 2, 32),
    level(Strategy::Optimal, [17, 16], 4, 4, 32),
    level(Strategy::Optimal, [17, 16], 4, 8, 48),
    level(Strategy::Optimal, [17, 16], 4, 16, 64),
];
