//! Counts of byte values.

/// How often each byte value occurs.
///
/// Four tables take turns, so that a run of one value does not wait for its own last store to come back
/// from the store buffer.
///
/// # Panics
/// If `raw` has 2^32 bytes or more.
pub fn histogram(raw: &[u8]) -> [u32; 256] {
    assert!(u32::try_from(raw.len()).is_ok(), "a block is far smaller than 4 GiB");
    let mut tables = [[0_u32; 256]; 4];
    let mut chunks = raw.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of 8"));
        for byte in 0..8 {
            tables[byte % 4][(word >> (8 * byte)) as usize & 0xff] += 1;
        }
    }
    for &symbol in chunks.remainder() {
        tables[0][usize::from(symbol)] += 1;
    }
    let [mut counts, others @ ..] = tables;
    others.iter().for_each(|other| add(&mut counts, other));
    counts
}

/// Adds counts to others.
pub fn add(counts: &mut [u32; 256], more: &[u32; 256]) {
    counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_match_a_plain_loop() {
        let raw = include_bytes!("../../tests/data/helmet_mesh.64k");
        for length in (0..70).chain([raw.len() - 3, raw.len()]) {
            let mut plain = [0; 256];
            raw[..length].iter().for_each(|&symbol| plain[usize::from(symbol)] += 1);
            assert_eq!(histogram(&raw[..length]), plain, "length {length}");
        }
    }
}
