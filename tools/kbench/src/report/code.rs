//! What compilers make of the kernels: a chart for each kernel, by chip and subgroup size.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{
    bars::key,
    charts::{Chart, colour},
    page::Page,
    panels::{self, Bar, Line, Panel},
};
use crate::{
    compiled::{COLUMNS, Compiled, Figures},
    record::Record,
};

/// The charts, and below them everything as a table.
pub fn section(page: &mut Page, record: &Record) -> Result<()> {
    if record.compiled.is_empty() {
        return Ok(());
    }
    let whose = format!("{}{}", record.device.label(), record.source());
    for forms in kernels(&record.compiled) {
        let (drawn, same) = apart(&forms);
        let (about, chart) = chart(&drawn)?;
        let mut text = format!("From left to right: {}.", about.join("; "));
        if !same.is_empty() {
            let same: Vec<&str> = same.into_iter().collect();
            text += &format!(
                " Experiments are not drawn where all figures are those of the variant that they change; some of these: {}.",
                same.join(", ")
            );
        }
        page.chart(&format!("{}: compiled code, {whose}", forms[0].kernel), &text, &chart);
    }
    page.heading(&format!("Compiled code, {whose}"));
    table(page, record);
    all(page, record);
    Ok(())
}

/// The columns that say something.
fn table(page: &mut Page, record: &Record) {
    let rows: Vec<_> = record.compiled.iter().map(Compiled::cells).collect();
    let nothing = ["", "-", &record.device.name];
    let empty = |&at: &usize| rows.iter().all(|row| nothing.contains(&row[at].as_str()));
    let shown: Vec<usize> = (0..COLUMNS.len()).filter(|at| !empty(at)).collect();
    let columns: Vec<&str> = shown.iter().map(|&at| COLUMNS[at]).collect();
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| shown.iter().map(|&at| row[at].clone()).collect()).collect();
    page.grid(&columns, &rows);
}

/// The forms of each kernel; kernels in the order in which they come.
fn kernels(compiled: &[Compiled]) -> Vec<Vec<&Compiled>> {
    let mut kernels: Vec<Vec<&Compiled>> = Vec::new();
    for form in compiled {
        match kernels.iter_mut().find(|known| known[0].kernel == form.kernel) {
            Some(known) => known.push(form),
            None => kernels.push(vec![form]),
        }
    }
    kernels
}

/// Those that are to be drawn, and the experiments of which some change nothing.
fn apart<'a>(forms: &[&'a Compiled]) -> (Vec<&'a Compiled>, BTreeSet<&'a str>) {
    let numbers = |form: &Compiled| form.figures.as_ref().ok().map(Figures::numbers);
    let (mut drawn, mut same) = (Vec::new(), BTreeSet::new());
    for form in forms {
        let changed = form.variant.split_once('+').filter(|_| form.experiment);
        let original = changed.and_then(|(variant, _)| {
            let its = |of: &&&Compiled| (&of.family, of.wave) == (&form.family, form.wave);
            forms.iter().filter(its).find(|of| of.variant == variant)
        });
        match (original, changed) {
            (Some(original), Some((_, experiment))) if numbers(original) == numbers(form) => {
                same.insert(experiment);
            }
            _ => drawn.push(*form),
        }
    }
    (drawn, same)
}

type Value = fn(&Figures) -> Option<Bar>;

/// All panels that there may be, and what their bars are.
fn all_panels() -> [(Panel, Value); 6] {
    let panel = |title, about, colour| Panel { title, about, share: 1, value: 42, colour };
    let instructions = Panel {
        share: 5,
        value: 90,
        ..panel(
            "instructions",
            "instructions, of the hot loop (the largest innermost one) and all",
            5,
        )
    };
    [
        (instructions, |f| {
            let value = f.instructions?;
            Some(Bar { value, part: f.hot_loop.unwrap_or(0).min(value) })
        }),
        (panel("registers", "registers of an invocation", 2), |f| whole(f.vgprs)),
        (panel("shared, B", "bytes of shared memory", 3), |f| whole(f.lds)),
        (panel("occupancy", "subgroups that a SIMD unit holds at once", 6), |f| whole(f.occupancy)),
        (panel("code, B", "bytes of code", 10), |f| {
            whole(f.code.filter(|_| f.instructions.is_none()))
        }),
        (panel("spills", "registers that are spilled", 1), |f| {
            whole(f.spills.filter(|&spills| spills > 0))
        }),
    ]
}

