//! Small inputs from slice to slice, through the library: on the device, on the CPU, and where `Auto` puts them.

use std::{
    io::{self, Write, stdout},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Result, bail};
use ranvil::{DeviceSelector, Options, Pipeline};
use serde::{Deserialize, Serialize};

use crate::{
    case::Direction,
    measure::{DRIFT, Effort, WARM_UP, Wrong, sample},
    record::Data,
    size, stats,
};

/// What a table has of each; times are medians.
pub const COLUMNS: [&str; 9] = [
    "pipeline",
    "work",
    "input",
    "ratio",
    "device, µs",
    "CPU, µs",
    "auto, µs",
    "blocks by device",
    "notes",
];

/// An input of one size: nanoseconds of each way, taken in turns.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Small {
    pub pipeline: String,
    pub direction: Direction,
    pub data: Data,
    /// Bytes of the whole frame.
    pub coded_bytes: u64,
    /// CPU threads, also beside the device.
    pub threads: usize,
    /// The entropy stage is the device's.
    pub device: Vec<f64>,
    /// Everything is the CPU's.
    pub cpu: Vec<f64>,
    /// The scheduler shares the entropy stage, by the speeds that it has measured.
    pub auto: Vec<f64>,
    /// Of so many blocks the device did so many for `auto`, on average.
    pub blocks: u64,
    pub on_device: f64,
    pub confidence: f64,
    /// What is doubtful about it, each behind the name of the way.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Small {
    /// The ways, by name.
    pub fn ways(&self) -> [(&'static str, &[f64]); 3] {
        [("device", &self.device), ("cpu", &self.cpu), ("auto", &self.auto)]
    }

    /// Frame over raw bytes.
    pub fn ratio(&self) -> f64 {
        self.coded_bytes as f64 / self.data.bytes as f64
    }

    /// What [`COLUMNS`] says.
    pub fn cells(&self) -> [String; COLUMNS.len()] {
        let [device, cpu, auto] = self.ways().map(|(_, samples)| {
            let median = stats::median(samples);
            let precision = stats::median_interval(samples, self.confidence).precision(median);
            format!("{:.1} ±{:.1} %", median / 1e3, 100.0 * precision)
        });
        [
            self.pipeline.clone(),
            self.direction.to_string(),
            size::human(self.data.bytes),
            format!("{:.4}", self.ratio()),
            device,
            cpu,
            auto,
            format!("{:.1} of {}", self.on_device, self.blocks),
            self.notes.join("; "),
        ]
    }

    /// What is doubtful about the samples.
    fn doubts(&self, effort: Effort) -> Vec<String> {
        let of = |(way, samples): (&'static str, &[f64])| {
            let mut notes = stats::doubts(samples, self.confidence, effort.precision);
            notes.extend(stats::drifted(samples, DRIFT));
            notes.into_iter().map(move |note| format!("{way}: {note}"))
        };
        self.ways().into_iter().flat_map(of).collect()
    }

    /// Whether the device was sooner than the CPU.
    fn device_is_sooner(&self) -> bool {
        stats::median(&self.device) < stats::median(&self.cpu)
    }

    /// Whether `auto` gave the device at least half of the blocks.
    fn auto_takes_the_device(&self) -> bool {
        2.0 * self.on_device >= self.blocks as f64
    }
}

/// What is measured of an input.
pub struct Input<'a> {
    pub pipeline: Pipeline,
    pub direction: Direction,
    pub name: &'a str,
    pub raw: &'a [u8],
    pub threads: usize,
}

/// One of the three ways, with memory that has been used before.
struct Way {
    options: Options,
    out: Vec<u8>,
    blocks: Arc<AtomicU64>,
    on_device: Arc<AtomicU64>,
}

impl Way {
    fn new(input: &Input<'_>, devices: &[DeviceSelector]) -> Result<Self> {
        let (blocks, on_device) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (all, some) = (Arc::clone(&blocks), Arc::clone(&on_device));
        let options = Options::new()
            .pipeline(input.pipeline)
            .threads(input.threads)
            .devices(devices.to_vec())
            .progress(move |progress| {
                all.store(progress.blocks, Relaxed);
                some.store(progress.device_blocks, Relaxed);
            });
        let room = options.compress_bound(input.raw.len())?;
        Ok(Self { options, out: vec![0; room], blocks, on_device })
    }

    /// Does it once, and compares the result. The time in nanoseconds.
    fn once(&mut self, input: &Input<'_>, coded: &[u8]) -> Result<f64> {
        self.out.fill(0x5a);
        let (from, expected) = match input.direction {
            Direction::Encode => (input.raw, coded),
            Direction::Decode => (coded, input.raw),
        };
        let start = Instant::now();
        let length = match input.direction {
            Direction::Encode => self.options.compress_into(from, &mut self.out)?,
            Direction::Decode => self.options.decompress_into(from, &mut self.out)?,
        };
        let time = start.elapsed();
        if self.out[..length] != *expected {
            bail!(Wrong(format!(
                "{} {}: wrong bytes; it has no speed",
                input.direction, input.pipeline
            )));
        }
        Ok(time.as_nanos() as f64)
    }
}

