//! Blocks through an accelerator as the engine sends them: batches of what fits, copied by several threads.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use super::CodedBlock;
use crate::{
    block::{BlockParams, DecodePart, EncodePart, Encoded},
    engine::{
        Bytes,
        accel::{Accelerator, Arrival, Load, Outcome, Span, Stay, Unload, Waker, Work},
    },
    error::{BlockFault, DeviceError},
};

/// Blocks to be coded, with room for what becomes of them. It can be sent again and again.
pub struct Traffic {
    works: Vec<Work<'static>>,
    outcomes: Vec<Option<Result<Outcome, BlockFault>>>,
}

impl Traffic {
    /// Blocks to encode with the same parameters.
    pub fn encode(blocks: &[&[u8]], params: BlockParams) -> Self {
        Self::new(blocks.iter().map(|raw| encode_work(raw, params)).collect())
    }

    /// Blocks to decode with the same segment size.
    pub fn decode(blocks: &[CodedBlock]) -> Self {
        Self::new(blocks.iter().map(decode_work).collect())
    }

    fn new(works: Vec<Work<'static>>) -> Self {
        let outcomes = works.iter().map(|_| None).collect();
        Self { works, outcomes }
    }

    /// How each block was encoded, and its payload: empty if it is stored.
    ///
    /// # Panics
    /// If they have not been encoded.
    pub fn encoded(&self) -> impl Iterator<Item = (Encoded, &[u8])> {
        self.works.iter().zip(&self.outcomes).map(|(work, outcome)| match (work, outcome) {
            (Work::Encode { payload, .. }, Some(Ok(Outcome::Encoded(parts)))) => {
                (parts[0].encoded, &payload[..])
            }
            (_, outcome) => panic!("an encode job came back as {outcome:?}"),
        })
    }

    /// What each block decodes to.
    ///
    /// # Panics
    /// If they have not been decoded.
    pub fn decoded(&self) -> impl Iterator<Item = Result<&[u8], BlockFault>> {
        self.works.iter().zip(&self.outcomes).map(|(work, outcome)| match (work, outcome) {
            (Work::Decode { raw, .. }, Some(Ok(Outcome::Decoded(_)))) => Ok(&raw[..]),
            (_, Some(Err(fault))) => Err(*fault),
            (_, outcome) => panic!("a decode job came back as {outcome:?}"),
        })
    }
}

pub(super) fn encode_work(raw: &[u8], params: BlockParams) -> Work<'static> {
    let BlockParams { coder, segment_log, table_log } = params;
    let parts = vec![EncodePart { range: 0..raw.len(), coder, table_log }];
    Work::Encode {
        raw: Arc::new(Bytes::Own(raw.to_vec())),
        parts,
        segment_log,
        payload: Bytes::default(),
    }
}

pub(super) fn decode_work(block: &CodedBlock) -> Work<'static> {
    Work::Decode {
        parts: vec![DecodePart {
            payload: 0..block.payload.len(),
            range: 0..block.raw_size as usize,
            encoded: Encoded { kind: block.kind, table_log: block.table_log },
            coder: block.coder,
        }],
        payload: Arc::new(Bytes::Own(block.payload.clone())),
        raw: Bytes::Own(vec![0xEE; 3]),
        segment_log: block.segment_log,
    }
}

/// How a trip went.
pub struct Trip {
    /// From the first batch's planning to the last copy's end.
    pub time: Duration,
    /// Batches.
    pub batches: usize,
    /// What the device did, batch by batch, if it was asked to tell.
    pub(super) spans: Vec<Vec<Span>>,
}

/// A copy, the block that it is for, and its slot.
struct Task {
    number: usize,
    slot: usize,
    work: Work<'static>,
    copy: Copy,
}

enum Copy {
    Load(Load),
    Unload(Unload),
}

/// A copy that is over.
struct Copied {
    number: usize,
    slot: usize,
    work: Work<'static>,
    /// Of an unload.
    outcome: Option<Result<Outcome, BlockFault>>,
}

/// Sends all blocks through; `threads` threads copy.
pub(super) fn send(
    accelerator: &mut dyn Accelerator,
    traffic: &mut Traffic,
    threads: usize,
) -> Result<Trip, DeviceError> {
    let (tasks, queue) = mpsc::channel();
    let (reports, copied) = mpsc::channel();
    let queue = Mutex::new(queue);
    let waker = accelerator.waker();
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let (queue, reports, waker) = (&queue, reports.clone(), waker.clone());
            scope.spawn(move || copy_all(queue, &reports, &waker));
        }
        drop(reports);
        let start = Instant::now();
        let mut sender = Dispatch {
            batches: Vec::new(),
            next: 0,
            left: traffic.works.len(),
            batch_of: HashMap::new(),
            spans: Vec::new(),
            accelerator,
            traffic,
            tasks,
            copied,
        };
        sender.run()?;
        let (spans, batches) = (sender.spans, sender.batches.len());
        Ok(Trip { time: start.elapsed(), batches, spans })
    })
}

