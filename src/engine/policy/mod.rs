//! Who is to do the entropy stage of a block, where that is open: workers or one of several devices.
//!
//! A [`Policy`] is told what happens (tasks queued, begun and ended; blocks sent, batches started and arrived) and
//! derives what each side needs per byte and when each would be done with a further block. It has no clock, no
//! thread and no lock: every call gets the time in nanoseconds, so a simulation drives the very code that the engine
//! uses (`engine::sim`).
//!
//! - A block goes where it is expected to be finished first ([`choose`](Policy::choose)). For equal blocks
//!   this greedy rule is the best there is, if what is expected comes true.
//! - It does not: so a device whose channel is dry, or whose blocks have overtaken others, takes blocks that wait for a
//!   worker ([`pulls`](Policy::pulls)), an idle worker takes blocks that wait for a device ([`reclaims`](Policy::reclaims)), and does as well what a
//!   device has and nobody can take back ([`hedges`](Policy::hedges)).
//! - A device of which nothing is known gets a probe and nothing more until it has come back, and gets it from blocks
//!   that have to wait anyway.
//! - A channel that refuses blocks raises the [`pressure`], which sends blocks to the CPU for a while.

mod crew;
pub(crate) mod memory;
mod pressure;
mod queue;
mod rates;
#[cfg(test)]
mod tests;

pub(crate) use self::rates::{CpuPrior, DevicePrior};
use self::{crew::Crew, queue::DeviceQueue};

/// How many kinds there are.
const KINDS: usize = 5;
const WHOLE: Kind = Kind(0);
const MODEL: Kind = Kind(1);
const ENTROPY: Kind = Kind(2);
const BEHIND: Kind = Kind(3);
const LOAD: Kind = Kind(4);

/// The share of the time that a run has taken so far that may be lost waiting for a device that stalls. Stalls cost
/// twice that at most: once here, and once for the last block in its time.
const PATIENCE: f64 = 0.01;
/// Half-life of pressure in nanoseconds as long as no service time is known.
const HALF_LIFE: f64 = 1e6;

/// A run in which so many blocks were to be placed is a long one.
const MANY: u64 = 100;

/// What the cost of a task on the CPU depends on: 0 is a whole block, 1 the model's stage, 2 the entropy stage and what
/// comes behind it, 3 what comes behind a device, 4 the copy to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kind(pub u8);

impl Kind {
    fn index(self) -> usize {
        usize::from(self.0).min(KINDS - 1)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Cpu,
    /// By its number.
    Device(usize),
}

/// What became of a block that was sent to a device's channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    Accepted,
    Full,
    Disconnected,
}

/// Whether an idle worker is to do what a device has in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hedge {
    Now,
    /// Ask again then, in nanoseconds of the same clock.
    At(u64),
    /// It is not in flight any more.
    Never,
}

/// See the [module](self). All sizes are raw bytes, all times nanoseconds of one clock.
pub(crate) struct Policy {
    crew: Crew,
    devices: Vec<DeviceQueue>,
    /// The first and the last time that was named.
    began: Option<u64>,
    now: u64,
    /// How many blocks it was asked to place.
    asked: u64,
}

impl Policy {
    /// A policy for `workers` workers and these devices, which begins with what earlier runs measured.
    pub fn new(workers: usize, devices: &[DevicePrior], cpu: &CpuPrior) -> Self {
        let devices = devices.iter().map(|prior| DeviceQueue::new(workers, prior)).collect();
        Self { crew: Crew::new(workers, cpu), devices, began: None, now: 0, asked: 0 }
    }

    fn see(&mut self, now: u64) {
        self.began.get_or_insert(now);
        self.now = self.now.max(now);
    }

    // What happens on the CPU.

    /// A task was put into the workers' queue.
    pub fn queued(&mut self, kind: Kind, bytes: u64) {
        self.crew.queue(kind, bytes);
    }

    /// A worker begins a task, and thereby ends the one before. `queued` says that it had been announced.
    pub fn began(&mut self, worker: usize, now: u64, kind: Kind, bytes: u64, queued: bool) {
        self.see(now);
        if queued {
            self.crew.unqueue(kind, bytes);
        }
        self.crew.end(worker, now);
        self.crew.begin(worker, now, kind, bytes);
    }

