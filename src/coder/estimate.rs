//! What a coder would make of given counts, without coding: integers only, as an encoder decides by it.

use super::{
    fse, huffman,
    lanes::{LANES, Layout, STEPS},
    places::room,
    rans,
};
use crate::block::Coder;

/// Fractional bits of the logarithms and costs here.
pub(super) const FRACTION: u32 = 12;

/// `log2 n * 2^FRACTION`, rounded down; the entry for 0 is never used.
pub(super) static LOG2: [u16; 4097] = {
    let mut table = [0; 4097];
    let mut n = 1;
    while n < table.len() {
        table[n] = log2(n as u64);
        n += 1;
    }
    table
};

/// Bit by bit: squaring a number doubles its logarithm.
const fn log2(n: u64) -> u16 {
    let mut result = n.ilog2() as u16;
    let mut mantissa = n << (31 - n.ilog2()); // 31 fractional bits, in [1, 2)
    let mut bit = 0;
    while bit < FRACTION {
        mantissa = (mantissa * mantissa) >> 31;
        result = result << 1 | (mantissa >> 32) as u16;
        let carry = mantissa >> 32;
        mantissa >>= carry;
        bit += 1;
    }
    result
}

/// About the bytes of a coded payload, segment sizes and table included, of `symbols` symbols that occur `counts` times;
/// seen within .5 % and 128 bytes on real data. It does not say whether the block would rather be stored. A single value takes
/// 1 byte, no symbols none.
///
/// The body is charged what its share of the symbols costs with frequencies that are rounded but do not yet add up
/// (rANS, FSE), or what an optimal code costs that may exceed the limit where rare symbols are charged as if they
/// occurred often enough for it (Huffman).
pub fn coded_bytes(counts: &[u32; 256], symbols: usize, coder: Coder, segment_log: u8) -> u64 {
    let present = counts.iter().filter(|&&count| count > 0).count();
    if present < 2 {
        return present as u64;
    }
    debug_assert_eq!(counts.iter().map(|&count| count as usize).sum::<usize>(), symbols);
    let (least, (table_bits, bits)) = match coder {
        Coder::Rans => (0, ans_bits(counts, symbols, rans::choose_log(counts))),
        Coder::Fse => {
            let log = fse::choose_log(counts);
            ((u64::from(log) + 1) << FRACTION, ans_bits(counts, symbols, log))
        }
        Coder::Huffman => (0, huffman_bits(counts, symbols)),
    };
    let groups = counts.chunks(32).filter(|group| group.iter().any(|&count| count > 0)).count();
    let table = 2 + 4 * groups as u64 + table_bits.div_ceil(16) * 2;

    let segment = 1_usize << segment_log;
    let layout = Layout::of(coder);
    let skewed = counts.iter().any(|&count| 4 * u64::from(count) >= symbols as u64);
    let stream = |length: usize| {
        let body = layout.body(length);
        let cost = (bits * body as u64 / symbols as u64) as u32;
        // As if all lanes' last symbols cost as much.
        let lanes = body.div_ceil(STEPS).min(LANES) as u64;
        let padding = (lanes * least).saturating_sub(2 * lanes * bits / symbols as u64) as u32;
        2 + (layout.word * room(layout, skewed, body, cost + padding)) as u64
    };
    let last = symbols % segment;
    table + (symbols / segment) as u64 * stream(segment) + if last > 0 { stream(last) } else { 0 }
}

/// Bits of the table behind its masks, and of the symbols (in fractions).
fn ans_bits(counts: &[u32; 256], symbols: usize, log: u8) -> (u64, u64) {
    let scale = (1 << (log + 32)) / symbols as u64;
    let (mut sum, mut saved, mut present, mut rests) = (0_u64, 0, 0, 0);
    let (mut least, mut most) = (u16::MAX, 0);
    for count in counts.iter().map(|&count| u64::from(count)).filter(|&count| count > 0) {
        let freq = ((count * scale + (1 << 31)) >> 32).max(1);
        let log2 = LOG2[freq as usize];
        sum += freq;
        saved += count * u64::from(log2);
        present += 1;
        rests += u64::from(log2 >> FRACTION);
        (least, most) = (least.min(log2), most.max(log2));
    }
    let width = u64::from(u16::BITS - ((most >> FRACTION) - (least >> FRACTION)).leading_zeros());
    // The sum is below 2^13.
    let log2_sum = u64::from(LOG2[sum as usize / 2]) + (1 << FRACTION);
    (present * width + rests, symbols as u64 * log2_sum - saved)
}

