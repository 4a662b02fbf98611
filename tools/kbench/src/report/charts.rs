//! Charts as SVG, drawn by plotters. Each comes with its legend, which the page shows beside it.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::{
    coord::{CoordTranslate, Shift},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

pub const SIZE: (u32, u32) = (760, 420);
/// How far a ceiling reaches to either side.
const CEILING: f64 = 1.12;
/// What stands at the axes, whatever the size of the chart.
pub const LABELS: (&str, u32) = ("sans-serif", 13);

/// Colours that most people can tell apart: those of Okabe and Ito (2008) first, the pale one last.
const COLOURS: [RGBColor; 13] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(70, 70, 70),
    RGBColor(110, 60, 160),
    RGBColor(140, 86, 40),
    RGBColor(0, 90, 60),
    RGBColor(160, 160, 160),
    RGBColor(140, 20, 50),
    RGBColor(240, 228, 66),
];

/// A picture and what its colours mean.
pub struct Chart {
    pub svg: String,
    pub legend: Vec<Key>,
}

/// What stands for a name.
#[derive(Clone)]
pub struct Key {
    /// As CSS has it.
    pub colour: String,
    pub mark: char,
    pub name: String,
}

/// What the axes are called.
#[derive(Clone, Copy, Default)]
pub struct Axes<'a> {
    pub x: &'a str,
    pub y: &'a str,
    pub scale: Scale,
    /// Each step up is ten times as long; the values are the exponents, of nanoseconds.
    pub times: bool,
    /// A place on the x axis, and what is written there.
    pub mark: Option<(f64, &'a str)>,
}

/// What the values of the x axis are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Scale {
    #[default]
    Fractions,
    Integers,
    /// Exponents: each step to the right is a doubling, of what is counted or of bytes.
    Doublings,
    Sizes,
}

impl Scale {
    fn text(self, x: f64) -> String {
        let power = 1 << (x.round().clamp(0.0, 62.0) as u64);
        match self {
            Self::Fractions => plain(&x),
            Self::Integers => format!("{x:.0}"),
            Self::Doublings => format!("{power}"),
            Self::Sizes => crate::size::human(power),
        }
    }
}

/// Whose points they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Ours,
    /// Drawn as crosses.
    Peer,
    /// What there is at most: a broken line.
    Limit,
}

/// Points of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    pub kind: Kind,
}

pub fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// A series' colour.
fn shade(index: usize, kind: Kind) -> RGBColor {
    if kind == Kind::Limit { BLACK } else { colour(index) }
}

pub fn css(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// What tells series of one colour apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Circle,
    Triangle,
    Cross,
    Line,
}

impl Mark {
    /// Of the nth series.
    fn of(index: usize, kind: Kind) -> Self {
        match kind {
            Kind::Peer => Self::Cross,
            Kind::Limit => Self::Line,
            Kind::Ours if (index / COLOURS.len()).is_multiple_of(2) => Self::Circle,
            Kind::Ours => Self::Triangle,
        }
    }

    fn character(self) -> char {
        match self {
            Self::Circle => '●',
            Self::Triangle => '▲',
            Self::Cross => '✕',
            Self::Line => '┄',
        }
    }
}

fn legend(series: &[Series]) -> Vec<Key> {
    let key = |(index, one): (usize, &Series)| Key {
        colour: css(shade(index, one.kind)),
        mark: Mark::of(index, one.kind).character(),
        name: one.name.clone(),
    };
    series.iter().enumerate().map(key).collect()
}

/// Draws a series' points.
fn draw_marks<C>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, C>,
    index: usize,
    Series { points, kind, .. }: &Series,
) -> Result<(), Box<dyn std::error::Error>>
where
    C: CoordTranslate<From = (f64, f64)>,
{
    let (colour, points) = (colour(index), points.iter().copied());
    match Mark::of(index, *kind) {
        Mark::Circle => {
            chart.draw_series(points.map(|at| Circle::new(at, 4, colour.filled())))?;
        }
        Mark::Triangle => {
            chart.draw_series(points.map(|at| TriangleMarker::new(at, 6, colour.filled())))?;
        }
        Mark::Cross => {
            chart.draw_series(points.map(|at| Cross::new(at, 6, colour.stroke_width(2))))?;
        }
        Mark::Line => {
            chart.draw_series(DashedLineSeries::new(points, 6, 4, BLACK.stroke_width(1)))?;
        }
    }
    Ok(())
}

/// Draws on an empty area. (plotters' errors borrow the area.)
pub fn draw(
    size: (u32, u32),
    chart: impl Fn(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        chart(&area).map_err(|error| anyhow!("drawing: {error}"))?;
        area.present().map_err(|error| anyhow!("drawing: {error}"))?;
    }
    Ok(svg)
}

/// The values' range, with room around.
pub fn range(values: impl Iterator<Item = f64>, from_zero: bool) -> Range<f64> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return 0.0..1.0;
    }
    let room = 0.08 * (high - low).max(high.abs() * 0.05).max(1e-9);
    if from_zero { 0.0..high + room } else { low - room..high + room }
}

