//! What a driver's compiler makes of the kernels: AMD's without a GPU (RADV's null device), or the device's own.
//!
//! RADV reads its environment when it is loaded, so this program runs itself once for each family of chips.

mod baseline;
mod loops;

use std::{
    env,
    io::{self, Write, stdout},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use baseline::Baseline;
use ranvil::{
    DeviceSelector,
    testing::{Candidate, Compiled, compile},
};
use serde::{Deserialize, Serialize};

use crate::{
    args,
    variants::{self, Entry},
};

/// RDNA 2, RDNA 3 and, with subgroups of 64 only, GCN 5; with the subgroup sizes that must show up. The names are those of
/// Mesa 23 and newer.
const FAMILIES: [(&str, &[u32]); 3] =
    [("navi21", &[32, 64]), ("navi31", &[32, 64]), ("vega10", &[64])];

/// What one process found.
#[derive(Serialize, Deserialize)]
struct Findings {
    compiler: String,
    found: Vec<Found>,
}

/// A form of a kernel as one compiler has it.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    family: String,
    kernel: String,
    variant: String,
    /// Subgroup size.
    wave: u32,
    /// It is none of the product's.
    experiment: bool,
    figures: Result<Figures, String>,
}

/// Static figures of compiled code, those that the driver has.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Figures {
    instructions: Option<u64>,
    /// Instructions of the largest innermost loop.
    hot_loop: Option<u64>,
    vgprs: Option<u64>,
    sgprs: Option<u64>,
    /// Registers of both kinds.
    spills: Option<u64>,
    /// Bytes of shared memory.
    lds: Option<u64>,
    /// Subgroups that a SIMD unit holds at once.
    occupancy: Option<u64>,
    /// Clocks of one invocation, and clocks between two, as the compiler estimates.
    latency: Option<u64>,
    throughput: Option<u64>,
    /// Everything, by the driver's names.
    all: Vec<(String, u64)>,
}

/// Compiles and prints; false if there is a spill, or more instructions than recorded.
pub fn run(device: &DeviceSelector, args: &args::Static) -> Result<bool> {
    if args.child {
        let family = env::var("RADV_FORCE_FAMILY")?;
        let findings = findings(&"0".parse()?, &family, args.kernel.as_deref())?;
        writeln!(stdout(), "{}", serde_json::to_string(&findings)?)?;
        return Ok(true);
    }
    if args.own {
        let findings = findings(device, "", args.kernel.as_deref())?;
        writeln!(stdout(), "{}", findings.compiler)?;
        findings.found.iter().try_for_each(print_all)?;
        return Ok(findings.found.iter().all(|found| found.figures.is_ok()));
    }
    if cfg!(not(target_os = "linux")) {
        bail!("RADV is a Linux driver: use --own for this device's compiler");
    }
    amd(args)
}

