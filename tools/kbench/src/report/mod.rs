//! Records of one or several runs, and rows of peers, as a page, as CSV or as Markdown.

mod charts;
mod export;
mod page;
mod peers;

use std::{
    collections::BTreeMap,
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use charts::{Axes, Series};
use page::Page;
use peers::Peer;

use crate::{
    args::{self, Format},
    case::Direction,
    clock::Clock,
    record::{Record, Row},
    roofline::Standing,
    size,
};

/// Writes the report that the arguments ask for.
pub fn run(args: &args::Report) -> Result<bool> {
    let (records, peers) = read(&args.files)?;
    let text = match args.format {
        Format::Html => html(&records, &peers, &args.baseline)?,
        Format::Csv => export::csv(&records, &peers),
        Format::Markdown => export::markdown(&records, &peers),
    };
    match &args.output {
        Some(path) => fs::write(path, text).with_context(|| path.display().to_string())?,
        None => write!(stdout(), "{text}")?,
    }
    Ok(true)
}

/// JSON is ours; anything else must be rows of peers.
fn read(files: &[PathBuf]) -> Result<(Vec<Record>, Vec<Peer>)> {
    let (mut records, mut peers) = (Vec::new(), Vec::new());
    for path in files {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(name)?;
        if text.trim_start().starts_with('{') {
            records.push(Record::parse(&text).with_context(name)?);
        } else {
            peers.extend(peers::parse(&text).with_context(name)?);
        }
    }
    ensure!(!records.is_empty(), "none of the files is a record of kbench");
    Ok((records, peers))
}

fn html(records: &[Record], peers: &[Peer], baseline: &str) -> Result<String> {
    let mut page = Page::new("ranvil kernels");
    records.iter().for_each(|record| page.record(record));
    for direction in [Direction::Encode, Direction::Decode] {
        let series = against_block_size(records, peers, direction);
        if !series.is_empty() {
            let axes = Axes { x: "block", y: "GB/s of raw bytes", doubling: true };
            page.chart(
                &format!("{direction}: speed against block size"),
                "Device-resident, all kernels of the direction; medians. Crosses are peers, whose chunk is a block.",
                &charts::points(axes, &series, true)?,
            );
        }
        let series = ratio_and_speed(records, peers, direction);
        if !series.is_empty() {
            let axes = Axes { x: "payload / raw", y: "GB/s of raw bytes", doubling: false };
            page.chart(
                &format!("{direction}: ratio against speed"),
                "Device-resident. Up and to the left is better.",
                &charts::points(axes, &series, false)?,
            );
        }
    }
    for record in records {
        roof(&mut page, record)?;
        stages(&mut page, record)?;
        differences(&mut page, record, baseline)?;
    }
    records.iter().for_each(|record| page.table(record));
    Ok(page.finish())
}

/// Device-resident rows of a direction.
fn device_rows(records: &[Record], direction: Direction) -> impl Iterator<Item = &Row> {
    let rows = records.iter().flat_map(|record| &record.rows);
    rows.filter(move |row| row.clock == Clock::Device && row.case.direction == direction)
}

/// Everything of a case but the block size.
fn but_block(row: &Row) -> String {
    let params = &row.case.params;
    let mut name = format!("{} {}", row.case.coder, row.case.variant);
    name += &format!(", segments of {}", size::human(1 << params.segment_log));
    if let Some(log) = params.table_log {
        name += &format!(", log {log}");
    }
    if let Some(size) = params.workgroup {
        name += &format!(", workgroups of {size}");
    }
    name
}

fn collect(
    points: impl Iterator<Item = (String, (f64, f64))>,
    peers: impl Iterator<Item = (String, (f64, f64))>,
) -> Vec<Series> {
    let mut all: BTreeMap<(bool, String), Vec<(f64, f64)>> = BTreeMap::new();
    let peers = peers.map(|(name, point)| (format!("{name} (peer)"), point));
    for (peer, (name, point)) in points.map(|p| (false, p)).chain(peers.map(|p| (true, p))) {
        all.entry((peer, name)).or_default().push(point);
    }
    let series = all.into_iter().map(|((peer, name), mut points)| {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name, points, peer }
    });
    series.collect()
}

fn peer_speed(peer: &Peer, direction: Direction) -> f64 {
    match direction {
        Direction::Encode => peer.encode,
        Direction::Decode => peer.decode,
    }
}

fn against_block_size(records: &[Record], peers: &[Peer], direction: Direction) -> Vec<Series> {
    let ours = device_rows(records, direction).filter_map(|row| {
        let block = (row.case.params.block as f64).log2();
        Some((but_block(row), (block, row.speed()?)))
    });
    let theirs = peers
        .iter()
        .map(|peer| (peer.name.clone(), ((peer.chunk as f64).log2(), peer_speed(peer, direction))));
    collect(ours, theirs)
}

