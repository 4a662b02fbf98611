//! Those with a device are on the first Vulkan device.

use ranvil::testing::Choice;

use super::*;
use crate::{case::Coder, data, record, run::STAGING};

const EFFORT: Effort = Effort {
    least: Duration::ZERO,
    most: Duration::from_millis(50),
    precision: 0.01,
    confidence: 0.95,
};

fn gpu() -> Gpu {
    Gpu::open(&"0".parse().unwrap(), STAGING).unwrap()
}

fn small(direction: Direction) -> Case {
    let mut case = Case { direction, coder: Coder::Huff, ..Case::default() };
    case.variant = "shared".to_owned();
    (case.params.size, case.params.block) = (60_000, 30_000);
    case
}

/// A kernel of another coder in the decoder's place.
fn spoil(subject: &mut Subject<'_>) {
    let decode = subject.entries.iter_mut().find(|e| e.kernel.name == "decode_huff").unwrap();
    let other = ranvil::kernel::find("decode_rans").unwrap();
    let variant = other.variants.iter().find(|variant| variant.name == "shared").unwrap();
    decode.choice = Choice { variant, spec: Vec::new(), checked: false };
}

/// A row of 40 samples around 1000 ns, with nothing doubtful about it.
fn row() -> Row {
    let around = |middle: f64| (0..40).map(|at| middle + f64::from(at % 3)).collect();
    let mut row = record::tests::row();
    (row.samples, row.calibration) = (around(1000.0), around(500.0));
    row.working_set = CACHE_RESISTANT;
    row
}

fn doubted(change: impl FnOnce(&mut Row)) -> Vec<String> {
    let mut row = row();
    change(&mut row);
    doubts(&row, EFFORT)
}

#[test]
fn what_is_doubtful_is_said() {
    assert_eq!(doubted(|_| {}), [] as [&str; 0]);
    assert_eq!(doubted(|row| row.samples[7] = 5000.0), ["1 of 40 samples are outliers"]);
    let slower = |samples: &mut [f64]| {
        samples.iter_mut().enumerate().for_each(|(at, sample)| *sample *= 1.0 + at as f64 / 400.0);
    };
    let drifted = doubted(|row| slower(&mut row.samples));
    assert!(drifted.iter().any(|note| note.starts_with("times drifted by +")), "{drifted:?}");
    let throttled = doubted(|row| {
        slower(&mut row.samples);
        slower(&mut row.calibration);
    });
    assert!(throttled.iter().any(|note| note.contains("the device throttled")), "{throttled:?}");
    assert!(!throttled.iter().any(|note| note.contains("drifted")), "that is why: {throttled:?}");

    let cache = ["a cache may have held the data"];
    assert_eq!(doubted(|row| row.working_set -= 1), cache);
    let host = doubted(|row| (row.clock, row.working_set) = (Clock::Host, 1));
    assert_eq!(host, [] as [&str; 0], "that comes from the host's memory");
    let wide = doubted(|row| row.samples = (0..40).map(|at| f64::from(1000 + 40 * at)).collect());
    assert!(wide.iter().any(|note| note == "less precise than asked for"), "{wide:?}");
}

#[test]
fn precision_is_what_is_asked_for() {
    let samples: Vec<f64> = (0..40).map(|at| 1000.0 + f64::from(at % 10)).collect();
    assert!(precise(&samples, EFFORT));
    assert!(!precise(&samples, Effort { precision: 1e-6, ..EFFORT }));
    // Until it is met, or until there is no more time: equal samples meet any.
    let most = Duration::from_secs(3600);
    let equal = sample(Effort { precision: 0.0, most, ..EFFORT }, |samples| {
        samples.push(7.0);
        Ok(())
    });
    assert!(equal.unwrap().len() >= LEAST_SAMPLES);
}

