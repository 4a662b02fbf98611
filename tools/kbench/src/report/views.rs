//! What the charts show: rows that belong together, by names that tell them apart and say no more.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    SPEED,
    bars::{Difference, Speed},
    charts::{Axes, Kind, Scale, Series},
    origins::{Origin, origins},
    peers::Peer,
};
use crate::{
    case::{Case, Direction, Param},
    clock::Clock,
    compare::Verdict,
    record::{Comparison, Device, Record, Row},
    roofline::Standing,
    size,
    stats::Interval,
    variants::AUTO,
};

/// Rows that may stand in one chart: one clock and direction, one device and build, one set of data.
pub struct Group<'a> {
    pub direction: Direction,
    pub device: &'a Device,
    /// Where and of what, as far as there is more than one of these.
    pub place: String,
    pub rows: Vec<&'a Row>,
}

/// The rows of a clock. What two files have of one measurement counts once.
pub fn groups(records: &[Record], clock: Clock) -> Vec<Group<'_>> {
    let origins = origins(records);
    let rows = || {
        let all = records.iter().zip(&origins);
        all.flat_map(|(record, from)| record.rows.iter().map(move |row| (record, from, row)))
    };
    let data: BTreeSet<_> = rows().map(|(_, from, row)| from.data(&row.data)).collect();
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for (record, from, row) in rows().filter(|(.., row)| row.clock == clock) {
        let device = &record.device;
        let key = (&device.name, from.data(&row.data), from.number, row.case.direction);
        let group = groups.entry(key).or_insert_with(|| {
            let mut place = String::new();
            if data.len() > 1 {
                place += &format!(", {}", from.data_label(&row.data));
            }
            place += &from.label;
            Group { direction: row.case.direction, device, place, rows: Vec::new() }
        });
        if !group.rows.contains(&row) {
            group.rows.push(row);
        }
    }
    groups.into_values().collect()
}

