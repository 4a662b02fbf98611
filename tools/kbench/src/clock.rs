//! The three clocks. A figure is of one of them and says which; nothing adds or compares times of two.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// One kernel: the device's timestamps after it and after what came before it. They cost a little themselves.
    Kernel,
    /// All kernels of a direction over data in the device's memory: the device's timestamps around them, barriers and gaps
    /// included.
    Device,
    /// From host memory to host memory through the accelerator, as the engine drives it: the host's clock.
    Host,
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Kernel => "kernel",
            Self::Device => "device",
            Self::Host => "host",
        })
    }
}
