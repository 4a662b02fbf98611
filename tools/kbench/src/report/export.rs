//! Records as CSV and as Markdown.

use std::fmt::Write;

use super::{cells, peers::Peer};
use crate::{
    case::{Direction, Param},
    limits,
    record::{Comparison, Device, Record, Row},
    roofline::{self, Standing},
    small::{self, Small},
    stats::{Interval, median, median_interval},
};

const COLUMNS: [&str; 21] = [
    "device",
    "driver",
    "software",
    "revision",
    "clock",
    "direction",
    "coder",
    "kernel",
    "variant",
    "block",
    "segment_log",
    "table_log",
    "workgroup",
    "data",
    "bytes",
    "ratio",
    "gb_per_s",
    "low",
    "high",
    "samples",
    "notes",
];

/// One line a row, RFC 4180. Of a comparison there are two: what they were compared with is in the notes.
pub fn csv(records: &[Record], peers: &[Peer]) -> String {
    let mut out = String::new();
    let mut line = |fields: &[String]| {
        let quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        write!(out, "{}\r\n", quoted.join(",")).expect("strings take everything");
    };
    line(&COLUMNS.map(str::to_owned));
    for record in records {
        record.rows.iter().for_each(|row| line(&fields(record, row, None)));
        for comparison in &record.comparisons {
            line(&fields(record, &comparison.baseline, None));
            line(&fields(record, &comparison.candidate, Some(comparison)));
        }
        for small in &record.small {
            small.ways().iter().for_each(|&way| line(&small_fields(record, small, way)));
        }
    }
    for peer in peers {
        for direction in [Direction::Encode, Direction::Decode] {
            line(&peer_fields(peer, direction));
        }
    }
    out
}

/// Tables with what a reader wants first.
pub fn markdown(records: &[Record], peers: &[Peer]) -> String {
    let mut out = String::new();
    for record in records {
        let Device { name, driver, driver_version, software, .. } = &record.device;
        let software = if *software { " — **software: no result**" } else { "" };
        let revision = &record.revision;
        out += &format!("{name}, {driver} {driver_version}, revision {revision}{software}\n\n");
        if let Some(found) = &record.limits {
            for (name, value, unit) in limits::lines(found) {
                out += &format!("- {name}: {value:.1} G{unit}/s\n");
            }
            out.push('\n');
            let standings = record.rows.iter().filter_map(|row| Standing::of(row, found));
            let cells: Vec<_> = standings.map(|standing| standing.cells()).collect();
            out += &grid(&roofline::COLUMNS, &cells);
        }
        out += &grid(&cells::ROWS, &record.rows.iter().map(cells::row).collect::<Vec<_>>());
        out += &grid(&small::COLUMNS, &record.small.iter().map(Small::cells).collect::<Vec<_>>());
        let comparisons = record.comparisons.iter().map(cells::comparison);
        out += &grid(&cells::COMPARISONS, &comparisons.collect::<Vec<_>>());
        if !record.complete {
            out += &format!("{}\n\n", cells::INCOMPLETE);
        }
        for failure in &record.failures {
            out += &format!("Not measured: {failure}\n\n");
        }
    }
    out + &grid(&cells::PEERS, &peers.iter().map(cells::peer).collect::<Vec<_>>())
}

