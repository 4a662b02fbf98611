//! Frames as a stream reader sees them: one after the other, foreign, damaged.

mod common;

use std::io::Read;

use ranvil::{
    BlockFault, DeviceSelector, Error, FrameFault, Options, Pipeline, decompress,
    format::SkippableHeader,
};

use common::{ALICE, Trickle, stays};

fn small_blocks() -> Options {
    Options::new().device(DeviceSelector::Cpu).block_size(4096).unwrap()
}

fn skippable(variant: u8, content: &[u8]) -> Vec<u8> {
    let header = SkippableHeader { variant, length: content.len() as u32 };
    [&header.encode(), content].concat()
}

#[test]
fn frames_and_skippable_frames_may_follow_each_other() {
    let parts = [&ALICE[..50_000], b"", &ALICE[50_000..50_001], &ALICE[50_001..]];
    let mut coded = skippable(0, &[]);
    // Blocks grow and shrink from frame to frame.
    let pipelines = [Pipeline::Huff, Pipeline::Lzseqr, Pipeline::Stored, Pipeline::Lzh];
    for ((part, block), pipeline) in
        parts.into_iter().zip([4096, 1 << 22, 8192, 16384]).zip(pipelines)
    {
        let options = Options::new().pipeline(pipeline).block_size(block).unwrap();
        let options = options.index(block != 8192);
        coded.extend(options.compress(part).unwrap());
        coded.extend(skippable(7, &[0x89; 1000]));
    }
    coded.extend(skippable(15, b"LVR\x89"));
    assert!(decompress(&coded).unwrap() == ALICE);
    let mut raw = Vec::new();
    let mut decompressor = Options::new().decompressor(Trickle(&coded, false)).unwrap();
    decompressor.read_to_end(&mut raw).unwrap();
    assert!(raw == ALICE);
    assert_eq!(decompressor.progress().coded_bytes, coded.len() as u64);
    assert_eq!(decompress(&skippable(3, b"nothing but this")).unwrap(), b"");
}

#[test]
fn what_is_no_frame_is_named_with_its_place() {
    for length in 1..40 {
        match decompress(&b"\x1F\x8B\x08\x00 is another format".repeat(2)[..length]) {
            Err(Error::NotAFrame { offset: 0, found }) => {
                assert!(b"\x1F\x8B\x08\x00".starts_with(&found[..length.min(4)]))
            }
            other => panic!("{other:?}"),
        }
    }
    let coded = small_blocks().compress(ALICE).unwrap();
    let length = coded.len() as u64;
    for garbage in [&b"\0"[..], b"garbage", b"\x89RVK----------------------", b"\x50\x2A\x4D\x19"] {
        let long = [&coded, garbage].concat();
        let mut raw = Vec::new();
        let mut decompressor = Options::new().decompressor(&long[..]).unwrap();
        let here = |e| matches!(e, Error::NotAFrame { offset, .. } if offset == length);
        assert!(here(Error::from_io(decompressor.read_to_end(&mut raw).unwrap_err())));
        assert!(raw == ALICE, "the frame before it is whole");
        assert!(stays(|| decompressor.read(&mut [0]), here));
    }
    // The beginning of a magic number is a frame cut off.
    for start in [&b"\x89"[..], b"\x89RV", b"\x5F\x2A", b"\x50\x2A\x4D\x18\x01\0\0\0"] {
        let long = [&coded, start].concat();
        assert!(matches!(
            decompress(&long),
            Err(Error::Truncated { offset, .. }) if offset == long.len() as u64
        ));
    }
    assert!(matches!(decompress(b""), Err(Error::Truncated { offset: 0, .. })));
}

#[test]
fn unknown_versions_and_pipelines_are_named() {
    let mut coded = small_blocks().compress(ALICE).unwrap();
    coded[6] = 9;
    let crc = crc32c::crc32c(&coded[..20]);
    coded[20..24].copy_from_slice(&crc.to_le_bytes());
    let error = decompress(&coded).unwrap_err().to_string();
    assert!(error.contains("\"deflate\""), "{error}");
    coded[4] = 9;
    assert!(matches!(decompress(&coded), Err(Error::UnsupportedVersion(9))));
    assert!(matches!(decompress(&coded[..5]), Err(Error::UnsupportedVersion(9))));
}

#[test]
fn a_wrong_checksum_is_an_error_unless_nobody_asks() {
    let mut coded = small_blocks().pipeline(Pipeline::Stored).compress(ALICE).unwrap();
    let place = 24 + 4112 + 16 + 100;
    coded[place] ^= 1;
    for options in [small_blocks(), small_blocks().threads(1)] {
        let mut raw = Vec::new();
        let error = options.decompressor(&coded[..]).unwrap().read_to_end(&mut raw).unwrap_err();
        assert!(matches!(
            Error::from_io(error),
            Error::CorruptBlock { block: 1, offset: 4136, reason: BlockFault::Checksum }
        ));
        assert!(raw == ALICE[..4096], "only what is right is returned");
        let raw = options.verify_checksums(false).decompress(&coded).unwrap();
        assert_eq!(raw.iter().zip(ALICE).filter(|(a, b)| a != b).count(), 1);
    }
}

#[test]
fn blocks_that_are_moved_doubled_or_left_out_are_noticed() {
    let coded = small_blocks().pipeline(Pipeline::Stored).compress(&ALICE[..40_960]).unwrap();
    let (head, rest) = coded.split_at(24);
    let (blocks, tail) = rest.split_at(10 * 4112);
    let blocks: Vec<&[u8]> = blocks.chunks(4112).collect();
    let build = |order: &[usize]| {
        let blocks: Vec<u8> = order.iter().flat_map(|&n| blocks[n]).copied().collect();
        decompress(&[head, &blocks, tail].concat())
    };
    assert!(build(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]).is_ok());
    for (order, block) in [
        (&[0, 2, 1, 3, 4, 5, 6, 7, 8, 9][..], 1),
        (&[0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9], 2),
        (&[0, 1, 2, 3, 4, 5, 6, 7, 8], 9),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9], 0),
        (&[], 0),
    ] {
        match build(order) {
            Err(Error::CorruptBlock { block: found, reason: BlockFault::HeaderCheck, .. }) => {
                assert_eq!(found, block)
            }
            other => panic!("{order:?}: {:?}", other.map(|_| ())),
        }
    }
}

#[test]
fn index_and_footer_are_verified_without_seeking() {
    let coded = small_blocks().compress(ALICE).unwrap();
    let blocks = ALICE.len().div_ceil(4096);
    let index = coded.len() - 32 - 8 * blocks;
    let fault = |at: usize| {
        let mut coded = coded.clone();
        coded[at] ^= 4;
        match decompress(&coded) {
            Err(Error::CorruptFrame { offset, reason }) => (offset as usize, reason),
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    assert_eq!(fault(index), (index, FrameFault::Index));
    assert_eq!(fault(coded.len() - 33), (index, FrameFault::Index));
    assert_eq!(fault(coded.len() - 32), (coded.len() - 32, FrameFault::End));
    assert_eq!(fault(coded.len() - 24), (coded.len() - 32, FrameFault::ContentSize));
    assert_eq!(fault(coded.len() - 16), (coded.len() - 32, FrameFault::End));
    assert_eq!(fault(coded.len() - 1), (coded.len() - 32, FrameFault::End));
}
