//! What tables have of each row, on the page and in Markdown.

use super::peers::Peer;
use crate::{
    record::{Comparison, Record, Row},
    size,
};

/// What is said of a record that is not complete.
pub fn incomplete(record: &Record) -> String {
    format!("Its run was ended before all of it was measured{}.", of(record))
}

/// What could not be measured.
pub fn failure(record: &Record, failure: &str) -> String {
    format!("Not measured{}: {failure}", of(record))
}

fn of(record: &Record) -> String {
    if record.file.is_empty() { String::new() } else { format!(" ({})", record.file) }
}

pub const ROWS: [&str; 14] = [
    "work",
    "kernel",
    "clock",
    "variant",
    "block",
    "segment",
    "table log",
    "workgroup",
    "data",
    "ratio",
    "GB/s",
    "interval",
    "samples",
    "notes",
];

/// What [`ROWS`] says.
pub fn row(row: &Row) -> [String; ROWS.len()] {
    let params = &row.case.params;
    let auto = |value: Option<u32>| value.map_or("auto".to_owned(), |value| value.to_string());
    let interval = row.speed_interval();
    [
        row.work(),
        row.kernel().to_owned(),
        row.clock.to_string(),
        row.case.variant.clone(),
        size::human(params.block),
        size::human(1 << params.segment_log),
        auto(params.table_log.map(u32::from)),
        auto(params.workgroup),
        format!("{}, {}", row.data.name, size::human(row.data.bytes)),
        format!("{:.4}", row.ratio()),
        row.speed().map_or("-".to_owned(), |speed| format!("{speed:.2}")),
        interval.map_or("-".to_owned(), |i| format!("{:.2} to {:.2}", i.low, i.high)),
        row.samples.len().to_string(),
        row.notes.join("; "),
    ]
}

pub const COMPARISONS: [&str; 7] =
    ["candidate", "baseline", "verdict", "times its speed", "interval", "rounds", "notes"];

/// What [`COMPARISONS`] says.
pub fn comparison(comparison: &Comparison) -> [String; COMPARISONS.len()] {
    let Comparison { baseline, candidate, ratio, interval, verdict, .. } = comparison;
    let (a, b) = (&baseline.case, &candidate.case);
    let same = (a.direction, a.coder, a.params) == (b.direction, b.coder, b.params);
    let mut notes = candidate.notes.clone();
    notes.extend(baseline.notes.iter().map(|note| format!("baseline: {note}")));
    [
        b.to_string(),
        if same { a.variant.clone() } else { a.to_string() },
        verdict.to_string(),
        format!("{ratio:.4}"),
        format!("{:.4} to {:.4}", interval.low, interval.high),
        candidate.samples.len().to_string(),
        notes.join("; "),
    ]
}

pub const PEERS: [&str; 6] = ["peer", "chunk", "ratio", "encode GB/s", "decode GB/s", "remark"];

/// What [`PEERS`] says.
pub fn peer(peer: &Peer) -> [String; PEERS.len()] {
    let Peer { name, chunk, ratio, encode, decode, remark } = peer;
    // What its own program found wrong has no speed.
    let figure = |text: String| if remark.is_none() { text } else { "-".to_owned() };
    [
        name.clone(),
        size::human(*chunk),
        figure(format!("{ratio:.4}")),
        figure(format!("{encode:.1}")),
        figure(format!("{decode:.1}")),
        remark.clone().unwrap_or_default(),
    ]
}
