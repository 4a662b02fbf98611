//! `ranvil bench`.

use std::collections::HashMap;

use crate::harness::{Done, Sandbox, noise, real, run, text};

/// The fields of a line for programs.
fn fields<'a>(done: &'a Done, word: &str) -> HashMap<&'a str, &'a str> {
    let mut lines = done.stderr.lines().filter(|line| line.split('\t').next() == Some(word));
    let line = lines.next().unwrap_or_else(|| panic!("no {word} in {:?}", done.stderr));
    assert!(lines.next().is_none(), "more than one {word}");
    line.split('\t').skip(1).map(|field| field.split_once('=').expect("key=value")).collect()
}

fn number(fields: &HashMap<&str, &str>, key: &str) -> f64 {
    let value = fields.get(key).unwrap_or_else(|| panic!("no {key} in {fields:?}"));
    value.parse().unwrap_or_else(|_| panic!("{key}={value}"))
}

/// Runs a short benchmark of the file `a` with the statistics printed.
fn bench(sandbox: &Sandbox, args: &[&str]) -> Done {
    let all = [&["bench", "-q", "-i3", "--print-scheduler-stats", "a"], args].concat();
    let done = sandbox.run(&all);
    assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
    assert_eq!(done.stderr.lines().count(), 2, "{}", done.stderr);
    assert!(done.text().contains("MB/s"), "{}", done.text());
    done
}

#[test]
fn a_real_file_is_measured() {
    let sandbox = Sandbox::with("a", &text());
    let coded = sandbox.ok(&["-c", "--pipeline", "lzr", "--block-size", "32K", "-5", "a"]).len();
    for direction in ["compress", "decompress"] {
        let mut args = vec!["--pipeline", "lzr", "-5", "--block-size", "32K", "-T2"];
        args.extend((direction == "decompress").then_some("-d"));
        let done = bench(&sandbox, &args);
        let profile = fields(&done, "PROFILE_STATS");
        for (key, value) in [
            ("pipeline", "lzr"),
            ("level", "5"),
            ("stage", "all"),
            ("direction", direction),
            ("mode", "cpu"),
            ("device", "cpu"),
            ("threads", "2"),
            ("block_size", "32768"),
            ("iterations", "3"),
            ("data_crc32c", &format!("{:08x}", crc32c::crc32c(&text()))),
            ("bytes", &text().len().to_string()),
            ("coded_bytes", &coded.to_string()),
        ] {
            assert_eq!(profile[key], value, "{key}");
        }
        let [least, median, most] =
            ["min_ns", "median_ns", "max_ns"].map(|key| number(&profile, key));
        assert!(0.0 < least && least <= median && median <= most);
        let rate = text().len() as f64 * 1e3 / median;
        assert!((number(&profile, "throughput_mb_s") - rate).abs() < 0.01 * rate);
        assert!((number(&profile, "ratio") - coded as f64 / text().len() as f64).abs() < 1e-5);
    }
    assert_eq!(sandbox.names(), ["a"]);
}

#[test]
fn the_scheduler_tells_what_it_did() {
    let sandbox = Sandbox::with("a", &text());
    let done = bench(&sandbox, &["--pipeline", "rans", "--block-size", "16K", "-T2"]);
    let stats = fields(&done, "SCHEDULER_STATS");
    check_stats(&stats);
    assert_eq!(number(&stats, "runs"), 3.0, "the warm-up does not count");
    assert_eq!(number(&stats, "stage0_cpu_bytes"), 3.0 * text().len() as f64);
    assert_eq!(number(&stats, "stage0_cpu_blocks"), 30.0);
    assert_eq!(number(&stats, "stage1_cpu_blocks"), 0.0);
}

/// What holds for every run.
fn check_stats(stats: &HashMap<&str, &str>) {
    assert!((0.0..=1.0).contains(&number(stats, "scheduler_overhead_pct")), "{stats:?}");
    let [tracked, compute, wait, admin, handoff] =
        ["tracked_ns", "stage_compute_ns", "queue_wait_ns", "queue_admin_ns", "gpu_handoff_ns"]
            .map(|key| number(stats, key));
    assert_eq!(tracked, compute + wait + admin + handoff);
    assert!(compute > 0.0 && number(stats, "total_ns") > 0.0);
    assert!(number(stats, "peak_memory_bytes") > 0.0);
}

