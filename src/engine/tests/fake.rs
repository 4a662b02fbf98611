//! A device made of the CPU's coder that can misbehave in every way that the seam allows.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    BlockFault, DeviceError, Simd,
    engine::{
        Bytes, Coder, Held,
        accel::{Accelerator, Arrival, BatchLimit, Load, Planned, Stay, Unload, Waker, Way, Work},
    },
    format::BlockKind,
};

/// What a [`Fake`] does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    None,
    /// Finishes all batches in flight at once, the last first.
    Backward,
    /// Refuses to plan the batch of this number.
    RefusePlan(usize),
    /// Refuses to start the batch of this number.
    RefuseStart(usize),
    /// Is lost before it finishes the batch of this number.
    LoseAt(usize),
    /// Loses a block on the way.
    KeepBlocks,
    /// Says of every block that it cannot be coded.
    Fault,
    Panic,
    /// Panics while it copies a block's input.
    PanicInLoad,
    /// Takes so many milliseconds for a batch.
    Slow(u64),
    /// Never finishes anything.
    Stall,
    /// Finishes nothing until it is [released](Seen::released).
    Hold,
}

/// What a [`Fake`] has seen.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub batches: AtomicUsize,
    /// The blocks of each batch.
    pub sizes: Mutex<Vec<usize>>,
    /// Held while a batch is planned.
    pub gate: Mutex<()>,
    pub jobs: AtomicUsize,
    /// The parts of each block, in the order of service.
    pub parts: Mutex<Vec<usize>>,
    /// How many batches were started.
    pub started: AtomicUsize,
    pub most_in_flight: AtomicUsize,
    pub released: AtomicBool,
    /// How often it was to be quiet.
    pub quiet: AtomicUsize,
    /// How often an engine gave it up.
    pub left: AtomicUsize,
    /// How often an engine gave it up for another to use.
    pub parked: AtomicUsize,
}

impl Seen {
    /// Waits until something has happened. False if it does not happen for a long time.
    pub fn comes_to(&self, happened: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(20);
        while !happened(self) && Instant::now() < end {
            thread::yield_now();
        }
        happened(self)
    }

    /// Has a device that [holds](Trouble::Hold) its batches finish them when so many have begun. False if they do not begin for a long
    /// time: then it finishes them all the same.
    pub fn release_at(self: &Arc<Self>, batches: usize) -> thread::JoinHandle<bool> {
        let seen = Arc::clone(self);
        thread::spawn(move || {
            let begun = seen.comes_to(|seen| seen.batches.load(Relaxed) >= batches);
            seen.released.store(true, Relaxed);
            begun
        })
    }
}

pub(crate) struct Fake {
    /// No two have the same, as a later run remembers how fast a device was.
    uuid: u128,
    coder: Coder,
    trouble: Trouble,
    batch: BatchLimit,
    /// Held by those who use a slot.
    slots: Vec<Arc<()>>,
    planned: Vec<Batch>,
    in_flight: VecDeque<Batch>,
    bell: Arc<(Mutex<bool>, Condvar)>,
    started: usize,
    finished: usize,
    seen: Arc<Seen>,
    /// Says that it reads and writes blocks where they are.
    in_place: bool,
}

struct Batch {
    slot: usize,
    /// The input as it was loaded.
    jobs: Vec<mpsc::Receiver<Work<'static>>>,
    due: Instant,
}

impl Fake {
    pub fn new(trouble: Trouble, batch: usize, slots: usize) -> (Self, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let fake = Self {
            uuid: COUNT.fetch_add(1, Relaxed) as u128,
            coder: Coder::new(Simd::Scalar, true).unwrap(),
            trouble,
            batch: BatchLimit { parts: batch, raw_bytes: 1 << 20 },
            slots: (0..slots).map(|_| Arc::new(())).collect(),
            planned: Vec::new(),
            in_flight: VecDeque::new(),
            bell: Arc::default(),
            started: 0,
            finished: 0,
            seen: Arc::clone(&seen),
            in_place: false,
        };
        (fake, seen)
    }

    /// The same, with no more raw bytes in a batch.
    pub fn with_batches_of(mut self, raw_bytes: usize) -> Self {
        self.batch.raw_bytes = raw_bytes;
        self
    }

