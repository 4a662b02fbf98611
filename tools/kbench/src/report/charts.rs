//! Charts as SVG, drawn by plotters. Each comes with its legend, which the page shows beside it.

use std::ops::Range;

use anyhow::{Result, anyhow};
use plotters::{
    coord::{CoordTranslate, Shift, types::RangedCoordf64},
    prelude::*,
};

use crate::{compare::Verdict, stats::Interval};

const SIZE: (u32, u32) = (760, 420);
/// What stands at the axes, whatever the size of the chart.
const LABELS: (&str, u32) = ("sans-serif", 13);

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
#[derive(Clone, Copy)]
pub struct Axes<'a> {
    pub x: &'a str,
    pub y: &'a str,
    /// Each step to the right is a doubling, from 2^x to 2^(x + 1); the values are the exponents.
    pub doubling: bool,
}

/// Points of one colour.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// Not ours: drawn as crosses.
    pub peer: bool,
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

fn css(RGBColor(r, g, b): RGBColor) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// What tells series of one colour apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mark {
    Circle,
    Triangle,
    Cross,
}

impl Mark {
    /// Of the nth series; crosses are peers.
    fn of(index: usize, peer: bool) -> Self {
        match () {
            () if peer => Self::Cross,
            () if (index / COLOURS.len()).is_multiple_of(2) => Self::Circle,
            () => Self::Triangle,
        }
    }

    fn character(self) -> char {
        match self {
            Self::Circle => '●',
            Self::Triangle => '▲',
            Self::Cross => '✕',
        }
    }
}

fn legend(series: &[Series]) -> Vec<Key> {
    let key = |(index, one): (usize, &Series)| Key {
        colour: css(colour(index)),
        mark: Mark::of(index, one.peer).character(),
        name: one.name.clone(),
    };
    series.iter().enumerate().map(key).collect()
}

/// A bar's.
fn key(colour: RGBColor, name: &str) -> Key {
    Key { colour: css(colour), mark: '■', name: name.to_owned() }
}

/// Draws a series' points.
fn draw_marks<C>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, C>,
    index: usize,
    Series { points, peer, .. }: &Series,
) -> Result<(), Box<dyn std::error::Error>>
where
    C: CoordTranslate<From = (f64, f64)>,
{
    let (colour, points) = (colour(index), points.iter().copied());
    match Mark::of(index, *peer) {
        Mark::Circle => {
            chart.draw_series(points.map(|at| Circle::new(at, 4, colour.filled())))?;
        }
        Mark::Triangle => {
            chart.draw_series(points.map(|at| TriangleMarker::new(at, 6, colour.filled())))?;
        }
        Mark::Cross => {
            chart.draw_series(points.map(|at| Cross::new(at, 6, colour.stroke_width(2))))?;
        }
    }
    Ok(())
}

/// Draws on an empty area. (plotters' errors borrow the area.)
fn draw(
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
fn range(values: impl Iterator<Item = f64>, from_zero: bool) -> Range<f64> {
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
    let (x, y) = (range(all().map(|p| p.0), false), range(all().map(|p| p.1), true));
    let svg = draw(SIZE, |area| {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x.clone(), y.clone())?;
        let power = |x: &f64| crate::size::human(1 << (x.round().clamp(0.0, 62.0) as u64));
        let plain = |x: &f64| format!("{x:.3}");
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(axes.x).y_desc(axes.y).light_line_style(BLACK.mix(0.04));
        mesh.label_style(LABELS).axis_desc_style(LABELS);
        if axes.doubling {
            // One label a power of two.
            let count = (x.end.floor() - x.start.ceil()) as usize + 1;
            mesh.x_labels(count.clamp(1, 16)).x_label_formatter(&power).draw()?;
        } else {
            mesh.x_label_formatter(&plain).draw()?;
        }
        for (index, one) in series.iter().enumerate() {
            if joined && !one.peer {
                let line = one.points.iter().copied();
                chart.draw_series(LineSeries::new(line, colour(index).stroke_width(2)))?;
            }
            draw_marks(&mut chart, index, one)?;
        }
        Ok(())
    })?;
    Ok(Chart { svg, legend: legend(series) })
}

/// Height of a bar, width of a letter beside it, and the most letters of a name.
const BAR: u32 = 22;
const LETTER: u32 = 7;
const LETTERS: usize = 54;

/// A bar for each name, made of parts of the same colours in all of them.
pub fn stacked(x: &str, parts: &[String], bars: &[(String, Vec<f64>)]) -> Result<Chart> {
    let width = range(bars.iter().map(|(_, values)| values.iter().sum()), true);
    let names: Vec<&str> = bars.iter().map(|(name, _)| name.as_str()).collect();
    let svg = beside_names(x, &names, width, |chart| {
        for (bar, (_, values)) in bars.iter().enumerate() {
            let mut left = 0.0;
            for (part, value) in values.iter().enumerate() {
                let corners = [(left, bar as f64 + 0.15), (left + value, bar as f64 + 0.85)];
                chart.draw_series([Rectangle::new(corners, colour(part).filled())])?;
                left += value;
            }
        }
        Ok(())
    })?;
    let key = |(part, name): (usize, &String)| key(colour(part), name);
    Ok(Chart { svg, legend: parts.iter().enumerate().map(key).collect() })
}

/// A ratio of speeds.
pub struct Difference {
    pub name: String,
    pub ratio: f64,
    pub interval: Interval,
    pub verdict: Verdict,
}

