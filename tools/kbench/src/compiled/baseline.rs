//! What the product's kernels compiled to when somebody last looked: a table in the repository, one line a kernel.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use super::Compiled;

/// A compiler, and what it made of each form.
#[derive(PartialEq, Debug)]
pub struct Baseline {
    pub compiler: String,
    rows: BTreeMap<String, Row>,
}

/// Instructions in all, and of every innermost loop in the order of the code: any of them may be the hot one.
#[derive(PartialEq, Debug)]
struct Row {
    instructions: u64,
    loops: Vec<u64>,
}

impl Row {
    fn parse(instructions: &str, loops: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok();
        let loops = match loops {
            "-" => Vec::new(),
            _ => loops.split(',').map(number).collect::<Option<_>>()?,
        };
        Some(Self { instructions: number(instructions)?, loops })
    }
}

/// Loops as a row has them.
fn list(loops: &[u64]) -> String {
    let counts: Vec<_> = loops.iter().map(u64::to_string).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(",") }
}

impl Baseline {
    /// Of the product's own variants; experiments come and go.
    pub fn of(compiler: &str, found: &[Compiled]) -> Self {
        let row = |found: &Compiled| {
            let figures = found.figures.as_ref().ok()?;
            let Compiled { family, kernel, variant, wave, .. } = found;
            let key = format!("{family}\t{wave}\t{kernel}\t{variant}");
            let row = Row { instructions: figures.instructions?, loops: figures.loops.clone() };
            (!found.experiment).then_some((key, row))
        };
        Self { compiler: compiler.to_owned(), rows: found.iter().filter_map(row).collect() }
    }

    /// # Errors
    /// The file cannot be read, or is none.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| format!("{} is no baseline", path.display()))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let compiler = lines.next()?.strip_prefix("# ")?.to_owned();
        let row = |line: &str| {
            let (rest, loops) = line.rsplit_once('\t')?;
            let (key, instructions) = rest.rsplit_once('\t')?;
            Some((key.to_owned(), Row::parse(instructions, loops)?))
        };
        let rows = lines.skip(1).map(row).collect::<Option<_>>()?;
        Some(Self { compiler, rows })
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| path.display().to_string())
    }

    fn text(&self) -> String {
        let head = "family\twave\tkernel\tvariant\tinstructions\tinnermost loops";
        let mut text = format!("# {}\n{head}\n", self.compiler);
        for (key, Row { instructions, loops }) in &self.rows {
            let loops = list(loops);
            writeln!(text, "{key}\t{instructions}\t{loops}").expect("strings take everything");
        }
        text
    }

    /// What is worse now, or not the same set of kernels or loops.
    pub fn faults(&self, now: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        let name = |key: &str| key.replace('\t', " ");
        for (key, Row { instructions, loops }) in &now.rows {
            let Some(before) = self.rows.get(key) else {
                faults.push(format!("{} is not recorded", name(key)));
                continue;
            };
            let recorded = before.instructions;
            if *instructions > recorded {
                let what = format!("{instructions} instructions, {recorded} recorded");
                faults.push(format!("{}: {what}", name(key)));
            }
            // With another number of loops nobody knows which is which.
            let longer = loops.iter().zip(&before.loops).any(|(now, before)| now > before);
            if longer || loops.len() != before.loops.len() {
                let (now, recorded) = (list(loops), list(&before.loops));
                let what = format!("innermost loops of {now} instructions, {recorded} recorded");
                faults.push(format!("{}: {what}", name(key)));
            }
        }
        let gone = self.rows.keys().filter(|key| !now.rows.contains_key(*key));
        faults.extend(gone.map(|key| format!("{} is recorded and was not compiled", name(key))));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compiled::tests::compiled;

    fn found(kernel: &str, instructions: u64, hot_loop: u64) -> Compiled {
        compiled(kernel, "subgroup32", instructions, hot_loop)
    }

    #[test]
    fn a_baseline_survives_its_file() {
        let mut rows = vec![found("parse", 7, 3), found("pack", 9, 1)];
        rows[0].figures.as_mut().unwrap().loops = vec![3, 12, 5];
        rows[1].figures.as_mut().unwrap().loops.clear();
        let baseline = Baseline::of("Mesa 25", &rows);
        assert_eq!(Baseline::parse(&baseline.text()), Some(baseline));
    }

    #[test]
    fn more_instructions_are_a_fault_and_fewer_are_not() {
        let before = Baseline::of("Mesa 25", &[found("parse", 100, 30), found("pack", 50, 10)]);
        let faults = |rows: &[Compiled]| before.faults(&Baseline::of("Mesa 25", rows));
        assert!(faults(&[found("parse", 100, 29), found("pack", 49, 10)]).is_empty());
        assert_eq!(faults(&[found("parse", 101, 30), found("pack", 50, 10)]).len(), 1);
        assert_eq!(faults(&[found("parse", 99, 31), found("pack", 50, 10)]).len(), 1);
        assert_eq!(faults(&[found("parse", 100, 30)]).len(), 1, "a kernel is gone");
        assert_eq!(faults(&[found("new", 1, 1)]).len(), 3);
    }

    /// Whichever loop it is: the largest need not be the hot one.
    #[test]
    fn each_loop_is_held_to_its_own_count() {
        let of = |loops: &[u64]| {
            let mut found = found("decode", 900, 500);
            found.figures.as_mut().unwrap().loops = loops.to_vec();
            Baseline::of("Mesa 25", &[found])
        };
        let before = of(&[566, 329, 20]);
        for (loops, faults) in [
            (&[566, 329, 20][..], 0),
            (&[560, 329, 19], 0),
            (&[566, 330, 20], 1),
            (&[300, 400, 20], 1),
            (&[566, 329], 1),
            (&[566, 329, 20, 4], 1),
            (&[], 1),
        ] {
            assert_eq!(before.faults(&of(loops)).len(), faults, "{loops:?}");
        }
    }

    #[test]
    fn experiments_are_not_recorded() {
        let mut tried = found("parse", 100, 30);
        tried.experiment = true;
        assert!(Baseline::of("Mesa 25", &[tried]).rows.is_empty());
    }
}
