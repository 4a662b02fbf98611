//! Where a record or a report goes: a file that appears under its name only when it is complete, and that replaces
//! another only if that is wanted. It is made sure of before anything is measured.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::NamedTempFile;

pub struct Destination {
    path: PathBuf,
    force: bool,
    /// Beside the file; `None` for a device or a pipe, which is written in place.
    temp: Option<NamedTempFile>,
}

impl Destination {
    /// # Errors
    /// There is such a file and `force` is not set, or its directory takes none.
    pub fn new(path: &Path, force: bool) -> Result<Self> {
        let name = || format!("cannot write {}", path.display());
        let temp = match fs::metadata(path) {
            Ok(known) if known.is_dir() => bail!("{} is a directory", path.display()),
            Ok(known) if !known.is_file() => None,
            Ok(_) if !force => {
                bail!("{} already exists; use --force to overwrite it", path.display())
            }
            _ => {
                let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
                let mut builder = tempfile::Builder::new();
                builder.prefix(".kbench-");
                #[cfg(unix)]
                builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
                let temp = builder.tempfile_in(directory.unwrap_or(Path::new(".")));
                Some(temp.with_context(name)?)
            }
        };
        Ok(Self { path: path.to_owned(), force, temp })
    }

    /// # Errors
    /// The disk is full; or somebody else has made such a file: then what was written is kept beside it.
    pub fn write(self, text: &str) -> Result<()> {
        let name = || format!("cannot write {}", self.path.display());
        let Some(mut temp) = self.temp else {
            return fs::write(&self.path, text).with_context(name);
        };
        temp.write_all(text.as_bytes())
            .and_then(|()| temp.as_file().sync_all())
            .with_context(name)?;
        let persisted =
            if self.force { temp.persist(&self.path) } else { temp.persist_noclobber(&self.path) };
        let Err(error) = persisted else { return Ok(()) };
        let (_, kept) = error.file.keep()?;
        Err(anyhow!(error.error).context(format!("{}; it is in {}", name(), kept.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_appears_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        drop(Destination::new(&path, false).unwrap());
        assert!(names(dir.path()).is_empty(), "nothing was written, and nothing is left");
        let destination = Destination::new(&path, false).unwrap();
        assert!(!path.exists());
        destination.write("text").unwrap();
        assert_eq!(
            (fs::read_to_string(&path).unwrap().as_str(), names(dir.path()).len()),
            ("text", 1)
        );
    }

    #[test]
    fn nothing_is_overwritten_unless_it_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("there");
        let late = Destination::new(&path, false).unwrap();
        fs::write(&path, "before").unwrap();
        let error = Destination::new(&path, false).err().unwrap().to_string();
        assert!(error.contains("--force"), "{error}");
        let error = late.write("text").unwrap_err().to_string();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        let kept = error.rsplit(' ').next().unwrap();
        assert_eq!(fs::read_to_string(kept).unwrap(), "text", "{error}");
        Destination::new(&path, true).unwrap().write("after").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
    }
}
