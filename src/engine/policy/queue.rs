//! A device, as far as the policy knows: what waits for it, what it has in flight, when it will be done.

use std::collections::VecDeque;

use super::{
    pressure::Pressure,
    rates::{DevicePrior, Rate, Service},
};

/// Blocks that a device is given before anything is known of it: the first alone and the second behind it tell its
/// latency from its rate.
const PROBE: u32 = 2;
/// Less than so many measurements of a device of which nothing was known tell little as well: the threads that measure are held up now and
/// then, and runs would leave a device alone because of a single one.
const KNOWN: f64 = 1.2;

/// How long fewer batches than these took to be loaded says little of the next: workers are in the middle of their first blocks.
const FIRST_LOADS: f64 = 2.5;

/// A batch is late when it has taken longer than expected by this share.
const OVERDUE: f64 = 0.5;

/// What measurements that tell little weigh in the next run: not much more than what is believed at all, as a device prepares itself once.
const ROUGH: f64 = 0.06;

pub(super) struct DeviceQueue {
    measured: DevicePrior,
    /// The same from batches that tell little, for want of better ones.
    rough: DevicePrior,
    service: Option<Service>,
    /// Nothing was known of it when the run began.
    cold: bool,
    pub pressure: Pressure,
    /// Raw bytes in the channel.
    waiting: u64,
    in_flight: VecDeque<Batch>,
    last_arrival: u64,
    /// Raw bytes that came back and that no worker has done as well.
    pub spared: u64,
    loading: Rate,
    /// Blocks that it was given as a probe.
    probed: u32,
    /// It has been given something in this run.
    pub used: bool,
    pub failed: bool,
}

struct Batch {
    number: u64,
    /// When it was given a slot and, later, when its input was there.
    started: u64,
    loaded: bool,
    bytes: u64,
    /// Raw bytes of it that workers do as well.
    backed_up: u64,
    /// How long it takes says little.
    disturbed: bool,
}

impl DeviceQueue {
    pub fn new(workers: usize, prior: &DevicePrior) -> Self {
        let measured = prior.aged();
        Self {
            measured,
            rough: DevicePrior::default(),
            service: measured.service(),
            cold: measured.service().is_none(),
            pressure: Pressure::new(workers),
            waiting: 0,
            in_flight: VecDeque::new(),
            last_arrival: 0,
            spared: 0,
            loading: Rate::default(),
            probed: 0,
            used: false,
            failed: false,
        }
    }

    /// Whether it is cold and may be given a block to learn from.
    pub fn wants_probe(&self) -> bool {
        !self.failed && self.service.is_none() && self.probed < PROBE
    }

    /// What it needs for a raw byte, beside what it needs for a batch.
    pub fn ns_per_byte(&self) -> Option<f64> {
        self.measured.ns_per_byte()
    }

    /// A block has been put into its channel.
    pub fn accept(&mut self, bytes: u64) {
        self.waiting += bytes;
        self.used = true;
        self.probed += u32::from(self.service.is_none());
    }

    pub fn withdraw(&mut self, bytes: u64) {
        self.waiting = self.waiting.saturating_sub(bytes);
        if self.service.is_none() {
            self.probed = self.probed.saturating_sub(1);
        }
    }

    pub fn start(&mut self, number: u64, now: u64, bytes: u64) {
        self.waiting = self.waiting.saturating_sub(bytes);
        self.in_flight.push_back(Batch {
            number,
            started: now,
            loaded: false,
            bytes,
            backed_up: 0,
            disturbed: false,
        });
    }

    /// A worker does a block of a batch as well.
    pub fn back_up(&mut self, number: u64, bytes: u64) {
        if let Some(batch) = self.in_flight.iter_mut().find(|batch| batch.number == number) {
            batch.backed_up += bytes;
        }
    }

    /// What it has in flight takes longer than such batches will.
    pub fn disturb(&mut self) {
        self.in_flight.iter_mut().for_each(|batch| batch.disturbed = true);
    }

    pub fn load(&mut self, number: u64, now: u64) {
        if let Some(batch) = self.in_flight.iter_mut().find(|batch| batch.number == number) {
            self.loading.learn(batch.bytes, now.saturating_sub(batch.started));
            (batch.started, batch.loaded) = (now, true);
        }
    }

    pub fn arrive(&mut self, number: u64, now: u64) {
        let Some(place) = self.in_flight.iter().position(|batch| batch.number == number) else {
            return;
        };
        let batch = self.in_flight.remove(place).expect("it is there");
        self.learn(&batch, now);
        self.spared += batch.bytes.saturating_sub(batch.backed_up);
        if !batch.disturbed {
            self.service = self.measured.service();
        } else if self.in_flight.is_empty() {
            self.probed = 0; // If it is not known yet, it is probed again.
        }
        self.last_arrival = self.last_arrival.max(now);
    }

