//! Counts to frequencies that add up to a power of two.

/// Scales `counts` to frequencies that add up to `2^table_log`, at least 1 for every symbol that occurs.
///
/// Each frequency is first rounded to the nearest. What is then missing goes, one by one, to the symbol that
/// gains most from it, and what is too much is taken where it costs least. The gain of a symbol with count `h`
/// from one more than `f` is about `h / (f + 1/2)`, compared in integers; ties go to the lowest symbol. Kernels
/// reproduce this bit for bit.
///
/// # Panics
/// If fewer than two symbols occur, if the counts add up to more than 2^20, if `table_log` is not 5 to 12, or if more
/// symbols occur than there are slots.
pub fn normalize(counts: &[u32; 256], table_log: u8) -> [u16; 256] {
    assert!((5..=12).contains(&table_log), "table log {table_log}");
    let total: u32 = counts.iter().sum();
    let present = counts.iter().filter(|&&count| count > 0).count();
    let present_range = 2..=1 << table_log;
    assert!(
        present_range.contains(&present) && total <= 1 << 20,
        "{present} symbols in {total} bytes, table log {table_log}"
    );

    // With two symbols present a count is below 2^20, so all products below stay under 2^32.
    let mut freqs = counts.map(|count| match count {
        0 => 0,
        _ => {
            let (quotient, rest) = ((count << table_log) / total, (count << table_log) % total);
            (quotient + u32::from(2 * rest >= total)).max(1)
        }
    });
    let sum: u32 = freqs.iter().sum();
    let target = 1 << table_log;
    if sum < target {
        let gain = |symbol, freq| match counts[symbol] {
            0 => 0,
            count => (count << 11) / (2 * freq + 1) + 1,
        };
        move_slots(&mut freqs, target - sum, 1, gain);
    } else {
        let thrift = |symbol, freq| match freq {
            0 | 1 => 0,
            freq => u32::MAX - (counts[symbol] << 11) / (2 * freq - 1),
        };
        move_slots(&mut freqs, sum - target, u32::MAX, thrift);
    }
    freqs.map(|freq| freq as u16)
}

/// Adds `step` to one frequency after another, each time to that of the highest value, of equals to the lowest symbol's.
fn move_slots(freqs: &mut [u32; 256], moves: u32, step: u32, value: impl Fn(usize, u32) -> u32) {
    // Of 16 groups of 16 symbols only the one that has changed is compared anew.
    let rank = |symbol: usize, freq| u64::from(value(symbol, freq)) << 8 | (255 - symbol) as u64;
    let mut ranks: [u64; 256] = std::array::from_fn(|symbol| rank(symbol, freqs[symbol]));
    let best = |group: &[u64; 16]| group.iter().copied().fold(0, u64::max);
    let mut groups: [u64; 16] = std::array::from_fn(|group| best(&ranks.as_chunks().0[group]));
    for _ in 0..moves {
        let symbol = 255 - best(&groups) as usize % 256;
        freqs[symbol] = freqs[symbol].wrapping_add(step);
        ranks[symbol] = rank(symbol, freqs[symbol]);
        groups[symbol / 16] = best(&ranks.as_chunks().0[symbol / 16]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(u8, u32)]) -> [u32; 256] {
        let mut counts = [0; 256];
        pairs.iter().for_each(|&(symbol, count)| counts[usize::from(symbol)] = count);
        counts
    }

    #[test]
    fn sums_and_presence_hold_at_the_extremes() {
        let mut skewed = [1; 256];
        skewed[7] = (1 << 20) - 255;
        let mut rounding_up = [3; 256]; // all round up: much surplus
        rounding_up[0] = 1;
        for counts in [
            counts(&[(0, 1), (255, (1 << 20) - 1)]),
            counts(&[(3, 1), (4, 1)]),
            skewed,
            rounding_up,
            [4096; 256],
        ] {
            let present = counts.iter().filter(|&&count| count > 0).count();
            for table_log in (5..=12).filter(|log| present <= 1 << log) {
                let freqs = normalize(&counts, table_log);
                assert_eq!(freqs.iter().map(|&f| u32::from(f)).sum::<u32>(), 1 << table_log);
                for symbol in 0..256 {
                    assert_eq!(freqs[symbol] > 0, counts[symbol] > 0, "symbol {symbol}");
                }
            }
        }
    }

    #[test]
    fn one_short_goes_to_the_largest_gain_and_ties_to_the_lowest_symbol() {
        // 3 equal thirds of 256: 85 each, one missing; the gains tie.
        let freqs = normalize(&counts(&[(10, 5), (20, 5), (30, 5)]), 8);
        assert_eq!((freqs[10], freqs[20], freqs[30]), (86, 85, 85));
        // 6 of 1 and 1 of 1000: the rare ones are raised to 1, the common one pays.
        let freqs = normalize(&counts(&[(1, 1), (2, 1), (3, 100_000)]), 8);
        assert_eq!((freqs[1], freqs[2], freqs[3]), (1, 1, 254));
    }
}
