//! What a compiler tells of its code, as records have it.

use serde::{Deserialize, Serialize};

use super::loops;

/// A form of a kernel as one compiler has it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Compiled {
    /// What it was compiled for: a family of AMD's chips, or the device.
    pub family: String,
    /// Subgroup size.
    pub wave: u32,
    pub kernel: String,
    pub variant: String,
    /// It is none of the product's.
    pub experiment: bool,
    /// CRC-32C of its SPIR-V module.
    pub module: u32,
    /// Specialisation constants that it sets beside the product's, by identifier.
    pub spec: Vec<(u32, u32)>,
    /// Accesses of buffers are checked against their ends.
    pub checked: bool,
    /// Or why the driver rejected it.
    pub figures: Result<Figures, String>,
}

/// Static figures of compiled code, those that the driver has.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    pub instructions: Option<u64>,
    /// Instructions of the largest innermost loop.
    pub hot_loop: Option<u64>,
    /// Of all innermost loops, in the order of the code.
    #[serde(default)]
    pub loops: Vec<u64>,
    /// Registers of an invocation.
    pub vgprs: Option<u64>,
    /// Registers of a subgroup.
    pub sgprs: Option<u64>,
    /// Registers of both kinds.
    pub spills: Option<u64>,
    /// Bytes of shared memory.
    pub lds: Option<u64>,
    /// Subgroups that a SIMD unit holds at once.
    pub occupancy: Option<u64>,
    /// Bytes of code.
    pub code: Option<u64>,
    /// Clocks of one invocation, and clocks between two, as the compiler estimates.
    pub latency: Option<u64>,
    pub throughput: Option<u64>,
    /// Everything, by the driver's names.
    pub all: Vec<(String, u64)>,
}

/// What tables have of each; sizes are in bytes.
pub const COLUMNS: [&str; 15] = [
    "kernel",
    "variant",
    "for",
    "subgroup",
    "instructions",
    "hot loop",
    "VGPRs",
    "SGPRs",
    "spills",
    "shared",
    "occupancy",
    "code",
    "latency",
    "inverse throughput",
    "notes",
];

impl Compiled {
    /// What [`COLUMNS`] says.
    pub fn cells(&self) -> [String; COLUMNS.len()] {
        let none = Figures::default();
        let f = self.figures.as_ref().unwrap_or(&none);
        let [instructions, hot_loop, vgprs, sgprs, spills, lds, occupancy, code, latency, inverse] =
            f.numbers().map(|value| value.map_or("-".to_owned(), |value| value.to_string()));
        let notes = match &self.figures {
            Err(error) => format!("rejected: {error}"),
            Ok(_) if self.experiment => "experiment".to_owned(),
            Ok(_) => String::new(),
        };
        [
            self.kernel.clone(),
            self.variant.clone(),
            self.family.clone(),
            self.wave.to_string(),
            instructions,
            hot_loop,
            vgprs,
            sgprs,
            spills,
            lds,
            occupancy,
            code,
            latency,
            inverse,
            notes,
        ]
    }
}

impl Figures {
    pub fn new(all: Vec<(String, u64)>, text: &str) -> Self {
        let sum = |names: &[&str]| {
            let found = all.iter().filter(|(name, _)| names.contains(&name.as_str()));
            found.map(|(_, value)| *value).reduce(|a, b| a + b)
        };
        let loops = loops::innermost(text);
        // By the names of RADV; then those of Intel's and NVIDIA's drivers.
        Self {
            instructions: sum(&["Instructions", "Instruction Count"]),
            hot_loop: loops.iter().copied().max(),
            loops,
            vgprs: sum(&["VGPRs", "Register Count"]),
            sgprs: sum(&["SGPRs"]),
            spills: sum(&["Spilled SGPRs", "Spilled VGPRs", "Spill Count"]),
            lds: sum(&["LDS size", "LDS Size", "Workgroup Memory Size"]),
            occupancy: sum(&["Subgroups per SIMD"]),
            code: sum(&["Code size", "Binary Size"]),
            latency: sum(&["Latency"]),
            throughput: sum(&["Inverse Throughput"]),
            all,
        }
    }

    /// All of them, in the order of [`COLUMNS`].
    pub fn numbers(&self) -> [Option<u64>; 10] {
        [
            self.instructions,
            self.hot_loop,
            self.vgprs,
            self.sgprs,
            self.spills,
            self.lds,
            self.occupancy,
            self.code,
            self.latency,
            self.throughput,
        ]
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// The product's, for RDNA 3.
    pub fn compiled(kernel: &str, variant: &str, instructions: u64, hot_loop: u64) -> Compiled {
        let text = "BB0:\n".to_owned() + &"\tv_nop\n".repeat(hot_loop as usize - 1);
        let all = [
            ("VGPRs", 24),
            ("SGPRs", 128),
            ("Spilled SGPRs", 1),
            ("Spilled VGPRs", 2),
            ("LDS size", 18944),
            ("Subgroups per SIMD", 14),
            ("Instructions", instructions),
        ];
        let all = all.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Compiled {
            family: "navi31".to_owned(),
            wave: 32,
            kernel: kernel.to_owned(),
            variant: variant.to_owned(),
            experiment: false,
            module: 9,
            spec: Vec::new(),
            checked: false,
            figures: Ok(Figures::new(all, &(text + "\ts_branch BB0\n"))),
        }
    }

    #[test]
    fn figures_go_by_the_drivers_names() {
        let one = compiled("parse", "any", 100, 30);
        let cells = one.cells();
        let shown: Vec<_> = COLUMNS.iter().copied().zip(cells.iter().map(String::as_str)).collect();
        for known in [
            ("kernel", "parse"),
            ("for", "navi31"),
            ("subgroup", "32"),
            ("instructions", "100"),
            ("hot loop", "30"),
            ("VGPRs", "24"),
            ("spills", "3"),
            ("shared", "18944"),
            ("occupancy", "14"),
            ("code", "-"),
            ("notes", ""),
        ] {
            assert!(shown.contains(&known), "no {known:?} in {shown:?}");
        }
        let rejected = Compiled { figures: Err("no such thing".to_owned()), ..one };
        assert_eq!(rejected.cells()[14], "rejected: no such thing");
    }
}
