//! The program as the tests run it.

use std::process::{Command, Output};

pub fn kbench(device: &str, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kbench"))
        .args(["--device", device])
        .args(args)
        .env_remove("RANVIL_DEVICE")
        .output()
        .unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
