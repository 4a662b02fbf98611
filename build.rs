//! Puts the compiled kernels and their generated descriptors into `OUT_DIR`: compiled here with the feature
//! `compile-kernels`, else copied from `kernels/prebuilt`, which every published package carries.

use std::{env, path::PathBuf};

fn main() {
    let root =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernels");
    if let Err(message) = kernels::build(&root.join("kernels"), &out) {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

#[cfg(feature = "compile-kernels")]
mod kernels {
    use std::path::Path;

    pub fn build(kernels: &Path, out: &Path) -> Result<(), String> {
        ranvil_kernelc::build(kernels, out).map_err(|e| e.to_string())
    }
}

#[cfg(not(feature = "compile-kernels"))]
mod kernels {
    use std::{fs, path::Path};

    const MISSING: &str = "\
kernels/prebuilt is missing: this is a clone, not a published package. Either
- enable the feature compile-kernels of the package ranvil (cargo build --features compile-kernels), which needs the
  shaderc library (Debian, Ubuntu: libshaderc-dev; Fedora: libshaderc-devel; Windows: the Vulkan SDK), or
- write it once with: cargo xtask kernels";
    const STALE: &str = "\
kernels/prebuilt does not belong to the sources in kernels/: write it anew with: cargo xtask kernels,
or enable the feature compile-kernels of the package ranvil";

    pub fn build(kernels: &Path, out: &Path) -> Result<(), String> {
        let prebuilt = kernels.join("prebuilt");
        let sum = fs::read_to_string(prebuilt.join("sources.sum")).map_err(|_| MISSING)?;
        let expected = checksum(kernels).map_err(|e| format!("cannot read kernels/: {e}"))?;
        if sum.trim() != format!("{expected:016x}") {
            return Err(STALE.to_owned());
        }
        copy(&prebuilt, out).map_err(|e| format!("cannot copy kernels/prebuilt: {e}"))
    }

    fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
        Ok(())
    }

    /// The same as `ranvil_kernelc::checksum`, which a build from prebuilt kernels does not depend on.
    fn checksum(kernels: &Path) -> std::io::Result<u64> {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for (directory, extension) in
            [(kernels.to_path_buf(), "comp"), (kernels.join("shared"), "glsl")]
        {
            let mut paths: Vec<_> =
                fs::read_dir(directory)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
            paths.retain(|path| path.extension().is_some_and(|e| e == extension));
            paths.sort();
            for path in paths {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                for byte in name.into_bytes().into_iter().chain(fs::read(&path)?) {
                    if byte != b'\r' {
                        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
                    }
                }
            }
        }
        Ok(hash)
    }
}