#[test]
fn files_can_be_worked_on_under_watch() {
    let sandbox = Sandbox::with("a", &text());
    for args in [&["a"][..], &["-t", "a.rvl"], &["-dfT2", "a.rvl"]] {
        let done = sandbox.run(&[&["--print-scheduler-stats"], args].concat());
        assert_eq!((done.code, done.stdout.len()), (Some(0), 0), "{}", done.stderr);
        assert_eq!(done.stderr.lines().count(), 1);
        let stats = fields(&done, "SCHEDULER_STATS");
        check_stats(&stats);
        assert_eq!(number(&stats, "runs"), 1.0);
        assert_eq!(number(&stats, "stage1_cpu_bytes"), text().len() as f64);
    }
    let done = sandbox.run(&["--print-scheduler-stats", "missing"]);
    done.expect(1, &["ranvil: missing: ", "SCHEDULER_STATS"]);
}

/// An error, wherever the limit is met; the process is not aborted.
#[cfg(target_os = "linux")]
#[test]
fn too_little_memory_for_the_data_is_an_error() {
    let sandbox = Sandbox::new();
    for kilobytes in [100_000, 140_000, 190_000] {
        for slices in ["", "--slices", "--pinned"] {
            let bench = "$RANVIL bench -i1 -T1 --size 64M --pipeline stored";
            let done = sandbox.shell(&format!("ulimit -v {kilobytes}; {bench} {slices}"));
            done.expect(1, &["ranvil: bench: no memory for "]);
        }
    }
}

#[test]
fn stages_are_measured_alone() {
    let sandbox = Sandbox::with("a", &real("helmet_mesh.64k"));
    for (stage, name, pipeline) in [
        ("model", "model", "lzseqr"),
        ("1", "entropy", "lzseqf"),
        ("0", "entropy", "huff"),
        ("entropy", "entropy", "fse"),
    ] {
        for direction in [&[][..], &["-d"]] {
            let args = [&["--stage", stage, "--pipeline", pipeline], direction].concat();
            let done = bench(&sandbox, &args);
            assert_eq!(fields(&done, "PROFILE_STATS")["stage"], name);
            assert_eq!(number(&fields(&done, "SCHEDULER_STATS"), "runs"), 0.0);
        }
    }
    for pipeline in ["lzseqr", "huff"] {
        let [whole, stage] = [&[][..], &["--stage", "entropy"]].map(|args| {
            let done = bench(&sandbox, &[&["--pipeline", pipeline], args].concat());
            number(&fields(&done, "PROFILE_STATS"), "coded_bytes")
        });
        assert!(stage < whole && whole < stage + 200.0, "{pipeline}: headers and no more");
    }
}

/// On a machine without a device there is one thing to see: that it says so.
#[test]
fn a_device_is_measured() {
    let sandbox = Sandbox::with("a", &text());
    let list: serde_json::Value =
        serde_json::from_slice(&sandbox.ok(&["--list-devices", "--json"])).expect("JSON");
    let usable = |device: &serde_json::Value| device["usable"] == true;
    let Some(index) = list["devices"].as_array().unwrap().iter().position(usable) else {
        sandbox.run(&["bench", "--device", "0", "a"]).expect(1, &["ranvil: bench: "]);
        return;
    };
    let index = index.to_string();
    for (args, stage, busy) in [
        (&["--pipeline", "rans"][..], 0, false),
        (&["--stage", "1", "-d"], 1, true),
        (&["--device", "cpu", "--pipeline", "rans", "--stage0", "gpu"], 0, false),
    ] {
        let done = bench(&sandbox, &[&["--device", &index], args].concat());
        let (profile, stats) = (fields(&done, "PROFILE_STATS"), fields(&done, "SCHEDULER_STATS"));
        assert_eq!(profile["mode"], "gpu");
        let bytes = number(&stats, &format!("stage{stage}_gpu_bytes"));
        assert_eq!(bytes, 3.0 * text().len() as f64, "{args:?}");
        check_stats(&stats);
        if busy {
            let times = ["min_ns", "max_ns"].map(|key| number(&profile, key));
            let busy = number(&stats, "gpu_busy_ns");
            assert!(3.0 * times[0] <= busy && busy <= 3.0 * times[1], "{busy}: {times:?}");
        }
    }
}

