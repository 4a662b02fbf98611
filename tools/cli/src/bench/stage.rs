//! One stage alone: on the CPU its work on every block, without an engine around it; on a device the time that the
//! device was busy, by its own clock.

use std::{
    num::NonZero,
    sync::{
        RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use ranvil::{
    Options, Simd, Telemetry,
    model::stages::{Block, Params, Stages},
};

use super::{BenchArgs, Content, Prepared, Sample, Work, args::Stage, pipeline};
use crate::interrupt::Interrupt;

/// The work of a stage. The round trip is verified.
pub fn prepare<'a>(
    stage: Stage,
    args: &BenchArgs,
    options: &Options,
    content: &'a Content,
    interrupt: &Interrupt,
) -> Result<Prepared<'a>> {
    if args.uses_device() {
        let Prepared { work, coded_bytes } = pipeline::prepare(args, options, content)?;
        return Ok(Prepared { work: Box::new(OnDevice(work)), coded_bytes });
    }
    let params = Params {
        pipeline: args.pipeline(),
        level: args.level().max(1),
        segment_log: content.segment_size.ilog2() as u8,
        table_log: args.format.table_log,
    };
    let step = match (stage, args.decompress) {
        (Stage::Model, false) => Stages::encode_model,
        (Stage::Model, true) => Stages::decode_model,
        (Stage::Entropy, false) => Stages::encode_entropy,
        (Stage::Entropy, true) => Stages::decode_entropy,
    };
    let workers = (0..threads(args.resources.threads)).map(|_| Stages::new(params, Simd::Auto));
    let mut workers: Vec<Stages> = workers.collect::<ranvil::Result<_>>()?;
    let blocks = prepare_blocks(&mut workers, content, interrupt)?;
    let coded_bytes = blocks.iter().map(|block| block.coded_bytes() as u64).sum();
    let interrupt = interrupt.clone();
    Ok(Prepared { work: Box::new(OnCpu { step, workers, blocks, interrupt }), coded_bytes })
}

/// How many threads 0 stands for, and every other number.
pub fn threads(asked: u16) -> usize {
    match asked {
        0 => thread::available_parallelism().map_or(1, NonZero::get),
        threads => threads.into(),
    }
}

struct OnCpu<'a> {
    step: fn(&mut Stages, &Block<'a>),
    workers: Vec<Stages>,
    blocks: Vec<Block<'a>>,
    interrupt: Interrupt,
}

impl Work for OnCpu<'_> {
    fn run(&mut self, _: &Options, _: Option<&Telemetry>) -> Result<Sample> {
        let Self { step, workers, blocks, interrupt } = self;
        let time = spread(workers, blocks.len(), interrupt, |worker, number| {
            step(worker, &blocks[number]);
        })?;
        Ok(Sample { time, setup: Duration::ZERO })
    }
}

/// Encodes and decodes every block once.
fn prepare_blocks<'a>(
    workers: &mut [Stages],
    content: &'a Content,
    interrupt: &Interrupt,
) -> Result<Vec<Block<'a>>> {
    let raw: Vec<&[u8]> = content.bytes.chunks(content.block_size).collect();
    let mut each: Vec<_> = workers.iter_mut().map(|worker| (worker, Vec::new())).collect();
    spread(&mut each, raw.len(), interrupt, |(worker, done), number| {
        done.push((number, worker.prepare(raw[number])));
    })?;
    let mut blocks: Vec<_> = each.into_iter().flat_map(|(_, done)| done).collect();
    blocks.sort_by_key(|(number, _)| *number);
    Ok(blocks.into_iter().map(|(_, block)| block).collect())
}

/// Gives each worker a thread and the numbers from 0 to `count`, one by one; the time from when all are ready.
fn spread<W: Send>(
    workers: &mut [W],
    count: usize,
    interrupt: &Interrupt,
    work: impl Fn(&mut W, usize) + Sync,
) -> Result<Duration> {
    let (gate, next) = (RwLock::new(()), AtomicUsize::new(0));
    let (gate, next, work) = (&gate, &next, &work);
    let mut started = Ok(());
    let start = thread::scope(|scope| {
        let closed = gate.write();
        for worker in workers {
            let task = move || {
                drop(gate.read());
                let numbers = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
                numbers
                    .take_while(|&number| number < count && interrupt.check().is_ok())
                    .for_each(|number| work(worker, number));
            };
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, task) {
                started = Err(anyhow::Error::from(error).context("no thread could be started"));
                break;
            }
        }
        let start = Instant::now();
        drop(closed);
        start
    });
    started?;
    let time = start.elapsed().max(Duration::from_nanos(1));
    interrupt.check()?;
    Ok(time)
}

/// The whole pipeline, of which only the device counts.
struct OnDevice<'a>(Box<dyn Work + 'a>);

impl Work for OnDevice<'_> {
    fn run(&mut self, options: &Options, telemetry: Option<&Telemetry>) -> Result<Sample> {
        let telemetry = telemetry.cloned().unwrap_or_else(Telemetry::new);
        let before = telemetry.total().gpu_busy;
        let Sample { setup, .. } = self.0.run(options, Some(&telemetry))?;
        let time = telemetry.total().gpu_busy.saturating_sub(before);
        ensure!(
            !time.is_zero(),
            "the device did nothing, or has no timestamps: measure the whole pipeline instead"
        );
        Ok(Sample { time, setup })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn every_number_is_given_once() {
        let seen = Mutex::new(vec![0; 1000]);
        let interrupt = Interrupt::default();
        spread(&mut [(); 3], 1000, &interrupt, |(), number| seen.lock().unwrap()[number] += 1)
            .unwrap();
        assert!(seen.into_inner().unwrap().iter().all(|&times| times == 1));
        interrupt.token().cancel();
        let error = spread(&mut [()], 1, &interrupt, |(), _| panic!("began")).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(ranvil::Error::Cancelled)));
    }
}
