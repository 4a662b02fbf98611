//! Where a record or a report goes: a file that is never half written, and that replaces another only if that is wanted.
//! It is made sure of before anything is measured.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::NamedTempFile;

pub struct Destination {
    path: PathBuf,
    /// What is there may be replaced: that is wanted, or it is ours.
    replace: bool,
    /// A device or a pipe, which is written once.
    in_place: bool,
}

impl Destination {
    /// # Errors
    /// There is such a file and `force` is not set, or its directory takes none.
    pub fn new(path: &Path, force: bool) -> Result<Self> {
        let known = fs::metadata(path).ok();
        let in_place = match &known {
            Some(known) if known.is_dir() => bail!("{} is a directory", path.display()),
            Some(known) => !known.is_file(),
            None => false,
        };
        if known.is_some() && !in_place && !force {
            bail!("{} already exists; use --force to overwrite it", path.display());
        }
        let new = Self { path: path.to_owned(), replace: force, in_place };
        if !in_place {
            new.temp()?;
        }
        Ok(new)
    }

    /// What there is so far, in place of what was written before: whoever ends this program leaves that behind. A device
    /// or a pipe waits for the whole.
    ///
    /// # Errors
    /// The disk is full; or somebody else has made such a file.
    pub fn save(&mut self, text: &str) -> Result<()> {
        if self.in_place { Ok(()) } else { self.put(text, false) }
    }

    /// # Errors
    /// The disk is full; or somebody else has made such a file: then what was written is kept beside it.
    pub fn write(mut self, text: &str) -> Result<()> {
        if self.in_place {
            return fs::write(&self.path, text).with_context(|| self.refusal());
        }
        self.put(text, true)
    }

    fn put(&mut self, text: &str, keep: bool) -> Result<()> {
        let mut temp = self.temp()?;
        temp.write_all(text.as_bytes())
            .and_then(|()| temp.as_file().sync_all())
            .with_context(|| self.refusal())?;
        let persisted = if self.replace {
            temp.persist(&self.path)
        } else {
            temp.persist_noclobber(&self.path)
        };
        match persisted {
            Ok(_) => {
                self.replace = true;
                Ok(())
            }
            Err(error) if keep => {
                let (_, kept) = error.file.keep()?;
                let message = format!("{}; it is in {}", self.refusal(), kept.display());
                Err(anyhow!(error.error).context(message))
            }
            Err(error) => Err(anyhow!(error.error).context(self.refusal())),
        }
    }

    /// A file beside it, which goes if it does not take its place.
    fn temp(&self) -> Result<NamedTempFile> {
        let directory = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        builder.prefix(".kbench-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temp = builder.tempfile_in(directory.unwrap_or(Path::new(".")));
        temp.with_context(|| self.refusal())
    }

    fn refusal(&self) -> String {
        format!("cannot write {}", self.path.display())
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
    fn a_file_appears_when_it_is_written() {
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
    fn each_save_replaces_the_one_before_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("growing");
        let mut growing = Destination::new(&path, false).unwrap();
        for text in ["one", "one two"] {
            growing.save(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        growing.write("one two three").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one two three");
        assert_eq!(names(dir.path()), ["growing"]);

        let path = dir.path().join("there");
        let mut late = Destination::new(&path, false).unwrap();
        fs::write(&path, "before").unwrap();
        late.save("text").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(names(dir.path()).len(), 2, "what was not to be kept is gone");
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
