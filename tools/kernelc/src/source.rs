//! Kernel sources on disk: which files there are, and the variants that a file declares.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// How a variant lets lanes know of each other; mirrored by `ranvil::kernel::Form`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Any,
    Subgroup(u32),
    Shared,
}

/// One variant as declared.
#[derive(Debug)]
pub struct Declared {
    pub name: String,
    pub macros: Vec<(String, String)>,
    pub form: Form,
    pub storage16: bool,
    pub int64: bool,
    pub int16: bool,
    pub int8: bool,
    /// Whether it has dot products of bytes.
    pub dot: bool,
    /// Whether it takes its ballots from `SPV_KHR_shader_ballot`.
    pub khr_ballot: bool,
    /// Segments that a group of its invocations works on at once.
    pub streams: u32,
}

/// The variants that `text` declares, or the one plain variant.
pub fn variants(kernel: &str, text: &str) -> Result<Vec<Declared>> {
    let declared = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("// variant:"))
        .map(|line| variant(kernel, line))
        .collect::<Result<Vec<_>>>()?;
    if declared.is_empty() { Ok(vec![variant(kernel, "any")?]) } else { Ok(declared) }
}

fn variant(kernel: &str, line: &str) -> Result<Declared> {
    let mut words = line.split_whitespace();
    let name = words.next().ok_or_else(|| Error(format!("{kernel}: a variant has no name")))?;
    let macros: Vec<(String, String)> = words
        .map(|word| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| Error(format!("{kernel}: variant {name}: macros are KEY=VALUE")))?;
    declare(kernel, name.to_owned(), macros)
}

/// A variant with these macros, the meanings of those that kernelc knows worked out.
fn declare(kernel: &str, name: String, macros: Vec<(String, String)>) -> Result<Declared> {
    let value = |key| macros.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
    let form = match (value("SUBGROUP"), value("SHARED")) {
        (None, None) => Form::Any,
        (None, Some("1")) => Form::Shared,
        (Some(size), None) => match size.parse() {
            Ok(size @ (4 | 8 | 16 | 32 | 64)) => Form::Subgroup(size),
            _ => {
                return Err(Error(format!(
                    "{kernel}: variant {name}: SUBGROUP is 4, 8, 16, 32 or 64"
                )));
            }
        },
        _ => {
            return Err(Error(format!(
                "{kernel}: variant {name}: SUBGROUP=n or SHARED=1, not both"
            )));
        }
    };
    let [storage16, int64, int16, int8, dot, khr_ballot] =
        ["STORAGE16", "INT64", "INT16", "INT8", "DOT", "KHR_BALLOT"]
            .map(|key| value(key).is_some());
    let streams = match value("STREAMS").map_or(Ok(1), str::parse) {
        Ok(streams) if streams > 0 => streams,
        _ => return Err(Error(format!("{kernel}: variant {name}: STREAMS is a number above 0"))),
    };
    Ok(Declared { name, form, storage16, int64, int16, int8, dot, khr_ballot, streams, macros })
}

/// Variants for measurements, which a product does not carry: those that kernels declare, with some macros changed.
#[derive(Clone, Copy, Debug)]
pub struct Experiment<'a> {
    /// Added to the variant's name, behind a `+`.
    pub name: &'a str,
    /// The kernels that it changes.
    pub kernels: &'a [&'a str],
    /// How the names of their variants begin that it changes.
    pub variants: &'a [&'a str],
    /// The macros that are set or changed.
    pub macros: &'a [(&'a str, &'a str)],
}

impl Experiment<'_> {
    /// What it makes of a variant, if anything.
    pub(crate) fn of(&self, kernel: &str, from: &Declared) -> Result<Option<Declared>> {
        let applies = !self.macros.is_empty()
            && self.kernels.contains(&kernel)
            && self.variants.iter().any(|start| from.name.starts_with(start));
        if !applies {
            return Ok(None);
        }
        let mut macros = from.macros.clone();
        macros.retain(|(key, _)| self.macros.iter().all(|(own, _)| own != key));
        macros.extend(self.macros.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
        declare(kernel, format!("{}+{}", from.name, self.name), macros).map(Some)
    }
}

/// A kernel's text and that of the files that it includes itself, which may declare its variants.
pub fn with_includes(path: &Path, text: &str) -> Result<String> {
    let shared = path.with_file_name("shared");
    let mut all = text.to_owned();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix('"'))
        {
            all.push_str(&read(&shared.join(name))?);
        }
    }
    Ok(all)
}

/// The `.comp` files of a directory, sorted by name.
pub fn comp_files(kernels: &Path) -> Result<Vec<PathBuf>> {
    files(kernels, "comp")
}

/// Everything that decides what the kernels compile to, sorted by name within each directory.
///
/// # Errors
/// A directory cannot be read.
pub fn source_files(kernels: &Path) -> Result<Vec<PathBuf>> {
    let mut all = comp_files(kernels)?;
    all.extend(files(&kernels.join("shared"), "glsl")?);
    Ok(all)
}

/// FNV-1a (64 bits) over the names and contents of [`source_files`]; carriage returns do not count.
///
/// # Errors
/// A file cannot be read.
pub fn checksum(kernels: &Path) -> Result<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for path in source_files(kernels)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for byte in name.into_bytes().into_iter().chain(read(&path)?.into_bytes()) {
            if byte != b'\r' {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
    }
    Ok(hash)
}

/// A source file's text.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::io("cannot read", path, &e))
}

fn files(directory: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let unreadable = |e| Error::io("cannot read", directory, &e);
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_read_from_comments() {
        let text =
            "#version 450\n// variant: a SUBGROUP=8 STORAGE16=1 N=2\n// variant: b SHARED=1\n";
        let read = variants("k", text).unwrap();
        assert_eq!(
            (read[0].name.as_str(), read[0].form, read[0].storage16),
            ("a", Form::Subgroup(8), true)
        );
        assert_eq!(read[0].macros[2], ("N".to_owned(), "2".to_owned()));
        assert_eq!((read[1].form, read[1].storage16), (Form::Shared, false));
        assert_eq!(variants("k", "void main() {}").unwrap()[0].form, Form::Any);
    }

    #[test]
    fn malformed_variants_are_refused() {
        for line in [
            "// variant:",
            "// variant: a SUBGROUP=7",
            "// variant: a X",
            "// variant: a SUBGROUP=8 SHARED=1",
        ] {
            assert!(variants("k", line).is_err(), "{line} was accepted");
        }
    }
}
