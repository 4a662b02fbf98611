//! A case: what is done, in which form of the kernels, with which parameters.

use std::{fmt, str::FromStr};

use clap::ValueEnum;
use ranvil::coder;
use serde::{Deserialize, Serialize};

use crate::{size, variants::AUTO};

/// Which way the data goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Encode,
    Decode,
}

/// An entropy coder.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coder {
    Rans,
    Fse,
    Huff,
}

impl From<Coder> for coder::Coder {
    fn from(coder: Coder) -> Self {
        match coder {
            Coder::Rans => Self::Rans,
            Coder::Fse => Self::Fse,
            Coder::Huff => Self::Huffman,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
        })
    }
}

impl fmt::Display for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Rans => "rans",
            Self::Fse => "fse",
            Self::Huff => "huff",
        })
    }
}

/// What can be varied beside the variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Params {
    /// Raw bytes of a block.
    pub block: u64,
    /// Raw bytes of a segment are `2^segment_log`.
    pub segment_log: u8,
    /// The table log, where it is forced.
    pub table_log: Option<u8>,
    /// Invocations of a workgroup of the kernels that code segments, where they are forced.
    pub workgroup: Option<u32>,
    /// Raw bytes.
    pub size: u64,
    /// Encoding also brings the payloads together, as the product does on a device behind a link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gather: bool,
}

/// A parameter by its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Param {
    Block,
    SegmentLog,
    TableLog,
    Workgroup,
    Size,
}

impl Param {
    pub const ALL: [Self; 5] =
        [Self::Block, Self::Size, Self::SegmentLog, Self::TableLog, Self::Workgroup];

    /// Whether a sweep doubles it rather than adds one.
    pub fn doubles(self) -> bool {
        !matches!(self, Self::SegmentLog | Self::TableLog)
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Block => "block",
            Self::SegmentLog => "segment-log",
            Self::TableLog => "table-log",
            Self::Workgroup => "workgroup",
            Self::Size => "size",
        })
    }
}

impl FromStr for Param {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|param| param.to_string() == name).ok_or_else(|| {
            format!("{name:?} is none of {}", Self::ALL.map(|param| param.to_string()).join(", "))
        })
    }
}

impl Params {
    /// One of them; `None` where it is not forced.
    pub fn get(&self, param: Param) -> Option<u64> {
        match param {
            Param::Block => Some(self.block),
            Param::SegmentLog => Some(self.segment_log.into()),
            Param::TableLog => self.table_log.map(u64::from),
            Param::Workgroup => self.workgroup.map(u64::from),
            Param::Size => Some(self.size),
        }
    }

    /// Sets one.
    ///
    /// # Errors
    /// The value is none that the format or any device allows.
    pub fn set(&mut self, param: Param, value: u64) -> Result<(), String> {
        let within = |low: u64, high: u64| {
            if (low..=high).contains(&value) {
                Ok(value)
            } else {
                Err(format!("{param} is {value}, and must be {low} to {high}"))
            }
        };
        match param {
            Param::Block => self.block = within(1, 1 << 20)?,
            Param::SegmentLog => self.segment_log = within(12, 16)? as u8,
            Param::TableLog => self.table_log = Some(within(1, 12)? as u8),
            Param::Workgroup => {
                self.workgroup = Some(within(4, 1024)? as u32);
                if !value.is_power_of_two() {
                    return Err(format!("a workgroup of {value} invocations is no power of two"));
                }
            }
            Param::Size => self.size = within(1, 1 << 30)?,
        }
        Ok(())
    }
}

/// What is measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Case {
    pub direction: Direction,
    pub coder: Coder,
    /// `auto` or a variant's name, and `+EXPERIMENT` if there is one.
    pub variant: String,
    #[serde(flatten)]
    pub params: Params,
}

impl Case {
    /// This case with what a text such as `subgroup32+streams4,block=64K` or `table-log=10` changes.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn with(&self, text: &str) -> Result<Self, String> {
        let mut case = self.clone();
        for part in text.split(',') {
            match part.split_once('=') {
                Some((name, value)) => {
                    let value = size::parse(value).map_err(|e| format!("{part}: {e}"))?;
                    case.params.set(name.parse()?, value)?;
                }
                None if part.is_empty() => return Err(format!("{text:?} has an empty part")),
                None => case.variant = part.to_owned(),
            }
        }
        Ok(case)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { direction, coder, variant, params } = self;
        write!(f, "{direction} {coder} {variant}, {}", size::human(params.size))?;
        write!(f, ", blocks of {}", size::human(params.block))?;
        write!(f, ", segments of {}", size::human(1 << params.segment_log))?;
        if let Some(log) = params.table_log {
            write!(f, ", table log {log}")?;
        }
        if let Some(size) = params.workgroup {
            write!(f, ", workgroups of {size}")?;
        }
        if params.gather {
            write!(f, ", gathered")?;
        }
        Ok(())
    }
}

impl Default for Params {
    fn default() -> Self {
        Self {
            block: 256 << 10,
            segment_log: 14,
            table_log: None,
            workgroup: None,
            size: 1 << 30,
            gather: false,
        }
    }
}

impl Default for Case {
    fn default() -> Self {
        Self {
            direction: Direction::Decode,
            coder: Coder::Rans,
            variant: AUTO.to_owned(),
            params: Params::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_change_what_they_name() {
        let case = Case::default().with("subgroup32+streams4,block=64K,table-log=10").unwrap();
        assert_eq!(case.variant, "subgroup32+streams4");
        assert_eq!((case.params.block, case.params.table_log), (65536, Some(10)));
        assert_eq!(case.with("auto").unwrap().params, case.params);
        for bad in ["block=0", "block=2M", "segment-log=11", "workgroup=96", "depth=3", "", "a,,b"]
        {
            assert!(Case::default().with(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
