//! `kbench verify` on the software drivers: every form of every kernel, experiments too, that any of them can run.

use std::{
    num::NonZero,
    process::Command,
    sync::{Mutex, PoisonError},
    thread,
};

use crate::{
    Result,
    drivers::{self, Drivers},
    process::{output, shown},
    tests::{Config, build_kbench, kbench},
};

/// The drivers that forms are for; the other configurations are these with the product's choice made for them.
const DRIVERS: [&str; 4] = ["lavapipe-4", "lavapipe-8", "lavapipe-16", "swiftshader"];

/// Forms for subgroups of 16 are many, and lavapipe compiles each for seconds: the data is little, and the runs go side by side.
const WIDE: [&str; 6] = ["--variant", "subgroup16", "--size", "64K", "--block", "20K"];

/// What is run: a driver, and which of the forms that it can run. The longest come first.
const RUNS: &[(&str, &[&str])] = &[
    ("lavapipe-16", &["--coder", "fse"]),
    ("lavapipe-16", &["--coder", "rans"]),
    ("lavapipe-16", &["--coder", "huff"]),
    ("swiftshader", &[]),
    ("lavapipe-8", &[]),
    // SwiftShader, which has the others for subgroups of 4, has no 16-bit integers.
    ("lavapipe-4", &["--variant", "subgroup4+int16", "--coder", "fse", "--direction", "encode"]),
];

/// Checks that the runs leave no form out, and makes them.
pub fn all() -> Result {
    let drivers = drivers::install()?;
    build_kbench()?;
    let names = |name: &str, flags: &[&str]| -> Result<Vec<String>> {
        let flags = [&["--names"], flags].concat();
        Ok(output(&mut verify(&drivers, name, &flags))?.lines().map(str::to_owned).collect())
    };
    let can = DRIVERS.iter().map(|driver| names(driver, &[])).collect::<Result<Vec<_>>>()?;
    let runs: Vec<_> =
        RUNS.iter().map(|&(driver, flags)| (driver, flags_of(driver, flags))).collect();
    let listed = runs.iter().map(|(driver, flags)| names(driver, flags));
    let count = complete(&can.concat(), &listed.collect::<Result<Vec<_>>>()?.concat())?;

    let runs = runs.iter().map(|(driver, flags)| {
        let mut verify = verify(&drivers, driver, &[&["--recorded"], &flags[..]].concat());
        verify.env_remove("RANVIL_VALIDATION");
        (format!("{driver} {}", flags.join(" ")), verify)
    });
    side_by_side(runs.collect())?;
    println!("\nverify: {count} forms, which are all that some driver here can run");
    Ok(())
}

fn flags_of(driver: &str, flags: &[&'static str]) -> Vec<&'static str> {
    let wide = driver == "lavapipe-16";
    [if wide { &WIDE[..] } else { &[] }, flags].concat()
}

fn verify(drivers: &Drivers, driver: &str, flags: &[&str]) -> Command {
    let mut verify = kbench(&[&["verify"], flags].concat());
    let config = Config::find(driver).expect("a configuration of this name");
    config.apply(drivers, |key, value| {
        verify.env(key, value);
    });
    verify
}

/// How many forms there are, all of which are listed to be checked.
fn complete(can: &[String], listed: &[String]) -> Result<usize> {
    let mut all = can.to_vec();
    all.sort();
    all.dedup();
    let missing: Vec<&str> =
        all.iter().filter(|form| !listed.contains(form)).map(String::as_str).collect();
    if all.is_empty() || !missing.is_empty() {
        return Err(format!(
            "no run of `cargo xtask verify` checks {}: add to RUNS in tools/xtask/src/verify.rs",
            if all.is_empty() { "anything".to_owned() } else { missing.join(", ") }
        ));
    }
    Ok(all.len())
}

/// Runs commands, as many at a time as there are processors, and prints what each says when it has ended.
fn side_by_side(runs: Vec<(String, Command)>) -> Result {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let count = runs.len();
    let (left, failed) = (Mutex::new(runs.into_iter()), Mutex::new(Vec::new()));
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((name, mut command)) = next() {
            let said = command.output();
            // One text at a time.
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            println!("\n==> {name}\n$ {}", shown(&command));
            match said {
                Ok(said) => {
                    print!("{}", String::from_utf8_lossy(&said.stdout));
                    eprint!("{}", String::from_utf8_lossy(&said.stderr));
                    if !said.status.success() {
                        failed.push(format!("{name}: {}", said.status));
                    }
                }
                Err(error) => failed.push(format!("{name} was not started: {error}")),
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if failed.is_empty() { Ok(()) } else { Err(format!("verify failed: {}", failed.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_that_no_run_checks_is_named() {
        let forms = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let can = forms(&["parse any", "gather any", "parse any"]);
        assert_eq!(complete(&can, &forms(&["gather any", "parse any"])), Ok(2));
        let missing = complete(&can, &forms(&["parse any"])).unwrap_err();
        assert!(missing.contains("gather any") && !missing.contains("parse any"), "{missing}");
        complete(&[], &[]).unwrap_err();
    }

    #[test]
    fn every_run_names_a_configuration() {
        for name in RUNS.iter().map(|run| run.0).chain(DRIVERS) {
            assert!(Config::find(name).is_some() && DRIVERS.contains(&name), "{name}");
        }
    }

    /// A run that fails among others fails the whole; all of them are made.
    #[cfg(unix)]
    #[test]
    fn one_failure_is_a_failure() {
        let run = |program: &str| (program.to_owned(), Command::new(program));
        side_by_side(vec![run("true"), run("true"), run("true")]).unwrap();
        let error = side_by_side(vec![run("true"), run("false"), run("true")]).unwrap_err();
        assert!(error.contains("false"), "{error}");
        side_by_side(vec![run("/no/such/program")]).unwrap_err();
    }
}
