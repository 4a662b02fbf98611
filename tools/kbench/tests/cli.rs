//! The program as people run it, on the first Vulkan device, which in these tests is a software one.

mod program;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

use program::{stderr, stdout};

fn kbench(args: &[&str]) -> Output {
    program::kbench("0", args)
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
    for form in ["decode_huff   shared ", "decode_huff   shared+log12 ", "gather        any "] {
        assert!(text.contains(form), "no {form}:\n{text}");
    }
    // What the device lacks is named, and what it has is checked, once for each plan that has it.
    assert!(text.contains(" not checked, as this device lacks them: "), "{text}");
    assert!(text.contains("subgroup64"), "{text}");
    let names = stdout(&kbench(&["verify", "--coder", "huff", "--names"]));
    for name in names.lines() {
        let (kernel, variant) = name.split_once(' ').unwrap();
        let line = format!("{kernel:<14}{variant:<28}right");
        assert!(text.contains(&line), "{name} is not checked:\n{text}");
    }
    let none = kbench(&["verify", "--variant", "no such"]);
    assert_eq!(none.status.code(), Some(3), "nothing checked is not all right");
}

#[test]
fn what_data_becomes_is_held_to_what_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("encoded.tsv");
    let path = file.to_str().unwrap();
    fs::write(&file, "data\tsize\tblock\tcoder\tcrc32c\n").unwrap();
    let verify = |flags: &[&str]| {
        let little = ["verify", "--coder", "huff", "--variant", "shared", "--checksums", path];
        let size = ["--data", "alice", "--size", "30K", "--block", "20K"];
        kbench(&[&little[..], &size, flags].concat())
    };
    let missing = verify(&["--recorded"]);
    assert_eq!(missing.status.code(), Some(1), "{}", stdout(&missing));
    assert!(stdout(&verify(&[])).contains("has no recorded checksum"));
    assert!(verify(&["--update-checksums"]).status.success());
    assert!(verify(&["--recorded"]).status.success());

    let recorded = fs::read_to_string(&file).unwrap();
    let (row, sum) = recorded.trim_end().rsplit_once('\t').unwrap();
    let other = u32::from_str_radix(sum, 16).unwrap() ^ 1;
    fs::write(&file, format!("{row}\t{other:08x}\n")).unwrap();
    let changed = verify(&[]);
    assert_eq!(changed.status.code(), Some(1), "{}", stdout(&changed));
    assert!(stdout(&changed).contains("WRONG: alice is encoded to 0x"), "{}", stdout(&changed));
}

#[test]
fn what_cannot_be_checked_stops_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = 1_u32;
    let random: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(50_000)
    .collect();
    for (name, bytes) in [("random", random), ("constant", vec![7; 50_000])] {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let data = path.to_str().unwrap();
        let args = ["verify", "--data", data, "--variant", "shared", "--block", "20K"];
        let verify = kbench(&args);
        let text = stdout(&verify);
        assert_eq!(verify.status.code(), Some(3), "{text}{}", stderr(&verify));
        for coder in ["rans", "fse", "huff"] {
            let (encoded, decoded) = (format!("encode_{coder}"), format!("decode {coder:<5}"));
            assert!(text.contains(&encoded), "{text}");
            assert!(text.contains(&(decoded + "not checked: no block")), "{text}");
        }
        assert!(text.contains(" 0 wrong, 3 not possible"), "{text}");
    }
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
    // As precise as nothing can be.
    let flags = ["--data", "alice", "--precision", "0"];
    let args = [&["sweep", "block=16K..32K", "--json", &json], &flags[..]].concat();
    let sweep = kbench(&[&args[..], &LITTLE[..]].concat());
    let text = stdout(&sweep);
    assert!(sweep.status.success(), "{text}{}", stderr(&sweep));
    assert!(text.contains("SOFTWARE DEVICE"), "{text}");
    let rows = text.lines().filter(|line| line.starts_with("device decode huff")).count();
    assert_eq!(rows, 2, "one for each block size:\n{text}");
    let record: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let raw = fs::read("../../tests/data/alice29.txt").unwrap();
    let sum = crc32c::crc32c(&raw[..128 << 10]);
    let mut blocks = Vec::new();
    for row in record["rows"].as_array().unwrap() {
        blocks.push(row["block"].as_u64().unwrap());
        assert_eq!(row["data"]["crc32c"], sum, "{row}");
        let calibrated = row["calibration"].as_array().unwrap().len();
        assert!(calibrated > 0, "{row}");
        assert!(row["modules"].as_array().unwrap().iter().all(|m| m[1] != 0), "{row}");
        let notes = row["notes"].to_string();
        assert!(notes.contains("a cache may have held the data"), "{row}");
        assert!(notes.contains("less precise than asked for"), "{row}");
    }
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks, [16 << 10, 32 << 10], "what is swept is what is measured");
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
    let page = path("page.html");
    for (flags, code) in [(&["-o", &page][..], 0), (&["-o", &page], 3), (&["-fo", &page], 0)] {
        let out = kbench(&[&["report", &files[0]], flags].concat());
        assert_eq!(out.status.code(), Some(code), "{flags:?}: {}", stderr(&out));
    }
    let text = fs::read_to_string(&json).unwrap();
    fs::write(&json, &text[..text.len() / 2]).unwrap();
    let cut = kbench(&["report", &json]);
    assert_eq!(cut.status.code(), Some(3));
    assert!(stderr(&cut).contains("no record of kbench"), "{}", stderr(&cut));
}

