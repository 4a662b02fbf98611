//! What is written: standard output, a device, or a file that appears under its name only when it is complete.

use std::{
    ffi::OsStr,
    fs::{self, File, FileTimes, FileType, Metadata, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, bail};
use tempfile::NamedTempFile;

use crate::{
    closed,
    input::Origin,
    interrupt::{Interrupt, Unfinished},
    report,
};

/// The suffix of compressed files.
const SUFFIX: &str = "rvl";

/// Where the output of one source goes.
pub enum Target {
    Stdout(File),
    /// A device or FIFO, written in place.
    Special(File, PathBuf),
    File(PendingFile),
    /// `-t`.
    Nowhere,
}

impl Target {
    /// Standard output without the standard library's line buffer.
    ///
    /// # Errors
    /// Among them that it was closed from the beginning.
    pub fn stdout() -> Result<Self> {
        closed::check_stdout().map_err(report::stdout_error)?;
        #[cfg(unix)]
        let handle = std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned();
        #[cfg(windows)]
        let handle = std::os::windows::io::AsHandle::as_handle(&io::stdout()).try_clone_to_owned();
        Ok(Self::Stdout(handle.context("cannot write standard output")?.into()))
    }

    /// The file `path`, to be created, or replaced if `overwrite`. `origin` lends its permissions and times.
    ///
    /// # Errors
    /// If the target exists and may not be replaced, or its directory takes no file.
    pub fn file(
        path: &Path,
        overwrite: bool,
        origin: Option<&Origin>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        if let Ok(existing) = fs::metadata(path) {
            if existing.is_dir() {
                bail!("{} is a directory", path.display());
            }
            if !existing.is_file() {
                if is_block_device(existing.file_type()) && !overwrite {
                    bail!("{} is a block device; use -f to overwrite it", path.display());
                }
                let file = OpenOptions::new().write(true).open(path);
                return Ok(Self::Special(
                    file.with_context(|| cannot_write(path))?,
                    path.to_owned(),
                ));
            }
            if let Some(origin) = origin
                && same_file(path, &origin.path)
            {
                bail!("the output {} is the source itself", path.display());
            }
        }
        if !overwrite && fs::symlink_metadata(path).is_ok() {
            bail!(exists(path));
        }
        PendingFile::create(path, overwrite, origin, interrupt).map(Self::File)
    }

    /// The error of a write to this target.
    pub fn write_error(&self, error: io::Error) -> Error {
        match self {
            Self::Stdout(_) => report::stdout_error(error),
            Self::Special(_, path) => Error::new(error).context(cannot_write(path)),
            Self::File(file) => Error::new(error).context(cannot_write(&file.path)),
            Self::Nowhere => error.into(),
        }
    }

    /// The name of the output for the summary, if it has one.
    pub fn name(&self) -> Option<&Path> {
        match self {
            Self::Special(_, path) => Some(path),
            Self::File(file) => Some(&file.path),
            Self::Stdout(_) | Self::Nowhere => None,
        }
    }
}

impl Write for &mut Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Target::Stdout(file) | Target::Special(file, _) => file.write(bytes),
            Target::File(file) => file.temp.as_file_mut().write(bytes),
            Target::Nowhere => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // files have no buffer of ours
    }
}

/// A temporary file beside the target, removed unless it is [committed](Self::commit).
pub struct PendingFile {
    temp: NamedTempFile,
    path: PathBuf,
    overwrite: bool,
    interrupt: Interrupt,
    /// Dropped behind the file.
    unfinished: Unfinished,
}

impl PendingFile {
    fn create(
        path: &Path,
        overwrite: bool,
        origin: Option<&Origin>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        // A file made from a pipe gets the permissions of any new file; otherwise only the owner may read it until
        // the origin's permissions are known to be set.
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(if origin.is_some() { 0o600 } else { 0o666 });
        }
        #[cfg(not(unix))]
        let _ = origin;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".ranvil-").suffix(".tmp");
        // Opened here, as errors of tempfile's own opening name the temporary file, of which the user knows nothing.
        let create = || builder.make_in(directory(path), |temporary| options.open(temporary));
        let (temp, unfinished) = interrupt.create(create).with_context(|| cannot_write(path))?;
        let (path, interrupt) = (path.to_owned(), interrupt.clone());
        Ok(Self { temp, path, overwrite, interrupt, unfinished })
    }

    /// Gives the output its permissions and times and makes it durable under its temporary name.
    pub fn complete(&mut self, origin: Option<&Origin>) -> Result<()> {
        let file = self.temp.as_file();
        if let Some(Err(error)) = origin.map(|origin| carry_over(&origin.metadata, file)) {
            // Some file systems know neither; the content is right all the same.
            log::warn!("{}: cannot set permissions and times: {error}", self.path.display());
        }
        file.sync_all().with_context(|| cannot_write(&self.path))
    }

    /// Opens the complete output to be read back.
    pub fn reopen(&self) -> Result<File> {
        self.temp.reopen().with_context(|| format!("cannot read {} back", self.path.display()))
    }

    /// Renames the file to its target, unless the run was interrupted.
    pub fn commit(self) -> Result<()> {
        self.rename(Interrupt::check)
    }

    /// Renames the file to its target, even if the run was interrupted.
    pub fn commit_anyway(self) -> Result<()> {
        self.rename(|_| Ok(()))
    }

    fn rename(self, check: fn(&Interrupt) -> ranvil::Result<()>) -> Result<()> {
        let Self { temp, path, overwrite, interrupt, unfinished } = self;
        let persisted = unfinished.end(|| {
            check(&interrupt)?;
            Ok(match overwrite {
                true => temp.persist(&path),
                false => temp.persist_noclobber(&path),
            })
        });
        let persisted = persisted.map_err(|error: ranvil::Error| Error::new(error))?;
        match persisted {
            Ok(_) => sync_directory(directory(&path)).with_context(|| cannot_write(&path)),
            Err(failure) if failure.error.kind() == io::ErrorKind::AlreadyExists => {
                bail!(exists(&path))
            }
            Err(failure) => Err(failure.error).with_context(|| cannot_write(&path)),
        }
    }
}