    fn learn(&mut self, batch: &Batch, now: u64) {
        // The device was through with the batch before by its arrival less the latency.
        let latency = self.service.map_or(0.0, |service| service.latency) as u64;
        let alone = batch.started >= self.last_arrival.saturating_sub(latency);
        let since = if alone { batch.started } else { self.last_arrival };
        let into = if batch.disturbed { &mut self.rough } else { &mut self.measured };
        into.learn(alone, batch.bytes, now.saturating_sub(since));
        // One that waited for others took no less than one alone. If such a one is expected to take twice as long, one was late, and without this
        // the device would have to be left alone until that is forgotten.
        let whole = now.saturating_sub(batch.started);
        let service = into.service().filter(|_| !alone);
        let expected = service.map_or(0.0, |service| service.alone(batch.bytes));
        if 2.0 * (whole as f64) < expected {
            into.learn(true, batch.bytes, whole);
        }
    }

    /// Whether a batch is in flight.
    pub fn has(&self, number: u64) -> bool {
        self.in_flight.iter().any(|batch| batch.number == number)
    }

    pub fn fail(&mut self) {
        self.failed = true;
        self.waiting = 0;
        self.in_flight.clear();
    }

    /// Raw bytes that it holds.
    pub fn held(&self) -> u64 {
        self.waiting + self.in_flight.iter().map(|batch| batch.bytes).sum::<u64>()
    }

    /// Raw bytes that it holds and that no worker does as well.
    pub fn open(&self) -> u64 {
        let backed_up = self.in_flight.iter().map(|batch| batch.backed_up).sum();
        self.held().saturating_sub(backed_up)
    }

    /// Raw bytes that are yet to be copied to it.
    pub fn unloaded(&self) -> u64 {
        let loading = self.in_flight.iter().filter(|batch| !batch.loaded);
        self.waiting + loading.map(|batch| batch.bytes).sum::<u64>()
    }

    /// When, from now, all that it holds and `bytes` more will have arrived; `None` if nothing is known. What waits goes
    /// as one batch, which is taken to be loaded at the time `copied`, or as fast as those before it, once there were several.
    pub fn finish(&self, now: u64, bytes: u64, copied: f64) -> Option<f64> {
        let service = self.service?;
        let bytes = self.waiting + bytes;
        // It is loaded while the device does what it has.
        let measured = self.loading.ns(bytes).filter(|_| self.loading.weight() > FIRST_LOADS);
        let copied = measured.unwrap_or(copied);
        let begin = self.through(now, service, u64::MAX).max(copied);
        Some(begin + service.time(bytes) + service.latency)
    }

    /// When, from now, a batch will arrive; negative if it should have; `None` if nothing is known.
    pub fn arrival(&self, now: u64, number: u64) -> Option<f64> {
        let service = self.service?;
        Some(self.through(now, service, number) + service.latency)
    }

    /// In how many nanoseconds what is in flight is late: when the oldest batch takes longer than expected by the share
    /// [`OVERDUE`]; of a cold device, longer than one CPU worker, as `cost` tells.
    pub fn late_in(&self, now: u64, cost: impl FnOnce(u64) -> f64) -> Option<f64> {
        let batch = self.in_flight.front()?;
        let spent = now.saturating_sub(batch.started.max(self.last_arrival)) as f64;
        let expected = match self.service {
            None => cost(batch.bytes),
            Some(service) => (1.0 + OVERDUE) * service.alone(batch.bytes),
        };
        Some(expected - spent)
    }

    /// Whether no batch should have arrived that has not.
    pub fn is_on_time(&self, now: u64) -> bool {
        let oldest = self.in_flight.front();
        oldest.is_none_or(|batch| self.arrival(now, batch.number).is_some_and(|left| left >= 0.0))
    }

    /// When, from now, the device is through with the batches in flight, as far as `last`; negative if that is past.
    ///
    /// Those that overlap share the latency. A batch that is late is taken to be half done, so what one expects of a
    /// device that stalls recedes as one waits.
    fn through(&self, now: u64, service: Service, last: u64) -> f64 {
        let ago = |time: u64| now.saturating_sub(time) as f64;
        let mut through = -ago(self.last_arrival) - service.latency;
        for batch in &self.in_flight {
            let expected = through.max(-ago(batch.started)) + service.time(batch.bytes);
            let late = -(expected + service.latency);
            if batch.number == last {
                return expected;
            }
            through = if late > 0.0 { late - service.latency } else { expected };
        }
        through
    }

    /// How long a batch of its usual size takes, roughly: the half-life of pressure.
    pub fn usual(&self, bytes: u64) -> f64 {
        self.service.map_or(0.0, |service| {
            let bytes = self.in_flight.back().map_or(bytes, |batch| batch.bytes);
            service.alone(bytes)
        })
    }

    /// What was measured. What is late at `now` counts as if it arrived then, so that the next run does not believe a
    /// device that has stalled.
    pub fn prior(&self, now: u64) -> DevicePrior {
        if self.failed {
            return DevicePrior::default();
        }
        if self.service.is_none() {
            return self.rough.scaled(ROUGH);
        }
        let mut measured = self.measured;
        let oldest = self.in_flight.front().filter(|batch| !batch.disturbed);
        if let (Some(service), Some(batch)) = (self.service, oldest) {
            let spent = now.saturating_sub(batch.started.max(self.last_arrival));
            if spent as f64 > service.alone(batch.bytes) {
                measured.learn(true, batch.bytes, spent);
            }
        }
        if self.cold && measured.weight() < KNOWN { measured.scaled(ROUGH) } else { measured }
    }
}
