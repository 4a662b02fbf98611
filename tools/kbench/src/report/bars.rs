//! Bars, each beside its name, and ratios drawn in their place.

use std::ops::Range;

use anyhow::Result;
use plotters::{coord::types::RangedCoordf64, prelude::*};

use super::charts::{Chart, Key, LABELS, SIZE, colour, css, draw, plain, range};
use crate::{compare::Verdict, stats::Interval};

/// Height of a bar, width of a letter beside it, and the most letters of a name.
const BAR: u32 = 22;
pub const LETTER: u32 = 6;
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

/// A speed, and what it is at most, in GB/s.
pub struct Speed {
    pub name: String,
    pub speed: f64,
    pub interval: Interval,
    pub limit: Option<f64>,
}

/// Speeds from zero, with their intervals, each beside its limit.
pub fn speeds(x: &str, speeds: &[Speed], limit: &str) -> Result<Chart> {
    let ends = speeds.iter().flat_map(|one| [Some(one.interval.high), one.limit]).flatten();
    let names: Vec<&str> = speeds.iter().map(|one| one.name.as_str()).collect();
    let svg = beside_names(x, &names, range(ends, true), |chart| {
        for (at, Speed { speed, interval, limit, .. }) in speeds.iter().enumerate() {
            let y = at as f64;
            let corners = [(0.0, y + 0.15), (*speed, y + 0.85)];
            chart.draw_series([Rectangle::new(corners, colour(5).filled())])?;
            let (Interval { low, high }, style) = (*interval, BLACK.filled().stroke_width(1));
            chart.draw_series([ErrorBar::new_horizontal(y + 0.5, low, *speed, high, style, 8)])?;
            if let Some(limit) = *limit {
                let line = [(limit, y + 0.05), (limit, y + 0.95)];
                chart.draw_series(LineSeries::new(line, colour(1).stroke_width(3)))?;
            }
        }
        Ok(())
    })?;
    let mut legend = vec![key(colour(5), "measured, with its interval")];
    if speeds.iter().any(|one| one.limit.is_some()) {
        legend.push(Key { mark: '┃', ..key(colour(1), limit) });
    }
    Ok(Chart { svg, legend })
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
            .x_label_formatter(&plain)
            .y_labels(1)
            .y_label_formatter(&none)
            .light_line_style(BLACK.mix(0.04))
            .label_style(LABELS)
            .axis_desc_style(LABELS)
            .draw()?;
        fill(&mut chart)?;
        let (_, rows) = chart.plotting_area().get_pixel_range();
        let step = f64::from(rows.end - rows.start) / names.len().max(1) as f64;
        let style = LABELS.into_font().color(&BLACK);
        for (index, name) in names.iter().enumerate() {
            let y = f64::from(rows.start) + step * (index as f64 + 0.5) - 5.0;
            area.draw(&Text::new(name.as_str(), (8, y as i32), style.clone()))?;
        }
        Ok(())
    })
}

/// A name that leaves room for what stands beside it.
pub fn shortened(name: &str) -> String {
    if name.chars().count() <= LETTERS {
        return name.to_owned();
    }
    name.chars().take(LETTERS - 1).chain(['…']).collect()
}

/// A bar's.
pub fn key(colour: RGBColor, name: &str) -> Key {
    Key { colour: css(colour), mark: '■', name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_stand_beside_their_limits() {
        let speed = |limit| Speed {
            name: "rans".to_owned(),
            speed: 20.0,
            interval: Interval { low: 19.0, high: 21.0 },
            limit,
        };
        let with = speeds("GB/s", &[speed(Some(50.0)), speed(None)], "the link").unwrap();
        let without = speeds("GB/s", &[speed(None)], "the link").unwrap();
        assert_eq!((with.legend.len(), without.legend.len()), (2, 1));
        assert_eq!(with.svg.matches(&css(colour(1)).to_uppercase()).count(), 1);
        assert!(with.svg.contains("\n50") && !without.svg.contains("\n50"), "room for the limit");
    }

    #[test]
    fn a_long_name_leaves_room_for_its_bar() {
        assert_eq!(shortened("short"), "short");
        let name = "x".repeat(300);
        assert_eq!(shortened(&name).chars().count(), LETTERS);
        let chart = stacked("ps", &["a".to_owned()], &[(name, vec![1.0])]).unwrap();
        assert!(chart.svg.contains('…') && chart.svg.matches("<rect").count() >= 2);
    }
}