impl<'a> Group<'a> {
    /// By coder, in order of their names.
    pub fn coders(&self) -> impl Iterator<Item = Group<'a>> {
        let mut coders: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
        for row in &self.rows {
            coders.entry(row.case.coder).or_default().push(row);
        }
        let group = |rows| Group { place: self.place.clone(), rows, ..*self };
        coders.into_values().map(group).collect::<Vec<_>>().into_iter()
    }

    /// Such as `decode rans`, for a group of one coder.
    pub fn work(&self) -> String {
        self.rows[0].work()
    }

    /// Whether rows differ in it.
    fn varies(&self, param: Param) -> bool {
        let values: BTreeSet<_> = self.rows.iter().map(|row| row.case.params.get(param)).collect();
        values.len() > 1
    }

    /// Variant, and what the rows differ in but for `axis`.
    pub fn name(&self, row: &Row, axis: Option<Param>) -> String {
        let mut name = row.case.variant.clone();
        for param in Param::ALL {
            if Some(param) != axis && self.varies(param) {
                name += &format!(", {}", text(param, row.case.params.get(param)));
            }
        }
        name
    }

    /// The rows that show what a parameter does: it is set, and they differ in nothing else. Of a variant without such rows,
    /// all where it is set.
    fn along(&self, axis: Param) -> Self {
        let line = |row: &Row| {
            let others = Param::ALL.into_iter().filter(|&param| param != axis);
            let others: Vec<_> = others.map(|param| row.case.params.get(param)).collect();
            (row.case.variant.clone(), others)
        };
        let mut lines: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
        for row in &self.rows {
            lines.entry(line(row)).or_default().extend(row.case.params.get(axis));
        }
        lines.retain(|_, places| places.len() > 1);
        let moving: BTreeSet<_> = lines.keys().map(|(variant, _)| variant).collect();
        let wanted = |row: &&&Row| {
            row.case.params.get(axis).is_some()
                && (lines.contains_key(&line(row)) || !moving.contains(&row.case.variant))
        };
        let rows = self.rows.iter().filter(wanted).copied().collect();
        Self { place: self.place.clone(), rows, ..*self }
    }

    /// Whether a variant was measured at several values of a parameter and differed in nothing else.
    pub fn goes_along(&self, axis: Param) -> bool {
        let series = self.against(axis, &[], AUTO);
        series.iter().any(|one| one.points.first().map(|p| p.0) != one.points.last().map(|p| p.0))
    }

    /// What is the same for all rows of [`Group::against`], and not for others: a sentence, or nothing.
    pub fn fixed(&self, axis: Param) -> String {
        let rows = self.along(axis);
        let fixed =
            Param::ALL.into_iter().filter(|&p| p != axis && self.varies(p) && !rows.varies(p));
        let fixed: Vec<_> = fixed.map(|p| text(p, rows.rows[0].case.params.get(p))).collect();
        if fixed.is_empty() { String::new() } else { format!(" All: {}.", fixed.join(", ")) }
    }

    /// Speed against a parameter; the baseline first.
    pub fn against(&self, axis: Param, peers: &[Peer], baseline: &str) -> Vec<Series> {
        let rows = self.along(axis);
        let ours = rows.rows.iter().filter_map(|row| {
            Some((rows.name(row, Some(axis)), (place(axis, row)?, row.speed()?)))
        });
        let peers = peers.iter().filter(|_| axis == Param::Block);
        let theirs = peers.map(|peer| {
            (peer.name.clone(), ((peer.chunk as f64).log2(), peer.speed(self.direction)))
        });
        collect(ours, theirs, baseline)
    }

    /// All of its speeds, each beside its limit if it has one.
    pub fn speeds(&self, limit: impl Fn(&Row) -> Option<f64>) -> Vec<Speed> {
        let mut runs = Runs::default();
        let speed = |row: &&Row| {
            let name = runs.name(format!("{} {}", row.case.coder, self.name(row, None)));
            let (speed, interval) = (row.speed()?, row.speed_interval()?);
            Some(Speed { name, speed, interval, limit: limit(row) })
        };
        self.rows.iter().filter_map(speed).collect()
    }

    /// Speed against ratio: the baseline's, and if there is none, that of all variants.
    pub fn ratios(&self, peers: &[Peer], baseline: &str) -> Vec<Series> {
        let is_baseline = |row: &&Row| row.case.variant == baseline;
        let some = self.rows.iter().any(&is_baseline);
        let rows = self.rows.iter().filter(|row| !some || is_baseline(row));
        // Whatever was measured first, coders have their colours.
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|row| row.case.coder);
        let ours = rows.into_iter().filter_map(|row| {
            let name = format!("{} {}", row.case.coder, row.case.variant);
            Some((name, (row.ratio(), row.speed()?)))
        });
        let theirs =
            peers.iter().map(|peer| (peer.name.clone(), (peer.ratio, peer.speed(self.direction))));
        collect(ours, theirs, baseline)
    }

    /// The kernels, and for each case the picoseconds for a raw byte that each of them took, so that cases of different
    /// sizes stand side by side. A case that was measured again has a bar for each time.
    pub fn stages(&self) -> (Vec<String>, Vec<(String, Vec<f64>)>) {
        let mut kernels: Vec<String> = Vec::new();
        let mut bars: Vec<(String, BTreeMap<usize, f64>)> = Vec::new();
        for row in &self.rows {
            let Some(time) = row.time() else { continue };
            let kernel = row.kernel().to_owned();
            let part = kernels.iter().position(|known| *known == kernel).unwrap_or(kernels.len());
            if part == kernels.len() {
                kernels.push(kernel);
            }
            let name = self.name(row, None);
            let lacks = |(known, parts): &&mut (String, BTreeMap<_, _>)| {
                *known == name && !parts.contains_key(&part)
            };
            let share = 1000.0 * time / row.data.bytes as f64;
            match bars.iter_mut().find(lacks) {
                Some((_, parts)) => _ = parts.insert(part, share),
                None => bars.push((name, BTreeMap::from([(part, share)]))),
            }
        }
        let all = |parts: BTreeMap<usize, f64>| {
            (0..kernels.len()).map(|part| parts.get(&part).copied().unwrap_or(0.0)).collect()
        };
        let mut runs = Runs::default();
        let bars = bars.into_iter().map(|(name, parts)| (runs.name(name), all(parts))).collect();
        (kernels, bars)
    }

    /// Speed over that of the baseline with the same parameters. The two were not measured in turns: the interval is the
    /// widest that both intervals allow.
    pub fn differences(&self, baseline: &str) -> Vec<Difference> {
        let base = |row: &Row| {
            let wanted = Case { variant: baseline.to_owned(), ..row.case.clone() };
            self.rows.iter().find(|base| base.case == wanted)
        };
        let others = self.rows.iter().filter(|row| row.case.variant != baseline);
        let rows = others.filter(|row| base(row).is_some()).copied().collect();
        // Names need say no more than what tells these apart.
        let others = Self { place: self.place.clone(), rows, ..*self };
        let mut runs = Runs::default();
        let difference = |row: &&Row| {
            let base = base(row)?;
            let (own, its) = (row.speed_interval()?, base.speed_interval()?);
            let ratio = row.speed()? / base.speed()?;
            let interval = Interval { low: own.low / its.high, high: own.high / its.low };
            let verdict = Verdict::of(interval, 0.0);
            let name = runs.name(others.name(row, None));
            Some(Difference { name, ratio, interval, verdict })
        };
        others.rows.iter().filter_map(difference).collect()
    }
}

