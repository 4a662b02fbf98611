//! Encode and decode on a Vulkan device: resident in its memory, kernel by kernel, and from host memory and back.
//!
//! ```text
//! RANVIL_DEVICE=0 cargo bench --features compile-kernels --bench device -- [--host] [--coder rans|fse|huff] [--mib N] [--block N] FILE…
//! ```
//!
//! `--host` leaves the resident part out; `--threads N` copy, and `--ring SLOTSxMIB`, as often as wanted, tries other rings
//! than the device's own. What comes from the host and goes back is compared with what the link carries, measured by copies
//! between staging and the device's memory.
//!
//! The files (default: `tests/data/alice29.txt`) are concatenated and tiled to N MiB, 1024 by default on hardware and 4
//! on a software device. Everything is verified against the CPU first; 0.25 s of the same work warm the device up. Rates
//! are GB/s of raw bytes, medians; the yardstick is a copy within the device's memory in the same run, read and write
//! counted.

#[path = "device/host.rs"]
mod host;

use std::{
    env, fs, thread,
    time::{Duration, Instant},
};

use bytemuck::cast_slice;
use ranvil::{
    DeviceSelector,
    coder::{BlockParams, Codec, Coder},
    format::BlockKind,
    kernel::{
        Binding, BufferDesc, BufferId, Command, Recording, Role,
        generated::EncodeResult,
        plan::{CodedBlock, DecodePlan, EncodePlan, MAX_RAW_BYTES, RawBlock, max_raw_bytes},
    },
    testing::{Bench, CommandTime, Gpu},
};

use self::host::host_to_host;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// How long a measurement takes, and its warm-up.
const MEASURED: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(250);

/// Host memory for staging, in bytes.
const STAGING: u64 = 1 << 30;

struct Args {
    coder: Coder,
    mib: Option<usize>,
    block: usize,
    segment_log: u8,
    table_log: Option<u8>,
    files: Vec<String>,
    /// Only from host memory and back.
    host: bool,
    /// Threads that copy.
    threads: usize,
    /// Slots and MiB of a batch to try, instead of the device's own.
    rings: Vec<(usize, usize)>,
}

fn args() -> Outcome<Args> {
    let mut args = Args {
        coder: Coder::Rans,
        mib: None,
        block: 256 << 10,
        segment_log: 14,
        table_log: None,
        files: Vec::new(),
        host: false,
        threads: thread::available_parallelism()?.get(),
        rings: Vec::new(),
    };
    let mut given = env::args().skip(1);
    while let Some(arg) = given.next() {
        let mut number = || -> Outcome<usize> {
            Ok(given.next().ok_or("a number must follow")?.parse::<usize>()?)
        };
        match arg.as_str() {
            "--coder" => {
                args.coder = match given.next().as_deref() {
                    Some("rans") => Coder::Rans,
                    Some("fse") => Coder::Fse,
                    Some("huff") => Coder::Huffman,
                    other => return Err(format!("no coder {other:?}").into()),
                };
            }
            "--mib" => args.mib = Some(number()?),
            "--block" => args.block = number()?,
            "--segment-log" => args.segment_log = number()? as u8,
            "--table-log" => args.table_log = Some(number()? as u8),
            "--threads" => args.threads = number()?,
            "--host" => args.host = true,
            "--ring" => {
                let ring = given.next().ok_or("--ring takes SLOTSxMIB")?;
                let (slots, mib) = ring.split_once('x').ok_or("--ring takes SLOTSxMIB")?;
                args.rings.push((slots.parse()?, mib.parse()?));
            }
            "--bench" | "--test" => {} // From cargo.
            file => args.files.push(file.to_owned()),
        }
    }
    if args.files.is_empty() {
        args.files.push(format!("{}/tests/data/alice29.txt", env!("CARGO_MANIFEST_DIR")));
    }
    Ok(args)
}

