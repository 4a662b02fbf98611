//! The HTML page: one file, nothing fetched.

use std::fmt::Write;

use super::{
    cells,
    charts::{Chart, Key},
    peers::Peer,
};
use crate::{limits, record::Record, size, small};

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;color:#222;background:#fff;color-scheme:light;max-width:1180px;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em}h2{font-size:1.2em;margin:2em 0 .4em}\
figure{margin:0;display:flex;gap:1.2em;align-items:flex-start;flex-wrap:wrap}\
figure svg{max-width:100%;height:auto}\
figcaption{flex:1 1 14em;font-size:13px}figcaption ul{list-style:none;padding:0;margin:.5em 0}\
i{display:inline-block;width:1.4em;font-style:normal}\
table{display:block;overflow-x:auto;border-collapse:collapse;font-size:13px;margin:.5em 0}td,th{padding:.15em .5em;text-align:right;border-bottom:1px solid #ddd}\
td:nth-child(-n+2),th:nth-child(-n+2),td:last-child,th:last-child{text-align:left}td{white-space:nowrap}.below td{white-space:normal;text-align:left;color:#a33;padding-left:2em}.below div{position:sticky;left:2em;width:fit-content;max-width:70em}tr:has(+.below) td{border-bottom:none}\
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

    /// What was measured on what, and what failed; the device only if it is not that of the record before.
    pub fn record(&mut self, record: &Record, before: Option<&Record>) {
        let device = &record.device;
        let same = |before: &Record| before.device == *device && before.revision == record.revision;
        if !before.is_some_and(same) {
            self.device(record);
        }
        if let Some(found) = &record.limits {
            let limits = limits::lines(found, &record.limit_runs);
            let limits: Vec<String> = limits.iter().map(|l| escaped(&l.to_string())).collect();
            let file = escaped(&record.source());
            self.push(format!(
                "<p>At most{file}:</p>\n<ul><li>{}</li></ul>\n",
                limits.join("</li><li>")
            ));
        }
        if !record.complete {
            self.note(&cells::incomplete(record));
        }
        for failure in &record.failures {
            self.note(&cells::failure(record, failure));
        }
    }

    fn device(&mut self, record: &Record) {
        let device = &record.device;
        let subgroup = match device.subgroup {
            Some(size) => format!(", subgroups of {size}"),
            // Where nothing ran, there is no form that it ran in.
            None if !record.compiled.is_empty() => String::new(),
            None => ", no subgroups".to_owned(),
        };
        self.push(format!(
            "<p><b>{}</b>, {} {}{subgroup}; {}, revision {}</p>\n",
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

    /// Rows of peers that their own program found wrong.
    pub fn wrong_peers(&mut self, peers: &[Peer]) {
        for Peer { name, chunk, remark, .. } in peers {
            let (chunk, remark) = (size::human(*chunk), remark.as_deref().unwrap_or_default());
            self.note(&format!("Left out: {name} at {chunk}: {remark}"));
        }
    }

    /// Rows of peers.
    pub fn peers(&mut self, peers: &[Peer]) {
        if !peers.is_empty() {
            self.heading("Peers");
            self.grid(&cells::PEERS, &peers.iter().map(cells::peer).collect::<Vec<_>>());
        }
    }

    /// What a reader must not miss.
    fn note(&mut self, text: &str) {
        self.push(format!("<p class=\"note\">{}</p>\n", escaped(text)));
    }

    pub fn heading(&mut self, text: &str) {
        self.push(format!("<h2>{}</h2>\n", escaped(text)));
    }

    /// A table; what is in its cells is text. Notes stand below their row, over the whole width, where no scroll bar hides
    /// them.
    pub fn grid(&mut self, columns: &[&str], rows: &[impl AsRef<[String]>]) {
        let line = |tag: &str, cells: &mut dyn Iterator<Item = &str>| {
            let cells: String = cells.map(|cell| format!("<{tag}>{}", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        };
        let notes = columns.last() == Some(&"notes");
        let shown = columns.len() - usize::from(notes);
        self.push("<table>\n".to_owned());
        self.push(line("th", &mut columns[..shown].iter().copied()));
        for row in rows {
            let (cells, notes) = row.as_ref().split_at(shown);
            self.push(line("td", &mut cells.iter().map(String::as_str)));
            for note in notes.iter().filter(|note| !note.is_empty()) {
                let note = format!("<div>{}</div>", escaped(note));
                self.push(format!(
                    "<tr class=\"below\"><td colspan=\"{shown}\">{note}</td></tr>\n"
                ));
            }
        }
        self.push("</table>\n".to_owned());
    }

    /// A chart under a heading, with a sentence on how to read it.
    pub fn chart(&mut self, heading: &str, text: &str, chart: &Chart) {
        let mut legend = String::new();
        for Key { colour, mark, name } in &chart.legend {
            let name = escaped(name);
            write!(legend, "<li><i style=\"color:{colour}\">{mark}</i>{name}</li>")
                .expect("strings take everything");
        }
        self.push(format!(
            "<h2>{}</h2>\n<figure>{}<figcaption>{}<ul>{legend}</ul></figcaption></figure>\n",
            escaped(heading),
            chart.svg,
            escaped(text),
        ));
    }

    /// All that was measured.
    pub fn tables(&mut self, record: &Record) {
        let device = format!("{}{}", record.device.label(), record.source());
        if !record.rows.is_empty() {
            self.heading(&format!("All rows of {device}"));
            self.grid(&cells::ROWS, &record.rows.iter().map(cells::row).collect::<Vec<_>>());
        }
        if !record.small.is_empty() {
            self.heading(&format!("Small inputs on {device}"));
            let rows: Vec<_> = record.small.iter().map(small::Small::cells).collect();
            self.grid(&small::COLUMNS, &rows);
        }
        if !record.comparisons.is_empty() {
            self.heading(&format!("Comparisons on {device}"));
            let rows: Vec<_> = record.comparisons.iter().map(cells::comparison).collect();
            self.grid(&cells::COMPARISONS, &rows);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_stand_below_their_row() {
        let mut page = Page::new("page");
        let rows = [["a", "1", "a <note>"], ["b", "2", ""]].map(|row| row.map(str::to_owned));
        page.grid(&["name", "figure", "notes"], &rows);
        page.grid(&["name", "notes", "figure"], &rows[1..]);
        let page = page.finish();
        let first = "<tr><td>a<td>1</tr>\n<tr class=\"below\"><td colspan=\"2\"><div>a &lt;note&gt;</div></td></tr>\n<tr><td>b";
        assert!(page.contains(first), "{page}");
        assert_eq!((page.matches("colspan").count(), page.matches("<th>notes").count()), (1, 1));
    }
}
