//! `--list` and the summaries.

use serde_json::Value;

use crate::harness::{Sandbox, real, text};

fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    serde_json::from_slice(&sandbox.ok(args)).expect("JSON")
}

#[test]
fn a_table_with_totals() {
    let sandbox = Sandbox::compressed(&text());
    sandbox.write("b", &real("ecoli.64k"));
    sandbox.ok(&["--pipeline", "stored", "b"]);
    let out = sandbox.ok(&["-l", "a.rvl", "b.rvl"]);
    let lines: Vec<Vec<&str>> = std::str::from_utf8(&out)
        .unwrap()
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(
        lines[0].join(" "),
        "Compressed Uncompressed Ratio Pipeline Blocks Block size Checksum Index File"
    );
    assert_eq!(lines[1][2..4], ["148.5", "KiB"]);
    assert_eq!(lines[1][5..], ["lzseqr", "38", "4", "KiB", "CRC-32C", "yes", "a.rvl"]);
    assert_eq!(lines[2][5..], ["stored", "1", "256", "KiB", "CRC-32C", "yes", "b.rvl"]);
    assert_eq!(lines[3][5..], ["39", "2", "files"]);
    let one = sandbox.ok(&["--list", "a.rvl"]);
    assert_eq!(std::str::from_utf8(&one).unwrap().lines().count(), 2);
}

#[test]
fn json_has_stable_names() {
    let sandbox = Sandbox::compressed(&text());
    sandbox.write(
        "b.rvl",
        &[sandbox.read("a.rvl"), b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec()].concat(),
    );
    let document = json(&sandbox, &["-l", "--json", "a.rvl", "b.rvl"]);
    let (raw, coded) = (text().len() as u64, sandbox.read("a.rvl").len() as u64);
    let [a, b] = document["files"].as_array().unwrap().as_slice() else {
        panic!("two files: {document}")
    };
    assert_eq!(a["file"], "a.rvl");
    assert_eq!(a["compressed_size"], coded);
    assert_eq!(a["uncompressed_size"], raw);
    assert_eq!(a["ratio"], coded as f64 / raw as f64);
    assert_eq!(a["blocks"], 38);
    let frame = &a["frames"][0];
    assert_eq!(frame["kind"], "content");
    assert_eq!(frame["offset"], 0);
    assert_eq!(frame["compressed_size"], coded);
    assert_eq!(frame["uncompressed_size"], raw);
    assert_eq!(frame["pipeline"], "lzseqr");
    assert_eq!(frame["block_size"], 4096);
    assert_eq!(frame["segment_size"], 4096);
    assert_eq!(frame["blocks"], 38);
    assert_eq!(frame["checksum"], "CRC-32C");
    assert_eq!(frame["index"], true);
    assert_eq!(b["frames"][1]["kind"], "skippable");
    assert_eq!(b["frames"][1]["offset"], coded);
    assert_eq!(b["frames"][1]["compressed_size"], 11);
    assert_eq!(document["total"]["compressed_size"], 2 * coded + 11);
    assert_eq!(document["total"]["uncompressed_size"], 2 * raw);
    assert_eq!(document["total"]["blocks"], 76);
}

