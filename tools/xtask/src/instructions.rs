//! How many instructions the hot loops take (`tools/loops`), counted by callgrind: a gate that noise cannot move.
//!
//! The counts depend on the code and the compiler alone. With a compiler other than the one recorded, or on a processor
//! that offers other instructions, nothing fails: what changed then is not ranvil, and whoever builds with the compiler at
//! hand could do nothing about it. The counts are printed all the same, and that nothing was checked.

use std::{
    collections::BTreeMap,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::{Deserialize, Serialize};

use crate::{
    Result,
    apt::Apt,
    process::{cargo, command, output, root, run, target},
};

/// How many more instructions than recorded a loop may take, as a fraction.
const TOLERANCE: f64 = 0.01;

/// And how many more a task may take besides: what the compiler inlines there changes with code that has nothing to do
/// with it. A block takes a million.
const TASK_SLACK: f64 = 25.0;

/// The same of a run with telemetry off, of which next to nothing is asked: a load, and a look at what it found.
const RUN_SLACK: f64 = 5.0;

const RECORD: &str = "tools/xtask/instructions.json";

/// The file that is committed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// `rustc --version`, and what the processor offers.
    environment: String,
    loops: BTreeMap<String, Count>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Count {
    instructions: u64,
    /// How many bytes, tasks or runs.
    units: u64,
    unit: String,
}

impl Count {
    fn per_unit(&self) -> f64 {
        self.instructions as f64 / self.units as f64
    }

    /// The most that later counts may be.
    fn limit(&self) -> f64 {
        let slack = match self.unit.as_str() {
            "task" => TASK_SLACK,
            "run" => RUN_SLACK,
            _ => 0.0,
        };
        self.per_unit() * (1.0 + TOLERANCE) + slack
    }
}

/// Counts and compares, or with `update` records.
pub fn check(update: bool) -> Result {
    let path = root().join(RECORD);
    let now = Record { environment: environment()?, loops: count()? };
    if update {
        let text = serde_json::to_string_pretty(&now).map_err(|e| e.to_string())? + "\n";
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        print(&now, None);
        println!("instructions: {} loops are recorded in {RECORD}", now.loops.len());
        return Ok(());
    }
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let old: Record =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    print(&now, Some(&old));
    if old.environment != now.environment {
        println!(
            "\n*** INSTRUCTIONS WERE NOT CHECKED: recorded with {}, counted with {}.",
            old.environment, now.environment
        );
        println!(
            "*** To record these counts, with the code to compare with: cargo xtask instructions --update\n"
        );
        return Ok(());
    }
    let faults = faults(&old, &now);
    if faults.is_empty() {
        println!("instructions: {} loops take no more than recorded", now.loops.len());
        return Ok(());
    }
    Err(format!(
        "instruction counts:\n  {}\nIf that is meant: cargo xtask instructions --update, and say why in the commit",
        faults.join("\n  ")
    ))
}

/// What fails the check.
fn faults(old: &Record, now: &Record) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, count) in &now.loops {
        match old.loops.get(name) {
            None => faults.push(format!("{name} is not recorded")),
            Some(before) if count.per_unit() > before.limit() => {
                faults.push(format!("{name} takes more: {}", change(before, count)));
            }
            Some(_) => {}
        }
    }
    let gone = old.loops.keys().filter(|name| !now.loops.contains_key(*name));
    faults.extend(gone.map(|name| format!("{name} is recorded and was not counted")));
    faults
}

fn change(before: &Count, now: &Count) -> String {
    let percent = 100.0 * (now.per_unit() / before.per_unit() - 1.0);
    format!(
        "{:.2} a {}, {:.2} recorded ({percent:+.2} %)",
        now.per_unit(),
        now.unit,
        before.per_unit()
    )
}

fn print(now: &Record, old: Option<&Record>) {
    for (name, count) in &now.loops {
        let before = old.and_then(|old| old.loops.get(name));
        let text = match before {
            Some(before) => change(before, count),
            None => format!("{:.2} a {}", count.per_unit(), count.unit),
        };
        println!("{name:<24} {text}");
    }
}

/// What the counts depend on besides the code.
fn environment() -> Result<String> {
    let rustc = output(command("rustc").arg("--version"))?;
    Ok(format!("{} on {}", rustc.trim(), processor()))
}

fn processor() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "x86_64 with AVX2";
    }
    std::env::consts::ARCH
}

/// Builds the loops and counts each.
fn count() -> Result<BTreeMap<String, Count>> {
    let valgrind = Valgrind::find()?;
    run(&mut cargo(&["build", "--release", "--locked", "--package", "ranvil-loops"]))?;
    let program = target().join("release/ranvil-loops");
    let list = output(&mut command(&program))?;
    let loops: Vec<(&str, u64, &str)> = list.lines().filter_map(listed).collect();
    let (next, counts) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || -> Result {
        while let Some(&(name, units, unit)) = loops.get(next.fetch_add(1, Ordering::Relaxed)) {
            let instructions = valgrind.count(command(&program).arg(name))?;
            let count = Count { instructions, units, unit: unit.to_owned() };
            counts.lock().expect("nobody has panicked").insert(name.to_owned(), count);
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("it has not panicked"))
    })?;
    Ok(counts.into_inner().expect("nobody has panicked"))
}