#[test]
fn several_files_are_one_stream_and_a_file_called_bench_is_a_file() {
    let sandbox = Sandbox::with("a", &text());
    sandbox.write("b", &noise(5000));
    let done = bench(&sandbox, &["b"]);
    assert_eq!(number(&fields(&done, "PROFILE_STATS"), "bytes") as usize, text().len() + 5000);
    sandbox.write("bench", &text());
    sandbox.ok(&["./bench"]);
    sandbox.ok(&["-f", "bench"]);
    sandbox.ok(&["-o", "x", "--", "bench"]);
    assert_eq!(sandbox.names(), ["a", "b", "bench", "bench.rvl", "x"]);
    let done = sandbox.feed(&["bench", "-i1", "-"], &text());
    done.expect(0, &[]);
    assert!(done.text().starts_with("standard input: 148.5 KiB"), "{}", done.text());
}

#[test]
fn data_is_generated_where_there_is_none() {
    let sandbox = Sandbox::new();
    let args = ["bench", "--size", "300K", "-i", "1", "--print-scheduler-stats"];
    let [first, second] = [(); 2].map(|()| sandbox.run(&args));
    assert!(first.text().starts_with("generated data (300 KiB): "), "{}", first.text());
    let crc = |done| fields(done, "PROFILE_STATS")["data_crc32c"].to_owned();
    assert_eq!(crc(&first), crc(&second));
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    let sandbox = Sandbox::with("empty", &[]);
    sandbox.run(&["bench", "empty"]).expect(1, &["ranvil: bench: ", "empty is empty"]);
    sandbox.run(&["bench", "--size", "0"]).expect(1, &["nothing to measure"]);
    sandbox.run(&["bench", "missing"]).expect(1, &["ranvil: bench: missing: "]);
    sandbox.run(&["bench", "."]).expect(1, &["is a directory"]);
    sandbox.write("a", &text());
    for device in ["name=NoSuchDevice", "cpu,name=NoSuchDevice"] {
        let done = sandbox.run(&["bench", "--device", device, "a"]);
        assert_eq!((done.code, done.stdout.len()), (Some(1), 0), "{}", done.stderr);
    }
    let no_gpu = ["--stage0", "gpu", "--device", "cpu", "--pipeline", "rans", "a"];
    sandbox
        .run(&[&["bench"], &no_gpu[..]].concat())
        .expect(2, &["none can go to a GPU with the device cpu"]);
    sandbox.run(&no_gpu).expect(2, &["none can go to a GPU with the device cpu"]);
    let no_kernels = ["--stage0", "gpu", "--device", "0", "a"];
    sandbox.run(&[&["bench"], &no_kernels[..]].concat()).expect(2, &["models have no kernels"]);
    let no_stage = ["--stage1", "gpu", "--device", "0", "--pipeline", "fse", "a"];
    sandbox.run(&no_stage).expect(2, &["the pipeline fse has none to go to a GPU"]);
    sandbox.run(&["--device", "auto,0", "a"]).expect(2, &["name it alone"]);
    let mut command = sandbox.command(&["bench", "a"]);
    command.env("RANVIL_DEVICE", "nonsense");
    run(command).expect(2, &["RANVIL_DEVICE: ", "nonsense"]);
    for args in [
        &["--stage", "2", "a"][..],
        &["--stage", "model", "--pipeline", "rans", "a"],
        &["--stage", "1", "--pipeline", "huff", "a"],
        &["--stage", "0", "--pipeline", "stored", "a"],
        &["--iterations", "0", "a"],
        &["--size", "many"],
        &["--size", "1M", "a"],
        &["-12", "a"],
        &["--level", "0", "a"],
        &["--block-size", "2M", "--pipeline", "rans", "a"],
        &["--stage0", "fpga", "a"],
        &["-o", "x", "a"],
    ] {
        let done = sandbox.run(&[&["bench"], args].concat());
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains("error:"), "{args:?}: {}", done.stderr);
    }
}

mod trace {
    use serde_json::Value;

    use super::*;

    fn events(sandbox: &Sandbox, name: &str) -> Vec<Value> {
        let json: Value = serde_json::from_slice(&sandbox.read(name)).expect("JSON");
        json["traceEvents"].as_array().expect("a list of events").clone()
    }

