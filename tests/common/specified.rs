//! The decoders of `docs/FORMAT.md`, sections 2.3 to 2.7, word for word.

use ranvil::coder::{Coder, table::Table};

/// What a table says, as docs/FORMAT.md does: for the low bits of a state, the symbol and two numbers of its coder.
pub fn specified_slots(table: &Table) -> Vec<(u8, u64, u64)> {
    let k = u32::from(table.log());
    let size = 1_usize << k;
    let mut slots = vec![(0, 0, 0); size];
    match table.coder() {
        // f(s) and slot - cum(s).
        Coder::Rans => {
            for (s, f, cum) in table.symbols() {
                for bias in 0..f {
                    slots[(cum + bias) as usize] = (s, f.into(), bias.into());
                }
            }
        }
        // bits and base.
        Coder::Fse => {
            for (s, f, cum) in table.symbols() {
                let cell = |slot| (0..k).fold(0, |cell, i| cell << 1 | slot >> i & 1) as usize;
                let mut own: Vec<_> = (cum..cum + f).map(|slot| (cell(slot), slot)).collect();
                own.sort_unstable_by_key(|&(cell, slot)| (cell >> (k - 4), slot));
                for ((cell, _), y) in own.into_iter().zip(u64::from(f)..) {
                    let bits = k - y.ilog2();
                    slots[cell] = (s, bits.into(), (y << bits) - size as u64);
                }
            }
        }
        // The length, and nothing.
        Coder::Huffman => {
            let mut code = 0;
            for length in 1..=k {
                code <<= 1;
                for (s, f, _) in table.symbols() {
                    if k - f.ilog2() != length {
                        continue;
                    }
                    let reversed = (0..length).fold(0, |bits, i| bits << 1 | code >> i & 1);
                    for high in 0..1 << (k - length) {
                        slots[reversed | high << length] = (s, length.into(), 0);
                    }
                    code += 1;
                }
            }
        }
    }
    slots
}

/// Bytes of a coder's word.
pub fn word(coder: Coder) -> usize {
    if coder == Coder::Rans { 2 } else { 4 }
}

/// The initial states of docs/FORMAT.md, section 2.3, word for word: each lane's length, its bits, and its cell of `k` bits; and what
/// follows the gap.
pub fn specified_states(
    segment: &[u8],
    word: usize,
    least: usize,
    planes: usize,
    k: usize,
) -> (Vec<(usize, u128, usize)>, &[u8]) {
    let bit = |at: usize| u128::from(segment[at / 8] >> (at % 8) & 1);
    let gap = usize::from(segment[4 * planes]);
    let mut at = 32 * planes + 8;
    let mut take = |count: usize| {
        let value: u128 = (0..count).map(|i| bit(at + i) << i).sum();
        at += count;
        value
    };
    let mut lanes = Vec::new();
    for lane in 0..32 {
        let n = least + (0..planes).map(|b| (bit(32 * b + lane) as usize) << b).sum::<usize>();
        lanes.push((n, take(n), take(k) as usize));
    }
    let end = at.div_ceil(8 * word) * word;
    assert!((at..8 * end).all(|at| bit(at) == 0));
    let (gap, words) = segment[end..].split_at(gap * word);
    assert!(gap.iter().all(|&byte| byte == 0));
    (lanes, words)
}

/// The decoder of docs/FORMAT.md, section 2.4, word for word.
pub fn specified_rans(table: &Table, stream: &[u8], raw: &mut [u8]) -> Option<()> {
    let slots = specified_slots(table);
    let size = slots.len() as u64;
    let (lanes, words) = specified_states(stream, 2, 16, 4, 0);
    let mut states: Vec<u64> = lanes.iter().map(|&(n, bits, _)| bits as u64 + (1 << n)).collect();
    let mut words = words.as_chunks().0.iter().map(|&word| u64::from(u16::from_le_bytes(word)));
    let body = raw.len().max(64) - 64;
    for i in (0..body.div_ceil(128) * 128).map(|i| i / 128 * 128 + i % 32 * 4 + i / 32 % 4) {
        if i >= body {
            continue;
        }
        let state = &mut states[i % 128 / 4];
        let (symbol, f, bias) = slots[(*state % size) as usize];
        raw[i] = symbol;
        *state = f * (*state / size) + bias;
        if *state < 1 << 16 {
            *state = *state * 65536 + words.next()?;
        }
    }
    let seeds = states.iter().map(|x| (x >> 16 == 1).then_some((*x as u16).to_le_bytes()));
    let seed: Vec<u8> = seeds.collect::<Option<Vec<_>>>()?.into_flattened();
    let length = raw.len() - body;
    raw[body..].copy_from_slice(&seed[..length]);
    let valid = seed[length..].iter().all(|&byte| byte == 0);
    (valid && words.next().is_none()).then_some(())
}

/// The decoder of docs/FORMAT.md, sections 2.5 to 2.7, word for word.
pub fn specified_windows(table: &Table, stream: &[u8], raw: &mut [u8]) -> Option<()> {
    let fse = table.coder() == Coder::Fse;
    let slots = specified_slots(table);
    let (least, k) = if fse { (4, slots.len().ilog2() as usize) } else { (16, 0) };
    let (lanes, words) = specified_states(stream, 4, least, 5, k);
    let mut lanes: Vec<_> = lanes.into_iter().map(|(n, c, t)| (c, n as u32, t)).collect();
    let mut words = words.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word));
    let body = raw.len().max(128) - 128;
    for pair in (0..body.div_ceil(128) * 64).map(|i| i / 64 * 128 + i % 32 * 4 + i / 32 % 2 * 2) {
        if pair >= body {
            continue;
        }
        let (c, n, t) = &mut lanes[pair % 128 / 4];
        if *n <= 32 {
            *c += u128::from(words.next()?) << *n;
            *n += 32;
        }
        for symbol in &mut raw[pair..body.min(pair + 2)] {
            let at = if fse { *t } else { *c as usize % slots.len() };
            let (own, bits, base) = slots[at];
            *symbol = own;
            let reversed = (0..bits).fold(0, |r, i| r << 1 | *c as usize >> i & 1);
            *t = if fse { base as usize + reversed } else { 0 };
            *c >>= bits;
            *n -= bits as u32;
        }
    }
    let seeds = lanes.iter().map(|&(c, n, t)| {
        let high = (0..k).fold(0, |high, i| high << 1 | t >> i & 1);
        let least = 32 - k as u32;
        let valid = if fse { (least..=33).contains(&n) && c >> least == 0 } else { n == 32 };
        valid.then_some(if fse { (high as u32) << least | c as u32 } else { c as u32 })
    });
    let seed = seeds.collect::<Option<Vec<u32>>>()?;
    let seed: Vec<u8> = seed.into_iter().flat_map(u32::to_le_bytes).collect();
    let length = raw.len() - body;
    raw[body..].copy_from_slice(&seed[..length]);
    let valid = seed[length..].iter().all(|&byte| byte == 0);
    (valid && words.next().is_none()).then_some(())
}
