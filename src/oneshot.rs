//! Slices in, vectors out.

use std::{hint::black_box, io::BufRead};

use crate::{
    Options,
    engine::Route,
    error::{Error, Result},
    format::frame_bound,
    restore::{raw_bytes, restore},
    sched::{self, Spawner},
    stream::{Encoder, Memory},
};

/// Raw bytes for each byte of input that memory is provided for at once.
const PLAUSIBLE: u64 = 64;

/// Compresses `raw` with the default options.
///
/// ```
/// let raw = b"to be, or not to be ".repeat(100);
/// let coded = ranvil::compress(&raw)?;
/// assert!(coded.len() < raw.len());
/// assert_eq!(ranvil::decompress(&coded)?, raw);
/// # Ok::<(), ranvil::Error>(())
/// ```
///
/// # Errors
/// See [`Options::compress`].
pub fn compress(raw: &[u8]) -> Result<Vec<u8>> {
    Options::default().compress(raw)
}

/// Decompresses all frames of `coded` with the default options. Limit the output of untrusted input with
/// [`Options::output_limit`].
///
/// # Errors
/// See [`Options::decompress`].
pub fn decompress(coded: &[u8]) -> Result<Vec<u8>> {
    Options::default().decompress(coded)
}

impl Options {
    /// Compresses `raw` to one frame, whose header names the content's size whatever
    /// [`content_size`](Self::content_size) says. The result is not counted against the memory limit.
    ///
    /// # Errors
    /// An impossible option, device or memory limit; [`Error::Cancelled`].
    pub fn compress(&self, raw: &[u8]) -> Result<Vec<u8>> {
        // Of what it might need at most, only what it fills becomes memory.
        let mut coded = zeros(self.compress_bound(raw.len())?)?;
        let length = self.compress_into(raw, &mut coded)?;
        coded.truncate(length);
        coded.shrink_to_fit();
        Ok(coded)
    }

    /// The most bytes that `raw_bytes` bytes are compressed to.
    ///
    /// # Errors
    /// An impossible option; [`Error::OutOfMemory`] if there cannot be so many.
    pub fn compress_bound(&self, raw_bytes: usize) -> Result<usize> {
        let bound = frame_bound(&self.frame_header()?, raw_bytes as u64);
        bound.and_then(|bound| bound.try_into().ok()).ok_or(out_of_memory(usize::MAX))
    }

    /// Writes what [`compress`](Self::compress) returns to the beginning of `coded`, and returns its length in bytes. After an
    /// error, what `coded` holds is unspecified.
    ///
    /// Workers read `raw` and write `coded` where they are. Memory that has been used before is faster: its pages are there
    /// already. Devices read `raw` where it is if that is in a [`HostBuffer`](crate::HostBuffer).
    ///
    /// # Errors
    /// Those of [`compress`](Self::compress); [`Error::InvalidOption`] if `coded` is too short, which it is not with
    /// [`compress_bound`](Self::compress_bound) bytes.
    pub fn compress_into(&self, raw: &[u8], coded: &mut [u8]) -> Result<usize> {
        pack(self, Route::choose(self)?, raw, coded)
    }

    /// Decompresses all frames of `coded`. The result is not counted against the memory limit, but against the
    /// [output limit](Self::output_limit).
    ///
    /// # Errors
    /// Damaged or foreign input; content beyond the output limit; an impossible option, device or memory limit;
    /// [`Error::Cancelled`].
    pub fn decompress(&self, coded: &[u8]) -> Result<Vec<u8>> {
        // What the headers say is believed only as far as most content goes.
        let plausible = self.output_limit.min(PLAUSIBLE.saturating_mul(coded.len() as u64));
        match raw_bytes(coded) {
            Ok(length) if length <= plausible => {
                let length = usize::try_from(length).map_err(|_| out_of_memory(usize::MAX))?;
                let mut raw = zeros(length)?;
                restore(self, Route::choose(self)?, coded, &mut raw)?;
                Ok(raw)
            }
            _ => {
                let mut raw = Vec::new();
                self.stream(coded, |chunk| {
                    reserve(&mut raw, chunk.len())?;
                    raw.extend_from_slice(chunk);
                    Ok(())
                })?;
                Ok(raw)
            }
        }
    }

