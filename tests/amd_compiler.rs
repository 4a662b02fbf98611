//! AMD's compiler accepts every kernel at every subgroup size, without spills, for three families of chips. No GPU is
//! needed: RADV compiles for a null device.
#![cfg_attr(not(target_os = "linux"), allow(dead_code))]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use ranvil::{
    kernel::{self, Form},
    testing::{Compiled, compile_all},
};

/// RDNA 2, RDNA 3 and, with 64-wide subgroups only, GCN 5; each with the subgroup sizes that must show up.
/// The names are those of Mesa 23 and newer.
const FAMILIES: [(&str, &[u32]); 3] =
    [("navi21", &[32, 64]), ("navi31", &[32, 64]), ("vega10", &[64])];

/// Set in the process that compiles for one family.
const FAMILY: &str = "RADV_FORCE_FAMILY";

fn main() -> ExitCode {
    if cfg!(not(target_os = "linux")) {
        println!("RADV is a Linux driver: nothing to compile with here");
        return ExitCode::SUCCESS;
    }
    // Test runners ask for a list of tests first.
    if env::args().any(|argument| argument == "--list") {
        println!("amd_compiler: test");
        return ExitCode::SUCCESS;
    }
    match env::var(FAMILY) {
        Ok(family) if env::var_os("RANVIL_AMD_COMPILER_CHILD").is_some() => compile(&family),
        _ => run_families(),
    }
}

/// Runs this program once for each family: RADV reads the environment when it is loaded.
fn run_families() -> ExitCode {
    let Some(driver) = driver() else {
        eprintln!("RADV is not installed: eval \"$(cargo xtask env radv)\"");
        return ExitCode::FAILURE;
    };
    // RADV wants a directory for its sockets to exist.
    let runtime = env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_dir())
        .unwrap_or_else(env::temp_dir);
    let myself = env::current_exe().expect("the path of this test");
    let failed = FAMILIES.iter().filter(|(family, _)| {
        let status = Command::new(&myself)
            .env(FAMILY, family)
            .env("RANVIL_AMD_COMPILER_CHILD", "1")
            .env("VK_DRIVER_FILES", &driver)
            .env("VK_ICD_FILENAMES", &driver)
            .env("XDG_RUNTIME_DIR", &runtime)
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .env_remove("RANVIL_VALIDATION")
            .status()
            .expect("starting this test again");
        if !status.success() {
            eprintln!("{family}: {status}");
        }
        !status.success()
    });
    let failed = failed.count();
    // The closing line of Rust's own test programs, for those who count tests.
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {} passed; {failed} failed", FAMILIES.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// RADV's manifest: the one that the environment names, else the system's. Debian names the architecture in it until Mesa 24.
fn driver() -> Option<PathBuf> {
    if let Some(named) = env::var_os("VK_DRIVER_FILES") {
        return Some(named.into());
    }
    let names = [format!("radeon_icd.{}.json", env::consts::ARCH), "radeon_icd.json".to_owned()];
    names.iter().map(|name| Path::new("/usr/share/vulkan/icd.d").join(name)).find(|p| p.exists())
}

fn compile(family: &str) -> ExitCode {
    let compiled = match compile_all(&"0".parse().expect("an index")) {
        Ok(compiled) => compiled,
        Err(error) => {
            eprintln!("{family}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "\n{family:<44}{:>6}{:>8}{:>7}{:>7}{:>7}{:>7}",
        "wave", "instr", "VGPR", "SGPR", "LDS", "spill"
    );
    let mut good = true;
    for variant in &compiled {
        good &= report(variant);
    }
    let (_, sizes) = FAMILIES.iter().find(|(name, _)| *name == family).expect("a known family");
    for &size in *sizes {
        for (kernel, variant) in expected(size) {
            let found = |c: &Compiled| (c.subgroup, c.kernel, c.variant) == (size, kernel, variant);
            if !compiled.iter().any(found) {
                eprintln!("{family}: {kernel} {variant} was not compiled at subgroup size {size}");
                good = false;
            }
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Every variant of every kernel that runs at a subgroup size, by their names.
fn expected(subgroup: u32) -> impl Iterator<Item = (&'static str, &'static str)> {
    let variants = kernel::ALL.iter().flat_map(|k| k.variants.iter().map(|v| (k.name, v)));
    let own = variants.filter(move |(_, variant)| match variant.form {
        Form::Subgroup(size) => size == subgroup,
        Form::Any | Form::Shared => true,
    });
    own.map(|(kernel, variant)| (kernel, variant.name))
}

/// Prints a line; false if the kernel was rejected or spills.
fn report(variant: &Compiled) -> bool {
    let name = format!("{} {}", variant.kernel, variant.variant);
    let statistics = match &variant.statistics {
        Ok(statistics) => statistics,
        Err(error) => {
            println!("{name:<44}{:>6}  rejected: {error}", variant.subgroup);
            return false;
        }
    };
    let sum = |names: &[&str]| -> Option<u64> {
        let found = statistics.iter().filter(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| *value).reduce(|a, b| a + b)
    };
    let spills = sum(&["Spilled SGPRs", "Spilled VGPRs"]);
    let text = |value: Option<u64>| value.map_or("?".to_owned(), |value| value.to_string());
    println!(
        "{name:<44}{:>6}{:>8}{:>7}{:>7}{:>7}{:>7}",
        variant.subgroup,
        text(sum(&["Instructions"])),
        text(sum(&["VGPRs"])),
        text(sum(&["SGPRs"])),
        text(sum(&["LDS size", "LDS Size"])),
        text(spills),
    );
    // A driver that renames its figures must not pass for one without spills.
    spills == Some(0)
}
