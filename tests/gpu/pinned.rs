//! Input and output in memory that the device reads and writes itself.

use ranvil::{
    Assignment, DeviceSelector, Error, Options, Pipeline, Telemetry, release_idle,
    testing::{Gpu, device_counts, direct_jobs, host_buffer_in_chunks},
};

use crate::{ALICE, BUDGET, FILES, Random, selector};

/// Devices import so many bytes at once: blocks lie across the ends of imports.
const CHUNK: usize = 192 << 10;
/// Where the slices begin in their buffers.
const SKEWS: [usize; 3] = [0, 1, 4099];

fn open() -> Gpu {
    Gpu::open_as_discrete(&selector(), BUDGET).unwrap()
}

/// Real files, and in the middle what is stored and what has but one value.
fn content() -> Vec<u8> {
    let mut content: Vec<u8> = FILES.iter().flat_map(|(_, file)| file.iter().copied()).collect();
    content.extend(Random(7).bytes(300_000));
    content.extend([9; 200_000]);
    content.extend(ALICE.repeat(4));
    content
}

pub fn as_from_anywhere() {
    let raw = content();
    for (number, (pipeline, log, entropy)) in [
        (Pipeline::Rans, 16, Assignment::Gpu),
        (Pipeline::Fse, 17, Assignment::Auto),
        (Pipeline::Huff, 18, Assignment::Gpu),
        (Pipeline::Rans, 12, Assignment::Gpu),
        (Pipeline::Lzseqr, 16, Assignment::Gpu),
    ]
    .into_iter()
    .enumerate()
    {
        let skew = SKEWS[number % SKEWS.len()];
        let telemetry = Telemetry::new();
        let options = Options::new().pipeline(pipeline).block_size(1 << log).unwrap().threads(2);
        let plain = options.clone().device(DeviceSelector::Cpu);
        let options = options.telemetry(telemetry.clone());
        let expected = plain.compress(&raw).unwrap();
        let what = format!("{pipeline}, blocks of 2^{log}");

        let mut input = host_buffer_in_chunks(skew + raw.len(), CHUNK);
        input[skew..].copy_from_slice(&raw);
        let mut coded = host_buffer_in_chunks(plain.compress_bound(raw.len()).unwrap(), CHUNK);
        let before = direct_jobs();
        let gpu = open();
        let able = gpu.reaches_host_memory();
        // What is able in principle is so here, or nothing of this would be tested.
        assert!(able || !gpu.info().name.contains("llvmpipe"));
        gpu.reach(&input);
        let length = gpu.compress_into(&options, entropy, &input[skew..], &mut coded).unwrap();
        assert!(coded[..length] == expected, "{what}");
        assert!(input[skew..] == raw, "{what}: input is read only");
        let there = direct_jobs();
        // Smaller blocks, and the streams of a model, are copied.
        let direct = able && log > 12 && pipeline != Pipeline::Lzseqr;
        // `Auto` may leave all of it to the CPU.
        let strict = entropy == Assignment::Gpu;
        assert!((there > before) == direct || !strict && there == before, "{what}");

        let mut back = host_buffer_in_chunks(skew + raw.len() + 100, CHUNK);
        back.fill(0xEE);
        let gpu = open();
        gpu.reach(&coded);
        gpu.reach(&back);
        let place = &mut back[skew..][..raw.len()];
        gpu.decompress_into(&options, entropy, &coded[..length], place).unwrap();
        assert!(back[skew..][..raw.len()] == raw, "{what}");
        let around = back[..skew].iter().chain(&back[skew + raw.len()..]);
        assert!(around.copied().all(|byte| byte == 0xEE), "{what}");
        assert!((direct_jobs() > there) == direct || !strict && direct_jobs() == there, "{what}");
        if strict {
            let stats = telemetry.total();
            let blocks = stats.devices.iter().map(|device| device.blocks).sum::<u64>();
            assert!(blocks > 0, "{what}");
        }
    }
    damage(&raw);
}

/// What is wrong is said as of any other slice, whichever block it is.
fn damage(raw: &[u8]) {
    let options = Options::new().pipeline(Pipeline::Rans).block_size(1 << 16).unwrap().threads(2);
    let plain = options.clone().device(DeviceSelector::Cpu);
    let good = plain.compress(raw).unwrap();
    let mut random = Random(11);
    let mut damaged = 0;
    for _ in 0..16 {
        let mut coded = host_buffer_in_chunks(good.len(), CHUNK);
        coded.copy_from_slice(&good);
        let place = 40 + random.below(good.len() - 200);
        coded[place] ^= 1 << random.below(8);
        let expected = plain.decompress_into(&coded, &mut vec![0; raw.len()]).map(drop);
        let mut back = host_buffer_in_chunks(raw.len(), CHUNK);
        let found = match plain.decompress(&coded) {
            // The device is tried only with what says to have as much content.
            Err(Error::CorruptBlock { .. }) => {
                damaged += 1;
                let gpu = open();
                gpu.reach(&coded);
                gpu.reach(&back);
                gpu.decompress_into(&options, Assignment::Gpu, &coded, &mut back)
            }
            other => other.map(drop),
        };
        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "at {place}");
    }
    assert!(damaged >= 8, "{damaged} of 16");
}

/// A buffer that is there as long as its devices are, or longer, keeps none of them open.
pub fn keeps_no_device_open() {
    release_idle();
    let (_, before, _) = device_counts();
    let mut buffers = [1, 2].map(|chunks| host_buffer_in_chunks(chunks * CHUNK, CHUNK));
    for _ in 0..2 {
        let gpu = open();
        buffers.iter().for_each(|buffer| gpu.reach(buffer));
        assert_eq!(device_counts().1, before + 1);
        drop(gpu);
        assert_eq!(device_counts().1, before, "two buffers, both imported");
    }
    let gpu = open();
    buffers.iter().for_each(|buffer| gpu.reach(buffer));
    buffers.iter_mut().for_each(|buffer| buffer.fill(1));
    drop(buffers);
    drop(gpu);
    assert_eq!(device_counts().1, before, "the buffers went first");
}
