//! What the product's kernels compiled to when somebody last looked: a table in the repository, one line a kernel.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use super::Compiled;

/// A compiler, and instructions in all and in the hot loop by what was compiled.
#[derive(Debug, PartialEq)]
pub struct Baseline {
    pub compiler: String,
    rows: BTreeMap<String, (u64, Option<u64>)>,
}

impl Baseline {
    /// Of the product's own variants; experiments come and go.
    pub fn of(compiler: &str, found: &[Compiled]) -> Self {
        let row = |found: &Compiled| {
            let figures = found.figures.as_ref().ok()?;
            let Compiled { family, kernel, variant, wave, .. } = found;
            let key = format!("{family}\t{wave}\t{kernel}\t{variant}");
            (!found.experiment).then_some((key, (figures.instructions?, figures.hot_loop)))
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
            let (rest, hot_loop) = line.rsplit_once('\t')?;
            let (key, instructions) = rest.rsplit_once('\t')?;
            Some((key.to_owned(), (instructions.parse().ok()?, hot_loop.parse().ok())))
        };
        let rows = lines.skip(1).map(row).collect::<Option<_>>()?;
        Some(Self { compiler, rows })
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| path.display().to_string())
    }

    fn text(&self) -> String {
        let mut text =
            format!("# {}\nfamily\twave\tkernel\tvariant\tinstructions\thot loop\n", self.compiler);
        for (key, (instructions, hot_loop)) in &self.rows {
            let hot_loop = hot_loop.map_or("-".to_owned(), |count| count.to_string());
            writeln!(text, "{key}\t{instructions}\t{hot_loop}").expect("strings take everything");
        }
        text
    }

    /// What is worse now, or not the same set of kernels.
    pub fn faults(&self, now: &Self) -> Vec<String> {
        let mut faults = Vec::new();
        let name = |key: &str| key.replace('\t', " ");
        for (key, &(instructions, hot_loop)) in &now.rows {
            let Some(&(before, loop_before)) = self.rows.get(key) else {
                faults.push(format!("{} is not recorded", name(key)));
                continue;
            };
            if instructions > before {
                faults
                    .push(format!("{}: {instructions} instructions, {before} recorded", name(key)));
            }
            if hot_loop > loop_before {
                let count = |count: Option<u64>| count.map_or("none".to_owned(), |c| c.to_string());
                faults.push(format!(
                    "{}: {} instructions in the hot loop, {} recorded",
                    name(key),
                    count(hot_loop),
                    count(loop_before)
                ));
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
        rows[1].figures.as_mut().unwrap().hot_loop = None;
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

    #[test]
    fn experiments_are_not_recorded() {
        let mut tried = found("parse", 100, 30);
        tried.experiment = true;
        assert!(Baseline::of("Mesa 25", &[tried]).rows.is_empty());
    }
}