    /// The same, which says of blocks that it needs no copies of the engine's: it makes them at once.
    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }

    fn code(&mut self, slot: usize, loaded: &mpsc::Receiver<Work<'static>>, lends: bool) -> Unload {
        let mut work = loaded.try_recv().expect("a batch is started when everything is loaded");
        if let Work::Decode { parts, .. } = &work {
            let coded = parts.iter().any(|part| part.encoded.kind == BlockKind::Coded);
            assert!(coded, "trivial blocks are not worth the way");
        }
        let outcome = match self.trouble {
            Trouble::Fault => Err(BlockFault::Stream),
            _ => self.coder.code_parts(&mut work),
        };
        let lease = Out(Some(Arc::clone(&self.slots[slot])), self.waker());
        Box::new(move |target, stay| {
            match (work, target) {
                (Work::Encode { payload: from, parts, .. }, Work::Encode { payload, .. })
                    if lends && stay == Stay::May && parts.len() == 1 =>
                {
                    payload.hold(Box::new(Payload(from.to_vec(), lease)));
                }
                (work, target) => unload(work, target),
            }
            outcome
        })
    }
}

/// What keeps a slot. Its end rings.
struct Out(Option<Arc<()>>, Waker);

impl Drop for Out {
    fn drop(&mut self) {
        self.0 = None;
        (self.1)();
    }
}

/// A payload that stays at the fake.
struct Payload(Vec<u8>, #[expect(dead_code, reason = "it is dropped")] Out);

impl std::fmt::Debug for Payload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a payload")
    }
}

impl Held for Payload {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Work<'_> {
    /// The same on a copy of the input, like a device's.
    fn copy(&self) -> Work<'static> {
        let copy = |bytes: &[u8]| Arc::new(Bytes::Own(bytes.to_vec()));
        match self {
            Self::Encode { raw, parts, segment_log, .. } => Work::Encode {
                raw: copy(raw),
                parts: parts.clone(),
                segment_log: *segment_log,
                payload: Bytes::default(),
            },
            Self::Decode { payload, parts, segment_log, .. } => Work::Decode {
                payload: copy(payload),
                parts: parts.clone(),
                segment_log: *segment_log,
                raw: Bytes::default(),
            },
        }
    }
}

/// Copies the output.
fn unload<'a>(from: Work<'a>, to: &mut Work<'a>) {
    match (from, to) {
        (Work::Encode { payload: from, .. }, Work::Encode { payload, .. }) => {
            let payload = payload.buffer();
            payload.clear();
            payload.extend_from_slice(&from);
        }
        (Work::Decode { raw: from, .. }, Work::Decode { raw, .. }) => {
            assert!(raw.accept(from), "it has a place for them");
        }
        _ => panic!("that is another job"),
    }
}

impl Accelerator for Fake {
    fn name(&self) -> &str {
        "fake"
    }

    fn uuid(&self) -> [u8; 16] {
        self.uuid.to_le_bytes()
    }

    fn batch_limit(&self) -> BatchLimit {
        self.batch
    }

    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn idle_slots(&self) -> usize {
        self.slots.iter().filter(|slot| Arc::strong_count(slot) == 1).count()
            - self.planned.len()
            - self.in_flight.len()
    }

    fn staging_bytes(&self) -> u64 {
        1 << 20
    }

    fn shrink(&mut self, _staging: u64) {}

    fn waker(&self) -> Waker {
        let bell = Arc::clone(&self.bell);
        Arc::new(move || {
            *bell.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
            bell.1.notify_all();
        })
    }

    fn measure(&mut self, _spans: bool) {}