/// The same for Huffman: Huffman's own algorithm with two queues (van Leeuwen, 1976), which adds up the weights of all
/// inner nodes.
fn huffman_bits(counts: &[u32; 256], symbols: usize) -> (u64, u64) {
    let limit = u32::from(huffman::MAX_LENGTH);
    let least = symbols.div_ceil(1 << limit) as u32;
    let mut weights = [0; 256];
    let (mut n, mut excess) = (0, 0);
    for &count in counts.iter().filter(|&&count| count > 0) {
        weights[n] = count.max(least);
        excess += weights[n] - count;
        n += 1;
    }
    let weights = &mut weights[..n];
    weights.sort_unstable();
    let rarest_bits = (symbols as u32 / weights[0]).ilog2() + 1;
    let commonest_bits = (symbols as u32 / weights[n - 1]).ilog2();

    let mut nodes = [0; 256];
    let (mut leaf, mut node, mut total) = (0, 0, 0);
    for made in 0..n - 1 {
        let mut take = || {
            let take_leaf = leaf < n && (node == made || weights[leaf] <= nodes[node]);
            let weight = if take_leaf { weights[leaf] } else { nodes[node] };
            leaf += usize::from(take_leaf);
            node += usize::from(!take_leaf);
            weight
        };
        nodes[made] = take() + take();
        total += u64::from(nodes[made]);
    }
    let bits = total - u64::from(limit * excess);
    let classes = rarest_bits.min(limit).saturating_sub(commonest_bits.max(1));
    (n as u64 * u64::from(u32::BITS - classes.leading_zeros()), bits << FRACTION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        coder::{BlockParams, Codec, histogram::histogram},
        options::Simd,
    };

    #[test]
    fn logarithms_are_rounded_down() {
        for (n, &fixed) in LOG2.iter().enumerate().skip(1) {
            let exact = (n as f64).log2() * f64::from(1 << FRACTION);
            assert!((-0.01..1.01).contains(&(exact - f64::from(fixed))), "{n}: {fixed}, {exact}");
        }
    }

    /// Real files whole, in parts, and their bytes' halves: few symbols.
    #[test]
    fn estimates_are_close() {
        let data: [&[u8]; 5] = [
            include_bytes!("../../tests/data/alice29.txt"),
            include_bytes!("../../tests/data/ecoli.64k"),
            include_bytes!("../../tests/data/levitus_temp.96k"),
            include_bytes!("../../tests/data/helmet_color.bc7.96k"),
            include_bytes!("../../tests/data/helmet_mesh.64k"),
        ];
        let halves = data.map(|raw| raw.iter().map(|&byte| byte >> 4).collect::<Vec<u8>>());
        let mut codec = Codec::new(Simd::Auto).unwrap();
        let mut payload = Vec::new();
        for raw in data.into_iter().chain(halves.iter().map(|raw| &raw[..])) {
            for part in [700, 1000, 5000, 16_000, 65_536, 200_000].map(|size| raw.chunks(size)) {
                for raw in part {
                    for coder in Coder::ALL {
                        let params = BlockParams { coder, segment_log: 14, table_log: None };
                        codec.encode(raw, &params, &mut payload);
                        let estimate = coded_bytes(&histogram(raw), raw.len(), coder, 14);
                        let truth = payload.len() as u64;
                        if truth == 0 {
                            // Too large to be seen: the estimate says so too.
                            assert!(estimate + 128 + estimate / 200 >= raw.len() as u64);
                        } else {
                            let error = estimate.abs_diff(truth);
                            assert!(
                                error <= 128 + truth / 200,
                                "{coder:?}, {} bytes: {estimate} for {truth}",
                                raw.len()
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn one_value_and_none() {
        let mut counts = [0; 256];
        for coder in Coder::ALL {
            assert_eq!(coded_bytes(&counts, 0, coder, 14), 0);
        }
        counts[7] = 1000;
        for coder in Coder::ALL {
            assert_eq!(coded_bytes(&counts, 1000, coder, 14), 1);
        }
    }
}
