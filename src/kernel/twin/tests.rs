use super::*;
use crate::{
    BlockFault, Simd,
    block::{BlockParams, Coder},
    coder::Codec,
    format::BlockKind,
    kernel::{
        ALL,
        generated::EncodeResult,
        plan::{CodedBlock, DecodePlan, EncodePlan, RawBlock},
    },
};

/// One buffer for each of the recording's, with something in it that no kernel may depend on.
fn buffers(recording: &Recording) -> Vec<Vec<u32>> {
    recording.buffers.iter().map(|desc| vec![0xdead_beef; desc.size as usize / 4]).collect()
}

fn upload(buffer: &mut [u32], at: usize, bytes: &[u8]) {
    bytemuck::cast_slice_mut::<u32, u8>(buffer)[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Encodes on twins: kind, table log and payload of each block.
fn encode(blocks: &[(&[u8], RawBlock)], segment_log: u8) -> Vec<(u32, u32, Vec<u8>)> {
    let headers: Vec<RawBlock> = blocks.iter().map(|&(_, header)| header).collect();
    let plan = EncodePlan::gathered(&headers, segment_log);
    let mut buffers = buffers(&plan.recording);
    upload(&mut buffers[EncodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
    upload(&mut buffers[EncodePlan::PIECES.0 as usize], 0, bytemuck::cast_slice(&plan.pieces));
    for (number, (raw, _)) in blocks.iter().enumerate() {
        upload(&mut buffers[EncodePlan::RAW.0 as usize], plan.raw_range(number).start, raw);
    }
    replay(&plan.recording, &mut buffers);
    let payload: &[u8] = bytemuck::cast_slice(&buffers[EncodePlan::GATHERED.0 as usize]);
    let results: &[EncodeResult] = bytemuck::cast_slice(&buffers[EncodePlan::REPORTS.0 as usize]);
    let take = |(result, (raw, _)): (&EncodeResult, &(&[u8], RawBlock))| {
        let payload = match result.kind {
            kind if kind == BlockKind::Coded as u32 => &payload[4 * result.payload as usize..],
            _ => raw,
        };
        (result.kind, result.table_log, payload[..result.coded_size as usize].to_vec())
    };
    results.iter().zip(blocks).map(take).collect()
}

/// Decodes on twins: the raw bytes or the status word of each block.
fn decode(blocks: &[(&[u8], CodedBlock)], segment_log: u8) -> Vec<Result<Vec<u8>, u32>> {
    let headers: Vec<CodedBlock> = blocks.iter().map(|&(_, header)| header).collect();
    let plan = DecodePlan::new(&headers, segment_log);
    let mut buffers = buffers(&plan.recording);
    upload(&mut buffers[DecodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
    for (number, (payload, _)) in blocks.iter().enumerate() {
        upload(
            &mut buffers[DecodePlan::PAYLOAD.0 as usize],
            plan.payload_range(number).start,
            payload,
        );
    }
    replay(&plan.recording, &mut buffers);
    let raw: &[u8] = bytemuck::cast_slice(&buffers[DecodePlan::RAW.0 as usize]);
    let status = buffers[DecodePlan::STATUS.0 as usize].iter().enumerate();
    status
        .map(|(n, &word)| if word == 0 { Ok(raw[plan.raw_range(n)].to_vec()) } else { Err(word) })
        .collect()
}

fn coded(payload: &[u8], coder: Coder, raw_size: usize, table_log: u8) -> CodedBlock {
    let (coded_size, raw_size) = (payload.len() as u32, raw_size as u32);
    CodedBlock { coder, coded_size, raw_size, table_log }
}

/// Real files, and the shapes at which something could go wrong.
fn cases() -> Vec<Vec<u8>> {
    let text = include_bytes!("../../../tests/data/alice29.txt");
    let mut cases: Vec<Vec<u8>> = vec![
        text.to_vec(),
        include_bytes!("../../../tests/data/ecoli.64k").to_vec(),
        include_bytes!("../../../tests/data/helmet_color.bc7.96k").to_vec(),
        include_bytes!("../../../tests/data/levitus_temp.96k").to_vec(),
        vec![7; 5000],
        (0..20_000).map(|i| u8::from(i % 97 == 0)).collect(),
        (0..70_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
        // With fse and a table of 32 cells the first segment of 8 KiB does not cost what its symbols do.
        (0..32_768).map(|i| if i < 5120 { 0 } else { 1 + (text[i] & 15) }).collect(),
        [&[b'e'; 65_536][..], &text[..65_536]].concat(),
    ];
    for length in [
        1, 2, 63, 64, 65, 127, 128, 191, 192, 193, 1000, 4095, 4096, 4097, 4159, 4160, 8191, 16_448,
    ] {
        cases.push(text[..length].to_vec());
        cases.push(text[1000..1000 + length].iter().map(|byte| byte & 3).collect());
    }
    cases
}

#[test]
fn every_kernel_has_a_twin() {
    let kernels: Vec<_> = ALL.iter().map(|kernel| kernel.name).collect();
    assert_eq!(kernels, TWINS.map(|(name, _)| name));
}

/// All coders in every batch.
#[test]
fn twins_yield_the_coder_s_bytes_and_decode_them() {
    let cases = cases();
    let mut codec = Codec::new(Simd::Scalar).unwrap();
    let mut expected = Vec::new();
    let logs = [None, Some(1), Some(5), Some(8), Some(9), Some(10), Some(11), Some(12)];
    for (segment_log, table_log) in [12, 14, 13, 16].into_iter().cycle().zip(logs) {
        let allowed = |coder: Coder| table_log.filter(|log| coder.table_logs().contains(log));
        let block = |(raw, coder)| -> (&[u8], RawBlock) {
            let raw: &Vec<u8> = raw;
            (raw, RawBlock { raw_size: raw.len() as u32, coder, table_log: allowed(coder) })
        };
        let blocks: Vec<_> =
            cases.iter().flat_map(|raw| Coder::ALL.map(|coder| (raw, coder))).map(block).collect();
        let encoded = encode(&blocks, segment_log);
        let mut good = Vec::new();
        for ((kind, log, payload), &(raw, header)) in encoded.iter().zip(&blocks) {
            let RawBlock { coder, table_log, .. } = header;
            let params = BlockParams { coder, segment_log, table_log };
            let on_cpu = codec.encode(raw, &params, &mut expected);
            let found = (*kind, *log);
            assert_eq!(found, (on_cpu.kind as u32, on_cpu.table_log.into()), "{header:?}");
            match on_cpu.kind {
                BlockKind::Coded => {
                    assert!(*payload == expected, "{header:?}");
                    good.push((
                        raw,
                        (payload.as_slice(), coded(payload, coder, raw.len(), *log as u8)),
                    ));
                }
                BlockKind::Single => assert_eq!(*payload, expected),
                BlockKind::Stored => assert_eq!(payload, raw),
            }
        }
        let payloads: Vec<_> = good.iter().map(|&(_, block)| block).collect();
        for (decoded, (raw, (_, header))) in decode(&payloads, segment_log).into_iter().zip(&good) {
            assert!(decoded.as_deref() == Ok(*raw), "{header:?}");
        }
    }
}

/// Any change of a payload decodes to something, with a fault or without, and where the coder finds a fault the twin finds
/// the same one.
#[test]
fn damaged_payloads_are_reported_as_by_the_coder() {
    let raw = &include_bytes!("../../../tests/data/alice29.txt")[..9000];
    let mut codec = Codec::new(Simd::Scalar).unwrap();
    for coder in Coder::ALL {
        let params = BlockParams { coder, segment_log: 12, table_log: None };
        let mut good = Vec::new();
        let log = codec.encode(raw, &params, &mut good).table_log;
        let mut damaged = vec![good.clone()];
        for at in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            damaged.push(bad);
            damaged.push(good[..at].to_vec());
        }
        let payloads: Vec<_> =
            damaged.iter().map(|bytes| (&bytes[..], coded(bytes, coder, raw.len(), log))).collect();
        let mut back = vec![0; raw.len()];
        for (bytes, decoded) in damaged.iter().zip(decode(&payloads, 12)) {
            match (codec.decode(bytes, BlockKind::Coded, coder, log, 12, &mut back), decoded) {
                (Ok(()), Ok(raw)) => assert!(raw == back),
                (Err(fault), Err(word)) => {
                    assert_eq!(BlockFault::from_status(word), Some(fault), "{coder:?}");
                }
                (on_cpu, twin) => {
                    panic!("{coder:?}: the coder says {on_cpu:?}, the twin {:?}", twin.map(|_| ()))
                }
            }
        }
    }
}
