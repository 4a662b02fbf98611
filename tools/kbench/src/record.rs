//! What a run leaves behind: one JSON file, which everything else is made from.

use anyhow::{Context, Result, anyhow, bail, ensure};
use ranvil::DeviceInfo;
use serde::{Deserialize, Serialize};

use crate::{
    case::{Case, Param, Params},
    clock::Clock,
    compare::Verdict,
    compiled::Compiled,
    destination::Destination,
    small::Small,
    stats::Interval,
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
    pub rows: Vec<Row>,
    #[serde(default)]
    pub comparisons: Vec<Comparison>,
    #[serde(default)]
    pub small: Vec<Small>,
    /// What a compiler makes of the kernels, which nothing need run for.
    #[serde(default)]
    pub compiled: Vec<Compiled>,
    /// What could not be measured, and why.
    #[serde(default)]
    pub failures: Vec<String>,
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

/// Samples that medians, speeds and intervals can be made of.
fn check_samples(samples: &[f64], bytes: u64, confidence: f64) -> Result<()> {
    ensure!(!samples.is_empty(), "a row has no samples");
    ensure!(samples.iter().all(|&time| time.is_finite() && time > 0.0), "a sample is no time");
    ensure!(bytes > 0, "a row has no data");
    ensure!((0.5..=1.0).contains(&confidence), "a confidence of {confidence}");
    Ok(())
}

impl Row {
    fn check(&self) -> Result<()> {
        let (mut allowed, params) = (Params::default(), &self.case.params);
        for param in Param::ALL {
            let Some(value) = params.get(param) else { continue };
            allowed.set(param, value).map_err(|error| anyhow!(error))?;
        }
        check_samples(&self.samples, self.data.bytes, self.confidence)
    }

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
            rows: Vec::new(),
            comparisons: Vec::new(),
            small: Vec::new(),
            compiled: Vec::new(),
            failures: Vec::new(),
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
        record.check().context("this record of kbench was changed")?;
        Ok(record)
    }

    /// What every record holds to, and what reads one relies on.
    fn check(&self) -> Result<()> {
        let pairs = self.comparisons.iter().flat_map(|c| [&c.baseline, &c.candidate]);
        self.rows.iter().chain(pairs).try_for_each(Row::check)?;
        for small in &self.small {
            for (_, samples) in small.ways() {
                check_samples(samples, small.data.bytes, small.confidence)?;
            }
        }
        Ok(())
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
        for field in ["complete", "compiled"] {
            assert!(value.as_object_mut().unwrap().remove(field).is_some());
        }
        let old = Record::parse(&value.to_string()).unwrap();
        assert!(old.complete && old.compiled.is_empty());
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

    #[test]
    fn what_no_run_leaves_behind_is_refused() {
        let text = serde_json::to_string(&record()).unwrap();
        for (from, to) in [
            ("[10.25,11.5,10.75]", "[]"),
            ("[10.25,11.5,10.75]", "[0.0]"),
            ("[10.25,11.5,10.75]", "[null]"),
            ("\"confidence\":0.95", "\"confidence\":95"),
            ("\"segment_log\":14", "\"segment_log\":200"),
            ("\"bytes\":1000", "\"bytes\":0"),
            ("\"device\":[100000.0,100000.0,100000.0]", "\"device\":[]"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from} is not there");
            assert!(Record::parse(&changed).is_err(), "{to} was accepted");
        }
    }
}
