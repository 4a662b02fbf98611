//! What workers, the caller and a submission thread share of one device.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use super::{
    accel::{Accelerator, BatchLimit, Job, Load, Waker, Work},
    bytes::Bytes,
    channel::Channel,
};
use crate::telemetry::Piece;

/// See the [module](self).
pub(crate) struct Station<'a> {
    /// Its place in the list of devices.
    pub index: usize,
    pub name: String,
    pub uuid: [u8; 16],
    pub limit: BatchLimit,
    pub channel: Channel<'a>,
    pub waker: Waker,
    flights: Mutex<Flights<'a>>,
    lost: AtomicBool,
}

/// Jobs whose input the device has, or reaches. Whoever takes one out finishes it.
struct Flights<'a> {
    jobs: HashMap<u64, Flight<'a>>,
    /// The device has failed: what comes now is the CPU's.
    grounded: bool,
}

struct Flight<'a> {
    job: Job<'a>,
    batch: u64,
    /// If a worker does it as well: what tells that worker to stop.
    backed_up: Option<Arc<AtomicBool>>,
}

/// What a backup needs of a job: the rest stays, for the device may be first.
pub(crate) struct Backup<'a> {
    pub id: u64,
    pub work: Work<'a>,
    pub piece: Piece,
    /// Somebody else has taken the job out: the work is in vain.
    pub stop: Arc<AtomicBool>,
}

/// How far the loads of a batch are.
#[derive(Debug)]
pub(crate) struct Loading {
    pub batch: u64,
    left: AtomicUsize,
}

impl<'a> Flight<'a> {
    fn end(self) -> Job<'a> {
        self.backed_up.inspect(|stop| stop.store(true, Relaxed));
        self.job
    }
}

impl<'a> Station<'a> {
    pub fn new(index: usize, accelerator: &dyn Accelerator) -> Self {
        let limit = accelerator.batch_limit();
        Self {
            index,
            name: accelerator.name().to_owned(),
            uuid: accelerator.uuid(),
            limit,
            channel: Channel::new(limit),
            waker: accelerator.waker(),
            flights: Mutex::new(Flights { jobs: HashMap::new(), grounded: false }),
            lost: AtomicBool::new(false),
        }
    }

    fn flights(&self) -> MutexGuard<'_, Flights<'a>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a job's input to the device's slot. The job comes back if the device has failed meanwhile.
    pub fn load(&self, mut job: Job<'a>, load: Load, loading: &Loading) -> Option<Job<'a>> {
        let crc = load(&job.work);
        job.checked(crc);
        let back = self.take_off(job, loading);
        if loading.left.fetch_sub(1, AcqRel) == 1 {
            (self.waker)();
        }
        back
    }

    /// Adds a job to those in flight of which nothing is to be copied. It comes back if the device has failed.
    pub fn take_off(&self, job: Job<'a>, loading: &Loading) -> Option<Job<'a>> {
        let mut flights = self.flights();
        if flights.grounded {
            Some(job)
        } else {
            let flight = Flight { job, batch: loading.batch, backed_up: None };
            flights.jobs.insert(flight.job.id, flight);
            None
        }
    }

    /// Whether nobody has taken a job out.
    pub fn holds(&self, id: u64) -> bool {
        self.flights().jobs.contains_key(&id)
    }

    /// Takes a job out, if nobody has yet. Its backup stops.
    pub fn claim(&self, id: u64) -> Option<Job<'a>> {
        self.flights().jobs.remove(&id).map(Flight::end)
    }

    /// Whether the device has failed.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    /// The device has failed. Whether it may yet write to the places of jobs.
    pub fn lose(&self) -> bool {
        self.lost.store(true, Relaxed);
        self.flights().jobs.values().any(|flight| flight.job.in_place)
    }

    /// The device has failed and writes to nobody's place: all jobs, and none will be added.
    pub fn ground(&self) -> Vec<Job<'a>> {
        self.lost.store(true, Relaxed);
        let mut flights = self.flights();
        flights.grounded = true;
        flights.jobs.drain().map(|(_, flight)| flight.end()).collect()
    }

    /// Looks for a job in flight that nobody backs up; `decide` sees its batch and raw bytes. That is the one that would
    /// arrive last, or if the device is `late` the oldest, for which the caller waits soonest.
    pub fn back_up(
        &self,
        late: bool,
        decide: impl FnOnce(u64, usize) -> bool,
    ) -> Option<Backup<'a>> {
        let mut flights = self.flights();
        // What a device writes itself, nobody may write as well.
        let open = flights.jobs.values_mut().filter(|flight| {
            flight.backed_up.is_none() && !flight.job.strict && !flight.job.in_place
        });
        let age = |flight: &&mut Flight<'_>| (flight.batch, flight.job.id);
        let flight = if late { open.min_by_key(age) } else { open.max_by_key(age) }?;
        let work = &flight.job.work;
        decide(flight.batch, work.raw_bytes()).then(|| {
            let stop = Arc::clone(flight.backed_up.insert(Arc::default()));
            let piece = flight.job.piece("backup", |block| block.entropy_stage());
            Backup { id: flight.job.id, work: flight.job.work.again(), piece, stop }
        })
    }
}

impl Work<'_> {
    /// The same input with no output.
    pub fn again(&self) -> Self {
        match self {
            Self::Encode { raw, parts, segment_log, .. } => Self::Encode {
                raw: Arc::clone(raw),
                parts: parts.clone(),
                segment_log: *segment_log,
                payload: Bytes::default(),
            },
            Self::Decode { payload, parts, segment_log, .. } => Self::Decode {
                payload: Arc::clone(payload),
                parts: parts.clone(),
                segment_log: *segment_log,
                raw: Bytes::default(),
            },
        }
    }
}

impl<'a> Work<'a> {
    /// Takes the output of the same work elsewhere; false if it has no place for it.
    pub fn accept(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::Decode { raw, .. }, Self::Decode { raw: from, .. }) => raw.accept(from),
            (work, other) => {
                *work = other;
                true
            }
        }
    }
}

impl Loading {
    /// Of a batch with so many loads.
    pub fn new(batch: u64, loads: usize) -> Self {
        Self { batch, left: AtomicUsize::new(loads) }
    }

    /// Whether all input is there.
    pub fn is_done(&self) -> bool {
        self.left.load(Acquire) == 0
    }
}
