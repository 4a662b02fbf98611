//! What is read: a file under gzip's rules, or standard input.

use std::{
    fs::{self, File, Metadata},
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{args::is_dash, closed, output::is_block_device};

/// An open source.
pub struct Source {
    pub file: File,
    /// `None` for standard input.
    pub origin: Option<Origin>,
}

/// The file that a source was opened from.
pub struct Origin {
    pub path: PathBuf,
    /// As it was when the file was opened.
    pub metadata: Metadata,
}

/// Which files are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accept {
    /// Regular files under their own name: the output goes beside them.
    Regular,
    /// Regular files, symbolic links to them followed: the source is to be removed.
    Removable,
    /// What can be sought in, symbolic links followed.
    Seekable,
    /// Whatever can be read, symbolic links followed.
    Readable,
}

impl Source {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// A missing or unreadable file, a directory, and what `accept` excludes.
    pub fn open(path: &Path, accept: Accept) -> Result<Self> {
        if is_dash(path) {
            return Ok(Self { file: stdin()?, origin: None });
        }
        // Asked by name and before opening: opening a FIFO waits for its writer.
        let kind = fs::symlink_metadata(path)?.file_type();
        if kind.is_symlink() && accept == Accept::Regular {
            bail!("is a symbolic link; use -f to follow it, or -c or -o");
        }
        let kind = if kind.is_symlink() { fs::metadata(path)?.file_type() } else { kind };
        if kind.is_dir() {
            bail!("is a directory");
        }
        match accept {
            Accept::Regular if !kind.is_file() => {
                bail!("is not a regular file; use -f to read it, or -c or -o")
            }
            Accept::Seekable if !kind.is_file() && !is_block_device(kind) => {
                bail!("is not a file that one can seek in, which a list needs")
            }
            Accept::Removable if !kind.is_file() => bail!("--rm removes regular files only"),
            _ => {}
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { file, origin: Some(Origin { path: path.to_owned(), metadata }) })
    }

    /// The size in bytes of a regular file that says so. Files of /proc claim to be empty.
    pub fn size(&self) -> Option<u64> {
        let metadata = &self.origin.as_ref()?.metadata;
        (metadata.is_file() && metadata.len() > 0).then_some(metadata.len())
    }
}

impl Origin {
    /// Removes the file, unless it was replaced or changed since it was opened.
    pub fn remove(&self) -> Result<()> {
        let now = fs::metadata(&self.path).context("cannot look at the source again")?;
        if identity(&now) != identity(&self.metadata) {
            bail!("changed while it was read; it is kept");
        }
        fs::remove_file(&self.path).context("cannot remove the source")
    }
}

/// What tells that a file is the same, with the same content.
pub fn identity(metadata: &Metadata) -> impl PartialEq + use<> {
    #[cfg(unix)]
    let file = (
        std::os::unix::fs::MetadataExt::dev(metadata),
        std::os::unix::fs::MetadataExt::ino(metadata),
    );
    #[cfg(not(unix))]
    let file = ();
    (file, metadata.len(), metadata.modified().ok())
}

/// Standard input without the standard library's buffer.
///
/// # Errors
/// Among them that it was closed from the beginning.
fn stdin() -> io::Result<File> {
    closed::check_stdin()?;
    #[cfg(unix)]
    let handle = std::os::fd::AsFd::as_fd(&io::stdin()).try_clone_to_owned()?;
    #[cfg(windows)]
    let handle = std::os::windows::io::AsHandle::as_handle(&io::stdin()).try_clone_to_owned()?;
    Ok(handle.into())
}

pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_changed_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let open = |content: &str| {
            fs::write(&path, content).unwrap();
            Source::open(&path, Accept::Regular).unwrap().origin.unwrap()
        };
        let origin = open("grows");
        fs::write(&path, "has grown").unwrap();
        assert!(origin.remove().unwrap_err().to_string().contains("it is kept"));

        let origin = open("replaced");
        let times = fs::FileTimes::new().set_modified(origin.metadata.modified().unwrap());
        fs::write(directory.path().join("b"), "REPLACED").unwrap();
        fs::File::options()
            .write(true)
            .open(directory.path().join("b"))
            .unwrap()
            .set_times(times)
            .unwrap();
        fs::rename(directory.path().join("b"), &path).unwrap();
        assert_eq!(
            origin.remove().is_err(),
            cfg!(unix),
            "elsewhere files have no identity to compare"
        );

        open("the same").remove().unwrap();
        assert!(!path.exists());
    }
}
