//! The program as people run it, on the first Vulkan device, which in these tests is a software one.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn kbench(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kbench"))
        .args(["--device", "0"])
        .args(args)
        .env_remove("RANVIL_DEVICE")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbench"));
    let output = command.args(["--device", "0", "list"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(141), String::new()));
}

/// A little work on a software device.
const LITTLE: [&str; 10] = [
    "--allow-software",
    "--coder",
    "huff",
    "--size",
    "128K",
    "--block",
    "32K",
    "--least",
    "0.05",
    "--most=0.3",
];

#[test]
fn what_is_listed_is_verified() {
    let list = kbench(&["list"]);
    assert!(list.status.success(), "{}", stderr(&list));
    assert!(stdout(&list).contains("the product's choice"));
    let verify = kbench(&["verify", "--coder", "huff", "--size", "64K", "--block", "20K"]);
    let text = stdout(&verify);
    assert!(verify.status.success(), "{text}{}", stderr(&verify));
    assert!(text.contains(" 0 wrong") && !text.contains("WRONG"), "{text}");
    assert!(text.contains("decode_huff   shared "), "{text}");
    let none = kbench(&["verify", "--variant", "no such"]);
    assert_eq!(none.status.code(), Some(3), "nothing checked is not all right");
}

#[test]
fn a_software_device_has_no_speed_unless_it_is_allowed_and_marked() {
    let refused = kbench(&["measure", "--size", "64K"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("--allow-software"), "{}", stderr(&refused));
    assert!(!stdout(&refused).contains("GB/s"));
}

#[test]
fn measurements_become_reports() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let json = path("sweep.json");
    let args = ["sweep", "block=16K..32K", "--json", &json];
    let sweep = kbench(&[&args[..], &LITTLE[..]].concat());
    let text = stdout(&sweep);
    assert!(sweep.status.success(), "{text}{}", stderr(&sweep));
    assert!(text.contains("SOFTWARE DEVICE"), "{text}");
    let rows = text.lines().filter(|line| line.contains("decode huff")).count();
    assert_eq!(rows, 2, "one for each block size:\n{text}");
    assert!(text.lines().filter(|line| line.contains("GB/s")).count() == 1);
    let unmarked = |line: &&str| line.contains(" huff") && !line.contains("software");
    assert_eq!(text.lines().find(unmarked), None);

    fs::write(dir.path().join("peers.tsv"), "ANS\t65536\t9\t0.66\t725.5\t1104.6\n").unwrap();
    let files = [path("sweep.json"), path("peers.tsv")];
    let report = |format: &str| {
        let out = kbench(&["report", &files[0], &files[1], "--format", format]);
        assert!(out.status.success(), "{}", stderr(&out));
        stdout(&out)
    };
    assert!(report("html").contains("<svg") && report("html").contains("no result"));
    assert!(report("csv").lines().count() > 4 && report("markdown").contains("| ANS |"));
    let bad = kbench(&["report", &path("peers.tsv")]);
    assert_eq!(bad.status.code(), Some(3), "peers alone");
}

#[test]
fn small_inputs_go_three_ways() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("small.json").to_str().unwrap().to_owned();
    let args = "small --allow-software --pipeline rans,lzseqr --size 5K,300K --least 0 --most 0.1";
    let args: Vec<&str> = args.split(' ').chain(["--json", &json]).collect();
    let small = kbench(&args);
    let text = stdout(&small);
    assert!(small.status.success(), "{text}{}", stderr(&small));
    for line in
        ["rans     encode     5 KiB", "lzseqr   decode   300 KiB", "rans decode: the device is"]
    {
        assert!(text.contains(line), "no {line}:\n{text}");
    }
    let report = kbench(&["report", &json, "--format", "markdown"]);
    assert!(stdout(&report).contains("| lzseqr | encode |"), "{}", stdout(&report));
}

#[test]
fn a_verdict_can_fail() {
    // Whatever the verdict is, all of them together are sure to be met, and none of them never.
    let compare = |flags: &[&str]| {
        let args = ["compare", "auto", "shared", "--direction", "decode"];
        kbench(&[&args[..], &LITTLE[..], flags].concat())
    };
    let all = compare(&["--fail-on", "same,faster,slower,ambiguous"]);
    assert_eq!(all.status.code(), Some(1), "{}", stderr(&all));
    assert!(stdout(&all).contains("B is "));
    assert_eq!(compare(&[]).status.code(), Some(0));
    let unknown = compare(&["--fail-on", "slow"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn what_does_not_exist_is_named() {
    let args = ["measure", "--variant", "subgroup9", "--direction", "decode"];
    let variant = kbench(&[&args[..], &LITTLE[..]].concat());
    assert_eq!(variant.status.code(), Some(3));
    assert!(stderr(&variant).contains("subgroup9"), "{}", stderr(&variant));
    let data = kbench(&["verify", "--data", "no-such-set"]);
    assert!(stderr(&data).contains("no-such-set"), "{}", stderr(&data));
    assert!(!Path::new("no-such-set").exists());
}
