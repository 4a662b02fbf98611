//! Rebuilding a block: copying literals and matches.
//!
//! Copies go by [`WIDE`] bytes, whatever is needed of them; what they write too much the next ones overwrite. Near the end of
//! the block everything is exact. With checked slices instead of pointers this takes a fifth longer (`docs/DECISIONS.md`).
#![allow(unsafe_code)]

use std::ptr;

use crate::error::BlockFault;

/// Sequences in a batch: few enough to stay in the nearest cache between decoding and copying.
pub(super) const BATCH: usize = 256;

/// Decoded sequences.
pub(super) struct Batch {
    /// Literals before each match.
    pub literals: [u32; BATCH],
    /// Bytes that each match copies.
    pub lengths: [u32; BATCH],
    /// How far back it begins.
    pub offsets: [u32; BATCH],
}

impl Batch {
    pub fn new() -> Self {
        Self { literals: [0; BATCH], lengths: [0; BATCH], offsets: [0; BATCH] }
    }
}

/// Bytes copied at once.
const WIDE: usize = 16;

/// How far a match may write past its end.
const SLACK: usize = 2 * WIDE;

/// The least multiple of each offset below [`WIDE`] that is at least [`WIDE`].
const PERIODS: [usize; WIDE] = {
    let mut periods = [0; WIDE];
    let mut offset = 1;
    while offset < WIDE {
        periods[offset] = WIDE.next_multiple_of(offset);
        offset += 1;
    }
    periods
};

/// A block that is being rebuilt, and its literals.
pub(super) struct Output<'a> {
    raw: &'a mut [u8],
    /// Bytes of the block that are there: at most all.
    at: usize,
    literals: &'a [u8],
    /// Literals that are in it: at most all.
    taken: usize,
}

impl<'a> Output<'a> {
    pub fn new(raw: &'a mut [u8], literals: &'a [u8]) -> Self {
        Self { raw, at: 0, literals, taken: 0 }
    }

    /// Appends the first `count` sequences of a batch.
    ///
    /// # Errors
    /// [`BlockFault::Sequences`] if the literals or the block do not have that many bytes, [`BlockFault::Match`] if a
    /// match begins before the block.
    #[inline(always)]
    pub fn append(&mut self, batch: &Batch, count: usize) -> Result<(), BlockFault> {
        // In registers, not in memory.
        let Self { mut at, mut taken, literals, .. } = *self;
        let raw = &mut *self.raw;
        let each = batch.literals.iter().zip(&batch.lengths).zip(&batch.offsets);
        for ((&run, &length), &offset) in each.take(count) {
            let start = at as u64 + u64::from(run);
            let end = start + u64::from(length);
            let (run, length, offset) = (run as usize, length as usize, offset as usize);
            if end + SLACK as u64 > raw.len() as u64
                || run + WIDE > literals.len() - taken
                || offset.wrapping_sub(1) as u64 >= start
            {
                append_literals(raw, &mut at, literals, &mut taken, run)?;
                append_match(raw, &mut at, length, offset)?;
                continue;
            }
            let end = end as usize;
            // SAFETY: the block has `end + SLACK` bytes, `end` being `run + length` bytes after `at`; there are at least
            // `run + WIDE` literals; the offset is 1 to what the block has before the match.
            unsafe {
                let (from, to) = (literals.as_ptr().add(taken), raw.as_mut_ptr().add(at));
                copy_wide(from, to);
                if run > WIDE {
                    ptr::copy_nonoverlapping(from.add(WIDE), to.add(WIDE), run - WIDE);
                }
                copy_match(to.add(run), to.add(run + length), offset);
            }
            taken += run;
            at = end;
        }
        (self.at, self.taken) = (at, taken);
        Ok(())
    }

    /// Appends the literals that are left.
    ///
    /// # Errors
    /// [`BlockFault::Sequences`] if they do not fill the block exactly.
    pub fn finish(mut self) -> Result<(), BlockFault> {
        let rest = self.literals.len() - self.taken;
        append_literals(self.raw, &mut self.at, self.literals, &mut self.taken, rest)?;
        if self.at == self.raw.len() { Ok(()) } else { Err(BlockFault::Sequences) }
    }
}

/// Copies what is `offset` bytes before `to` to `to` until `end`, and up to [`SLACK`] bytes more.
///
/// # Safety
/// `offset` bytes before `to` and all up to `end + SLACK` are of one allocation, `end` is not before `to` and the offset
/// not 0.
#[inline(always)]
unsafe fn copy_match(mut to: *mut u8, end: *mut u8, offset: usize) {
    // SAFETY: every write begins at `to`, where `to <= end`, and is at most SLACK long; what is read lies before it, or at
    // most WIDE bytes further.
    unsafe {
        let mut from = to.sub(offset).cast_const();
        if offset < WIDE {
            repeat(from, to, offset);
            to = to.add(WIDE);
            from = to.sub(PERIODS[offset]);
        } else {
            // Not at once: the second half may be what the first one wrote.
            copy_wide(from, to);
            copy_wide(from.add(WIDE), to.add(WIDE));
            to = to.add(2 * WIDE);
            from = from.add(2 * WIDE);
        }
        while to < end {
            copy_wide(from, to);
            copy_wide(from.add(WIDE), to.add(WIDE));
            to = to.add(2 * WIDE);
            from = from.add(2 * WIDE);
        }
    }
}

/// Copies [`WIDE`] bytes.
///
/// # Safety
/// They can be read and written.
#[inline(always)]
unsafe fn copy_wide(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's promise; a load and a store, so the two may overlap.
    unsafe { to.cast::<[u8; WIDE]>().write_unaligned(from.cast::<[u8; WIDE]>().read_unaligned()) }
}

/// Writes [`WIDE`] bytes to `to` that repeat the first `offset` bytes at `from`.
///
/// # Safety
/// As for [`copy_wide`]; the offset is less than [`WIDE`] and not 0.
#[inline(always)]
unsafe fn repeat(from: *const u8, to: *mut u8, offset: usize) {
    // SAFETY: the caller's promise.
    let bytes = unsafe { from.cast::<[u8; WIDE]>().read_unaligned() };
    let mut filled = 8 * offset as u32;
    let mut pattern = u128::from_le_bytes(bytes) & ((1 << filled) - 1);
    while filled < u128::BITS {
        pattern |= pattern << filled;
        filled *= 2;
    }
    // SAFETY: the caller's promise.
    unsafe { to.cast::<[u8; WIDE]>().write_unaligned(pattern.to_le_bytes()) }
}

fn append_literals(
    raw: &mut [u8],
    at: &mut usize,
    literals: &[u8],
    taken: &mut usize,
    count: usize,
) -> Result<(), BlockFault> {
    let run = literals[*taken..].get(..count).ok_or(BlockFault::Sequences)?;
    let room = raw[*at..].get_mut(..count).ok_or(BlockFault::Sequences)?;
    room.copy_from_slice(run);
    *taken += count;
    *at += count;
    Ok(())
}

fn append_match(
    raw: &mut [u8],
    at: &mut usize,
    length: usize,
    offset: usize,
) -> Result<(), BlockFault> {
    if length > raw.len() - *at {
        return Err(BlockFault::Sequences);
    }
    let from = at.checked_sub(offset).filter(|from| from < at).ok_or(BlockFault::Match)?;
    let end = *at + length;
    // What repeats doubles with every copy.
    while *at < end {
        let count = (end - *at).min(*at - from);
        raw.copy_within(from..from + count, *at);
        *at += count;
    }
    Ok(())
}
