//! Every kernel against its twin: after each step of a recording all buffers are the same, word for word.

use ranvil::{
    BlockFault,
    coder::Coder,
    kernel::{
        BufferDesc, BufferId, Command, Recording,
        generated::{DecodeBlock, EncodeResult},
        plan::{CodedBlock, DecodePlan, EncodePlan, RawBlock},
        twin,
    },
    testing::Gpu,
};

use crate::common::segments;

/// Words that no kernel may depend on.
const JUNK: u32 = 0xdead_beef;

/// A small generator (xorshift64*), so that failures repeat.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next()) * u64::from(bound)) >> 32) as u32
    }

    /// Bytes of a random alphabet and skew.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let (alphabet, skew, first) = (1 + self.below(256), self.below(4), self.next());
        let draw = |random: &mut Self| {
            let value = (0..skew)
                .fold(random.below(alphabet), |least, _| least.min(random.below(alphabet)));
            value.wrapping_mul(7).wrapping_add(first) as u8
        };
        (0..length).map(|_| draw(self)).collect()
    }
}

fn junk(recording: &Recording) -> Vec<Vec<u32>> {
    recording.buffers.iter().map(|desc| vec![JUNK; desc.size as usize / 4]).collect()
}

fn upload(buffer: &mut [u32], at: usize, bytes: &[u8]) {
    bytemuck::cast_slice_mut::<u32, u8>(buffer)[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Runs every step on the device and on its twin, from the twin's buffers, and compares all buffers.
fn compare(gpu: &mut Gpu, recording: &Recording, buffers: &mut [Vec<u32>]) {
    for command in &recording.commands {
        let mut found = buffers.to_vec();
        let one = Recording { buffers: recording.buffers.clone(), commands: vec![command.clone()] };
        gpu.replay(&one, &mut found).unwrap();
        twin::step(command, buffers);
        let Command::Dispatch { kernel, .. } = command else { continue };
        if kernel.starts_with("encode") {
            assert!(payloads(&found) == payloads(buffers), "{kernel}: other payloads");
        }
        if kernel.starts_with("decode_") {
            forgive(&mut found, buffers);
        }
        for ((found, expected), BufferDesc { name, .. }) in
            found.iter().zip(&*buffers).zip(&recording.buffers)
        {
            // What encode kernels write beside payloads is their own affair.
            if *name == "payload" && kernel.starts_with("encode") {
                continue;
            }
            if let Some(at) = (0..found.len()).find(|&at| found[at] != expected[at]) {
                panic!(
                    "{kernel}: {name}[{at}] of {} is {:#010x}, the twin has {:#010x}",
                    found.len(),
                    found[at],
                    expected[at]
                );
            }
        }
    }
}

/// The payloads that a coder has put into the buffers so far. Results hold junk until then, or another coder's.
fn payloads(buffers: &[Vec<u32>]) -> Vec<&[u8]> {
    let payload: &[u8] = bytemuck::cast_slice(&buffers[EncodePlan::PAYLOAD.0 as usize]);
    let results: &[EncodeResult] = bytemuck::cast_slice(&buffers[EncodePlan::RESULTS.0 as usize]);
    let coded = results.iter().filter(|result| result.kind == 2);
    coded
        .map(|result| &payload[4 * result.payload as usize..][..result.coded_size as usize])
        .collect()
}

/// The raw bytes of bad blocks are nobody's: a kernel may have read on past the end of a stream.
fn forgive(found: &mut [Vec<u32>], expected: &[Vec<u32>]) {
    let of = |id: BufferId| id.0 as usize;
    let blocks: &[DecodeBlock] = bytemuck::cast_slice(&expected[of(DecodePlan::BLOCKS)]);
    for (block, _) in
        blocks.iter().zip(&expected[of(DecodePlan::STATUS)]).filter(|&(_, &status)| status != 0)
    {
        let raw = block.raw as usize..(block.raw + block.raw_size.div_ceil(4)) as usize;
        let raw_id = of(DecodePlan::RAW);
        found[raw_id][raw.clone()].copy_from_slice(&expected[raw_id][raw]);
    }
}

/// Encodes on device and twins and returns the payloads of the coded blocks.
fn encode(
    gpu: &mut Gpu,
    blocks: &[(Vec<u8>, RawBlock)],
    segment_log: u8,
) -> Vec<(Vec<u8>, CodedBlock)> {
    let headers: Vec<RawBlock> = blocks.iter().map(|(_, header)| *header).collect();
    let plan = EncodePlan::gathered(&headers, segment_log);
    let mut buffers = junk(&plan.recording);
    upload(&mut buffers[EncodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
    upload(&mut buffers[EncodePlan::PIECES.0 as usize], 0, bytemuck::cast_slice(&plan.pieces));
    for (number, (raw, _)) in blocks.iter().enumerate() {
        upload(&mut buffers[EncodePlan::RAW.0 as usize], plan.raw_range(number).start, raw);
    }
    compare(gpu, &plan.recording, &mut buffers);
    let payload: &[u8] = bytemuck::cast_slice(&buffers[EncodePlan::GATHERED.0 as usize]);
    let results: &[EncodeResult] = bytemuck::cast_slice(&buffers[EncodePlan::REPORTS.0 as usize]);
    let coded = results.iter().zip(headers).filter(|(result, _)| result.kind == 2);
    coded
        .map(|(result, RawBlock { raw_size, coder, .. })| {
            let payload =
                payload[4 * result.payload as usize..][..result.coded_size as usize].to_vec();
            let &EncodeResult { coded_size, table_log, .. } = result;
            (payload, CodedBlock { coder, coded_size, raw_size, table_log: table_log as u8 })
        })
        .collect()
}

/// A block to be encoded, with this table log where the coder has it.
fn block(raw: Vec<u8>, coder: Coder, table_log: Option<u8>) -> (Vec<u8>, RawBlock) {
    let table_log = table_log.filter(|log| coder.table_logs().contains(log));
    let header = RawBlock { raw_size: raw.len() as u32, coder, table_log };
    (raw, header)
}

/// Decodes on device and twins and returns the status words.
fn decode(gpu: &mut Gpu, coded: &[(Vec<u8>, CodedBlock)], segment_log: u8) -> Vec<u32> {
    let headers: Vec<CodedBlock> = coded.iter().map(|(_, header)| *header).collect();
    let plan = DecodePlan::new(&headers, segment_log);
    let mut buffers = junk(&plan.recording);
    upload(&mut buffers[DecodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
    for (number, (payload, _)) in coded.iter().enumerate() {
        upload(
            &mut buffers[DecodePlan::PAYLOAD.0 as usize],
            plan.payload_range(number).start,
            payload,
        );
    }
    compare(gpu, &plan.recording, &mut buffers);
    buffers[DecodePlan::STATUS.0 as usize].clone()
}

/// Real data, random data, and every length at which a lane, tile, segment or chunk ends.
fn blocks(random: &mut Random) -> Vec<Vec<u8>> {
    let text = include_bytes!("../data/alice29.txt");
    let mut blocks: Vec<Vec<u8>> = vec![
        text.to_vec(),
        include_bytes!("../data/ecoli.64k").to_vec(),
        include_bytes!("../data/helmet_color.bc7.96k").to_vec(),
        include_bytes!("../data/levitus_temp.96k").to_vec(),
        vec![9; 70_000],
        (0..40_000).map(|i| u8::from(i % 397 == 0)).collect(),
        (0..16_128 + 3).map(|_| random.next() as u8).collect(),
        [&[b'e'; 65_536][..], &text[..65_536]].concat(),
    ];
    for length in [
        1, 2, 3, 63, 64, 65, 66, 127, 128, 191, 192, 193, 255, 256, 4095, 4096, 4097, 4160, 4161,
        8192, 16_448,
    ] {
        blocks.push(text[..length].to_vec());
        blocks.push(text[..length].iter().map(|byte| byte & 1).collect());
        blocks.push(random.bytes(length));
    }
    for _ in 0..12 {
        let length = 1 + random.below(40_000) as usize;
        blocks.push(random.bytes(length));
    }
    blocks
}

/// Every kernel, over real, random and edge-case blocks, at every segment size and table log, and with all coders in a
/// batch.
pub fn agree_on_good_blocks(gpu: &mut Gpu) {
    let mut random = Random(0x1234_5678_9abc_def1);
    let rounds = [
        (12, None),
        (13, Some(8)),
        (14, None),
        (14, Some(12)),
        (14, Some(11)),
        (15, Some(9)),
        (16, Some(10)),
        (12, Some(5)),
        (13, Some(1)),
    ];
    for (round, (segment_log, table_log)) in rounds.into_iter().enumerate() {
        let blocks: Vec<_> = blocks(&mut random)
            .into_iter()
            .zip(Coder::ALL.into_iter().cycle().skip(round))
            .map(|(raw, coder)| block(raw, coder, table_log))
            .collect();
        let coded = encode(gpu, &blocks, segment_log);
        assert!(coded.len() > 30, "only {} blocks were coded", coded.len());
        let status = decode(gpu, &coded, segment_log);
        assert!(status.iter().all(|&word| word == 0), "{status:?}");
    }
    // Segments that leave too much of their rooms or need more: all are encoded a second time.
    for (raw, table_log, segment_log) in segments::misfits() {
        let count = raw.len().div_ceil(1 << segment_log);
        let blocks = [block(raw, Coder::Fse, Some(table_log))];
        let coded = encode(gpu, &blocks, segment_log);
        let gaps = segments::gaps(&coded[0].0, Coder::Fse, count);
        assert!(count > 1 && gaps.iter().all(|&gap| gap == 0), "{gaps:?}");
        assert_eq!(decode(gpu, &coded, segment_log), [0]);
    }
}

/// The decode kernels over damaged payloads: flipped bits, random bytes, cuts.
pub fn agree_on_damaged_blocks(gpu: &mut Gpu) {
    let mut random = Random(0xfeed_5678_9abc_def1);
    let text = include_bytes!("../data/alice29.txt");
    for segment_log in [12, 14] {
        let blocks = Coder::ALL.map(|coder| {
            [&text[..9000], &text[9000..29_000]].map(|raw| block(raw.to_vec(), coder, None))
        });
        let good = encode(gpu, blocks.as_flattened(), segment_log);
        let mut damaged = good.clone();
        for number in 0..600 {
            let (mut payload, mut header) = good[number % good.len()].clone();
            let length = payload.len() as u32;
            // Most of the damage in the head, where the structure is.
            let reach = if random.below(3) == 0 { length } else { 120 };
            match number % 5 {
                0 => (0..random.below(40))
                    .for_each(|_| payload[random.below(reach) as usize] = random.next() as u8),
                1 => payload.truncate(random.below(length) as usize),
                2 => payload.extend((0..random.below(9)).map(|_| random.next() as u8)),
                3 => {
                    let logs = header.coder.table_logs();
                    let count = u32::from(logs.end() - logs.start()) + 1;
                    header.table_log = logs.start() + random.below(count) as u8;
                }
                _ => {}
            }
            if number % 5 > 2 {
                let at = random.below(reach) as usize;
                payload[at] ^= 1 << random.below(8);
            }
            header.coded_size = payload.len() as u32;
            damaged.push((payload, header));
        }
        for (size, coder) in [0, 1, 2, 17, 400].into_iter().zip(Coder::ALL.into_iter().cycle()) {
            let noise = (0..size).map(|_| random.next() as u8).collect();
            let header = CodedBlock { coder, coded_size: size, raw_size: 9000, table_log: 11 };
            damaged.push((noise, header));
        }
        let status = decode(gpu, &damaged, segment_log);
        let faults = status.iter().filter(|&&word| word != 0).count();
        assert!(faults > 400, "{faults} faults");
        // Bodies that are noise behind a good head: every state and every refill is exercised.
        let noisy: Vec<_> = (0..60)
            .map(|number| {
                let (mut payload, header) = good[number % good.len()].clone();
                let from = payload.len() * (1 + number) / 64;
                payload[from..].iter_mut().for_each(|byte| *byte = random.next() as u8);
                (payload, header)
            })
            .collect();
        decode(gpu, &noisy, segment_log);
        gaps_are_checked(gpu, &good, segment_log);
        for coder in Coder::ALL {
            let wordless = wordless(gpu, coder, segment_log);
            assert_eq!(decode(gpu, &[wordless], segment_log), [BlockFault::Stream as u32]);
        }
    }
    final_states_are_checked(gpu);
}

/// A last segment without a body, whose initial states are its final ones: one lane's is not what it may be.
fn final_states_are_checked(gpu: &mut Gpu) {
    const OWN: u32 = 32 - 11;
    let fault = BlockFault::FinalState as u32;
    let text = &include_bytes!("../data/alice29.txt")[..4096 + 128];
    let fse = [
        ((0, OWN), 0),
        ((1, OWN + 3), 0),
        ((1, 33), 0),
        ((0, OWN - 1), fault),
        ((0, 34), fault),
        ((1 << OWN, OWN + 1), fault),
        ((1 << 32, 33), fault),
    ];
    let huff = [((1 << 31, 32), 0), ((0, 31), fault), ((0, 33), fault)];
    for (coder, cell_bits, (bits, count), expected) in fse
        .map(|(state, expected)| (Coder::Fse, 11, state, expected))
        .into_iter()
        .chain(huff.map(|(state, expected)| (Coder::Huffman, 0, state, expected)))
    {
        let (payload, header) = encode(gpu, &[block(text.to_vec(), coder, Some(11))], 12).remove(0);
        let good = (0, 32 - cell_bits, 0);
        for lane in [0, 13, 31] {
            let lanes = std::array::from_fn(|i| if i == lane { (bits, count, 0) } else { good });
            let last = segments::of_states(coder, lanes, cell_bits);
            let payload = segments::with_last(&payload, coder, 2, &last);
            let coded_size = payload.len() as u32;
            let found = decode(gpu, &[(payload, CodedBlock { coded_size, ..header })], 12);
            assert_eq!(found, [expected], "{coder:?}: lane {lane} with {count} bits {bits:#x}");
        }
    }
}

/// More chunks than workgroups that count: one takes several, and the bytes of the next while it counts.
pub fn agree_on_many_chunks(gpu: &mut Gpu) {
    let mut random = Random(0x5678_1234_9abc_def1);
    for segment_log in [12, 14] {
        let header = |number| {
            let raw_size = match number {
                // Of more than one chunk; of whole pieces, and of a few bytes more.
                5 => 600_000,
                0 | 1623 | 1700 | 3248 | 4900 => 32 << 10,
                1701 => (16 << 10) + 3,
                _ => 1 + random.below(300),
            };
            RawBlock { raw_size, coder: Coder::Rans, table_log: None }
        };
        let blocks: Vec<_> = (0..6500).map(header).collect();
        let mut plan = EncodePlan::new(&blocks, segment_log);
        plan.recording.commands.truncate(1);
        assert!(matches!(&plan.recording.commands[0],
            Command::Dispatch { kernel: "histogram", groups, .. } if plan.pieces.len() > 3 * *groups as usize));
        let mut buffers = junk(&plan.recording);
        upload(&mut buffers[EncodePlan::BLOCKS.0 as usize], 0, bytemuck::cast_slice(&plan.blocks));
        upload(&mut buffers[EncodePlan::PIECES.0 as usize], 0, bytemuck::cast_slice(&plan.pieces));
        for number in 0..blocks.len() {
            let range = plan.raw_range(number);
            let raw = random.bytes(range.len());
            upload(&mut buffers[EncodePlan::RAW.0 as usize], range.start, &raw);
        }
        compare(gpu, &plan.recording, &mut buffers);
    }
}

/// Gaps of up to 31 words, all of them zero, are decoded, others are not.
fn gaps_are_checked(gpu: &mut Gpu, good: &[(Vec<u8>, CodedBlock)], segment_log: u8) {
    let gaps = [(0, 0), (31, 0), (32, 0), (255, 0), (31, 1), (1, 128)];
    let changed = good.iter().flat_map(|(payload, header)| {
        let &CodedBlock { coder, table_log, raw_size, .. } = header;
        let count = raw_size.div_ceil(1 << segment_log) as usize;
        gaps.map(|(gap, last)| {
            let payload = segments::with_gap(payload, coder, table_log, count, gap, last);
            let coded_size = payload.len() as u32;
            (payload, CodedBlock { coded_size, ..*header })
        })
    });
    let fault = BlockFault::Stream as u32;
    let expected = [0, 0, fault, fault, fault, fault].repeat(good.len());
    assert_eq!(decode(gpu, &changed.collect::<Vec<_>>(), segment_log), expected);
}

/// A block of one whole segment that ends with its initial states: all that its tiles take is read behind the payload.
fn wordless(gpu: &mut Gpu, coder: Coder, segment_log: u8) -> (Vec<u8>, CodedBlock) {
    let raw = include_bytes!("../data/alice29.txt")[..1 << segment_log].to_vec();
    let (mut payload, header) = encode(gpu, &[block(raw, coder, None)], segment_log).remove(0);
    let word = segments::sizes(coder).0;
    let segment = segments::places(&payload, coder, 1)[0];
    let states = segments::states(&payload, segment, coder, header.table_log);
    payload.truncate(segment + states);
    payload[segment + 4 * segments::sizes(coder).1] = 0;
    payload[..2].copy_from_slice(&((states / word) as u16).to_le_bytes());
    let coded_size = payload.len() as u32;
    (payload, CodedBlock { coded_size, ..header })
}