/// Where a row stands on an axis.
pub fn place(axis: Param, row: &Row) -> Option<f64> {
    let value = row.case.params.get(axis)? as f64;
    Some(if axis.doubles() { value.log2() } else { value })
}

/// Names bars, of which some are of one case that was measured more than once.
#[derive(Default)]
struct Runs(BTreeMap<String, usize>);

impl Runs {
    fn name(&mut self, name: String) -> String {
        let runs = self.0.entry(name.clone()).or_default();
        *runs += 1;
        if *runs == 1 { name } else { format!("{name}, run {runs}") }
    }
}

/// What `kbench compare` found on one device with one build and one set of data.
pub struct Compared {
    pub place: String,
    pub ratios: Vec<Difference>,
}

/// All that was compared.
pub fn compared(records: &[Record]) -> Vec<Compared> {
    let origins = origins(records);
    let all = records.iter().zip(&origins);
    let all = all.flat_map(|(r, from)| r.comparisons.iter().map(move |found| (r, from, found)));
    let data = |from: &Origin, found: &Comparison| from.data_label(&found.candidate.data);
    let sets: BTreeSet<_> = all.clone().map(|(_, from, found)| data(from, found)).collect();
    let mut groups: BTreeMap<_, (String, Vec<&Comparison>)> = BTreeMap::new();
    for (record, from, found) in all {
        let key = (&record.device.name, data(from, found), from.number);
        let (_, group) = groups.entry(key).or_insert_with(|| {
            let of =
                if sets.len() > 1 { format!(", {}", data(from, found)) } else { String::new() };
            (format!("{of}{}", from.label), Vec::new())
        });
        if !group.contains(&found) {
            group.push(found);
        }
    }
    let one = |(place, found): (String, Vec<&Comparison>)| {
        let mut runs = Runs::default();
        let difference = |found: &&Comparison| {
            let &Comparison { ratio, interval, verdict, .. } = *found;
            let name = runs.name(change(&found.baseline.case, &found.candidate.case));
            Difference { name, ratio, interval, verdict }
        };
        let ratios = found.iter().map(difference).collect();
        Compared { place, ratios }
    };
    groups.into_values().map(one).collect()
}

/// What is done, and how the candidate differs from the baseline.
fn change(a: &Case, b: &Case) -> String {
    let mut name = format!("{} {} {}", b.direction, b.coder, b.variant);
    if a.variant != AUTO && a.variant != b.variant {
        name += &format!(" over {}", a.variant);
    }
    let block = text(Param::Block, b.params.get(Param::Block));
    let differs = |&param: &Param| a.params.get(param) != b.params.get(param);
    let changes = Param::ALL.into_iter().filter(differs).map(|param| {
        let [before, after] = [a, b].map(|case| text(param, case.params.get(param)));
        format!("{after}, was {before}")
    });
    let changes: Vec<String> = changes.collect();
    if changes.is_empty() {
        format!("{name}, {block}")
    } else {
        format!("{name}, {}", changes.join(", "))
    }
}

