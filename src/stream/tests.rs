//! The adapters over a device that misbehaves. (Those over the CPU are tested from outside, in `tests/`.)

use std::io::{Read, Write};

use super::{Compressor, Decompressor};
use crate::{
    Assignment, BlockFault, DeviceSelector, Error, Options, Pipeline, Progress, Result,
    engine::{
        Route,
        accel::Idle,
        tests::{Fake, Trouble},
    },
};

const ALICE: &[u8] = include_bytes!("../../tests/data/alice29.txt");

fn options() -> Options {
    Options::new().pipeline(Pipeline::Rans).block_size(4096).unwrap().threads(2)
}

fn device(trouble: Trouble) -> Route {
    Route::open(vec![Idle::new(Fake::new(trouble, 8, 2).0)], Assignment::Gpu)
}

fn compress(options: &Options, trouble: Trouble) -> Result<(Vec<u8>, Progress)> {
    let mut compressor = Compressor::new(options, Vec::new(), device(trouble))?;
    compressor.write_all(ALICE).map_err(Error::from_io)?;
    compressor.flush().map_err(Error::from_io)?;
    let progress = compressor.progress();
    Ok((compressor.finish()?, progress))
}

fn decompress(coded: &[u8], trouble: Trouble) -> Result<(Vec<u8>, Progress)> {
    let mut decompressor = Decompressor::new(&options(), coded, device(trouble));
    let mut raw = Vec::new();
    decompressor.read_to_end(&mut raw).map_err(Error::from_io)?;
    Ok((raw, decompressor.progress()))
}

#[test]
fn bytes_do_not_depend_on_the_device_or_its_troubles() {
    for &pipeline in Pipeline::ALL {
        for trouble in [
            Trouble::None,
            Trouble::Backward,
            Trouble::RefusePlan(2),
            Trouble::RefuseStart(2),
            Trouble::LoseAt(3),
            Trouble::Slow(1),
        ] {
            compare(pipeline, trouble);
        }
    }
}

fn compare(pipeline: Pipeline, trouble: Trouble) {
    let options = options().pipeline(pipeline);
    let mut expected = options.compressor(Vec::new()).unwrap();
    expected.write_all(ALICE).unwrap();
    let expected = expected.finish().unwrap();

    let (coded, progress) = compress(&options, trouble).unwrap();
    assert!(coded == expected, "{pipeline}, {trouble:?}");
    let blocks = ALICE.len().div_ceil(4096) as u64;
    assert_eq!((progress.blocks, progress.raw_bytes), (blocks, ALICE.len() as u64));
    let check = |progress: Progress| {
        let Progress { device_blocks, retried_blocks, .. } = progress;
        let failed = matches!(
            trouble,
            Trouble::RefusePlan(_) | Trouble::RefuseStart(_) | Trouble::LoseAt(_)
        );
        let expected = match (pipeline, failed) {
            (Pipeline::Stored, _) => retried_blocks == 0 && device_blocks == 0,
            // The last block is so short that a model may store it.
            (_, false) => retried_blocks == 0 && device_blocks + 1 >= blocks,
            (_, true) => retried_blocks > 0 && device_blocks < blocks,
        };
        assert!(expected, "{pipeline}, {trouble:?}: {progress:?}");
    };
    check(progress);

    let (raw, progress) = decompress(&coded, trouble).unwrap();
    assert!(raw == ALICE, "{pipeline}, {trouble:?}");
    assert_eq!((progress.blocks, progress.coded_bytes), (blocks, coded.len() as u64));
    check(progress);
}

#[test]
fn a_stored_frame_does_not_take_the_device_from_coded_ones() {
    let stored = options().pipeline(Pipeline::Stored).compress(ALICE).unwrap();
    let coded = options().compress(ALICE).unwrap();
    let missing = options().device(crate::DeviceSelector::Name("NoSuchDevice".to_owned()));
    let both = [stored, coded].concat();
    let mut decompressor = Decompressor::new(&missing, &both[..], device(Trouble::None));
    let mut raw = Vec::new();
    let error = decompressor.read_to_end(&mut raw).map_err(Error::from_io);
    assert!(matches!(error, Err(Error::Device(_))), "{error:?}");
    assert!(raw == ALICE, "the stored frame needs none");
}

#[test]
fn a_fault_that_the_device_finds_is_reported_with_its_block() {
    let coded = options().compress(ALICE).unwrap();
    match decompress(&coded, Trouble::Fault) {
        Err(Error::CorruptBlock { block: 0, offset: 24, reason: BlockFault::Stream }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn a_checksum_is_verified_behind_the_device_as_well() {
    let mut coded = options().compress(ALICE).unwrap();
    // The last byte of the first payload belongs to the last segment's words or states.
    let size = u32::from_le_bytes(coded[32..36].try_into().unwrap()) as usize;
    coded[24 + 16 + size - 1] ^= 0x10;
    match decompress(&coded, Trouble::None) {
        Err(Error::CorruptBlock { block: 0, offset: 24, .. }) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn a_device_layer_that_panics_is_an_error_that_stays() {
    let mut compressor = Compressor::new(&options(), Vec::new(), device(Trouble::Panic)).unwrap();
    let mut failed = || match compressor.write_all(ALICE).and_then(|()| compressor.flush()) {
        Err(error) => matches!(Error::from_io(error), Error::Internal(m) if m.contains("driver")),
        Ok(()) => false,
    };
    assert!(failed() && failed());
    assert!(matches!(compressor.finish(), Err(Error::Internal(_))));
}

#[test]
fn adapters_are_send() {
    fn send<T: Send>() {}
    send::<Compressor<Vec<u8>>>();
    send::<Decompressor<&[u8]>>();
    send::<crate::SeekableReader<std::fs::File>>();
    send::<Options>();
    send::<Error>();
}

/// What follows a device's first batch would wait for more, as long as the device is busy.
#[test]
fn the_last_blocks_do_not_wait_for_more() {
    let held = || {
        let (fake, seen) = Fake::new(Trouble::Hold, 100, 3);
        let fake = fake.with_batches_of(16 * 4096);
        (Route::open(vec![Idle::new(fake)], Assignment::Gpu), seen.release_at(2))
    };
    let raw = &ALICE[..3 * 4096];
    let (route, begun) = held();
    let mut compressor = Compressor::new(&options(), Vec::new(), route).unwrap();
    compressor.write_all(raw).unwrap();
    let coded = compressor.finish().unwrap();
    assert!(begun.join().unwrap(), "of the writer");
    // At the end of the content, and before another frame, with larger blocks.
    let larger = options().block_size(1 << 15).unwrap().compress(&ALICE[3 * 4096..]).unwrap();
    let both = [&coded[..], &larger].concat();
    for (coded, raw) in [(&coded, raw), (&both, ALICE)] {
        let (route, begun) = held();
        let options = options().device(DeviceSelector::Cpu);
        let mut back = Vec::new();
        Decompressor::new(&options, &coded[..], route).read_to_end(&mut back).unwrap();
        assert!(begun.join().unwrap(), "of the reader");
        assert!(back == raw);
    }
}
