//! What a submission thread does, without the thread: batches go from the channel through loading to the device, and
//! arrivals to the workers. It never waits; [`device`](super::device) does, and a simulation with a clock of its own.

use std::sync::Arc;

use super::{
    accel::{Accelerator, Arrival, Job, Load, Unload, Way},
    desk::Fleet,
    station::{Loading, Station},
};
use crate::error::DeviceError;

/// While a device is busy, its next batch of strict blocks waits until it is at least this part of the largest: each batch has
/// a cost of its own. Blocks that others may do do not wait: the policy counts on that.
const FILL: usize = 4;

/// The first batch that an idle device gets is at most this part of the largest.
const FIRST: usize = 8;

/// A batch has no more raw bytes than take the device so many nanoseconds, as far as is known: whoever cancels, and whoever waits for a block,
/// waits for its whole batch.
const LONG: u64 = 20_000_000;

/// So many raw bytes are not too many for any device.
const LEAST: usize = 256 << 10;

/// Whoever runs the tasks that a submission makes.
pub(crate) trait Crew<'a> {
    /// Copy a job's input to the device.
    fn load(&self, job: Job<'a>, load: Load, loading: Arc<Loading>);
    /// Take the results of a job and go on with the block.
    fn complete(&self, job: Job<'a>, unload: Unload);
    /// Do what the device will not: it `failed` on the job, or was never given it.
    fn stand_in(&self, job: Job<'a>, failed: bool);
    /// A block that waits for a worker and is acceptable, if the device is to take it from there.
    fn spare(&self, accept: &dyn Fn(&Job<'_>) -> bool) -> Option<Job<'a>>;
    /// Whether all blocks of the run have been submitted.
    fn has_all(&self) -> bool;
    /// Whether nothing more is to be begun, as nobody wants the results.
    fn is_stopped(&self) -> bool {
        false
    }
    /// The device has begun a batch that the CPU may back up.
    fn started(&self) {}
    /// A slot has been given the batch of this number, of so many blocks.
    fn planned(&self, _batch: u64, _blocks: usize) {}
    /// The batch of this number went to the device.
    fn submitted(&self, _batch: u64) {}
    /// It has arrived.
    fn arrived(&self, _batch: u64, _arrival: &Arrival) {}
    /// The device has failed.
    fn failed(&self) {}
}

/// See the [module](self).
pub(crate) struct Submission<'a> {
    pub accelerator: Box<dyn Accelerator>,
    station: Arc<Station<'a>>,
    batches: Vec<Batch>,
    /// The most raw bytes of the next batch. The first blocks that come to an idle device are few, so that it has something to do while more are
    /// loaded, and each batch may have twice as many as the one before.
    most_bytes: usize,
    /// The next batch's number.
    next: u64,
    lost: bool,
}

/// A batch that is being loaded or that the device has.
struct Batch {
    number: u64,
    slot: usize,
    jobs: Vec<u64>,
    /// Whether some of them are not strict.
    shared: bool,
    loading: Arc<Loading>,
    started: bool,
}

impl<'a> Submission<'a> {
    pub fn new(accelerator: Box<dyn Accelerator>, station: Arc<Station<'a>>) -> Self {
        let most_bytes = station.limit.raw_bytes / FIRST;
        Self { accelerator, station, batches: Vec::new(), most_bytes, next: 0, lost: false }
    }

    /// The most raw bytes that a batch may have, as fast as the device is; `None` as long as that is not known. What batches cost beside their bytes
    /// smaller ones cost as well.
    fn largest(&self, fleet: &Fleet<'a>) -> Option<usize> {
        let limit = self.station.limit.raw_bytes;
        let ns_per_byte = fleet.policy().ns_per_byte(self.station.index)?;
        Some(((LONG as f64 / ns_per_byte) as usize).clamp(LEAST.min(limit), limit))
    }

    /// Gives the device up, for another engine to use unless it has failed.
    pub fn park(self) {
        if !self.lost {
            self.accelerator.park();
        }
    }

    /// Whether the device has failed: there will be nothing more to do.
    pub fn is_lost(&self) -> bool {
        self.lost
    }

    /// Does everything that can be done at the time `now`. False if that was nothing.
    pub fn step(&mut self, now: u64, fleet: &Fleet<'a>, crew: &dyn Crew<'a>) -> bool {
        if self.lost {
            return false;
        }
        self.try_step(now, fleet, crew).unwrap_or_else(|error| {
            self.fail(&error, fleet, crew);
            true
        })
    }

    fn try_step(
        &mut self,
        now: u64,
        fleet: &Fleet<'a>,
        crew: &dyn Crew<'a>,
    ) -> Result<bool, DeviceError> {
        let arrivals = self.accelerator.finished()?;
        let mut busy = !arrivals.is_empty();
        for arrival in arrivals {
            self.arrive(arrival, now, fleet, crew);
        }
        busy |= self.start_loaded(now, fleet, crew)?;
        while self.accelerator.idle_slots() > 0 && !crew.is_stopped() {
            let waiting = self.station.channel.strict_bytes();
            let few = waiting > 0
                && waiting < self.largest(fleet).unwrap_or(self.station.limit.raw_bytes) / FILL;
            if few && self.is_busy() && !crew.has_all() {
                break; // More may come, and what is in flight wakes us.
            }
            let mut overtaken = true;
            let Some(first) = self.take(&mut overtaken, crew, &|_| true) else {
                if !self.is_busy() {
                    self.most_bytes = self.station.limit.raw_bytes / FIRST;
                }
                break;
            };
            self.begin(first, overtaken, now, fleet, crew)?;
            self.start_loaded(now, fleet, crew)?; // Perhaps there was nothing to load.
            busy = true;
        }
        Ok(busy)
    }

    /// Starts the batches that are loaded. False if there are none.
    fn start_loaded(
        &mut self,
        now: u64,
        fleet: &Fleet<'a>,
        crew: &dyn Crew<'a>,
    ) -> Result<bool, DeviceError> {
        let mut busy = false;
        for batch in self.batches.iter_mut().filter(|batch| !batch.started) {
            // Of those that were planned, too, the rest is dropped: it is the device alone that cannot be stopped.
            if batch.loading.is_done() && !crew.is_stopped() {
                self.accelerator.start(batch.slot)?;
                let mut policy = fleet.policy();
                policy.loaded(self.station.index, batch.number, now);
                if self.accelerator.has_prepared() {
                    policy.disturbed(self.station.index);
                }
                drop(policy);
                (batch.started, busy) = (true, true);
                crew.submitted(batch.number);
                if batch.shared {
                    crew.started();
                }
            }
        }
        Ok(busy)
    }

    /// Whether the device has something to do.
    fn is_busy(&self) -> bool {
        !self.batches.is_empty()
    }

    /// Gives a batch that begins with `first` a slot. `overtaken` is [`take`](Self::take)'s.
    fn begin(
        &mut self,
        first: Job<'a>,
        overtaken: bool,
        now: u64,
        fleet: &Fleet<'a>,
        crew: &dyn Crew<'a>,
    ) -> Result<(), DeviceError> {
        let limit = self.station.limit;
        let (parts, raw_bytes) = (first.work.parts(), first.work.raw_bytes());
        if parts > limit.parts || raw_bytes > limit.raw_bytes {
            fleet.policy().withdrawn(self.station.index, raw_bytes as u64);
            crew.stand_in(first, false);
            return Ok(());
        }
        let largest = self.largest(fleet);
        self.most_bytes = self.most_bytes.min(largest.unwrap_or(limit.raw_bytes));
        let (batch, raw_bytes) = self.gather(first, overtaken, crew);
        let works: Vec<_> = batch.iter().map(|job| &job.work).collect();
        let planned = match self.accelerator.plan(&works) {
            Ok(planned) => planned,
            Err(error) => {
                batch.into_iter().for_each(|job| crew.stand_in(job, true));
                return Err(error);
            }
        };
        let number = self.next;
        self.next += 1;
        self.most_bytes = self.most_bytes.saturating_mul(2).min(limit.raw_bytes);
        let mut policy = fleet.policy();
        policy.started(self.station.index, number, now, raw_bytes as u64);
        let reached = batch.iter().zip(&planned.ways).filter(|(_, way)| way.load.is_none());
        reached.for_each(|(job, _)| policy.reached(job.work.raw_bytes() as u64));
        if self.accelerator.has_prepared() {
            policy.disturbed(self.station.index);
        }
        drop(policy);
        let loads = planned.ways.iter().filter(|way| way.load.is_some()).count();
        let loading = Arc::new(Loading::new(number, loads));
        crew.planned(number, batch.len());
        self.batches.push(Batch {
            number,
            slot: planned.slot,
            jobs: batch.iter().map(|job| job.id).collect(),
            shared: batch.iter().zip(&planned.ways).any(|(job, way)| !job.strict && !way.in_place),
            loading: Arc::clone(&loading),
            started: false,
        });
        for (mut job, Way { load, in_place }) in batch.into_iter().zip(planned.ways) {
            job.in_place = in_place;
            match load {
                Some(load) => crew.load(job, load, Arc::clone(&loading)),
                None => {
                    let back = self.station.take_off(job, &loading);
                    assert!(back.is_none(), "only this thread grounds the device");
                }
            }
        }
        Ok(())
    }

    /// What is to be served next, if it is acceptable. A block that still waits for a worker, since the channel was full when it came, comes before
    /// those behind it: all of these would wait for it in the end, in slots and in the window of blocks in flight.
    /// `overtaken` says whether there may be such a block, and then, whether there may be another.
    fn take(
        &self,
        overtaken: &mut bool,
        crew: &dyn Crew<'a>,
        accept: &dyn Fn(&Job<'_>) -> bool,
    ) -> Option<Job<'a>> {
        let channel = &self.station.channel;
        *overtaken = *overtaken && channel.has_refused();
        if *overtaken {
            let earlier = crew.spare(&|job| channel.has_overtaken(job.id) && accept(job));
            if earlier.is_some() {
                return earlier;
            }
            *overtaken = false;
        }
        channel.next(accept).or_else(|| crew.spare(accept))
    }

    /// What goes with a job into a batch, and their raw bytes.
    fn gather(
        &self,
        first: Job<'a>,
        mut overtaken: bool,
        crew: &dyn Crew<'a>,
    ) -> (Vec<Job<'a>>, usize) {
        let limit = self.station.limit;
        let (mut parts, mut raw_bytes) = (first.work.parts(), first.work.raw_bytes());
        let mut batch = vec![first];
        loop {
            let fits = |job: &Job<'_>| {
                parts + job.work.parts() <= limit.parts
                    && raw_bytes + job.work.raw_bytes() <= self.most_bytes
                    && batch[0].work.may_share_batch(&job.work)
            };
            let job = self.take(&mut overtaken, crew, &fits);
            let Some(job) = job else { return (batch, raw_bytes) };
            parts += job.work.parts();
            raw_bytes += job.work.raw_bytes();
            batch.push(job);
        }
    }

    fn arrive(&mut self, arrival: Arrival, now: u64, fleet: &Fleet<'a>, crew: &dyn Crew<'a>) {
        let place = self.batches.iter().position(|batch| batch.slot == arrival.slot);
        let batch = self.batches.remove(place.expect("only what was started arrives"));
        crew.arrived(batch.number, &arrival);
        fleet.policy().arrived(self.station.index, batch.number, now);
        assert_eq!(batch.jobs.len(), arrival.unloads.len(), "the device kept blocks");
        for (id, unload) in batch.jobs.into_iter().zip(arrival.unloads) {
            // Otherwise a backup was faster.
            if let Some(job) = self.station.claim(id) {
                crew.complete(job, unload);
            }
        }
    }

    /// Has the CPU do what the device could not. Nothing comes back to the device from there.
    pub fn fail(&mut self, error: &DeviceError, fleet: &Fleet<'a>, crew: &dyn Crew<'a>) {
        self.lost = true;
        fleet.policy().failed(self.station.index);
        crew.failed();
        if self.station.lose() {
            self.accelerator.quiet();
        }
        let in_flight = self.station.ground();
        let waiting = self.station.channel.close();
        log::warn!(
            "{} failed ({error}): the CPU codes {} blocks instead",
            self.station.name,
            in_flight.len()
        );
        in_flight.into_iter().for_each(|job| crew.stand_in(job, true));
        waiting.into_iter().for_each(|job| crew.stand_in(job, false));
    }
}
