//! The list of kernels and variants.

use std::io::{self, Write, stdout};

use anyhow::Result;
use ranvil::{
    DeviceSelector,
    kernel::{self, Form},
    testing::Gpu,
};

use crate::{
    run::STAGING,
    variants::{self, Entry, table::EXPERIMENTS},
};

/// Prints everything; whether a device can run it, if there is one.
pub fn list(selector: &DeviceSelector) -> Result<bool> {
    let gpu = Gpu::open(selector, STAGING);
    match &gpu {
        Ok(gpu) => writeln!(stdout(), "on {}:", gpu.info().name)?,
        Err(error) => writeln!(stdout(), "no device to compare with ({error}):")?,
    }
    let gpu = gpu.ok();
    writeln!(
        stdout(),
        "\n{:<14}{:<28}{:<12}{:>6}{:>10}{:>8}  on this device",
        "kernel",
        "variant",
        "subgroup",
        "16bit",
        "workgroup",
        "shared"
    )?;
    for kernel in kernel::ALL {
        for entry in variants::of(kernel) {
            print(&entry, gpu.as_ref())?;
        }
    }
    writeln!(stdout())?;
    for experiment in EXPERIMENTS {
        writeln!(stdout(), "+{:<13}{}", experiment.name, experiment.about)?;
    }
    Ok(true)
}

fn print(entry: &Entry, gpu: Option<&Gpu>) -> io::Result<()> {
    let variant = entry.choice.variant;
    let subgroup = match variant.form {
        Form::Any => "any".to_owned(),
        Form::Shared => "none".to_owned(),
        Form::Subgroup(size) => format!("{size}"),
    };
    let suits = gpu.map_or(String::new(), |gpu| match gpu.runs(&entry.choice) {
        Ok(()) if gpu.suitable(entry.kernel).is_ok_and(|own| own.name == entry.name) => {
            "the product's choice".to_owned()
        }
        Ok(()) => "runs".to_owned(),
        Err(missing) => format!("lacks {missing}"),
    });
    writeln!(
        stdout(),
        "{:<14}{:<28}{subgroup:<12}{:>6}{:>10}{:>8}  {suits}",
        entry.kernel.name,
        entry.name,
        if variant.storage16 { "yes" } else { "no" },
        variant.workgroup[0],
        variant.shared_bytes,
    )
}
