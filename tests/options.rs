//! What options promise, whoever codes: refusals, limits, cancellation, progress, the choice of a device.

mod common;

use std::{
    io::{self, Read, Write},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use ranvil::{
    CancelToken, DeviceError, DeviceSelector, Error, Options, Pipeline, compress, decompress,
};

use common::{ALICE, stays};

fn small_blocks() -> Options {
    Options::new().device(DeviceSelector::Cpu).block_size(4096).unwrap()
}

#[test]
fn options_that_a_pipeline_does_not_take_are_refused() {
    for level in [0, 10, 255] {
        let refused = Options::new().level(level);
        assert!(matches!(refused, Err(Error::InvalidOption { name: "level", .. })), "{level}");
    }
    for log in [0, 13] {
        assert!(Options::new().table_log(Some(log)).is_err(), "{log}");
    }
    for &pipeline in Pipeline::ALL {
        let options = Options::new().pipeline(pipeline);
        for log in 1..=12 {
            let taken = match pipeline {
                Pipeline::Rans => log >= 8,
                Pipeline::Fse => log >= 5,
                Pipeline::Huff => true,
                _ => false,
            };
            let options = options.clone().table_log(Some(log)).unwrap();
            match options.compress(&ALICE[..1000]) {
                Ok(_) => assert!(taken, "{pipeline}, table log {log}"),
                Err(Error::InvalidOption { name: "table log", reason }) => {
                    assert!(!taken && reason.contains(pipeline.name()), "{pipeline}: {reason}");
                }
                other => panic!("{pipeline}: {other:?}"),
            }
        }
        for log in [21, 22] {
            let options = options.clone().block_size(1 << log).unwrap();
            match options.compress(&ALICE[..1000]) {
                Ok(coded) => assert!(pipeline.model().is_some() && coded[7] == log, "{pipeline}"),
                Err(Error::InvalidOption { name: "block size", reason }) => {
                    assert!(pipeline.model().is_none(), "{pipeline}");
                    assert!(reason.contains("1048576") && reason.contains(pipeline.name()));
                }
                other => panic!("{pipeline}: {other:?}"),
            }
        }
        assert!(options.clone().block_size(1 << 23).is_err() && options.block_size(3000).is_err());
    }
}

#[test]
fn any_number_of_threads_may_be_asked_for() {
    let options = small_blocks().threads(usize::MAX).memory_limit(u64::MAX);
    assert!(options.decompress(&options.compress(ALICE).unwrap()).unwrap() == ALICE);
}

#[test]
fn the_announced_size_has_to_be_right() {
    let options = small_blocks().content_size(Some(5000));
    let wrong = |error| matches!(error, Error::InvalidOption { name: "content size", .. });
    let mut compressor = options.compressor(Vec::new()).unwrap();
    compressor.write_all(&ALICE[..4999]).unwrap();
    assert!(compressor.finish().is_err_and(wrong));
    let mut compressor = options.compressor(Vec::new()).unwrap();
    compressor.write_all(&ALICE[..5000]).unwrap();
    assert!(stays(|| compressor.write(b"x"), wrong));
    let mut compressor = options.compressor(Vec::new()).unwrap();
    let mut put = |count| -> io::Result<()> {
        let room = compressor.room()?.len();
        Ok(compressor.commit(room.min(count))?)
    };
    put(4096).unwrap();
    assert!(stays(|| put(905), wrong));
    let mut compressor = options.compressor(Vec::new()).unwrap();
    compressor.write_all(&ALICE[..5000]).unwrap();
    let coded = compressor.finish().unwrap();
    assert_eq!(coded[5] & 1, 1);
    assert_eq!(coded[12..20], 5000u64.to_le_bytes());
    // The one-shot function knows better.
    assert!(decompress(&options.compress(ALICE).unwrap()).unwrap() == ALICE);
}

#[test]
fn the_output_limit_is_kept() {
    let known = small_blocks().compress(ALICE).unwrap();
    let mut compressor = small_blocks().compressor(Vec::new()).unwrap();
    compressor.write_all(ALICE).unwrap();
    let unknown = compressor.finish().unwrap();
    let length = ALICE.len() as u64;
    for coded in [known, unknown] {
        let twice = coded.repeat(2);
        for (coded, length) in [(&coded, length), (&twice, 2 * length)] {
            assert!(small_blocks().output_limit(length).decompress(coded).is_ok());
            for limit in [0, 1, 4096, length - 1] {
                let options = small_blocks().output_limit(limit);
                let mut raw = Vec::new();
                let error = options.decompressor(&coded[..]).unwrap().read_to_end(&mut raw);
                let error = Error::from_io(error.unwrap_err());
                assert!(matches!(error, Error::OutputLimit { limit: found } if found == limit));
                assert!(raw.len() as u64 <= limit);
            }
        }
    }
}

#[test]
fn a_memory_limit_that_is_too_low_says_what_is_needed() {
    for (&pipeline, block_size) in Pipeline::ALL.iter().flat_map(|p| [(p, 4096), (p, 1 << 20)]) {
        let options = Options::new().pipeline(pipeline).block_size(block_size).unwrap();
        let coded = options.compress(ALICE).unwrap();
        let needed = |result: ranvil::Result<Vec<u8>>| match result {
            Err(Error::MemoryLimit { needed, limit: 1000 }) => needed,
            other => panic!("{other:?}"),
        };
        let tight = options.clone().memory_limit(1000);
        let to_compress = needed(tight.compress(ALICE));
        let to_decompress = needed(tight.decompress(&coded));
        assert!(to_decompress >= block_size as u64);
        let tight = options.clone().memory_limit(to_compress);
        assert!(tight.compress(ALICE).unwrap() == coded);
        let tight = options.clone().memory_limit(to_decompress);
        assert!(tight.decompress(&coded).unwrap() == ALICE);
        let tight = options.memory_limit(to_decompress - 1);
        assert!(matches!(tight.decompress(&coded), Err(Error::MemoryLimit { .. })));
    }
}

#[test]
fn an_index_stays_within_the_memory_limit() {
    let options = small_blocks().pipeline(Pipeline::Rans).threads(1).memory_limit(1 << 20);
    let mut compressor = options.compressor(io::sink()).unwrap();
    let result = (0..1_000_000).try_for_each(|_| {
        compressor.write_all(b"x")?;
        compressor.flush()
    });
    assert!(matches!(
        Error::from_io(result.unwrap_err()),
        Error::MemoryLimit { needed, limit } if needed > limit
    ));
    // Where the size is known, it is said at once.
    let large = options.clone().content_size(Some(1 << 40));
    assert!(matches!(large.compressor(io::sink()), Err(Error::MemoryLimit { .. })));
    assert!(large.index(false).compressor(io::sink()).is_ok());
    // Without an index there is no end.
    let mut compressor = options.index(false).compressor(io::sink()).unwrap();
    for _ in 0..100_000 {
        compressor.write_all(b"x").unwrap();
        compressor.flush().unwrap();
    }
    compressor.finish().unwrap();
}

#[test]
fn cancelling_ends_every_operation() {
    let cancelled = |error| matches!(error, Error::Cancelled);
    let token = CancelToken::new();
    token.cancel();
    let options = small_blocks().cancel(token);
    assert!(options.compress(ALICE).is_err_and(cancelled));
    let coded = small_blocks().compress(ALICE).unwrap();
    assert!(options.decompress(&coded).is_err_and(cancelled));

    // In the middle, from the callback.
    let token = CancelToken::new();
    let inner = token.clone();
    let options = small_blocks().cancel(token).progress(move |progress| {
        if progress.blocks == 3 {
            inner.cancel();
        }
    });
    let mut decompressor = options.decompressor(&coded[..]).unwrap();
    let mut raw = Vec::new();
    assert!(cancelled(Error::from_io(decompressor.read_to_end(&mut raw).unwrap_err())));
    assert!(ALICE.starts_with(&raw) && raw.len() == 3 * 4096);
    assert!(stays(|| decompressor.read(&mut [0]), cancelled));
    // `io::copy` ends as well: the error is not one that it retries.
    assert!(io::copy(&mut decompressor, &mut io::sink()).is_err());
}

#[test]
fn progress_is_reported_after_every_block_on_the_callers_thread() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&reports);
    let caller = thread::current().id();
    let options = small_blocks().threads(4).progress(move |progress| {
        assert_eq!(thread::current().id(), caller);
        inner.lock().unwrap().push(progress);
    });
    let mut compressor = options.compressor(Vec::new()).unwrap();
    compressor.write_all(ALICE).unwrap();
    compressor.flush().unwrap();
    let last = compressor.progress();
    let coded = compressor.finish().unwrap();
    let blocks = ALICE.len().div_ceil(4096);
    let check = |reports: Vec<ranvil::Progress>| {
        assert_eq!(reports.len(), blocks);
        for (number, (report, raw)) in reports.iter().zip(ALICE.chunks(4096)).enumerate() {
            assert_eq!(report.blocks, number as u64 + 1);
            assert_eq!(report.raw_bytes, 4096 * number as u64 + raw.len() as u64);
        }
        assert!(reports.is_sorted_by_key(|report| report.coded_bytes));
        assert!(reports.iter().all(|r| r.device_blocks == 0 && r.retried_blocks == 0));
        *reports.last().unwrap()
    };
    assert_eq!(check(std::mem::take(&mut reports.lock().unwrap())), last);
    assert!(options.decompress(&coded).unwrap() == ALICE);
    check(std::mem::take(&mut reports.lock().unwrap()));
}

