//! The Vulkan drivers that tests run on, unpacked under `target/drivers`:
//!
//! - lavapipe (Mesa), at subgroup sizes 4, 8 and 16;
//! - SwiftShader, the strictest one, which Debian ships inside chromium-common;
//! - RADV (Mesa), whose null device compiles for AMD chips that are not there;
//! - the Vulkan loader, the Khronos validation layer and `spirv-val`.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

use crate::{Result, apt::Apt, process::target};

/// Raise it when what is installed changes: older installations are then replaced.
const LAYOUT: &str = "layout 1";

/// Mesa's lavapipe before 25 ends long loops early, without a word.
const MESA_MAJOR: u32 = 25;

/// Where other packages keep SwiftShader, for systems whose chromium is no Debian package.
const SWIFTSHADER_ELSEWHERE: &[&str] = &[
    "/opt/google/chrome",
    "/opt/microsoft/msedge",
    "/usr/lib/chromium",
    "/usr/lib/chromium-browser",
    "/snap/chromium/current/usr/lib/chromium-browser",
];

/// A driver of the tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Driver {
    /// Mesa's software rasteriser.
    Lavapipe,
    /// Google's software implementation.
    SwiftShader,
    /// Mesa's driver for AMD.
    Radv,
}

impl Driver {
    const ALL: [Self; 3] = [Self::Lavapipe, Self::SwiftShader, Self::Radv];

    fn library(self) -> &'static str {
        match self {
            Self::Lavapipe => "libvulkan_lvp.so",
            Self::SwiftShader => "libvk_swiftshader.so",
            Self::Radv => "libvulkan_radeon.so",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::Lavapipe => "icd/lavapipe.json",
            Self::SwiftShader => "icd/swiftshader.json",
            Self::Radv => "icd/radv.json",
        }
    }
}

/// Installed drivers.
pub struct Drivers {
    dir: PathBuf,
}

impl Drivers {
    /// The variables that make a Vulkan program use exactly this driver, with validation layers at hand.
    pub fn environment(&self, driver: Driver) -> Vec<(&'static str, OsString)> {
        let icd = self.dir.join(driver.manifest()).into_os_string();
        vec![
            ("VK_DRIVER_FILES", icd.clone()),
            ("VK_ICD_FILENAMES", icd), // what loaders before 1.3.207 read
            // What `kbench static` compiles with, whatever runs the kernels.
            ("RANVIL_RADV", self.dir.join(Driver::Radv.manifest()).into_os_string()),
            ("VK_LAYER_PATH", self.system().join("usr/share/vulkan/explicit_layer.d").into()),
            ("VK_LOADER_LAYERS_DISABLE", "~implicit~".into()),
            ("LD_LIBRARY_PATH", self.library_path()),
            ("MESA_SHADER_CACHE_DISABLE", "true".into()), // its key leaves out the vector width
            ("XDG_RUNTIME_DIR", self.dir.join("run").into()), // RADV wants one
        ]
    }

    /// Where a configuration keeps the kernels that its driver has compiled.
    pub fn shader_cache(&self, config: &str) -> PathBuf {
        self.dir.join("shader-cache").join(config)
    }

    /// A program of the unpacked packages and the library path that it needs.
    pub fn tool(&self, name: &str) -> (PathBuf, OsString) {
        (self.system().join("usr/bin").join(name), self.library_path())
    }

    fn system(&self) -> PathBuf {
        self.dir.join("system")
    }

    /// Directories of the unpacked libraries.
    fn library_path(&self) -> OsString {
        let libs = ["usr/lib", "lib"].map(|lib| self.system().join(lib));
        let entries = libs.iter().flat_map(|lib| fs::read_dir(lib).into_iter().flatten());
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let triplets = paths.filter(|path| path.to_string_lossy().ends_with("-linux-gnu"));
        env::join_paths(triplets).expect("cargo allows no ':' in its paths")
    }

    /// Whether everything is in place.
    fn complete(&self) -> bool {
        let listed = fs::read_to_string(self.dir.join("manifest")).unwrap_or_default();
        listed.lines().next() == Some(LAYOUT)
            && Driver::ALL.iter().all(|driver| self.dir.join(driver.manifest()).exists())
    }
}

/// The drivers, if they are installed.
pub fn installed() -> Result<Drivers> {
    let drivers = Drivers { dir: target().join("drivers") };
    if drivers.complete() {
        Ok(drivers)
    } else {
        Err("no drivers yet: run `cargo xtask setup`".to_owned())
    }
}

