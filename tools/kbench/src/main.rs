//! Compares ranvil's kernels with each other, with the device's limits and with peers: `kbench --help`, and
//! `docs/BENCHMARKING.md` for how to read what it says.

mod args;
mod blocks;
mod case;
mod check;
mod checksums;
mod clock;
mod compare;
mod compiled;
#[path = "../../../benches/common/mod.rs"]
mod data;
mod destination;
mod ledger;
mod limits;
mod list;
mod measure;
mod record;
mod report;
mod roofline;
mod run;
#[allow(dead_code, reason = "the command's own, of which not all is used here")]
#[path = "../../cli/src/size.rs"]
mod size;
mod small;
mod stats;
mod subject;
mod table;
mod variants;
mod verify;
mod work;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Result;
use args::{Cli, Command};
use clap::Parser;

/// A check failed.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
/// It could not be done.
const IMPOSSIBLE: u8 = 3;
/// Nobody reads on: 128 + SIGPIPE.
const CLOSED_PIPE: u8 = 141;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = run(&cli).and_then(|good| Ok(io::stdout().flush().map(|()| good)?));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FAILED),
        Err(error) if is_closed_pipe(&error) => ExitCode::from(CLOSED_PIPE),
        Err(error) => {
            eprintln!("kbench: {error:#}");
            ExitCode::from(match () {
                () if error.is::<measure::Wrong>() => FAILED,
                () if error.is::<args::Usage>() => USAGE,
                () => IMPOSSIBLE,
            })
        }
    }
}

/// Whether the reader of standard output has gone away; nothing else here is a pipe.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// False if a check failed.
fn run(Cli { device, command }: &Cli) -> Result<bool> {
    match command {
        Command::List => list::list(device),
        Command::Verify(args) => verify::run(device, args),
        Command::Measure { forms, clocks, work, output } => {
            run::measure(device, forms, &clocks.clock, work, output)
        }
        Command::Sweep { range, forms, clocks, work, output } => {
            run::sweep(device, range, forms, &clocks.clock, work, output)
        }
        Command::Compare { a, b, work, output, margin, fail_on } => {
            run::compare(device, [a, b], work, output, margin / 100.0, fail_on)
        }
        Command::Small(args) => run::small(device, args),
        Command::Limits { timing, output } => run::limits(device, timing.effort(), output),
        Command::Static(args) => compiled::run(device, args),
        Command::Roofline { forms, work, output } => run::roofline(device, forms, work, output),
        Command::Report(args) => report::run(args),
    }
}
