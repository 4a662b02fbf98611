//! Records of one or several runs, and rows of peers, as a page, as CSV or as Markdown.

mod bars;
mod cells;
mod charts;
mod code;
mod export;
mod host;
mod inputs;
mod page;
mod panels;
mod peers;
mod views;

use std::{
    fs,
    io::{Write, stdout},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use charts::Axes;
use page::Page;
use peers::Peer;
use views::Group;

use crate::{
    args::{self, Format},
    case::Param,
    clock::Clock,
    destination::Destination,
    record::Record,
    roofline::{self, Standing},
};

/// What is measured.
const SPEED: &str = "GB/s of raw bytes";

/// Writes the report that the arguments ask for.
pub fn run(args: &args::Report) -> Result<bool> {
    let destination = args.output.as_ref().map(|path| Destination::new(path, args.force));
    let destination = destination.transpose()?;
    let (records, peers) = read(&args.files)?;
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

/// JSON is ours; anything else must be rows of peers.
fn read(files: &[PathBuf]) -> Result<(Vec<Record>, Vec<Peer>)> {
    let (mut records, mut peers) = (Vec::new(), Vec::new());
    for path in files {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).with_context(name)?;
        if text.trim_start().starts_with(['{', '[']) {
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
                let crosses = if peers.is_empty() {
                    ""
                } else {
                    " Crosses are peers, whose chunk is a block."
                };
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
        page.chart(
            &format!("{}: ratio against speed{}", group.direction, group.place),
            "Data in the device's memory; a point for each case. Up and to the left is better.",
            &charts::points(axes, &group.ratios(peers, baseline), false)?,
        );
    }
    Ok(())
}

fn roof(page: &mut Page, record: &Record) -> Result<()> {
    let Some(limits) = &record.limits else { return Ok(()) };
    let standings: Vec<Standing> =
        record.rows.iter().filter_map(|row| Standing::of(row, limits)).collect();
    if standings.is_empty() {
        return Ok(());
    }
    page.chart(
        &format!("Roofline of {}", record.device.label()),
        "The roof is what this device's memory and integer units do at most, measured. A kernel's operations are the least that \
         its algorithm needs: distance from the roof is what it does beyond that, or waits for.",
        &charts::roofline(limits.copy / 1e9, limits.logic / 1e9, &views::roof(&standings))?,
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
    for (device, ratios) in views::compared(records) {
        page.chart(
            &format!("Difference from the baseline, in turns, on {device}"),
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

    #[test]
    fn an_incomplete_record_says_so() {
        let mut record = record();
        let page = |record: &Record| html(std::slice::from_ref(record), &[], "auto").unwrap();
        assert!(!page(&record).contains(cells::INCOMPLETE));
        record.complete = false;
        assert!(page(&record).contains(cells::INCOMPLETE));
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
