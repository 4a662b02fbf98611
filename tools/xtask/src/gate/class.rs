//! What class of machine this is: where ratios to the calibration workload are comparable.

use std::{env::consts, fs, thread};

/// `VENDOR-FAMILY-MODEL-ISA-THREADS`, and the name of the GPU if there is one. The names of processors say too much (clock,
/// marketing) and too little (a hypervisor's).
pub fn of_this_machine(gpu: Option<&str>) -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut words = vec![cpu(&info), isa().to_owned(), format!("{threads}t")];
    words.extend(gpu.map(str::to_owned));
    tidy(&words.join("-"))
}

/// Vendor, family and model as Linux tells them; elsewhere the system, which at least keeps baselines apart.
fn cpu(info: &str) -> String {
    let field = |name: &str| {
        let line = info.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        });
        line.filter(|value| !value.is_empty())
    };
    match (field("vendor_id"), field("cpu family"), field("model")) {
        (Some(vendor), Some(family), Some(model)) => format!("{vendor}-{family}-{model}"),
        _ => match (field("CPU implementer"), field("CPU part")) {
            (Some(implementer), Some(part)) => format!("arm-{implementer}-{part}"),
            _ => format!("{}-{}", consts::OS, consts::ARCH),
        },
    }
}

/// The instructions that ranvil would use.
fn isa() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512vbmi2") {
            return "avx512";
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return "avx2";
        }
    }
    consts::ARCH
}

/// A file's name.
fn tidy(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let text: String = text.chars().map(plain).collect();
    text.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_names_of_files() {
        let info = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: X\n";
        assert_eq!(cpu(info), "AuthenticAMD-25-17");
        assert_eq!(cpu("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"), "arm-0x41-0xd0c");
        assert_eq!(cpu(""), format!("{}-{}", consts::OS, consts::ARCH));
        assert_eq!(tidy("Radeon RX 7900 (RADV/NAVI31)"), "radeon-rx-7900-radv-navi31");
        let class = of_this_machine(Some("Some GPU"));
        assert!(class.ends_with("t-some-gpu") && !class.contains(['/', ' ', '.']), "{class}");
    }
}
