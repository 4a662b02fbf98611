//! Damaged input, full disks, forbidden places: an error, no partial output, the source untouched.

use crate::harness::{Sandbox, text};

/// A frame's block records, as `docs/FORMAT.md` lays them out: offsets of their headers, of the end mark last.
fn records(frame: &[u8]) -> Vec<usize> {
    let mut offsets = vec![24];
    loop {
        let header = &frame[*offsets.last().unwrap()..][..16];
        if header[0] == 3 {
            return offsets;
        }
        let coded = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
        offsets.push(offsets.last().unwrap() + 16 + coded.next_multiple_of(4));
    }
}

/// Tries to restore `a.rvl` in every way; nothing may come of it.
#[track_caller]
fn refused(sandbox: &Sandbox, bytes: &[u8], texts: &[&str]) {
    std::fs::write(sandbox.path("a.rvl"), bytes).unwrap();
    let texts = &[&["ranvil: a.rvl: "], texts].concat();
    for args in [
        &["-d", "a.rvl"][..],
        &["-d", "--rm", "a.rvl"],
        &["-d", "-o", "b", "a.rvl"],
        &["-t", "a.rvl"],
    ] {
        sandbox.run(args).expect(1, texts);
        assert_eq!(sandbox.names(), ["a.rvl"], "{args:?}");
        assert_eq!(sandbox.read("a.rvl"), bytes);
    }
    let done = sandbox.feed(&["-d"], bytes);
    assert_eq!(done.code, Some(1), "{}", done.stderr);
}

fn frame() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::compressed(&text());
    std::fs::remove_file(sandbox.path("a")).unwrap();
    let bytes = sandbox.read("a.rvl");
    (sandbox, bytes)
}

#[test]
fn a_damaged_block_is_named() {
    let (sandbox, mut bytes) = frame();
    let records = records(&bytes);
    assert_eq!(records.len(), text().len().div_ceil(4096) + 1);
    let (block, offset) = (17, records[17]);
    bytes[offset + 16 + 700] ^= 4;
    refused(&sandbox, &bytes, &[&format!("corrupt block {block} at byte {offset}: ")]);
}

#[test]
fn a_damaged_header_is_named() {
    let (sandbox, bytes) = frame();
    let mut damaged = bytes.clone();
    damaged[13] ^= 1;
    refused(&sandbox, &damaged, &["corrupt frame at byte 0: ", "header's checksum"]);
    let mut newer = bytes.clone();
    newer[4] = 2;
    refused(&sandbox, &newer, &["format version 2 is not supported"]);
    refused(&sandbox, b"PK\x03\x04 is another format", &["not a ranvil frame"]);
    let trailing = [&bytes[..], b"trailing rubbish"].concat();
    refused(&sandbox, &trailing, &[&format!("byte {}", bytes.len())]);
}

/// What others wrote is named, with the program that restores it.
#[test]
fn files_of_other_programs() {
    for (magic, name, tool) in [
        (&b"\x1f\x8b\x08\0"[..], "gzip", "gzip -d"),
        (b"\x28\xb5\x2f\xfd", "Zstandard", "zstd -d"),
        (b"\x04\x22\x4d\x18", "LZ4", "lz4 -d"),
        (b"\x02\x21\x4c\x18", "LZ4", "lz4 -d"),
        (b"\xfd7zXZ\0", "xz", "xz -d"),
        (b"BZh9", "bzip2", "bzip2 -d"),
    ] {
        let (sandbox, frame) = frame();
        let file = [magic, b"whatever comes next in such a file"].concat();
        refused(&sandbox, &file, &["not a ranvil file", name, tool]);
        std::fs::write(sandbox.path("a.rvl"), &file).unwrap();
        sandbox.run(&["-l", "a.rvl"]).expect(1, &["ranvil: a.rvl: not a ranvil file", name, tool]);
        // pzstd begins its files with a skippable frame.
        let behind = [b"\x50\x2a\x4d\x18\x04\0\0\0abcd", &file[..]].concat();
        refused(&sandbox, &behind, &["from byte 12 on", name, tool]);
        let behind = [&frame[..], &file].concat();
        refused(&sandbox, &behind, &[&format!("from byte {} on", frame.len()), tool]);
    }
}

#[test]
fn truncated_files() {
    let (sandbox, bytes) = frame();
    for len in [0, 1, 23, 24, 30, 1000, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1] {
        refused(&sandbox, &bytes[..len], &[]);
    }
    let len = bytes.len() / 2;
    refused(&sandbox, &bytes[..len], &["truncated", &format!("byte {len}")]);
}

