//! From host memory to host memory, beside what the link allows.

use anyhow::Result;

use super::{
    SPEED, bars,
    charts::{self, Kind, Series},
    page::Page,
    views::{self, Group},
};
use crate::{
    case::{Direction, Param},
    clock::Clock,
    record::{Device, Limits, Record, Row},
};

const LIMIT: &str = "what the link allows";

/// Bytes per second to a device and from it.
#[derive(Clone, Copy)]
struct Link {
    up: f64,
    down: f64,
}

impl Link {
    /// As it was last measured; `None` if it was not, or host and device share their memory.
    fn of(records: &[Record], device: &Device) -> Option<Self> {
        let link = |limits: &Limits| Some(Self { up: limits.upload?, down: limits.download? });
        let own = records.iter().filter(|record| record.device == *device);
        own.filter_map(|record| link(record.limits.as_ref()?)).next_back()
    }

    /// GB/s of raw bytes, if it carries both ways at once what it carries each way alone.
    fn allows(self, row: &Row) -> f64 {
        let (up, down) = match row.case.direction {
            Direction::Encode => (1.0, row.ratio()),
            Direction::Decode => (row.ratio(), 1.0),
        };
        (self.up / up).min(self.down / down) / 1e9
    }
}

/// A bar for each case, and lines where a parameter was swept.
pub fn section(page: &mut Page, records: &[Record], baseline: &str) -> Result<()> {
    for group in views::groups(records, Clock::Host) {
        let link = Link::of(records, group.device);
        let text = if link.is_some() {
            "Through the accelerator, by the host's clock; medians. The link's limit is for raw bytes one way and payloads the other, at the \
             rates that kbench limits measured each way alone."
        } else {
            "Through the accelerator, by the host's clock; medians. No record says how fast this device's link is: kbench limits measures it, \
             unless host and device share their memory."
        };
        page.chart(
            &format!("{}: from host to host{}", group.direction, group.place),
            text,
            &bars::speeds(SPEED, &group.speeds(|row| Some(link?.allows(row))), LIMIT)?,
        );
        for coder in group.coders() {
            for axis in Param::ALL.into_iter().filter(|&param| coder.goes_along(param)) {
                let mut series = coder.against(axis, &[], baseline);
                series.extend(link.and_then(|link| limit(&coder, axis, link)));
                let (work, label) = (coder.work(), views::label(axis));
                page.chart(
                    &format!("{work}: from host to host against {label}{}", coder.place),
                    &format!("{text}{}", coder.fixed(axis)),
                    &charts::points(views::axis(axis), &series, true)?,
                );
            }
        }
    }
    Ok(())
}

/// The limit along an axis: the least where rows differ.
fn limit(group: &Group<'_>, axis: Param, link: Link) -> Option<Series> {
    let point = |row: &&Row| Some((views::place(axis, row)?, link.allows(row)));
    let mut points: Vec<(f64, f64)> = group.rows.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points.dedup_by_key(|point| point.0);
    (points.len() > 1).then(|| Series { name: LIMIT.to_owned(), points, kind: Kind::Limit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, row};

    fn host(direction: Direction, block: u64) -> Row {
        let mut row = row();
        row.clock = Clock::Host;
        (row.case.direction, row.case.params.block) = (direction, block);
        row
    }

    #[test]
    fn the_slower_way_is_the_limit() {
        let link = Link { up: 50e9, down: 30e9 };
        // 65 bytes of payload for 100 raw ones.
        let near = |direction, expected: f64| {
            let allowed = link.allows(&host(direction, 1 << 18));
            assert!((allowed - expected).abs() < 1e-9, "{allowed}");
        };
        near(Direction::Encode, 30.0 / 0.65);
        near(Direction::Decode, 30.0);
    }

    #[test]
    fn the_link_is_that_of_the_same_device() {
        let mut other = record();
        other.device.name = "another".to_owned();
        let mut last = record();
        other.limits.as_mut().unwrap().download = Some(1e10);
        let (one, its) = (record().device, other.device.clone());
        assert!(Link::of(&[record(), other.clone()], &one).is_none(), "no download");
        assert_eq!(Link::of(&[other.clone()], &its).unwrap().down, 1e10);
        last.limits.as_mut().unwrap().download = Some(2e10);
        assert_eq!(Link::of(&[last.clone(), record(), other], &one).unwrap().down, 2e10);
        last.device.driver_version = "1.3".to_owned();
        assert!(Link::of(&[last], &one).is_none(), "another driver's");
    }

    #[test]
    fn a_sweep_has_a_line_and_its_limit() {
        let mut own = record();
        own.rows = [1 << 16, 1 << 18].map(|block| host(Direction::Decode, block)).to_vec();
        own.limits.as_mut().unwrap().download = Some(3e10);
        let section_of = |records: &[Record]| {
            let mut page = Page::new("page");
            section(&mut page, records, "auto").unwrap();
            page.finish()
        };
        let page = section_of(&[own.clone()]);
        assert!(page.contains("decode: from host to host<"), "{page}");
        assert!(page.contains("decode rans: from host to host against block size<"));
        assert_eq!(page.matches(LIMIT).count(), 2, "in the legends of both");
        own.limits = None;
        let page = section_of(&[own]);
        assert!(!page.contains(LIMIT) && page.contains("No record says"));
        assert!(!section_of(&[record()]).contains("<svg"), "no row of that clock");
    }
}
