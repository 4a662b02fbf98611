//! Passes over bytes that no cache of the processor has, or that it will not read again soon: what lies behind a device's copies.
#![allow(unsafe_code)]

/// Bytes that are read twice, for the checksum and for the copy. Where the processor is asked for more meanwhile, so many as the checksum's library
/// takes in one go, three strands of 256 (if they begin at a multiple of 8); else few enough for a first cache.
const PIECE: usize = if cfg!(target_arch = "x86_64") { 3 * 256 } else { 16 << 10 };
/// Bytes of a line of the caches. Pieces begin with one.
const LINE: usize = 64;

/// How far ahead bytes are asked for. Reading strand by strand, and across pages, the processor does not do that by itself in time
/// (docs/DECISIONS.md, "What a core does for a device").
const AHEAD: usize = 9 << 10;

/// The CRC-32C of bytes that are still in memory. (For bytes that a cache has the library alone is as fast.)
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    if !cfg!(target_arch = "x86_64") {
        return crc32c::crc32c(bytes);
    }
    let mut crc = 0;
    pieces(bytes, |piece, _| crc = crc32c::crc32c_append(crc, piece));
    crc
}

/// Copies all of `from` to `to`, which is as long, and returns its CRC-32C. Where the processor can, past its caches: as a rule this
/// processor will not read the bytes soon, and memory that is written whole need not be read before.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn copy_with_checksum(from: &[u8], to: &mut [u8]) -> u32 {
    let mut crc = 0;
    copy_pieces(from, to, |piece| crc = crc32c::crc32c_append(crc, piece));
    crc
}

/// The same without the checksum.
///
/// # Panics
/// If the lengths differ.
pub(crate) fn copy(from: &[u8], to: &mut [u8]) {
    copy_pieces(from, to, |_| ());
}

/// Copies, and calls `visit` with each piece before it is.
fn copy_pieces(from: &[u8], to: &mut [u8], mut visit: impl FnMut(&[u8])) {
    assert_eq!(from.len(), to.len(), "as many bytes");
    let mut copied = 0;
    pieces(from, |piece, at| {
        visit(piece);
        let end = at + piece.len();
        // Up to the last whole line, as part of one would be written twice; the rest follows with the next piece.
        let rest = if end < from.len() { (to.as_ptr().addr() + end) % LINE } else { 0 };
        let until = end.saturating_sub(rest).max(copied);
        stream(&from[copied..until], &mut to[copied..until]);
        copied = until;
    });
    fence();
}

/// Calls `visit` with each piece and where it begins, in order.
fn pieces(bytes: &[u8], mut visit: impl FnMut(&[u8], usize)) {
    prefetch(bytes, 0..AHEAD);
    let mut at = 0;
    let mut end = bytes.as_ptr().align_offset(LINE);
    while at < bytes.len() {
        end = end.min(bytes.len());
        prefetch(bytes, at + AHEAD..end + AHEAD);
        if at < end {
            visit(&bytes[at..end], at);
        }
        at = end;
        end += PIECE;
    }
}

/// Asks for the lines of a range, as far as there are such bytes.
#[cfg(target_arch = "x86_64")]
fn prefetch(bytes: &[u8], range: std::ops::Range<usize>) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};

    for line in bytes[range.start.min(bytes.len())..range.end.min(bytes.len())].chunks(LINE) {
        // SAFETY: it has no effect but on caches. The processor has SSE, as all of its kind.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn prefetch(_: &[u8], _: std::ops::Range<usize>) {}

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
    fn all_bytes_are_copied_and_counted_wherever_they_begin_and_end() {
        let text = include_bytes!("../tests/data/alice29.txt");
        for (start, length) in (0..140).flat_map(|start| {
            [0, 1, 15, 16, 63, 64, 65, 767, 768, 769, 9_216, 16_383, 70_000]
                .map(|length| (start, length))
        }) {
            let from = &text[start / 2..][..length];
            let mut to = vec![0xcc; start + length + 9];
            let expected = crc32c::crc32c(from);
            assert_eq!(checksum(from), expected, "{start} {length}");
            assert_eq!(copy_with_checksum(from, &mut to[start..start + length]), expected);
            assert!(to[start..start + length] == *from, "{start} {length}");
            let around = to[..start].iter().chain(&to[start + length..]);
            assert!(around.copied().all(|byte| byte == 0xcc), "{start} {length}");
            to.fill(0xdd);
            copy(from, &mut to[start..start + length]);
            assert!(to[start..start + length] == *from, "{start} {length}");
            let around = to[..start].iter().chain(&to[start + length..]);
            assert!(around.copied().all(|byte| byte == 0xdd), "{start} {length}");
        }
    }
}
