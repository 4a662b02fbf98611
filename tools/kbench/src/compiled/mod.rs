//! What a driver's compiler makes of the kernels: AMD's without a GPU (RADV's null device), or the device's own.
//!
//! RADV reads its environment when it is loaded, so this program runs itself once for each family of chips.

mod baseline;
mod figures;
mod loops;
mod print;
#[cfg(test)]
mod verdicts;

use std::{
    env,
    io::{Write, stdout},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use baseline::Baseline;
#[cfg(test)]
pub use figures::tests;
pub use figures::{COLUMNS, Compiled, Figures};
use ranvil::{
    DeviceSelector, kernel,
    testing::{Candidate, Gpu, compile},
};
use serde::{Deserialize, Serialize};

use crate::{
    args,
    destination::Destination,
    ledger::Ledger,
    record::Device,
    run::STAGING,
    variants::{self, Entry},
};

/// RDNA 2, RDNA 3 and, with subgroups of 64 only, GCN 5; with the subgroup sizes that must show up. The names are those of
/// Mesa 23 and newer.
const FAMILIES: [(&str, &[u32]); 3] =
    [("navi21", &[32, 64]), ("navi31", &[32, 64]), ("vega10", &[64])];

/// What a record of them has for a device.
const NO_DEVICE: &str = "AMD's compiler, without a GPU";

/// What one process found.
#[derive(Serialize, Deserialize)]
struct Findings {
    device: Device,
    found: Vec<Compiled>,
}

/// Compiles and prints; false if there is a spill, or more instructions than recorded.
pub fn run(device: &DeviceSelector, args: &args::Static) -> Result<bool> {
    let entries = entries(args.kernel.as_deref());
    ensure!(!entries.is_empty(), "no kernel's name contains that: see `kbench list`");
    if args.child {
        let family = env::var("RADV_FORCE_FAMILY")?;
        let (info, _) = compile(&"0".parse()?, &[])?;
        let found = findings(&"0".parse()?, &family, &entries)?;
        let findings = Findings { device: Device::new(&info, None), found };
        writeln!(stdout(), "{}", serde_json::to_string(&findings)?)?;
        return Ok(true);
    }
    let json = Ledger::destination(&args.record)?;
    if args.own {
        return own(device, &entries, json);
    }
    if cfg!(not(target_os = "linux")) {
        bail!("RADV is a Linux driver: use --own for this device's compiler");
    }
    let name = NO_DEVICE.to_owned();
    let (driver, driver_version) = (String::new(), String::new());
    let none = Device { name, driver, driver_version, software: false, subgroup: None };
    let mut ledger = Ledger::new(none, json);
    let outcome = amd(args, &entries, &mut ledger);
    ledger.finish(outcome)
}

/// The device's compiler; false if it rejects a form.
fn own(device: &DeviceSelector, entries: &[Entry], json: Option<Destination>) -> Result<bool> {
    let (info, _) = compile(device, &[])?;
    // A null device compiles and does not open.
    let subgroup = Gpu::open(device, STAGING).ok().and_then(|gpu| gpu.subgroup());
    let mut ledger = Ledger::new(Device::new(&info, subgroup), json);
    let outcome = own_kernels(device, entries, &mut ledger);
    ledger.finish(outcome)
}

/// Kernel by kernel: a driver may take long, and what it has said is kept.
fn own_kernels(device: &DeviceSelector, entries: &[Entry], ledger: &mut Ledger) -> Result<bool> {
    let Device { name, driver, driver_version, .. } = ledger.record.device.clone();
    writeln!(stdout(), "{driver} {driver_version}")?;
    for entries in entries.chunk_by(|a, b| a.kernel.name == b.kernel.name) {
        let found = findings(device, &name, entries);
        let Some(found) = ledger.attempt(entries[0].kernel.name, found)? else { continue };
        let first = ledger.record.compiled.len();
        ledger.add(|record| record.compiled.extend(found));
        ledger.record.compiled[first..].iter().try_for_each(print::all)?;
    }
    Ok(accepted(&ledger.record.compiled))
}

/// Whether the driver rejected none.
fn accepted(found: &[Compiled]) -> bool {
    found.iter().all(|found| found.figures.is_ok())
}

/// AMD's compiler for every family.
fn amd(args: &args::Static, entries: &[Entry], ledger: &mut Ledger) -> Result<bool> {
    for (family, waves) in FAMILIES {
        let Findings { device, found } = child(family, args.kernel.as_deref())?;
        // First of all it is kept: printing may fail.
        let first = ledger.record.compiled.len();
        ledger.add(|record| {
            record.device = Device { name: NO_DEVICE.to_owned(), ..device };
            record.compiled.extend(found);
        });
        let found = &ledger.record.compiled[first..];
        print::header(family)?;
        found.iter().try_for_each(print::row)?;
        complete(family, waves, entries, found)?;
    }
    let Device { driver, driver_version, .. } = &ledger.record.device;
    judge(args, &format!("{driver} {driver_version}"), &ledger.record.compiled)
}

/// False if there is what must not be, or more than is recorded; or records it.
fn judge(args: &args::Static, compiler: &str, found: &[Compiled]) -> Result<bool> {
    let mut faults: Vec<String> = found.iter().filter_map(fault).collect();
    let now = Baseline::of(compiler, found);
    writeln!(stdout(), "\n{compiler}: {} compiled", found.len())?;
    if args.kernel.is_some() {
        let none = "not all kernels were compiled: nothing was compared with the baseline";
        writeln!(stdout(), "{none}")?;
    } else if args.update_baseline {
        now.write(&args.baseline)?;
        writeln!(stdout(), "recorded in {}", args.baseline.display())?;
    } else {
        let recorded = Baseline::read(&args.baseline)?;
        if recorded.compiler == compiler {
            faults.extend(recorded.faults(&now));
        } else if args.other_compiler {
            writeln!(
                stdout(),
                "*** INSTRUCTIONS WERE NOT COMPARED: the baseline is of {}",
                recorded.compiler
            )?;
        } else {
            faults.push(other_compiler(&recorded.compiler, compiler));
        }
    }
    for fault in &faults {
        eprintln!("kbench: {fault}");
    }
    if !faults.is_empty() {
        eprintln!(
            "If more instructions are meant: kbench static --update-baseline, and say why in the commit"
        );
    }
    Ok(faults.is_empty())
}

/// What to do where nothing can be compared.
fn other_compiler(recorded: &str, now: &str) -> String {
    format!(
        "the baseline is of {recorded}, this is {now}: nothing was compared. On a commit that passed with the old compiler, \
         record with this one (cargo xtask static --update-baseline), then run this again on yours; to go on without \
         comparing, --other-compiler"
    )
}

/// What must not be, whatever was recorded.
fn fault(found: &Compiled) -> Option<String> {
    let Compiled { family, kernel, variant, wave, .. } = found;
    let name = format!("{family} {wave} {kernel} {variant}");
    match &found.figures {
        Err(error) => Some(format!("{name} was rejected: {error}")),
        _ if found.experiment => None,
        Ok(Figures { spills: Some(0), .. }) => None,
        Ok(Figures { spills: Some(spills), .. }) => {
            Some(format!("{name} spills {spills} registers"))
        }
        // A driver that renames its figures must not pass for one without spills.
        Ok(_) => Some(format!("{name}: the driver does not tell of spills")),
    }
}

/// Every form that runs at a subgroup size of the family must be there.
fn complete(family: &str, waves: &[u32], entries: &[Entry], found: &[Compiled]) -> Result<()> {
    for entry in entries {
        for &wave in waves {
            let runs = match entry.choice.variant.form {
                kernel::Form::Subgroup(size) => size == wave,
                kernel::Form::Any | kernel::Form::Shared => true,
            };
            let there = || {
                found.iter().any(|f| {
                    f.wave == wave && f.kernel == entry.kernel.name && f.variant == entry.name
                })
            };
            ensure!(
                !runs || there(),
                "{family}: {} {} was not compiled at subgroup size {wave}",
                entry.kernel.name,
                entry.name
            );
        }
    }
    Ok(())
}

fn entries(kernel: Option<&str>) -> Vec<Entry> {
    let wanted = |entry: &Entry| kernel.is_none_or(|part| entry.kernel.name.contains(part));
    variants::all().into_iter().filter(wanted).collect()
}

/// Runs this program for a family.
fn child(family: &str, kernel: Option<&str>) -> Result<Findings> {
    let driver = driver().context("RADV is not installed: eval \"$(cargo xtask env radv)\"")?;
    // RADV wants a directory for its sockets to exist.
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let output = Command::new(env::current_exe()?)
        .args(["static", "--child"])
        .args(kernel.map(|kernel| format!("--kernel={kernel}")))
        .env("RADV_FORCE_FAMILY", family)
        .env("VK_DRIVER_FILES", &driver)
        .env("VK_ICD_FILENAMES", &driver)
        .env("XDG_RUNTIME_DIR", runtime.unwrap_or_else(env::temp_dir))
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .env_remove("RANVIL_VALIDATION")
        .env_remove("RANVIL_DEVICE")
        .stderr(Stdio::piped())
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{family}: {}: {}", output.status, errors.trim());
    serde_json::from_slice(&output.stdout).with_context(|| format!("{family}: no findings"))
}

/// RADV's manifest: the one that the environment names, else the system's. Debian names the architecture in it until
/// Mesa 24.
fn driver() -> Option<PathBuf> {
    if let Some(named) = ["RANVIL_RADV", "VK_DRIVER_FILES"].into_iter().find_map(env::var_os) {
        return Some(named.into());
    }
    let names = [format!("radeon_icd.{}.json", env::consts::ARCH), "radeon_icd.json".to_owned()];
    names.iter().map(|name| Path::new("/usr/share/vulkan/icd.d").join(name)).find(|p| p.exists())
}

/// Compiles on a device in this process.
fn findings(device: &DeviceSelector, family: &str, entries: &[Entry]) -> Result<Vec<Compiled>> {
    let candidate =
        |entry: &Entry| Candidate { kernel: entry.kernel, choice: entry.choice.clone() };
    let candidates: Vec<Candidate> = entries.iter().map(candidate).collect();
    let (_, compiled) = compile(device, &candidates)?;
    let found = compiled.into_iter().map(|one| {
        let entry = &entries[one.candidate];
        let figures = one.outcome.map(|code| Figures::new(code.statistics, &code.text));
        Compiled {
            family: family.to_owned(),
            wave: one.subgroup,
            kernel: entry.kernel.name.to_owned(),
            variant: entry.name.clone(),
            experiment: entry.experiment.is_some_and(|experiment| !experiment.product),
            module: entry.module(),
            spec: entry.choice.spec.clone(),
            checked: entry.choice.checked,
            figures: figures.map_err(|error| error.to_string()),
        }
    });
    Ok(found.collect())
}
