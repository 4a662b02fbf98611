//! `ranvil-kernelc DIR`: compiles the kernels in DIR into DIR/prebuilt.

use std::{env, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let Some(kernels) = env::args_os().nth(1) else {
        eprintln!("usage: ranvil-kernelc DIR");
        return ExitCode::from(2);
    };
    match ranvil_kernelc::write_prebuilt(Path::new(&kernels)) {
        Ok(prebuilt) => {
            println!("kernels: {}", prebuilt.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("ranvil-kernelc: {error}");
            ExitCode::FAILURE
        }
    }
}
