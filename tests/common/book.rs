//! A decoder written from `docs/FORMAT.md` alone, slow and plain, that looks at every field.

/// CRC-32C, a bit at a time.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 * (crc & 1)))
    })
}

pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Bits of a string, the least significant of each byte first.
struct Bits<'a>(&'a [u8], usize);

impl Bits<'_> {
    fn take(&mut self, count: u32) -> u32 {
        let bits = (0..count).map(|i| {
            let place = self.1 + i as usize;
            u32::from(self.0[place / 8] >> (place % 8) & 1) << i
        });
        let value = bits.sum();
        self.1 += count as usize;
        value
    }

    /// Zeros up to a multiple of so many bytes; returns where that is.
    fn pad(&mut self, multiple: usize) -> usize {
        let end = self.1.div_ceil(8).next_multiple_of(multiple);
        while self.1 < 8 * end {
            assert_eq!(self.take(1), 0);
        }
        end
    }
}

/// Section 2.1 and 2.2: the present symbols and their classes, and what follows.
fn classes(bytes: &[u8]) -> (Vec<usize>, Vec<u32>, Bits<'_>) {
    let (mask, base, width) = (bytes[0], u32::from(bytes[1] & 15), u32::from(bytes[1] >> 4));
    assert!(base <= 11 && width <= 4);
    let mut at = 2;
    let mut present = Vec::new();
    for group in (0..8).filter(|group| mask >> group & 1 == 1) {
        let word = u32_at(bytes, at);
        assert_ne!(word, 0);
        at += 4;
        present.extend((0..32).filter(|i| word >> i & 1 == 1).map(|i| 32 * group + i));
    }
    assert!(present.len() >= 2);
    let mut bits = Bits(bytes, 8 * at);
    let classes = present.iter().map(|_| base + bits.take(width)).collect();
    (present, classes, bits)
}

/// Section 2.1: the frequencies and the table's length.
fn frequencies(bytes: &[u8], log: u32) -> ([u32; 256], usize) {
    let (present, classes, mut bits) = classes(bytes);
    let mut freqs = [0; 256];
    for (&symbol, &class) in present.iter().zip(&classes) {
        assert!(class <= 11 && class < log);
        freqs[symbol] = (1 << class) + bits.take(class);
    }
    assert_eq!(freqs.iter().sum::<u32>(), 1 << log);
    (freqs, bits.pad(2))
}

/// Section 2.2: for each symbol its length and its code as a number, and the table's length.
fn codes(bytes: &[u8], log: u32) -> (Vec<(usize, u32, u32)>, usize) {
    let (present, classes, mut bits) = classes(bytes);
    assert_eq!(classes.iter().map(|class| 1 << class).sum::<u32>(), 1 << log);
    assert!(classes.contains(&0));
    let mut codes = Vec::new();
    let mut code = 0;
    for length in 1..=log {
        for (&symbol, class) in present.iter().zip(&classes) {
            if log - class == length {
                codes.push((symbol, length, code));
                code += 1;
            }
        }
        code <<= 1;
    }
    assert_eq!(codes.len(), present.len());
    (codes, bits.pad(2))
}

/// Section 2.7: the cells, each with its symbol, bits and base.
fn cells(freqs: &[u32; 256], log: u32) -> Vec<(usize, u32, u32)> {
    let size = 1_u32 << log;
    let symbol_of = |cell: u32| {
        let mut slot = cell.reverse_bits() >> (32 - log);
        let mut symbol = 0;
        while slot >= freqs[symbol] {
            slot -= freqs[symbol];
            symbol += 1;
        }
        symbol
    };
    let mut cells = vec![(0, 0, 0); size as usize];
    let mut seen = *freqs;
    // By a cell's highest four bits, and then by the others, the lowest of them first.
    for highest in 0..16 {
        for others in 0..size / 16 {
            let cell = highest << (log - 4) | others.reverse_bits() >> (36 - log);
            let symbol = symbol_of(cell);
            let y = seen[symbol];
            seen[symbol] += 1;
            let bits = log - y.ilog2();
            cells[cell as usize] = (symbol, bits, (y << bits) - size);
        }
    }
    cells
}