fn main() -> Outcome {
    let args = args()?;
    let selector: DeviceSelector =
        env::var("RANVIL_DEVICE").unwrap_or_else(|_| "0".to_owned()).parse()?;
    let gpu = Gpu::open(&selector, STAGING)?;
    let info = gpu.info();
    println!("device: {}, {} {}", info.name, info.driver, info.driver_version);
    println!("kernels: {:?} (None: shared-memory form)", gpu.subgroup());
    let mib = args.mib.unwrap_or(if info.software { 4 } else { 1024 });
    let most = max_raw_bytes(gpu.max_buffer()).min(MAX_RAW_BYTES);
    let raw = tiled(&args.files, (mib << 20).min(most))?;
    let params =
        BlockParams { coder: args.coder, segment_log: args.segment_log, table_log: args.table_log };
    println!(
        "{:?}, data: {} tiled to {} MiB, blocks of {} KiB, segments of {} KiB, table log {:?}",
        args.coder,
        args.files.join(" "),
        raw.len() >> 20,
        args.block >> 10,
        1 << (args.segment_log - 10),
        args.table_log
    );

    if args.host {
        drop(gpu);
        return host_to_host(&args, &selector, &raw);
    }
    let gpu = copy_yardstick(gpu, raw.len())?;
    let (gpu, coded) = encode(gpu, &raw, args.block, &params)?;
    drop(decode(gpu, &raw, args.block, &params, &coded)?);
    host_to_host(&args, &selector, &raw)
}

fn tiled(files: &[String], size: usize) -> Outcome<Vec<u8>> {
    let mut tile = Vec::new();
    for file in files {
        tile.extend(fs::read(file).map_err(|error| format!("{file}: {error}"))?);
    }
    Ok(tile.iter().copied().cycle().take(size).collect())
}

/// Copies within the device's memory.
fn copy_yardstick(gpu: Gpu, size: usize) -> Outcome<Gpu> {
    let size = size as u64;
    let buffer = |name| BufferDesc { name, size, role: Role::Device };
    let from = Binding { buffer: BufferId(0), offset: 0, size };
    let recording = Recording {
        buffers: vec![buffer("from"), buffer("to")],
        commands: vec![Command::Copy { from, to: (BufferId(1), 0) }],
    };
    let mut bench = Bench::new(gpu, &recording, &[], 16)?;
    report("copy (read + write)", 2 * size, 1, &mut bench)?;
    Ok(bench.into_gpu())
}

/// A block as the CPU codes it, and as the device is to.
struct Coded {
    kind: BlockKind,
    table_log: u8,
    payload: Vec<u8>,
}

fn encode(gpu: Gpu, raw: &[u8], size: usize, params: &BlockParams) -> Outcome<(Gpu, Vec<Coded>)> {
    let mut codec = Codec::new(ranvil::Simd::Auto)?;
    let coded: Vec<Coded> = raw
        .chunks(size)
        .map(|raw| {
            let mut payload = Vec::new();
            let encoded = codec.encode(raw, params, &mut payload);
            Coded { kind: encoded.kind, table_log: encoded.table_log, payload }
        })
        .collect();
    let coded_bytes: usize =
        coded.iter().zip(raw.chunks(size)).map(|(c, raw)| coded_size(c, raw)).sum();
    println!("ratio {:.4} of payloads", coded_bytes as f64 / raw.len() as f64);

    let &BlockParams { coder, segment_log, table_log } = params;
    let block = |raw: &[u8]| RawBlock { raw_size: raw.len() as u32, coder, table_log };
    let plan = EncodePlan::new(&raw.chunks(size).map(block).collect::<Vec<_>>(), segment_log);
    let inputs = [
        (EncodePlan::BLOCKS, cast_slice(&plan.blocks)),
        (EncodePlan::PIECES, cast_slice(&plan.pieces)),
        (EncodePlan::RAW, raw),
    ];
    let mut bench = Bench::new(gpu, &plan.recording, &inputs, 8)?;
    bench.run()?;
    let results = bench.read(EncodePlan::RESULTS)?;
    let results: &[EncodeResult] = cast_slice(&results);
    let payloads = bench.read(EncodePlan::PAYLOAD)?;
    for (number, (coded, result)) in coded.iter().zip(results).enumerate() {
        let wanted = (coded.kind as u32, u32::from(coded.table_log));
        assert_eq!((result.kind, result.table_log), wanted, "block {number}");
        if coded.kind == BlockKind::Coded {
            let start = 4 * result.payload as usize;
            let payload = &payloads[start..start + result.coded_size as usize];
            assert!(payload == coded.payload, "block {number} is coded differently");
        }
    }
    println!("encode: {} blocks, the CPU's bytes", coded.len());
    report("encode", raw.len() as u64, plan.recording.commands.len(), &mut bench)?;
    Ok((bench.into_gpu(), coded))
}

