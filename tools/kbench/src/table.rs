//! Rows for a person.

use std::io::{self, Write, stdout};

use crate::{
    record::{Comparison, Row},
    size,
};

pub fn header(confidence: f64) -> io::Result<()> {
    writeln!(
        stdout(),
        "\n{:<6} {:<11} {:<11} {:<26} {:>8} {:>7} {:>3} {:>4} {:>5} {:>6} {:>9} {:>7} {:>7}",
        "clock",
        "work",
        "kernel",
        "variant",
        "size",
        "block",
        "seg",
        "log",
        "group",
        "ratio",
        "GB/s",
        format!("±{confidence}%"),
        "samples"
    )
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or("auto".to_owned(), |value| value.to_string())
}

pub fn row(row: &Row, software: bool) -> io::Result<()> {
    let params = &row.case.params;
    let speed = row.speed().unwrap_or(0.0);
    let precision = row.speed_interval().map_or(0.0, |interval| interval.precision(speed));
    let mut notes = row.notes.clone();
    if software {
        notes.push("software".to_owned());
    }
    writeln!(
        stdout(),
        "{:<6} {:<11} {:<11} {:<26} {:>8} {:>7} {:>3} {:>4} {:>5} {:>6.4} {:>9.3} {:>6.2}% {:>7}  {}",
        row.clock,
        row.work(),
        row.kernel(),
        row.case.variant,
        size::human(params.size),
        size::human(params.block),
        params.segment_log,
        optional(params.table_log),
        optional(params.workgroup),
        row.ratio(),
        speed,
        100.0 * precision,
        row.samples.len(),
        notes.join("; "),
    )
}

pub fn comparison(comparison: &Comparison, software: bool) -> io::Result<()> {
    let Comparison { baseline, candidate, ratio, interval, verdict, .. } = comparison;
    let mark = if software { " (software)" } else { "" };
    for (name, row) in [("A", baseline), ("B", candidate)] {
        writeln!(
            stdout(),
            "{name}: {}: {:.3} GB/s{mark}, ratio {:.4}{}",
            row.case,
            row.speed().unwrap_or(0.0),
            row.ratio(),
            row.notes.iter().map(|note| format!("; {note}")).collect::<String>(),
        )?;
    }
    writeln!(
        stdout(),
        "B is {verdict}: {ratio:.4} times A's speed, {:.4} to {:.4} at {:.0} % confidence, {} rounds{mark}\n",
        interval.low,
        interval.high,
        100.0 * baseline.confidence,
        baseline.samples.len(),
    )
}
