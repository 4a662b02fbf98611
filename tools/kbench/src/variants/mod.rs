//! Which forms of each kernel there are: the product's own and those of [`table::EXPERIMENTS`].

pub mod table;

mod experiments {
    //! What the build made of the table.
    use ranvil::kernel::{BindingDesc, Form, KernelDesc, SpecDesc, Variant, words};
    include!(concat!(env!("OUT_DIR"), "/experiments.rs"));
}

use anyhow::{Result, bail};
use ranvil::{
    kernel::{self, KernelDesc},
    testing::{Choice, Gpu},
};
use table::{EXPERIMENTS, Experiment};

/// The product's choice for the device.
pub const AUTO: &str = "auto";

/// One form of a kernel.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kernel: &'static KernelDesc,
    /// `VARIANT` or `VARIANT+EXPERIMENT`.
    pub name: String,
    pub choice: Choice,
    pub experiment: Option<&'static Experiment>,
}

impl Entry {
    /// CRC-32C of its SPIR-V module.
    pub fn module(&self) -> u32 {
        crc32c::crc32c(bytemuck::cast_slice(self.choice.variant.spirv))
    }
}

/// Every form of every kernel.
pub fn all() -> Vec<Entry> {
    kernel::ALL.iter().flat_map(of).collect()
}

/// Every form of a kernel, the product's first.
pub fn of(kernel: &'static KernelDesc) -> Vec<Entry> {
    let own = kernel.variants.iter().map(|variant| Entry {
        kernel,
        name: variant.name.to_owned(),
        choice: Choice { variant, spec: Vec::new(), checked: false },
        experiment: None,
    });
    let own: Vec<Entry> = own.collect();
    let tried = EXPERIMENTS.iter().flat_map(|e| own.iter().filter_map(|from| derive(from, e)));
    let tried: Vec<Entry> = tried.collect();
    [own, tried].concat()
}

/// What an experiment makes of a product's variant, if anything.
fn derive(from: &Entry, experiment: &'static Experiment) -> Option<Entry> {
    let &Experiment { kernels, variants, macros, spec, checked, .. } = experiment;
    if !kernels.contains(&from.kernel.name) || !variants.iter().any(|v| from.name.starts_with(v)) {
        return None;
    }
    let name = format!("{}+{}", from.name, experiment.name);
    let variant = if macros.is_empty() {
        from.choice.variant
    } else {
        let compiled = experiments::KERNELS.iter().find(|k| k.name == from.kernel.name)?;
        compiled.variants.iter().find(|variant| variant.name == name)?
    };
    let choice = Choice { variant, spec: spec.to_vec(), checked };
    Some(Entry { kernel: from.kernel, name, choice, experiment: Some(experiment) })
}

/// The forms of these kernels that `name` means on a device: `auto` or a variant, and `+EXPERIMENT` if wanted. A kernel
/// without that variant, or that the experiment does not change, keeps what suits the device; one of them must have it.
pub fn choose(gpu: &Gpu, kernels: &[&'static KernelDesc], name: &str) -> Result<Vec<Entry>> {
    let (base, experiment) = match name.split_once('+') {
        Some((base, experiment)) => (base, Some(experiment)),
        None => (name, None),
    };
    let mut meant = false;
    let mut chosen = Vec::new();
    for kernel in kernels {
        let suitable = gpu.suitable(kernel)?.name;
        let entries = of(kernel);
        let entry = |name: &str| entries.iter().find(|entry| entry.name == name).cloned();
        let own = if base == AUTO { None } else { entry(base) };
        let found = own.is_some() || base == AUTO;
        let plain = own.or_else(|| entry(suitable)).expect("a variant of this kernel");
        let changed = experiment.and_then(|e| entry(&format!("{}+{e}", plain.name)));
        meant |= found && (experiment.is_none() || changed.is_some());
        chosen.push(changed.unwrap_or(plain));
    }
    if !meant {
        let names: Vec<_> = kernels.iter().map(|kernel| kernel.name).collect();
        bail!("none of {} has a variant {name}: see `kbench list`", names.join(", "));
    }
    for entry in &chosen {
        if let Err(missing) = gpu.runs(&entry.choice) {
            bail!("{} {}: {} lacks {missing}", entry.kernel.name, entry.name, gpu.info().name);
        }
    }
    Ok(chosen)
}

/// The product's choice of all kernels, as `KERNEL VARIANT`, each with the CRC-32C of its SPIR-V module.
pub fn product(gpu: &Gpu) -> Result<Vec<(String, u32)>> {
    let kernels: Vec<&'static KernelDesc> = kernel::ALL.iter().collect();
    let entries = choose(gpu, &kernels, AUTO)?;
    let module = |entry: &Entry| (format!("{} {}", entry.kernel.name, entry.name), entry.module());
    Ok(entries.iter().map(module).collect())
}

/// Every name but `name` that means other forms of these kernels than the others do, all of which the device runs.
pub fn others(gpu: &Gpu, kernels: &[&'static KernelDesc], name: &str) -> Result<Vec<String>> {
    let own = kernels.iter().flat_map(|kernel| kernel.variants).map(|v| v.name.to_owned());
    let tried = EXPERIMENTS.iter().map(|experiment| format!("{AUTO}+{}", experiment.name));
    let forms = |entries: Vec<Entry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.name).collect()
    };
    let mut known = vec![forms(choose(gpu, kernels, name)?)];
    let mut others = Vec::new();
    for name in [AUTO.to_owned()].into_iter().chain(own).chain(tried) {
        // What cannot be chosen changes nothing here, or the device does not run it.
        let Ok(entries) = choose(gpu, kernels, &name) else { continue };
        let forms = forms(entries);
        if !known.contains(&forms) {
            known.push(forms);
            others.push(name);
        }
    }
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::STAGING;

    /// On the first Vulkan device.
    #[test]
    fn the_others_are_all_that_run_and_none_twice() {
        let gpu = Gpu::open(&"0".parse().unwrap(), STAGING).unwrap();
        let kernels = [kernel::find("parse").unwrap(), kernel::find("decode_rans").unwrap()];
        let names = others(&gpu, &kernels, AUTO).unwrap();
        assert!(names.iter().any(|name| name == "auto+log12"), "{names:?}");
        let suitable = gpu.suitable(kernels[1]).unwrap().name;
        assert!(!names.iter().any(|name| name == suitable || name == AUTO), "{names:?}");
        let beside = others(&gpu, &kernels, "auto+log12").unwrap();
        assert!(beside.iter().any(|name| name == AUTO), "{beside:?}");
        assert_eq!(beside.len(), names.len());
    }

    #[test]
    fn every_experiment_changes_something_and_no_interface() {
        let all = all();
        for experiment in EXPERIMENTS {
            let own: Vec<_> = all
                .iter()
                .filter(|entry| entry.experiment.is_some_and(|e| e.name == experiment.name))
                .collect();
            for kernel in experiment.kernels {
                assert!(
                    own.iter().any(|entry| entry.kernel.name == *kernel),
                    "{} changes no variant of {kernel}",
                    experiment.name
                );
            }
            assert!(!experiment.about.is_empty());
        }
        let mut names: Vec<_> = all.iter().map(|entry| (entry.kernel.name, &entry.name)).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "two entries have one name");
    }
}