/// Ratios to 1 with their intervals.
pub fn differences(x: &str, ratios: &[Difference]) -> Result<Chart> {
    let (faster, slower, neither) = (colour(2), colour(1), colour(6));
    let ends = ratios.iter().flat_map(|one| [one.interval.low, one.interval.high]);
    let names: Vec<&str> = ratios.iter().map(|one| one.name.as_str()).collect();
    let svg = beside_names(x, &names, range(ends.chain([1.0]), false), |chart| {
        let one = [(1.0, 0.0), (1.0, ratios.len() as f64)];
        chart.draw_series(LineSeries::new(one, BLACK.mix(0.6).stroke_width(1)))?;
        for (at, Difference { ratio, interval, verdict, .. }) in ratios.iter().enumerate() {
            let colour = match verdict {
                Verdict::Faster => faster,
                Verdict::Slower => slower,
                Verdict::Same | Verdict::Ambiguous => neither,
            };
            let style = colour.filled().stroke_width(2);
            let (y, Interval { low, high }) = (at as f64 + 0.5, *interval);
            chart.draw_series([ErrorBar::new_horizontal(y, low, *ratio, high, style, 10)])?;
        }
        Ok(())
    })?;
    let legend = [(faster, "faster"), (slower, "slower"), (neither, "the same, or not told apart")];
    Ok(Chart { svg, legend: legend.map(|(colour, name)| key(colour, name)).to_vec() })
}

type Bars<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Names below each other, from the top, and what `fill` draws beside the nth of them between n and n + 1.
fn beside_names(
    x: &str,
    names: &[&str],
    width: Range<f64>,
    fill: impl Fn(&mut Bars<'_, '_>) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<String> {
    let names: Vec<String> = names.iter().map(|name| shortened(name)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as u32;
    draw((SIZE.0 + 60, BAR * names.len() as u32 + 70), |area| {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(LETTER * longest + 12)
            .build_cartesian_2d(width.clone(), names.len() as f64..0.0)?;
        let none = |_: &f64| String::new();
        chart
            .configure_mesh()
            .disable_y_mesh()
            .x_desc(x)
            .y_labels(1)
            .y_label_formatter(&none)
            .light_line_style(BLACK.mix(0.04))
            .label_style(LABELS)
            .axis_desc_style(LABELS)
            .draw()?;
        fill(&mut chart)?;
        let (_, rows) = chart.plotting_area().get_pixel_range();
        let step = f64::from(rows.end - rows.start) / names.len().max(1) as f64;
        let style = ("sans-serif", 12).into_font().color(&BLACK);
        for (index, name) in names.iter().enumerate() {
            let y = f64::from(rows.start) + step * (index as f64 + 0.5) - 6.0;
            area.draw(&Text::new(name.as_str(), (8, y as i32), style.clone()))?;
        }
        Ok(())
    })
}

/// A name that leaves room for what stands beside it.
fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}

/// Both axes logarithmic: the roof made of `bandwidth` (10^9 bytes a second) and `peak` (10^9 operations a second), and
/// points of (operations a byte, 10^9 operations a second).
pub fn roofline(bandwidth: f64, peak: f64, series: &[Series]) -> Result<Chart> {
    let all = || series.iter().flat_map(|one| one.points.iter().copied());
    let ridge = peak / bandwidth;
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    // Whole decades: their ends have labels.
    let below = |value: f64| 10_f64.powf((value / 1.5).log10().floor());
    let above = |value: f64| 10_f64.powf((value * 1.5).log10().ceil());
    let x = below(least(&mut all().map(|p| p.0)).min(ridge))
        ..above(most(&mut all().map(|p| p.0)).max(ridge));
    let y = below(least(&mut all().map(|p| p.1)).min(bandwidth * x.start))..above(peak);
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
            .light_line_style(BLACK.mix(0.04))
            .label_style(LABELS)
            .axis_desc_style(LABELS)
            .draw()?;
        let roof = [(x.start, bandwidth * x.start), (ridge, peak), (x.end, peak)];
        chart.draw_series(LineSeries::new(roof, BLACK.stroke_width(2)))?;
        for (index, one) in series.iter().enumerate() {
            draw_marks(&mut chart, index, one)?;
        }
        Ok(())
    })?;
    Ok(Chart { svg, legend: legend(series) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_series_of_many_look_alike() {
        let series = |index: usize| Series {
            name: index.to_string(),
            points: vec![(16.0 + index as f64, 1.0), (18.0, 2.0)],
            peer: false,
        };
        let series: Vec<Series> = (0..2 * COLOURS.len()).map(series).collect();
        let axes = Axes { x: "block", y: "GB/s", doubling: true };
        let chart = points(axes, &series, true).unwrap();
        let mut keys: Vec<_> = chart.legend.iter().map(|key| (&key.colour, key.mark)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), series.len());
        assert_eq!(chart.svg.matches("<polygon").count(), 2 * COLOURS.len(), "triangles");
    }

    #[test]
    fn a_long_name_leaves_room_for_its_bar() {
        assert_eq!(shortened("short"), "short");
        let name = "x".repeat(300);
        assert_eq!(shortened(&name).chars().count(), LETTERS);
        let chart = stacked("ps", &["a".to_owned()], &[(name, vec![1.0])]).unwrap();
        assert!(chart.svg.contains('…') && chart.svg.matches("<rect").count() >= 2);
    }

    #[test]
    fn what_has_no_points_can_be_drawn() {
        let axes = Axes { x: "block", y: "GB/s", doubling: true };
        assert!(points(axes, &[], true).is_ok());
        let one = Series { name: "one".to_owned(), points: vec![(18.0, 5.0)], peer: false };
        assert!(points(axes, &[one], true).is_ok());
    }
}