/// The table of a block.
enum Table {
    Rans(Box<[u32; 256]>),
    Huff(Vec<(usize, u32, u32)>),
    Fse(Vec<(usize, u32, u32)>),
}

impl Table {
    /// Of method 2, 3 or 4, and its length.
    fn read(method: u32, bytes: &[u8], log: u32) -> (Self, usize) {
        match method {
            2 => {
                let (freqs, length) = frequencies(bytes, log);
                (Self::Rans(freqs.into()), length)
            }
            3 => {
                let (freqs, length) = frequencies(bytes, log);
                (Self::Fse(cells(&freqs, log)), length)
            }
            4 => {
                let (codes, length) = codes(bytes, log);
                (Self::Huff(codes), length)
            }
            _ => panic!("method {method}"),
        }
    }

    /// Section 2.4: the steps of one symbol of rans.
    fn decode_rans(&self, x: &mut u32, log: u32, mut word: impl FnMut() -> u32) -> u8 {
        let Self::Rans(freqs) = self else { panic!("not rans") };
        let slot = *x % (1 << log);
        let mut cum = 0;
        let symbol = (0..256).find(|&s| {
            cum += freqs[s];
            slot < cum
        });
        let symbol = symbol.unwrap();
        cum -= freqs[symbol];
        *x = freqs[symbol] * (*x >> log) + slot - cum;
        if *x < 1 << 16 {
            *x = *x << 16 | word();
        }
        symbol as u8
    }

    /// Sections 2.6 and 2.7: one symbol of a window.
    fn pop(&self, lane: &mut Lane) -> u8 {
        let reversed = |bits: u32, count: u32| (0..count).fold(0, |r, i| r << 1 | bits >> i & 1);
        let (symbol, bits) = match self {
            Self::Rans(_) => panic!("rans has no windows"),
            Self::Huff(codes) => {
                let own = |&&(_, length, code): &&(usize, u32, u32)| {
                    lane.c % (1 << length) == u64::from(reversed(code, length))
                };
                let &(symbol, length, _) = codes.iter().find(own).unwrap();
                (symbol, length)
            }
            Self::Fse(cells) => {
                let (symbol, bits, base) = cells[lane.t as usize];
                lane.t = base + reversed((lane.c % (1 << bits)) as u32, bits);
                (symbol, bits)
            }
        };
        lane.c >>= bits;
        lane.n = lane.n.checked_sub(bits).unwrap();
        symbol as u8
    }
}

/// Section 2.3: the initial states of a segment, and the words behind the gap.
fn initial(bytes: &[u8], word: usize, planes: usize, least: u32, k: u32) -> (Vec<Lane>, &[u8]) {
    let length = |lane: usize| {
        least + (0..planes).map(|b| (u32_at(bytes, 4 * b) >> lane & 1) << b).sum::<u32>()
    };
    let mut bits = Bits(bytes, 32 * planes);
    let gap = bits.take(8) as usize;
    assert!(gap < 32);
    let gap = word * gap;
    let mut lanes = Vec::new();
    for lane in 0..32 {
        let n = length(lane);
        let low = bits.take(n.min(24));
        let high = bits.take(n - n.min(24));
        lanes.push(Lane { c: u64::from(low) | u64::from(high) << 24, n, t: bits.take(k) });
    }
    let end = bits.pad(word);
    assert!(bytes[end..end + gap].iter().all(|&byte| byte == 0));
    (lanes, &bytes[end + gap..])
}

/// Section 2.4: the bytes of a segment of rans.
fn rans(bytes: &[u8], table: &Table, log: u32, n: usize) -> Vec<u8> {
    let (lanes, words) = initial(bytes, 2, 4, 16, 0);
    let mut states: Vec<u32> = lanes.iter().map(|lane| 1 << lane.n | lane.c as u32).collect();
    let body = n.saturating_sub(64);
    let mut raw = vec![0; body];
    let mut next = 0;
    for tile in 0..body.div_ceil(128) {
        for step in 0..4 {
            for (lane, x) in states.iter_mut().enumerate() {
                let i = 128 * tile + 4 * lane + step;
                if i < body {
                    raw[i] = table.decode_rans(x, log, || {
                        next += 1;
                        u16_at(words, 2 * (next - 1)).into()
                    });
                }
            }
        }
    }
    assert_eq!(2 * next, words.len());
    let seed = |x: u32| {
        assert_eq!(x >> 16, 1);
        (x as u16).to_le_bytes()
    };
    end(raw, &states.into_iter().flat_map(seed).collect::<Vec<_>>(), n)
}