    /// Decompresses all frames of `coded` to the beginning of `raw`, and returns how many bytes they hold. After an error,
    /// what `raw` holds is unspecified.
    ///
    /// Workers read `coded` and write `raw` where they are, and devices if these are in [`HostBuffer`](crate::HostBuffer)s.
    ///
    /// # Errors
    /// Those of [`decompress`](Self::decompress); [`Error::OutputLimit`] also if `raw` is too short.
    pub fn decompress_into(&self, coded: &[u8], raw: &mut [u8]) -> Result<usize> {
        let room = raw.len() as u64;
        let options = self.clone().output_limit(self.output_limit.min(room));
        match raw_bytes(coded) {
            Ok(length) if length <= options.output_limit => {
                // As the limit is at most the room.
                let length = length as usize;
                restore(&options, Route::choose(&options)?, coded, &mut raw[..length])?;
                Ok(length)
            }
            _ => {
                let mut length = 0;
                options.stream(coded, |chunk| {
                    raw[length..][..chunk.len()].copy_from_slice(chunk);
                    length += chunk.len();
                    Ok(())
                })?;
                Ok(length)
            }
        }
    }

    /// Decompresses `coded` block by block, as far as it is intact.
    fn stream(&self, coded: &[u8], mut put: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let mut decompressor = self.decompressor(coded)?;
        loop {
            let chunk = decompressor.chunk()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let length = chunk.len();
            put(chunk)?;
            decompressor.consume(length);
        }
    }
}

/// Compresses with the devices of `route`.
pub(crate) fn pack(options: &Options, route: Route, raw: &[u8], coded: &mut [u8]) -> Result<usize> {
    let options = options.clone().content_size(Some(raw.len() as u64));
    sched::scope(|scope| {
        let (memory, spawner) = (Memory::new(coded), Spawner::scoped(scope));
        let mut encoder = Encoder::new(&options, memory, route, spawner)?;
        encoder.lend(raw)?;
        Ok(encoder.end_frame()? as usize)
    })
}

/// So many zeros, whose pages nobody has touched: the workers will.
fn zeros(length: usize) -> Result<Vec<u8>> {
    // The allocation below aborts where there is no memory; this one tells.
    let mut probe = Vec::<u8>::new();
    black_box(&mut probe).try_reserve_exact(length).map_err(|_| out_of_memory(length))?;
    drop(black_box(probe));
    Ok(vec![0; length])
}

fn out_of_memory(needed: usize) -> Error {
    Error::OutOfMemory { needed: needed as u64 }
}

