use proptest::prelude::*;

use super::*;
use crate::error::{BlockFault, Error, FrameFault};

fn header() -> FrameHeader {
    FrameHeader {
        pipeline: PipelineId(1),
        block_log: 18,
        segment_log: 14,
        content_size: Some(0x0102_0304_0506),
        indexed: true,
    }
}

fn block() -> BlockHeader {
    BlockHeader {
        kind: BlockKind::Coded,
        table_log: 11,
        raw_size: 262_144,
        coded_size: 100_001,
        crc: 0x1234_5678,
    }
}

/// Sets a byte of a frame header and its checksum anew.
fn forged(at: usize, value: u8) -> [u8; FrameHeader::SIZE] {
    let mut bytes = header().encode();
    bytes[at] = value;
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn the_checksum_is_castagnoli() {
    // RFC 3720, appendix B.4, and the usual check value.
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8A91_36AA);
    assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
}

#[test]
fn a_frame_header_is_laid_out_as_specified() {
    let bytes = header().encode();
    assert_eq!(bytes[..9], [0x89, b'R', b'V', b'L', 1, 3, 1, 18, 14]);
    assert_eq!(bytes[9..12], [0; 3]);
    assert_eq!(bytes[12..20], [6, 5, 4, 3, 2, 1, 0, 0]);
    assert_eq!(bytes[20..], crc32c::crc32c(&bytes[..20]).to_le_bytes());
}

#[test]
fn every_flipped_bit_of_a_frame_header_is_noticed() {
    let good = header().encode();
    for bit in 0..8 * good.len() {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = FrameHeader::parse(&bytes, 100).unwrap_err();
        match (bit / 8, error) {
            (0..4, Error::NotAFrame { offset: 100, .. })
            | (4, Error::UnsupportedVersion(_))
            | (5.., Error::CorruptFrame { offset: 100, reason: FrameFault::HeaderChecksum }) => {}
            (byte, error) => panic!("byte {byte}: {error}"),
        }
    }
}

#[test]
fn frame_headers_out_of_range_are_refused() {
    for (at, values, reason) in [
        (5, [4, 0x80, 7], FrameFault::Reserved),
        (9, [1, 128, 255], FrameFault::Reserved),
        (10, [1, 128, 255], FrameFault::Reserved),
        (11, [1, 128, 255], FrameFault::Reserved),
        (7, [11, 21, 255], FrameFault::BlockSize),
        (8, [11, 17, 255], FrameFault::SegmentSize),
        // The size's flag is off but the size is there.
        (5, [0, 2, 0], FrameFault::Reserved),
        // A block smaller than the segment.
        (7, [12, 13, 12], FrameFault::SegmentSize),
    ] {
        for value in values {
            match FrameHeader::parse(&forged(at, value), 7) {
                Err(Error::CorruptFrame { offset: 7, reason: found }) if found == reason => {}
                other => panic!("byte {at} = {value}: {other:?}"),
            }
        }
    }
    // A pipeline that this build does not have is for the caller to refuse, by name.
    assert_eq!(FrameHeader::parse(&forged(6, 200), 0).unwrap().pipeline, PipelineId(200));
}

#[test]
fn the_pipeline_decides_the_largest_block_and_the_table_logs() {
    for pipeline in 0..=9 {
        let largest = if pipeline <= 3 { 20 } else { 22 };
        for block_log in 12..=23 {
            let header = FrameHeader { pipeline: PipelineId(pipeline), block_log, ..header() };
            let header = FrameHeader { segment_log: 12, ..header };
            let parsed = FrameHeader::parse(&header.encode(), 0);
            assert_eq!(parsed.is_ok(), block_log <= largest, "{pipeline}, {block_log}");
        }
        let frame = FrameHeader { pipeline: PipelineId(pipeline), ..header() };
        for table_log in 0..=13 {
            let block = BlockHeader { table_log, ..block() };
            let taken = match pipeline {
                0 => false,
                1 => (8..=12).contains(&table_log),
                2 => (5..=12).contains(&table_log),
                3 => (1..=12).contains(&table_log),
                9 => true, // nothing is known of it
                _ => table_log == 0,
            };
            let parsed = Record::parse(&Record::Block(block).encode(0), 0, &frame);
            assert_eq!(parsed.is_ok(), taken, "{pipeline}, {table_log}");
        }
    }
}

#[test]
fn a_block_header_is_laid_out_as_specified() {
    let bytes = Record::Block(block()).encode(3);
    assert_eq!(bytes[..2], [2, 11]);
    assert_eq!(bytes[4..], [0, 0, 4, 0, 0xA1, 0x86, 1, 0, 0x78, 0x56, 0x34, 0x12]);
    let mut checked = vec![3, 0, 0, 0, 0, 0, 0, 0];
    checked.extend([2, 11, 0, 0]);
    checked.extend(&bytes[4..]);
    assert_eq!(bytes[2..4], crc32c::crc32c(&checked).to_le_bytes()[..2]);
    assert_eq!(
        Record::End { seal: 0xA0B0_C0D0 }.encode(0)[4..],
        [0, 0, 0, 0, 0, 0, 0, 0, 0xD0, 0xC0, 0xB0, 0xA0]
    );
}

