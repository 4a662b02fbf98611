//! A Vulkan device against the CPU: kernels against their twins, blocks against [`Codec`], frames against frames.
//!
//! `RANVIL_DEVICE` names the device (else the first one), `RANVIL_VALIDATION` (`1` or `calls`) turns the validation layer on and
//! `RANVIL_KERNEL_FORM` forces a form of the kernels. No device is a failure. It is one test, since pipelines take
//! software drivers most of the time and are made once for each opened device.

#[path = "gpu/assignments.rs"]
mod assignments;
mod common;
#[path = "gpu/parking.rs"]
mod parking;
#[path = "gpu/pinned.rs"]
mod pinned;
#[path = "gpu/telemetry.rs"]
mod telemetry;
#[path = "gpu/twins.rs"]
mod twins;

use std::{
    env,
    io::{Read, Write},
};

use ranvil::{
    BlockFault, DeviceSelector, Options, Pipeline, Progress, Simd,
    coder::{BlockParams, Codec, Coder},
    format::BlockKind,
    testing::{CodedBlock, Gpu, Traffic, validation_messages},
};

use common::{ALICE, FILES, Random, contents, corpus_windows};

/// Host memory for staging: a few slots, small, so that most tests take several batches.
const BUDGET: u64 = 40 << 20;
const PARAMS: BlockParams = BlockParams { coder: Coder::Rans, segment_log: 14, table_log: None };

fn selector() -> DeviceSelector {
    let listed = DeviceSelector::list_from_env().unwrap();
    listed.map_or(DeviceSelector::Index(0), |mut listed| listed.swap_remove(0))
}

#[test]
fn the_device_does_what_the_cpu_does() {
    let devices = ranvil::devices().unwrap();
    assert!(!devices.is_empty(), "no Vulkan device: eval \"$(cargo xtask env lavapipe-8)\"");
    // Staged, with copies of their own: the longer path. Frames take the device as it is.
    let mut gpu = Gpu::open_as_discrete(&selector(), BUDGET).unwrap();
    println!("{} with subgroups of {:?}", gpu.info().name, gpu.subgroup());
    expect_device(&gpu);

    step("twins, good blocks", || twins::agree_on_good_blocks(&mut gpu));
    step("twins, damaged blocks", || twins::agree_on_damaged_blocks(&mut gpu));
    step("twins, many chunks", || twins::agree_on_many_chunks(&mut gpu));
    step("lengths", || lengths(&mut gpu));
    step("files and contents", || files_and_contents(&mut gpu));
    step("corpus", || corpus(&mut gpu));
    step("bit flips and truncations", || flips_and_cuts(&mut gpu));
    step("mutations", || mutations(&mut gpu));
    step("headers", || wrong_headers(&mut gpu));
    step("several threads", || several_threads(&mut gpu));
    step("the seam", || seam(&mut gpu));
    step("failure", || ending(gpu, true));
    step("memory that it reaches", pinned::as_from_anywhere);
    step("memory and devices", pinned::keeps_no_device_open);
    let mut gpu = Gpu::open(&selector(), BUDGET).unwrap();
    step("the seam, undivided", || seam(&mut gpu));
    step("end", || ending(gpu, false));
    step("frames", frames);
    step("assignments", assignments::interchangeable);
    step("telemetry", telemetry::of_a_device);
    step("parking", parking::with_and_without_validation);
    // The engine goes on after a device's error, and an instance has more to say when it is destroyed.
    let messages = validation_messages();
    assert!(messages.is_empty(), "{}", messages.join("\n"));
}

#[test]
#[ignore = "the other test runs it, in a process without the validation layer"]
fn devices_stay_open() {
    parking::from_run_to_run();
}

/// A run that names a driver (`cargo xtask test`) proves nothing about it on another one.
fn expect_device(gpu: &Gpu) {
    let info = gpu.info();
    if let Ok(driver) = env::var("RANVIL_EXPECT_DRIVER") {
        assert!(info.driver.contains(&driver), "expected {driver}, not {}", info.driver);
    }
    if let Ok(subgroup) = env::var("RANVIL_EXPECT_SUBGROUP") {
        let found = if env::var("RANVIL_KERNEL_FORM").as_deref() == Ok("shared") {
            assert_eq!(gpu.subgroup(), None, "the shared-memory form was asked for");
            info.subgroup.default
        } else {
            gpu.subgroup().expect("the subgroup form")
        };
        assert_eq!(found.to_string(), subgroup, "subgroup size of {}", info.name);
    }
}

fn step(name: &str, run: impl FnOnce()) {
    let start = std::time::Instant::now();
    run();
    println!("{name}: {:.1} s", start.elapsed().as_secs_f32());
}

fn codec() -> Codec {
    Codec::new(Simd::Auto).unwrap()
}

