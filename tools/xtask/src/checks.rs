//! Checks other than tests.

use crate::{
    Result, drivers, package,
    process::{cargo, command, output, run},
};

/// Packages that run on Windows; ranvil-kernelc links shaderc, which only the build machine has.
const WINDOWS_PACKAGES: [&str; 6] = ["-p", "ranvil", "-p", "ranvil-cli", "-p", "ranvil-xtask"];
const WINDOWS: &str = "x86_64-pc-windows-gnu";

/// All of them.
pub fn all() -> Result {
    fmt()?;
    clippy()?;
    docs()?;
    spirv()?;
    windows()?;
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
        "ranvil/compile-kernels",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Documentation, private items included, so that no link in a comment is dead.
pub fn docs() -> Result {
    run(cargo(&[
        "doc",
        "--locked",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--features",
        "ranvil/compile-kernels",
    ])
    .env("RUSTDOCFLAGS", "-D warnings"))
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
    if !has_windows_std() {
        println!(
            "\n*** WINDOWS WAS NOT CHECKED: this Rust has no standard library for {WINDOWS} and no rustup could add it."
        );
        println!("*** Where rustup runs: rustup target add {WINDOWS} && cargo xtask windows\n");
        return Ok(());
    }
    let features = ["--features", "ranvil/compile-kernels", "--target", WINDOWS];
    run(cargo(&["check", "--locked"]).args(WINDOWS_PACKAGES).args(features))?;
    run(cargo(&["clippy", "--locked", "--all-targets"])
        .args(WINDOWS_PACKAGES)
        .args(features)
        .args(["--", "-D", "warnings"]))
}

/// Whether there is a standard library for Windows, if need be fetched by rustup.
fn has_windows_std() -> bool {
    let present = || {
        let directory =
            output(command("rustc").args(["--print", "target-libdir", "--target", WINDOWS]));
        directory.is_ok_and(|directory| std::path::Path::new(directory.trim()).exists())
    };
    present() || (run(command("rustup").args(["target", "add", WINDOWS])).is_ok() && present())
}
