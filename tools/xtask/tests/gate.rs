//! The gate's exit statuses, with the real command and tiny inputs. How fast the machine is does not matter: limits are
//! wide, or the baseline is doctored.
#![forbid(unsafe_code)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The command as the tests' own profile builds it.
fn ranvil() -> PathBuf {
    let cargo = env::var_os("CARGO").expect("run by cargo");
    let build = ["build", "--locked", "--workspace", "--features", "ranvil/compile-kernels"];
    let status = Command::new(cargo).args(build).args(["--bin", "ranvil"]).status();
    assert!(status.expect("cargo starts").success());
    let directory = Path::new(env!("CARGO_BIN_EXE_ranvil-xtask")).parent().expect("a directory");
    directory.join(format!("ranvil{}", env::consts::EXE_SUFFIX))
}

struct Gate {
    ranvil: PathBuf,
    baselines: tempfile::TempDir,
}

impl Gate {
    /// The exit status, and what was printed.
    fn run(&self, flags: &str) -> (i32, String) {
        let mut gate = Command::new(env!("CARGO_BIN_EXE_ranvil-xtask"));
        gate.args(["gate", "--class", "test", "--cpu-only", "--repeats", "1"]);
        gate.args(["--pipelines", "rans,lzr:1", "--threads", "2"]);
        gate.arg("--ranvil").arg(&self.ranvil).arg("--baselines").arg(self.baselines.path());
        let done = gate.args(flags.split_whitespace()).output().expect("it starts");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        let printed = text(done.stdout) + &text(done.stderr);
        (done.status.code().expect("it ends by itself"), printed)
    }

    fn expect(&self, flags: &str, status: i32, text: &str) {
        let (code, printed) = self.run(flags);
        assert_eq!(code, status, "{flags}: {printed}");
        assert!(printed.contains(text), "{flags}: {printed}");
    }

    /// Changes a number in every row.
    fn doctor(&self, field: &str, change: impl Fn(f64) -> f64) {
        let path = self.baselines.path().join("test.json");
        let mut baseline: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for row in baseline["rows"].as_array_mut().unwrap() {
            row[field] = change(row[field].as_f64().unwrap()).into();
        }
        fs::write(&path, baseline.to_string()).unwrap();
    }
}

#[test]
fn the_exit_status_says_what_became_of_the_rows() {
    let gate = Gate { ranvil: ranvil(), baselines: tempfile::tempdir().unwrap() };
    let wide = "--size 300K --throughput-regression-pct 99.9999 --overhead-regression-abs 1";
    gate.expect(wide, 2, "rans compress cpu T2: NO BASELINE");
    gate.expect("--size 300K --update-baseline", 0, "4 rows");
    gate.expect(wide, 0, "gate: pass");
    // Rows that are not there, and those of other data.
    gate.expect(&format!("{wide} --pipelines rans,huff"), 2, "huff decompress cpu T2: NO BASELINE");
    gate.expect(&wide.replace("300K", "301K"), 2, "NO BASELINE");
    gate.expect(&format!("{wide} --threads 1"), 2, "NO BASELINE");
    gate.expect(&format!("{wide} --class other"), 2, "NO BASELINE");
    // As if everything had been a million million times as fast, and then as slow with no overhead possible.
    gate.doctor("throughput", |value| value * 1e12);
    gate.expect(wide, 1, "lzr:1 decompress cpu T2: REGRESSION");
    gate.expect(&format!("{wide} --pipelines rans,huff"), 1, "NO BASELINE");
    gate.doctor("throughput", |value| value / 1e24);
    gate.expect(wide, 0, "IMPROVED");
    gate.doctor("overhead", |_| -0.5);
    gate.expect("--size 300K --overhead-regression-abs 0.1", 1, "REGRESSION");
    // Neither passed nor failed.
    gate.expect("--repeats 4", 3, "an odd number");
    gate.expect("--pipelines zip", 3, "zip");
    gate.expect("--frobnicate", 3, "--frobnicate");
    fs::write(gate.baselines.path().join("test.json"), "no JSON").unwrap();
    gate.expect(wide, 3, "test.json");
}

#[test]
fn help_is_given_wherever_it_is_asked_for() {
    for flags in [&["--help"][..], &["--ranvil", "X", "--help"], &["-h", "--cpu-only"]] {
        let mut gate = Command::new(env!("CARGO_BIN_EXE_ranvil-xtask"));
        let done = gate.arg("gate").args(flags).output().expect("it starts");
        assert_eq!(done.status.code(), Some(0), "{flags:?}");
        assert!(done.stdout.starts_with(b"usage: cargo xtask gate"), "{flags:?}");
    }
}