/// Encodes and decodes on the device; both as on the CPU. Returns the blocks as they were encoded.
fn round_trip(gpu: &mut Gpu, blocks: &[Vec<u8>], params: BlockParams) -> Vec<CodedBlock> {
    let raw: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let found = gpu.encode(&raw, params).unwrap();
    assert_eq!(found.len(), blocks.len());
    let mut codec = codec();
    let mut expected = Vec::new();
    let mut coded = Vec::new();
    for ((encoded, payload), raw) in found.into_iter().zip(blocks) {
        let on_cpu = codec.encode(raw, &params, &mut expected);
        let length = raw.len();
        assert_eq!(encoded, on_cpu, "{length} bytes with {params:?}");
        assert!(payload == expected, "other payload for {length} bytes with {params:?}");
        coded.push(coded_block(&mut codec, raw, params));
    }
    for (decoded, raw) in gpu.decode(&coded).unwrap().into_iter().zip(blocks) {
        assert!(decoded.as_ref() == Ok(raw), "{} bytes with {params:?}", raw.len());
    }
    coded
}

/// Every length around the edges of lanes, tiles, segments and blocks.
fn lengths(gpu: &mut Gpu) {
    let mut lengths: Vec<usize> = (1..=260).collect();
    for edge in [4096, 4096 + 64, 8192, 16_128, 16_384, 16_384 + 64, 65_536] {
        lengths.extend(edge - 2..=edge + 2);
    }
    lengths.extend([262_143, 262_144, 262_145]);
    let long: Vec<u8> = ALICE.iter().cycle().take(300_000).copied().collect();
    // What fits in a segment of 2^12 bytes is the same in larger ones.
    for (segment_log, least) in [(12, 1), (14, 4097)] {
        let lengths = || lengths.iter().copied().filter(|&length| length >= least);
        let text = lengths().map(|length| long[..length].to_vec());
        let bits = lengths().map(|length| long[..length].iter().map(|b| b & 1).collect());
        let blocks: Vec<Vec<u8>> = text.chain(bits).collect();
        for coder in Coder::ALL {
            round_trip(gpu, &blocks, BlockParams { coder, segment_log, table_log: None });
        }
    }
}

/// Real files and contents of every sort, with every table log and segment size.
fn files_and_contents(gpu: &mut Gpu) {
    let files = FILES.iter().map(|(_, bytes)| bytes.to_vec());
    let generated = contents(20_000).into_iter().map(|(_, bytes)| bytes);
    let blocks: Vec<Vec<u8>> = files.chain(generated).collect();
    for coder in Coder::ALL {
        let table_logs = [None].into_iter().chain(coder.table_logs().map(Some));
        for (segment_log, table_log) in (12..=16).cycle().zip(table_logs) {
            round_trip(gpu, &blocks, BlockParams { coder, segment_log, table_log });
        }
        let params = BlockParams { coder, segment_log: 12, table_log: None };
        round_trip(gpu, &[vec![7; 1 << 20], long_block()], params);
    }
}

/// A part of every file of the corpus, where there is one.
fn corpus(gpu: &mut Gpu) {
    let blocks: Vec<_> = corpus_windows(20_000).into_iter().map(|(_, bytes)| bytes).collect();
    for coder in Coder::ALL {
        if !blocks.is_empty() {
            round_trip(gpu, &blocks, BlockParams { coder, segment_log: 14, table_log: None });
        }
    }
}

/// The largest block, with the most segments that a block can have.
fn long_block() -> Vec<u8> {
    ALICE
        .iter()
        .cycle()
        .zip((0..1_u32 << 20).map(|i| (i >> 17) as u8))
        .map(|(a, b)| a ^ b)
        .collect()
}

/// The device's verdict on each block is the CPU's, its reason included, and so are the bytes. Returns how many were good.
/// (A table log that the coder does not have is refused before the device sees it, as a size is.)
fn same_verdict(gpu: &mut Gpu, blocks: &[CodedBlock]) -> usize {
    let mut codec = codec();
    let found = gpu.decode(blocks).unwrap();
    assert_eq!(found.len(), blocks.len());
    let mut good = 0;
    for (number, (found, block)) in found.iter().zip(blocks).enumerate() {
        let mut raw = vec![0; block.raw_size as usize];
        let CodedBlock { coder, kind, table_log, segment_log, payload, .. } = block;
        let expected = codec.decode(payload, *kind, *coder, *table_log, *segment_log, &mut raw);
        match (found, expected) {
            (Ok(bytes), Ok(())) => {
                assert!(*bytes == raw, "block {number}: wrong bytes");
                good += 1;
            }
            (Err(found), Err(expected)) if *found == expected => {}
            (Err(BlockFault::Size), Err(_)) if !coder.table_logs().contains(table_log) => {}
            (found, expected) => panic!(
                "block {number}: the device says {:?}, the CPU {expected:?}",
                found.as_ref().map(|_| ())
            ),
        }
    }
    good
}

