//! Twin of `kernels/gather.comp`.

use super::push;
use crate::{
    format::BlockKind,
    kernel::generated::{EncodeResult, GatherPush},
};

pub fn run(bytes: &[u8], buffers: &mut [&mut [u32]]) {
    let GatherPush { blocks } = push(bytes);
    let [results, payload, reports, gathered] = buffers else { panic!("four buffers") };
    let results: &[EncodeResult] = bytemuck::cast_slice(results);
    let reports: &mut [EncodeResult] = bytemuck::cast_slice_mut(reports);
    let mut to = 0;
    for (result, report) in results[..blocks as usize].iter().zip(reports) {
        *report = *result;
        if result.kind == BlockKind::Coded as u32 {
            let words = result.coded_size.div_ceil(4) as usize;
            gathered[to..][..words].copy_from_slice(&payload[result.payload as usize..][..words]);
            report.payload = to as u32;
            to += words;
        }
    }
}
