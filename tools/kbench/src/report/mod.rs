//! Records of one or several runs, and rows of peers, as a page, as CSV or as Markdown.

mod bars;
mod cells;
mod charts;
mod code;
mod export;
mod host;
mod inputs;
mod origins;
mod page;
mod panels;
mod peers;
mod views;

use std::{
    collections::BTreeSet,
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use charts::{Axes, Kind, Series};
use page::Page;
use peers::Peer;
use views::{Compared, Group};

use crate::{
    args::{self, Format, Usage},
    case::Param,
    clock::Clock,
    destination::Destination,
    record::Record,
    roofline::{self, Standing},
    variants::AUTO,
};

/// What is measured.
const SPEED: &str = "GB/s of raw bytes";

/// Writes the report that the arguments ask for.
pub fn run(args: &args::Report) -> Result<bool> {
    let destination = args.output.as_ref().map(|path| Destination::new(path, args.force));
    let destination = destination.transpose()?;
    let (records, peers) = read(&args.files)?;
    check_baseline(&records, &args.baseline)?;
    let text = match args.format {
        Format::Html => html(&records, &peers, &args.baseline)?,
        Format::Csv => export::csv(&records, &peers),
        Format::Markdown => export::markdown(&records, &peers),
    };
    match destination {
        Some(destination) => destination.write(&text)?,
        None => write!(stdout(), "{text}")?,
    }
    Ok(true)
}

/// JSON is ours; anything else must be rows of peers. What is in two files counts once.
fn read(files: &[PathBuf]) -> Result<(Vec<Record>, Vec<Peer>)> {
    let (mut records, mut peers) = (Vec::<Record>::new(), Vec::new());
    for (path, name) in files.iter().zip(names(files)) {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        if !text.trim_start().starts_with(['{', '[']) {
            let found = peers::parse(&text).with_context(|| path.display().to_string())?;
            peers
                .extend(found.into_iter().filter(|peer| !peers.contains(peer)).collect::<Vec<_>>());
            continue;
        }
        let mut record = Record::parse(&text).with_context(|| path.display().to_string())?;
        let same = records.iter().find(|known| {
            record.file.clone_from(&known.file);
            **known == record
        });
        if let Some(known) = same {
            eprintln!("kbench: {name} is the same record as {}: left out", known.file);
            continue;
        }
        record.file = name;
        records.push(record);
    }
    ensure!(!records.is_empty(), "none of the files is a record of kbench");
    Ok((records, peers))
}

/// The files' names; their paths where two have one name.
fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let alone =
        |path: &&PathBuf| files.iter().filter(|other| name(other) == name(path)).count() == 1;
    let text = |path: &PathBuf| {
        Some(path).filter(alone).and_then(name).unwrap_or_else(|| path.display().to_string())
    };
    files.iter().map(text).collect()
}

/// # Errors
/// The baseline that is asked for was not measured.
fn check_baseline(records: &[Record], baseline: &str) -> Result<()> {
    let rows = records.iter().flat_map(|record| &record.rows);
    let known: BTreeSet<&str> = rows.map(|row| row.case.variant.as_str()).collect();
    if baseline == AUTO || known.contains(baseline) {
        return Ok(());
    }
    let known = Vec::from_iter(known).join(", ");
    let message = format!("--baseline: no row is of the variant {baseline:?}; there are: {known}");
    Err(Usage(message).into())
}

fn html(records: &[Record], peers: &[Peer], baseline: &str) -> Result<String> {
    let mut page = Page::new("ranvil kernels");
    let mut before = None;
    for record in records {
        page.record(record, before);
        before = Some(record);
    }
    let (right, wrong): (Vec<Peer>, Vec<Peer>) =
        peers.iter().cloned().partition(|peer| peer.remark.is_none());
    page.wrong_peers(&wrong);
    speeds(&mut page, records, &right, baseline)?;
    host::section(&mut page, records, baseline)?;
    inputs::section(&mut page, records)?;
    for record in records {
        roof(&mut page, record)?;
    }
    stages(&mut page, records)?;
    differences(&mut page, records, baseline)?;
    records.iter().for_each(|record| page.tables(record));
    for record in records {
        code::section(&mut page, record)?;
    }
    page.peers(&right);
    Ok(page.finish())
}