fn reserve(buffer: &mut Vec<u8>, more: usize) -> Result<()> {
    buffer.try_reserve(more).map_err(|_| out_of_memory(buffer.len() + more))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        panic::{AssertUnwindSafe, catch_unwind},
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering::Relaxed},
        },
    };

    use super::*;
    use crate::{
        Assignment, CancelToken, DeviceSelector, Pipeline,
        engine::{
            accel::Idle,
            tests::{Fake, Trouble},
        },
    };

    const ALICE: &[u8] = include_bytes!("../tests/data/alice29.txt");

    fn options(pipeline: Pipeline) -> Options {
        let options = Options::new().pipeline(pipeline).block_size(4096).unwrap();
        options.threads(3).device(DeviceSelector::Cpu)
    }

    fn streamed(options: &Options) -> Vec<u8> {
        let options = options.clone().content_size(Some(ALICE.len() as u64));
        let mut compressor = options.compressor(Vec::new()).unwrap();
        compressor.write_all(ALICE).unwrap();
        compressor.finish().unwrap()
    }

    /// Frames of all pipelines, among them one with larger blocks and one of noise.
    fn frames() -> (Vec<u8>, Vec<u8>) {
        let (mut coded, mut raw) = (Vec::new(), Vec::new());
        for &pipeline in Pipeline::ALL {
            coded.extend(options(pipeline).compress(ALICE).unwrap());
            raw.extend_from_slice(ALICE);
        }
        let noise: Vec<u8> =
            (0..50_000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8).collect();
        let larger = options(Pipeline::Rans).block_size(1 << 15).unwrap();
        coded.extend(larger.compress(&noise).unwrap());
        raw.extend_from_slice(&noise);
        (coded, raw)
    }

    #[test]
    fn slices_and_streams_yield_the_same_bytes() {
        for &pipeline in Pipeline::ALL {
            let options = options(pipeline);
            let expected = streamed(&options);
            assert!(options.compress(ALICE).unwrap() == expected, "{pipeline}");
            assert!(options.decompress(&expected).unwrap() == ALICE, "{pipeline}");
        }
    }

    /// So long that the last payloads go past the caches.
    #[test]
    fn long_results_have_every_byte_at_its_place() {
        let options = options(Pipeline::Stored).block_size(1 << 16).unwrap();
        let raw = large().repeat(25);
        assert!(raw.len() > 18 << 20);
        let announced = options.clone().content_size(Some(raw.len() as u64));
        let mut stream = announced.compressor(Vec::new()).unwrap();
        stream.write_all(&raw).unwrap();
        let expected = stream.finish().unwrap();
        let mut coded = vec![0xEE; expected.len() + 3];
        for start in 0..3 {
            assert_eq!(options.compress_into(&raw, &mut coded[start..]).unwrap(), expected.len());
            assert!(coded[start..][..expected.len()] == expected, "from {start} on");
        }
    }

    /// Text and noise, in blocks whose payloads workers copy.
    fn large() -> Vec<u8> {
        let noise = (0..300_000u32).map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8);
        [ALICE.repeat(3), noise.collect()].concat()
    }

    #[test]
    fn workers_bring_payloads_to_their_places() {
        let raw = large();
        for (pipeline, index) in
            [(Pipeline::Rans, true), (Pipeline::Lzseqr, false), (Pipeline::Stored, true)]
        {
            let options = options(pipeline).index(index).block_size(1 << 16).unwrap();
            let announced = options.clone().content_size(Some(raw.len() as u64));
            let mut stream = announced.compressor(Vec::new()).unwrap();
            stream.write_all(&raw).unwrap();
            let expected = stream.finish().unwrap();
            assert!(options.compress(&raw).unwrap() == expected, "{pipeline}");
            // Memory that is just long enough, and has held something else.
            let mut coded = vec![0xEE; expected.len()];
            assert_eq!(options.compress_into(&raw, &mut coded).unwrap(), coded.len());
            assert!(coded == expected, "{pipeline}");
            for length in [0, 23, 24, 70_000, expected.len() - 1] {
                match options.compress_into(&raw, &mut coded[..length]) {
                    Err(Error::InvalidOption { name: "length of the output", .. }) => {}
                    other => panic!("{pipeline}, {length}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn nothing_is_compressed_to_more_than_the_bound() {
        let raw = &large()[456_000..];
        for (index, size) in [(true, 0), (true, 1), (false, 4095), (true, 4097), (true, 300_000)] {
            let options = options(Pipeline::Rans).index(index);
            let bound = options.compress_bound(size).unwrap();
            let coded = options.compress(&raw[..size]).unwrap();
            assert!((coded.len()..coded.len() + 4 * 74 + 256).contains(&bound), "{size}: {bound}");
        }
        let error = options(Pipeline::Rans).compress_bound(usize::MAX);
        assert!(matches!(error, Err(Error::OutOfMemory { .. })));
    }

    #[test]
    fn frames_of_any_kind_are_restored_to_the_beginning_of_a_slice() {
        let (coded, raw) = frames();
        let options = options(Pipeline::Rans);
        let mut back = vec![0xEE; raw.len() + 10];
        assert_eq!(options.decompress_into(&coded, &mut back).unwrap(), raw.len());
        assert!(back[..raw.len()] == raw && back[raw.len()..] == [0xEE; 10]);
        match options.decompress_into(&coded, &mut back[..raw.len() - 1]) {
            Err(Error::OutputLimit { limit }) => assert_eq!(limit, raw.len() as u64 - 1),
            other => panic!("{other:?}"),
        }
        assert!(options.decompress(&coded).unwrap() == raw);
    }

    #[test]
    fn damage_is_the_same_error_in_slices_and_streams() {
        let (coded, raw) = frames();
        let options = options(Pipeline::Rans);
        let compare = |damaged: &[u8], what: &str| {
            let mut stream = options.decompressor(damaged).unwrap();
            let expected = stream.read_to_end(&mut Vec::new()).map_err(Error::from_io);
            let expected = expected.map(drop).map_err(|error| format!("{error:?}"));
            let mut back = vec![0; raw.len()];
            let slice = options.decompress_into(damaged, &mut back);
            assert_eq!(slice.map(drop).map_err(|error| format!("{error:?}")), expected, "{what}");
            let vector = options.decompress(damaged);
            assert_eq!(vector.map(drop).map_err(|error| format!("{error:?}")), expected, "{what}");
        };
        compare(&[], "nothing");
        let empty = super::tests::options(Pipeline::Lzr).compress(b"").unwrap();
        compare(&empty, "a frame without blocks");
        for end in (0..coded.len()).step_by(coded.len() / 23) {
            compare(&coded[..end], &format!("the first {end} bytes"));
        }
        let mut damaged = coded.clone();
        for place in (0..coded.len()).step_by(coded.len() / 61) {
            damaged[place] ^= 0x41;
            compare(&damaged, &format!("another byte at {place}"));
            damaged[place] = coded[place];
        }
    }

    /// Whatever the workers have of input and output at that moment, both are the caller's again.
    #[test]
    fn a_callback_that_cancels_or_panics_ends_the_call() {
        type Call<'a> = &'a mut dyn FnMut(&Options) -> Result<usize>;
        for pipeline in [Pipeline::Rans, Pipeline::Lzseqr, Pipeline::Stored] {
            let plain = options(pipeline);
            let coded = plain.compress(ALICE).unwrap();
            let mut memory = vec![0; plain.compress_bound(ALICE.len()).unwrap()];
            let mut back = vec![0; ALICE.len()];
            for at in [1, 2, 20] {
                let compress: Call<'_> = &mut |options| options.compress_into(ALICE, &mut memory);
                let decompress: Call<'_> =
                    &mut |options| options.decompress_into(&coded, &mut back);
                for call in [compress, decompress] {
                    let (token, seen) = (CancelToken::new(), Arc::new(AtomicU64::new(0)));
                    let (inner, last) = (token.clone(), Arc::clone(&seen));
                    let cancelling = plain.clone().cancel(token).progress(move |progress| {
                        last.store(progress.blocks, Relaxed);
                        if progress.blocks == at {
                            inner.cancel();
                        }
                    });
                    let what = format!("{pipeline}, at {at}");
                    assert!(matches!(call(&cancelling), Err(Error::Cancelled)), "{what}");
                    assert_eq!(seen.load(Relaxed), at, "{what}: nothing comes behind it");

                    let panicking =
                        plain.clone().progress(move |progress| assert_ne!(progress.blocks, at));
                    let caught = catch_unwind(AssertUnwindSafe(|| call(&panicking)));
                    assert!(caught.is_err(), "{what}");
                }
            }
            let length = plain.compress_into(ALICE, &mut memory).unwrap();
            assert!(memory[..length] == coded);
            back.fill(0);
            assert_eq!(plain.decompress_into(&coded, &mut back).unwrap(), ALICE.len());
            assert!(back == ALICE);
        }
    }

    #[test]
    fn slices_go_through_devices_and_their_troubles() {
        use Trouble::{Backward, LoseAt, None, RefusePlan, Slow, Stall};
        for pipeline in [Pipeline::Rans, Pipeline::Lzseqr] {
            let options = options(pipeline);
            let expected = streamed(&options);
            for (trouble, side) in [
                (None, Assignment::Gpu),
                (Backward, Assignment::Gpu),
                (RefusePlan(2), Assignment::Gpu),
                (LoseAt(3), Assignment::Gpu),
                (Slow(1), Assignment::Auto),
                (Stall, Assignment::Auto),
            ] {
                let route = || Route::open(vec![Idle::new(Fake::new(trouble, 8, 2).0)], side);
                let mut coded = vec![0xEE; expected.len() + 10];
                let length = pack(&options, route(), ALICE, &mut coded).unwrap();
                assert!(coded[..length] == expected, "{pipeline}, {trouble:?}");
                assert_eq!(coded[length..], [0xEE; 10]);
                let coded = &coded[..length];
                let mut back = vec![0xEE; ALICE.len()];
                restore(&options, route(), coded, &mut back).unwrap();
                assert!(back == ALICE, "{pipeline}, {trouble:?}");
            }
        }
    }

    /// At the end of the content, and before an engine is made for a frame with larger blocks. What follows a device's first batch would wait
    /// for more, as long as the device is busy.
    #[test]
    fn the_last_blocks_of_a_slice_do_not_wait_for_more() {
        let first = options(Pipeline::Rans).compress(&ALICE[..3 * 4096]).unwrap();
        let larger = options(Pipeline::Rans).block_size(1 << 15).unwrap();
        let second = larger.compress(&ALICE[3 * 4096..]).unwrap();
        let both = [&first[..], &second].concat();
        for (coded, raw) in [(&first, &ALICE[..3 * 4096]), (&both, ALICE)] {
            let (fake, seen) = Fake::new(Trouble::Hold, 100, 3);
            let fake = fake.with_batches_of(16 * 4096);
            let route = Route::open(vec![Idle::new(fake)], Assignment::Gpu);
            let begun = seen.release_at(2);
            let mut back = vec![0; raw.len()];
            restore(&options(Pipeline::Rans), route, coded, &mut back).unwrap();
            assert!(begun.join().unwrap(), "{seen:?}");
            assert!(back == raw);
        }
    }
}
