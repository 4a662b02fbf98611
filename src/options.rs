//! The options builder.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    Pipeline,
    device::DeviceSelector,
    engine::Route,
    error::{Error, Result},
    format::{FrameHeader, MAX_BLOCK_LOG, MIN_BLOCK_LOG},
    telemetry::Telemetry,
};

/// How long a segment is: the unit that 32 lanes code together.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum SegmentProfile {
    /// The best size for throughput: 16 KiB, and 64 KiB where a model makes several streams of a block.
    #[default]
    Throughput,
    /// 4 KiB: more lanes at once for small inputs, at about 2 % more size.
    Latency,
}

/// Which instructions the CPU coders use. The bytes are the same whatever is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Simd {
    /// The best that the processor has.
    #[default]
    Auto,
    /// The scalar reference.
    Scalar,
    /// Portable code without intrinsics.
    Portable,
    /// AVX2.
    Avx2,
    /// AVX-512 (F, BW, VL, VBMI2).
    Avx512,
}

/// How far an operation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Raw bytes finished.
    pub raw_bytes: u64,
    /// Coded bytes finished, headers included.
    pub coded_bytes: u64,
    /// Blocks finished.
    pub blocks: u64,
    /// Those of them that a device coded.
    pub device_blocks: u64,
    /// Those that a device failed on and the CPU coded instead.
    pub retried_blocks: u64,
}

/// Cancels an operation from another thread: clone it, hand one clone to
/// [`Options::cancel`], call [`cancel`](Self::cancel) on the other.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every operation that holds this token to stop; each returns [`Error::Cancelled`].
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Who does a stage of the blocks.
///
/// A block's stages are counted from the side of the raw bytes. The pipelines `rans`, `fse` and `huff` have one, the entropy
/// coder: stage 0. The others have two: the model is stage 0, the entropy coder stage 1. The bytes are the same whatever is
/// chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Assignment {
    /// The CPU, always.
    Cpu,
    /// A device, always: however many blocks wait for it. Only blocks of a device that fails are done by the CPU.
    Gpu,
    /// For every block whoever is expected to be done first.
    Auto,
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Auto => "auto",
        })
    }
}