/// The panels that there are values for, and what they are.
fn chart(forms: &[&Compiled]) -> Result<(Vec<&'static str>, Chart)> {
    let figures = || forms.iter().filter_map(|form| form.figures.as_ref().ok());
    let shown = all_panels().into_iter().filter(|(_, value)| figures().any(|f| value(f).is_some()));
    let (shown, values): (Vec<Panel>, Vec<Value>) = shown.unzip();
    let mut lines = Vec::new();
    let mut before = None;
    for form in forms {
        let group = (&form.family, form.wave);
        if before.replace(group) != Some(group) {
            lines.push(Line::Heading(format!("{}, subgroups of {}", form.family, form.wave)));
        }
        let bars = |figures: &Figures| values.iter().map(|value| value(figures)).collect();
        let (name, bars) = match &form.figures {
            Ok(figures) => (form.variant.clone(), bars(figures)),
            Err(_) => (format!("{}: rejected", form.variant), bars(&Figures::default())),
        };
        lines.push(Line::Bars { name, bars });
    }
    let legend = if figures().any(|f| f.hot_loop.is_some()) {
        vec![key(colour(4), "instructions of the hot loop"), key(colour(5), "all others")]
    } else {
        Vec::new()
    };
    let about = shown.iter().map(|panel| panel.about).collect();
    Ok((about, panels::panels(&shown, &lines, legend)?))
}

fn whole(value: Option<u64>) -> Option<Bar> {
    value.map(|value| Bar { value, part: 0 })
}

/// What a device's own driver says, by its own names: each says something else.
fn all(page: &mut Page, record: &Record) {
    let own = |form: &&Compiled| form.family == record.device.name;
    let own: Vec<_> = record.compiled.iter().filter(own).collect();
    let figures = || own.iter().filter_map(|form| Some((form, form.figures.as_ref().ok()?)));
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in figures().flat_map(|(_, figures)| &figures.all) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return;
    }
    let whose = format!("{}{}", record.device.label(), record.source());
    page.heading(&format!("All that the driver says of its code: {whose}"));
    let row = |(form, figures): (&&Compiled, &Figures)| {
        let value = |name: &&str| {
            let found = figures.all.iter().find(|(known, _)| known == name);
            found.map_or("-".to_owned(), |(_, value)| value.to_string())
        };
        let name = format!("{} {}", form.kernel, form.variant);
        [name, form.wave.to_string()].into_iter().chain(names.iter().map(value)).collect()
    };
    let rows: Vec<Vec<String>> = figures().map(row).collect();
    page.grid(&[&["kernel", "subgroup"], &names[..]].concat(), &rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compiled::tests::compiled, record::tests::record};

    fn section_of(compiled: Vec<Compiled>) -> String {
        let mut page = Page::new("page");
        section(&mut page, &Record { compiled, ..record() }).unwrap();
        page.finish()
    }

    fn experiment(variant: &str, instructions: u64) -> Compiled {
        Compiled { experiment: true, ..compiled("decode_rans", variant, instructions, 30) }
    }

    #[test]
    fn each_kernel_has_a_chart_and_each_form_a_row() {
        let mut wide = compiled("decode_rans", "subgroup64", 7333, 30);
        wide.wave = 64;
        let mut rejected = compiled("parse", "any", 1, 1);
        rejected.figures = Err("no <memory>".to_owned());
        let page = section_of(vec![
            compiled("decode_rans", "subgroup32", 7222, 30),
            experiment("subgroup32+streams4", 7444),
            wide,
            rejected,
        ]);
        assert_eq!(page.matches("<svg").count(), 2);
        for text in [
            "decode_rans: compiled code, Some",
            "navi31, subgroups of 32",
            "navi31, subgroups of 64",
            "subgroup32+streams4",
            "any: rejected",
            "no &lt;memory&gt;",
        ] {
            assert!(page.contains(text), "no {text}");
        }
        for value in [7222, 7444, 7333] {
            assert_eq!(page.matches(&value.to_string()).count(), 2, "{value}: chart and table");
        }
        assert!(!page.contains("All that the driver"), "it was not compiled for the device");
    }

    #[test]
    fn experiments_that_change_nothing_are_named_and_not_drawn() {
        let own = compiled("decode_rans", "subgroup32", 7222, 30);
        let forms = [own, experiment("subgroup32+log12", 7222), experiment("subgroup32+new", 7221)];
        let forms: Vec<&Compiled> = forms.iter().collect();
        let (drawn, same) = apart(&forms);
        let names: Vec<&str> = drawn.iter().map(|form| form.variant.as_str()).collect();
        assert_eq!(names, ["subgroup32", "subgroup32+new"]);
        assert_eq!(same.into_iter().collect::<Vec<_>>(), ["log12"]);
    }

    #[test]
    fn a_device_is_shown_by_what_its_driver_says() {
        let mut own = compiled("parse", "any", 7222, 30);
        own.family = record().device.name;
        let all = vec![("Register Count".to_owned(), 40), ("Stack <Size>".to_owned(), 8)];
        own.figures = Ok(Figures::new(all, ""));
        let page = section_of(vec![own]);
        assert!(page.contains("Stack &lt;Size&gt;") && page.contains("\nregisters\n"), "{page}");
        assert!(!page.contains("\noccupancy\n"), "a panel without values");
        assert!(!page.contains("hot loop</li>") && !page.contains("<th>latency"));
        assert!(!page.contains("<th>for"), "it is for the device, as the heading says");
    }
}