fn copy_all(queue: &Mutex<Receiver<Task>>, reports: &Sender<Copied>, waker: &Waker) {
    loop {
        let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { number, slot, mut work, copy }) = task else { return };
        let outcome = match copy {
            Copy::Load(load) => {
                load(&work);
                None
            }
            Copy::Unload(unload) => Some(unload(&mut work, Stay::No)),
        };
        // The dispatcher has gone after an error.
        let _ = reports.send(Copied { number, slot, work, outcome });
        waker();
    }
}

/// A batch, and how many of its loads are not over.
struct Batch {
    numbers: std::ops::Range<usize>,
    loading: usize,
    works: Vec<Option<Work<'static>>>,
}

/// The submission thread.
struct Dispatch<'a> {
    accelerator: &'a mut dyn Accelerator,
    traffic: &'a mut Traffic,
    batches: Vec<Batch>,
    /// The batch that each slot holds.
    batch_of: HashMap<usize, usize>,
    /// The first block that has not been planned.
    next: usize,
    /// Blocks that are not back.
    left: usize,
    spans: Vec<Vec<Span>>,
    tasks: Sender<Task>,
    copied: Receiver<Copied>,
}

impl Dispatch<'_> {
    fn run(&mut self) -> Result<(), DeviceError> {
        while self.left > 0 {
            let mut idle = true;
            while let Ok(copied) = self.copied.try_recv() {
                self.note(copied)?;
                idle = false;
            }
            for arrival in self.accelerator.finished()? {
                self.unload(arrival);
                idle = false;
            }
            if self.next < self.traffic.works.len() && self.accelerator.idle_slots() > 0 {
                self.plan()?;
                idle = false;
            }
            if idle && self.left > 0 {
                self.accelerator.wait(None)?;
            }
        }
        Ok(())
    }

    fn plan(&mut self) -> Result<(), DeviceError> {
        let limit = self.accelerator.batch_limit();
        let (mut end, mut bytes) = (self.next, 0);
        while end < self.traffic.works.len() && end - self.next < limit.parts {
            bytes += self.traffic.works[end].raw_bytes();
            if bytes > limit.raw_bytes && end > self.next {
                break;
            }
            end += 1;
        }
        let numbers = self.next..end;
        let works: Vec<&Work<'_>> = self.traffic.works[numbers.clone()].iter().collect();
        let planned = self.accelerator.plan(&works)?;
        self.batch_of.insert(planned.slot, self.batches.len());
        let works = numbers.clone().map(|_| None).collect();
        self.batches.push(Batch { numbers: numbers.clone(), loading: numbers.len(), works });
        let loads = planned.ways.into_iter().filter_map(|way| way.load);
        for (number, load) in numbers.zip(loads) {
            let work = std::mem::replace(&mut self.traffic.works[number], nothing());
            self.give(Task { number, slot: planned.slot, work, copy: Copy::Load(load) });
        }
        self.next = end;
        Ok(())
    }

    fn give(&self, task: Task) {
        self.tasks.send(task).unwrap_or_else(|_| unreachable!("the threads wait for tasks"));
    }

    fn note(&mut self, copied: Copied) -> Result<(), DeviceError> {
        let Copied { number, slot, work, outcome } = copied;
        if outcome.is_some() {
            self.traffic.works[number] = work;
            self.traffic.outcomes[number] = outcome;
            self.left -= 1;
            return Ok(());
        }
        let batch = &mut self.batches[self.batch_of[&slot]];
        batch.works[number - batch.numbers.start] = Some(work);
        batch.loading -= 1;
        if batch.loading == 0 { self.accelerator.start(slot) } else { Ok(()) }
    }

    fn unload(&mut self, Arrival { slot, unloads, spans }: Arrival) {
        self.spans.push(spans);
        let batch = &mut self.batches[self.batch_of[&slot]];
        let works = std::mem::take(&mut batch.works).into_iter().flatten();
        let numbers = batch.numbers.clone();
        assert_eq!(numbers.len(), unloads.len(), "an unload for each job");
        for ((number, work), unload) in numbers.zip(works).zip(unloads) {
            self.give(Task { number, slot, work, copy: Copy::Unload(unload) });
        }
    }
}

/// Stands where a work was.
fn nothing() -> Work<'static> {
    Work::Decode {
        payload: Arc::default(),
        parts: Vec::new(),
        segment_log: 0,
        raw: Bytes::default(),
    }
}