/// A table, if it has rows.
fn grid<const N: usize>(columns: &[&str; N], rows: &[[String; N]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let line = |cells: &[String; N]| {
        let cells = cells.each_ref().map(|cell| cell.replace('|', "\\|"));
        format!("| {} |\n", cells.join(" | "))
    };
    let head = line(&columns.map(str::to_owned)) + &"|---".repeat(N) + "|\n";
    rows.iter().fold(head, |text, row| text + &line(row)) + "\n"
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

/// What is the same for all rows of a record.
fn place(record: &Record) -> [String; 4] {
    let Device { name, driver, driver_version, software, .. } = &record.device;
    let driver = format!("{driver} {driver_version}");
    [name.clone(), driver, software.to_string(), record.revision.clone()]
}

fn fields(record: &Record, row: &Row, compared: Option<&Comparison>) -> [String; COLUMNS.len()] {
    let params = &row.case.params;
    let interval = row.speed_interval();
    let figure = |value: Option<f64>| value.map(number).unwrap_or_default();
    let forced = |param: Param| params.get(param).map_or(String::new(), |value| value.to_string());
    let mut notes = row.notes.clone();
    notes.extend(compared.map(|Comparison { baseline, ratio, interval, verdict, .. }| {
        let Interval { low, high } = interval;
        format!("{verdict}: {ratio:.4} ({low:.4} to {high:.4}) times {}", baseline.case)
    }));
    let [device, driver, software, revision] = place(record);
    [
        device,
        driver,
        software,
        revision,
        row.clock.to_string(),
        row.case.direction.to_string(),
        row.case.coder.to_string(),
        row.kernel().to_owned(),
        row.case.variant.clone(),
        params.block.to_string(),
        params.segment_log.to_string(),
        forced(Param::TableLog),
        forced(Param::Workgroup),
        format!("{} {:#010x}", row.data.name, row.data.crc32c),
        row.data.bytes.to_string(),
        number(row.ratio()),
        figure(row.speed()),
        figure(interval.map(|i| i.low)),
        figure(interval.map(|i| i.high)),
        row.samples.len().to_string(),
        notes.join("; "),
    ]
}

/// The same of a small input: its block is the whole of it, as far as the columns go.
fn small_fields(
    record: &Record,
    small: &Small,
    (way, samples): (&str, &[f64]),
) -> [String; COLUMNS.len()] {
    let bytes = small.data.bytes as f64;
    let Interval { low, high } = median_interval(samples, small.confidence);
    let [device, driver, software, revision] = place(record);
    [
        device,
        driver,
        software,
        revision,
        "library".to_owned(),
        small.direction.to_string(),
        small.pipeline.clone(),
        String::new(),
        way.to_owned(),
        small.data.bytes.to_string(),
        String::new(),
        String::new(),
        String::new(),
        format!("{} {:#010x}", small.data.name, small.data.crc32c),
        small.data.bytes.to_string(),
        number(small.ratio()),
        number(bytes / median(samples)),
        number(bytes / high),
        number(bytes / low),
        samples.len().to_string(),
        String::new(),
    ]
}

/// The same of a peer, as far as it is known.
fn peer_fields(peer: &Peer, direction: Direction) -> [String; COLUMNS.len()] {
    COLUMNS.map(|column| match column {
        "clock" => "device".to_owned(),
        "direction" => direction.to_string(),
        "coder" => peer.name.clone(),
        "variant" => "peer".to_owned(),
        "block" => peer.chunk.to_string(),
        "ratio" => peer.ratio.to_string(),
        "gb_per_s" => peer.speed(direction).to_string(),
        "notes" => peer.remark.clone().unwrap_or_default(),
        _ => String::new(),
    })
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
            remark: None,
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
        assert_eq!(lines.len(), 1 + 3 + 2 + 3 + 2);
        assert!(lines.iter().all(|line| count(line) == COLUMNS.len() - 1), "{text}");
        assert!(lines[1].contains("\"a note, with \"\"quotes\"\" & <angles>\""), "{}", lines[1]);
    }

    #[test]
    fn markdown_says_what_is_incomplete() {
        let mut record = record();
        assert!(!markdown(std::slice::from_ref(&record), &[]).contains(cells::INCOMPLETE));
        record.complete = false;
        assert!(markdown(&[record], &[]).contains(cells::INCOMPLETE));
    }

    #[test]
    fn markdown_says_what_is_software() {
        let mut record = record();
        assert!(!markdown(std::slice::from_ref(&record), &[]).contains("software"));
        record.device.software = true;
        let text = markdown(&[record], &[]);
        assert!(text.contains("- upload: 50.0 GB/s") && text.contains("the device was lost"));
        assert!(text.contains("software: no result") && text.contains("FASTER"), "{text}");
    }
}