    /// A worker has ended its task.
    pub fn ended(&mut self, worker: usize, now: u64) {
        self.see(now);
        self.crew.end(worker, now);
    }

    /// A worker has stopped a task that somebody else was sooner to do: how long it took says nothing.
    pub fn stopped(&mut self, worker: usize) {
        self.crew.stop(worker);
    }

    /// A worker's task has panicked: how long it took says nothing.
    pub fn abandoned(&mut self, worker: usize) {
        self.crew.abandon(worker);
    }

    // What happens at the devices.

    /// A block is about to be sent to a device's channel, whose thread may start it at once.
    pub fn offered(&mut self, device: usize, bytes: u64) {
        self.devices[device].accept(bytes);
    }

    /// What became of a block that was [offered](Self::offered).
    pub fn sent(&mut self, device: usize, now: u64, bytes: u64, sent: Sent) {
        self.see(now);
        let half_life = self.half_life(device, bytes);
        let device = &mut self.devices[device];
        let change = match sent {
            Sent::Full => 2.0,
            Sent::Disconnected => 1.0,
            Sent::Accepted => -1.0,
        };
        if sent != Sent::Accepted {
            device.withdraw(bytes);
        }
        device.pressure.add(now, half_life, change);
    }

    /// A block left a device's channel for the CPU.
    pub fn withdrawn(&mut self, device: usize, bytes: u64) {
        self.devices[device].withdraw(bytes);
    }

    /// Blocks went from the channel to the device, as one batch.
    pub fn started(&mut self, device: usize, batch: u64, now: u64, bytes: u64) {
        self.see(now);
        self.devices[device].start(batch, now, bytes);
    }

    /// A device reads a block's input where it is: no worker has anything to do for that.
    pub fn reached(&mut self, bytes: u64) {
        self.crew.spare_load(bytes);
    }

    /// The input of a batch is there: its service begins. Without this call the time that it took to get there counts as
    /// the device's latency.
    pub fn loaded(&mut self, device: usize, batch: u64, now: u64) {
        self.see(now);
        self.devices[device].load(batch, now);
    }

    /// A device has prepared itself for batches like those that it has: how long these take says little.
    pub fn disturbed(&mut self, device: usize) {
        self.devices[device].disturb();
    }

    /// A worker is to do a block as well that is in flight.
    pub fn backed_up(&mut self, device: usize, batch: u64, bytes: u64) {
        self.devices[device].back_up(batch, bytes);
    }

    /// A batch is done.
    pub fn arrived(&mut self, device: usize, batch: u64, now: u64) {
        self.see(now);
        self.devices[device].arrive(batch, now);
    }

    /// A device is not to be used any more.
    pub fn failed(&mut self, device: usize) {
        self.devices[device].fail();
    }

    // Decisions.

    /// Where a block is expected to be finished first, if it is put behind everything that waits there. Nothing is
    /// noted: the caller says what became of it with [`sent`](Self::sent) or [`queued`](Self::queued).
    pub fn choose(&mut self, now: u64, kind: Kind, bytes: u64) -> Place {
        self.see(now);
        self.asked += 1;
        // A worker goes on at once with a block that it has. Then it matters whether others wait for it.
        if self.crew.has_waiting(u64::from(kind == WHOLE))
            && let Some(device) = self.probe(now, bytes)
        {
            return Place::Device(device);
        }
        let (Some(cost), behind) = (self.crew.cost(kind, bytes), self.crew.behind(bytes)) else {
            return Place::Cpu; // It comes first where nothing is known.
        };
        // What a device codes leaves the workers something to do as well.
        if cost <= behind + self.crew.load(bytes) {
            return Place::Cpu;
        }
        let mut best = (self.crew.finish(now, cost, self.owed()), Place::Cpu);
        let copied = self.copied(now, bytes);
        for (number, device) in self.devices.iter().enumerate() {
            if device.failed || device.pressure.is_high(now, self.half_life(number, bytes)) {
                continue;
            }
            if let Some(finish) = device.finish(now, bytes, copied)
                && finish + behind < best.0
            {
                best = (finish + behind, Place::Device(number));
            }
        }
        best.1
    }