fn ratio_and_speed(records: &[Record], peers: &[Peer], direction: Direction) -> Vec<Series> {
    let ours = device_rows(records, direction)
        .filter_map(|row| Some((but_block(row), (row.ratio(), row.speed()?))));
    let theirs =
        peers.iter().map(|peer| (peer.name.clone(), (peer.ratio, peer_speed(peer, direction))));
    collect(ours, theirs)
}

fn roof(page: &mut Page, record: &Record) -> Result<()> {
    let Some(limits) = &record.limits else { return Ok(()) };
    let standings: Vec<Standing> =
        record.rows.iter().filter_map(|row| Standing::of(row, limits)).collect();
    if standings.is_empty() {
        return Ok(());
    }
    let point = |s: &Standing| (format!("{} {}", s.kernel, s.variant), (s.intensity, s.operations));
    let series = collect(standings.iter().map(point), std::iter::empty());
    page.chart(
        "Roofline",
        "The roof is what this device's memory and integer units do at most, measured. A kernel's operations are the least that \
         its algorithm needs: distance from the roof is what it does beyond that, or waits for.",
        &charts::roofline(limits.copy / 1e9, limits.logic / 1e9, &series)?,
    );
    Ok(())
}

/// A name for each bar, kept short.
fn short(row: &Row) -> String {
    let block = size::human(row.case.params.block);
    format!("{} {} {} {block}", row.case.direction, row.case.coder, row.case.variant)
}

fn stages(page: &mut Page, record: &Record) -> Result<()> {
    let rows = || record.rows.iter().filter(|row| row.clock == Clock::Kernel);
    let mut kernels: Vec<String> = Vec::new();
    for kernel in rows().filter_map(|row| row.kernel.as_ref()) {
        if !kernels.contains(kernel) {
            kernels.push(kernel.clone());
        }
    }
    let mut bars: Vec<(String, Vec<f64>)> = Vec::new();
    for row in rows() {
        let (Some(kernel), Some(time)) = (&row.kernel, row.time()) else { continue };
        let name = short(row);
        if bars.iter().all(|(known, _)| *known != name) {
            bars.push((name.clone(), vec![0.0; kernels.len()]));
        }
        let part = kernels.iter().position(|known| known == kernel).expect("collected above");
        let bar = bars.iter_mut().find(|(known, _)| *known == name).expect("pushed above");
        // Picoseconds a byte, so that cases of different sizes stand side by side.
        bar.1[part] = 1000.0 * time / row.data.bytes as f64;
    }
    if !bars.is_empty() {
        page.chart(
            "Where the time goes",
            "Each kernel's own time for a raw byte, by timestamps around it.",
            &charts::stacked("picoseconds for a raw byte", &kernels, &bars)?,
        );
    }
    Ok(())
}

fn differences(page: &mut Page, record: &Record, baseline: &str) -> Result<()> {
    let mut ratios = Vec::new();
    for c in &record.comparisons {
        let name = short(&c.candidate);
        ratios.push((name, c.ratio, c.interval.low..c.interval.high));
    }
    let device = || record.rows.iter().filter(|row| row.clock == Clock::Device);
    for row in device().filter(|row| row.case.variant != baseline) {
        let mut wanted = row.case.clone();
        wanted.variant = baseline.to_owned();
        let Some(base) = device().find(|row| row.case == wanted) else { continue };
        let (Some(own), Some(its)) = (row.speed_interval(), base.speed_interval()) else {
            continue;
        };
        let (Some(speed), Some(before)) = (row.speed(), base.speed()) else { continue };
        // The two were not measured in turns: the widest that both intervals allow.
        ratios.push((short(row), speed / before, own.low / its.high..own.high / its.low));
    }
    if !ratios.is_empty() {
        page.chart(
            "Difference from the baseline",
            "Speed over that of the baseline, with intervals. Those of `kbench compare` were measured in turns; others one after \
             the other, and their intervals are wider for it.",
            &charts::differences("times the baseline's speed", &ratios)?,
        );
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
            "decode: speed against block size",
            "encode: ratio against speed",
            "Roofline",
            "Where the time goes",
            "Difference from the baseline",
            "All rows",
            "Small inputs",
        ] {
            assert!(page.contains(heading), "no {heading}");
        }
        assert!(page.matches("<svg").count() >= 6);
        for fetched in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(fetched), "{fetched}");
        }
        assert!(page.contains("Some &lt;GPU&gt;") && !page.contains("Some <GPU>"));
        assert!(!page.contains("no result"));
    }

    #[test]
    fn a_software_record_says_so_first() {
        let mut record = record();
        record.device.software = true;
        let page = html(&[record], &[], "auto").unwrap();
        let (warning, chart) = (page.find("no result").unwrap(), page.find("<svg").unwrap());
        assert!(warning < chart);
    }
}
