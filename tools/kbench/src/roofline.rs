//! How near a kernel comes to what the device does at most (Williams, Waterman and Patterson, "Roofline", 2009). What a kernel
//! must do for a raw byte is counted by hand from its algorithm, below; what it does beyond that shows as distance from the
//! roof.

use std::io::{self, Write, stdout};

use crate::{
    record::{Limits, Row},
    size,
};

/// What a table has of each kernel; GB/s are of raw bytes.
pub const COLUMNS: [&str; 9] =
    ["kernel", "variant", "block", "GB/s", "memory", "shared", "integer", "of it", "limited by"];

/// The least that a kernel does for each raw byte.
#[derive(Clone, Copy, Debug)]
struct Needs {
    kernel: &'static str,
    /// Times that raw bytes, and bytes of payload, pass between the device's memory and the kernel.
    raw: f64,
    coded: f64,
    /// Bytes of shared memory that are looked up.
    shared: f64,
    /// Integer operations.
    operations: f64,
}

/// Kernels that touch every byte. A decoder's operations: index, look-up, symbol and fields out of the entry, the state's
/// transition, comparison, ballot, count, address, refill, and a quarter of a store. An encoder's: byte, look-up, fields,
/// comparison, word out, division by reciprocal, ballot, count, address.
const NEEDS: &[Needs] = &[
    Needs { kernel: "histogram", raw: 1.0, coded: 0.0, shared: 8.0, operations: 3.0 },
    Needs { kernel: "encode_rans", raw: 1.0, coded: 1.0, shared: 8.0, operations: 14.0 },
    Needs { kernel: "encode_fse", raw: 1.0, coded: 1.0, shared: 6.0, operations: 11.0 },
    Needs { kernel: "encode_huff", raw: 1.0, coded: 1.0, shared: 4.0, operations: 10.0 },
    Needs { kernel: "decode_rans", raw: 1.0, coded: 1.0, shared: 4.0, operations: 13.0 },
    Needs { kernel: "decode_fse", raw: 1.0, coded: 1.0, shared: 4.0, operations: 12.0 },
    Needs { kernel: "decode_huff", raw: 1.0, coded: 1.0, shared: 4.0, operations: 11.0 },
];

/// Where a kernel stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub kernel: String,
    pub variant: String,
    /// Raw bytes of a block.
    pub block: u64,
    /// GB/s of raw bytes.
    pub speed: f64,
    /// GB/s of raw bytes that memory, shared memory and integer units allow.
    pub memory: f64,
    pub shared: f64,
    pub integer: f64,
    /// Integer operations for each byte of memory traffic, and 10^9 of them a second.
    pub intensity: f64,
    pub operations: f64,
}

impl Standing {
    /// Of a row on the kernels' clock; `None` if the kernel is none that touches every byte.
    pub fn of(row: &Row, limits: &Limits) -> Option<Self> {
        let kernel = row.kernel.as_ref()?;
        let needs = NEEDS.iter().find(|needs| needs.kernel == kernel)?;
        let speed = row.speed()?;
        let traffic = needs.raw + needs.coded * row.ratio();
        let limit =
            |rate: f64, each: f64| if each > 0.0 { rate / each / 1e9 } else { f64::INFINITY };
        Some(Self {
            kernel: kernel.clone(),
            variant: row.case.variant.clone(),
            block: row.case.params.block,
            speed,
            memory: limit(limits.copy, traffic),
            shared: limit(limits.shared, needs.shared),
            integer: limit(limits.logic, needs.operations),
            intensity: needs.operations / traffic,
            operations: needs.operations * speed,
        })
    }

    /// The lowest limit, and what sets it.
    pub fn roof(&self) -> (f64, &'static str) {
        let all =
            [(self.memory, "memory"), (self.shared, "shared memory"), (self.integer, "integers")];
        all.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("three limits")
    }

    /// What [`COLUMNS`] says.
    pub fn cells(&self) -> [String; 9] {
        let (roof, name) = self.roof();
        let number = |value: f64| format!("{value:.1}");
        [
            self.kernel.clone(),
            self.variant.clone(),
            size::human(self.block),
            format!("{:.2}", self.speed),
            number(self.memory),
            number(self.shared),
            number(self.integer),
            format!("{:.0}%", 100.0 * self.speed / roof),
            name.to_owned(),
        ]
    }
}

pub fn print(standings: &[Standing], mark: &str) -> io::Result<()> {
    writeln!(stdout())?;
    line(&COLUMNS.map(str::to_owned), "")?;
    standings.iter().try_for_each(|standing| line(&standing.cells(), mark))
}

fn line(cells: &[String; 9], mark: &str) -> io::Result<()> {
    let [kernel, variant, block, speed, memory, shared, integer, share, name] = cells;
    writeln!(
        stdout(),
        "{kernel:<14}{variant:<26}{block:>9}{speed:>10}{memory:>10}{shared:>10}{integer:>10}{share:>8}  {name}{mark}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_kernel() {
        for needs in NEEDS {
            assert!(ranvil::kernel::find(needs.kernel).is_some(), "{}", needs.kernel);
        }
    }

    #[test]
    fn the_lowest_limit_is_the_roof() {
        let limits = Limits {
            copy: 4000e9,
            upload: None,
            download: None,
            shared: 30_000e9,
            multiply: 15_000e9,
            logic: 13_000e9,
        };
        let mut row = crate::record::tests::row();
        row.kernel = Some("decode_rans".to_owned());
        (row.data.bytes, row.coded_bytes) = (1_000_000, 600_000);
        row.samples = vec![1000.0; 3];
        let standing = Standing::of(&row, &limits).unwrap();
        assert_eq!((standing.speed, standing.memory), (1000.0, 2500.0));
        assert_eq!(standing.roof(), (1000.0, "integers"));
        row.kernel = Some("parse".to_owned());
        assert!(Standing::of(&row, &limits).is_none());
    }
}