#[test]
fn what_cannot_be_measured_costs_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("record.json").to_str().unwrap().to_owned();
    let args = ["measure", "--direction", "decode", "--variant", "auto,subgroup9", "--json", &json];
    let some = kbench(&[&args[..], &LITTLE[..]].concat());
    assert_eq!(some.status.code(), Some(3), "{}", stderr(&some));
    assert!(stderr(&some).contains("subgroup9"), "{}", stderr(&some));
    let record = fs::read_to_string(&json).unwrap();
    assert!(record.contains("\"auto\"") && record.contains("subgroup9"), "{record}");

    let again = kbench(&[&args[..], &LITTLE[..]].concat());
    assert_eq!(again.status.code(), Some(3));
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    assert!(!stdout(&again).contains("GB/s"), "it says so before it measures");
    assert_eq!(fs::read_to_string(&json).unwrap(), record);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[cfg(target_os = "linux")]
#[test]
fn what_compilers_make_of_kernels_becomes_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (amd, own) = (path("amd.json"), path("own.json"));
    let out = kbench(&["static", "--kernel", "parse", "--json", &amd]);
    assert!(out.status.success(), "{}{}", stdout(&out), stderr(&out));
    let none = kbench(&["static", "--kernel", "no such"]);
    assert_eq!(none.status.code(), Some(3), "nothing compiled is not all right");

    // A software driver says nothing of its code.
    let silent = kbench(&["static", "--own", "--json", &own]);
    assert_eq!(silent.status.code(), Some(3), "{}", stderr(&silent));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    // Of a GPU that is not there it can be asked all the same.
    let radv = std::env::var_os("RANVIL_RADV").expect("cargo xtask env sets it");
    let device = Command::new(env!("CARGO_BIN_EXE_kbench"))
        .args(["--device", "0", "static", "--own", "--kernel", "parse", "--json", &own])
        .envs([("VK_DRIVER_FILES", &radv), ("VK_ICD_FILENAMES", &radv)])
        .env("RADV_FORCE_FAMILY", "navi31")
        .output()
        .unwrap();
    assert!(device.status.success(), "{}", stderr(&device));

    let report = |format: &str| {
        let out = kbench(&["report", &amd, &own, "--format", format]);
        assert!(out.status.success(), "{}", stderr(&out));
        stdout(&out)
    };
    let page = report("html");
    for text in [
        "parse: compiled code, AMD's compiler",
        "navi21, subgroups of 32",
        "parse: compiled code, Null hardware",
        "All that the driver says of its code",
        "Spilled VGPRs",
    ] {
        assert!(page.contains(text), "no {text}");
    }
    // Three families, one of which has one subgroup size only; and the device.
    let rows = |text: &str, start: &str| text.lines().filter(|line| line.contains(start)).count();
    assert_eq!(rows(&report("markdown"), "| parse | any |"), 5 + 2);
    assert_eq!(rows(&report("csv"), ",none,,,parse,any,"), 5 + 2);
}