#[test]
fn a_device_that_does_not_exist_is_an_error_at_once() {
    let options = Options::new().device(DeviceSelector::Name("no such device".to_owned()));
    let refused = |error| matches!(error, Error::Device(_));
    assert!(options.compressor(io::sink()).is_err_and(refused));
    assert!(options.decompressor(io::empty()).is_err_and(refused));
    assert!(options.compress(ALICE).is_err_and(refused));
    let coded = compress(ALICE).unwrap();
    assert!(options.decompress(&coded).is_err_and(refused));
}

/// Not a test of its own: [`the_environment_names_the_device`] runs it in a process with another environment.
#[test]
#[ignore = "run by the_environment_names_the_device"]
fn with_a_device_from_the_environment() {
    match std::env::var("RANVIL_DEVICE").as_deref() {
        Ok("cpu") | Ok("") => assert!(compress(ALICE).is_ok()),
        _ => assert!(matches!(
            compress(ALICE),
            Err(Error::Device(DeviceError::BadSelector(text))) if text == "nonsense"
        )),
    }
    // The options come first.
    assert!(small_blocks().compress(ALICE).is_ok());
}

#[test]
fn the_environment_names_the_device() {
    for device in ["nonsense", "cpu", ""] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "with_a_device_from_the_environment", "--ignored"])
            .env("RANVIL_DEVICE", device)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
