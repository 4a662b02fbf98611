//! The path of a task, to be counted: on one thread, so that the count is always the same.

use std::sync::{Arc, atomic::Ordering::Relaxed, mpsc};

use super::{Forage, Outcome, Scheduler, Spawner, Task};
use crate::telemetry::{Kind, Recorder, Row, Run};

/// Tasks that wait at a time.
const WAITING: u64 = 64;

struct Nothing;

impl Task for Nothing {
    type Scratch = ();
    type Output = ();

    fn run(self, _: usize, (): &mut (), _: &mut Recorder) -> Option<()> {
        Some(())
    }
}

/// Spawns tasks that do nothing, retires them as a worker does, and receives what they yield;
/// with telemetry off.
pub fn spawn_and_retire(tasks: u64) {
    let (sender, done) = mpsc::channel();
    let run = Run::begin(None, "count");
    let (sleep, inbox) = (|_, _: &mut Recorder| Forage::Sleep(None), Arc::new(sender));
    let scheduler = Scheduler::<Nothing>::new(Spawner::free(), 1, 1, |_| (), sleep, &run, inbox);
    let mut crew = scheduler.crew.lock().expect("nobody has panicked");
    let local = crew.dormant.pop().expect("one worker");
    drop(crew);
    scheduler.complete.store(true, Relaxed); // This thread is the worker: nobody else is hired.
    let (mut scratch, mut recorder) = (None, run.recorder(Row::Worker(0)));
    for batch in 0..tasks.div_ceil(WAITING) {
        let count = WAITING.min(tasks - batch * WAITING);
        (0..count).for_each(|_| scheduler.spawn(Nothing));
        for _ in 0..count {
            let task = scheduler.shared.next(0, &local, &mut recorder).expect("it waits");
            recorder.lap(Kind::Admin);
            scheduler.shared.run_task(task, 0, &mut scratch, &mut recorder);
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