/// Points, joined by lines if wanted.
pub fn points(axes: Axes<'_>, series: &[Series], joined: bool) -> Result<Chart> {
    let all = || series.iter().flat_map(|one| one.points.iter().copied());
    let (x, mut y) = (range(all().map(|p| p.0), false), range(all().map(|p| p.1), !axes.times));
    if axes.times {
        y = y.start.floor()..y.end.ceil();
    }
    let svg = draw(SIZE, |area| {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let text = |x: &f64| axes.scale.text(*x);
        let time = |y: &f64| duration(10_f64.powf(*y));
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(axes.x).y_desc(axes.y).light_line_style(BLACK.mix(0.04));
        mesh.label_style(LABELS).axis_desc_style(LABELS);
        // One label an integer.
        let whole = |range: &Range<f64>| (range.end.floor() - range.start.ceil()) as usize + 1;
        if axes.times {
            mesh.y_labels(whole(&y)).y_label_formatter(&time);
        } else {
            mesh.y_label_formatter(&plain);
        }
        if axes.scale != Scale::Fractions {
            mesh.x_labels(whole(&x).clamp(1, 16));
        }
        mesh.x_label_formatter(&text).draw()?;
        if let Some((at, text)) = axes.mark {
            let line = [(at, y.start), (at, y.end)];
            let style = BLACK.mix(0.6).stroke_width(1);
            chart.draw_series(DashedLineSeries::new(line, 6, 4, style))?;
            // On the side where there is more room.
            let (width, left) = (x.end - x.start, at - x.start > x.end - at);
            let side = if left { HPos::Right } else { HPos::Left };
            let from = at + if left { -0.01 } else { 0.01 } * width;
            let style = LABELS.into_font().color(&BLACK).pos(Pos::new(side, VPos::Top));
            let top = y.end - 0.02 * (y.end - y.start);
            chart.draw_series([Text::new(text.to_owned(), (from, top), style)])?;
        }
        for (index, one) in series.iter().enumerate() {
            if joined && one.kind == Kind::Ours {
                let style = colour(index).stroke_width(2);
                chart.draw_series(LineSeries::new(line(&one.points), style))?;
            }
            draw_marks(&mut chart, index, one)?;
        }
        Ok(())
    })?;
    Ok(Chart { svg, legend: legend(series) })
}