/// AMD's compiler for every family.
fn amd(args: &args::Static) -> Result<bool> {
    let mut found = Vec::new();
    let mut compiler = String::new();
    for (family, waves) in FAMILIES {
        let findings = child(family, args.kernel.as_deref())?;
        writeln!(
            stdout(),
            "\n{family:<43}{:>5}{:>7}{:>6}{:>6}{:>6}{:>7}{:>7}{:>11}{:>9}{:>12}",
            "wave",
            "instr",
            "loop",
            "VGPR",
            "SGPR",
            "spills",
            "LDS",
            "occupancy",
            "latency",
            "inverse thr."
        )?;
        findings.found.iter().try_for_each(print)?;
        complete(family, waves, &findings.found, args.kernel.as_deref())?;
        compiler = findings.compiler;
        found.extend(findings.found);
    }
    let mut faults: Vec<String> = found.iter().filter_map(fault).collect();
    let now = Baseline::of(&compiler, &found);
    writeln!(stdout(), "\n{compiler}: {} compiled", found.len())?;
    if args.kernel.is_some() {
        writeln!(
            stdout(),
            "not all kernels were compiled: nothing was compared with the baseline"
        )?;
    } else if args.update_baseline {
        now.write(&args.baseline)?;
        writeln!(stdout(), "recorded in {}", args.baseline.display())?;
    } else {
        let recorded = Baseline::read(&args.baseline)?;
        if recorded.compiler == compiler {
            faults.extend(recorded.faults(&now));
        } else {
            writeln!(
                stdout(),
                "*** INSTRUCTIONS WERE NOT COMPARED: recorded with {}. To record these: kbench static --update-baseline",
                recorded.compiler
            )?;
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

/// What must not be, whatever was recorded.
fn fault(found: &Found) -> Option<String> {
    let Found { family, kernel, variant, wave, .. } = found;
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
fn complete(family: &str, waves: &[u32], found: &[Found], kernel: Option<&str>) -> Result<()> {
    use ranvil::kernel::Form;
    for entry in entries(kernel) {
        for &wave in waves {
            let runs = match entry.choice.variant.form {
                Form::Subgroup(size) => size == wave,
                Form::Any | Form::Shared => true,
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
    if let Some(named) = env::var_os("VK_DRIVER_FILES") {
        return Some(named.into());
    }
    let names = [format!("radeon_icd.{}.json", env::consts::ARCH), "radeon_icd.json".to_owned()];
    names.iter().map(|name| Path::new("/usr/share/vulkan/icd.d").join(name)).find(|p| p.exists())
}

/// Compiles on a device in this process.
fn findings(device: &DeviceSelector, family: &str, kernel: Option<&str>) -> Result<Findings> {
    let entries = entries(kernel);
    let candidates: Vec<Candidate> = entries
        .iter()
        .map(|entry| Candidate { kernel: entry.kernel, choice: entry.choice.clone() })
        .collect();
    let (info, compiled) = compile(device, &candidates)?;
    let found = compiled.into_iter().map(|Compiled { candidate, subgroup, outcome, .. }| {
        let entry = &entries[candidate];
        let figures = outcome.map(|code| Figures::new(code.statistics, &code.text));
        Found {
            family: family.to_owned(),
            kernel: entry.kernel.name.to_owned(),
            variant: entry.name.clone(),
            wave: subgroup,
            experiment: entry.experiment.is_some(),
            figures: figures.map_err(|error| error.to_string()),
        }
    });
    let compiler = format!("{} {}", info.driver, info.driver_version);
    Ok(Findings { compiler, found: found.collect() })
}

impl Figures {
    fn new(all: Vec<(String, u64)>, text: &str) -> Self {
        let sum = |names: &[&str]| {
            let found = all.iter().filter(|(name, _)| names.contains(&name.as_str()));
            found.map(|(_, value)| *value).reduce(|a, b| a + b)
        };
        Self {
            instructions: sum(&["Instructions"]),
            hot_loop: loops::hot_loop(text),
            vgprs: sum(&["VGPRs"]),
            sgprs: sum(&["SGPRs"]),
            spills: sum(&["Spilled SGPRs", "Spilled VGPRs"]),
            lds: sum(&["LDS size", "LDS Size"]),
            occupancy: sum(&["Subgroups per SIMD"]),
            latency: sum(&["Latency"]),
            throughput: sum(&["Inverse Throughput"]),
            all,
        }
    }
}

fn print(found: &Found) -> io::Result<()> {
    let name = format!("{} {}", found.kernel, found.variant);
    let text = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    match &found.figures {
        Err(error) => writeln!(stdout(), "{name:<43}{:>5}  rejected: {error}", found.wave),
        Ok(f) => writeln!(
            stdout(),
            "{name:<43}{:>5}{:>7}{:>6}{:>6}{:>6}{:>7}{:>7}{:>11}{:>9}{:>12}",
            found.wave,
            text(f.instructions),
            text(f.hot_loop),
            text(f.vgprs),
            text(f.sgprs),
            text(f.spills),
            text(f.lds),
            text(f.occupancy),
            text(f.latency),
            text(f.throughput),
        ),
    }
}

/// All that a driver says, whatever it calls it.
fn print_all(found: &Found) -> io::Result<()> {
    writeln!(stdout(), "\n{} {}, subgroups of {}", found.kernel, found.variant, found.wave)?;
    match &found.figures {
        Err(error) => writeln!(stdout(), "  rejected: {error}"),
        Ok(figures) => figures
            .all
            .iter()
            .try_for_each(|(name, value)| writeln!(stdout(), "  {name:<40}{value:>12}")),
    }
}
