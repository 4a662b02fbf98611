//! Finds the shaderc library before any link step needs it, so that a machine without it gets one message that
//! says what to install instead of a linker's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const MISSING: &str = "\
the shaderc library, which compiles the kernels, was not found. Install it:
  Debian, Ubuntu: apt install g++ libshaderc-dev
  Fedora:         dnf install gcc-c++ libshaderc-devel
  Windows:        the Vulkan SDK (it sets VULKAN_SDK), or git, cmake, ninja and python3 with the feature
                  shaderc-from-source
or build without the feature compile-kernels where compiled kernels are at hand (every published package has them).";

/// What a static libshaderc needs beside itself where the distribution splits it (Debian), in link order. Which of
/// these exist depends on the release.
const PARTS: [&str; 9] = [
    "glslang",
    "MachineIndependent",
    "GenericCodeGen",
    "OSDependent",
    "OGLCompiler",
    "HLSL",
    "SPIRV",
    "SPIRV-Tools-opt",
    "SPIRV-Tools",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for variable in ["CC", "VULKAN_SDK", "SHADERC_LIB_DIR"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let from_source = env::var_os("CARGO_FEATURE_SHADERC_FROM_SOURCE").is_some();
    let cross = env::var_os("HOST") != env::var_os("TARGET");
    // In these cases shaderc's own build script searches, and explains itself.
    if from_source || cross || env::var_os("SHADERC_LIB_DIR").is_some() {
        return;
    }
    let found = match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("linux") => linux(),
        Ok("windows") => env::var_os("VULKAN_SDK").is_some(),
        _ => true,
    };
    if !found {
        for line in MISSING.lines() {
            println!("cargo::error={line}");
        }
    }
}

/// Links whichever library is whole. Debian 12's shared one lacks the symbols of glslang.
fn linux() -> bool {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for name in ["shaderc", "shaderc_shared"] {
        if links(&out, &[format!("-l{name}")]) {
            println!("cargo::rustc-link-lib=dylib={name}");
            return true;
        }
    }
    let Some(combined) = archive("shaderc_combined") else { return false };
    let parts: Vec<_> = PARTS.iter().filter_map(|name| Some((name, archive(name)?))).collect();
    let paths = std::iter::once(&combined).chain(parts.iter().map(|(_, path)| path));
    let mut flags: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    flags.extend(["-lstdc++", "-lm"].map(str::to_owned));
    if !links(&out, &flags) {
        return false;
    }
    println!(
        "cargo::rustc-link-search=native={}",
        combined.parent().unwrap_or(Path::new("/")).display()
    );
    // Whole, because the crates that use it come later on the linker's command line.
    println!("cargo::rustc-link-lib=static:+whole-archive,-bundle=shaderc_combined");
    for (name, path) in parts {
        println!(
            "cargo::rustc-link-search=native={}",
            path.parent().unwrap_or(Path::new("/")).display()
        );
        println!("cargo::rustc-link-lib=static:-bundle={name}");
    }
    true
}

fn compiler() -> Command {
    Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// The path of a static library that the system's compiler finds.
fn archive(name: &str) -> Option<PathBuf> {
    let output = compiler().arg(format!("-print-file-name=lib{name}.a")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    path.is_absolute().then_some(path)
}

/// Whether a program that uses shaderc links with these flags.
fn links(out: &Path, flags: &[String]) -> bool {
    let source = out.join("probe.c");
    let program = "void *shaderc_compiler_initialize(void);\n\
                   int main(void) { return !shaderc_compiler_initialize(); }\n";
    fs::write(&source, program).is_ok()
        && compiler()
            .arg(&source)
            .args(flags)
            .arg("-o")
            .arg(out.join("probe"))
            .output()
            .is_ok_and(|output| output.status.success())
}
