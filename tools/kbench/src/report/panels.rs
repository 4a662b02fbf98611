//! A table of bars: figures of different units beside each other for each name, with their values.

use anyhow::Result;
use plotters::prelude::*;

use super::{
    bars::{LETTER, shortened},
    charts::{Chart, Key, colour, draw},
};

/// Pixels: all of it, around it, a row, the titles.
const WIDTH: u32 = 860;
const MARGIN: u32 = 8;
const ROW: u32 = 18;
const TITLES: u32 = 26;
/// Between panels.
const GAP: u32 = 10;

/// One unit: what it is called, and how wide it is relative to others.
pub struct Panel {
    pub title: &'static str,
    /// What it is.
    pub about: &'static str,
    pub share: u32,
    /// Pixels that a value takes behind its bar.
    pub value: u32,
    /// Which of the colours it has; the first part of its bars has the one before.
    pub colour: usize,
}

/// A row.
pub enum Line {
    /// What the names below have in common.
    Heading(String),
    /// A bar for each panel.
    Bars { name: String, bars: Vec<Option<Bar>> },
}

/// A value, and how much of it is drawn apart.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bar {
    pub value: u64,
    pub part: u64,
}

/// Draws panels of which every line has as many bars.
pub fn panels(panels: &[Panel], lines: &[Line], legend: Vec<Key>) -> Result<Chart> {
    let longest = lines.iter().map(|line| match line {
        Line::Heading(_) => 0,
        Line::Bars { name, .. } => shortened(name).chars().count() as u32 + 1,
    });
    let left = MARGIN + LETTER * longest.max().unwrap_or(0) + GAP;
    let places = places(panels, left);
    let height = MARGIN + TITLES + ROW * lines.len() as u32 + MARGIN;
    let svg = draw((WIDTH, height), |area| {
        area.fill(&WHITE)?;
        let text = |text: &str, x: u32, y: u32, style: &TextStyle<'_>| {
            area.draw(&Text::new(text.to_owned(), (x as i32, y as i32), style.clone()))
        };
        let plain = ("sans-serif", 13).into_font().color(&BLACK);
        let bold = ("sans-serif", 13, FontStyle::Bold).into_font().color(&BLACK);
        for (panel, &(x, _)) in panels.iter().zip(&places) {
            text(panel.title, x, MARGIN, &bold)?;
        }
        for (number, line) in lines.iter().enumerate() {
            let y = MARGIN + TITLES + ROW * number as u32;
            let bars = match line {
                Line::Heading(name) => {
                    text(name, MARGIN, y + 4, &bold)?;
                    continue;
                }
                Line::Bars { name, bars } => {
                    text(&shortened(name), 2 * MARGIN, y + 4, &plain)?;
                    bars
                }
            };
            for (at, (panel, &(x, width))) in panels.iter().zip(&places).enumerate() {
                let Some(Bar { value, part }) = bars[at] else { continue };
                let scale = f64::from(width) / most(lines, at).max(1) as f64;
                let [end, middle] = [value, part].map(|v| x + (v as f64 * scale).round() as u32);
                let bar = |from: u32, to: u32, colour: RGBColor| {
                    let (top, bottom) = (y as i32 + 2, (y + ROW) as i32 - 2);
                    let corners = [(from as i32, top), (to as i32, bottom)];
                    area.draw(&Rectangle::new(corners, colour.filled()))
                };
                bar(middle, end, colour(panel.colour))?;
                if part > 0 {
                    bar(x, middle, colour(panel.colour - 1))?;
                }
                let value = if part > 0 { format!("{part} of {value}") } else { value.to_string() };
                text(&value, end + 4, y + 4, &plain)?;
            }
        }
        Ok(())
    })?;
    Ok(Chart { svg, legend })
}

/// Where the bars of each panel begin, and how long they may be.
fn places(panels: &[Panel], left: u32) -> Vec<(u32, u32)> {
    let shares: u32 = panels.iter().map(|panel| panel.share).sum();
    let fixed = left + MARGIN + panels.iter().map(|panel| panel.value + GAP).sum::<u32>();
    let room = WIDTH.saturating_sub(fixed).max(shares);
    let mut x = left;
    let place = |panel: &Panel| {
        let width = room * panel.share / shares;
        let place = (x, width);
        x += width + panel.value + GAP;
        place
    };
    panels.iter().map(place).collect()
}

/// The largest value of a panel.
fn most(lines: &[Line], panel: usize) -> u64 {
    let values = lines.iter().filter_map(|line| match line {
        Line::Heading(_) => None,
        Line::Bars { bars, .. } => bars[panel].map(|bar| bar.value),
    });
    values.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_beside_each_other() {
        let panel = |share| Panel { title: "title", about: "", share, value: 40, colour: 1 };
        let three = [panel(2), panel(1), panel(1)];
        for left in [20, 250, 800] {
            let places = places(&three, left);
            let apart = places.windows(2).all(|two| two[0].0 + two[0].1 + 40 < two[1].0);
            assert!(apart && places[0].0 >= left, "{places:?}");
        }
        let places = places(&three, 250);
        assert!(places[2].0 + places[2].1 + 40 <= WIDTH);
        assert!(places[0].1 >= 2 * places[1].1);
    }

    #[test]
    fn each_value_is_drawn_and_written() {
        let lines = [
            Line::Heading("a chip".to_owned()),
            Line::Bars { name: "one".to_owned(), bars: vec![Some(Bar { value: 777, part: 100 })] },
            Line::Bars { name: "none".to_owned(), bars: vec![None] },
        ];
        let panel = [Panel { title: "instructions", about: "", share: 1, value: 40, colour: 1 }];
        let svg = panels(&panel, &lines, Vec::new()).unwrap().svg;
        for text in ["a chip", "one", "none", "100 of 777", "instructions"] {
            assert!(svg.contains(text), "no {text}");
        }
        assert_eq!(svg.matches("<rect").count(), 3, "background, part and the rest");
    }
}