/// Kernels' places under the roof, those that compute something.
pub fn roof(standings: &[Standing]) -> Vec<Series> {
    let computing = standings.iter().filter(|standing| standing.operations > 0.0);
    let point = |s: &Standing| (roof_name(s), (s.intensity, s.operations));
    collect(computing.map(point), std::iter::empty(), "")
}

/// What shared memory allows each of these series.
pub fn ceilings(standings: &[Standing], series: &[Series]) -> Vec<(usize, (f64, f64))> {
    let ceiling = |s: &Standing| {
        let index = series.iter().position(|one| one.name == roof_name(s))?;
        Some((index, (s.intensity, s.shared_operations()?)))
    };
    standings.iter().filter_map(ceiling).collect()
}

fn roof_name(standing: &Standing) -> String {
    format!("{} {}", standing.kernel, standing.variant)
}

/// A parameter's value as people read it.
pub fn text(param: Param, value: Option<u64>) -> String {
    match (param, value) {
        (Param::Block, Some(value)) => format!("blocks {}", size::human(value)),
        (Param::Size, Some(value)) => format!("of {}", size::human(value)),
        (Param::SegmentLog, Some(log)) => format!("segments {}", size::human(1 << log)),
        (Param::TableLog | Param::Workgroup, Some(value)) => format!("{param} {value}"),
        (_, None) => format!("{param} auto"),
    }
}

/// What stands at an axis.
pub fn axis(param: Param) -> Axes<'static> {
    let (x, scale) = match param {
        Param::Block => ("raw bytes of a block", Scale::Sizes),
        Param::Size => ("raw bytes of the input", Scale::Sizes),
        Param::SegmentLog => ("raw bytes of a segment", Scale::Sizes),
        Param::TableLog => ("table log", Scale::Integers),
        Param::Workgroup => ("invocations of a workgroup", Scale::Doublings),
    };
    Axes { x, y: SPEED, scale, ..Axes::default() }
}

/// What an axis is called in a heading.
pub fn label(param: Param) -> &'static str {
    match param {
        Param::Block => "block size",
        Param::Size => "input size",
        Param::SegmentLog => "segment length",
        Param::TableLog => "table log",
        Param::Workgroup => "workgroup size",
    }
}

