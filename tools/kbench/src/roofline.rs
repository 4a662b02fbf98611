//! How near a kernel comes to what the device does at most (Williams, Waterman and Patterson, "Roofline", 2009). What a kernel
//! must do for a raw byte is counted by hand from its algorithm, below; what it does beyond that shows as distance from the
//! roof.

use std::{
    collections::BTreeSet,
    io::{self, Write, stdout},
};

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

/// Kernels that touch every byte, raw or coded. A decoder's operations: index, look-up, symbol and fields out of the entry, the state's
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
    // A copy of the payloads: what it computes is a word's address.
    Needs { kernel: "gather", raw: 0.0, coded: 2.0, shared: 0.0, operations: 0.0 },
];

/// Kernels that touch a block's tables and sizes, and none of its bytes: how long they take depends on the number of blocks.
const PER_BLOCK: [&str; 3] = ["lengths", "normalise", "parse"];

/// Which of the rows' kernels have no roof, and why; nothing if all have one.
pub fn roofless(rows: &[Row]) -> Option<String> {
    let kernels = rows.iter().filter_map(|row| row.kernel.as_deref());
    let known: BTreeSet<&str> = kernels.filter(|kernel| PER_BLOCK.contains(kernel)).collect();
    let names = Vec::from_iter(known).join(", ");
    (!names.is_empty()).then(|| {
        format!("No roof for {names}: their work is for each block's tables, not for each byte.")
    })
}

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
        if traffic <= 0.0 {
            return None;
        }
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

    /// 10^9 integer operations a second at what shared memory allows, if it needs that and any.
    pub fn shared_operations(&self) -> Option<f64> {
        let operations = self.operations / self.speed * self.shared;
        (operations.is_finite() && operations > 0.0).then_some(operations)
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
        let number =
            |value: f64| if value.is_finite() { format!("{value:.1}") } else { "-".to_owned() };
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
    fn every_kernel_has_a_roof_or_is_said_to_have_none() {
        let known = NEEDS.iter().map(|needs| needs.kernel).chain(PER_BLOCK);
        let known: BTreeSet<&str> = known.collect();
        let all: BTreeSet<&str> = ranvil::kernel::ALL.iter().map(|kernel| kernel.name).collect();
        assert_eq!(known, all);
        let mut row = crate::record::tests::row();
        assert_eq!(roofless(std::slice::from_ref(&row)), None);
        row.kernel = Some("parse".to_owned());
        assert!(roofless(&[row]).unwrap().starts_with("No roof for parse:"));
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
        // 13 operations and 4 bytes of shared memory for each of 7500 GB/s.
        assert!((standing.shared_operations().unwrap() - 97_500.0).abs() < 1e-6);
        row.kernel = Some("parse".to_owned());
        assert!(Standing::of(&row, &limits).is_none());
        // Payloads, read and written, are all that this one moves.
        row.kernel = Some("gather".to_owned());
        let gather = Standing::of(&row, &limits).unwrap();
        assert_eq!((gather.roof().1, gather.shared_operations()), ("memory", None));
        assert!((gather.memory - 4000.0 / 1.2).abs() < 1e-6);
        assert_eq!(gather.cells()[5..7], ["-", "-"]);
        row.coded_bytes = 0;
        assert!(Standing::of(&row, &limits).is_none(), "nothing was to be moved");
    }
}
