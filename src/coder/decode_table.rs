//! What a decoder looks up: one `u32` for each of the `2^K` values of a lane's low bits, or with FSE of its cell.

use super::{fse, huffman, rans, table::Table};
use crate::block::Coder;

/// A coder's form of a [`Table`] for its decoder. The symbol is in the 8 highest bits of an entry.
#[derive(Clone, Debug)]
pub struct DecodeTable {
    pub(super) log: u32,
    pub(super) slots: Box<[u32; 4096]>,
}

impl DecodeTable {
    /// Room for any table; it holds none yet.
    #[expect(clippy::new_without_default, reason = "an empty table is of no use")]
    pub fn new() -> Self {
        Self { log: 0, slots: Box::new([0; 4096]) }
    }

    /// Makes this the decoder's form of `table`, without an allocation.
    pub fn fill(&mut self, table: &Table) {
        self.log = table.log().into();
        match table.coder() {
            Coder::Rans => rans::fill_slots(table, &mut self.slots),
            Coder::Fse => fse::fill_slots(table, &mut self.slots),
            Coder::Huffman => huffman::fill_slots(table, &mut self.slots),
        }
    }

    /// The entry that the low bits of `state` select.
    #[inline]
    pub(super) fn slot(&self, state: u32) -> u32 {
        self.slots[(state & ((1 << self.log) - 1)) as usize % 4096]
    }
}
