//! The path of a task, to be counted: on one thread, so that the count is always the same.

use std::sync::{atomic::Ordering::Relaxed, mpsc};

use super::{Forage, Outcome, Scheduler, Task};

/// Tasks that wait at a time.
const WAITING: u64 = 64;

struct Nothing;

impl Task for Nothing {
    type Scratch = ();
    type Output = ();

    fn run(self, _: usize, (): &mut ()) -> Option<()> {
        Some(())
    }
}

/// Spawns tasks that do nothing, retires them as a worker does, and receives what they yield.
pub fn spawn_and_retire(tasks: u64) {
    let (sender, done) = mpsc::channel();
    let scheduler = Scheduler::<Nothing>::new(1, |_| (), |_| Forage::Sleep(None), sender);
    let mut crew = scheduler.crew.lock().expect("nobody has panicked");
    let local = crew.dormant.pop().expect("one worker");
    drop(crew);
    scheduler.complete.store(true, Relaxed); // This thread is the worker: nobody else is hired.
    let mut scratch = None;
    for batch in 0..tasks.div_ceil(WAITING) {
        let count = WAITING.min(tasks - batch * WAITING);
        (0..count).for_each(|_| scheduler.spawn(Nothing));
        for _ in 0..count {
            let task = scheduler.shared.next(0, &local).expect("it waits");
            scheduler.shared.run(task, 0, &mut scratch);
            assert!(matches!(done.try_recv(), Ok(Outcome::Finished(()))));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_tasks_come_back() {
        super::spawn_and_retire(1000);
    }
}
