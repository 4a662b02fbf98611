//! Every test: the workspace's own, and the device tests once per driver configuration. And what checks beside them build and
//! run like that.

use std::{env, ffi::OsStr, fs, path::PathBuf, process::Command};

use crate::{
    Result,
    drivers::{self, Driver, Drivers},
    process::{Counts, cargo, command, quoted, root, run, run_tests, target},
};

/// Tests of the library that need a driver chosen for them.
const DEVICE_TESTS: &str = "gpu";

/// Features of every cargo call here, so that all of them share one build.
const FEATURES: [&str; 3] = ["--workspace", "--features", "ranvil/compile-kernels,ranvil/tracing"];

/// A driver, made to behave in one way.
pub struct Config {
    pub name: &'static str,
    driver: Driver,
    /// Invocations per subgroup that the driver must report.
    subgroup: &'static str,
    variables: &'static [(&'static str, &'static str)],
}

/// Core, synchronisation and GPU-assisted validation.
const ALL: (&str, &str) = ("RANVIL_VALIDATION", "1");
/// Without the last: lavapipe would compile kernels for minutes, and SwiftShader those without subgroups.
const CALLS: (&str, &str) = ("RANVIL_VALIDATION", "calls");

const CONFIGS: &[Config] = &[
    Config {
        name: "lavapipe-4",
        driver: Driver::Lavapipe,
        subgroup: "4",
        variables: &[("LP_NATIVE_VECTOR_WIDTH", "128"), CALLS],
    },
    Config {
        name: "lavapipe-8",
        driver: Driver::Lavapipe,
        subgroup: "8",
        variables: &[("LP_NATIVE_VECTOR_WIDTH", "256"), CALLS],
    },
    Config {
        name: "lavapipe-16",
        driver: Driver::Lavapipe,
        subgroup: "16",
        variables: &[("LP_NATIVE_VECTOR_WIDTH", "512"), CALLS],
    },
    Config { name: "swiftshader", driver: Driver::SwiftShader, subgroup: "4", variables: &[ALL] },
    Config {
        name: "lavapipe-shared",
        driver: Driver::Lavapipe,
        subgroup: "8",
        variables: &[("LP_NATIVE_VECTOR_WIDTH", "256"), ("RANVIL_KERNEL_FORM", "shared"), CALLS],
    },
    Config {
        name: "swiftshader-shared",
        driver: Driver::SwiftShader,
        subgroup: "4",
        variables: &[("RANVIL_KERNEL_FORM", "shared"), CALLS],
    },
];

impl Config {
    /// The configuration of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        CONFIGS.iter().find(|config| config.name == name)
    }

    /// Sets every variable of this configuration; the device tests check the `EXPECT` ones first.
    pub fn apply(&self, drivers: &Drivers, mut set: impl FnMut(&str, &OsStr)) {
        for (key, value) in drivers.environment(self.driver) {
            set(key, &value);
        }
        let name = match self.driver {
            Driver::Lavapipe => "llvmpipe",
            Driver::SwiftShader => "SwiftShader",
            Driver::Radv => "radv",
        };
        let ours = [
            ("RANVIL_DEVICE", "0"),
            ("RANVIL_EXPECT_DRIVER", name),
            ("RANVIL_EXPECT_SUBGROUP", self.subgroup),
        ];
        for &(key, value) in ours.iter().chain(self.variables) {
            set(key, value.as_ref());
        }
        // Frames open the device many times, and software drivers compile for most of a test's time. Each configuration has
        // a cache of its own, as lavapipe's key leaves out the vector width.
        set("MESA_SHADER_CACHE_DISABLE", "false".as_ref());
        set("MESA_SHADER_CACHE_DIR", drivers.shader_cache(self.name).as_ref());
    }
}

/// Prints a configuration's environment for a shell.
pub fn print_environment(name: &str) -> Result {
    let drivers = drivers::installed()?;
    let export = |key: &str, value: &OsStr| println!("export {key}={}", quoted(value));
    if name == "radv" {
        drivers.environment(Driver::Radv).iter().for_each(|(key, value)| export(key, value));
        return Ok(());
    }
    let config = Config::find(name).ok_or_else(|| {
        let known: Vec<_> = CONFIGS.iter().map(|config| config.name).collect();
        format!("no configuration {name}; there are {} and radv", known.join(", "))
    })?;
    config.apply(&drivers, export);
    Ok(())
}

