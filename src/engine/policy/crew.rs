//! The CPU workers, as far as the policy knows: what they run and what waits for them.

use super::{
    BEHIND, ENTROPY, KINDS, Kind, LOAD, MODEL, WHOLE,
    rates::{CpuPrior, Rate},
};

/// Of more workers than these, so many are looked at.
const SAMPLE: usize = 64;

pub(super) struct Crew {
    rates: [Rate; KINDS],
    running: Vec<Option<Task>>,
    /// How many do not run.
    idle: usize,
    queued: [Queued; KINDS],
    /// Nanoseconds of ended tasks that the CPU alone would have had as well.
    coded: f64,
}

#[derive(Clone, Copy)]
struct Task {
    began: u64,
    kind: Kind,
    bytes: u64,
    /// What it was expected to take when it began, if that was known.
    expected: Option<f64>,
}

#[derive(Clone, Copy, Default)]
struct Queued {
    tasks: u64,
    bytes: u64,
}

impl Task {
    /// Whether the CPU alone would have it as well.
    fn codes(&self) -> bool {
        ![BEHIND, LOAD].contains(&self.kind)
    }
}

impl Crew {
    pub fn new(workers: usize, prior: &CpuPrior) -> Self {
        let workers = workers.max(1);
        Self {
            rates: prior.aged().rates,
            running: vec![None; workers],
            idle: workers,
            queued: Default::default(),
            coded: 0.0,
        }
    }

    pub fn queue(&mut self, kind: Kind, bytes: u64) {
        let queued = &mut self.queued[kind.index()];
        queued.tasks += 1;
        queued.bytes += bytes;
    }

    pub fn unqueue(&mut self, kind: Kind, bytes: u64) {
        let queued = &mut self.queued[kind.index()];
        queued.tasks = queued.tasks.saturating_sub(1);
        queued.bytes = if queued.tasks == 0 { 0 } else { queued.bytes.saturating_sub(bytes) };
    }

    pub fn begin(&mut self, worker: usize, now: u64, kind: Kind, bytes: u64) {
        let expected = self.cost(kind, bytes);
        if let Some(running) = self.running.get_mut(worker)
            && running.replace(Task { began: now, kind, bytes, expected }).is_none()
        {
            self.idle -= 1;
        }
    }

    pub fn end(&mut self, worker: usize, now: u64) {
        if let Some(task) = self.running.get_mut(worker).and_then(Option::take) {
            self.idle += 1;
            let spent = now.saturating_sub(task.began);
            self.coded += if task.codes() { spent as f64 } else { 0.0 };
            self.rates[task.kind.index()].learn_task(task.bytes, spent);
        }
    }

    /// So many bytes did not have to be copied to a device.
    pub fn spare_load(&mut self, bytes: u64) {
        self.rates[LOAD.index()].learn(bytes, 0);
    }

    /// The task ends, and nothing is learnt from it. The CPU alone would have had it.
    pub fn stop(&mut self, worker: usize) {
        if let Some(task) = self.running.get_mut(worker).and_then(Option::take) {
            self.idle += 1;
            self.coded += task.expected.unwrap_or(0.0);
        }
    }

    /// The task ends as if it had not been: nothing is learnt from it.
    pub fn abandon(&mut self, worker: usize) {
        if self.running.get_mut(worker).and_then(Option::take).is_some() {
            self.idle += 1;
        }
    }

    /// Whether blocks wait that no idle worker is about to begin, if so many `more` were queued.
    pub fn has_waiting(&self, more: u64) -> bool {
        self.queued.iter().map(|queued| queued.tasks).sum::<u64>() + more > self.idle as u64
    }

    /// What a task takes once it has begun; `None` if nothing like it has been measured.
    pub fn cost(&self, kind: Kind, bytes: u64) -> Option<f64> {
        let rate = |kind: Kind| self.rates[kind.index()].ns(bytes);
        rate(kind).or_else(|| match kind {
            WHOLE => Some(rate(MODEL)? + rate(ENTROPY)?),
            // Not more than the block of which it is a part.
            MODEL | ENTROPY => rate(WHOLE),
            _ => None,
        })
    }

    /// What is to be done for a block that a device codes; nothing, as long as nothing is known.
    pub fn behind(&self, bytes: u64) -> f64 {
        self.cost(BEHIND, bytes).unwrap_or(0.0)
    }

    /// Its copy to the device, likewise.
    pub fn load(&self, bytes: u64) -> f64 {
        self.cost(LOAD, bytes).unwrap_or(0.0)
    }

    /// When a task would be done, from now, that takes `cost` and is begun after all that is queued and after `more`
    /// nanoseconds of other tasks (which may be negative).
    ///
    /// Workers take tasks as they become free. Were all tasks equal, the starts of worker `i` would be `r_i`,
    /// `r_i + cost`, and so on, where `r_i` is what is left of its present task. The queue has the earliest of these,
    /// so the start of number `n` is `r_k + n / workers * cost` where `r_k` is the one of rank `n % workers`: exact as
    /// long as no `r_i` is more than `cost`. Other queues count by the time they take.
    pub fn finish(&self, now: u64, cost: f64, more: f64) -> f64 {
        self.finish_after(now, cost, more, 0.0)
    }

    /// The same if those that are idle begin nothing for so many nanoseconds.
    pub fn finish_after(&self, now: u64, cost: f64, more: f64, idle: f64) -> f64 {
        let cost = cost.max(1.0);
        let ahead = ((self.queued_ns() + more) / cost + 1e-6).max(0.0);
        let workers = self.running.len();
        let (mut left, count, step) = self.all_left(now, idle);
        let waves = (ahead / workers as f64).floor();
        let place = (ahead - waves * workers as f64) as usize / step;
        let place = place.min(count - 1);
        let (_, start, _) = left[..count].select_nth_unstable_by(place, f64::total_cmp);
        *start + waves * cost + cost
    }

