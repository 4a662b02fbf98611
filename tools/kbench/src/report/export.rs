//! Records as CSV and as Markdown.

use std::collections::BTreeMap;

use super::{cells, peers::Peer};
use crate::{
    case::{Direction, Param},
    compiled::{self, Compiled},
    limits::{self, Limit},
    record::{Comparison, Data, Device, Record, Row},
    roofline::{self, Standing},
    small::{self, Small},
    stats::{Interval, median, median_interval},
};

/// All of them; sizes are in bytes.
const COLUMNS: [&str; 38] = [
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
    // What a compiler tells of its code.
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
    // Of the other kind of limit; low and high are of what the line has.
    "gop_per_s",
    "spirv",
    // Of the whole record.
    "confidence",
    "complete",
    "file",
];

/// The columns of a form's figures.
const CODE: [&str; 10] = [
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

/// A line's fields by their columns.
type Fields = BTreeMap<&'static str, String>;

/// One line a row, RFC 4180. Of a comparison there are two: what they were compared with is in the notes. Limits and what could
/// not be measured have lines of their own, `limit` and `failed` for a clock.
pub fn csv(records: &[Record], peers: &[Peer]) -> String {
    let mut lines = Vec::new();
    for record in records {
        let limits =
            record.limits.iter().flat_map(|found| limits::lines(found, &record.limit_runs));
        lines.extend(limits.map(|limit| limit_fields(record, &limit)));
        lines.extend(record.rows.iter().map(|row| fields(record, row, None)));
        for comparison in &record.comparisons {
            lines.push(fields(record, &comparison.baseline, None));
            lines.push(fields(record, &comparison.candidate, Some(comparison)));
        }
        for small in &record.small {
            lines.extend(small.ways().map(|way| small_fields(record, small, way)));
        }
        lines.extend(record.compiled.iter().map(|form| code_fields(record, form)));
        lines.extend(record.failures.iter().map(|failure| failed_fields(record, failure)));
    }
    for peer in peers {
        lines.extend([Direction::Encode, Direction::Decode].map(|way| peer_fields(peer, way)));
    }
    let field = |line: &Fields, column: &str| quoted(line.get(column).map_or("", String::as_str));
    let line = |line: &Fields| COLUMNS.map(|column| field(line, column)).join(",") + "\r\n";
    COLUMNS.join(",") + "\r\n" + &lines.iter().map(line).collect::<String>()
}

/// Tables with what a reader wants first.
pub fn markdown(records: &[Record], peers: &[Peer]) -> String {
    let mut out = String::new();
    for record in records {
        let Device { name, driver, driver_version, software, .. } = &record.device;
        let software = if *software { " — **software: no result**" } else { "" };
        let revision = &record.revision;
        let source = record.source();
        out += &format!(
            "{name}, {driver} {driver_version}, revision {revision}{source}{software}\n\n"
        );
        if let Some(found) = &record.limits {
            for limit in limits::lines(found, &record.limit_runs) {
                out += &format!("- {limit}\n");
            }
            out.push('\n');
            let cells: Vec<_> = record.standings().iter().map(Standing::cells).collect();
            out += &grid(&roofline::COLUMNS, &cells);
            out += &roofline::roofless(&record.rows).map_or(String::new(), |text| text + "\n\n");
        }
        out += &grid(&cells::ROWS, &record.rows.iter().map(cells::row).collect::<Vec<_>>());
        out += &grid(&small::COLUMNS, &record.small.iter().map(Small::cells).collect::<Vec<_>>());
        let compiled = record.compiled.iter().map(Compiled::cells);
        out += &grid(&compiled::COLUMNS, &compiled.collect::<Vec<_>>());
        let comparisons = record.comparisons.iter().map(cells::comparison);
        out += &grid(&cells::COMPARISONS, &comparisons.collect::<Vec<_>>());
        if !record.complete {
            out += &format!("{}\n\n", cells::incomplete(record));
        }
        for failure in &record.failures {
            out += &format!("{}\n\n", cells::failure(record, failure));
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
fn place(record: &Record) -> Fields {
    let Device { name, driver, driver_version, software, .. } = &record.device;
    Fields::from([
        ("device", name.clone()),
        ("driver", format!("{driver} {driver_version}")),
        ("software", software.to_string()),
        ("revision", record.revision.clone()),
        ("complete", record.complete.to_string()),
        ("file", record.file.clone()),
    ])
}

/// Modules with their checksums.
fn spirv(modules: &[(String, u32)]) -> String {
    let text = |(name, crc32c): &(String, u32)| format!("{name} {crc32c:#010x}");
    modules.iter().map(text).collect::<Vec<_>>().join("; ")
}

fn data(data: &Data) -> [(&'static str, String); 2] {
    let Data { name, bytes, crc32c } = data;
    [("data", format!("{name} {crc32c:#010x}")), ("bytes", bytes.to_string())]
}

/// A rate, its interval and what is behind it.
fn figure(
    rate: &'static str,
    (value, Interval { low, high }): (f64, Interval),
    (samples, confidence): (&[f64], f64),
) -> [(&'static str, String); 5] {
    [
        (rate, number(value)),
        ("low", number(low)),
        ("high", number(high)),
        ("samples", samples.len().to_string()),
        ("confidence", confidence.to_string()),
    ]
}

fn limit_fields(record: &Record, limit: &Limit<'_>) -> Fields {
    let rate = if limit.unit == "B" { "gb_per_s" } else { "gop_per_s" };
    let mut fields = place(record);
    fields.extend([
        ("clock", "limit".to_owned()),
        ("variant", limit.name.to_owned()),
        (rate, number(limit.value)),
    ]);
    if let Some(run) = limit.run {
        fields.extend(figure(rate, (limit.value, run.interval()), (&run.samples, run.confidence)));
        fields.extend([("spirv", spirv(run.module.as_slice())), ("notes", run.notes.join("; "))]);
    }
    fields
}

fn failed_fields(record: &Record, failure: &str) -> Fields {
    let mut fields = place(record);
    fields.extend([("clock", "failed".to_owned()), ("notes", format!("not measured: {failure}"))]);
    fields
}

fn fields(record: &Record, row: &Row, compared: Option<&Comparison>) -> Fields {
    let params = &row.case.params;
    let forced = |param: Param| params.get(param).map_or(String::new(), |value| value.to_string());
    let mut notes = row.notes.clone();
    notes.extend(compared.map(|Comparison { baseline, ratio, interval, verdict, .. }| {
        let Interval { low, high } = interval;
        format!("{verdict}: {ratio:.4} ({low:.4} to {high:.4}) times {}", baseline.case)
    }));
    let mut fields = place(record);
    fields.extend([
        ("clock", row.clock.to_string()),
        ("direction", row.case.direction.to_string()),
        ("coder", row.case.coder.to_string()),
        ("kernel", row.kernel().to_owned()),
        ("variant", row.case.variant.clone()),
        ("block", params.block.to_string()),
        ("segment_log", params.segment_log.to_string()),
        ("table_log", forced(Param::TableLog)),
        ("workgroup", forced(Param::Workgroup)),
        ("ratio", number(row.ratio())),
        ("spirv", spirv(&row.modules)),
        ("notes", notes.join("; ")),
    ]);
    fields.extend(data(&row.data));
    if let (Some(speed), Some(interval)) = (row.speed(), row.speed_interval()) {
        fields.extend(figure("gb_per_s", (speed, interval), (&row.samples, row.confidence)));
    }
    fields
}

/// The same of a small input: its block is the whole of it, as far as the columns go.
fn small_fields(record: &Record, small: &Small, (way, samples): (&str, &[f64])) -> Fields {
    let bytes = small.data.bytes as f64;
    let Interval { low, high } = median_interval(samples, small.confidence);
    let speed = (bytes / median(samples), Interval { low: bytes / high, high: bytes / low });
    let notes = small.notes.iter().filter(|note| note.starts_with(way));
    let mut fields = place(record);
    fields.extend([
        ("clock", "library".to_owned()),
        ("direction", small.direction.to_string()),
        ("coder", small.pipeline.clone()),
        ("variant", way.to_owned()),
        ("block", small.data.bytes.to_string()),
        ("ratio", number(small.ratio())),
        ("spirv", if way == "cpu" { String::new() } else { spirv(&record.modules) }),
        ("notes", notes.cloned().collect::<Vec<_>>().join("; ")),
    ]);
    fields.extend(data(&small.data));
    fields.extend(figure("gb_per_s", speed, (samples, small.confidence)));
    fields
}

/// What a compiler makes of a kernel; nothing was timed.
fn code_fields(record: &Record, form: &Compiled) -> Fields {
    let mut fields = place(record);
    fields.extend([
        ("clock", "none".to_owned()),
        ("kernel", form.kernel.clone()),
        ("variant", form.variant.clone()),
        ("for", form.family.clone()),
        ("subgroup", form.wave.to_string()),
        ("spirv", format!("{:#010x}", form.module)),
    ]);
    match &form.figures {
        Ok(figures) => {
            let numbers = CODE.into_iter().zip(figures.numbers());
            fields.extend(numbers.filter_map(|(name, value)| Some((name, value?.to_string()))));
        }
        Err(error) => _ = fields.insert("notes", format!("rejected: {error}")),
    }
    fields
}

/// The same of a peer, as far as it is known: what its own program found wrong has no figures.
fn peer_fields(peer: &Peer, direction: Direction) -> Fields {
    let mut fields = Fields::from([
        ("clock", "device".to_owned()),
        ("direction", direction.to_string()),
        ("coder", peer.name.clone()),
        ("variant", "peer".to_owned()),
        ("block", peer.chunk.to_string()),
    ]);
    match &peer.remark {
        None => fields.extend([
            ("ratio", peer.ratio.to_string()),
            ("gb_per_s", peer.speed(direction).to_string()),
        ]),
        Some(remark) => _ = fields.insert("notes", format!("{remark}: it has no speed")),
    }
    fields
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
        // Limits, rows, a comparison, a small input's ways, code, a failure, a peer's directions.
        assert_eq!(lines.len(), 1 + 5 + 3 + 2 + 3 + 1 + 1 + 2);
        assert!(lines.iter().all(|line| count(line) == COLUMNS.len() - 1), "{text}");
        let code = lines.iter().find(|line| line.contains("navi31")).unwrap();
        let figures = ",navi31,32,900,222,24,128,3,18944,14,,,,,0x00000009,,true,";
        assert!(code.ends_with(figures), "{code}");
        assert!(lines[6].contains("\"a note, with \"\"quotes\"\" & <angles>\""), "{}", lines[6]);
    }

    /// The fields of the lines of a clock, by column.
    fn lines_of(
        record: Record,
        peers: &[Peer],
        clock: &str,
    ) -> Vec<BTreeMap<&'static str, String>> {
        let text = csv(&[record], peers).replace("memory, read", "memory; read");
        let text = text.replace("note, with", "note; with").replace('"', "");
        let line = |line: &str| -> BTreeMap<_, _> {
            COLUMNS.into_iter().zip(line.split(',').map(str::to_owned)).collect()
        };
        text.lines().map(line).filter(|line| line["clock"] == clock).collect()
    }

    #[test]
    fn csv_has_limits_failures_and_whether_a_record_is_whole() {
        let mut record = record();
        (record.complete, record.file) = (false, "l.json".to_owned());
        let limits = lines_of(record.clone(), &[], "limit");
        let rate = |at: usize| {
            let line = &limits[at];
            (line["variant"].as_str(), line["gb_per_s"].as_str(), line["gop_per_s"].as_str())
        };
        assert_eq!(rate(0), ("copy within the device's memory; read + write", "4000.0000", ""));
        assert_eq!(rate(4), ("32-bit shift and logic", "", "12000.0000"));
        assert_eq!((limits[0]["samples"].as_str(), limits[0]["low"].as_str()), ("3", "4000.0000"));
        assert_eq!(limits[0]["spirv"], "copy any 0x00000005");
        let failed = lines_of(record, &[], "failed");
        assert_eq!(failed[0]["notes"], "not measured: encode fse: the device was lost");
        assert_eq!(
            (failed[0]["complete"].as_str(), failed[0]["file"].as_str()),
            ("false", "l.json")
        );
    }

    #[test]
    fn a_wrong_peer_has_no_speed_anywhere() {
        let text = "LZ4\t65536\t1\t0.5511\t11.6\t79.4\tMISMATCH";
        let peers = crate::report::peers::parse(text).unwrap();
        let lines = lines_of(record(), &peers, "device");
        let wrong: Vec<_> = lines.iter().filter(|line| line["coder"] == "LZ4").collect();
        assert_eq!(wrong.len(), 2);
        for line in wrong {
            assert_eq!((line["gb_per_s"].as_str(), line["ratio"].as_str()), ("", ""));
            assert_eq!(line["notes"], "MISMATCH: it has no speed");
        }
        let text = markdown(&[record()], &peers);
        assert!(text.contains("| LZ4 | 64 KiB | - | - | - | MISMATCH |"), "{text}");
    }

    #[test]
    fn a_baseline_is_named_by_what_differs() {
        let mut record = record();
        let text = markdown(std::slice::from_ref(&record), &[]);
        assert!(text.contains("segments of 16 KiB | auto | FASTER |"), "{text}");
        record.comparisons[0].baseline.case.params.block = 1 << 16;
        let text = markdown(&[record], &[]);
        assert!(text.contains(
            "| decode rans auto, 1 GiB, blocks of 64 KiB, segments of 16 KiB | FASTER |"
        ));
    }

    #[test]
    fn markdown_says_what_is_incomplete() {
        let mut record = record();
        let ended = "Its run was ended before all of it was measured (some.json).";
        record.file = "some.json".to_owned();
        assert!(!markdown(std::slice::from_ref(&record), &[]).contains(ended));
        record.complete = false;
        assert!(markdown(&[record], &[]).contains(ended));
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