    /// A device to learn about.
    fn probe(&self, now: u64, bytes: u64) -> Option<usize> {
        self.devices.iter().enumerate().position(|(number, device)| {
            device.wants_probe() && !device.pressure.is_high(now, self.half_life(number, bytes))
        })
    }

    /// When, from now, everything will have been copied to devices, with so many bytes more: by their threads at once, by workers when their
    /// tasks have ended.
    fn copied(&self, now: u64, bytes: u64) -> f64 {
        let unloaded: u64 = self.devices.iter().map(DeviceQueue::unloaded).sum();
        let copies = self.crew.load(unloaded + bytes);
        if copies == 0.0 {
            return 0.0;
        }
        let threads = self.devices.iter().filter(|device| !device.failed).count();
        self.crew.urgent(now, copies, threads).max(self.crew.load(bytes))
    }

    /// Work that the blocks at the devices will yet be for the workers.
    fn owed(&self) -> f64 {
        let held = |device: &DeviceQueue| {
            self.crew.behind(device.held()) + self.crew.load(device.unloaded())
        };
        self.devices.iter().map(held).sum()
    }

    /// The device that is expected to finish a block first, for one that no worker may do; `None` if all have failed.
    pub fn fastest(&self, now: u64, bytes: u64) -> Option<usize> {
        let working = || self.devices.iter().enumerate().filter(|(_, device)| !device.failed);
        let probe = working().find(|(_, device)| device.wants_probe());
        let known = working()
            .filter_map(|(number, device)| {
                Some((number, device.finish(now, bytes, self.copied(now, bytes))?, device.held()))
            })
            // Where a block costs nothing beside its batch, all have the same to do.
            .min_by(|a, b| a.1.total_cmp(&b.1).then(a.2.cmp(&b.2)));
        let unknown = working().min_by_key(|(_, device)| device.held());
        probe
            .map(|(number, _)| number)
            .or(known.map(|(number, ..)| number))
            .or(unknown.map(|(number, _)| number))
    }

    /// Whether a device is to have a block that waits for a worker. If so, the block counts as
    /// sent to it.
    pub fn pulls(&mut self, device: usize, now: u64, kind: Kind, bytes: u64) -> bool {
        self.see(now);
        let pulls = self.wants(device, now, kind, bytes);
        if pulls {
            self.crew.unqueue(kind, bytes);
            self.devices[device].accept(bytes);
        }
        pulls
    }

    /// What [`pulls`](Self::pulls) will say.
    pub fn wants(&self, device: usize, now: u64, kind: Kind, bytes: u64) -> bool {
        let behind = self.crew.behind(bytes);
        let queue = &self.devices[device];
        match (queue.finish(now, bytes, self.copied(now, bytes)), self.crew.cost(kind, bytes)) {
            _ if queue.failed => false,
            (None, _) => queue.wants_probe() && self.crew.has_waiting(0),
            (Some(_), None) => queue.held() == 0,
            // Whichever block it takes, the queue gets shorter by its last.
            (Some(finish), Some(cost)) => {
                behind + self.crew.load(bytes) < cost
                    && finish + behind < self.crew.finish(now, cost, self.owed() - cost)
            }
        }
    }

    /// Whether an idle worker is to take a block back that waits in a device's channel: where it does it before the
    /// device would have done everything that waits, or the device is not on time.
    pub fn reclaims(&self, device: usize, now: u64, kind: Kind, bytes: u64) -> bool {
        let queue = &self.devices[device];
        match (queue.finish(now, 0, self.copied(now, 0)), self.crew.cost(kind, bytes)) {
            (Some(finish), Some(cost)) if !queue.failed && queue.is_on_time(now) => {
                cost < finish + self.crew.behind(bytes)
            }
            _ => true,
        }
    }

    /// When a device will be late if nothing arrives; `None` while it has nothing. What a late device holds should be
    /// done before anything new, as the window of blocks in flight closes behind it.
    pub fn late_at(&self, device: usize, now: u64) -> Option<u64> {
        let device = self.devices.get(device).filter(|device| !device.failed)?;
        self.late_in(device, now).map(|left| now.saturating_add_signed(left as i64))
    }

    fn late_in(&self, device: &DeviceQueue, now: u64) -> Option<f64> {
        device.late_in(now, |bytes| self.crew.cost(ENTROPY, bytes).unwrap_or(HALF_LIFE))
    }

