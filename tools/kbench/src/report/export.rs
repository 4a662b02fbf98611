//! Records as CSV and as Markdown.

use std::fmt::Write;

use super::peers::Peer;
use crate::{
    record::{Record, Row},
    size,
    small::{self, Small},
    stats::{Interval, median, median_interval},
};

const COLUMNS: [&str; 16] = [
    "device",
    "driver",
    "software",
    "revision",
    "clock",
    "work",
    "variant",
    "block",
    "segment_log",
    "table_log",
    "workgroup",
    "data",
    "ratio",
    "gb_per_s",
    "low",
    "high",
];

/// One line a row, RFC 4180.
pub fn csv(records: &[Record], peers: &[Peer]) -> String {
    let mut out = COLUMNS.join(",") + ",samples,notes\r\n";
    for (record, row) in rows(records) {
        let mut fields = fields(record, row).to_vec();
        fields.push(row.samples.len().to_string());
        fields.push(row.notes.join("; "));
        let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        write!(out, "{}\r\n", quoted.join(",")).expect("strings take everything");
    }
    for (record, small) in records.iter().flat_map(|r| r.small.iter().map(move |s| (r, s))) {
        for (way, samples) in small.ways() {
            let mut fields = small_fields(record, small, way, samples).to_vec();
            fields.push(samples.len().to_string());
            let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
            write!(out, "{},\r\n", quoted.join(",")).expect("strings take everything");
        }
    }
    for peer in peers {
        for (work, speed) in [("encode", peer.encode), ("decode", peer.decode)] {
            let Peer { name, chunk, ratio, .. } = peer;
            let name = quoted(name);
            write!(out, ",,,,device,{work},{name},{chunk},,,,,{ratio},{speed},,,,\r\n")
                .expect("strings take everything");
        }
    }
    out
}

/// A table with what a reader wants first.
pub fn markdown(records: &[Record], peers: &[Peer]) -> String {
    let mut out = String::new();
    for record in records {
        let software = if record.device.software { " — **software: no result**" } else { "" };
        let device = &record.device;
        write!(
            out,
            "{}, {} {}, revision {}{software}\n\n| clock | work | variant | block | segment | ratio | GB/s | interval | notes |\n|---|---|---|---|---|---|---|---|---|\n",
            device.name, device.driver, device.driver_version, record.revision
        )
        .expect("strings take everything");
        for row in &record.rows {
            let (low, high) = row.speed_interval().map_or((0.0, 0.0), |i| (i.low, i.high));
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {:.4} | {:.2} | {low:.2} to {high:.2} | {} |",
                row.clock,
                row.work(),
                row.case.variant,
                size::human(row.case.params.block),
                size::human(1 << row.case.params.segment_log),
                row.ratio(),
                row.speed().unwrap_or(0.0),
                row.notes.join("; ").replace('|', "\\|"),
            )
            .expect("strings take everything");
        }
        if !record.small.is_empty() {
            let line = |cells: [String; 8]| format!("| {} |\n", cells.join(" | "));
            out += &format!("\n{}{}", line(small::COLUMNS.map(str::to_owned)), "|---".repeat(8));
            out += "|\n";
            out.extend(record.small.iter().map(|small| line(small.cells())));
        }
        for c in &record.comparisons {
            writeln!(
                out,
                "\n{} is {} than {}: {:.4} ({:.4} to {:.4})",
                c.candidate.case,
                c.verdict,
                c.baseline.case,
                c.ratio,
                c.interval.low,
                c.interval.high
            )
            .expect("strings take everything");
        }
        out.push('\n');
    }
    if !peers.is_empty() {
        out.push_str(
            "| peer | chunk | ratio | encode GB/s | decode GB/s |\n|---|---|---|---|---|\n",
        );
    }
    for Peer { name, chunk, ratio, encode, decode } in peers {
        let chunk = size::human(*chunk);
        writeln!(out, "| {name} | {chunk} | {ratio:.4} | {encode:.1} | {decode:.1} |")
            .expect("strings take everything");
    }
    out
}

fn rows(records: &[Record]) -> impl Iterator<Item = (&Record, &Row)> {
    records.iter().flat_map(|record| record.rows.iter().map(move |row| (record, row)))
}

fn fields(record: &Record, row: &Row) -> [String; COLUMNS.len()] {
    let params = &row.case.params;
    let interval = row.speed_interval();
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    [
        record.device.name.clone(),
        format!("{} {}", record.device.driver, record.device.driver_version),
        record.device.software.to_string(),
        record.revision.clone(),
        row.clock.to_string(),
        row.work(),
        row.case.variant.clone(),
        params.block.to_string(),
        params.segment_log.to_string(),
        params.table_log.map_or(String::new(), |log| log.to_string()),
        params.workgroup.map_or(String::new(), |size| size.to_string()),
        format!("{} {:#010x}", row.data.name, row.data.crc32c),
        number(Some(row.ratio())),
        number(row.speed()),
        number(interval.map(|i| i.low)),
        number(interval.map(|i| i.high)),
    ]
}

/// The same of a small input: its block is the whole of it, as far as the columns go.
fn small_fields(
    record: &Record,
    small: &Small,
    way: &str,
    samples: &[f64],
) -> [String; COLUMNS.len()] {
    let bytes = small.data.bytes as f64;
    let Interval { low, high } = median_interval(samples, small.confidence);
    let number = |value: f64| format!("{value:.4}");
    [
        record.device.name.clone(),
        format!("{} {}", record.device.driver, record.device.driver_version),
        record.device.software.to_string(),
        record.revision.clone(),
        "library".to_owned(),
        format!("{} {}", small.direction, small.pipeline),
        way.to_owned(),
        small.data.bytes.to_string(),
        String::new(),
        String::new(),
        String::new(),
        format!("{} {:#010x}", small.data.name, small.data.crc32c),
        number(small.ratio()),
        number(bytes / median(samples)),
        number(bytes / high),
        number(bytes / low),
    ]
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn csv_has_as_many_fields_in_each_line() {
        let peer = Peer {
            name: "ANS, theirs".to_owned(),
            chunk: 65536,
            ratio: 0.66,
            encode: 725.5,
            decode: 1104.6,
        };
        let text = csv(&[record()], &[peer]);
        let count = |line: &str| {
            let mut inside = false;
            let separators = line.chars().filter(|&c| {
                inside ^= c == '"';
                c == ',' && !inside
            });
            separators.count()
        };
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 1 + 3 + 3 + 2);
        assert!(lines.iter().all(|line| count(line) == COLUMNS.len() + 1), "{text}");
        assert!(lines[1].contains("\"a note, with \"\"quotes\"\" & <angles>\""), "{}", lines[1]);
    }

    #[test]
    fn markdown_says_what_is_software() {
        let mut record = record();
        assert!(!markdown(std::slice::from_ref(&record), &[]).contains("software"));
        record.device.software = true;
        let text = markdown(&[record], &[]);
        assert!(text.contains("software: no result") && text.contains("FASTER"), "{text}");
    }
}
