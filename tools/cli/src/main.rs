//! The command `ranvil`: compresses and restores files, with the letters that gzip and zstd users know.
#![forbid(unsafe_code)]

mod args;
mod codec;
mod devices;
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
mod summary;
mod table;
mod tally;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = args::parse();
    report::init_log(args.verbosity());
    match run::run(&args) {
        Ok(status) => status.into(),
        Err(error) => report::Status::of(&error).report("", &error).into(),
    }
}
