//! Runs the command, with the calibration workload in between.

use std::{path::PathBuf, process::Stdio};

use serde::Deserialize;

use super::{calibration, flags::Flags, row::Row};
use crate::{
    Result,
    process::{cargo, command, output, run, target},
};

/// Iterations of each call of the command, of which it takes the median.
const ITERATIONS: &str = "3";

/// The command, ready to be measured.
pub struct Bench<'a> {
    flags: &'a Flags,
    ranvil: PathBuf,
    gpu: Option<Gpu>,
}

/// A hardware device: name and UUID.
#[derive(Debug, PartialEq)]
struct Gpu {
    name: String,
    uuid: String,
}

/// Of `ranvil --list-devices --json`.
#[derive(Deserialize)]
struct Listed {
    devices: Vec<ListedDevice>,
}

#[derive(Deserialize)]
struct ListedDevice {
    name: String,
    uuid: String,
    software: bool,
    usable: bool,
}

/// A row of the matrix.
struct Case<'a> {
    pipeline: &'a str,
    level: u8,
    decompress: bool,
    gpu: Option<&'a Gpu>,
}

impl<'a> Bench<'a> {
    /// Builds the command, unless one is named, and asks it for a GPU.
    pub fn new(flags: &'a Flags) -> Result<Self> {
        let ranvil = match &flags.ranvil {
            Some(path) => {
                std::path::absolute(path).map_err(|e| format!("{}: {e}", path.display()))?
            }
            None => {
                run(&mut cargo(&["build", "--release", "--locked", "--package", "ranvil-cli"]))?;
                target().join("release/ranvil")
            }
        };
        let list = output(command(&ranvil).args(["--list-devices", "--json"]))?;
        let gpu = hardware(&list, flags.cpu_only)?;
        println!("GPU: {}", gpu.as_ref().map_or("none", |gpu| &gpu.name));
        Ok(Self { flags, ranvil, gpu })
    }

    /// The name of the GPU, measured or not.
    pub fn gpu(&self) -> Option<&str> {
        self.gpu.as_ref().map(|gpu| gpu.name.as_str())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.cases().len()
    }

    /// Measures the rows of these numbers as often as the flags say, all in turn.
    pub fn measure(&self, rows: &[usize]) -> Result<Vec<Row>> {
        let all = self.cases();
        let cases: Vec<_> = rows.iter().map(|&row| &all[row]).collect();
        let mut samples: Vec<Vec<Row>> = cases.iter().map(|_| Vec::new()).collect();
        for repeat in 1..=self.flags.repeats {
            eprintln!("round {repeat} of {}: {} rows", self.flags.repeats, cases.len());
            for (case, samples) in cases.iter().zip(&mut samples) {
                samples.push(self.sample(case)?);
            }
        }
        samples.iter().map(|samples| Row::median(samples)).collect()
    }

    fn cases(&self) -> Vec<Case<'_>> {
        let gpu = self.gpu.as_ref().filter(|_| !self.flags.cpu_only);
        let sides = || [None].into_iter().chain(gpu.map(Some));
        let pipelines = self.flags.pipelines.iter();
        pipelines
            .flat_map(|(pipeline, level)| {
                [false, true].into_iter().flat_map(move |decompress| {
                    sides().map(move |gpu| Case { pipeline, level: *level, decompress, gpu })
                })
            })
            .collect()
    }

    fn sample(&self, case: &Case<'_>) -> Result<Row> {
        let Flags { threads, size, .. } = self.flags;
        let device = case.gpu.map_or("cpu".to_owned(), |gpu| format!("uuid={}", gpu.uuid));
        let mut bench = command(&self.ranvil);
        bench.args(["bench", "--print-scheduler-stats", "--iterations", ITERATIONS]);
        bench.args(["--pipeline", case.pipeline, "--level", &case.level.to_string()]);
        bench.args(["--threads", &threads.to_string(), "--size", size, "--device", &device]);
        bench.args(case.decompress.then_some("--decompress"));
        bench.stdin(Stdio::null());

        let before = calibration::run(*threads);
        let done =
            bench.output().map_err(|e| format!("cannot start {}: {e}", self.ranvil.display()))?;
        let after = calibration::run(*threads);
        let printed = String::from_utf8_lossy(&done.stderr);
        if !done.status.success() {
            return Err(format!("`ranvil bench` failed: {}: {printed}", done.status));
        }
        let name = case.gpu.map_or("cpu", |gpu| &gpu.name);
        Row::parse(&printed, name, (before + after) / 2.0)
    }
}

/// The first device that is hardware. One that cannot be used is an error: its rows would be missed without a word.
fn hardware(list: &str, cpu_only: bool) -> Result<Option<Gpu>> {
    let Listed { devices } =
        serde_json::from_str(list).map_err(|error| format!("--list-devices --json: {error}"))?;
    match devices.into_iter().find(|device| !device.software) {
        Some(ListedDevice { name, usable: false, .. }) if !cpu_only => Err(format!(
            "{name} cannot be used (see ranvil --list-devices): mend that, or --cpu-only"
        )),
        device => Ok(device.map(|ListedDevice { name, uuid, .. }| Gpu { name, uuid })),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn hardware_is_found_among_devices() {
        let device = |name: &str, software: bool, usable: bool| {
            format!(
                r#"{{"name":"{name}","uuid":"00","software":{software},"usable":{usable},"index":0}}"#
            )
        };
        let list =
            |devices: &[String]| format!(r#"{{"devices":[{}],"problem":null}}"#, devices.join(","));
        let card = list(&[device("card", false, false)]);
        assert!(super::hardware(&card, false).unwrap_err().contains("card"));
        assert!(super::hardware(&card, true).is_ok());
        let hardware = |list: &str| super::hardware(list, false);
        assert_eq!(hardware(&list(&[])).unwrap(), None);
        assert_eq!(hardware(&list(&[device("llvmpipe", true, true)])).unwrap(), None);
        let both = list(&[device("llvmpipe", true, true), device("card", false, true)]);
        assert_eq!(hardware(&both).unwrap().unwrap().name, "card");
        assert!(hardware("no JSON").is_err());
    }
}
