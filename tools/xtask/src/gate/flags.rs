//! The gate's flags.

use std::{path::PathBuf, str::FromStr, thread};

use crate::Result;

pub const USAGE: &str = "\
usage: cargo xtask gate [FLAGS]

Measures ranvil against the baseline of this class of machine (tools/xtask/baselines).
Exit status: 0 pass, 1 regression, 2 no baseline for the class or for a row, 3 anything else.

  --throughput-regression-pct P  a row may be slower by so many percent [4]
  --overhead-regression-abs F    the scheduler's overhead may grow by this fraction [0.02]
  --update-baseline              takes what is measured for the baseline
  --pipelines LIST               NAME or NAME:LEVEL with commas [rans,fse,huff,lzr:1,lzseqr:1,lzseqr:3]
  --threads N                    CPU threads [as many as the machine runs at once]
  --repeats N                    measurements of each row, an odd number: the median counts [5]
  --size SIZE                    bytes of generated data, with K, M or G [64M]
  --cpu-only                     no rows for a GPU
  --ranvil PATH                  the command to measure [built from here]
  --baselines DIR                where baselines are
  --class NAME                   the class of machine [CPU, instructions, threads, GPU]";

const PIPELINES: &str = "rans,fse,huff,lzr:1,lzseqr:1,lzseqr:3";

#[derive(Clone, PartialEq, Debug)]
pub struct Flags {
    pub throughput_pct: f64,
    pub overhead_abs: f64,
    pub update: bool,
    /// Names and levels, 1 to 9.
    pub pipelines: Vec<(String, u8)>,
    pub threads: usize,
    pub repeats: usize,
    /// As the command takes it.
    pub size: String,
    pub cpu_only: bool,
    pub ranvil: Option<PathBuf>,
    pub baselines: Option<PathBuf>,
    pub class: Option<String>,
}

impl Flags {
    /// # Errors
    /// Unknown flags and impossible values.
    pub fn parse(args: &[&str]) -> Result<Self> {
        let mut flags = Self {
            throughput_pct: 4.0,
            overhead_abs: 0.02,
            update: false,
            pipelines: pipelines(PIPELINES)?,
            threads: thread::available_parallelism().map_or(1, usize::from),
            repeats: 5,
            size: "64M".to_owned(),
            cpu_only: false,
            ranvil: None,
            baselines: None,
            class: None,
        };
        let words = args.iter().flat_map(|word| match word.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => vec![flag, value],
            _ => vec![*word],
        });
        let mut words = words.collect::<Vec<_>>().into_iter();
        while let Some(flag) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag {
                "--throughput-regression-pct" => flags.throughput_pct = number(flag, value()?)?,
                "--overhead-regression-abs" => flags.overhead_abs = number(flag, value()?)?,
                "--update-baseline" => flags.update = true,
                "--pipelines" => flags.pipelines = pipelines(value()?)?,
                "--threads" => flags.threads = number(flag, value()?)?,
                "--repeats" => flags.repeats = number(flag, value()?)?,
                "--size" => flags.size = value()?.to_owned(),
                "--cpu-only" => flags.cpu_only = true,
                "--ranvil" => flags.ranvil = Some(value()?.into()),
                "--baselines" => flags.baselines = Some(value()?.into()),
                "--class" => flags.class = Some(value()?.to_owned()),
                _ => return Err(format!("unknown flag {flag}\n{USAGE}")),
            }
        }
        flags.check()
    }

    fn check(self) -> Result<Self> {
        if self.repeats.is_multiple_of(2) {
            return Err(format!(
                "--repeats {}: an odd number has a median among the measurements; take {}",
                self.repeats,
                self.repeats + 1,
            ));
        }
        if !(1..=1024).contains(&self.threads) {
            return Err(format!("--threads {}: it takes 1 to 1024", self.threads));
        }
        if !(0.0..100.0).contains(&self.throughput_pct) || !(0.0..=1.0).contains(&self.overhead_abs)
        {
            return Err(
                "a limit is out of range: percent from 0 to 100, a fraction from 0 to 1".into()
            );
        }
        Ok(self)
    }
}

fn number<T: FromStr>(flag: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| format!("{flag} {text}: that is no number for it"))
}

fn pipelines(list: &str) -> Result<Vec<(String, u8)>> {
    let one = |item: &str| {
        let (name, level) = item.split_once(':').unwrap_or((item, "3"));
        match level.parse() {
            Ok(level @ 1..=9) if !name.is_empty() => Ok((name.to_owned(), level)),
            _ => Err(format!("--pipelines {item}: it takes NAME or NAME:LEVEL, levels 1 to 9")),
        }
    };
    list.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags> {
        Flags::parse(&line.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn flags_have_defaults_and_values() {
        let flags = parse("").unwrap();
        assert_eq!((flags.throughput_pct, flags.overhead_abs, flags.repeats), (4.0, 0.02, 5));
        assert_eq!((flags.update, flags.cpu_only, flags.size.as_str()), (false, false, "64M"));
        let flags = parse(
            "--repeats=7 --threads 3 --cpu-only --pipelines rans,lzseqr:9 --size 1M --update-baseline \
             --throughput-regression-pct 2.5 --overhead-regression-abs 0.5",
        );
        let flags = flags.unwrap();
        assert_eq!((flags.throughput_pct, flags.overhead_abs), (2.5, 0.5));
        assert_eq!((flags.repeats, flags.threads, flags.update), (7, 3, true));
        assert_eq!(flags.pipelines, [("rans".to_owned(), 3), ("lzseqr".to_owned(), 9)]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "--repeats 4",
            "--repeats 0",
            "--repeats",
            "--threads 0",
            "--threads x",
            "--pipelines rans:0",
            "--pipelines rans,",
            "--throughput-regression-pct 100",
            "--overhead-regression-abs -1",
            "--frobnicate",
            "file",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert!(parse("--repeats 4").unwrap_err().contains("take 5"));
    }
}
