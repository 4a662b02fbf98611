//! Rebuilding a block from literals and matches.

use super::Sequence;
use crate::error::BlockFault;

/// A block that is being rebuilt, and the literals that it still takes.
pub(super) struct Output<'a> {
    raw: &'a mut [u8],
    /// How much of the block is there.
    at: usize,
    literals: &'a [u8],
}

impl<'a> Output<'a> {
    pub fn new(raw: &'a mut [u8], literals: &'a [u8]) -> Self {
        Self { raw, at: 0, literals }
    }

    /// Appends literals and matches.
    ///
    /// # Errors
    /// [`BlockFault::Sequences`] if the literals or the block do not have that many bytes, [`BlockFault::Match`] if a
    /// match begins before the block.
    pub fn append(&mut self, sequences: &[Sequence]) -> Result<(), BlockFault> {
        for &Sequence { literals, length, offset } in sequences {
            self.append_literals(literals as usize)?;
            self.append_match(length as usize, offset as usize)?;
        }
        Ok(())
    }

    /// Appends the literals that are left.
    ///
    /// # Errors
    /// [`BlockFault::Sequences`] if they do not fill the block exactly.
    pub fn finish(mut self) -> Result<(), BlockFault> {
        self.append_literals(self.literals.len())?;
        if self.at == self.raw.len() { Ok(()) } else { Err(BlockFault::Sequences) }
    }

    fn append_literals(&mut self, count: usize) -> Result<(), BlockFault> {
        let (run, rest) = self.literals.split_at_checked(count).ok_or(BlockFault::Sequences)?;
        let room = self.raw[self.at..].get_mut(..count).ok_or(BlockFault::Sequences)?;
        room.copy_from_slice(run);
        self.literals = rest;
        self.at += count;
        Ok(())
    }

    fn append_match(&mut self, length: usize, offset: usize) -> Result<(), BlockFault> {
        let end = self.at + length;
        if end > self.raw.len() {
            return Err(BlockFault::Sequences);
        }
        let from = self.at.checked_sub(offset).ok_or(BlockFault::Match)?;
        // The period that is there doubles with every copy.
        while self.at < end {
            let count = (end - self.at).min(self.at - from);
            self.raw.copy_within(from..from + count, self.at);
            self.at += count;
        }
        Ok(())
    }
}
