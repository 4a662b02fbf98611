//! What each fuzz target does with its input; `tests/fuzz.rs` does the same with the seeds, and `fuzz/` runs it under
//! libFuzzer. A property that does not hold is a panic.

use std::io::{Cursor, Read};

use ranvil::{
    DeviceSelector, Error, Options, Pipeline, SegmentProfile, Simd,
    coder::{BlockParams, Codec, Coder},
    format::BlockKind,
    model::{LzCoder, LzParams, Model, streams::Streams, twin},
};

/// What a target does with its input.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 7] = [
    ("coder", coder),
    ("coder_round_trip", coder_round_trip),
    ("lz_block", lz_block),
    ("lz_streams", lz_streams),
    ("lz_round_trip", lz_round_trip),
    ("frame", frame),
    ("frame_round_trip", frame_round_trip),
];

const MODELS: [Model; 2] = [Model::Lz77, Model::LzSeq];

/// Takes one byte of parameters off the front.
fn take(data: &mut &[u8]) -> usize {
    match data.split_first() {
        Some((&first, rest)) => {
            *data = rest;
            first.into()
        }
        None => 0,
    }
}

fn take_u16(data: &mut &[u8]) -> usize {
    take(data) << 8 | take(data)
}

/// A coded block of an entropy coder: every implementation has the same verdict and the same bytes.
pub fn coder(mut data: &[u8]) {
    let coder = Coder::ALL[take(&mut data) % 3];
    let table_log = take(&mut data) as u8 % 16;
    let segment_log = 11 + take(&mut data) as u8 % 7;
    let size = take_u16(&mut data);
    let verdicts = Simd::available().into_iter().map(|simd| {
        let mut codec = Codec::new(simd).expect("available");
        let mut raw = vec![0; size];
        let kind = BlockKind::Coded;
        codec.decode(data, kind, coder, table_log, segment_log, &mut raw).map(|()| raw)
    });
    let verdicts: Vec<_> = verdicts.collect();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "verdicts differ");
}

/// What an entropy coder makes of a block is the same for every implementation, and comes back.
pub fn coder_round_trip(mut data: &[u8]) {
    let coder = Coder::ALL[take(&mut data) % 3];
    let logs: Vec<u8> = coder.table_logs().collect();
    let choice = take(&mut data);
    let table_log = logs.get(choice % (logs.len() + 1)).copied();
    let segment_log = 12 + take(&mut data) as u8 % 5;
    let params = BlockParams { coder, segment_log, table_log };
    let mut first = None;
    for simd in Simd::available() {
        let mut codec = Codec::new(simd).expect("available");
        let mut payload = Vec::new();
        let encoded = codec.encode(data, &params, &mut payload);
        if encoded.kind == BlockKind::Stored {
            payload.extend_from_slice(data);
        }
        let mut back = vec![0xee; data.len()];
        codec
            .decode(&payload, encoded.kind, coder, encoded.table_log, segment_log, &mut back)
            .expect("own payload");
        assert!(back == data, "{simd:?} {params:?}");
        let this = (encoded, payload);
        assert!(*first.get_or_insert_with(|| this.clone()) == this, "{simd:?} {params:?}");
    }
}

/// The payload of an LZ block: every implementation has the same verdict and the same bytes, also the second time.
pub fn lz_block(mut data: &[u8]) {
    let model = MODELS[take(&mut data) % 2];
    let segment_log = 12 + take(&mut data) as u8 % 5;
    let size = take_u16(&mut data);
    let verdicts = Simd::available().into_iter().flat_map(|simd| {
        let mut coder = LzCoder::new(simd).expect("available");
        [(); 2].map(|()| {
            let mut raw = vec![0; size];
            coder.decode(data, model, segment_log, &mut raw).map(|()| raw)
        })
    });
    let verdicts: Vec<_> = verdicts.collect();
    assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]), "verdicts differ");
}

/// Decoded streams of an LZ block: the data-parallel steps have the CPU's verdict and its bytes.
pub fn lz_streams(mut data: &[u8]) {
    let model = MODELS[take(&mut data) % 2];
    let [size, literals, sequences, last] = [(); 4].map(|()| take_u16(&mut data));
    let lengths = match model {
        Model::Lz77 => [literals, sequences, sequences, sequences, sequences, last],
        Model::LzSeq => [literals, sequences, sequences, sequences, last, 0],
    };
    // What the input is too short for is missing: the streams need not fit each other.
    let bytes = lengths.map(|length| {
        let (stream, rest) = data.split_at(length.min(data.len()));
        data = rest;
        stream.to_vec()
    });
    let streams = Streams { bytes, tail: data.to_vec() };
    let (mut raw, mut twins) = (vec![0; size], vec![0; size]);
    let rebuilt = model.rebuild(streams.view(), &mut raw).map(|()| raw).ok();
    let twin = twin::rebuild(model, streams.view(), &mut twins).map(|()| twins).ok();
    assert!(rebuilt == twin, "verdicts differ");
}

