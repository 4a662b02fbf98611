//! What comes back to the caller's thread, which is woken only for what it waits for.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    block::{Buffers, Finished},
    order::Reorder,
};
use crate::sched::{Inbox, Outcome};

/// What a task yields.
pub(crate) enum Returned<'a> {
    /// A block that has been through all its stages.
    Block(Finished<'a>),
    /// The buffers of one whose payload has been copied to its place.
    Buffers(Buffers<'a>),
    /// Nothing: a task was dropped, as all is cancelled.
    Cancelled,
}

/// What the caller waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// Nothing.
    No,
    /// The block that is due.
    Block,
    /// That block, or free buffers.
    Buffers,
}

/// See the [module](self).
pub(super) struct Returns<'a> {
    state: Mutex<State<'a>>,
    /// Rung at most once for each wait.
    bell: Condvar,
}

struct State<'a> {
    order: Reorder<'a>,
    buffers: Vec<Buffers<'a>>,
    panic: Option<String>,
    /// A task was dropped, and so will others be: what the caller waits for may never come.
    cancelled: bool,
    /// What the caller sleeps for.
    wanted: Wait,
}

impl State<'_> {
    fn has(&self, wanted: Wait) -> bool {
        match wanted {
            Wait::No => false,
            Wait::Block => self.cancelled || self.panic.is_some() || self.order.is_ready(),
            Wait::Buffers => !self.buffers.is_empty() || self.has(Wait::Block),
        }
    }
}

impl<'a> Returns<'a> {
    /// For blocks from number `due` on.
    pub fn new(due: u64) -> Self {
        let (order, buffers) = (Reorder::new(due), Vec::new());
        let state = State { order, buffers, panic: None, cancelled: false, wanted: Wait::No };
        Self { state: Mutex::new(state), bell: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the block that is due, if it has finished.
    ///
    /// # Errors
    /// The message of a panic, once.
    pub fn pop(&self) -> Result<Option<Finished<'a>>, String> {
        let mut state = self.lock();
        state.panic.take().map_or_else(|| Ok(state.order.pop()), Err)
    }

    /// Takes the buffers that have come back.
    pub fn take_buffers(&self) -> Vec<Buffers<'a>> {
        std::mem::take(&mut self.lock().buffers)
    }

    /// Drops what has come back, and what it holds.
    pub fn clear(&self) {
        let mut state = self.lock();
        let cleared = (state.order.clear(), std::mem::take(&mut state.buffers));
        drop(state);
        drop(cleared);
    }

    /// How many blocks have come back that were not taken.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.lock().order.len()
    }

    /// Whether anything has come back that was not taken.
    #[cfg(test)]
    pub fn has_any(&self) -> bool {
        let state = self.lock();
        state.has(Wait::Buffers) || state.order.len() > 0
    }

    /// Sleeps until there is what is `wanted`, no longer than `most`.
    pub fn wait(&self, wanted: Wait, most: Option<Duration>) {
        let mut state = self.lock();
        state.wanted = wanted;
        let lacks = |state: &mut State<'a>| !state.has(wanted);
        state = match most {
            None => self.bell.wait_while(state, lacks).unwrap_or_else(PoisonError::into_inner),
            Some(most) => {
                let woken = self.bell.wait_timeout_while(state, most, lacks);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        state.wanted = Wait::No;
    }
}

impl<'a> Inbox<Returned<'a>> for Returns<'a> {
    fn deliver(&self, outcome: Outcome<Returned<'a>>) {
        let mut state = self.lock();
        match outcome {
            Outcome::Finished(Returned::Block(block)) => state.order.insert(block),
            Outcome::Finished(Returned::Buffers(buffers)) => state.buffers.push(buffers),
            Outcome::Finished(Returned::Cancelled) => state.cancelled = true,
            Outcome::Panicked(message) => state.panic = state.panic.take().or(Some(message)),
        }
        if state.has(state.wanted) {
            state.wanted = Wait::No;
            drop(state); // Else the caller would wake up only to wait for the lock.
            self.bell.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;
    use crate::{Pipeline, block::Encoded, engine::Side, format::BlockKind};

    fn block(id: u64) -> Outcome<Returned<'static>> {
        let outcome = Ok(Encoded { kind: BlockKind::Stored, table_log: 0 });
        let (buffers, pipeline) = (Buffers::default(), Pipeline::Stored);
        let block = Finished { id, buffers, outcome, crc: 0, side: Side::Cpu, pipeline };
        Outcome::Finished(Returned::Block(block))
    }

    fn buffers() -> Outcome<Returned<'static>> {
        Outcome::Finished(Returned::Buffers(Buffers::default()))
    }

    /// Delivers while a caller sleeps; which of the deliveries wakes it.
    fn wakes(wanted: Wait, deliveries: Vec<Outcome<Returned<'static>>>) -> Option<usize> {
        let returns = Returns::new(7);
        let (woken, wakes) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                returns.wait(wanted, None);
                woken.send(()).unwrap();
            });
            while returns.lock().wanted == Wait::No {
                thread::yield_now();
            }
            let found = deliveries.into_iter().position(|outcome| {
                returns.deliver(outcome);
                returns.lock().wanted == Wait::No
            });
            if found.is_none() {
                assert!(wakes.try_recv().is_err(), "it sleeps");
                returns.deliver(block(7));
            }
            wakes.recv().unwrap();
            found
        })
    }

    #[test]
    fn the_caller_is_woken_for_what_it_waits_for_and_nothing_else() {
        assert_eq!(wakes(Wait::Block, vec![block(8), buffers(), block(9), block(7)]), Some(3));
        assert_eq!(wakes(Wait::Buffers, vec![block(8), buffers()]), Some(1));
        assert_eq!(wakes(Wait::Buffers, vec![block(9), block(7)]), Some(1));
        assert_eq!(wakes(Wait::Block, vec![block(9), block(8), buffers()]), None);
        for wanted in [Wait::Block, Wait::Buffers] {
            let cancelled = Outcome::Finished(Returned::Cancelled);
            assert_eq!(wakes(wanted, vec![block(9), cancelled]), Some(1));
        }
        let panicked = || Outcome::Panicked("a".to_owned());
        assert_eq!(wakes(Wait::Block, vec![block(9), panicked()]), Some(1));
    }

    #[test]
    fn blocks_come_in_order_and_the_first_panic_before_them() {
        let returns = Returns::new(7);
        let pop = || returns.pop().map(|block| block.map(|block| block.id));
        returns.deliver(block(8));
        assert_eq!(pop(), Ok(None));
        returns.deliver(block(7));
        for message in ["a", "b"] {
            returns.deliver(Outcome::Panicked(message.to_owned()));
        }
        assert_eq!(pop(), Err("a".to_owned()));
        assert_eq!([pop(), pop(), pop()], [Ok(Some(7)), Ok(Some(8)), Ok(None)]);
        returns.wait(Wait::Block, Some(Duration::from_millis(1)));
    }
}
