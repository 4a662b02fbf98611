//! The HTML page: one file, nothing fetched.

use std::fmt::Write;

use super::charts::Chart;
use crate::{
    record::{Record, Row},
    size, small,
};

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;color:#222;max-width:1180px;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em}h2{font-size:1.2em;margin:2em 0 .4em}\
figure{margin:0;display:flex;gap:1.2em;align-items:flex-start;flex-wrap:wrap}\
figure svg{max-width:100%;height:auto}\
figcaption{flex:1 1 14em;font-size:13px}figcaption ul{list-style:none;padding:0;margin:.5em 0}\
i{display:inline-block;width:.8em;height:.8em;margin-right:.5em;border-radius:2px}\
table{border-collapse:collapse;font-size:13px}td,th{padding:.15em .7em;text-align:right;border-bottom:1px solid #ddd}\
td:nth-child(-n+3),th:nth-child(-n+3),td:last-child,th:last-child{text-align:left}\
.software{background:#fde8e0;border:1px solid #d55e00;padding:.7em 1em}.note{color:#a33}";

/// A page being written.
pub struct Page(String);

impl Page {
    pub fn new(title: &str) -> Self {
        let title = escaped(title);
        Self(format!(
            "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n"
        ))
    }

    /// What was measured on what.
    pub fn record(&mut self, record: &Record) {
        let device = &record.device;
        let subgroup = device.subgroup.map_or("none".to_owned(), |size| size.to_string());
        self.push(format!(
            "<p><b>{}</b>, {} {}, subgroups of {subgroup}; {}, revision {}</p>\n",
            escaped(&device.name),
            escaped(&device.driver),
            escaped(&device.driver_version),
            escaped(&record.tool),
            escaped(&record.revision),
        ));
        if device.software {
            self.push("<p class=\"software\">This device runs on the CPU. Its speed says nothing about any GPU: these figures are no result.</p>\n".to_owned());
        }
    }

    /// A chart under a heading, with a sentence on how to read it.
    pub fn chart(&mut self, heading: &str, text: &str, chart: &Chart) {
        let mut legend = String::new();
        for (colour, name) in &chart.legend {
            write!(legend, "<li><i style=\"background:{colour}\"></i>{}</li>", escaped(name))
                .expect("strings take everything");
        }
        self.push(format!(
            "<h2>{}</h2>\n<figure>{}<figcaption>{}<ul>{legend}</ul></figcaption></figure>\n",
            escaped(heading),
            chart.svg,
            escaped(text),
        ));
    }

    /// All rows.
    pub fn table(&mut self, record: &Record) {
        self.push(format!(
            "<h2>All rows of {}</h2>\n<table><tr><th>clock<th>work<th>variant<th>block<th>segment<th>table log<th>workgroup<th>ratio<th>GB/s<th>interval<th>samples<th>notes</tr>\n",
            escaped(&record.device.name)
        ));
        for row in &record.rows {
            self.row(row);
        }
        self.push("</table>\n".to_owned());
        if !record.small.is_empty() {
            let row = |tag: &str, cells: [String; 8]| {
                format!("<tr><{tag}>{}</tr>\n", cells.join(&format!("<{tag}>")))
            };
            self.push(format!(
                "<h2>Small inputs</h2>\n<table>{}",
                row("th", small::COLUMNS.map(str::to_owned))
            ));
            record.small.iter().for_each(|small| self.push(row("td", small.cells())));
            self.push("</table>\n".to_owned());
        }
        for c in &record.comparisons {
            self.push(format!(
                "<p>{} is <b>{}</b> than {}: {:.4} times its speed ({:.4} to {:.4})</p>\n",
                escaped(&c.candidate.case.to_string()),
                c.verdict,
                escaped(&c.baseline.case.to_string()),
                c.ratio,
                c.interval.low,
                c.interval.high
            ));
        }
    }

    fn row(&mut self, row: &Row) {
        let params = &row.case.params;
        let auto = |value: Option<u32>| value.map_or("auto".to_owned(), |value| value.to_string());
        let (low, high) = row.speed_interval().map_or((0.0, 0.0), |i| (i.low, i.high));
        self.push(format!(
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{:.4}<td>{:.2}<td>{low:.2} to {high:.2}<td>{}<td class=\"note\">{}</tr>\n",
            row.clock,
            escaped(&row.work()),
            escaped(&row.case.variant),
            size::human(params.block),
            size::human(1 << params.segment_log),
            auto(params.table_log.map(u32::from)),
            auto(params.workgroup),
            row.ratio(),
            row.speed().unwrap_or(0.0),
            row.samples.len(),
            escaped(&row.notes.join("; ")),
        ));
    }

    fn push(&mut self, html: String) {
        self.0.push_str(&html);
    }

    pub fn finish(mut self) -> String {
        self.0.push_str("</html>\n");
        self.0
    }
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
