//! Coded segments, taken apart and put together again (docs/FORMAT.md, section 2.3).

use ranvil::coder::{Coder, table::Table};

use super::ALICE;

/// Bytes of a coder's word, words of its lengths, least length of a state.
pub fn sizes(coder: Coder) -> (usize, usize, usize) {
    match coder {
        Coder::Rans => (2, 4, 16),
        Coder::Fse => (4, 5, 4),
        Coder::Huffman => (4, 5, 16),
    }
}

/// Where the segments of a coded payload begin, and where the last one ends.
pub fn places(payload: &[u8], coder: Coder, segments: usize) -> Vec<usize> {
    let word = sizes(coder).0;
    let size =
        |i: usize| word * usize::from(u16::from_le_bytes([payload[2 * i], payload[2 * i + 1]]));
    let all: usize = (0..segments).map(size).sum();
    let mut places = vec![payload.len() - all];
    (0..segments).for_each(|i| places.push(places[i] + size(i)));
    places
}

/// Bytes of the initial states of the segment at `at`, without the gap.
pub fn states(payload: &[u8], at: usize, coder: Coder, table_log: u8) -> usize {
    let (word, planes, least) = sizes(coder);
    let cell = if coder == Coder::Fse { usize::from(table_log) } else { 0 };
    let lengths = payload[at..].as_chunks().0[..planes].iter().zip(0..);
    let above: u32 = lengths.map(|(&plane, b)| u32::from_le_bytes(plane).count_ones() << b).sum();
    let bits = 8 + 32 * (least + cell) + above as usize;
    4 * planes + bits.div_ceil(8 * word) * word
}

/// Each segment's gap, in words.
pub fn gaps(payload: &[u8], coder: Coder, segments: usize) -> Vec<usize> {
    let planes = sizes(coder).1;
    let places = places(payload, coder, segments);
    places[..segments].iter().map(|at| usize::from(payload[at + 4 * planes])).collect()
}

/// The payload with another gap in its first segment: so many words, of which the last byte is `last`.
pub fn with_gap(
    payload: &[u8],
    coder: Coder,
    table_log: u8,
    segments: usize,
    gap: u8,
    last: u8,
) -> Vec<u8> {
    let (word, planes, _) = sizes(coder);
    let begin = places(payload, coder, segments)[0];
    let stream = begin + states(payload, begin, coder, table_log);
    let old = usize::from(payload[begin + 4 * planes]);
    let mut words = vec![0; word * usize::from(gap)];
    if let Some(byte) = words.last_mut() {
        *byte = last;
    }
    let mut changed = [&payload[..stream], &words, &payload[stream + word * old..]].concat();
    changed[begin + 4 * planes] = gap;
    let size = u16::from_le_bytes([payload[0], payload[1]]) as usize - old + usize::from(gap);
    changed[..2].copy_from_slice(&(size as u16).to_le_bytes());
    changed
}

/// A segment of `coder` that has no words behind its initial states: each lane's bits, their number, and its cell of so many bits.
pub fn of_states(coder: Coder, lanes: [(u64, u32, u32); 32], cell_bits: u32) -> Vec<u8> {
    let (word, planes, least) = sizes(coder);
    let mut bytes = Vec::new();
    for plane in 0..planes {
        let bit = |&(_, count, _): &(u64, u32, u32)| (count - least as u32) >> plane & 1;
        let mask = lanes.iter().rev().fold(0, |mask, lane| mask << 1 | bit(lane));
        bytes.extend_from_slice(&mask.to_le_bytes());
    }
    // No gap; then the states, lowest bits first.
    let mut string = vec![false; 8];
    for (bits, count, cell) in lanes {
        string.extend((0..count).map(|i| bits >> i & 1 != 0));
        string.extend((0..cell_bits).map(|i| cell >> i & 1 != 0));
    }
    string.resize(string.len().next_multiple_of(8 * word), false);
    bytes.extend(
        string
            .chunks(8)
            .map(|byte| byte.iter().rev().fold(0, |value, &bit| value << 1 | u8::from(bit))),
    );
    bytes
}

/// The payload with another last segment.
pub fn with_last(payload: &[u8], coder: Coder, segments: usize, last: &[u8]) -> Vec<u8> {
    let place = places(payload, coder, segments)[segments - 1];
    let mut changed = [&payload[..place], last].concat();
    let size = (last.len() / sizes(coder).0) as u16;
    changed[2 * (segments - 1)..][..2].copy_from_slice(&size.to_le_bytes());
    changed
}

/// The rooms of section 2.8, in words.
pub fn rooms(table: &Table, raw: &[u8], segment_log: u8) -> Vec<usize> {
    let (word, planes, _) = sizes(table.coder());
    let (seed, most, least) = match table.coder() {
        Coder::Rans => (64, 48, 0),
        Coder::Fse => {
            let skewed = table.symbols().any(|(_, f, _)| 4 * f >= 1 << table.log());
            (128, if skewed { 288 } else { 128 }, usize::from(table.log()) + 1)
        }
        Coder::Huffman => (128, 0, 0),
    };
    let mut costs = [0; 256];
    for (symbol, f, _) in table.symbols() {
        let log2 = (f64::from(f).log2() * 4096.0).floor() as usize;
        costs[usize::from(symbol)] = (usize::from(table.log()) << 12) - log2;
    }
    let room = |segment: &[u8]| {
        let body = segment.len().saturating_sub(seed);
        let mut cost: usize = segment[..body].iter().map(|&s| costs[usize::from(s)]).sum();
        if let Some(&s) = segment.first()
            && segment.len() == 65_536
            && segment.iter().all(|&other| other == s)
        {
            cost -= costs[usize::from(s)];
        }
        // By lane, where its last pair begins.
        let mut pairs = [None; 32];
        (0..body).step_by(2).for_each(|i| pairs[i % 128 / 4] = Some(i));
        for i in pairs.into_iter().flatten() {
            let pair: usize =
                segment[i..body.min(i + 2)].iter().map(|&s| costs[usize::from(s)]).sum();
            cost += (least << 12).saturating_sub(pair);
        }
        let bits = 32 * planes + 8 + 8 * seed + cost.div_ceil(4096) + (body / 32).min(most);
        bits.div_ceil(8 * word)
    };
    raw.chunks(1 << segment_log).map(room).collect()
}

/// Blocks for fse that miss their rooms, with table and segment log: a run of a symbol goes the same ways through its cells again and
/// again. One leaves too long a gap; one needs more than it has.
pub fn misfits() -> [(Vec<u8>, u8, u8); 2] {
    let mut seed = 1_u64;
    let mut below = |limit: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % limit
    };
    let short = (0..65_536).map(|i| if i < 7168 { 0 } else { 1 + (ALICE[i] & 7) }).collect();
    let long = (0..161_319)
        .map(|i| if i < 16_384 { 0 } else { 1 + below(10).min(below(10)) as u8 })
        .collect();
    [(short, 5, 14), (long, 5, 14)]
}
