//! `--list-devices`: the Vulkan devices of this machine.

use std::io::{self, Write};

use ranvil::{DeviceError, DeviceInfo};
use serde::Serialize;

use crate::{list::write_json, size::human, table};

/// The JSON document. Fields may be added; none is renamed or removed.
#[derive(Serialize)]
struct Document {
    devices: Vec<Device>,
    /// Why there is no device to list, if there is a reason.
    problem: Option<String>,
}

#[derive(Serialize)]
struct Device {
    index: usize,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    vendor: Option<&'static str>,
    vendor_id: u32,
    device_id: u32,
    driver: String,
    driver_version: String,
    api_version: String,
    subgroup_size: u32,
    subgroup_size_min: u32,
    subgroup_size_max: u32,
    memory_bytes: u64,
    uuid: String,
    pci: Option<String>,
    software: bool,
    usable: bool,
    /// What the device lacks, if it is not usable.
    reason: Option<String>,
}

impl From<DeviceInfo> for Device {
    fn from(info: DeviceInfo) -> Self {
        let (major, minor, patch) = info.api_version;
        Self {
            index: info.index,
            name: info.name,
            kind: info.kind.to_string(),
            vendor: info.vendor,
            vendor_id: info.vendor_id,
            device_id: info.device_id,
            driver: info.driver,
            driver_version: info.driver_version,
            api_version: format!("{major}.{minor}.{patch}"),
            subgroup_size: info.subgroup.default,
            subgroup_size_min: info.subgroup.min,
            subgroup_size_max: info.subgroup.max,
            memory_bytes: info.memory_bytes,
            uuid: uuid(info.uuid),
            pci: info.pci.map(|pci| pci.to_string()),
            software: info.software,
            usable: info.usable.is_ok(),
            reason: info.usable.err(),
        }
    }
}

/// Lists the devices. No Vulkan on the machine is no error: the CPU does the work.
pub fn list(json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let (devices, problem) = match ranvil::devices() {
        Ok(devices) => (devices.into_iter().map(Device::from).collect(), None),
        Err(error @ (DeviceError::NoLoader(_) | DeviceError::NoDriver)) => {
            (Vec::new(), Some(error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    let document = Document { devices, problem };
    if json {
        write_json(&document, out)?
    } else {
        write_table(&document, out)?
    }
    Ok(())
}

fn write_table(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    if document.devices.is_empty() {
        writeln!(out, "{}", document.problem.as_deref().unwrap_or("no Vulkan device found"))?;
    } else {
        const HEAD: [&str; 8] =
            ["#", "Name", "Type", "Vendor", "Subgroup", "Memory", "PCI", "Usable"];
        let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
        rows.extend(document.devices.iter().map(Device::row));
        let lines = table::lines(&rows, &[1, 2, 3, 6, 7]);
        writeln!(out, "{}", lines[0])?;
        for (line, device) in lines[1..].iter().zip(&document.devices) {
            writeln!(out, "{line}")?;
            let Device { uuid, driver, driver_version, api_version, .. } = device;
            writeln!(out, "   uuid={uuid}\n   {driver} {driver_version}, Vulkan {api_version}")?;
            if let Some(reason) = &device.reason {
                writeln!(out, "   not usable: {reason}")?;
            }
        }
    }
    writeln!(out, "\nThe CPU always works: --device cpu")
}

impl Device {
    fn row(&self) -> Vec<String> {
        let subgroup = if self.subgroup_size_min == self.subgroup_size_max {
            self.subgroup_size.to_string()
        } else {
            format!(
                "{} ({}-{})",
                self.subgroup_size, self.subgroup_size_min, self.subgroup_size_max
            )
        };
        vec![
            self.index.to_string(),
            self.name.clone(),
            self.kind.clone(),
            self.vendor.map_or_else(|| format!("{:#06x}", self.vendor_id), str::to_owned),
            subgroup,
            human(self.memory_bytes),
            self.pci.clone().unwrap_or_else(|| "-".to_owned()),
            if self.usable { "yes" } else { "no" }.to_owned(),
        ]
    }
}

/// In groups, as it is usually printed.
fn uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
