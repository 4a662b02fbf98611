//! Stands for the library's part of the scheduler until that is merged: nothing is measured.
#![allow(dead_code, missing_docs)]

use std::str::FromStr;

use ranvil::{DeviceSelector, Options};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Assignment {
    Cpu,
    Gpu,
    #[default]
    Auto,
}

impl FromStr for Assignment {
    type Err = ranvil::Error;
    fn from_str(text: &str) -> Result<Self, ranvil::Error> {
        Ok(match text {
            "cpu" => Self::Cpu,
            "gpu" => Self::Gpu,
            _ => Self::Auto,
        })
    }
}

impl std::fmt::Display for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Auto => "auto",
        })
    }
}

pub trait Scheduling: Sized {
    fn stage0(self, assignment: Assignment) -> Self;
    fn stage1(self, assignment: Assignment) -> Self;
    fn devices(self, devices: impl IntoIterator<Item = DeviceSelector>) -> Self;
}

impl Scheduling for Options {
    fn stage0(self, _: Assignment) -> Self {
        self
    }
    fn stage1(self, _: Assignment) -> Self {
        self
    }
    fn devices(self, devices: impl IntoIterator<Item = DeviceSelector>) -> Self {
        self.device(devices.into_iter().next().unwrap())
    }
}
