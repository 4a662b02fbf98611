//! Small inputs: time against size, and where the device begins to be sooner.

use anyhow::Result;

use super::{
    charts::{self, Axes, Kind, Scale, Series},
    origins::origins,
    page::Page,
};
use crate::{
    record::Record,
    size,
    small::{self, Small},
    stats,
};

/// A chart for each pipeline and direction.
pub fn section(page: &mut Page, records: &[Record]) -> Result<()> {
    let several = records.iter().filter(|record| !record.small.is_empty()).count() > 1;
    for (record, from) in records.iter().zip(origins(records)) {
        let file = if several { record.source() } else { String::new() };
        let place = format!("{}{file}", from.label);
        // As they were measured: sizes in ascending order.
        for sizes in record.small.chunk_by(alike) {
            let Small { pipeline, direction, threads, data, .. } = &sizes[0];
            let core = if *threads == 1 { "one core" } else { "so many threads" };
            let text = format!(
                "{}, from slice to slice through the library, in turns; medians. The entropy stage is the device's, or all of it the \
                 CPU's, on {core}, or auto shares it. Here {}.",
                data.name,
                small::crossover(sizes)
            );
            page.chart(
                &format!("{direction} {pipeline}: time against input size{place}"),
                &text,
                &charts::points(axes(sizes, &mark(sizes)), &series(sizes), true)?,
            );
        }
    }
    Ok(())
}

fn alike(a: &Small, b: &Small) -> bool {
    let key = |small: &Small| {
        (small.pipeline.clone(), small.direction, small.data.name.clone(), small.threads)
    };
    key(a) == key(b) && a.data.bytes < b.data.bytes
}

fn mark(sizes: &[Small]) -> String {
    let at = small::crossover_at(sizes).unwrap_or(0.0) as u64;
    format!("device and CPU alike, about {}", size::human(rounded(at)))
}

/// To an eighth of the power of two below it: nobody knows a crossover better.
fn rounded(bytes: u64) -> u64 {
    let step = 1 << bytes.checked_ilog2().unwrap_or(0).saturating_sub(3);
    (bytes + step / 2) / step * step
}

fn axes<'a>(sizes: &[Small], mark: &'a str) -> Axes<'a> {
    Axes {
        x: "raw bytes of the input",
        y: "time",
        scale: Scale::Sizes,
        times: true,
        mark: small::crossover_at(sizes).map(|bytes| (bytes.log2(), mark)),
    }
}

fn series(sizes: &[Small]) -> Vec<Series> {
    let name = |way: usize| match (way, sizes[0].threads) {
        (0, _) => "device".to_owned(),
        (1, 1) => "CPU, one core".to_owned(),
        (1, threads) => format!("CPU, {threads} threads"),
        _ => "auto".to_owned(),
    };
    let series = (0..3).map(|way| {
        let point = |small: &Small| {
            let (_, samples) = small.ways()[way];
            ((small.data.bytes as f64).log2(), stats::median(samples).log10())
        };
        let points = sizes.iter().map(point).collect();
        Series { name: name(way), points, kind: Kind::Ours }
    });
    series.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::tests::record, small::tests::small};

    fn section_of(small: Vec<Small>) -> String {
        let mut page = Page::new("page");
        section(&mut page, &[Record { small, ..record() }]).unwrap();
        page.finish()
    }

    #[test]
    fn the_crossover_is_marked_where_there_is_one() {
        // The CPU takes a nanosecond a byte.
        let sizes = vec![small(1 << 16, 1e6, 0.0), small(1 << 20, 5e5, 1.0)];
        let page = section_of(sizes.clone());
        assert_eq!(page.matches("<svg").count(), 1);
        for text in ["alike, about 576 KiB", "CPU, one core", "the device is sooner from 1 MiB on"]
        {
            assert!(page.contains(text), "no {text}");
        }
        assert!(!section_of(sizes[..1].to_vec()).contains("alike"), "the device is never sooner");
        assert!(!section_of(sizes[1..].to_vec()).contains("alike"), "it always is");
    }

    #[test]
    fn what_is_uncertain_is_rounded() {
        assert_eq!([0, 1, 7, 477 << 10, 8640 << 10].map(rounded), [0, 1, 7, 480 << 10, 8 << 20]);
    }

    #[test]
    fn what_differs_in_more_than_size_has_charts_of_its_own() {
        let mut sizes = vec![small(1 << 16, 1e6, 0.0), small(1 << 20, 5e5, 1.0)];
        sizes.push(small(1 << 20, 5e5, 1.0));
        sizes[2].pipeline = "fse".to_owned();
        let page = section_of(sizes.clone());
        assert!(page.contains("encode rans: time") && page.contains("encode fse: time"));
        sizes.truncate(2);
        sizes[1].threads = 4;
        assert_eq!(section_of(sizes).matches("<svg").count(), 2);
    }
}
