//! Compiles the experiments and the kernels that measure a device's limits, and notes which sources these are.

use std::{
    env,
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

#[allow(dead_code)] // Only names and macros matter here.
#[path = "src/variants/table.rs"]
mod table;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new("../..");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for path in ["build.rs", "src", "kernels", "../../kernels", "../../src"] {
        println!("cargo::rerun-if-changed={path}");
    }
    let experiments: Vec<_> = table::EXPERIMENTS
        .iter()
        .map(|own| ranvil_kernelc::Experiment {
            name: own.name,
            kernels: own.kernels,
            variants: own.variants,
            macros: own.macros,
        })
        .collect();
    ranvil_kernelc::build_experiments(&root.join("kernels"), &out, &experiments)?;
    ranvil_kernelc::build(Path::new("kernels"), &out)?;
    println!("cargo::rustc-env=KBENCH_REVISION={}", revision());
    Ok(())
}

/// The commit, with a `+` behind it if files differ from it; `unknown` outside a clone.
fn revision() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else {
        return "unknown".to_owned();
    };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let mark = if changed.is_some_and(|changed| changed.is_empty()) { "" } else { "+" };
    commit + mark
}