/// Ends a program politely as soon as it has written a file.
#[cfg(unix)]
fn end_when_written(child: &mut std::process::Child, path: &Path) {
    while !path.exists() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it wrote {}", path.display());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let kill = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_ended_leaves_what_it_measured() {
    use std::os::unix::process::ExitStatusExt;
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("record.json");
    // More than anybody waits for.
    let forever = ["auto"; 2000].join(",");
    let mut child = Command::new(env!("CARGO_BIN_EXE_kbench"))
        .args(["--device", "0", "measure", "--direction", "decode", "--variant", &forever])
        .args(LITTLE)
        .args([Path::new("--json"), &json])
        .env_remove("RANVIL_DEVICE")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    end_when_written(&mut child, &json);
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), Some(15), "{status}");
    let record = fs::read_to_string(&json).unwrap();
    assert!(record.contains("\"complete\": false") && record.contains("\"samples\""), "{record}");
    for format in ["html", "markdown"] {
        let report = kbench(&["report", json.to_str().unwrap(), "--format", format]);
        assert!(stdout(&report).contains("Its run was ended"), "{}", stderr(&report));
    }
}

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    for args in [
        &["sweep", "block=64K..16K"][..],
        &["sweep", "size=1..99999999T"],
        &["sweep", "table-log=1..99999999999"],
        &["measure", "--segment-log", "11"],
        &["measure", "--workgroup", "96"],
        &["measure", "--least", "nan"],
        &["measure", "--confidence", "500"],
        &["compare", "auto", "auto", "--clock", "host"],
        &["compare", "auto", "block=0"],
        &["roofline", "--clock", "device"],
        &["small", "--size", "1M,64K"],
    ] {
        let out = kbench(&[args, &["--allow-software"]].concat());
        assert_eq!(out.status.code(), Some(2), "{args:?}: {}", stderr(&out));
    }
}

#[cfg(unix)]
#[test]
fn the_script_for_a_gpu_goes_on_behind_what_fails() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = || {
        Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/gpu.sh"))
            .args(["-k", env!("CARGO_BIN_EXE_kbench"), "-r", "/bin/false", "-a", "-z", "64K"])
            .args(["-p", "/no/such/peers", "-s", "limits,report", "-o"])
            .args([out.as_path(), &Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")])
            .env("RANVIL_DEVICE", "0")
            .output()
            .unwrap()
    };
    let first = run();
    let text = stdout(&first);
    assert_eq!(first.status.code(), Some(1), "{text}{}", stderr(&first));
    let state = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or("");
    assert!(state("devices ").contains("FAILED (1)"), "{text}");
    assert!(state("limits ").ends_with("ok") && state("report-html ").ends_with("ok"), "{text}");
    assert!(state("report-peers ").contains("FAILED (3)"), "{text}");
    assert!(text.contains("A SOFTWARE DEVICE"), "{text}");
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("no result"));
    // Again into the same folder: the record that is there stays.
    let before = fs::read_to_string(out.join("limits.json")).unwrap();
    let again = stdout(&run());
    assert!(again.contains("limits ") && again.contains("already exists"), "{again}");
    assert_eq!(fs::read_to_string(out.join("limits.json")).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn the_script_for_a_gpu_reports_what_there_is_when_it_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/gpu.sh"))
        .args(["-k", env!("CARGO_BIN_EXE_kbench"), "-r", "/bin/false", "-a", "-z", "64K"])
        .args(["-m", "1", "-s", "measure,report", "-o"])
        .args([out.as_path(), &Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")])
        .env("RANVIL_DEVICE", "0")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The first of two cases of the first of six steps.
    end_when_written(&mut script, &out.join("measure-rans-256K.json"));
    let code = script.wait().unwrap().code();
    let steps = fs::read_to_string(out.join("steps.txt")).unwrap();
    assert_eq!(code, Some(1), "{steps}");
    let state = |name: &str| steps.lines().find(|line| line.starts_with(name)).unwrap_or("");
    assert!(state("measure-huff-64K").contains("LEFT OUT"), "{steps}");
    for format in ["html", "markdown", "csv"] {
        assert!(state(&format!("report-{format}")).ends_with("ok"), "{steps}");
    }
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("no result"));
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
fn figures_from_host_to_host_and_rooflines_are_measured() {
    let args = ["measure", "--clock", "host", "--gather"];
    let host = kbench(&[&args[..], &LITTLE].concat());
    let text = stdout(&host);
    assert!(host.status.success(), "{text}{}", stderr(&host));
    assert_eq!(text.lines().filter(|line| line.starts_with("host ")).count(), 2, "{text}");

    let args = ["roofline", "--direction", "decode", "--data", "alice"];
    let roof = kbench(&[&args[..], &LITTLE].concat());
    let text = stdout(&roof);
    assert!(roof.status.success(), "{text}{}", stderr(&roof));
    let kernel = |line: &&str| line.starts_with("decode_huff ") && line.contains("%");
    assert_eq!(text.lines().filter(kernel).count(), 1, "{text}");
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
    let args = ["compare", "auto", "all", "--direction", "decode"];
    let text = stdout(&kbench(&[&args[..], &LITTLE[..]].concat()));
    assert!(text.contains("B: decode huff shared,"), "{text}");
    assert!(text.contains("B: decode huff auto+log12,"), "{text}");
    assert!(!text.contains("B: decode huff auto,"), "{text}");
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
