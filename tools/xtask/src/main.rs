//! Set-up, tests and checks: everything that a developer or a CI run does beside `cargo build`.

use std::process::ExitCode;

mod apt;
mod checks;
mod drivers;
mod gate;
mod instructions;
mod package;
mod process;
mod tests;
mod verify;

/// What every task returns; the message says what to do.
type Result<T = (), E = String> = std::result::Result<T, E>;

const USAGE: &str = "\
usage: cargo xtask TASK

  setup       installs the Vulkan drivers, layers and tools that tests use, under target/drivers
  env CONFIG  prints the environment of one driver configuration: eval \"$(cargo xtask env lavapipe-8)\"
  test        setup, then every test, with the device tests once per driver configuration
  kernels     writes the compiled kernels that a package carries to kernels/prebuilt
  package     builds the package, and builds and tests it as its users do: without shaderc
  fmt         checks the formatting
  clippy      checks the code, warnings denied
  docs        builds the documentation, warnings denied
  spirv       runs spirv-val over every kernel
  windows     checks the code for x86_64-pc-windows-gnu
  gate        compares ranvil's speed with a baseline of this class of machine; `cargo xtask gate --help`
  instructions [--update]
              counts the instructions of the hot loops, and compares with those recorded
  benches     runs each bench of the CPU code once
  verify      checks every variant of every kernel that lavapipe or SwiftShader can run against its twin
  static [--update-baseline]
              compiles every kernel with AMD's compiler, and compares with what was recorded
  ci          all checks after `test`: fmt, clippy, docs, spirv, windows, benches, instructions, verify,
              static, package";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["gate", flags @ ..] = &args[..] {
        return gate::run(flags);
    }
    let outcome = match args[..] {
        ["setup"] => drivers::install().map(drop),
        ["env", config] => tests::print_environment(config),
        ["test"] => tests::run_all(),
        ["kernels"] => package::kernels(),
        ["package"] => package::check(),
        ["fmt"] => checks::fmt(),
        ["clippy"] => checks::clippy(),
        ["docs"] => checks::docs(),
        ["spirv"] => checks::spirv(),
        ["windows"] => checks::windows(),
        ["instructions"] => instructions::check(false),
        ["instructions", "--update"] => instructions::check(true),
        ["verify"] => verify::all(),
        ["benches"] => tests::benches(),
        ["static", ref flags @ ..] => tests::compile_for_amd(flags),
        ["ci"] => checks::all(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}
