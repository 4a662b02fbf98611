//! What a run leaves behind: one JSON file, which everything else is made from.

use anyhow::{Context, Result, bail};
use ranvil::DeviceInfo;
use serde::{Deserialize, Serialize};

use crate::{
    case::Case, check, clock::Clock, compare::Verdict, compiled::Compiled,
    destination::Destination, limits::LimitRun, roofline::Standing, small::Small, stats::Interval,
};

/// Raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// One run of the tool on one device.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    pub schema: u32,
    /// `kbench` and its version.
    pub tool: String,
    /// The commit that it was built from; a `+` says that files differed from it.
    pub revision: String,
    /// It holds all that was asked for, as far as that could be measured: the run was not ended before.
    #[serde(default = "always")]
    pub complete: bool,
    pub device: Device,
    /// What the device can do at most, if it was measured.
    pub limits: Option<Limits>,
    /// The samples behind them.
    #[serde(default)]
    pub limit_runs: Vec<LimitRun>,
    pub rows: Vec<Row>,
    #[serde(default)]
    pub comparisons: Vec<Comparison>,
    #[serde(default)]
    pub small: Vec<Small>,
    /// The forms of the kernels that the library takes for small inputs, as `KERNEL VARIANT`, each with the CRC-32C of its
    /// SPIR-V module.
    #[serde(default)]
    pub modules: Vec<(String, u32)>,
    /// What a compiler makes of the kernels, which nothing need run for.
    #[serde(default)]
    pub compiled: Vec<Compiled>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub failures: Vec<String>,
    /// The file that it was read from, as a report names it.
    #[serde(skip)]
    pub file: String,
}

/// Records of before the field were only written when they were complete, or the run ended with an error.
fn always() -> bool {
    true
}

/// What it ran on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Device {
    pub name: String,
    pub driver: String,
    pub driver_version: String,
    /// It runs on the CPU: its speed says nothing about any GPU.
    pub software: bool,
    /// The subgroup size that the product's kernels run at; `None` is their shared-memory form, or that none ran.
    pub subgroup: Option<u32>,
}

impl Device {
    pub fn new(info: &DeviceInfo, subgroup: Option<u32>) -> Self {
        let DeviceInfo { name, driver, driver_version, software, .. } = info.clone();
        Self { name, driver, driver_version, software, subgroup }
    }

    /// The name, and that it says nothing if it does not.
    pub fn label(&self) -> String {
        let mark = if self.software { " (software: no result)" } else { "" };
        format!("{}{mark}", self.name)
    }
}

/// What a device does at most, in units per second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes read and written by a copy within the device's memory.
    pub copy: f64,
    /// Bytes to the device and from it, each alone; `None` if host and device share their memory.
    pub upload: Option<f64>,
    pub download: Option<f64>,
    /// Bytes loaded from shared memory.
    pub shared: f64,
    /// 32-bit multiplications with addition.
    pub multiply: f64,
    /// 32-bit logic operations and shifts.
    pub logic: f64,
}

impl Limits {
    /// One of them, by the name of its field.
    pub fn get(&self, field: &str) -> Option<f64> {
        match field {
            "copy" => Some(self.copy),
            "upload" => self.upload,
            "download" => self.download,
            "shared" => Some(self.shared),
            "multiply" => Some(self.multiply),
            "logic" => Some(self.logic),
            _ => None,
        }
    }
}

/// The samples of one clock over one case.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    #[serde(flatten)]
    pub case: Case,
    pub clock: Clock,
    /// The kernel, on the kernels' clock.
    pub kernel: Option<String>,
    /// The forms of the kernels, as `KERNEL VARIANT`, each with the CRC-32C of its SPIR-V module.
    pub modules: Vec<(String, u32)>,
    pub data: Data,
    /// Bytes of all payloads.
    pub coded_bytes: u64,
    /// Bytes of all buffers: what a cache would have to hold.
    pub working_set: u64,
    /// The results were the right bytes before and after. There are no samples otherwise.
    pub verified: bool,
    /// Nanoseconds for all of the data, in the order in which they were taken.
    pub samples: Vec<f64>,
    /// Nanoseconds of the calibration kernel, taken in between.
    pub calibration: Vec<f64>,
    pub confidence: f64,
    /// What is doubtful about it.
    pub notes: Vec<String>,
}