/// Flips of single bits and truncations of small blocks, each batch with good blocks between the bad ones: every bit of the
/// head, where the structure is, and many behind it.
fn flips_and_cuts(gpu: &mut Gpu) {
    let skewed = contents(4300).swap_remove(3).1;
    let small = [ALICE[..500].to_vec(), ALICE[..500].iter().map(|b| b & 3).collect(), skewed];
    let coded = Coder::ALL.map(|coder| {
        round_trip(gpu, &small, BlockParams { coder, segment_log: 12, table_log: None })
    });
    for block in coded.into_iter().flatten() {
        assert_eq!(block.kind, BlockKind::Coded);
        let length = block.payload.len();
        let mut damaged = vec![block.clone()];
        // The longest of the three is there for its two segments: its head and a part of its words do.
        let bits = 8 * length.min(450);
        for (number, bit) in (0..bits.min(800)).chain((800..bits).step_by(5)).enumerate() {
            let mut flipped = block.clone();
            flipped.payload[bit / 8] ^= 1 << (bit % 8);
            damaged.push(flipped);
            if number % 16 == 0 {
                damaged.push(block.clone());
            }
        }
        for cut in (0..length).rev().take(450).step_by(3) {
            let mut short = block.clone();
            short.payload.truncate(cut);
            damaged.push(short);
        }
        let good = same_verdict(gpu, &damaged);
        assert!(good > 50 && good < damaged.len() / 2, "{good} of {} were good", damaged.len());
    }
}

/// Random damage: to blocks of three segments, and much of it to small ones.
fn mutations(gpu: &mut Gpu) {
    for (length, segment_log, count, seed) in [(40_000, 14, 300, 0x5eed), (6000, 12, 2000, 1)] {
        let mut random = Random(seed);
        for coder in Coder::ALL {
            let params = BlockParams { coder, segment_log, table_log: None };
            let block = round_trip(gpu, &[ALICE[..length].to_vec()], params).remove(0);
            let damaged: Vec<_> = (0..count).map(|n| mutant(&block, n, &mut random)).collect();
            same_verdict(gpu, &damaged);
        }
    }
}

fn mutant(block: &CodedBlock, number: usize, random: &mut Random) -> CodedBlock {
    let mut mutant = block.clone();
    let length = mutant.payload.len();
    for _ in 0..1 + random.below(8) {
        let reach = if number.is_multiple_of(2) { 200 } else { length };
        mutant.payload[random.below(reach)] = random.next() as u8;
    }
    match number % 10 {
        0 => mutant.payload.truncate(random.below(length)),
        1 => {
            let more = random.below(100);
            mutant.payload.extend(random.bytes(more));
        }
        2 => mutant.raw_size = 1 + random.below(2 * block.raw_size as usize) as u32,
        3 => mutant.table_log = 1 + random.below(12) as u8,
        4 => mutant.payload = random.bytes(length),
        _ => {}
    }
    mutant
}

/// Header fields that do not fit the payload, of every kind of block.
fn wrong_headers(gpu: &mut Gpu) {
    let blocks = [ALICE[..9000].to_vec(), vec![5; 9000], Random(1).bytes(9000)];
    let kinds = [BlockKind::Coded, BlockKind::Single, BlockKind::Stored];
    let coded = Coder::ALL.map(|coder| {
        let params = BlockParams { coder, segment_log: 12, table_log: None };
        let coded = round_trip(gpu, &blocks, params);
        assert_eq!(coded.iter().map(|block| block.kind).collect::<Vec<_>>(), kinds);
        coded
    });
    let mut wrong = Vec::new();
    for block in coded.into_iter().flatten() {
        for table_log in [0, 1, 4, 5, 7, 8, 10, 12, 13, 255] {
            wrong.push(CodedBlock { table_log, ..block.clone() });
        }
        for raw_size in [0, 1, 2, 64, 8999, 9001, 1 << 20] {
            wrong.push(CodedBlock { raw_size, ..block.clone() });
        }
        for kind in kinds {
            wrong.push(CodedBlock { kind, ..block.clone() });
        }
        for coder in Coder::ALL {
            wrong.push(CodedBlock { coder, ..block.clone() });
        }
        wrong.push(CodedBlock { payload: Vec::new(), ..block });
    }
    same_verdict(gpu, &wrong);
    let huge = CodedBlock { raw_size: u32::MAX, ..wrong[0].clone() };
    assert_eq!(gpu.decode(&[huge]).unwrap(), [Err(BlockFault::Size)]);
}