#[test]
fn subjects_are_right_before_and_after_or_have_no_speed() {
    let mut gpu = gpu();
    let case = small(Direction::Decode);
    let data = data::load("alice").unwrap();
    let blocks = Blocks::new(&case, &data, gpu.max_buffer()).unwrap();
    let new = |gpu: &mut Gpu| [(); 2].map(|()| Subject::new(gpu, &case, &blocks).unwrap());
    let mut subjects = new(&mut gpu);
    assert_eq!(verified(&mut gpu, &mut subjects, |_, _| Ok(7)).unwrap(), 7);
    for which in 0..2 {
        let mut subjects = new(&mut gpu);
        let after = verified(&mut gpu, &mut subjects, |_, subjects| {
            spoil(&mut subjects[which]);
            Ok(())
        });
        assert!(after.unwrap_err().is::<Wrong>());
        let before = verified(&mut gpu, &mut subjects, |_, _| -> Result<()> {
            panic!("it is measured although it is wrong")
        });
        assert!(before.unwrap_err().is::<Wrong>());
    }
}

/// It cannot take less: that is what it is for.
#[test]
fn devices_are_warm_before_anything_is_timed() {
    let mut gpu = gpu();
    let case = small(Direction::Decode);
    let data = data::load("alice").unwrap();
    let blocks = Blocks::new(&case, &data, gpu.max_buffer()).unwrap();
    let mut subject = Subject::new(&mut gpu, &case, &blocks).unwrap();
    let start = Instant::now();
    warm_up(&mut gpu, &mut subject, Stamps::Commands).unwrap();
    assert!(start.elapsed() >= WARM_UP);
}

#[test]
fn a_workgroup_that_is_forced_is_what_runs() {
    let mut gpu = gpu();
    let mut case = small(Direction::Decode);
    case.params.workgroup = Some(32);
    let data = data::load("alice").unwrap();
    let blocks = Blocks::new(&case, &data, gpu.max_buffer()).unwrap();
    let subject = Subject::new(&mut gpu, &case, &blocks).unwrap();
    let decode = subject.entries.iter().find(|e| e.kernel.name == "decode_huff").unwrap();
    assert_eq!(decode.choice.spec, [(0, 32)]);
    let parse = subject.entries.iter().find(|e| e.kernel.name == "parse").unwrap();
    assert_eq!(parse.choice.spec, [], "it does not code segments");
}

#[test]
fn what_comes_back_to_the_host_is_compared() {
    let mut gpu = gpu();
    let data = data::load("alice").unwrap();
    for direction in [Direction::Encode, Direction::Decode] {
        let case = small(direction);
        let [blocks, other] =
            [&data[..], &data[1..]].map(|data| Blocks::new(&case, data, gpu.max_buffer()).unwrap());
        let mut traffic = traffic(direction, &blocks);
        gpu.send(&mut traffic, 1).unwrap();
        assert!(arrived(&traffic, direction, &blocks), "{direction}");
        assert!(!arrived(&traffic, direction, &other), "{direction}");
    }
}

#[test]
fn a_row_says_what_was_coded_and_by_which_modules() {
    let mut gpu = gpu();
    let case = small(Direction::Encode);
    let data = data::load("alice").unwrap();
    let blocks = Blocks::new(&case, &data, gpu.max_buffer()).unwrap();
    let subject = Subject::new(&mut gpu, &case, &blocks).unwrap();
    let row = super::row(&subject, &blocks, "alice", Clock::Device, 0.95);
    assert_eq!((row.data.bytes, row.data.crc32c), (60_000, crc32c::crc32c(&data[..60_000])));
    let kernel = ranvil::kernel::find("encode_huff").unwrap();
    let shared = kernel.variants.iter().find(|variant| variant.name == "shared").unwrap();
    let module = crc32c::crc32c(bytemuck::cast_slice(shared.spirv));
    assert!(row.modules.contains(&("encode_huff shared".to_owned(), module)), "{:?}", row.modules);
}