    #[test]
    fn every_command_writes_one() {
        let sandbox = Sandbox::with("a", &text());
        for args in [
            &["a", "--block-size", "16K"][..],
            &["-t", "a.rvl"],
            &["-c", "-d", "a.rvl"],
            &["bench", "-i", "1", "a", "--block-size", "16K"],
        ] {
            sandbox.run(&[args, &["--trace", "t.json"]].concat()).expect(0, &[]);
            assert!(events(&sandbox, "t.json").len() > 10, "{args:?}");
            std::fs::remove_file(sandbox.path("t.json")).unwrap();
        }
        assert_eq!(sandbox.names(), ["a", "a.rvl"]);
    }

    #[test]
    fn nothing_is_overwritten_without_force() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.write("t.json", b"precious");
        for args in [&["a"][..], &["bench", "-i1", "a"]] {
            let with_trace = [args, &["--trace", "t.json"]].concat();
            let done = sandbox.run(&with_trace);
            done.expect(1, &["t.json already exists; use -f to overwrite it"]);
            assert_eq!((sandbox.read("t.json"), sandbox.names().len()), (b"precious".to_vec(), 2));
        }
        sandbox.run(&["bench", "-fi1", "a", "--trace", "t.json"]).expect(0, &[]);
        assert!(!events(&sandbox, "t.json").is_empty());
    }

    #[test]
    fn neither_source_nor_output_is_overwritten() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.run(&["-f", "a", "--trace", "./a"]).expect(1, &["is a source itself"]);
        assert_eq!(sandbox.names(), ["a"]);
        sandbox.run(&["-f", "a", "--trace", "a.rvl"]).expect(1, &["not written: a.rvl is new"]);
        assert_eq!(sandbox.ok(&["-dc", "a.rvl"]), text());
        sandbox.run(&["a", "-o", "b", "--trace", "-"]).expect(1, &["--trace needs a file"]);
        #[cfg(unix)]
        sandbox.run(&["a", "-c", "--trace", "/dev/stdout"]).expect(1, &["--trace needs a file"]);
        assert_eq!(sandbox.names(), ["a", "a.rvl"]);
    }

    #[test]
    fn a_run_that_fails_has_one() {
        let sandbox = Sandbox::with("a", &text());
        sandbox.ok(&["--block-size", "4K", "a"]);
        let mut coded = sandbox.read("a.rvl");
        let middle = coded.len() / 2;
        coded[middle] ^= 1;
        sandbox.write("a.rvl", &coded);
        let done = sandbox.run(&["-t", "a.rvl", "--trace", "t.json"]);
        done.expect(1, &["ranvil: a.rvl: corrupt"]);
        assert!(!events(&sandbox, "t.json").is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_disk_is_full_or_the_reader_is_gone() {
        let sandbox = Sandbox::with("a", &text());
        let full = "cannot write /dev/full: No space left on device";
        sandbox.run(&["a", "--trace", "/dev/full"]).expect(1, &[full]);
        assert_eq!(sandbox.ok(&["-dc", "a.rvl"]), text(), "the output does not suffer");
        sandbox.run(&["bench", "-i1", "a", "--trace", "/dev/full"]).expect(1, &[full]);
        let no_space = "cannot write standard output: No space left on device";
        sandbox.shell("$RANVIL bench -i1 a > /dev/full").expect(1, &[no_space]);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = sandbox.command(&["bench", "-i1", "a"]);
        command.stdout(writer);
        run(command).expect(141, &[]);
        // Whoever asked for these lines has not got them. The outputs are there.
        for stderr in ["2>/dev/full", "2>&-", "2<a"] {
            for line in ["bench -i1 a", "-c a", "-kf a"] {
                let line = format!("$RANVIL {line} --print-scheduler-stats {stderr} >/dev/null");
                sandbox.shell(&line).expect(1, &[]);
            }
        }
        assert_eq!(sandbox.ok(&["-dc", "a.rvl"]), text());
        sandbox.shell("$RANVIL -kf a 2>/dev/full").expect(0, &[]);
        let nowhere = sandbox.run(&["a", "-f", "--trace", "nowhere/t.json"]);
        nowhere.expect(1, &["cannot write nowhere/t.json"]);
        assert_eq!(sandbox.names(), ["a", "a.rvl"]);
    }
}
