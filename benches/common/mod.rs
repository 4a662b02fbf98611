//! The data of all measurements, those of `tools/kbench` included: named sets of files, and how they are cut.
#![allow(dead_code)] // Each program uses another part.

use std::{env, fs, path::PathBuf};

/// Raw bytes of a block.
pub const BLOCK: usize = 256 << 10;

/// Files, one behind the other.
pub struct Set {
    pub name: &'static str,
    /// Below the repository's `tests/data` or the corpus.
    pub files: &'static [&'static str],
    /// CRC-32C of the whole: figures count only for data that is what its name says.
    pub crc32c: u32,
}

/// Every set. The first is in the repository; the others need the corpus.
pub const SETS: &[Set] = &[
    Set { name: "alice", files: &["alice29.txt"], crc32c: 0xebd7_3954 },
    Set {
        name: "mixed",
        files: &["alice29.txt", "levitus_temp.96k", "helmet_color.bc7.96k", "ecoli.64k"],
        crc32c: 0x77b3_fc81,
    },
    Set { name: "dickens", files: &["silesia/dickens"], crc32c: 0xbfb7_be58 },
    Set {
        name: "silesia6",
        files: &[
            "silesia/dickens",
            "silesia/mr",
            "silesia/ooffice",
            "silesia/osdb",
            "silesia/xml",
            "silesia/reymont",
        ],
        crc32c: 0x47d0_2c15,
    },
    Set { name: "bf16", files: &["ml/minilm_layer1_bf16.bin"], crc32c: 0x0618_06ed },
    Set { name: "bc7", files: &["texture/FlightHelmet_baseColor.bc7"], crc32c: 0x55be_564b },
    Set { name: "arrow", files: &["columnar/tpch_lineitem_80k.arrow"], crc32c: 0x55a8_a452 },
];

impl Set {
    /// The set of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        SETS.iter().find(|set| set.name == name)
    }

    /// Reads the files.
    ///
    /// # Errors
    /// A file that is not there or not what it should be, by name.
    pub fn load(&self) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for file in self.files {
            let path = roots().map(|root| root.join(file)).find(|path| path.exists());
            let path = path.ok_or_else(|| {
                format!(
                    "{file}, of the data set {}, is not there: set RANVIL_CORPUS to the corpus",
                    self.name
                )
            })?;
            bytes.extend(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
        }
        let found = crc32c::crc32c(&bytes);
        if found != self.crc32c {
            return Err(format!(
                "the data set {} is not what it was: its CRC-32C is {found:#010x}, not {:#010x}",
                self.name, self.crc32c
            ));
        }
        Ok(bytes)
    }
}

/// Where files may be: in the repository, as the library or a tool sees it, and in the corpus.
fn roots() -> impl Iterator<Item = PathBuf> {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let own = ["tests/data", "../../tests/data"].map(|data| package.join(data));
    let corpus = env::var_os("RANVIL_CORPUS").unwrap_or("../shared/corpora".into()).into();
    own.into_iter().chain(["tests/data".into(), corpus])
}

/// What the benchmarks of the CPU code: the file or the set that RANVIL_BENCH_DATA names, else `dickens` where the corpus is,
/// else `alice`.
pub fn input() -> (String, Vec<u8>) {
    let named = env::var("RANVIL_BENCH_DATA");
    let found = match named.as_deref() {
        Ok(name) => load(name).map(|bytes| (name.to_owned(), bytes)),
        Err(_) => ["dickens", "alice"]
            .into_iter()
            .map(|name| load(name).map(|bytes| (name.to_owned(), bytes)))
            .reduce(Result::or)
            .expect("two names"),
    };
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// The set of this name, or the file at this path.
///
/// # Errors
/// It can be read as neither.
pub fn load(name: &str) -> Result<Vec<u8>, String> {
    match Set::find(name) {
        Some(set) => set.load(),
        None => fs::read(name).map_err(|error| {
            let sets: Vec<_> = SETS.iter().map(|set| set.name).collect();
            format!("{name} is no data set ({}) and no file: {error}", sets.join(", "))
        }),
    }
}
