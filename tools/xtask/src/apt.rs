//! Debian and Ubuntu packages, fetched with lists and a cache of our own and unpacked: no root, and nothing on the
//! system changes.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result,
    process::{command, output, run},
};

/// apt, looking at the system's package sources and at those added here.
pub struct Apt {
    dir: PathBuf,
}

impl Apt {
    /// Keeps its lists and packages in `dir`.
    pub fn new(dir: &Path) -> Result<Self> {
        if output(command("apt-get").arg("--version")).is_err() {
            return Err("the drivers for the tests come from Debian's or Ubuntu's packages, and this system has \
                no apt-get. Run the tests on Debian 12 or newer, or in a container of it"
                .to_owned());
        }
        for sub in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(sub)).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        // The locks, and the user that apt takes for downloads, do not fit directories of our own.
        let config = format!(
            "Dir::State::Lists \"{0}/lists\";\nDir::Cache \"{0}/cache\";\nDir::Etc::SourceList \"{0}/sources.list\";\n\
             Debug::NoLocking \"1\";\nAPT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n",
            dir.display(),
        );
        fs::write(dir.join("apt.conf"), config).map_err(|e| format!("{}: {e}", dir.display()))?;
        // Both a system's old-style list and its directory of lists are read; additions go to a copy of the first.
        let system = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
        let apt = Self { dir: dir.to_owned() };
        apt.write_list(&system)?;
        Ok(apt)
    }

    /// Adds the suite `codename`-backports of the archive that the system's packages come from.
    pub fn add_backports(&self, codename: &str) -> Result {
        let format = "$(REPO_URI) $(RELEASE)";
        let sources = output(command("apt-get").args(["indextargets", "--format", format]))?;
        let archive = sources
            .lines()
            .filter_map(|line| line.split_once(' '))
            .find(|(_, suite)| *suite == codename)
            .map(|(uri, _)| uri)
            .ok_or_else(|| format!("no package source of this system has the suite {codename}"))?;
        let system = fs::read_to_string("/etc/apt/sources.list").unwrap_or_default();
        let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
        self.write_list(&format!(
            "{system}\ndeb [signed-by={keyring}] {archive} {codename}-backports main\n"
        ))
    }

    fn write_list(&self, text: &str) -> Result {
        let list = self.dir.join("sources.list");
        fs::write(&list, text).map_err(|e| format!("{}: {e}", list.display()))
    }

    /// Fetches the package lists.
    pub fn update(&self) -> Result {
        run(self.apt("apt-get").args(["-q", "update"]))
    }

    /// The version that apt would install.
    pub fn candidate(&self, package: &str) -> Result<Option<String>> {
        let policy = output(self.apt("apt-cache").args(["policy", package]))?;
        let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "));
        Ok(version.filter(|v| *v != "(none)").map(str::to_owned))
    }

    /// Fetches packages and unpacks them to `to`; with `dependencies`, those that the system lacks as well.
    /// `suite` is preferred over the others. Returns what was unpacked, as `name_version_architecture`.
    pub fn unpack(
        &self,
        packages: &[&str],
        dependencies: bool,
        suite: Option<&str>,
        to: &Path,
    ) -> Result<Vec<String>> {
        let archives = self.dir.join("cache/archives");
        self.fetch(packages, dependencies, suite, &archives).or_else(|message| {
            eprintln!("xtask: {message}; once more with fresh lists");
            self.update()?;
            self.fetch(packages, dependencies, suite, &archives)
        })?;

        fs::create_dir_all(to).map_err(|e| format!("{}: {e}", to.display()))?;
        let mut unpacked = Vec::new();
        let entries =
            fs::read_dir(&archives).map_err(|e| format!("{}: {e}", archives.display()))?;
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.extension() != Some(OsStr::new("deb")) {
                continue;
            }
            output(command("dpkg").arg("-x").arg(&path).arg(to))?;
            unpacked.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
            fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        unpacked.sort();
        Ok(unpacked)
    }

    fn fetch(
        &self,
        packages: &[&str],
        dependencies: bool,
        suite: Option<&str>,
        archives: &Path,
    ) -> Result {
        let release = suite.map(|suite| format!("--target-release={suite}"));
        // `install` passes over what the system has already, `download` passes over dependencies.
        if dependencies {
            let install = ["-q", "-y", "--no-install-recommends", "--download-only"];
            run(self.apt("apt-get").args(install).args(&release).arg("install").args(packages))?;
        }
        let mut download = self.apt("apt-get");
        run(download
            .args(["-q"])
            .args(&release)
            .arg("download")
            .args(packages)
            .current_dir(archives))
    }

    fn apt(&self, program: &str) -> Command {
        let mut apt = command(program);
        apt.env("APT_CONFIG", self.dir.join("apt.conf"));
        apt
    }
}
