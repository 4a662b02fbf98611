//! Tables for a person.

use std::io::{self, Write, stdout};

use super::Compiled;

/// What [`row`] prints below it.
pub fn header(family: &str) -> io::Result<()> {
    writeln!(
        stdout(),
        "\n{family:<43}{:>5}{:>7}{:>6}{:>6}{:>6}{:>7}{:>7}{:>11}{:>9}{:>14}",
        "wave",
        "instr",
        "loop",
        "VGPR",
        "SGPR",
        "spills",
        "LDS",
        "occupancy",
        "latency",
        "inverse thr."
    )
}

pub fn row(found: &Compiled) -> io::Result<()> {
    let name = format!("{} {}", found.kernel, found.variant);
    let text = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    match &found.figures {
        Err(error) => writeln!(stdout(), "{name:<43}{:>5}  rejected: {error}", found.wave),
        Ok(f) => writeln!(
            stdout(),
            "{name:<43}{:>5}{:>7}{:>6}{:>6}{:>6}{:>7}{:>7}{:>11}{:>9}{:>14}",
            found.wave,
            text(f.instructions),
            text(f.hot_loop),
            text(f.vgprs),
            text(f.sgprs),
            text(f.spills),
            text(f.lds),
            text(f.occupancy),
            text(f.latency),
            text(f.throughput),
        ),
    }
}

/// All that a driver says, whatever it calls it.
pub fn all(found: &Compiled) -> io::Result<()> {
    writeln!(stdout(), "\n{} {}, subgroups of {}", found.kernel, found.variant, found.wave)?;
    match &found.figures {
        Err(error) => writeln!(stdout(), "  rejected: {error}"),
        Ok(figures) => figures
            .all
            .iter()
            .try_for_each(|(name, value)| writeln!(stdout(), "  {name:<40}{value:>12}")),
    }
}