/// An LZ block comes back, whatever was coded before it.
pub fn lz_round_trip(mut data: &[u8]) {
    let model = MODELS[take(&mut data) % 2];
    let coders = [&Coder::ALL[..1], &Coder::ALL[1..], &Coder::ALL[2..], &Coder::ALL];
    let params = LzParams {
        model,
        coders: coders[take(&mut data) % 4],
        level: 1 + take(&mut data) as u8 % 9,
        segment_log: 12 + take(&mut data) as u8 % 5,
    };
    let mut coder = LzCoder::new(Simd::Auto).expect("no choice");
    let mut payloads = [Vec::new(), Vec::new()];
    for payload in &mut payloads {
        let encoded = coder.encode(data, &params, payload);
        let mut back = vec![0xee; data.len()];
        match encoded.kind {
            BlockKind::Stored => back.copy_from_slice(data),
            BlockKind::Single => back.fill(payload[0]),
            BlockKind::Coded => {
                let decoded = coder.decode(payload, model, params.segment_log, &mut back);
                decoded.expect("own payload");
            }
        }
        assert!(back == data, "{params:?}");
    }
    assert!(payloads[0] == payloads[1], "{params:?}: the second time other bytes");
}

fn options() -> Options {
    Options::new().device(DeviceSelector::Cpu).threads(2).output_limit(1 << 22)
}

/// Any file: decompression at once, to a slice and as a stream agree, also in what is wrong; seeking and listing end.
pub fn frame(data: &[u8]) {
    let readable = |error: Error| format!("{error:?}");
    let whole = options().decompress(data).map_err(readable);
    let mut streamed = Vec::new();
    let stream = options()
        .decompressor(data)
        .and_then(|mut reader| reader.read_to_end(&mut streamed).map_err(Error::from_io));
    let stream = stream.map(|_| &streamed).map_err(readable);
    assert!(
        whole.as_ref() == stream.as_ref().map(|raw| *raw),
        "at once {:?}, as a stream {:?}",
        whole.as_ref().err(),
        stream.err()
    );
    let mut room = vec![0xee; 4 + streamed.len()];
    let filled = options().decompress_into(data, &mut room);
    match (&whole, filled.map_err(readable)) {
        (Ok(whole), Ok(length)) => {
            assert!(
                room[..length] == *whole && room[length..] == [0xee; 4],
                "other bytes in a slice"
            );
            if let Some(short) = length.checked_sub(1) {
                let error = options().decompress_into(data, &mut room[..short]);
                assert!(matches!(error, Err(Error::OutputLimit { .. })), "{error:?}");
            }
        }
        (Err(at_once), Err(into)) => assert!(
            *at_once == into || into.starts_with("OutputLimit"),
            "at once {at_once}, to a slice {into}"
        ),
        (whole, into) => panic!("at once {:?}, to a slice {into:?}", whole.as_ref().err()),
    }
    let mut sought = Vec::new();
    let reader = options().seekable(Cursor::new(data));
    let read = reader.map(|reader| reader.take(1 << 22).read_to_end(&mut sought));
    if let (Ok(whole), Ok(Ok(_))) = (&whole, read) {
        assert!(*whole == sought, "seeking has other bytes");
    }
    let _ = ranvil::inspect(Cursor::new(data));
}

/// Content under any options comes back.
pub fn frame_round_trip(mut data: &[u8]) {
    let pipeline = Pipeline::ALL[take(&mut data) % Pipeline::ALL.len()];
    let level = 1 + take(&mut data) as u8 % 9;
    let block_logs = if pipeline.model().is_some() { 12..=22 } else { 12..=20 };
    let block_log = 12 + take(&mut data) % block_logs.count();
    let segments = [SegmentProfile::Throughput, SegmentProfile::Latency];
    let options = options()
        .pipeline(pipeline)
        .level(level)
        .and_then(|options| options.block_size(1 << block_log))
        .expect("within the limits of the pipeline")
        .segment(segments[take(&mut data) % 2]);
    let coded = options.compress(data).expect("compressing does not fail");
    let back = options.decompress(&coded).expect("own frame");
    assert!(back == data, "{pipeline}, level {level}, block log {block_log}");
}
