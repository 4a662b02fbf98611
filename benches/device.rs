//! Encoding and decoding on a device, everything resident in its memory, timed by its own clock and verified against
//! the CPU coder.
//!
//! `cargo bench --bench device` takes the device that RANVIL_DEVICE names, else the first. The input is the file that
//! RANVIL_BENCH_FILE names, else the repository's alice29.txt, repeated to RANVIL_BENCH_MIB (default 64) MiB.

use std::{env, fs, time::Duration};

use ranvil::{
    BlockFault, DeviceSelector, Simd,
    coder::{BlockParams, Codec},
    format::BlockKind,
    kernel::{
        Recording,
        generated::EncodeResult,
        plan::{CodedBlock, DecodePlan, EncodePlan},
    },
    testing::Gpu,
};

fn main() {
    let selector = env::var("RANVIL_DEVICE")
        .map_or(DeviceSelector::Index(0), |text| text.parse().expect("a device"));
    let mut gpu = Gpu::open(&selector).expect("a device");
    let data = input();
    println!("{}, subgroup {:?}, {} bytes", gpu.info().name, gpu.subgroup(), data.len());
    for (block, segment_log, table_log) in [
        (256 << 10, 14, None),
        (256 << 10, 14, Some(11)),
        (256 << 10, 13, Some(10)),
        (64 << 10, 12, Some(11)),
    ] {
        run(&mut gpu, &data, block, &BlockParams { segment_log, table_log });
    }
}

fn input() -> Vec<u8> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/alice29.txt");
    let path = env::var_os("RANVIL_BENCH_FILE").unwrap_or(default.into());
    let file = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mib: usize =
        env::var("RANVIL_BENCH_MIB").map_or(64, |text| text.parse().expect("a number"));
    file.into_iter().cycle().take(mib << 20).collect()
}

fn run(gpu: &mut Gpu, data: &[u8], block: usize, params: &BlockParams) {
    let blocks: Vec<&[u8]> = data.chunks(block).collect();
    let sizes: Vec<u32> = blocks.iter().map(|block| block.len() as u32).collect();
    let plan = EncodePlan::new(&sizes, params);
    let mut buffers = empty(&plan.recording);
    fill(&mut buffers[EncodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
    fill(&mut buffers[EncodePlan::PIECES.0 as usize], 0, bytemuck::cast_slice(&plan.pieces));
    for (number, block) in blocks.iter().enumerate() {
        fill(&mut buffers[EncodePlan::RAW.0 as usize], plan.raw_range(number).start, block);
    }
    println!("\nblocks of {block} bytes, {params:?}");
    time("encode", gpu, &plan.recording, &mut buffers, data.len());

    let results: &[EncodeResult] = bytemuck::cast_slice(&buffers[EncodePlan::RESULTS.0 as usize]);
    let payloads: &[u8] = bytemuck::cast_slice(&buffers[EncodePlan::PAYLOAD.0 as usize]);
    let coded: Vec<_> =
        results.iter().zip(&blocks).filter(|(r, _)| r.kind == BlockKind::Coded as u32).collect();
    let payload = |r: &EncodeResult| &payloads[4 * r.payload as usize..][..r.coded_size as usize];
    verify(results, &blocks, payload, params);
    let size: u64 = results.iter().map(|result| u64::from(result.coded_size) + 16).sum();
    println!("  ratio {:.4}", size as f64 / data.len() as f64);

    let header = |(r, raw): &(&EncodeResult, &&[u8])| CodedBlock {
        coded_size: r.coded_size,
        raw_size: raw.len() as u32,
        table_log: r.table_log as u8,
    };
    let plan = DecodePlan::new(&coded.iter().map(header).collect::<Vec<_>>(), params.segment_log);
    let mut buffers = empty(&plan.recording);
    fill(&mut buffers[DecodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
    for (number, (result, _)) in coded.iter().enumerate() {
        let start = plan.payload_range(number).start;
        fill(&mut buffers[DecodePlan::PAYLOAD.0 as usize], start, payload(result));
    }
    time(
        "decode",
        gpu,
        &plan.recording,
        &mut buffers,
        coded.iter().map(|(_, raw)| raw.len()).sum(),
    );
    let status = &buffers[DecodePlan::STATUS.0 as usize];
    assert!(status.iter().all(|&word| word == 0), "{:?}", BlockFault::from_status(status[0]));
    let raw: &[u8] = bytemuck::cast_slice(&buffers[DecodePlan::RAW.0 as usize]);
    for (number, (_, block)) in coded.iter().enumerate() {
        assert!(raw[plan.raw_range(number)] == ***block, "block {number} is not restored");
    }
}

/// Every block's bytes are those of the CPU coder.
fn verify<'a>(
    results: &[EncodeResult],
    blocks: &[&[u8]],
    payload: impl Fn(&EncodeResult) -> &'a [u8],
    params: &BlockParams,
) {
    let mut codec = Codec::new(Simd::Auto).expect("always available");
    let mut expected = Vec::new();
    for (result, block) in results.iter().zip(blocks) {
        let encoded = codec.encode(block, params, &mut expected);
        assert_eq!(
            (result.kind, result.table_log),
            (encoded.kind as u32, encoded.table_log.into())
        );
        if encoded.kind == BlockKind::Coded {
            assert!(payload(result) == expected, "the payload is not the coder's");
        }
    }
}

/// Repeats the recording for half a second or so of device time, and prints the median time of each command in the second half:
/// an idle GPU needs a quarter of a second to raise its clock.
fn time(what: &str, gpu: &mut Gpu, recording: &Recording, buffers: &mut [Vec<u32>], bytes: usize) {
    let once = gpu.time(recording, buffers, 1).expect("a run").expect("a queue with timestamps");
    let one: Duration = once[0].iter().map(|command| command.time).sum();
    let runs = (0.5 / one.as_secs_f64().max(1e-6)).clamp(1.0, 400.0) as usize;
    let all = gpu.time(recording, buffers, runs).expect("a run").expect("a queue with timestamps");
    let half = &all[runs / 2..];
    let mut total = 0.0;
    for (command, first) in half[0].iter().enumerate() {
        let mut times: Vec<f64> = half.iter().map(|run| run[command].time.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        total += median;
        println!(
            "  {:10} {:10.1} us {:8.1} GB/s",
            first.name,
            1e6 * median,
            bytes as f64 / median / 1e9
        );
    }
    println!(
        "  {what:10} {:10.1} us {:8.1} GB/s, median of {} runs",
        1e6 * total,
        bytes as f64 / total / 1e9,
        half.len()
    );
}

fn empty(recording: &Recording) -> Vec<Vec<u32>> {
    recording.buffers.iter().map(|desc| vec![0; desc.size as usize / 4]).collect()
}

fn fill(buffer: &mut [u32], at: usize, bytes: &[u8]) {
    bytemuck::cast_slice_mut::<u32, u8>(buffer)[at..at + bytes.len()].copy_from_slice(bytes);
}