/// Runs everything; the last line says `N passed, N failed`.
pub fn run_all() -> Result {
    let drivers = drivers::install()?;
    let corpus = unpack_corpus()?;
    let mut documentation = cargo(&["test", "--locked", "--doc"]);
    documentation.args(FEATURES);
    let mut suites = vec![
        ("workspace", run_tests(workspace_tests(&drivers)?.envs(corpus.clone()))?),
        ("documentation", run_tests(&mut documentation)?),
    ];
    for config in CONFIGS {
        println!("\n==> {}", config.name);
        let mut tests = library_test(DEVICE_TESTS);
        tests.args(["--", "--nocapture"]); // it says which device it runs on
        tests.envs(corpus.clone());
        config.apply(&drivers, |key, value| {
            tests.env(key, value);
        });
        suites.push((config.name, run_tests(&mut tests)?));
    }
    summarise(&suites)
}

/// What AMD's compiler makes of every kernel, against what was recorded: `kbench static`.
pub fn compile_for_amd(flags: &[&str]) -> Result {
    let drivers = drivers::install()?;
    build_kbench()?;
    run(kbench(&[&["static"], flags].concat()).envs(drivers.environment(Driver::Radv)))
}

/// Builds `kbench` as the tests are.
pub fn build_kbench() -> Result {
    run(cargo(&["build", "--locked", "--bin", "kbench"]).args(FEATURES))
}

/// The `kbench` that was built.
pub fn kbench(args: &[&str]) -> Command {
    let mut kbench =
        command(target().join("debug/kbench").with_extension(env::consts::EXE_EXTENSION));
    kbench.args(args);
    kbench
}

/// Every bench of the CPU code once, as a test, with little data.
pub fn benches() -> Result {
    let mut benches = cargo(&["test", "--locked", "--bench", "coder", "--bench", "model"]);
    run(benches.args(FEATURES).args(["--", "--test"]).env("RANVIL_BENCH_DATA", "alice"))
}

/// Real data beside the repository, if there is any and nothing else was named: unpacked below the target directory.
fn unpack_corpus() -> Result<Option<(&'static str, PathBuf)>> {
    let unpack = root().join("../shared/corpora/unpack");
    if env::var_os("RANVIL_CORPUS").is_some() || !unpack.exists() {
        return Ok(None);
    }
    let directory = target().join("corpus");
    run(command(unpack).arg("-C").arg(&directory))?;
    Ok(Some(("RANVIL_CORPUS", directory)))
}

/// All tests but those that run on each driver in turn; some others want any one.
fn workspace_tests(drivers: &Drivers) -> Result<Command> {
    let mut tests = cargo(&["test", "--locked", "--no-fail-fast", "--lib", "--bins", "--examples"]);
    tests.args(FEATURES).envs(drivers.environment(Driver::Lavapipe)).env_remove("RANVIL_DEVICE");
    for package in ["", "tools/cli", "tools/kbench", "tools/kernelc", "tools/xtask"] {
        let dir = root().join(package).join("tests");
        for entry in fs::read_dir(&dir).into_iter().flatten() {
            let path = entry.map_err(|e| format!("{}: {e}", dir.display()))?.path();
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            // As cargo finds them: NAME.rs and NAME/main.rs.
            let is_test =
                path.extension() == Some(OsStr::new("rs")) || path.join("main.rs").exists();
            if is_test && name != DEVICE_TESTS {
                tests.args(["--test", name]);
            }
        }
    }
    Ok(tests)
}

fn library_test(name: &str) -> Command {
    let mut test = cargo(&["test", "--locked", "--test", name]);
    test.args(FEATURES);
    test
}

fn summarise(suites: &[(&str, Counts)]) -> Result {
    let mut total = Counts::default();
    println!("\n{:<20} {:>7} {:>7} {:>8}", "suite", "passed", "failed", "ignored");
    for (name, counts) in suites {
        println!("{name:<20} {:>7} {:>7} {:>8}", counts.passed, counts.failed, counts.ignored);
        total.add(*counts);
    }
    println!("\n{} passed, {} failed", total.passed, total.failed);
    if total.failed == 0 { Ok(()) } else { Err(format!("{} tests failed", total.failed)) }
}