/// What was coded.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Data {
    pub name: String,
    /// Raw bytes, after repetition.
    pub bytes: u64,
    /// CRC-32C of all raw bytes.
    pub crc32c: u32,
}

impl Row {
    /// Median time in nanoseconds; `None` without samples.
    pub fn time(&self) -> Option<f64> {
        (!self.samples.is_empty()).then(|| crate::stats::median(&self.samples))
    }

    /// Raw bytes per nanosecond, which is GB/s.
    pub fn speed(&self) -> Option<f64> {
        self.time().map(|time| self.data.bytes as f64 / time)
    }

    /// The interval of the speed.
    pub fn speed_interval(&self) -> Option<Interval> {
        self.time()?;
        let Interval { low, high } = crate::stats::median_interval(&self.samples, self.confidence);
        let bytes = self.data.bytes as f64;
        Some(Interval { low: bytes / high, high: bytes / low })
    }

    /// Bytes of payload for each raw byte.
    pub fn ratio(&self) -> f64 {
        self.coded_bytes as f64 / self.data.bytes as f64
    }

    /// Such as `decode rans`.
    pub fn work(&self) -> String {
        let Case { direction, coder, .. } = &self.case;
        format!("{direction} {coder}")
    }

    /// The kernel, or that it is all of them.
    pub fn kernel(&self) -> &str {
        self.kernel.as_deref().unwrap_or("all")
    }
}

/// Two cases, interleaved.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub baseline: Row,
    pub candidate: Row,
    /// Speed of the candidate over that of the baseline.
    pub ratio: f64,
    pub interval: Interval,
    pub margin: f64,
    pub verdict: Verdict,
}

