//! Wide loads and comparisons of a block's bytes.

/// The four bytes at `at`.
#[inline(always)]
pub fn load32(raw: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(raw[at..at + 4].try_into().expect("four bytes"))
}

/// The eight bytes at `at`.
#[inline(always)]
pub fn load64(raw: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(raw[at..at + 8].try_into().expect("eight bytes"))
}

/// A hash of the lowest `BYTES` bytes of `word`, `log` bits wide.
#[inline(always)]
pub fn hash<const BYTES: u32>(word: u64, log: u32) -> usize {
    const FACTOR: u64 = 0x9e37_79b1_85eb_ca87; // odd and without pattern: 2^64 / golden ratio
    ((word << (64 - 8 * BYTES)).wrapping_mul(FACTOR) >> (64 - log)) as usize
}

/// How many bytes from `from` on equal those from `at` on, `from < at`.
#[inline(always)]
pub fn common(raw: &[u8], from: usize, at: usize) -> usize {
    let mut length = 0;
    while at + length + 8 <= raw.len() {
        #[cfg(test)]
        work::count();
        let differing = load64(raw, from + length) ^ load64(raw, at + length);
        if differing != 0 {
            return length + (differing.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    while at + length < raw.len() && raw[from + length] == raw[at + length] {
        length += 1;
    }
    length
}

/// How many bytes before `from` equal those before `at`, `from < at`, at most `most`.
#[inline(always)]
pub fn common_before(raw: &[u8], from: usize, at: usize, most: usize) -> usize {
    let most = most.min(from);
    let mut length = 0;
    while length < most && raw[from - length - 1] == raw[at - length - 1] {
        length += 1;
    }
    length
}

/// Counts comparisons, for tests that bound them.
#[cfg(test)]
pub mod work {
    use std::cell::Cell;

    thread_local!(static DONE: Cell<usize> = const { Cell::new(0) });

    pub fn count() {
        DONE.set(DONE.get() + 1);
    }

    /// The comparisons since the last call.
    pub fn take() -> usize {
        DONE.replace(0)
    }
}
