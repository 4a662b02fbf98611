//! The command as its users run it.
#![forbid(unsafe_code)]

mod bench;
mod devices;
mod failures;
mod files;
mod flags;
mod harness;
#[cfg(unix)]
mod interrupt;
mod listing;
mod streams;
#[cfg(target_os = "linux")]
mod terminal;