impl Record {
    pub fn new(device: Device) -> Self {
        Self {
            schema: SCHEMA,
            tool: concat!("kbench ", env!("CARGO_PKG_VERSION")).to_owned(),
            revision: env!("KBENCH_REVISION").to_owned(),
            complete: false,
            device,
            limits: None,
            limit_runs: Vec::new(),
            rows: Vec::new(),
            comparisons: Vec::new(),
            small: Vec::new(),
            modules: Vec::new(),
            compiled: Vec::new(),
            failures: Vec::new(),
            file: String::new(),
        }
    }

    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        let Self { limits, rows, comparisons, small, compiled, .. } = self;
        let measured = limits.is_some() || !rows.is_empty() || !comparisons.is_empty();
        !measured && small.is_empty() && compiled.is_empty()
    }

    /// Writes what there is so far.
    pub fn save(&self, destination: &mut Destination) -> Result<()> {
        destination.save(&self.text()?)
    }

    pub fn write(&self, destination: Destination) -> Result<()> {
        destination.write(&self.text()?)
    }

    fn text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// Reads one, of this schema only.
    pub fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let Head { schema } = serde_json::from_str(text).context("this is no record of kbench")?;
        if schema != SCHEMA {
            bail!("its schema is {schema}; this kbench reads {SCHEMA}: measure again");
        }
        let record: Self = serde_json::from_str(text).context("this is no record of kbench")?;
        check::record(&record).context("this record of kbench was changed")?;
        Ok(record)
    }

    /// How near its kernels come to its limits, if it has these.
    pub fn standings(&self) -> Vec<Standing> {
        let limits = self.limits.iter();
        let all = limits.flat_map(|found| self.rows.iter().map(move |row| (row, found)));
        all.filter_map(|(row, found)| Standing::of(row, found)).collect()
    }

    /// All that was coded, with what it was cut from: bytes that were asked for, and those of a block (0: none). Of one set of
    /// data, as many of both have one checksum. (The bytes of a row do not tell: what is stored is not decoded.)
    pub fn data(&self) -> impl Iterator<Item = ([u64; 2], &Data)> {
        let pairs = self.comparisons.iter().flat_map(|c| [&c.baseline, &c.candidate]);
        let rows = self.rows.iter().chain(pairs);
        let rows = rows.map(|row| ([row.case.params.size, row.case.params.block], &row.data));
        rows.chain(self.small.iter().map(|small| ([small.data.bytes, 0], &small.data)))
    }

    /// Whether speeds were measured, not only limits or code.
    pub fn has_speeds(&self) -> bool {
        self.data().next().is_some()
    }

    /// Such as `, from run.json`; nothing if it is from no file.
    pub fn source(&self) -> String {
        if self.file.is_empty() { String::new() } else { format!(", from {}", self.file) }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A row as a measurement leaves it.
    pub fn row() -> Row {
        Row {
            case: Case::default(),
            clock: Clock::Device,
            kernel: None,
            modules: vec![("decode_rans subgroup32".to_owned(), 7)],
            data: Data { name: "mixed".to_owned(), bytes: 1000, crc32c: 9 },
            coded_bytes: 650,
            working_set: 1 << 20,
            verified: true,
            samples: vec![10.25, 11.5, 10.75],
            calibration: vec![5.0],
            confidence: 0.95,
            notes: vec!["a note, with \"quotes\" & <angles>".to_owned()],
        }
    }

    /// A record with one of everything.
    pub fn record() -> Record {
        let device = Device {
            name: "Some <GPU>".to_owned(),
            driver: "driver".to_owned(),
            driver_version: "1.2".to_owned(),
            software: false,
            subgroup: Some(32),
        };
        let mut other = row();
        other.case.variant = "auto+streams4".to_owned();
        other.samples = vec![9.0, 9.5, 9.25];
        let mut kernel = row();
        (kernel.clock, kernel.kernel) = (Clock::Kernel, Some("decode_rans".to_owned()));
        Record {
            complete: true,
            limits: Some(Limits {
                copy: 4e12,
                upload: Some(5e10),
                download: None,
                shared: 3e13,
                multiply: 1.5e13,
                logic: 1.2e13,
            }),
            limit_runs: vec![LimitRun {
                limit: "copy".to_owned(),
                module: Some(("copy any".to_owned(), 5)),
                amount: 4e9,
                samples: vec![1e6; 3],
                confidence: 0.95,
                notes: Vec::new(),
            }],
            rows: vec![row(), other.clone(), kernel],
            comparisons: vec![Comparison {
                baseline: row(),
                candidate: other,
                ratio: 1.15,
                interval: Interval { low: 1.1, high: 1.2 },
                margin: 0.01,
                verdict: Verdict::Faster,
            }],
            small: vec![crate::small::tests::small(1 << 16, 1e5, 0.0)],
            compiled: vec![crate::compiled::tests::compiled("decode_rans", "subgroup32", 900, 222)],
            failures: vec!["encode fse: the device was lost".to_owned()],
            ..Record::new(device)
        }
    }

    /// A record's text with another value, which is JSON, in this place.
    pub fn with(text: &str, place: &str, value: &str) -> String {
        let mut record: serde_json::Value = serde_json::from_str(text).unwrap();
        *record.pointer_mut(place).expect(place) = serde_json::from_str(value).unwrap();
        record.to_string()
    }

    #[test]
    fn a_record_survives_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record.json");
        record().write(Destination::new(&path, false).unwrap()).unwrap();
        assert_eq!(Record::parse(&std::fs::read_to_string(path).unwrap()).unwrap(), record());
    }

    #[test]
    fn a_record_of_before_these_fields_is_whole() {
        let mut value = serde_json::to_value(record()).unwrap();
        for field in ["complete", "compiled", "limit_runs", "modules"] {
            assert!(value.as_object_mut().unwrap().remove(field).is_some());
        }
        let old = Record::parse(&value.to_string()).unwrap();
        assert!(old.complete && old.compiled.is_empty() && old.limit_runs.is_empty());
    }

    #[test]
    fn another_schema_is_refused_and_so_is_anything_else() {
        let text = serde_json::to_string(&record()).unwrap();
        let other = text.replace("\"schema\":1", "\"schema\":2");
        let error = Record::parse(&other).unwrap_err().to_string();
        assert!(error.contains("schema is 2"), "{error}");
        assert!(Record::parse("{}").is_err());
        assert!(Record::parse(&text[..text.len() / 2]).is_err());
    }
}