    /// Whether a worker is to do a block as well that a device has in flight (backup execution: Dean and Ghemawat,
    /// MapReduce, 2004). `draining` says that the worker has nothing else to do and nothing else will come until blocks
    /// in flight are done.
    ///
    /// Where the device is late, always. A worker that has other blocks to do is better off with those as long as it is
    /// not. One that has not leaves the block to the device if that is expected to be sooner: it will be wanted for the copies of
    /// what arrives. But only where the run can [bear](Self::bears) the wait for a device that turns out to have stalled, or has taken
    /// so long that waiting until the device is late is nothing.
    pub fn hedges(
        &self,
        device: usize,
        batch: u64,
        now: u64,
        kind: Kind,
        bytes: u64,
        draining: bool,
    ) -> Hedge {
        let queue = &self.devices[device];
        if !queue.has(batch) {
            return Hedge::Never;
        }
        let cost = self.crew.cost(kind, bytes).unwrap_or(HALF_LIFE);
        let late_in = self.late_in(queue, now).unwrap_or(0.0);
        let wait = match queue.arrival(now, batch) {
            _ if queue.failed || late_in <= 0.0 => None,
            _ if !draining => Some(late_in),
            Some(arrival) if arrival + self.crew.behind(bytes) < cost => {
                // One that should have come is expected to take as long again, as in all estimates.
                let wait = arrival.abs().min(late_in);
                let patient = late_in <= PATIENCE * self.elapsed(now);
                let bears = || self.bears(now, kind, cost, wait).then_some(wait);
                if patient { Some(late_in) } else { bears() }
            }
            _ => None,
        };
        wait.map_or(Hedge::Now, |wait| Hedge::At(now.saturating_add(wait as u64).saturating_add(1)))
    }

    /// Whether idle workers can wait so long, even if no device ever comes back: where the rest is done as soon as if they
    /// began now, because others have more to do, or as soon as the CPU alone would have done everything, because devices have done
    /// enough already.
    fn bears(&self, now: u64, kind: Kind, cost: f64, wait: f64) -> bool {
        let sum = |bytes: fn(&DeviceQueue) -> u64| {
            self.crew.cost(kind, self.devices.iter().map(bytes).sum()).unwrap_or(0.0)
        };
        let (open, spared) = (sum(DeviceQueue::open), sum(|device| device.spared));
        let done = |idle| self.crew.finish_after(now, cost, open - cost, idle);
        let delayed = done(wait);
        delayed <= done(0.0) || self.elapsed(now) + delayed <= self.crew.alone(now, open + spared)
    }

    fn elapsed(&self, now: u64) -> f64 {
        now.saturating_sub(self.began.unwrap_or(now)) as f64
    }

    /// Raw bytes that wait for devices or that they have.
    pub fn held(&self) -> u64 {
        self.devices.iter().map(DeviceQueue::held).sum()
    }

    /// What was measured, for later runs. Of a device that a long run has left alone nothing is: what earlier ones measured may have been a thread that was put
    /// aside, and would keep it from showing that.
    pub fn priors(&self) -> (Vec<DevicePrior>, CpuPrior) {
        let neglected = |device: &DeviceQueue| self.asked >= MANY && !device.used;
        let prior = |device: &DeviceQueue| match neglected(device) {
            true => DevicePrior::default(),
            false => device.prior(self.now),
        };
        let cpu = self.crew.prior();
        let all = !self.devices.is_empty() && self.devices.iter().all(neglected);
        let cpu = if all { cpu.without_copies() } else { cpu };
        (self.devices.iter().map(prior).collect(), cpu)
    }

    /// What a device needs for a raw byte, beside what it needs for a batch.
    pub fn ns_per_byte(&self, device: usize) -> Option<f64> {
        self.devices[device].ns_per_byte()
    }

    /// Of pressure: a service time of the slower side.
    fn half_life(&self, device: usize, bytes: u64) -> f64 {
        let usual =
            self.devices[device].usual(bytes).max(self.crew.cost(WHOLE, bytes).unwrap_or(0.0));
        if usual > 0.0 { usual } else { HALF_LIFE }
    }
}
