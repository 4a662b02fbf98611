//! The command `ranvil`: compresses and restores files, with the letters that gzip and zstd users know.
#![deny(unsafe_code)]

mod args;
mod bench;
mod closed;
mod codec;
mod devices;
mod flags;
mod foreign;
mod generate;
mod input;
mod interrupt;
mod job;
mod level;
mod list;
mod output;
mod progress;
mod report;
mod run;
mod size;
mod stats;
mod summary;
mod table;
mod tally;
mod watch;

use std::process::ExitCode;

use args::Invocation;

fn main() -> ExitCode {
    let invocation = match args::parse() {
        Ok(invocation) => invocation,
        Err(status) => return status.into(),
    };
    report::init_log(match &invocation {
        Invocation::Files(args) => args.verbosity(),
        Invocation::Bench(args) => args.verbosity(),
    });
    let outcome = match &invocation {
        Invocation::Files(args) => run::run(args),
        Invocation::Bench(args) => bench::run(args),
    };
    ranvil::release_idle();
    match outcome {
        Ok(status) => status.into(),
        Err(error) => report::Status::of(&error).report("", &error).into(),
    }
}