#[test]
fn missing_files_and_unknown_flags() {
    let sandbox = Sandbox::new();
    let done = sandbox.run(&["missing"]);
    done.expect(1, &["ranvil: missing: "]);
    assert_eq!(done.stderr.lines().count(), 1);
    sandbox.run(&["-q", "missing"]).expect(1, &["ranvil: missing: "]);
    sandbox.run(&["--frobnicate"]).expect(2, &["--frobnicate"]);
    sandbox.run(&["-Z"]).expect(2, &["-Z"]);
    for args in [
        &["--block-size", "5000", "a"][..],
        &["--block-size", "8M", "a"],
        &["--block-size", "2M", "--pipeline", "huff", "a"],
        &["--table-log", "11", "a"],
        &["--table-log", "4", "--pipeline", "fse", "a"],
        &["--level", "10", "a"],
        &["-0", "a"],
        &["-19", "a"],
        &["--pipeline", "list", "a"],
        &["--block-size", "x", "a"],
        &["--table-log", "13", "a"],
        &["--pipeline", "zip", "a"],
        &["--segment", "tiny", "a"],
        &["--memory", "lots", "a"],
        &["-T", "many", "a"],
        &["--device", "gpu", "a"],
        &["--json", "a"],
        &["-l"],
        &["-lt", "a"],
        &["--generate", "pdf"],
    ] {
        let done = sandbox.run(args);
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains("error:"), "{args:?}: {}", done.stderr);
    }
    assert!(sandbox.names().is_empty());
}

/// What is wrong with a value is said, instead of that there is none.
#[test]
fn empty_paths_and_negative_numbers() {
    let sandbox = Sandbox::with("a", &text());
    for args in [&[""][..], &["a", ""], &["-o", "", "a"], &["--trace", "", "a"], &["bench", ""]] {
        sandbox.run(args).expect(2, &["the path is empty"]);
    }
    for (flag, value, reason) in [
        ("-T", "-1", "-1 is not in 0..=1024"),
        ("-T", "-12", "-12 is not in 0..=1024"),
        ("--level", "-1", "-1 is not in 1..=9"),
        ("--table-log", "-3", "-3 is not in 1..=12"),
        ("-M", "-1", "expected bytes"),
        ("--memory", "-1G", "expected bytes"),
        ("--block-size", "-64K", "expected bytes"),
    ] {
        for bench in [&[][..], &["bench"]] {
            let done = sandbox.run(&[bench, &[flag, value, "a"]].concat());
            done.expect(2, &[&format!("invalid value '{value}' for '"), reason]);
        }
    }
    sandbox.run(&["bench", "-i", "-1"]).expect(2, &["-1 is not in 1..=1000000"]);
    sandbox.run(&["bench", "--size", "-1M"]).expect(2, &["expected bytes"]);
    assert_eq!(sandbox.names(), ["a"]);
}

#[test]
fn too_little_memory_is_an_error() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.run(&["--memory", "4K", "a"]).expect(1, &["ranvil: a: ", "memory limit is 4096 bytes"]);
    assert_eq!(sandbox.names(), ["a"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use crate::harness::{Done, noise};

    /// `a` and nothing else is left.
    fn untouched(sandbox: &Sandbox, content: &[u8], done: &Done, texts: &[&str]) {
        done.expect(1, texts);
        assert_eq!(sandbox.names(), ["a"]);
        assert_eq!(sandbox.read("a"), content);
    }

    #[test]
    fn a_file_size_limit_is_reached() {
        let content = noise(1 << 20);
        let sandbox = Sandbox::with("a", &content);
        let done = sandbox.shell("ulimit -f 100; $RANVIL --rm a");
        untouched(&sandbox, &content, &done, &["ranvil: a: cannot write a.rvl: File too large"]);
        std::fs::write(sandbox.path("b"), &content).unwrap();
        sandbox.ok(&["b", "-o", "a", "-f"]);
        std::fs::remove_file(sandbox.path("b")).unwrap();
        let coded = sandbox.read("a");
        let done = sandbox.shell("ulimit -f 100; $RANVIL -d a -o b");
        untouched(&sandbox, &coded, &done, &["ranvil: a: cannot write b: File too large"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_disk_is_full() {
        let sandbox = Sandbox::with("a", &text());
        for line in ["$RANVIL -c a > /dev/full", "$RANVIL < a > /dev/full"] {
            let done = sandbox.shell(line);
            untouched(
                &sandbox,
                &text(),
                &done,
                &["cannot write standard output: No space left on device"],
            );
        }
        let done = sandbox.shell("$RANVIL a -o /dev/full");
        untouched(
            &sandbox,
            &text(),
            &done,
            &["ranvil: a: cannot write /dev/full: No space left on device"],
        );
        let done = sandbox.shell("$RANVIL -c a | $RANVIL -d > /dev/full");
        untouched(
            &sandbox,
            &text(),
            &done,
            &["ranvil: standard input: cannot write standard output: No space"],
        );
        sandbox.ok(&["a"]);
        let done = sandbox.shell("$RANVIL -l a.rvl > /dev/full");
        done.expect(1, &["ranvil: cannot write standard output: No space left on device"]);
    }

    /// A file of /sys claims a size of 4096.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_lies_about_its_size() {
        let sandbox = Sandbox::with("a", &text());
        let file = "/sys/devices/system/cpu/online";
        let done = sandbox.run(&[file, "-o", "b"]);
        untouched(&sandbox, &text(), &done, &["its size changed", "standard input"]);
        sandbox.shell(&format!("$RANVIL < {file} | $RANVIL -d | cmp - {file}")).expect(0, &[]);
    }

    /// Tests may run as root, who writes everywhere but there.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_that_takes_no_files() {
        let sandbox = Sandbox::with("a", &text());
        let done = sandbox.run(&["a", "-o", "/proc/a.rvl"]);
        untouched(&sandbox, &text(), &done, &["ranvil: a: cannot write /proc/a.rvl: "]);
    }
}
