//! Checks other than tests.

use std::path::PathBuf;

use crate::{
    Result, drivers, instructions, package,
    process::{cargo, command, output, run},
    tests, verify,
};

/// Packages that run on Windows; ranvil-kernelc links shaderc, which only the build machine has.
const WINDOWS_PACKAGES: [&str; 6] = ["-p", "ranvil", "-p", "ranvil-cli", "-p", "ranvil-xtask"];
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// All that there are. Windows and the package are checked without the optional ones.
const FEATURES: &str = "ranvil/compile-kernels,ranvil/tracing";

/// All of them.
pub fn all() -> Result {
    fmt()?;
    clippy()?;
    docs()?;
    spirv()?;
    windows()?;
    tests::benches()?;
    instructions::check(false)?;
    verify::all()?;
    tests::compile_for_amd(&[])?;
    package::check()
}

/// Formatting.
pub fn fmt() -> Result {
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

/// Lints on every target.
pub fn clippy() -> Result {
    run(&mut cargo(&[
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--features",
        FEATURES,
        "--",
        "-D",
        "warnings",
    ]))
}

/// Documentation: with private items, so that no link in a comment is dead, and as users see it.
pub fn docs() -> Result {
    let doc = ["doc", "--locked", "--workspace", "--no-deps", "--features", FEATURES];
    for private in [Some("--document-private-items"), None] {
        run(cargo(&doc).args(private).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

/// spirv-val over every kernel in every form.
pub fn spirv() -> Result {
    let drivers = drivers::install()?;
    package::kernels()?;
    let (spirv_val, library_path) = drivers.tool("spirv-val");
    let modules = package::modules()?;
    for module in &modules {
        output(
            command(&spirv_val)
                .env("LD_LIBRARY_PATH", &library_path)
                .args(["--target-env", "vulkan1.2"])
                .arg(module),
        )
        .map_err(|e| format!("{}: {e}", module.display()))?;
    }
    println!("spirv-val: {} modules are valid", modules.len());
    Ok(())
}

/// Check and lints for Windows.
pub fn windows() -> Result {
    let build_std: &[&str] = match windows_std() {
        WindowsStd::Present => &[],
        WindowsStd::Source => &["-Zbuild-std=std,panic_unwind"],
        WindowsStd::Absent => {
            println!(
                "\n*** WINDOWS WAS NOT CHECKED: there is no standard library for {WINDOWS} here, and no rustup."
            );
            println!("*** Where rustup runs: rustup target add {WINDOWS} && cargo xtask windows\n");
            return Ok(());
        }
    };
    let features = ["--features", "ranvil/compile-kernels", "--target", WINDOWS];
    for (task, after) in [("check", &[][..]), ("clippy", &["--", "-D", "warnings"])] {
        let mut check = cargo(&[task, "--locked", "--all-targets"]);
        check.args(WINDOWS_PACKAGES).args(features).args(build_std).args(after);
        // A dev-dependency compiles some C. A check links nothing, so the system's compiler will do.
        check.envs([("CC_x86_64_pc_windows_gnu", "cc"), ("AR_x86_64_pc_windows_gnu", "ar")]);
        if !build_std.is_empty() {
            check.env("RUSTC_BOOTSTRAP", "1"); // -Z on a stable compiler
        }
        run(&mut check)?;
    }
    Ok(())
}

enum WindowsStd {
    /// Compiled, as rustup brings it.
    Present,
    /// As source, to be built by cargo: Debian's rust-web-src.
    Source,
    Absent,
}

fn windows_std() -> WindowsStd {
    let rustc = |args: &[&str]| {
        let printed = output(command("rustc").args(args)).unwrap_or_default();
        PathBuf::from(printed.trim())
    };
    let present = || rustc(&["--print", "target-libdir", "--target", WINDOWS]).exists();
    if present() || (run(command("rustup").args(["target", "add", WINDOWS])).is_ok() && present()) {
        WindowsStd::Present
    } else if rustc(&["--print", "sysroot"])
        .join("lib/rustlib/src/rust/library/Cargo.lock")
        .exists()
    {
        WindowsStd::Source
    } else {
        WindowsStd::Absent
    }
}
