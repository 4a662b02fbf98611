//! Resolves a [`DeviceSelector`] against the devices that exist. There is no fallback: what cannot be met is an error.

use crate::{
    device::{DeviceInfo, DeviceKind, DeviceSelector},
    error::DeviceError,
};

/// The index of the device that the selector means; it may be one that is not usable.
pub(super) fn resolve(
    selector: &DeviceSelector,
    devices: &[DeviceInfo],
) -> Result<usize, DeviceError> {
    if *selector == DeviceSelector::Auto {
        return best_hardware(devices).ok_or_else(|| not_found(selector, devices));
    }
    let found: Vec<&DeviceInfo> = devices.iter().filter(|info| matches(selector, info)).collect();
    match found[..] {
        [info] => Ok(info.index),
        [] => Err(not_found(selector, devices)),
        _ => Err(DeviceError::Ambiguous {
            selector: selector.to_string(),
            available: listed("they are", found.into_iter()),
        }),
    }
}

/// The error that lists what exists.
pub(super) fn not_found(selector: &DeviceSelector, devices: &[DeviceInfo]) -> DeviceError {
    let selector = match selector {
        DeviceSelector::Auto => "auto (a usable hardware GPU)".to_owned(),
        named => named.to_string(),
    };
    DeviceError::NotFound { selector, available: listed("there are", devices.iter()) }
}

/// The device that `auto` takes: discrete before integrated before virtual, more memory first.
fn best_hardware(devices: &[DeviceInfo]) -> Option<usize> {
    let rank = |info: &DeviceInfo| match info.kind {
        DeviceKind::Discrete => Some(3),
        DeviceKind::Integrated => Some(2),
        DeviceKind::Virtual => Some(1),
        DeviceKind::Cpu | DeviceKind::Other => None,
    };
    devices
        .iter()
        .filter(|info| info.usable.is_ok() && !info.software)
        .filter_map(|info| Some((rank(info)?, info.memory_bytes, std::cmp::Reverse(info.index))))
        .max()
        .map(|(_, _, index)| index.0)
}

fn matches(selector: &DeviceSelector, info: &DeviceInfo) -> bool {
    match selector {
        DeviceSelector::Auto | DeviceSelector::Cpu => false,
        DeviceSelector::Index(index) => info.index == *index,
        DeviceSelector::Name(part) => info.name.to_lowercase().contains(&part.to_lowercase()),
        DeviceSelector::Uuid(uuid) => info.uuid == *uuid,
        DeviceSelector::Pci(address) => info.pci.as_ref() == Some(address),
    }
}

fn listed<'a>(verb: &str, devices: impl Iterator<Item = &'a DeviceInfo>) -> String {
    let names: Vec<String> =
        devices.map(|info| format!("{} ({}, {})", info.index, info.name, info.kind)).collect();
    if names.is_empty() {
        return "no Vulkan device exists".to_owned();
    }
    format!("{verb}: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{PciAddress, SubgroupSizes};

    fn device(index: usize, name: &str, kind: DeviceKind) -> DeviceInfo {
        DeviceInfo {
            index,
            name: name.to_owned(),
            kind,
            vendor_id: 0x10DE,
            vendor: Some("NVIDIA"),
            device_id: 1,
            uuid: [index as u8; 16],
            pci: Some(PciAddress { domain: 0, bus: index as u32, device: 0, function: 0 }),
            driver: "driver".to_owned(),
            driver_version: "1".to_owned(),
            api_version: (1, 3, 0),
            subgroup: SubgroupSizes { min: 32, max: 32, default: 32 },
            memory_bytes: 1 << 30,
            software: kind == DeviceKind::Cpu,
            usable: Ok(()),
        }
    }

    fn machine() -> Vec<DeviceInfo> {
        vec![
            device(0, "llvmpipe", DeviceKind::Cpu),
            device(1, "Iris Xe", DeviceKind::Integrated),
            device(2, "GeForce RTX 4070", DeviceKind::Discrete),
            device(3, "GeForce RTX 4090", DeviceKind::Discrete),
        ]
    }

    #[test]
    fn every_form_finds_its_device() {
        for (text, index) in
            [("1", 1), ("name=4090", 3), ("name=IRIS", 1), ("pci=2:0.0", 2), ("name=llvm", 0)]
        {
            assert_eq!(resolve(&text.parse().unwrap(), &machine()).unwrap(), index, "{text}");
        }
        assert_eq!(resolve(&DeviceSelector::Uuid([1; 16]), &machine()).unwrap(), 1);
    }

    #[test]
    fn what_cannot_be_met_lists_what_exists() {
        let error = resolve(&"7".parse().unwrap(), &machine()).unwrap_err();
        assert!(matches!(error, DeviceError::NotFound { .. }));
        assert!(error.to_string().contains("1 (Iris Xe, integrated)"), "{error}");
        let error = resolve(&"name=geforce".parse().unwrap(), &machine()).unwrap_err();
        assert!(matches!(error, DeviceError::Ambiguous { .. }));
        assert!(error.to_string().contains("RTX 4070") && !error.to_string().contains("Iris"));
        let error = resolve(&DeviceSelector::Index(0), &[]).unwrap_err();
        assert!(error.to_string().contains("no Vulkan device exists"), "{error}");
    }

    #[test]
    fn auto_takes_the_best_hardware_and_never_software() {
        let mut devices = machine();
        devices[3].memory_bytes = 2 << 30;
        assert_eq!(best_hardware(&devices), Some(3));
        devices[3].usable = Err("Vulkan 1.2".to_owned());
        assert_eq!(best_hardware(&devices), Some(2));
        assert_eq!(best_hardware(&devices[..2]), Some(1));
        assert_eq!(best_hardware(&devices[..1]), None);
        assert!(resolve(&DeviceSelector::Auto, &devices[..1]).is_err());
    }
}