/// A lane of section 2.5.
struct Lane {
    c: u64,
    n: u32,
    t: u32,
}

/// Section 2.5: the bytes of a segment of fse or huff.
fn windows(bytes: &[u8], table: &Table, log: u32, n: usize) -> Vec<u8> {
    let (mut lanes, words) = match table {
        Table::Fse(_) => initial(bytes, 4, 5, 4, log),
        _ => initial(bytes, 4, 5, 16, 0),
    };
    let body = n.saturating_sub(128);
    let mut raw = vec![0; body];
    let mut next = 0;
    for tile in 0..body.div_ceil(128) {
        for step in [0, 2] {
            for (number, lane) in lanes.iter_mut().enumerate() {
                let i = 128 * tile + 4 * number + step;
                if i < body && lane.n <= 32 {
                    lane.c += u64::from(u32_at(words, 4 * next)) << lane.n;
                    lane.n += 32;
                    next += 1;
                }
                for symbol in raw.iter_mut().take(i + 2).skip(i) {
                    *symbol = table.pop(lane);
                }
            }
        }
    }
    assert_eq!(4 * next, words.len());
    let seed = |lane: Lane| {
        let Table::Fse(_) = table else {
            assert_eq!(lane.n, 32);
            return (lane.c as u32).to_le_bytes();
        };
        assert!(lane.n >= 32 - log && lane.n <= 33 && lane.c < 1 << (32 - log));
        (lane.t.reverse_bits() | lane.c as u32).to_le_bytes()
    };
    end(raw, &lanes.into_iter().flat_map(seed).collect::<Vec<_>>(), n)
}

/// The bytes of a segment from its body and its padded seed.
fn end(mut raw: Vec<u8>, seed: &[u8], n: usize) -> Vec<u8> {
    let (seed, zeros) = seed.split_at(n - raw.len());
    assert!(zeros.iter().all(|&byte| byte == 0));
    raw.extend(seed);
    raw
}

/// Section 2: a coded block, or part, of method 2, 3 or 4.
fn coded(payload: &[u8], method: u32, log: u32, segment_size: usize, raw_size: usize) -> Vec<u8> {
    let segments = raw_size.div_ceil(segment_size);
    let (table, length) = Table::read(method, &payload[2 * segments..], log);
    let word = if method == 2 { 2 } else { 4 };
    let segment = if method == 2 { rans } else { windows };
    let mut at = 2 * segments + length;
    while !at.is_multiple_of(word) {
        assert_eq!(payload[at], 0);
        at += 1;
    }
    let mut raw = Vec::new();
    for number in 0..segments {
        let size = word * usize::from(u16_at(payload, 2 * number));
        let n = segment_size.min(raw_size - raw.len());
        raw.extend(segment(&payload[at..at + size], &table, log, n));
        at += size;
    }
    assert_eq!(at, payload.len());
    raw
}