/// Installs what is missing and prints what that is.
pub fn install() -> Result<Drivers> {
    let drivers = Drivers { dir: target().join("drivers") };
    if drivers.complete() {
        println!("drivers: in place ({}/manifest)", drivers.dir.display());
        return Ok(drivers);
    }
    println!("drivers: unpacking to {}; nothing on the system changes", drivers.dir.display());
    if drivers.dir.exists() {
        fs::remove_dir_all(&drivers.dir).map_err(|e| format!("{}: {e}", drivers.dir.display()))?;
    }
    let apt = Apt::new(&drivers.dir.join("apt"))?;
    apt.update()?;

    let backports = mesa_backports(&apt)?;
    let system = drivers.system();
    let mut unpacked = apt.unpack(&["mesa-vulkan-drivers"], true, backports.as_deref(), &system)?;
    let tools = ["libvulkan1", "vulkan-validationlayers", "spirv-tools"];
    unpacked.extend(apt.unpack(&tools, true, None, &system)?);

    let chromium = drivers.dir.join("chromium");
    let swiftshader = if is_debian_package(&apt, "chromium-common")? {
        unpacked.extend(apt.unpack(&["chromium-common"], false, None, &chromium)?);
        find(&chromium, Driver::SwiftShader.library())
    } else {
        swiftshader_elsewhere()
    };
    let swiftshader = swiftshader.ok_or_else(no_swiftshader)?;

    write_icd(&drivers, Driver::SwiftShader, &swiftshader)?;
    for driver in [Driver::Lavapipe, Driver::Radv] {
        let library = find(&system, driver.library()).ok_or_else(|| {
            format!("the package mesa-vulkan-drivers has no {}", driver.library())
        })?;
        write_icd(&drivers, driver, &library)?;
    }
    fs::create_dir_all(drivers.dir.join("run")).map_err(|e| format!("target/drivers/run: {e}"))?;
    fs::remove_dir_all(drivers.dir.join("apt")).map_err(|e| format!("target/drivers/apt: {e}"))?;

    // Written last: an installation that was cut short has none and starts again.
    let manifest = format!("{LAYOUT}\n{}\n", unpacked.join("\n"));
    fs::write(drivers.dir.join("manifest"), manifest).map_err(|e| format!("manifest: {e}"))?;
    println!("drivers: {}", unpacked.join(" "));
    Ok(drivers)
}

/// The suite to take Mesa from, if the system's own is too old.
fn mesa_backports(apt: &Apt) -> Result<Option<String>> {
    let version = apt
        .candidate("mesa-vulkan-drivers")?
        .ok_or("apt knows no package mesa-vulkan-drivers: is Ubuntu's `universe` or Debian's `main` enabled?")?;
    let major = version.split('.').next().and_then(|m| m.rsplit(':').next()?.parse().ok());
    if major >= Some(MESA_MAJOR) {
        return Ok(None);
    }
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field =
        |key| release.lines().find_map(|line| line.strip_prefix(key)).map(|v| v.trim_matches('"'));
    if let (Some("debian"), Some(codename)) = (field("ID="), field("VERSION_CODENAME=")) {
        apt.add_backports(codename)?;
        apt.update()?;
        return Ok(Some(format!("{codename}-backports")));
    }
    eprintln!(
        "xtask: WARNING: this system's Mesa is {version}. Before {MESA_MAJOR}, lavapipe leaves long loops early; \
         device tests that fail here may pass on a newer system"
    );
    Ok(None)
}

/// Ubuntu has packages of such names that hold nothing but a pointer to a snap.
fn is_debian_package(apt: &Apt, package: &str) -> Result<bool> {
    Ok(apt.candidate(package)?.is_some_and(|version| !version.contains("snap")))
}

fn swiftshader_elsewhere() -> Option<PathBuf> {
    let named = env::var_os("RANVIL_SWIFTSHADER").map(PathBuf::from);
    let known =
        SWIFTSHADER_ELSEWHERE.iter().map(|dir| Path::new(dir).join(Driver::SwiftShader.library()));
    named.into_iter().chain(known).find(|path| path.exists())
}

fn no_swiftshader() -> String {
    format!(
        "no SwiftShader: this system has no package chromium-common, and none of {} has {}. Install Chromium \
         (Ubuntu: snap install chromium) or Chrome, or name the library in RANVIL_SWIFTSHADER",
        SWIFTSHADER_ELSEWHERE.join(", "),
        Driver::SwiftShader.library(),
    )
}

/// Writes the file by which the Vulkan loader finds a driver.
fn write_icd(drivers: &Drivers, driver: Driver, library: &Path) -> Result {
    let path = drivers.dir.join(driver.manifest());
    let text = format!(
        "{{\"file_format_version\": \"1.0.0\", \"ICD\": {{\"library_path\": {:?}, \"api_version\": \"1.3.0\"}}}}\n",
        library.display().to_string(),
    );
    fs::create_dir_all(drivers.dir.join("icd"))
        .and_then(|()| fs::write(&path, text))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// The first file of this name under `dir`.
fn find(dir: &Path, name: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.filter_map(|entry| entry.ok());
    entries.map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() && !path.is_symlink() {
            find(&path, name)
        } else {
            (path.file_name() == Some(OsStr::new(name))).then_some(path)
        }
    })
}