/// A number with as many digits as it needs, four behind the point at most.
pub fn plain(x: &f64) -> String {
    let text = format!("{x:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Through points in ascending order; through the middle of those above each other, which are of one case.
fn line(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let middle = |points: &[(f64, f64)]| {
        let sum: f64 = points.iter().map(|point| point.1).sum();
        (points[0].0, sum / points.len() as f64)
    };
    points.chunk_by(|a, b| a.0 == b.0).map(middle).collect()
}

/// Nanoseconds as people read them.
fn duration(nanoseconds: f64) -> String {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let (scale, unit) =
        units.into_iter().find(|unit| nanoseconds >= 0.999 * unit.0).unwrap_or(units[3]);
    format!("{:.0} {unit}", nanoseconds / scale)
}

/// Both axes logarithmic: the roof made of `bandwidth` (10^9 bytes a second) and `peak` (10^9 operations a second), and
/// points of (operations a byte, 10^9 operations a second). `ceilings` are such points too, by the series that they limit:
/// bars of its colour.
pub fn roofline(
    bandwidth: f64,
    peak: f64,
    series: &[Series],
    ceilings: &[(usize, (f64, f64))],
) -> Result<Chart> {
    let points = || series.iter().flat_map(|one| one.points.iter().copied());
    let all = || points().chain(ceilings.iter().map(|(_, at)| *at));
    let ridge = peak / bandwidth;
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    // Whole decades: their ends have labels.
    let below = |value: f64| 10_f64.powf((value / 1.5).log10().floor());
    let above = |value: f64| 10_f64.powf((value * 1.5).log10().ceil());
    let x = below(least(&mut all().map(|p| p.0)).min(ridge))
        ..above(most(&mut all().map(|p| p.0)).max(ridge));
    let y = below(least(&mut all().map(|p| p.1)).min(bandwidth * x.start))
        ..above(most(&mut all().map(|p| p.1)).max(peak));
    let svg = draw(SIZE, |area| {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())?;
        chart
            .configure_mesh()
            .x_desc("integer operations for a byte of memory traffic")
            .y_desc("10^9 operations a second")
            .x_label_formatter(&plain)
            .y_label_formatter(&plain)
            .light_line_style(BLACK.mix(0.04))
            .label_style(LABELS)
            .axis_desc_style(LABELS)
            .draw()?;
        let roof = [(x.start, bandwidth * x.start), (ridge, peak), (x.end, peak)];
        chart.draw_series(LineSeries::new(roof, BLACK.stroke_width(2)))?;
        for &(index, (at, height)) in ceilings {
            let bar = [(at / CEILING, height), (at * CEILING, height)];
            chart.draw_series(LineSeries::new(bar, colour(index).stroke_width(3)))?;
        }
        for (index, one) in series.iter().enumerate() {
            draw_marks(&mut chart, index, one)?;
        }
        Ok(())
    })?;
    let mut legend = legend(series);
    if !ceilings.is_empty() {
        let name = "what shared memory allows the kernel of that colour".to_owned();
        legend.push(Key { colour: css(BLACK), mark: '━', name });
    }
    Ok(Chart { svg, legend })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_series_of_many_look_alike() {
        let series = |index: usize| Series {
            name: index.to_string(),
            points: vec![(16.0 + index as f64, 1.0), (18.0, 2.0)],
            kind: Kind::Ours,
        };
        let series: Vec<Series> = (0..2 * COLOURS.len()).map(series).collect();
        let axes = Axes { x: "block", y: "GB/s", scale: Scale::Sizes, ..Axes::default() };
        let chart = points(axes, &series, true).unwrap();
        let mut keys: Vec<_> = chart.legend.iter().map(|key| (&key.colour, key.mark)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), series.len());
        assert_eq!(chart.svg.matches("<polygon").count(), 2 * COLOURS.len(), "triangles");
    }

    #[test]
    fn what_is_counted_has_labels_of_its_own() {
        let texts = [Scale::Fractions, Scale::Integers, Scale::Doublings, Scale::Sizes];
        assert_eq!(texts.map(|scale| scale.text(11.0)), ["11", "11", "2048", "2 KiB"]);
        let points = [9.0, 10.0, 11.0, 12.0].map(|x| (x, x)).to_vec();
        let one = Series { name: "one".to_owned(), points, kind: Kind::Ours };
        let axes = Axes { scale: Scale::Integers, ..Axes::default() };
        let svg = super::points(axes, &[one], true).unwrap().svg;
        let labels: Vec<&str> = svg.lines().filter(|line| line.parse::<f64>().is_ok()).collect();
        let (y, x) = labels.split_at(labels.len() - 4);
        assert_eq!((x, y.last()), (&["9", "10", "11", "12"][..], Some(&"12")), "none in between");
    }

    #[test]
    fn numbers_have_no_digits_to_spare() {
        let texts = [0.0, -0.0, 10000.0, 0.30000000000000004, 0.745, 1e-9].map(|x| plain(&x));
        assert_eq!(texts, ["0", "0", "10000", "0.3", "0.745", "0"]);
    }

    #[test]
    fn a_line_goes_through_the_middle_of_what_was_measured_again() {
        let points = [(1.0, 5.0), (2.0, 6.0), (2.0, 8.0), (3.0, 1.0)];
        assert_eq!(line(&points), [(1.0, 5.0), (2.0, 7.0), (3.0, 1.0)]);
    }

    #[test]
    fn times_stand_at_powers_of_ten() {
        for (nanoseconds, text) in
            [(1.0, "1 ns"), (1e3, "1 µs"), (99_999.999_9, "100 µs"), (1e7, "10 ms"), (1e9, "1 s")]
        {
            assert_eq!(duration(nanoseconds), text);
        }
        let axes = Axes {
            scale: Scale::Sizes,
            times: true,
            mark: Some((17.0, "here")),
            ..Axes::default()
        };
        let points =
            |kind| Series { name: "one".to_owned(), points: vec![(16.0, 4.2), (18.0, 6.3)], kind };
        let chart = super::points(axes, &[points(Kind::Ours), points(Kind::Limit)], true).unwrap();
        let lines: Vec<&str> = chart.svg.lines().map(str::trim).collect();
        for text in ["10 µs", "100 µs", "1 ms", "10 ms", "here", "64 KiB", "256 KiB"] {
            assert!(lines.contains(&text), "no {text}");
        }
        let marks: String = chart.legend.iter().map(|key| key.mark).collect();
        assert_eq!(marks, "●┄");
    }

    #[test]
    fn a_roof_of_its_own_stands_above_a_kernel() {
        let one = Series { name: "one".to_owned(), points: vec![(8.0, 50.0)], kind: Kind::Ours };
        let lines = |chart: &Chart| chart.svg.matches(&css(colour(0)).to_uppercase()).count();
        let bare = roofline(10.0, 100.0, std::slice::from_ref(&one), &[]).unwrap();
        let with = roofline(10.0, 100.0, &[one], &[(0, (8.0, 20_000.0))]).unwrap();
        assert_eq!((lines(&bare), lines(&with)), (1, 2));
        assert_eq!((bare.legend.len(), with.legend.len()), (1, 2));
        assert!(with.svg.contains("\n100000\n") && !bare.svg.contains("\n100000\n"), "room");
    }

    #[test]
    fn what_has_no_points_can_be_drawn() {
        let axes = Axes { x: "block", y: "GB/s", scale: Scale::Sizes, ..Axes::default() };
        assert!(points(axes, &[], true).is_ok());
        let one = Series { name: "one".to_owned(), points: vec![(18.0, 5.0)], kind: Kind::Ours };
        assert!(points(axes, &[one], true).is_ok());
    }
}
