//! Copies to and from a device's buffers.
#![allow(unsafe_code)]

/// Bytes that are read twice, for the checksum and for the copy: few enough for a core's first cache.
const PIECE: usize = 16 << 10;

/// Copies all of `from` to `to`, which is as long, and returns its CRC-32C. Where the processor can, past its caches: as a rule this
/// processor will not read the bytes soon, and memory that is written whole need not be read before (docs/DECISIONS.md, "From slice to slice").
///
/// # Panics
/// If the lengths differ.
pub(super) fn copy_with_checksum(from: &[u8], to: &mut [u8]) -> u32 {
    assert_eq!(from.len(), to.len(), "as many bytes");
    let mut crc = 0;
    for (from, to) in from.chunks(PIECE).zip(to.chunks_mut(PIECE)) {
        crc = crc32c::crc32c_append(crc, from);
        stream(from, to);
    }
    fence();
    crc
}

#[cfg(target_arch = "x86_64")]
fn stream(from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};

    // SAFETY: any 16 bytes are a vector.
    let (head, vectors, tail) = unsafe { to.align_to_mut::<__m128i>() };
    let (from_head, rest) = from.split_at(head.len());
    let (from_vectors, from_tail) = rest.split_at(16 * vectors.len());
    head.copy_from_slice(from_head);
    tail.copy_from_slice(from_tail);
    for (to, from) in vectors.iter_mut().zip(from_vectors.as_chunks::<16>().0) {
        // SAFETY: 16 bytes are read, and written to a place that is aligned. The processor has SSE2, as all of its kind.
        unsafe { _mm_stream_si128(to, _mm_loadu_si128(from.as_ptr().cast())) };
    }
}

/// Streamed bytes are there for other threads once these see what this one writes afterwards.
#[cfg(target_arch = "x86_64")]
fn fence() {
    // SAFETY: as in `stream`.
    unsafe { std::arch::x86_64::_mm_sfence() };
}

#[cfg(not(target_arch = "x86_64"))]
fn stream(from: &[u8], to: &mut [u8]) {
    to.copy_from_slice(from);
}

#[cfg(not(target_arch = "x86_64"))]
fn fence() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_copied_wherever_they_begin_and_end() {
        let text = include_bytes!("../../../tests/data/alice29.txt");
        for (start, length) in (0..40).flat_map(|start| {
            [0, 1, 15, 16, 17, 100, 16_383, 16_384, 16_385, 70_000].map(|length| (start, length))
        }) {
            let from = &text[start / 2..][..length];
            let mut to = vec![0xcc; start + length + 9];
            let crc = copy_with_checksum(from, &mut to[start..start + length]);
            assert_eq!(crc, crc32c::crc32c(from));
            assert!(to[start..start + length] == *from, "{start} {length}");
            let around = to[..start].iter().chain(&to[start + length..]);
            assert!(around.copied().all(|byte| byte == 0xcc), "{start} {length}");
        }
    }
}