    fn plan(&mut self, works: &[&Work<'_>]) -> Result<Planned, DeviceError> {
        let parts: usize = works.iter().map(|work| work.parts()).sum();
        assert!(!works.is_empty() && parts <= self.batch.parts && self.idle_slots() > 0);
        let raw_bytes: usize = works.iter().map(|work| work.raw_bytes()).sum();
        assert!(raw_bytes <= self.batch.raw_bytes, "{raw_bytes} bytes are too many for a batch");
        let number = self.seen.batches.fetch_add(1, Relaxed);
        let _open = self.seen.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if self.trouble == Trouble::RefusePlan(number) {
            let result = "no".to_owned();
            return Err(DeviceError::Vulkan { call: "vkAllocateMemory", result });
        }
        self.seen.jobs.fetch_add(works.len(), Relaxed);
        self.seen.sizes.lock().unwrap().push(works.len());
        self.seen.parts.lock().unwrap().extend(works.iter().map(|work| work.parts()));
        let in_use: Vec<usize> =
            self.planned.iter().chain(&self.in_flight).map(|batch| batch.slot).collect();
        let idle =
            |slot: &usize| !in_use.contains(slot) && Arc::strong_count(&self.slots[*slot]) == 1;
        let slot = (0..self.slots.len()).find(idle).expect("there is an idle slot");
        let (ways, jobs): (Vec<Way>, _) = works
            .iter()
            .map(|work| {
                let (sender, loaded) = mpsc::channel();
                if self.in_place {
                    sender.send(work.copy()).expect("the receiver is here");
                    return (Way { load: None, in_place: true }, loaded);
                }
                let trouble = self.trouble;
                let load: Load = Box::new(move |work| {
                    assert!(trouble != Trouble::PanicInLoad, "no copy of this");
                    let _ = sender.send(work.copy()); // The device may be gone.
                    None
                });
                (Way::from(load), loaded)
            })
            .unzip();
        self.planned.push(Batch { slot, jobs, due: Instant::now() });
        Ok(Planned { slot, ways })
    }

    fn quiet(&mut self) {
        self.seen.quiet.fetch_add(1, Relaxed);
    }

    fn start(&mut self, slot: usize) -> Result<(), DeviceError> {
        let place = self.planned.iter().position(|batch| batch.slot == slot).unwrap();
        let mut batch = self.planned.remove(place);
        if let Trouble::Slow(milliseconds) = self.trouble {
            batch.due = Instant::now() + Duration::from_millis(milliseconds);
        }
        self.started += 1;
        self.seen.started.fetch_add(1, Relaxed);
        if self.trouble == Trouble::RefuseStart(self.started - 1) {
            let result = "no".to_owned();
            return Err(DeviceError::Vulkan { call: "vkQueueSubmit", result });
        }
        self.in_flight.push_back(batch);
        let in_flight = self.in_flight.iter().map(|batch| batch.jobs.len()).sum();
        self.seen.most_in_flight.fetch_max(in_flight, Relaxed);
        Ok(())
    }

    fn finished(&mut self) -> Result<Vec<Arrival>, DeviceError> {
        let now = Instant::now();
        let mut arrivals = Vec::new();
        while self.in_flight.front().is_some_and(|batch| batch.due <= now) {
            match self.trouble {
                Trouble::Stall => break,
                Trouble::Hold if !self.seen.released.load(Relaxed) => break,
                Trouble::Panic => panic!("the driver said no"),
                Trouble::LoseAt(at) if at == self.finished => return Err(DeviceError::Lost),
                _ => {}
            }
            self.finished += 1;
            let batch = self.in_flight.pop_front().unwrap();
            let jobs = batch.jobs.iter().skip(usize::from(self.trouble == Trouble::KeepBlocks));
            let held = self.slots.iter().filter(|slot| Arc::strong_count(slot) > 1).count();
            let lends = held < self.slots.len() / 2;
            let unloads = jobs.map(|job| self.code(batch.slot, job, lends)).collect();
            arrivals.push(Arrival { slot: batch.slot, unloads, spans: Vec::new() });
        }
        if self.trouble == Trouble::Backward {
            arrivals.reverse();
        }
        Ok(arrivals)
    }

    fn wait(&mut self, most: Option<Duration>) -> Result<(), DeviceError> {
        let (woken, condition) = &*self.bell;
        let mut woken = woken.lock().unwrap_or_else(PoisonError::into_inner);
        let due = self.in_flight.front().filter(|_| self.trouble != Trouble::Stall);
        let due = due.map(|batch| match self.trouble {
            Trouble::Hold => Duration::from_millis(1),
            _ => batch.due.saturating_duration_since(Instant::now()),
        });
        let most = [due, most].into_iter().flatten().min();
        if !*woken {
            let most = most.unwrap_or(Duration::from_secs(3600));
            let waited = condition.wait_timeout(woken, most);
            woken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *woken = false;
        Ok(())
    }

    fn park(self: Box<Self>) {
        if self.idle_slots() == self.slots.len() {
            self.seen.parked.fetch_add(1, Relaxed);
        }
        self.seen.left.fetch_add(1, Relaxed);
    }
}