/// Section 3: a coded block of an LZ pipeline.
fn lz(payload: &[u8], pipeline: u8, segment_size: usize, raw_size: usize) -> Vec<u8> {
    let counts: Vec<usize> = (0..4).map(|i| u32_at(payload, 4 * i) as usize).collect();
    let (l, s) = (counts[0], counts[1]);
    let (lengths, tail) = match pipeline {
        4..=6 => (vec![l, s, s, s, s, counts[2]], 4 * counts[3]),
        _ => (vec![l, s, s, s, counts[3]], counts[2]),
    };
    // Streams: first the directory, which says where the payloads end.
    let mut directory = Vec::new();
    let mut at = 16;
    for &length in &lengths {
        let mut left = length;
        while left > 0 {
            let (low, size) = (u32_at(payload, at), u32_at(payload, at + 4) as usize);
            let (raw, method, log) = (low as usize % (1 << 21), low >> 24 & 15, low >> 28);
            assert!(low >> 21 & 7 == 0 && raw <= 1 << 20 && raw <= left);
            assert!(raw == left || raw % 4096 == 0);
            directory.push((raw, method, log, size));
            left -= raw;
            at += 8;
        }
    }
    let mut all = Vec::new();
    for (raw, method, log, size) in directory {
        let part = &payload[at..at + size];
        all.extend(match (method, log) {
            (0, 0) if size == raw => part.to_vec(),
            (1, 0) if size == 1 => vec![part[0]; raw],
            _ if size < raw => coded(part, method, log, segment_size, raw),
            _ => panic!("method {method} with {size} of {raw} bytes"),
        });
        at += size;
        while at % 4 != 0 {
            assert_eq!(payload[at], 0);
            at += 1;
        }
    }
    let mut rest = &all[..];
    let streams: Vec<&[u8]> = lengths
        .iter()
        .map(|&length| {
            let (stream, behind) = rest.split_at(length);
            rest = behind;
            stream
        })
        .collect();
    assert_eq!(payload.len() - at, tail);
    let sequences = match pipeline {
        4..=6 => lz77(&streams, &payload[at..]),
        _ => lzseq(&streams, &payload[at..]),
    };

    let (mut raw, mut literals) = (Vec::new(), streams[0].iter());
    for (run, length, offset) in sequences {
        raw.extend(literals.by_ref().take(run));
        assert!((1..=raw.len()).contains(&offset));
        for _ in 0..length {
            raw.push(raw[raw.len() - offset]);
        }
    }
    raw.extend(literals);
    assert_eq!(raw.len(), raw_size);
    raw
}

/// Section 3.1: literal run, match length and offset of each sequence.
fn lzseq(streams: &[&[u8]], tail: &[u8]) -> Vec<(usize, usize, usize)> {
    // Offset codes whose 4 lowest extra bits may be fine bits: e - 2 >= 4.
    let is_wide = |&offset: &u8| offset >= 3 + 64;
    let mut fine = streams[4].iter();
    let has_fine = fine.len() > 0;
    assert!(!has_fine || fine.len() == streams[3].iter().filter(|code| is_wide(code)).count());
    assert!(streams[4].iter().all(|&bits| bits < 16));
    let mut bits = Bits(tail, 0);
    let mut value = |code: u8, p: u32, fine: Option<u8>| -> usize {
        let code = u32::from(code);
        if code < 1 << p {
            return code as usize;
        }
        let (e, m) = (p + (code - (1 << p)) / 4, (code - (1 << p)) % 4);
        assert!(e < 22);
        let extra = match fine {
            Some(lowest) => bits.take(e - 2 - 4) << 4 | u32::from(lowest),
            None => bits.take(e - 2),
        };
        ((4 + m) << (e - 2) | extra) as usize
    };
    let mut recent = [1, 4, 8];
    let mut sequences = Vec::new();
    for ((&run, &length), &offset) in streams[1].iter().zip(streams[2]).zip(streams[3]) {
        let lowest = if has_fine && is_wide(&offset) { fine.next().copied() } else { None };
        let new = if offset >= 3 { Some(value(offset - 3, 6, lowest) + 1) } else { None };
        let length = value(length, 5, None) + 3;
        let run = value(run, 4, None);
        let index = (usize::from(offset) + usize::from(run == 0)) % 3;
        match new {
            Some(offset) => recent = [offset, recent[0], recent[1]],
            None => recent[..=index].rotate_right(1),
        }
        sequences.push((run, length, recent[0]));
    }
    assert_eq!(bits.pad(4), tail.len());
    sequences
}

