//! Puts finished blocks back into the order of submission.

use std::collections::VecDeque;

use super::block::Finished;

/// Blocks that wait for an earlier one. It is never longer than there are blocks in flight.
pub(super) struct Reorder<'a> {
    /// The number of the block that is due.
    due: u64,
    /// The due block and its successors, where they have finished.
    waiting: VecDeque<Option<Finished<'a>>>,
}

impl<'a> Reorder<'a> {
    /// The block of number `due` is the first to be taken.
    pub fn new(due: u64) -> Self {
        Self { due, waiting: VecDeque::new() }
    }

    /// Whether the block that is due has finished.
    pub fn is_ready(&self) -> bool {
        self.waiting.front().is_some_and(Option::is_some)
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.waiting.iter().flatten().count()
    }

    /// Takes out all that have finished, for nobody.
    pub fn clear(&mut self) -> impl Sized + use<'a> {
        std::mem::take(&mut self.waiting)
    }

    /// Adds a block, which must not be one that was taken or added before.
    pub fn insert(&mut self, block: Finished<'a>) {
        let place = block.id.checked_sub(self.due).expect("no block comes twice") as usize;
        if self.waiting.len() <= place {
            self.waiting.resize_with(place + 1, || None);
        }
        debug_assert!(self.waiting[place].is_none(), "block {} came twice", block.id);
        self.waiting[place] = Some(block);
    }

    /// Takes the block that is due, if it has finished.
    pub fn pop(&mut self) -> Option<Finished<'a>> {
        let block = self.waiting.front_mut()?.take()?;
        self.waiting.pop_front();
        self.due += 1;
        Some(block)
    }
}