/// `FILE` to `FILE.rvl`.
///
/// # Errors
/// If the name has the suffix already and `force` is not set.
pub fn compressed_name(path: &Path, force: bool) -> Result<PathBuf> {
    if !force && has_suffix(path) {
        bail!("already has the suffix .{SUFFIX}; use -f to compress it again");
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(SUFFIX);
    Ok(name.into())
}

/// `FILE.rvl` to `FILE`.
///
/// # Errors
/// If the name has another suffix or none.
pub fn restored_name(path: &Path) -> Result<PathBuf> {
    if !has_suffix(path) {
        bail!("has not the suffix .{SUFFIX}; name the output with -o, or use -c");
    }
    Ok(path.with_extension(""))
}

fn has_suffix(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        extension == SUFFIX || cfg!(windows) && extension.eq_ignore_ascii_case(OsStr::new(SUFFIX))
    })
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
pub fn is_block_device(kind: FileType) -> bool {
    std::os::unix::fs::FileTypeExt::is_block_device(&kind)
}

#[cfg(not(unix))]
pub fn is_block_device(_: FileType) -> bool {
    false
}

/// Whether a path names what standard output is, as `/dev/stdout` does.
#[cfg(unix)]
pub fn is_stdout(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(Target::Stdout(stdout)) = Target::stdout() else { return false };
    let file = |metadata: io::Result<Metadata>| metadata.ok().map(|of| (of.dev(), of.ino()));
    let named = file(fs::metadata(path));
    named.is_some() && named == file(stdout.metadata())
}

#[cfg(not(unix))]
pub fn is_stdout(_: &Path) -> bool {
    false
}

pub fn same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}

fn exists(path: &Path) -> String {
    format!("{} already exists; use -f to overwrite it", path.display())
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// Owner (as far as the system lets us), permissions and times.
fn carry_over(metadata: &Metadata, file: &File) -> io::Result<()> {
    let mut times = FileTimes::new();
    if let Ok(time) = metadata.accessed() {
        times = times.set_accessed(time);
    }
    if let Ok(time) = metadata.modified() {
        times = times.set_modified(time);
    }
    file.set_times(times)?;
    file.set_permissions(carry_over_owner(metadata, file))
}

/// The permissions that suit the owner that the file got: a group that could not be carried over gets no more than
/// everybody, and set-user-ID and its like are dropped, as in xz.
#[cfg(unix)]
fn carry_over_owner(metadata: &Metadata, file: &File) -> fs::Permissions {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let mut mode = metadata.mode() & 0o777;
    let group = Some(metadata.gid());
    if fchown(file, Some(metadata.uid()), group).is_err() && fchown(file, None, group).is_err() {
        mode &= !0o070 | (mode & 0o007) << 3;
    }
    fs::Permissions::from_mode(mode)
}

#[cfg(not(unix))]
fn carry_over_owner(metadata: &Metadata, _: &File) -> fs::Permissions {
    metadata.permissions()
}

/// Makes a rename durable. Windows has no such call for directories.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_gain_and_lose_the_suffix() {
        for (raw, compressed) in
            [("a", "a.rvl"), ("d/a.tar", "d/a.tar.rvl"), ("./.hidden", "./.hidden.rvl")]
        {
            assert_eq!(compressed_name(Path::new(raw), false).unwrap(), Path::new(compressed));
            assert_eq!(restored_name(Path::new(compressed)).unwrap(), Path::new(raw));
        }
        assert_eq!(compressed_name(Path::new("a.rvl"), true).unwrap(), Path::new("a.rvl.rvl"));
        assert!(compressed_name(Path::new("a.rvl"), false).is_err());
        for name in ["a", "a.gz", ".rvl", "rvl", "d.rvl/a", "a.rvl.gz"] {
            assert!(restored_name(Path::new(name)).is_err(), "{name} was accepted");
        }
    }
}
