//! The list of kernels and variants.

use std::io::{self, Write, stdout};

use anyhow::Result;
use ranvil::{
    DeviceSelector,
    kernel::{Form, Variant},
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
    let all = variants::all();
    let width = all.iter().map(|entry| needs(entry.choice.variant).len()).max().unwrap_or(0);
    writeln!(
        stdout(),
        "\n{:<14}{:<28}{:>10}{:>8}  {NEEDS:<width$}{}",
        "kernel",
        "variant",
        "workgroup",
        "shared",
        if gpu.is_some() { "  on this device" } else { "" },
    )?;
    all.iter().try_for_each(|entry| print(entry, width, gpu.as_ref()))?;
    writeln!(stdout())?;
    for experiment in EXPERIMENTS {
        writeln!(stdout(), "+{:<13}{}", experiment.name, experiment.about)?;
    }
    Ok(true)
}

/// The heading of what a variant needs.
const NEEDS: &str = "needs";

/// What a device must have for it, beside workgroups and shared memory of that size: subgroups, and features by the
/// capabilities that the module declares.
fn needs(variant: &Variant) -> String {
    let subgroups = match variant.form {
        Form::Any | Form::Shared => None,
        Form::Subgroup(size) => Some(format!("subgroups of {size}")),
    };
    let features = variant.capabilities.iter().filter_map(|&capability| match capability {
        // What every device has, and what comes with one of the others.
        "Shader" | "GroupNonUniform" | "DotProductInput4x8BitPacked" => None,
        "GroupNonUniformBallot" => Some("ballot"),
        "SubgroupBallotKHR" => Some("ballot of the extension"),
        "StorageBuffer16BitAccess" => Some("16-bit storage"),
        "DotProduct" => Some("dot product"),
        "Int8" => Some("int8"),
        "Int16" => Some("int16"),
        "Int64" => Some("int64"),
        other => Some(other),
    });
    let all: Vec<String> = subgroups.into_iter().chain(features.map(str::to_owned)).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn print(entry: &Entry, width: usize, gpu: Option<&Gpu>) -> io::Result<()> {
    let variant = entry.choice.variant;
    let suits = gpu.map_or(String::new(), |gpu| match gpu.runs(&entry.choice) {
        Ok(()) if gpu.suitable(entry.kernel).is_ok_and(|own| own.name == entry.name) => {
            "  the product's choice".to_owned()
        }
        Ok(()) => "  runs".to_owned(),
        Err(missing) => format!("  lacks {missing}"),
    });
    writeln!(
        stdout(),
        "{:<14}{:<28}{:>10}{:>8}  {:<width$}{suits}",
        entry.kernel.name,
        entry.name,
        variant.workgroup[0],
        variant.shared_bytes,
        needs(variant),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_is_named() {
        let needs_of = |kernel: &str, name: &str| {
            let all = variants::all();
            let entry = all.iter().find(|e| e.kernel.name == kernel && e.name == name).unwrap();
            needs(entry.choice.variant)
        };
        assert_eq!(needs_of("parse", "any"), "nothing");
        assert_eq!(needs_of("decode_rans", "subgroup32"), "subgroups of 32, ballot");
        for entry in variants::all() {
            let (text, variant) = (needs(entry.choice.variant), entry.choice.variant);
            let has = |capability: &str| variant.capabilities.contains(&capability);
            for (capability, name) in [
                ("Int8", "int8"),
                ("Int16", "int16"),
                ("Int64", "int64"),
                ("StorageBuffer16BitAccess", "16-bit storage"),
                ("DotProduct", "dot product"),
                ("SubgroupBallotKHR", "ballot of the extension"),
            ] {
                assert_eq!(text.contains(name), has(capability), "{}: {text}", entry.name);
            }
            assert!(!text.contains("Shader"), "{text}");
        }
        let all = variants::all();
        let unknown = Variant { capabilities: &["Shader", "Float64"], ..*all[0].choice.variant };
        assert!(needs(&unknown).contains("Float64"), "what nobody knows has its own name");
    }
}