/// Measures an input, every result verified.
///
/// # Errors
/// The device's, or wrong bytes.
pub fn measure(device: &DeviceSelector, input: &Input<'_>, effort: Effort) -> Result<Small> {
    let cpu = DeviceSelector::Cpu;
    let reference = Options::new().pipeline(input.pipeline).device(cpu.clone());
    let coded = reference.compress(input.raw)?;
    let mut ways = [
        Way::new(input, std::slice::from_ref(device))?,
        Way::new(input, std::slice::from_ref(&cpu))?,
        Way::new(input, &[cpu, device.clone()])?,
    ];
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        for way in &mut ways {
            way.once(input, &coded)?;
        }
    }
    let mut times: [Vec<f64>; 3] = Default::default();
    let mut on_device = 0;
    let rounds = sample(effort, |rounds| {
        for (way, times) in ways.iter_mut().zip(&mut times) {
            times.push(way.once(input, &coded)?);
        }
        on_device += ways[2].on_device.load(Relaxed);
        rounds.push(times.iter().filter_map(|times| times.last()).sum());
        Ok(())
    })?;
    let [device, cpu, auto] = times;
    let mut small = Small {
        pipeline: input.pipeline.to_string(),
        direction: input.direction,
        data: Data {
            name: input.name.to_owned(),
            bytes: input.raw.len() as u64,
            crc32c: crc32c::crc32c(input.raw),
        },
        coded_bytes: coded.len() as u64,
        threads: input.threads,
        device,
        cpu,
        auto,
        blocks: ways[2].blocks.load(Relaxed),
        on_device: on_device as f64 / rounds.len() as f64,
        confidence: effort.confidence,
        notes: Vec::new(),
    };
    small.notes = small.doubts(effort);
    Ok(small)
}

/// Prints what is in the columns.
pub fn header() -> io::Result<()> {
    line(&COLUMNS.map(str::to_owned), "")
}

/// Prints a row.
pub fn row(small: &Small, mark: &str) -> io::Result<()> {
    line(&small.cells(), mark)
}

fn line(cells: &[String; COLUMNS.len()], mark: &str) -> io::Result<()> {
    let [pipeline, work, input, ratio, device, cpu, auto, blocks, notes] = cells;
    writeln!(
        stdout(),
        "{pipeline:<9}{work:<8}{input:>8}{ratio:>8}{device:>20}{cpu:>20}{auto:>20}  {blocks:<17}{mark}  {notes}"
    )
}

/// Where the crossover is, and where `auto` puts it: of inputs that differ in size only, in ascending order.
pub fn crossover(sizes: &[Small]) -> String {
    let from = |holds: fn(&Small) -> bool| {
        // From the first size on beyond which it holds throughout.
        let below = sizes.iter().rposition(|small| !holds(small)).map_or(0, |last| last + 1);
        sizes.get(below).map_or("at none of these sizes".to_owned(), |small| {
            format!("from {} on", size::human(small.data.bytes))
        })
    };
    format!(
        "the device is sooner {}; auto gives it most blocks {}",
        from(Small::device_is_sooner),
        from(Small::auto_takes_the_device)
    )
}

/// At how many bytes the device begins to be sooner: times between two sizes follow a power of the size. `None` if it is at
/// all of these sizes, which differ in nothing else and ascend, or at none.
pub fn crossover_at(sizes: &[Small]) -> Option<f64> {
    let last = sizes.iter().rposition(|small| !small.device_is_sooner())?;
    let (slow, fast) = (&sizes[last], sizes.get(last + 1)?);
    // How much later the device is, and the size, as logarithms.
    let late = |small: &Small| (stats::median(&small.device) / stats::median(&small.cpu)).ln();
    let size = |small: &Small| (small.data.bytes as f64).ln();
    let share = late(slow) / (late(slow) - late(fast));
    Some((size(slow) + share * (size(fast) - size(slow))).exp())
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn small(bytes: u64, device: f64, on_device: f64) -> Small {
        Small {
            pipeline: "rans".to_owned(),
            direction: Direction::Encode,
            data: Data { name: "mixed".to_owned(), bytes, crc32c: 0 },
            coded_bytes: bytes / 2,
            threads: 1,
            device: vec![device; 3],
            cpu: vec![bytes as f64; 3],
            auto: vec![device; 3],
            blocks: 4,
            on_device,
            confidence: 0.95,
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_is_doubtful_is_said_of_each_way() {
        let effort = Effort {
            least: Default::default(),
            most: Default::default(),
            precision: 0.005,
            confidence: 0.95,
        };
        let mut one = small(1 << 16, 1e6, 0.0);
        assert!(one.doubts(effort).is_empty());
        one.cpu = vec![100.0; 30];
        one.cpu[7] = 200.0;
        one.auto = (0..30).map(|at| 100.0 + f64::from(at)).collect();
        let notes = one.doubts(effort);
        assert_eq!(notes[0], "cpu: 1 of 30 samples are outliers");
        assert_eq!(notes[1], "auto: less precise than asked for");
        assert!(notes[2].starts_with("auto: times drifted by +"), "{notes:?}");
    }

    #[test]
    fn the_crossover_is_where_the_device_begins_to_be_sooner() {
        let sizes = [small(1 << 16, 1e6, 0.0), small(1 << 20, 5e5, 1.0), small(1 << 24, 1e6, 3.0)];
        assert_eq!(
            crossover(&sizes),
            "the device is sooner from 1 MiB on; auto gives it most blocks from 16 MiB on"
        );
        let never = crossover(&sizes[..1]);
        assert!(never.matches("at none of these sizes").count() == 2, "{never}");
    }

    #[test]
    fn the_crossover_lies_between_sizes() {
        // The device takes as long for all of them, the CPU a nanosecond a byte.
        let sizes = [1 << 16, 1 << 20, 1 << 24].map(|bytes| small(bytes, 250_000.0, 0.0));
        let at = crossover_at(&sizes).unwrap();
        assert!((at - 250_000.0).abs() < 1.0, "{at}");
        assert_eq!(crossover_at(&sizes[..1]), None, "never");
        assert_eq!(crossover_at(&sizes[1..]), None, "always");
        let equal = [small(1000, 1000.0, 0.0), small(2000, 1000.0, 0.0)];
        assert!((crossover_at(&equal).unwrap() - 1000.0).abs() < 1e-6);
    }
}