/// Device-resident speed against whatever a sweep changed, against the block size where peers have one, and against ratio.
fn speeds(page: &mut Page, records: &[Record], peers: &[Peer], baseline: &str) -> Result<()> {
    let about = "Data in the device's memory, all kernels of the direction; medians.";
    for group in views::groups(records, Clock::Device) {
        let drawn = |coder: &Group<'_>, axis| {
            coder.goes_along(axis) || axis == Param::Block && !peers.is_empty()
        };
        let (swept, single): (Vec<_>, Vec<_>) =
            group.coders().partition(|coder| Param::ALL.into_iter().any(|p| drawn(coder, p)));
        for coder in &swept {
            for axis in Param::ALL.into_iter().filter(|&param| drawn(coder, param)) {
                let series = coder.against(axis, peers, baseline);
                let (work, label) = (coder.work(), views::label(axis));
                let crosses = crosses(&series, " Crosses are peers, whose chunk is a block.");
                page.chart(
                    &format!("{work}: speed against {label}{}", coder.place),
                    &format!("{about}{}{crosses}", coder.fixed(axis)),
                    &charts::points(views::axis(axis), &series, true)?,
                );
            }
        }
        let rows: Vec<_> = single.iter().flat_map(|coder| coder.rows.iter().copied()).collect();
        if !rows.is_empty() {
            let single = Group { rows, place: group.place.clone(), ..group };
            page.chart(
                &format!("{}: speed{}", single.direction, single.place),
                about,
                &bars::speeds(SPEED, &single.speeds(|_| None), "")?,
            );
        }
        let axes = Axes { x: "payload / raw", y: SPEED, ..Axes::default() };
        let series = group.ratios(peers, baseline);
        let crosses = crosses(&series, " Crosses are peers.");
        page.chart(
            &format!("{}: ratio against speed{}", group.direction, group.place),
            &format!("Data in the device's memory; a point for each case. Up and to the left is better.{crosses}"),
            &charts::points(axes, &series, false)?,
        );
    }
    Ok(())
}

/// What is to be said of a peer's crosses, where there are any.
fn crosses<'a>(series: &[Series], text: &'a str) -> &'a str {
    if series.iter().any(|one| one.kind == Kind::Peer) { text } else { "" }
}

fn roof(page: &mut Page, record: &Record) -> Result<()> {
    let Some(limits) = &record.limits else { return Ok(()) };
    let standings = record.standings();
    if standings.is_empty() {
        return Ok(());
    }
    let series = views::roof(&standings);
    let text = "The roof is what this device's memory and integer units do at most, measured; a bar of a kernel's colour is what shared \
                memory allows that kernel. A kernel's operations are the least that its algorithm needs: distance from the lowest of these \
                is what it does beyond that, or waits for.";
    let roofless = roofline::roofless(&record.rows);
    page.chart(
        &format!("Roofline of {}{}", record.device.label(), record.source()),
        &roofless.map_or(text.to_owned(), |none| format!("{text} {none}")),
        &charts::roofline(
            limits.copy / 1e9,
            limits.logic / 1e9,
            &series,
            &views::ceilings(&standings, &series),
        )?,
    );
    let cells: Vec<_> = standings.iter().map(Standing::cells).collect();
    page.grid(&roofline::COLUMNS, &cells);
    Ok(())
}

fn stages(page: &mut Page, records: &[Record]) -> Result<()> {
    for group in views::groups(records, Clock::Kernel) {
        for coder in group.coders() {
            let (kernels, bars) = coder.stages();
            page.chart(
                &format!("{}: where the time goes{}", coder.work(), coder.place),
                "Each kernel's own time for a raw byte, by timestamps around it.",
                &bars::stacked("picoseconds for a raw byte", &kernels, &bars)?,
            );
        }
    }
    Ok(())
}

