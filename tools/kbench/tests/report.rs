//! What is left behind and made of it, as people run it, on the first Vulkan device, which in these tests is a software one.

mod program;

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use program::{kbench, stderr, stdout};

fn good(args: &[&str]) -> String {
    let output = kbench("0", args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    stdout(&output)
}

const FORMATS: [&str; 3] = ["html", "csv", "markdown"];

/// Three rows on the kernels' clock, with their limits.
const LITTLE: &str = "roofline --allow-software --coder huff --direction decode --size 64K --block 32K --least 0 --most 0.1";

fn words<'a>(text: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    text.split(' ').chain(more.iter().copied()).collect()
}

/// A directory with a record, which a run has left.
fn measured() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("roof.json");
    good(&words(LITTLE, &["--json", path.to_str().unwrap()]));
    (dir, path)
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The record with one value changed, in a file beside it.
fn changed(path: &Path, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut record = read(path);
    change(&mut record);
    let path = path.with_file_name(name);
    fs::write(&path, record.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_record_that_was_changed_ends_in_a_message() {
    let (_dir, path) = measured();
    let mut wrong = 0;
    let mut refused = |place: &str, value: Value, message: &str| {
        wrong += 1;
        let file = changed(&path, &format!("wrong{wrong}.json"), |record| {
            *record.pointer_mut(place).expect(place) = value;
        });
        for format in FORMATS {
            let output = kbench("0", &["report", &file, "--format", format]);
            assert_eq!(output.status.code(), Some(3), "{place}");
            assert!(stderr(&output).contains(message), "{place}: {}", stderr(&output));
            assert_eq!(stdout(&output), "");
        }
    };
    refused("/limits/copy", json!(0), "copy is 0");
    refused("/limits/copy", json!(1e-300), "copy is 0.0");
    refused("/limits/logic", json!(0), "logic is 0");
    refused("/rows/0/verified", json!(false), "it has no speed");
    refused("/rows/0/samples/0", json!(1e-300), "a sample");
}

#[test]
fn a_limit_has_samples_and_an_interval() {
    let (_dir, path) = measured();
    let record = read(&path);
    let runs = record["limit_runs"].as_array().unwrap();
    for limit in ["copy", "shared", "multiply", "logic"] {
        let run = runs.iter().find(|run| run["limit"] == limit).expect(limit);
        assert!(!run["samples"].as_array().unwrap().is_empty());
        assert!(run["module"][1].as_u64().unwrap() > 0, "{run}");
    }
    let path = path.to_str().unwrap();
    for format in ["html", "markdown"] {
        let text = good(&["report", path, "--format", format]);
        let lines: Vec<&str> = text.split(['\n', '<']).collect();
        let line = lines.iter().find(|line| line.contains("32-bit multiply-add: ")).unwrap();
        assert!(line.contains(" ± ") || line.contains(" ±"), "{line}");
        assert!(line.contains("% at 95 %, ") && line.contains(" samples"), "{line}");
    }
    let text = good(&["report", path, "--format", "csv"]);
    let limits: Vec<&str> = text.lines().filter(|line| line.contains(",limit,")).collect();
    assert!(limits.len() >= 4, "{text}");
    assert!(limits.iter().all(|line| line.contains(" 0x") || line.contains("load,")), "{text}");

    let args = "limits --allow-software --least 0 --most 0.1";
    let text = good(&words(args, &[]));
    let limits: Vec<&str> = text.lines().filter(|line| line.contains("/s")).collect();
    assert!(limits.len() >= 4 && limits.iter().all(|line| line.contains('±')), "{text}");
    assert!(limits.iter().all(|line| line.contains("(software)")), "{text}");
}

#[test]
fn what_is_given_twice_counts_once() {
    let (_dir, path) = measured();
    let copy = path.with_file_name("copy.json");
    fs::copy(&path, &copy).unwrap();
    let [path, copy] = [&path, &copy].map(|path| path.to_str().unwrap());
    for format in FORMATS {
        let one = good(&["report", path, "--format", format]);
        let output = kbench("0", &["report", path, copy, "--format", format]);
        assert_eq!(stdout(&output), one, "{format}");
        let message = "copy.json is the same record as roof.json: left out";
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
}

#[test]
fn what_differs_stands_apart_under_its_name() {
    let (_dir, path) = measured();
    let page = |file: &str| good(&["report", path.to_str().unwrap(), file]);
    let stages = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| line.contains("where the time goes"));
        lines.map(str::to_owned).collect()
    };
    let revision = changed(&path, "b.json", |record| record["revision"] = json!("abc1234"));
    let headings = stages(&page(&revision));
    assert_eq!(headings.len(), 2, "{headings:?}");
    assert!(headings.iter().any(|line| line.contains("revision abc1234")), "{headings:?}");
    let driver = changed(&path, "c.json", |r| r["device"]["driver_version"] = json!("new one"));
    let headings = stages(&page(&driver));
    assert!(headings.iter().any(|line| line.contains(" new one")), "{headings:?}");
    let module = changed(&path, "d.json", |record| {
        for row in record["rows"].as_array_mut().unwrap() {
            row["modules"][0][1] = json!(77);
        }
    });
    let headings = stages(&page(&module));
    assert!(headings.iter().any(|line| line.contains("of SPIR-V 0x0000004d")), "{headings:?}");
    let data = changed(&path, "e.json", |record| {
        for row in record["rows"].as_array_mut().unwrap() {
            row["data"]["crc32c"] = json!(77);
        }
    });
    let headings = stages(&page(&data));
    assert!(headings.iter().any(|line| line.contains("mixed (0x0000004d at")), "{headings:?}");

    // The same again on the same device, at another time: beside the first, and each file has a table of its own.
    let again = changed(&path, "again.json", |record| {
        for row in record["rows"].as_array_mut().unwrap() {
            row["samples"].as_array_mut().unwrap().push(json!(12345));
        }
    });
    let page = page(&again);
    assert_eq!(stages(&page).len(), 1);
    assert!(page.contains("auto, run 2"), "no second bar");
    for file in ["roof.json", "again.json"] {
        let headings = page.lines().filter(|line| line.contains("<h2>All rows of"));
        assert_eq!(headings.filter(|line| line.contains(file)).count(), 1, "{file}");
    }
}

#[test]
fn a_baseline_that_nobody_measured_is_a_usage_error() {
    let (_dir, path) = measured();
    let output = kbench("0", &["report", path.to_str().unwrap(), "--baseline", "nonsense"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let message = "no row is of the variant \"nonsense\"; there are: auto";
    assert!(stderr(&output).contains(message), "{}", stderr(&output));
    let output = kbench("0", &["static", "--kernel", "parse", "--update-baseline"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn an_incomplete_record_is_named() {
    let (_dir, path) = measured();
    let ended = changed(&path, "ended.json", |record| {
        record["complete"] = json!(false);
        record["failures"] = json!(["encode rans: lost"]);
    });
    for format in ["html", "markdown"] {
        let text = good(&["report", path.to_str().unwrap(), &ended, "--format", format]);
        assert!(text.contains("before all of it was measured (ended.json)."), "{format}");
        assert!(text.contains("Not measured (ended.json): encode rans: lost"), "{format}");
    }
    let text = good(&["report", &ended, "--format", "csv"]);
    assert!(text.contains(",failed,") && text.contains("not measured: encode rans: lost"));
    assert!(text.lines().skip(1).all(|line| line.ends_with(",false,ended.json")), "{text}");
}

#[test]
fn rows_of_a_sweep_over_sizes_have_sizes() {
    let args = "sweep size=64K..128K --allow-software --coder huff --direction decode --block 32K --clock device --least 0 --most 0.1";
    let text = good(&words(args, &[]));
    assert!(text.contains("repeated to the size of each row"), "{text}");
    for size in ["64 KiB", "128 KiB"] {
        let row = |line: &&str| line.starts_with("device decode huff") && line.contains(size);
        assert_eq!(text.lines().filter(row).count(), 1, "{size}:\n{text}");
    }
}

#[test]
fn each_line_of_a_comparison_is_marked() {
    let args = "compare auto shared --allow-software --coder huff --direction decode --size 64K --block 32K --least 0 --most 0.1";
    let text = good(&words(args, &[]));
    let figures: Vec<&str> =
        text.lines().filter(|line| line.contains("GB/s") || line.contains("times A's")).collect();
    assert_eq!(figures.len(), 3, "{text}");
    assert!(figures.iter().all(|line| line.contains("(software)")), "{text}");
}

#[test]
fn small_inputs_say_what_kernels_they_are_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("small.json");
    let args =
        "small --allow-software --pipeline huff --direction encode --size 5K --least 0 --most 0.1";
    good(&words(args, &["--json", path.to_str().unwrap()]));
    let record = read(&path);
    let modules = record["modules"].as_array().unwrap();
    let encode = |module: &&Value| module[0].as_str().unwrap().starts_with("encode_huff ");
    assert!(modules.iter().find(encode).unwrap()[1].as_u64().unwrap() > 0, "{modules:?}");
}

#[test]
fn a_list_says_what_each_variant_needs() {
    let line = |text: &str| {
        let found = text.lines().find(|line| line.starts_with("decode_rans   subgroup32 "));
        found.unwrap_or_default().to_owned()
    };
    assert!(line(&good(&["list"])).contains("  subgroups of 32, ballot "));
    let none = kbench("name=no such device", &["list"]);
    assert!(none.status.success(), "{}", stderr(&none));
    let text = stdout(&none);
    assert!(text.starts_with("no device to compare with"), "{text}");
    assert!(line(&text).contains("  subgroups of 32, ballot"), "{text}");
    for need in ["16-bit storage", "int8", "int16", "int64", "dot product"] {
        assert!(text.contains(need), "no {need}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn columns_of_code_stand_apart() {
    let text = good(&["static", "--kernel", "parse"]);
    let headings: Vec<&str> = text.lines().filter(|line| line.contains("latency")).collect();
    assert_eq!(headings.len(), 3, "{text}");
    for heading in headings {
        assert!(heading.contains(" latency  "), "{heading}");
        assert!(heading.split_whitespace().any(|word| word == "inverse"), "{heading}");
    }
}