impl FromStr for Assignment {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidOption`] for anything but `cpu`, `gpu` and `auto`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            "auto" => Ok(Self::Auto),
            _ => Err(Error::InvalidOption {
                name: "assignment",
                reason: format!("{text:?} is not cpu, gpu or auto"),
            }),
        }
    }
}

pub(crate) type ProgressFn = Arc<dyn Fn(Progress) + Send + Sync>;

/// Options for compression and decompression; the defaults suit most uses.
#[derive(Clone)]
#[must_use = "a setter returns the options that it has changed"]
pub struct Options {
    pub(crate) pipeline: Pipeline,
    pub(crate) level: u8,
    pub(crate) block_log: Option<u8>,
    pub(crate) segment: SegmentProfile,
    pub(crate) table_log: Option<u8>,
    pub(crate) threads: usize,
    pub(crate) simd: Simd,
    pub(crate) devices: Option<Vec<DeviceSelector>>,
    pub(crate) stage0: Option<Assignment>,
    pub(crate) stage1: Option<Assignment>,
    pub(crate) memory_limit: u64,
    pub(crate) output_limit: u64,
    pub(crate) verify: bool,
    pub(crate) index: bool,
    pub(crate) content_size: Option<u64>,
    pub(crate) progress: Option<ProgressFn>,
    pub(crate) cancel: Option<CancelToken>,
    pub(crate) telemetry: Option<Telemetry>,
}

/// Enough for three blocks of up to 1 MiB a thread, and as much again for a device; of longer ones fewer are in flight.
fn default_memory_limit() -> u64 {
    static THREADS: LazyLock<u64> =
        LazyLock::new(|| thread::available_parallelism().map_or(1, usize::from) as u64);
    (*THREADS * (64 << 20)).max(256 << 20)
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pipeline: Pipeline::default(),
            level: Self::DEFAULT_LEVEL,
            block_log: None,
            segment: SegmentProfile::default(),
            table_log: None,
            threads: 0,
            simd: Simd::Auto,
            devices: None,
            stage0: None,
            stage1: None,
            memory_limit: default_memory_limit(),
            output_limit: u64::MAX,
            verify: true,
            index: true,
            content_size: None,
            progress: None,
            cancel: None,
            telemetry: None,
        }
    }
}

impl Options {
    /// The fastest level.
    pub const MIN_LEVEL: u8 = 1;
    /// The level that speed and size are balanced for.
    pub const DEFAULT_LEVEL: u8 = 3;
    /// The level of the smallest results.
    pub const MAX_LEVEL: u8 = 9;

    /// The defaults: pipeline `lzseqr` at level 3, 1 MiB blocks, as many threads as the machine runs at once,
    /// 256 MiB of memory or more ([`memory_limit`](Self::memory_limit)), checksums verified, an index written.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pipeline that [`compress`](crate::compress) uses. A decompressor reads it from the frame.
    pub fn pipeline(mut self, pipeline: Pipeline) -> Self {
        self.pipeline = pipeline;
        self
    }

    /// How hard the model looks for repetition: 1, the fastest, to 9, the smallest; the default is 3. Pipelines
    /// without a model have nothing to look for: their bytes are the same at every level.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] outside 1 to 9.
    pub fn level(mut self, level: u8) -> Result<Self> {
        if !(Self::MIN_LEVEL..=Self::MAX_LEVEL).contains(&level) {
            return Err(Error::InvalidOption {
                name: "level",
                reason: format!("{level} is not from {} to {}", Self::MIN_LEVEL, Self::MAX_LEVEL),
            });
        }
        self.level = level;
        Ok(self)
    }

    /// Raw bytes per block: a power of two from 4 KiB to 4 MiB, for pipelines without a model to 1 MiB. The default is
    /// 1 MiB with a model and 256 KiB without one. Repetition is found within a block only, so larger blocks
    /// come out smaller, and fewer of them are coded at once.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for any other size. Whether the pipeline takes it is checked when a compression
    /// begins.
    pub fn block_size(mut self, bytes: usize) -> Result<Self> {
        let log = bytes.checked_ilog2().unwrap_or(0) as u8;
        if !bytes.is_power_of_two() || !(MIN_BLOCK_LOG..=MAX_BLOCK_LOG).contains(&log) {
            return Err(Error::InvalidOption {
                name: "block size",
                reason: format!("{bytes} is no power of two from 4 KiB to 4 MiB"),
            });
        }
        self.block_log = Some(log);
        Ok(self)
    }

    /// The length of segments.
    pub fn segment(mut self, profile: SegmentProfile) -> Self {
        self.segment = profile;
        self
    }

    /// Forces the table log for every block of the pipelines `rans` (8 to 12), `fse` (5 to 12) and `huff` (1 to 12:
    /// the longest code; more where a block has too many symbols for it). `None`, the default, chooses for each block.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] outside 1 to 12. Whether the pipeline takes it is checked when a compression begins.
    pub fn table_log(mut self, log: Option<u8>) -> Result<Self> {
        if log.is_some_and(|log| !(1..=12).contains(&log)) {
            return Err(Error::InvalidOption {
                name: "table log",
                reason: "it must be from 1 to 12".to_owned(),
            });
        }
        self.table_log = log;
        Ok(self)
    }

    /// CPU worker threads, 1024 at most and only as many as the memory limit affords; 0, the default, means as many
    /// as the machine runs at once, less one for each device that takes part from the beginning, which has a thread of its own,
    /// but less one in eight at most. One means the caller's own, unless a device takes part. Up to four that are as many as the machine runs at once, or more,
    /// include the caller's where no device takes part: it codes when it would wait.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The instructions that CPU coders use, for tests and comparisons.
    pub fn simd(mut self, simd: Simd) -> Self {
        self.simd = simd;
        self
    }

    /// The device. Without this call the environment variable `RANVIL_DEVICE` decides, a
    /// [list](DeviceSelector::parse_list), and without it
    /// [`DeviceSelector::Auto`].
    pub fn device(self, device: DeviceSelector) -> Self {
        self.devices([device])
    }

    /// Several devices at once. Every block goes to the one that is expected to be done with it first. With
    /// [`DeviceSelector::Cpu`] among them the CPU takes its share of the entropy stage as well; alone it means no device.
    /// [`DeviceSelector::Auto`] stands alone. The same device twice is opened twice. An empty list is as none.
    pub fn devices(mut self, devices: impl IntoIterator<Item = DeviceSelector>) -> Self {
        self.devices = Some(devices.into_iter().collect()).filter(|list: &Vec<_>| !list.is_empty());
        self
    }

    /// Who does stage 0: see [`Assignment`]. Without this call the devices decide: with explicit ones the entropy stage is
    /// theirs, otherwise it is [`Assignment::Auto`]; the model is the CPU's, as it has no kernels.
    ///
    /// A stage that a pipeline lacks, or of which it has no kernels, cannot be assigned to a GPU, nor can any with the device `cpu`:
    /// [`Error::InvalidOption`] when the operation begins. [`Assignment::Gpu`] with the device `auto` takes the best
    /// hardware GPU, and it is an error if there is none.
    pub fn stage0(mut self, assignment: Assignment) -> Self {
        self.stage0 = Some(assignment);
        self
    }

    /// Who does stage 1: see [`stage0`](Self::stage0). Pipelines without a model have none.
    pub fn stage1(mut self, assignment: Assignment) -> Self {
        self.stage1 = Some(assignment);
        self
    }

    /// Host memory for blocks in flight, in bytes, beyond the device's own; the default is 256 MiB, and 64 MiB for every
    /// thread that the machine runs at once where that is more.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// The most raw bytes that decompression may yield; unlimited by default. Set it for untrusted input: a
    /// frame may hold 150,000 times its own size.
    pub fn output_limit(mut self, bytes: u64) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Whether decompression verifies the CRC-32C of every block; on by default.
    pub fn verify_checksums(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Whether compression writes an index; on by default. Without one a reader that seeks has to walk the
    /// block headers first.
    pub fn index(mut self, index: bool) -> Self {
        self.index = index;
        self
    }

    /// Announces the raw size in the frame header when a stream is compressed. It is an error to write more or
    /// fewer bytes.
    pub fn content_size(mut self, bytes: Option<u64>) -> Self {
        self.content_size = bytes;
        self
    }

    /// Called after every block, from the thread that reads or writes the stream.
    pub fn progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(callback));
        self
    }

    /// A token that cancels operations run with these options.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.cancel = Some(token);
        self
    }

    /// Where to collect what the runs with these options do.
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }
}

impl Options {
    /// Whether the options for compression fit together: whether the pipeline takes the block size, the table log and the
    /// assignments of its stages. No device is opened.
    ///
    /// # Errors
    /// [`Error::InvalidOption`], as a compression would return before it reads anything.
    pub fn validate(&self) -> Result<()> {
        self.frame_header()?;
        Route::check(self, self.pipeline)
    }

    /// The header of a frame that these options ask for.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the pipeline takes the block size or the table log of no frame.
    pub(crate) fn frame_header(&self) -> Result<FrameHeader> {
        let pipeline = self.pipeline;
        let block_log = self.block_log.unwrap_or(pipeline.default_block_log());
        let most = pipeline.id().max_block_log();
        if block_log > most {
            return Err(Error::InvalidOption {
                name: "block size",
                reason: format!(
                    "{} bytes are more than the {} that the pipeline {pipeline} takes",
                    1u64 << block_log,
                    1u64 << most,
                ),
            });
        }
        let table_logs = pipeline.id().table_logs();
        if let Some(log) = self.table_log.filter(|log| !table_logs.contains(log)) {
            let reason = match *table_logs.end() {
                0 => format!("the pipeline {pipeline} has none to force"),
                most => format!(
                    "{log} is not from {} to {most}, which the pipeline {pipeline} takes",
                    table_logs.start(),
                ),
            };
            return Err(Error::InvalidOption { name: "table log", reason });
        }
        Ok(FrameHeader {
            pipeline: pipeline.id(),
            block_log,
            segment_log: pipeline.segment_log(self.segment).min(block_log),
            content_size: self.content_size,
            indexed: self.index,
        })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("pipeline", &self.pipeline)
            .field("level", &self.level)
            .field("block_log", &self.block_log)
            .field("segment", &self.segment)
            .field("table_log", &self.table_log)
            .field("threads", &self.threads)
            .field("simd", &self.simd)
            .field("devices", &self.devices)
            .field("stage0", &self.stage0)
            .field("stage1", &self.stage1)
            .field("memory_limit", &self.memory_limit)
            .field("output_limit", &self.output_limit)
            .field("verify", &self.verify)
            .field("index", &self.index)
            .field("content_size", &self.content_size)
            .finish_non_exhaustive()
    }
}