#[test]
fn every_flipped_bit_and_another_number_fail_the_check_of_a_block_header() {
    let good = Record::Block(block()).encode(3);
    assert_eq!(Record::parse(&good, 3, &header()), Ok(Record::Block(block())));
    for number in [0, 2, 4, 1 << 32 | 3] {
        assert_eq!(Record::parse(&good, number, &header()), Err(BlockFault::HeaderCheck));
    }
    for bit in 0..8 * good.len() {
        let mut bytes = good;
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Record::parse(&bytes, 3, &header()), Err(BlockFault::HeaderCheck), "bit {bit}");
    }
}

#[test]
fn block_headers_out_of_range_are_refused() {
    use BlockFault::{Kind, Size, Table};
    use BlockKind::{Coded, Single, Stored};
    let max = header().block_size();
    for (kind, table_log, raw_size, coded_size, expected) in [
        (Stored, 0, max, max, Ok(())),
        (Stored, 0, 1, 1, Ok(())),
        (Stored, 0, 0, 0, Err(Size)),
        (Stored, 0, max + 1, max + 1, Err(Size)),
        (Stored, 0, 10, 9, Err(Size)),
        (Stored, 11, 10, 10, Err(Table)),
        (Single, 0, max, 1, Ok(())),
        (Single, 0, max + 1, 1, Err(Size)),
        (Single, 0, 10, 0, Err(Size)),
        (Single, 0, 10, 2, Err(Size)),
        (Single, 8, 10, 1, Err(Table)),
        (Coded, 8, max, max - 1, Ok(())),
        (Coded, 12, 2, 1, Ok(())),
        (Coded, 11, max, max, Err(Size)),
        (Coded, 11, 10, 0, Err(Size)),
        (Coded, 11, u32::MAX, 1, Err(Size)),
        (Coded, 7, 100, 50, Err(Table)),
        (Coded, 13, 100, 50, Err(Table)),
        (Coded, 0, 100, 50, Err(Table)),
    ] {
        let block = BlockHeader { kind, table_log, raw_size, coded_size, crc: 1 };
        let parsed = Record::parse(&Record::Block(block).encode(9), 9, &header());
        assert_eq!(parsed, expected.map(|()| Record::Block(block)), "{block:?}");
    }
    // A frame of stored blocks has no coder.
    let stored = FrameHeader { pipeline: PipelineId(0), ..header() };
    assert_eq!(Record::parse(&Record::Block(block()).encode(0), 0, &stored), Err(Kind));
    for (at, value, fault) in
        [(0, 4, Kind), (0, 255, Kind), (1, 1, Size), (4, 1, Size), (8, 1, Size)]
    {
        let mut bytes = Record::End { seal: 5 }.encode(2);
        bytes[at] = value;
        let mut checked = 2u64.to_le_bytes().to_vec();
        bytes[2..4].fill(0);
        checked.extend(bytes);
        let check = crc32c::crc32c(&checked) as u16;
        bytes[2..4].copy_from_slice(&check.to_le_bytes());
        assert_eq!(Record::parse(&bytes, 2, &header()), Err(fault), "byte {at} = {value}");
    }
}

#[test]
fn a_footer_is_laid_out_as_specified() {
    let footer = Footer::new(2, 3, 4, crc32c::crc32c(b"index"));
    let bytes = footer.encode();
    let mut fields = [0; 24];
    (fields[0], fields[8], fields[16]) = (2, 3, 4);
    assert_eq!(bytes[..24], fields);
    let checked = [&b"index"[..], &fields].concat();
    assert_eq!(bytes[24..28], crc32c::crc32c(&checked).to_le_bytes());
    assert_eq!(bytes[28..], [0x4C, 0x56, 0x52, 0x89]);
    assert_eq!(Footer::parse(&bytes), Some(footer));
    let mut foreign = bytes;
    foreign[31] ^= 1;
    assert_eq!(Footer::parse(&foreign), None);
}

#[test]
fn impossible_block_counts_are_noticed_before_anything_is_allocated() {
    let size = |blocks, frame_size| Footer::new(blocks, 0, frame_size, 0).index_size(&header());
    assert_eq!(size(0, 72), Some(0));
    assert_eq!(size(0, 71), None);
    assert_eq!(size(1, 72 + 28), Some(8));
    assert_eq!(size(1, 72 + 27), None);
    for blocks in [u64::MAX, u64::MAX / 8, u64::MAX / 28, u64::MAX / 28 - 2] {
        assert_eq!(size(blocks, 1 << 40), None);
    }
    assert_eq!(size(u64::MAX / 28 + 1, u64::MAX), None);
}

#[test]
fn padding_fills_words() {
    assert_eq!([0, 1, 2, 3, 4, 5, u32::MAX].map(padding), [0, 3, 2, 1, 0, 3, 1]);
    assert_eq!([1, 4, 5].map(record_size), [20, 20, 24]);
    assert_eq!(record_size(u32::MAX), 16 + (1 << 32));
}