fn differences(page: &mut Page, records: &[Record], baseline: &str) -> Result<()> {
    for Compared { place, ratios } in views::compared(records) {
        page.chart(
            &format!("Difference from the baseline, in turns{place}"),
            "Speed over that of the baseline, as kbench compare found it: measured in turns, with the interval of the ratio.",
            &bars::differences("times the baseline's speed", &ratios)?,
        );
    }
    for group in views::groups(records, Clock::Device) {
        for coder in group.coders() {
            let ratios = coder.differences(baseline);
            if !ratios.is_empty() {
                page.chart(
                    &format!("{}: difference from {baseline}{}", coder.work(), coder.place),
                    "Speed over that of the baseline with the same parameters. The two were measured one after the other, not in turns: \
                     the intervals are the widest that both allow. kbench compare says more surely which is faster.",
                    &bars::differences(&format!("times the speed of {baseline}"), &ratios)?,
                );
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::record;

    #[test]
    fn the_page_has_every_chart_and_fetches_nothing() {
        let peers = peers::parse("ANS\t65536\t1\t0.6626\t725.5\t1104.6").unwrap();
        let page = html(&[record()], &peers, "auto").unwrap();
        for heading in [
            "decode rans: speed against block size",
            "decode: ratio against speed",
            "Roofline of Some",
            "decode rans: where the time goes",
            "Difference from the baseline, in turns",
            "decode rans: difference from auto",
            "All rows",
            "Small inputs",
            "the device was lost",
            "upload",
            "limited by",
            "decode_rans: compiled code, Some",
            "encode rans: time against input size",
        ] {
            assert!(page.contains(heading), "no {heading}");
        }
        assert!(page.matches("<svg").count() >= 8);
        for fetched in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        assert!(page.contains("Some &lt;GPU&gt;") && !page.contains("Some <GPU>"));
        assert!(!page.contains("no result"));
    }

    #[test]
    fn what_was_not_swept_has_bars() {
        let mut record = record();
        let page = html(std::slice::from_ref(&record), &[], "auto").unwrap();
        assert!(page.contains("<h2>decode: speed<") && !page.contains("speed against block"));
        record.rows.push(record.rows[0].clone());
        record.rows[0].case.params.block = 1 << 16;
        let page = html(&[record], &[], "auto").unwrap();
        assert!(page.contains("speed against block size<") && !page.contains("decode: speed<"));
    }

    #[test]
    fn a_wrong_peer_is_named_and_not_drawn() {
        let text = "ANS\t65536\t1\t0.66\t725.5\t1104.6\nLZ4\t65536\t1\t0.55\t11.6\t79.4\tMISMATCH";
        let page = html(&[record()], &peers::parse(text).unwrap(), "auto").unwrap();
        assert!(page.contains("ANS (peer)") && !page.contains("LZ4 (peer)"));
        assert!(page.contains("LZ4") && page.contains("MISMATCH"), "it is not left out silently");
    }

    /// A chart of what reaches over too many decades never ends.
    #[test]
    fn what_is_just_allowed_is_drawn() {
        for (rate, time, bytes, coded) in
            [(1e3, 1e15, 1, 1 << 41), (1e18, 1e-3, 1 << 41, 1), (1e3, 1e-3, 1 << 41, 0)]
        {
            let mut record = record();
            record.limits.as_mut().unwrap().copy = rate;
            record.limits.as_mut().unwrap().logic = rate;
            record.limit_runs.clear();
            for row in &mut record.rows {
                (row.data.bytes, row.coded_bytes) = (bytes, coded);
                row.samples = vec![time; 3];
            }
            record.small[0].device = vec![time; 3];
            record.comparisons[0].interval.high = 1e9;
            let peers = peers::parse("ANS\t2199023255552\t1\t1e9\t1e-9\t1e9").unwrap();
            crate::check::record(&record).unwrap();
            assert!(html(&[record], &peers, "auto").unwrap().contains("<h2>Roofline"));
        }
    }

    #[test]
    fn crosses_are_explained_where_there_are_some() {
        let mut record = record();
        record.rows.truncate(1);
        record.rows.push(record.rows[0].clone());
        record.rows[1].case.params.segment_log = 12;
        let peers = peers::parse("ANS\t65536\t1\t0.6626\t725.5\t1104.6").unwrap();
        let page = html(&[record], &peers, "auto").unwrap();
        let charts: Vec<&str> = page.split("<h2>").filter(|part| part.contains("<svg")).collect();
        let segments = charts.iter().find(|chart| chart.contains("against segment length"));
        assert!(!segments.unwrap().contains("Crosses"), "it has none");
        for chart in charts {
            assert_eq!(chart.contains("Crosses"), chart.contains('✕'), "{chart}");
        }
    }

    #[test]
    fn an_incomplete_record_says_so() {
        let mut record = record();
        record.file = "some.json".to_owned();
        let ended = "Its run was ended before all of it was measured (some.json).";
        let page = |record: &Record| html(std::slice::from_ref(record), &[], "auto").unwrap();
        assert!(!page(&record).contains(ended));
        record.complete = false;
        assert!(page(&record).contains(ended));
    }

    #[test]
    fn files_are_called_by_their_names_where_these_tell_them_apart() {
        let files = ["a/x.json", "b/x.json", "b/y.json"].map(PathBuf::from);
        assert_eq!(names(&files), ["a/x.json", "b/x.json", "y.json"]);
    }

    #[test]
    fn a_software_record_says_so_first() {
        let mut record = record();
        record.device.software = true;
        let page = html(&[record], &[], "auto").unwrap();
        let (warning, chart) = (page.find("no result").unwrap(), page.find("<svg").unwrap());
        assert!(warning < chart);
        let unmarked = |line: &&str| line.starts_with("<h2>") && !line.contains("no result");
        assert_eq!(page.lines().find(unmarked), None, "a heading without a mark");
    }
}