/// Blocks of all sorts and sizes, copied by many threads at once: the bytes of one thread.
fn several_threads(gpu: &mut Gpu) {
    let mut random = Random(3);
    let mut blocks = Vec::new();
    for (_, bytes) in FILES.iter().cycle().take(250) {
        let length = 1 + random.below(60_000);
        let start = random.below(bytes.len() - length);
        blocks.push(&bytes[start..start + length]);
    }
    let params = BlockParams { coder: Coder::Fse, segment_log: 12, table_log: None };
    let mut codec = codec();
    let mut expected = Vec::new();
    let coded: Vec<_> = blocks.iter().map(|raw| coded_block(&mut codec, raw, params)).collect();
    for threads in [1, 8] {
        let mut traffic = Traffic::encode(&blocks, params);
        let trip = gpu.send(&mut traffic, threads).unwrap();
        assert!(trip.batches > 1, "all of it went in one batch");
        for ((encoded, payload), raw) in traffic.encoded().zip(&blocks) {
            assert_eq!(encoded, codec.encode(raw, &params, &mut expected));
            assert!(payload == expected, "other bytes with {threads} threads");
        }
        let mut traffic = Traffic::decode(&coded);
        gpu.send(&mut traffic, threads).unwrap();
        for (decoded, raw) in traffic.decoded().zip(&blocks) {
            assert!(decoded == Ok(raw), "other bytes with {threads} threads");
        }
    }
}

/// A block as the CPU codes it.
fn coded_block(codec: &mut Codec, raw: &[u8], params: BlockParams) -> CodedBlock {
    let mut payload = Vec::new();
    let encoded = codec.encode(raw, &params, &mut payload);
    CodedBlock {
        coder: params.coder,
        kind: encoded.kind,
        table_log: encoded.table_log,
        segment_log: params.segment_log,
        raw_size: raw.len() as u32,
        payload: if encoded.kind == BlockKind::Stored { raw.to_vec() } else { payload },
    }
}

/// What the engine may rely on, between one call and the next and after the end.
fn seam(gpu: &mut Gpu) {
    let blocks: Vec<&[u8]> = FILES.iter().map(|(_, bytes)| &bytes[..20_000]).collect();
    let many: Vec<&[u8]> = blocks.iter().copied().cycle().take(500).collect();
    gpu.slots_wait_for_unloads(&blocks, PARAMS);
    let lent = gpu.half_of_the_slots_lend_payloads(&blocks, PARAMS);
    assert!(lent > 0, "the host reads the software devices' memory through its caches");
    gpu.preparations_are_told_once(&blocks, PARAMS);
    gpu.loads_may_be_dropped(&blocks, PARAMS);
    gpu.no_ring_is_lost(4000, &blocks, PARAMS);
    gpu.spans_are_in_order(&many, PARAMS);
}

/// And after the device has failed or gone.
fn ending(gpu: Gpu, fails: bool) {
    gpu.all_may_outlive_it(fails, &FILES.map(|(_, bytes)| &bytes[..20_000]), PARAMS);
}

/// Whole frames of every pipeline through the engine: the same bytes as on the CPU, and back, coded by the device.
fn frames() {
    let mut raw: Vec<u8> = FILES.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    raw.extend(vec![0; 100_000]);
    raw.extend(Random(2).bytes(70_000));
    for &pipeline in &Pipeline::ALL[1..] {
        // A block of 4 MiB has parts of every stream; in small ones some have none.
        let block_size = if pipeline == Pipeline::Lzseqf { 1 << 22 } else { 1 << 16 };
        let options = |device| {
            let options = Options::new().pipeline(pipeline).threads(2).device(device);
            options.block_size(block_size).unwrap()
        };
        let expected = options(DeviceSelector::Cpu).compress(&raw).unwrap();

        let on_device = options(selector()).content_size(Some(raw.len() as u64));
        let mut compressor = on_device.compressor(Vec::new()).unwrap();
        compressor.write_all(&raw).unwrap();
        compressor.flush().unwrap();
        expect_coded_there(pipeline, compressor.progress());
        assert!(compressor.finish().unwrap() == expected, "{pipeline}: another frame");

        let mut decompressor = options(selector()).decompressor(&expected[..]).unwrap();
        let mut back = Vec::new();
        decompressor.read_to_end(&mut back).unwrap();
        assert!(back == raw, "{pipeline}: other bytes");
        expect_coded_there(pipeline, decompressor.progress());
    }
}

/// Blocks of one value or of noise are not worth the way, nor are parts of such.
fn expect_coded_there(pipeline: Pipeline, progress: Progress) {
    let Progress { blocks, device_blocks, retried_blocks, .. } = progress;
    assert!(device_blocks > blocks / 2 && retried_blocks == 0, "{pipeline}: {progress:?}");
}