/// Series of points by name: the baseline's first, and peers last.
fn collect(
    points: impl Iterator<Item = (String, (f64, f64))>,
    peers: impl Iterator<Item = (String, (f64, f64))>,
    baseline: &str,
) -> Vec<Series> {
    let mut all: Vec<Series> = Vec::new();
    let peers = peers.map(|(name, point)| (format!("{name} (peer)"), point, Kind::Peer));
    let points = points.map(|(name, point)| (name, point, Kind::Ours));
    for (name, point, kind) in points.chain(peers) {
        match all.iter_mut().find(|one| one.name == name && one.kind == kind) {
            Some(one) => one.points.push(point),
            None => all.push(Series { name, points: vec![point], kind }),
        }
    }
    // Otherwise in the order in which they were measured.
    let other = |one: &Series| one.name.split(", ").next() != Some(baseline);
    all.sort_by_key(|one| (one.kind == Kind::Peer, other(one)));
    for one in &mut all {
        one.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{record, row};

    #[test]
    fn what_must_not_be_compared_stands_in_charts_of_its_own() {
        let mut other = record();
        "Another GPU".clone_into(&mut other.device.name);
        other.rows[0].data.name = "dickens".to_owned();
        let records = [record(), other];
        let groups = groups(&records, Clock::Device);
        let places: Vec<_> = groups.iter().map(|group| group.place.as_str()).collect();
        let expected =
            [", dickens, on Another GPU", ", mixed, on Another GPU", ", mixed, on Some <GPU>"];
        assert_eq!(places, expected);
        let one = groups_of(&[record()]);
        assert_eq!(one, [""], "what there is but one of needs no name");
    }

    #[test]
    fn one_measurement_in_two_records_counts_once() {
        let mut longer = record();
        longer.complete = false;
        let mut again = row();
        again.samples.push(11.0);
        longer.rows.push(again);
        let records = [record(), longer];
        let groups = groups(&records, Clock::Device);
        assert_eq!(groups.len(), 1);
        let names: Vec<String> = groups[0].speeds(|_| None).into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["rans auto", "rans auto+streams4", "rans auto, run 2"]);
        let compared = compared(&records);
        assert_eq!((compared.len(), compared[0].ratios.len()), (1, 1));
    }

    #[test]
    fn comparisons_of_different_builds_stand_apart() {
        let mut other = record();
        other.revision = "0ther".to_owned();
        let places: Vec<String> =
            compared(&[record(), other]).into_iter().map(|one| one.place).collect();
        let own = format!(", revision {}", record().revision);
        assert!(places.contains(&own) && places.contains(&", revision 0ther".to_owned()));
        assert_eq!(places.len(), 2);
    }

    fn groups_of(records: &[Record]) -> Vec<String> {
        groups(records, Clock::Device).into_iter().map(|group| group.place).collect()
    }

    fn group(rows: Vec<&Row>) -> Group<'_> {
        let device = Box::leak(Box::new(record().device));
        Group { direction: Direction::Decode, device, place: String::new(), rows }
    }

    #[test]
    fn names_say_what_differs() {
        let mut rows = [row(), row(), row()];
        rows[1].case.params.workgroup = Some(128);
        rows[2].case.params.block = 1 << 16;
        let rows: Vec<&Row> = rows.iter().collect();
        let group = group(rows);
        let series = group.against(Param::Block, &[], AUTO);
        let names: Vec<_> =
            series.iter().map(|one| (one.name.as_str(), one.points.len())).collect();
        assert_eq!(names, [("auto", 2)], "the other is at one block size");
        assert_eq!(group.fixed(Param::Block), " All: workgroup auto.");
        assert!(group.goes_along(Param::Block) && !group.goes_along(Param::Workgroup));
        assert_eq!(group.against(Param::Workgroup, &[], AUTO).len(), 1, "where it is set");

        let case = Case::default();
        let text = |b: &str| change(&case, &case.with(b).unwrap());
        assert_eq!(text("auto+streams4"), "decode rans auto+streams4, blocks 256 KiB");
        assert_eq!(text("workgroup=128"), "decode rans auto, workgroup 128, was workgroup auto");
    }

    #[test]
    fn what_was_measured_for_another_axis_is_left_out() {
        let mut rows = Vec::new();
        for (variant, block, segment_log) in [
            ("auto", 16, 14),
            ("auto", 18, 14),
            ("auto", 18, 12),
            ("auto", 18, 13),
            ("shared", 18, 14),
        ] {
            let mut row = row();
            variant.clone_into(&mut row.case.variant);
            (row.case.params.block, row.case.params.segment_log) = (1 << block, segment_log);
            rows.push(row);
        }
        let group = group(rows.iter().collect());
        let names = |axis: Param| -> Vec<String> {
            group.against(axis, &[], AUTO).into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names(Param::Block), ["auto", "shared"], "shared is nowhere else");
        assert_eq!(group.fixed(Param::Block), " All: segments 16 KiB.");
        assert_eq!(names(Param::SegmentLog), ["auto", "shared"]);
        assert_eq!(group.fixed(Param::SegmentLog), " All: blocks 256 KiB.");
    }

    #[test]
    fn the_baseline_comes_first_and_peers_last() {
        let rows = &record().rows;
        let rows = rows.iter().filter(|row| row.clock == Clock::Device).collect();
        let group = group(rows);
        let peers = crate::report::peers::parse("ANS\t65536\t1\t0.6626\t725.5\t1104.6").unwrap();
        let names = |baseline: &str| -> Vec<String> {
            let series = group.against(Param::Block, &peers, baseline);
            series.into_iter().map(|one| one.name).collect()
        };
        assert_eq!(names(AUTO), ["auto", "auto+streams4", "ANS (peer)"]);
        assert_eq!(names("auto+streams4"), ["auto+streams4", "auto", "ANS (peer)"]);
        let verdicts: Vec<_> = group.differences(AUTO).iter().map(|d| d.verdict).collect();
        assert_eq!(verdicts, [Verdict::Faster]);
        assert!(group.differences("shared").is_empty());
        let mut swept = group;
        let mut another = row();
        another.case.params.block = 1 << 16;
        swept.rows.push(&another);
        let names: Vec<_> = swept.differences(AUTO).into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["auto+streams4"], "those that are shown have one block size");
    }
}