/// A line of the list: name, units, unit.
fn listed(line: &str) -> Option<(&str, u64, &str)> {
    let (name, rest) = line.split_once('\t')?;
    let (units, unit) = rest.split_once('\t')?;
    Some((name, units.parse().ok()?, unit))
}

/// Valgrind, the system's or unpacked under `target/valgrind`.
struct Valgrind {
    program: PathBuf,
    /// Where its tools are, if it does not know.
    library: Option<PathBuf>,
}

impl Valgrind {
    fn find() -> Result<Self> {
        let version = command("valgrind").arg("--version").stdout(Stdio::null()).status();
        if version.is_ok_and(|status| status.success()) {
            return Ok(Self { program: "valgrind".into(), library: None });
        }
        let directory = target().join("valgrind");
        let found = Self::unpacked(&directory);
        if found.library.is_none() {
            println!(
                "valgrind: unpacking to {}; nothing on the system changes",
                directory.display()
            );
            let apt = Apt::new(&directory.join("apt"))?;
            apt.update()?;
            apt.unpack(&["valgrind"], false, None, &directory)?;
        }
        match Self::unpacked(&directory) {
            Self { library: None, .. } => Err("the package valgrind has no callgrind".to_owned()),
            found => Ok(found),
        }
    }

    fn unpacked(directory: &std::path::Path) -> Self {
        // Debian's and Ubuntu's place for it, and that of releases before 2021.
        let places = ["usr/libexec/valgrind", "usr/lib/x86_64-linux-gnu/valgrind"];
        let library = places.map(|place| directory.join(place)).into_iter().find(|p| p.exists());
        Self { program: directory.join("usr/bin/valgrind"), library }
    }

    /// Instructions that the program takes within `measured`.
    fn count(&self, program: &Command) -> Result<u64> {
        let mut valgrind = command(&self.program);
        if let Some(library) = &self.library {
            valgrind.env("VALGRIND_LIB", library);
        }
        valgrind.args(["--tool=callgrind", "--toggle-collect=*measured*"]);
        valgrind.arg("--callgrind-out-file=/dev/null");
        valgrind.arg(program.get_program()).args(program.get_args());
        let done = valgrind.output().map_err(|e| format!("cannot start valgrind: {e}"))?;
        let printed = String::from_utf8_lossy(&done.stderr);
        let collected = collected(&printed).filter(|_| done.status.success());
        collected.ok_or_else(|| format!("callgrind counted nothing: {}: {printed}", done.status))
    }
}

/// The count in what callgrind prints; `None` if there is none, or it is zero because `measured` was not found.
fn collected(printed: &str) -> Option<u64> {
    let count = printed.lines().find_map(|line| line.split_once("Collected : "))?.1;
    count.trim().parse().ok().filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(loops: &[(&str, u64)]) -> Record {
        let count = |instructions| Count { instructions, units: 1000, unit: "byte".to_owned() };
        let loops = loops.iter().map(|&(name, n)| (name.to_owned(), count(n))).collect();
        Record { environment: "here".to_owned(), loops }
    }

    #[test]
    fn more_instructions_are_a_fault_and_fewer_are_not() {
        let old = record(&[("a", 10_000), ("b", 10_000)]);
        assert!(faults(&old, &record(&[("a", 10_100), ("b", 5_000)])).is_empty());
        let more = faults(&old, &record(&[("a", 10_101), ("b", 10_000)]));
        assert!(more.len() == 1 && more[0].contains("a takes more: 10.10"), "{more:?}");
    }

    #[test]
    fn what_takes_few_instructions_may_take_a_few_more() {
        for (unit, most) in [("byte", 101), ("task", 126), ("run", 106)] {
            let count = |instructions| {
                let count = Count { instructions, units: 1, unit: unit.to_owned() };
                Record { environment: "here".to_owned(), loops: [("a".to_owned(), count)].into() }
            };
            let found = |now| faults(&count(100), &count(now)).len();
            assert_eq!([found(most), found(most + 1)], [0, 1], "{unit}");
        }
    }

    #[test]
    fn loops_must_be_those_recorded() {
        let old = record(&[("a", 10_000), ("b", 10_000)]);
        assert_eq!(faults(&old, &record(&[("a", 10_000)])), ["b is recorded and was not counted"]);
        let new = record(&[("a", 10_000), ("b", 10_000), ("c", 1)]);
        assert_eq!(faults(&old, &new), ["c is not recorded"]);
    }

    #[test]
    fn output_is_read() {
        let printed = "==2276== Events    : Ir\n==2276== Collected : 645946\n==2276== \n";
        assert_eq!(collected(printed), Some(645_946));
        assert_eq!(collected("==1== Collected : 0\n"), None);
        assert_eq!(collected("valgrind: no such program\n"), None);
        assert_eq!(
            listed("rans encode avx2\t152089\tbyte"),
            Some(("rans encode avx2", 152_089, "byte"))
        );
        assert_eq!(listed("warning"), None);
    }

    /// What is committed can be compared with.
    #[test]
    fn the_record_can_be_read() {
        let text = fs::read_to_string(root().join(RECORD)).unwrap();
        let record: Record = serde_json::from_str(&text).unwrap();
        assert!(record.environment.starts_with("rustc ") && record.loops.len() > 20);
    }
}
