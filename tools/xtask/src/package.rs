//! The published package: compiled kernels in it, and no shaderc needed to use it.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Result,
    process::{cargo, command, output, root, run, run_tests, target},
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a user of the package must find in it beside the sources.
const MUST_HOLD: &[&str] = &[
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "CHANGELOG.md",
    "docs/FORMAT.md",
    "kernels/prebuilt/generated.rs",
];

/// A stranger's crate that depends on the package.
const CONSUMER: &str = r#"
#[test]
fn a_file_comes_back() {
    let raw = std::fs::read(env!("RANVIL_SAMPLE")).unwrap();
    let coded = ranvil::compress(&raw).unwrap();
    assert!(coded.len() < raw.len());
    assert_eq!(ranvil::decompress(&coded).unwrap(), raw);
}
"#;

/// Compiles the kernels into `kernels/prebuilt`, where builds without shaderc and packages take them from.
pub fn kernels() -> Result {
    compile(&root().join("kernels"))
}

fn compile(kernels: &Path) -> Result {
    run(cargo(&["run", "--quiet", "--locked", "--package", "ranvil-kernelc", "--"]).arg(kernels))
}

/// The modules in `kernels/prebuilt`.
pub fn modules() -> Result<Vec<PathBuf>> {
    let all = files(&root().join("kernels/prebuilt"))?;
    let modules: Vec<_> =
        all.into_iter().filter(|path| path.extension() == Some(OsStr::new("spv"))).collect();
    if modules.is_empty() {
        Err("kernels/prebuilt holds no module".to_owned())
    } else {
        Ok(modules)
    }
}

/// Builds the package, and builds and tests it as its users do: outside this repository, without the feature
/// `compile-kernels`, and so without shaderc.
pub fn check() -> Result {
    kernels()?;
    // Both packages, because ranvil's names ranvil-kernelc, which is in no registry yet. Not verified here: that
    // would be in this repository, where .cargo/config.toml brings shaderc within reach.
    run(&mut cargo(&[
        "package",
        "--locked",
        "--allow-dirty",
        "--no-verify",
        "--package",
        "ranvil",
        "--package",
        "ranvil-kernelc",
    ]))?;
    let outside = Outside::new()?;
    let name = format!("ranvil-{VERSION}");
    let archive = target().join("package").join(format!("{name}.crate"));
    run(command("tar").arg("-xzf").arg(archive).arg("-C").arg(&outside.0))?;
    let package = outside.0.join(&name);

    for file in MUST_HOLD {
        if !package.join(file).is_file() {
            return Err(format!("the package lacks {file}: see `include` in Cargo.toml"));
        }
    }
    same_kernels(&package, &outside.0)?;
    use_it(&outside.0, &name)
}

/// The package's kernels are what its own sources compile to.
fn same_kernels(package: &Path, scratch: &Path) -> Result {
    let fresh = scratch.join("kernels");
    for file in files(&package.join("kernels"))? {
        let relative = file.strip_prefix(package.join("kernels")).expect("listed under it");
        if !relative.starts_with("prebuilt") {
            copy(&file, &fresh.join(relative))?;
        }
    }
    compile(&fresh)?;
    let contents = |dir: &Path| -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let list = files(dir)?.into_iter();
        list.map(|path| Ok((path.strip_prefix(dir).expect("under it").to_owned(), read(&path)?)))
            .collect()
    };
    let packaged = contents(&package.join("kernels/prebuilt"))?;
    if packaged != contents(&fresh.join("prebuilt"))? {
        return Err("the package's kernels are not what its sources compile to".to_owned());
    }
    println!("package: {} kernel files are what the sources compile to", packaged.len());
    Ok(())
}

/// Tests the package and a crate that depends on it.
fn use_it(outside: &Path, name: &str) -> Result {
    let kernelc = root().join("tools/kernelc");
    let workspace = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"consumer\", \"{name}\"]\n\n\
         [patch.crates-io]\nranvil-kernelc = {{ path = {kernelc:?} }}\n",
    );
    let consumer = format!(
        "[package]\nname = \"consumer\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nranvil = {{ path = \"../{name}\" }}\n",
    );
    write(&outside.join("Cargo.toml"), &workspace)?;
    write(&outside.join("consumer/Cargo.toml"), &consumer)?;
    write(&outside.join("consumer/src/lib.rs"), CONSUMER)?;
    // The versions that this repository was tested with.
    copy(&root().join("Cargo.lock"), &outside.join("Cargo.lock"))?;

    let tree = output(cargo(&["tree", "--edges", "normal,build"]).current_dir(outside))?;
    if tree.contains("shaderc") {
        return Err(format!("a user of the package would need shaderc:\n{tree}"));
    }
    let counts = run_tests(
        cargo(&["test", "--lib", "--no-fail-fast"])
            .current_dir(outside)
            .env("CARGO_TARGET_DIR", target().join("package-check"))
            .env("RANVIL_SAMPLE", root().join("tests/data/alice29.txt")),
    )?;
    if counts.failed > 0 {
        return Err("the package's tests failed".to_owned());
    }
    println!("package: {} tests passed without shaderc", counts.passed);
    Ok(())
}

/// A directory outside the repository, removed at the end.
struct Outside(PathBuf);

impl Outside {
    fn new() -> Result<Self> {
        let dir = env::temp_dir().join(format!("ranvil-package-{}", std::process::id()));
        fs::create_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        // A directory left in the system's temporary one is no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every file under `dir`, sorted.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| format!("{}: {e}", dir.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result {
    let parent = path.parent().expect("a file has a directory");
    fs::create_dir_all(parent)
        .and_then(|()| fs::write(path, contents))
        .map_err(|e| format!("{}: {e}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result {
    write(to, read(from)?)
}