#[test]
fn flags_show_in_the_listing() {
    let sandbox = Sandbox::with("a", &text());
    let frame = |flags: &[&str]| {
        sandbox.ok(&[flags, &["-f", "a"]].concat());
        json(&sandbox, &["-l", "--json", "a.rvl"])["files"][0]["frames"][0].clone()
    };
    assert_eq!(frame(&[])["segment_size"], frame(&["--segment", "throughput"])["segment_size"]);
    assert_eq!(frame(&[])["block_size"], 1 << 20);
    assert_eq!(frame(&["--pipeline", "rans"])["segment_size"], 16384);
    assert_eq!(frame(&["--pipeline", "rans"])["block_size"], 262_144);
    assert_eq!(frame(&["--segment", "latency"])["segment_size"], 4096);
    for (text, bytes) in [("64K", 65536), ("256KiB", 262_144), ("4M", 1 << 22), ("8192", 8192)] {
        assert_eq!(frame(&["--block-size", text])["block_size"], bytes, "{text}");
    }
    let list = sandbox.run(&["--pipeline", "list"]);
    assert_eq!(sandbox.run(&["--pipeline"]).stdout, list.stdout);
    assert_eq!(list.text().lines().count(), 9);
    for line in list.text().lines() {
        let name = line.split_whitespace().next().unwrap();
        let listed = frame(&["--pipeline", name]);
        assert_eq!(listed["pipeline"], name);
        assert_eq!(line.ends_with("(the default)"), listed == frame(&[]), "{line}");
    }
    let size = |flags: &[&str]| frame(flags)["compressed_size"].as_u64().unwrap();
    assert!(
        size(&["--pipeline", "rans", "--table-log", "11"])
            < size(&["--pipeline", "rans", "--table-log", "8"])
    );
    assert!(size(&["-9"]) < size(&["-1"]));
    assert_eq!(size(&["--best"]), size(&["-1", "--level", "9"]));
    assert_eq!(size(&["-3"]), size(&[]));
    assert_eq!(size(&["--pipeline", "huff", "-9"]), size(&["--pipeline", "huff"]));
}

#[test]
fn an_empty_file_has_no_ratio() {
    let sandbox = Sandbox::compressed(b"");
    let file = &json(&sandbox, &["-l", "--json", "a.rvl"])["files"][0];
    assert_eq!(file["ratio"], Value::Null);
    assert_eq!(file["blocks"], 0);
    let table = sandbox.run(&["-l", "a.rvl"]);
    let row: Vec<&str> = table.text().lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[4..7], ["-", "lzseqr", "0"]);
}

#[test]
fn a_bad_file_does_not_hide_the_good_one() {
    let sandbox = Sandbox::compressed(&text());
    sandbox.write("bad.rvl", b"nonsense that is long enough to hold a header and a footer");
    let done = sandbox.run(&["-l", "bad.rvl", "a.rvl"]);
    done.expect(1, &["ranvil: bad.rvl: "]);
    assert!(done.text().contains("a.rvl") && !done.text().contains("bad"));
    let done = sandbox.run(&["-l", "--json", "bad.rvl"]);
    done.expect(1, &["ranvil: bad.rvl: "]);
    let document: Value = serde_json::from_slice(&done.stdout).expect("JSON even so");
    assert_eq!(document["files"].as_array().unwrap().len(), 0);
}

/// Opening the one would wait for a writer, and the other has no end.
#[cfg(unix)]
#[test]
fn what_cannot_be_sought_in_is_not_opened() {
    let sandbox = Sandbox::compressed(&text());
    sandbox.shell("mkfifo fifo; ln -s a.rvl link").expect(0, &[]);
    for name in ["fifo", "/dev/zero"] {
        sandbox.run(&["-l", name]).expect(1, &[&format!("ranvil: {name}: is not a file")]);
    }
    sandbox.run(&["-l", "link"]).expect(0, &[]);
}

#[test]
fn summaries_need_verbose_away_from_a_terminal() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.run(&["a"]).expect(0, &[]);
    let compress = sandbox.run(&["-vf", "a"]);
    compress.expect(0, &["a: ", "%", "(148.5 KiB =>", "a.rvl)", "/s"]);
    sandbox.run(&["-df", "-v", "a.rvl"]).expect(0, &["a.rvl: ", "=> 148.5 KiB, a, "]);
    sandbox.run(&["-tv", "a.rvl"]).expect(0, &["a.rvl: OK, 148.5 KiB"]);
    sandbox.run(&["-qf", "a"]).expect(0, &[]);
    assert_eq!(compress.stderr.lines().count(), 1);
    sandbox.run(&["-vvf", "a"]).expect(0, &["ranvil: debug: ", "(148.5 KiB =>"]);
}
