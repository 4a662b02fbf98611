//! Records as CSV and as Markdown.

use std::fmt::Write;

use super::{cells, peers::Peer};
use crate::{
    case::{Direction, Param},
    compiled::{self, Compiled, Figures},
    limits,
    record::{Comparison, Device, Record, Row},
    roofline::{self, Standing},
    small::{self, Small},
    stats::{Interval, median, median_interval},
};

/// Of what was measured.
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

/// Of what a compiler tells of its code, behind the others; sizes are in bytes.
const CODE: [&str; 12] = [
    "for",
    "subgroup",
    "instructions",
    "hot_loop",
    "vgprs",
    "sgprs",
    "spills",
    "shared",
    "occupancy",
    "code",
    "latency",
    "inverse_throughput",
];

/// One line a row, RFC 4180. Of a comparison there are two: what they were compared with is in the notes.
pub fn csv(records: &[Record], peers: &[Peer]) -> String {
    let mut out = String::new();
    let mut line = |fields: &[String]| {
        let mut quoted: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
        quoted.resize(COLUMNS.len() + CODE.len(), String::new());
        write!(out, "{}\r\n", quoted.join(",")).expect("strings take everything");
    };
    line(&COLUMNS.iter().chain(&CODE).map(ToString::to_string).collect::<Vec<_>>());
    for record in records {
        record.rows.iter().for_each(|row| line(&fields(record, row, None)));
        for comparison in &record.comparisons {
            line(&fields(record, &comparison.baseline, None));
            line(&fields(record, &comparison.candidate, Some(comparison)));
        }
        for small in &record.small {
            small.ways().iter().for_each(|&way| line(&small_fields(record, small, way)));
        }
        record.compiled.iter().for_each(|form| line(&code_fields(record, form)));
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
        let compiled = record.compiled.iter().map(Compiled::cells);
        out += &grid(&compiled::COLUMNS, &compiled.collect::<Vec<_>>());
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

/// What a compiler makes of a kernel; nothing was timed.
fn code_fields(record: &Record, form: &Compiled) -> Vec<String> {
    let [device, driver, software, revision] = place(record);
    let notes = match &form.figures {
        Err(error) => format!("rejected: {error}"),
        Ok(_) => format!("SPIR-V {:#010x}", form.module),
    };
    let fields = COLUMNS.map(|column| match column {
        "device" => device.clone(),
        "driver" => driver.clone(),
        "software" => software.clone(),
        "revision" => revision.clone(),
        "clock" => "none".to_owned(),
        "kernel" => form.kernel.clone(),
        "variant" => form.variant.clone(),
        "notes" => notes.clone(),
        _ => String::new(),
    });
    let numbers = form.figures.as_ref().map_or([None; 10], Figures::numbers);
    let numbers = numbers.map(|value| value.map_or(String::new(), |value| value.to_string()));
    [&fields[..], &[form.family.clone(), form.wave.to_string()], &numbers].concat()
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
        assert_eq!(lines.len(), 1 + 3 + 2 + 3 + 1 + 2);
        let columns = COLUMNS.len() + CODE.len();
        assert!(lines.iter().all(|line| count(line) == columns - 1), "{text}");
        let code = lines.iter().find(|line| line.contains("navi31")).unwrap();
        assert!(code.ends_with(",navi31,32,900,222,24,128,3,18944,14,,,"), "{code}");
        assert!(lines[1].contains("\"a note, with \"\"quotes\"\" & <angles>\""), "{}", lines[1]);
    }

    #[test]
    fn a_baseline_is_named_by_what_differs() {
        let mut record = record();
        let text = markdown(std::slice::from_ref(&record), &[]);
        assert!(text.contains("segments of 16 KiB | auto | FASTER |"), "{text}");
        record.comparisons[0].baseline.case.params.block = 1 << 16;
        let text = markdown(&[record], &[]);
        assert!(
            text.contains("| decode rans auto, blocks of 64 KiB, segments of 16 KiB | FASTER |")
        );
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
        assert!(text.contains("| decode_rans | subgroup32 | navi31 | 32 | 900 | 222 |"), "{text}");
        assert!(text.contains("software: no result") && text.contains("FASTER"), "{text}");
    }
}