#[test]
fn skippable_headers_are_those_of_zstandard() {
    let header = SkippableHeader { variant: 5, length: 0x0102_0304 };
    assert_eq!(header.encode(), [0x55, 0x2A, 0x4D, 0x18, 4, 3, 2, 1]);
    for magic in [0x184D_2A4Fu32, 0x184D_2A60, 0x184D_2A50 ^ 1 << 31] {
        let mut bytes = header.encode();
        bytes[..4].copy_from_slice(&magic.to_le_bytes());
        assert_eq!(SkippableHeader::parse(&bytes), None);
    }
}

proptest! {
    #[test]
    fn frame_headers_come_back(
        pipeline: u8, block_log in 12..=22u8, segment in 12..=16u8, content_size: Option<u64>,
        indexed: bool,
    ) {
        let pipeline = PipelineId(pipeline);
        let block_log = block_log.min(pipeline.max_block_log());
        let header = FrameHeader {
            pipeline,
            block_log,
            segment_log: segment.min(block_log),
            content_size,
            indexed,
        };
        prop_assert_eq!(FrameHeader::parse(&header.encode(), 0).unwrap(), header);
    }

    #[test]
    fn parsed_bytes_are_canonical(mut bytes: [u8; 16], number: u64) {
        // Random bytes whose check is right: what parses encodes to the same bytes.
        bytes[0] %= 5;
        bytes[6..8].fill(0);
        bytes[10..12].fill(0);
        bytes[2..4].fill(0);
        let checked = [&number.to_le_bytes()[..], &bytes].concat();
        let check = crc32c::crc32c(&checked) as u16;
        bytes[2..4].copy_from_slice(&check.to_le_bytes());
        if let Ok(record) = Record::parse(&bytes, number, &header()) {
            prop_assert_eq!(record.encode(number), bytes);
        }
    }

    #[test]
    fn footers_index_entries_and_skippable_headers_come_back(
        blocks: u64, content_size: u64, frame_size: u64, raw_size: u32, coded_size: u32,
        variant in 0..16u8,
    ) {
        let footer = Footer::new(blocks, content_size, frame_size, 1);
        prop_assert_eq!(Footer::parse(&footer.encode()), Some(footer));
        let entry = IndexEntry { raw_size, coded_size };
        prop_assert_eq!(IndexEntry::parse(&entry.encode()), entry);
        let skippable = SkippableHeader { variant, length: raw_size };
        prop_assert_eq!(SkippableHeader::parse(&skippable.encode()), Some(skippable));
    }
}

/// What a writer sends, a reader accepts; with one thing wrong, it names that.
#[test]
fn a_frame_is_checked_from_end_to_end() {
    let header = FrameHeader { content_size: Some(300_000), ..header() };
    let blocks = [
        block(),
        BlockHeader {
            kind: BlockKind::Single,
            table_log: 0,
            raw_size: 37_856,
            coded_size: 1,
            crc: 9,
        },
    ];
    let mut writer = FrameWriter::new();
    let records = blocks.map(|block| writer.block(&block));
    let index = blocks.map(|block| entry(&block).encode()).concat();
    let (end_mark, footer) = (writer.end_mark(), writer.footer(true));

    let read = |header: FrameHeader, end_mark: [u8; 16], index: &[u8], footer: [u8; 32]| {
        let mut reader = FrameReader::new(1000, header);
        for (bytes, block) in records.iter().zip(&blocks) {
            assert_eq!(reader.record(bytes)?.as_ref(), Some(block));
        }
        assert_eq!(reader.record(&end_mark)?, None);
        assert_eq!(reader.index_size(), 16);
        // In pieces.
        index.chunks(5).for_each(|piece| reader.index(piece));
        reader.footer(&footer)
    };
    let fault = |result| match result {
        Err(Error::CorruptFrame { offset, reason }) => (offset, reason),
        other => panic!("{other:?}"),
    };
    read(header, end_mark, &index, footer).unwrap();

    let second = 1000 + 24 + 16 + 100_004;
    let end = second + 20;
    let longer = FrameHeader { content_size: Some(300_001), ..header };
    assert_eq!(fault(read(longer, end_mark, &index, footer)), (end, FrameFault::ContentSize));
    let shorter = FrameHeader { content_size: Some(299_999), ..header };
    assert_eq!(fault(read(shorter, end_mark, &index, footer)), (second, FrameFault::ContentSize));
    let broken = Record::End { seal: 1 }.encode(2);
    assert_eq!(fault(read(header, broken, &index, footer)), (end, FrameFault::Seal));
    let mut other = index.clone();
    other[3] ^= 1;
    assert_eq!(fault(read(header, end_mark, &other, footer)), (end + 16, FrameFault::Index));
    for bit in 0..256 {
        let mut other = footer;
        other[bit / 8] ^= 1 << (bit % 8);
        let reason =
            if (64..128).contains(&bit) { FrameFault::ContentSize } else { FrameFault::End };
        assert_eq!(fault(read(header, end_mark, &index, other)), (end + 32, reason), "bit {bit}");
    }
}