/// Section 3.2: the same.
fn lz77(streams: &[&[u8]], tail: &[u8]) -> Vec<(usize, usize, usize)> {
    let (mut short, mut long) = (streams[5].iter(), tail.chunks(4));
    let mut length = |nibble: u8| -> usize {
        if nibble < 15 {
            return nibble.into();
        }
        match *short.next().unwrap() {
            255 => {
                let long = u32_at(long.next().unwrap(), 0) as usize;
                assert!(long >= 270);
                long
            }
            short => 15 + usize::from(short),
        }
    };
    let sequences = (0..streams[1].len()).map(|i| {
        let offset = [2, 3, 4].map(|stream| usize::from(streams[stream][i]));
        let token = streams[1][i];
        let run = length(token >> 4);
        let offset = 1 + offset[0] + (offset[1] << 8) + (offset[2] << 16);
        (run, length(token & 15) + 4, offset)
    });
    let sequences = sequences.collect();
    assert!(short.next().is_none() && long.next().is_none());
    sequences
}

/// Section 1: the content of a file. Every field is looked at.
pub fn file(mut file: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    while !file.is_empty() {
        if u32_at(file, 0) & !15 == 0x184D_2A50 {
            file = &file[8 + u32_at(file, 4) as usize..];
            continue;
        }
        let (content, length) = frame(file);
        raw.extend(content);
        file = &file[length..];
    }
    raw
}

fn frame(frame: &[u8]) -> (Vec<u8>, usize) {
    assert_eq!(frame[..5], [0x89, 0x52, 0x56, 0x4C, 1]);
    let (flags, pipeline, block_log, segment_log) = (frame[5], frame[6], frame[7], frame[8]);
    let largest = if pipeline < 4 { 20 } else { 22 };
    assert!(flags < 4 && pipeline < 9);
    assert!(segment_log <= block_log && (12..=largest).contains(&block_log));
    assert_eq!(frame[9..12], [0; 3]);
    assert_eq!(u32_at(frame, 20), crc32c(&frame[..20]));
    let (mut raw, mut at) = (Vec::new(), 24);
    let (mut headers, mut index) = (Vec::new(), Vec::new());
    for number in 0u64.. {
        let header = &frame[at..at + 16];
        let mut checked = [&number.to_le_bytes(), header].concat();
        checked[10..12].fill(0);
        assert_eq!(u16_at(header, 2), crc32c(&checked) as u16, "block {number}");
        at += 16;
        if header[0] == 3 {
            assert_eq!(header[1], 0);
            assert_eq!(header[4..12], [0; 8]);
            assert_eq!(u32_at(header, 12), crc32c(&headers));
            break;
        }
        headers.extend(header);
        index.extend(&header[4..12]);
        let (raw_size, coded_size) = (u32_at(header, 4) as usize, u32_at(header, 8) as usize);
        assert!(0 < raw_size && raw_size <= 1 << block_log);
        let payload = &frame[at..at + coded_size];
        let block = match (header[0], header[1]) {
            (0, 0) => payload.to_vec(),
            (1, 0) => {
                assert_eq!(coded_size, 1);
                vec![payload[0]; raw_size]
            }
            (2, log) if pipeline > 0 && coded_size < raw_size => match pipeline {
                4.. => {
                    assert_eq!(log, 0);
                    lz(payload, pipeline, 1 << segment_log, raw_size)
                }
                _ => {
                    coded(payload, u32::from(pipeline) + 1, log.into(), 1 << segment_log, raw_size)
                }
            },
            other => panic!("kind and table log {other:?}"),
        };
        assert_eq!(block.len(), raw_size);
        assert_eq!(u32_at(header, 12), crc32c(&block));
        raw.extend(block);
        at += coded_size;
        while at % 4 != 0 {
            assert_eq!(frame[at], 0);
            at += 1;
        }
    }
    assert_eq!(u64_at(frame, 12), if flags & 1 == 1 { raw.len() as u64 } else { 0 });
    let blocks = index.len() / 8;
    if flags & 2 == 0 {
        index.clear();
    }
    assert_eq!(frame[at..at + index.len()], index);
    let footer = &frame[at + index.len()..][..32];
    let length = at + index.len() + 32;
    assert_eq!(u64_at(footer, 0), blocks as u64);
    assert_eq!(u64_at(footer, 8), raw.len() as u64);
    assert_eq!(u64_at(footer, 16), length as u64);
    index.extend(&footer[..24]);
    assert_eq!(u32_at(footer, 24), crc32c(&index));
    assert_eq!(footer[28..], [0x4C, 0x56, 0x52, 0x89]);
    (raw, length)
}