    /// When, from now, so many nanoseconds of urgent tasks will be done, as if they could be divided at will. Workers take them before
    /// anything else as soon as their present tasks have ended; `others` threads begin at once.
    pub fn urgent(&self, now: u64, work: f64, others: usize) -> f64 {
        let (mut left, count, step) = self.all_left(now, 0.0);
        let left = &mut left[..count];
        left.sort_unstable_by(f64::total_cmp);
        let (mut threads, mut ahead) = (others.max(1) as f64, work);
        for &mut left in left {
            if ahead <= left * threads {
                break;
            }
            threads += step as f64;
            ahead += left * step as f64;
        }
        ahead / threads
    }

    /// When, from the beginning of the run, the workers alone would have been through with all that they have done, run and have
    /// queued, and `more` nanoseconds of other tasks.
    pub fn alone(&self, now: u64, more: f64) -> f64 {
        let running = self.running.iter().flatten().filter(|task| task.codes());
        let spent = |task: &Task| now.saturating_sub(task.began) as f64;
        let running: f64 = running.map(|task| spent(task) + self.left(now, *task)).sum();
        (self.coded + running + self.queued_ns() + more) / self.running.len() as f64
    }

    /// What is left of the workers' tasks, `idle` where there is none: so many, of every worker or, of many, of one in so many.
    fn all_left(&self, now: u64, idle: f64) -> ([f64; SAMPLE], usize, usize) {
        let step = self.running.len().div_ceil(SAMPLE);
        let (mut left, mut count) = ([0.0; SAMPLE], 0);
        for task in self.running.iter().step_by(step) {
            left[count] = task.map_or(idle, |task| self.left(now, task));
            count += 1;
        }
        if self.idle > 0 && step > 1 {
            left[0] = idle; // It may not be among those that were looked at.
        }
        (left, count, step)
    }

    /// What is left of a task. One that takes longer than its like is taken to be half done.
    fn left(&self, now: u64, task: Task) -> f64 {
        let spent = now.saturating_sub(task.began) as f64;
        let expected = task.expected.or_else(|| self.cost(task.kind, task.bytes)).unwrap_or(0.0);
        (expected - spent).max(spent - expected)
    }

    fn queued_ns(&self) -> f64 {
        let all = self.queued.iter().enumerate().filter(|(_, queued)| queued.tasks > 0);
        all.map(|(kind, queued)| self.cost(Kind(kind as u8), queued.bytes).unwrap_or(0.0)).sum()
    }

    pub fn prior(&self) -> CpuPrior {
        CpuPrior { rates: self.rates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(workers: usize) -> Crew {
        let mut crew = Crew::new(workers, &CpuPrior::default());
        crew.begin(0, 0, WHOLE, 1000);
        crew.end(0, 100);
        crew
    }

    #[test]
    fn the_expected_finish_is_exact_for_equal_blocks() {
        for workers in [1, 2, 3, 16, 64] {
            let mut crew = crew(workers);
            // Worker `i` has begun `i % 100` ago; what is queued behind is then played.
            let mut free: Vec<u64> = (0..workers as u64).map(|i| 200 - i % 100).collect();
            for (i, _) in free.iter().enumerate() {
                crew.begin(i, 100 - i as u64 % 100, WHOLE, 1000);
            }
            for _ in 0..3 * workers + 1 {
                free.sort_unstable();
                let finish = free[0] + 100;
                free[0] = finish;
                let expected = crew.finish(100, 100.0, 0.0);
                assert!((expected - (finish - 100) as f64).abs() < 0.01, "{workers} workers");
                crew.queue(WHOLE, 1000);
            }
        }
    }

    /// Whoever is free has a share; the others, when they become so.
    #[test]
    fn urgent_tasks_are_done_by_whoever_is_or_becomes_free() {
        let mut crew = crew(2);
        assert_eq!(crew.urgent(100, 300.0, 1), 100.0);
        crew.begin(0, 100, WHOLE, 1000);
        crew.begin(1, 40, WHOLE, 1000);
        // Free after 100 and 40.
        assert_eq!(crew.urgent(100, 30.0, 1), 30.0);
        assert_eq!(crew.urgent(100, 140.0, 1), 90.0);
        assert_eq!(crew.urgent(100, 460.0, 1), 200.0);
        let mut many = Crew::new(1000, &CpuPrior::default());
        many.begin(0, 0, WHOLE, 1000);
        assert!((many.urgent(0, 1e6, 1) / 1000.0 - 1.0).abs() < 0.03);
    }

    #[test]
    fn more_workers_than_are_looked_at_are_estimated() {
        for workers in [65, 100, 1000] {
            let mut crew = crew(workers);
            (0..workers).for_each(|i| crew.begin(i, 100, WHOLE, 1000));
            assert_eq!(crew.finish(150, 100.0, 0.0), 150.0);
            (0..workers).for_each(|_| crew.queue(WHOLE, 1000));
            assert_eq!(crew.finish(150, 100.0, 0.0), 250.0);
        }
    }

    #[test]
    fn a_task_that_takes_too_long_is_expected_to_go_on() {
        let mut crew = crew(1);
        crew.begin(0, 0, WHOLE, 1000);
        assert_eq!(crew.finish(60, 100.0, 0.0), 140.0);
        assert_eq!(crew.finish(600, 100.0, 0.0), 600.0);
    }
}