fn coded_size(coded: &Coded, raw: &[u8]) -> usize {
    if coded.kind == BlockKind::Stored { raw.len() } else { coded.payload.len() }
}

fn decode(
    gpu: Gpu,
    raw: &[u8],
    block: usize,
    params: &BlockParams,
    coded: &[Coded],
) -> Outcome<Gpu> {
    let pairs = || coded.iter().zip(raw.chunks(block)).filter(|(c, _)| c.kind == BlockKind::Coded);
    let blocks: Vec<CodedBlock> = pairs()
        .map(|(coded, raw)| CodedBlock {
            coder: params.coder,
            coded_size: coded.payload.len() as u32,
            raw_size: raw.len() as u32,
            table_log: coded.table_log,
        })
        .collect();
    if blocks.is_empty() {
        return Ok(gpu);
    }
    let plan = DecodePlan::new(&blocks, params.segment_log);
    let mut payload = vec![0; plan.recording.buffers[DecodePlan::PAYLOAD.0 as usize].size as usize];
    for (number, (coded, _)) in pairs().enumerate() {
        payload[plan.payload_range(number)].copy_from_slice(&coded.payload);
    }
    let inputs =
        [(DecodePlan::BLOCKS, cast_slice(&plan.blocks)), (DecodePlan::PAYLOAD, &payload[..])];
    let mut bench = Bench::new(gpu, &plan.recording, &inputs, 8)?;
    bench.run()?;
    let status = bench.read(DecodePlan::STATUS)?;
    assert!(status.iter().all(|&byte| byte == 0), "a block was refused");
    let decoded = bench.read(DecodePlan::RAW)?;
    for (number, (_, raw)) in pairs().enumerate() {
        assert!(decoded[plan.raw_range(number)] == *raw, "block {number} is decoded wrongly");
    }
    println!("decode: {} blocks, the right bytes", blocks.len());
    let raw_bytes = pairs().map(|(_, raw)| raw.len() as u64).sum();
    report("decode", raw_bytes, plan.recording.commands.len(), &mut bench)?;
    Ok(bench.into_gpu())
}

/// Measures and prints a recording of `commands` commands, and each of its kernels.
fn report(name: &str, bytes: u64, commands: usize, bench: &mut Bench) -> Outcome {
    let runs = |span: Duration, bench: &mut Bench| -> Outcome<Vec<CommandTime>> {
        let start = Instant::now();
        let mut times = bench.run()?;
        while start.elapsed() < span {
            times.extend(bench.run()?);
        }
        Ok(times)
    };
    runs(WARM_UP, bench)?;
    let times = runs(MEASURED, bench)?;
    if times.is_empty() {
        println!("{name}: this device has no timestamps");
        return Ok(());
    }
    let totals = times.chunks(commands).map(|run| run.iter().map(|command| command.time).sum());
    println!("{name:<24} {:>9.2} GB/s", rate(bytes, median(totals.collect())));
    if commands > 1 {
        for (index, command) in times[..commands].iter().enumerate() {
            let times = times.iter().skip(index).step_by(commands).map(|command| command.time);
            let time = median(times.collect());
            println!("  {:<22} {:>9.2} GB/s  {time:?}", command.name, rate(bytes, time));
        }
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64().max(1e-9) / 1e9
}
