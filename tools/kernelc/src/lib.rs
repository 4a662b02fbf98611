//! Compiles, validates and reflects kernels for `build.rs`.
//!
//! A kernel is one `.comp` file. Its variants are declared in the file itself or in one that it includes, one comment
//! line each:
//!
//! ```glsl
//! // variant: subgroup32 SUBGROUP=32 STREAMS=2
//! ```
//!
//! The first word names the variant, the others are macros. `SUBGROUP=n` says that the variant needs exactly
//! that subgroup size, `SHARED=1` that it is the form without subgroup operations of a kernel that has both,
//! `STORAGE16=1` that it reads storage buffers as 16-bit words, `STREAMS=n` that a group of its invocations works on so
//! many segments at once. A file without such a line has one variant.

mod compile;
mod emit;
mod reflect;
mod source;
mod validate;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

pub use source::{Experiment, checksum, source_files};

/// Why the kernels could not be built. Names the kernel, and the variant, struct and member where there is one.
#[derive(Debug)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Error {
    fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self(format!("{what} {}: {error}", path.display()))
    }
}

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// A kernel, all its variants compiled.
struct Kernel {
    name: String,
    interface: reflect::Interface,
    variants: Vec<Variant>,
}

struct Variant {
    name: String,
    form: source::Form,
    storage16: bool,
    streams: u32,
    facts: reflect::Facts,
    /// The optimised module.
    spirv: Vec<u32>,
}

/// Compiles every kernel of `kernels` and writes one `KERNEL.VARIANT.spv` each and `generated.rs`, which finds
/// them through the environment variable `OUT_DIR` of the crate that includes it, into `out`.
///
/// # Errors
/// Anything that a compiler says, and every violation of the rules in `kernels/README.md`.
pub fn build(kernels: &Path, out: &Path) -> Result<()> {
    let compiled = source::comp_files(kernels)?
        .iter()
        .map(|path| compile::kernel(path))
        .collect::<Result<Vec<_>>>()?;
    write_modules(&compiled, out)?;
    write(&out.join("generated.rs"), emit::rust(&compiled)?.as_bytes())
}

/// Compiles what the experiments make of the kernels of `kernels` and writes one `KERNEL.VARIANT+EXPERIMENT.spv` each and
/// `experiments.rs`, which has descriptors as `generated.rs` and no structs, into `out`.
///
/// # Errors
/// As [`build`]; and an experiment that changes the interface of a kernel.
pub fn build_experiments(kernels: &Path, out: &Path, experiments: &[Experiment<'_>]) -> Result<()> {
    let compiled = source::comp_files(kernels)?
        .iter()
        .filter_map(|path| compile::experiments(path, experiments).transpose())
        .collect::<Result<Vec<_>>>()?;
    write_modules(&compiled, out)?;
    write(&out.join("experiments.rs"), emit::kernels(&compiled).as_bytes())
}

fn write_modules(kernels: &[Kernel], out: &Path) -> Result<()> {
    for kernel in kernels {
        for variant in &kernel.variants {
            let bytes: Vec<u8> = variant.spirv.iter().flat_map(|word| word.to_le_bytes()).collect();
            write(&out.join(emit::spirv_name(&kernel.name, &variant.name)), &bytes)?;
        }
    }
    Ok(())
}

/// Writes the directory `prebuilt` of `kernels`, which a published package carries: what [`build`] writes, and
/// `sources.sum`, the [`checksum`] by which a build without shaderc knows that they belong together.
///
/// # Errors
/// As [`build`].
pub fn write_prebuilt(kernels: &Path) -> Result<PathBuf> {
    let prebuilt = kernels.join("prebuilt");
    if prebuilt.exists() {
        fs::remove_dir_all(&prebuilt).map_err(|e| Error::io("cannot remove", &prebuilt, &e))?;
    }
    fs::create_dir_all(&prebuilt).map_err(|e| Error::io("cannot create", &prebuilt, &e))?;
    build(kernels, &prebuilt)?;
    write(&prebuilt.join("sources.sum"), format!("{:016x}\n", checksum(kernels)?).as_bytes())?;
    Ok(prebuilt)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|e| Error::io("cannot write", path, &e))
}
