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
        raise(counts, &mut freqs, target - sum);
    } else {
        lower(counts, &mut freqs, sum - target);
    }
    freqs.map(|freq| freq as u16)
}

fn raise(counts: &[u32; 256], freqs: &mut [u32; 256], missing: u32) {
    let gain = |symbol: usize, freqs: &[u32; 256]| match counts[symbol] {
        0 => -1,
        count => ((count << 11) / (2 * freqs[symbol] + 1)) as i32,
    };
    let mut gains: [i32; 256] = std::array::from_fn(|symbol| gain(symbol, freqs));
    for _ in 0..missing {
        // The last of equals, so from the end the lowest symbol.
        let best = gains.iter().enumerate().rev().max_by_key(|&(_, gain)| gain);
        let (symbol, _) = best.expect("256 of them");
        freqs[symbol] += 1;
        gains[symbol] = gain(symbol, freqs);
    }
}

fn lower(counts: &[u32; 256], freqs: &mut [u32; 256], surplus: u32) {
    let loss = |symbol: usize, freqs: &[u32; 256]| match freqs[symbol] {
        0 | 1 => i32::MAX,
        freq => ((counts[symbol] << 11) / (2 * freq - 1)) as i32,
    };
    let mut losses: [i32; 256] = std::array::from_fn(|symbol| loss(symbol, freqs));
    for _ in 0..surplus {
        let least = losses.iter().enumerate().min_by_key(|&(_, loss)| loss);
        let (symbol, _) = least.expect("256 of them");
        freqs[symbol] -= 1;
        losses[symbol] = loss(symbol, freqs);
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
