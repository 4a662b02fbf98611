//! What a device is to a user, and how to name one. Pure data: opening one is the Vulkan layer's work.

use std::{fmt, str::FromStr};

use crate::error::DeviceError;

/// Which device does the work.
///
/// Parsed from `cpu`, `auto`, an index (`0`), `name=TEXT` (a part of the device's name, whatever its case),
/// `uuid=HEX` (with or without dashes) or `pci=DOMAIN:BUS:DEVICE.FUNCTION` (the domain may be left out).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum DeviceSelector {
    /// A hardware GPU for large inputs if there is one, and the CPU. Never a software Vulkan device.
    #[default]
    Auto,
    /// The CPU alone; Vulkan is not even loaded.
    Cpu,
    /// The device with this index in [`devices`](crate::devices).
    Index(usize),
    /// The one device whose name contains this text, whatever its case.
    Name(String),
    /// The device with this UUID.
    Uuid([u8; 16]),
    /// The device at this PCI address.
    Pci(PciAddress),
}

impl DeviceSelector {
    /// The selectors in a list, separated by commas. A name takes the rest of the text, as it may have commas itself.
    ///
    /// # Errors
    /// [`DeviceError::BadSelector`] if one of them names no device.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, DeviceError> {
        let mut list = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            let named = text.get(..5).is_some_and(|key| key.eq_ignore_ascii_case("name="));
            let (one, others) = match text.split_once(',') {
                Some((one, others)) if !named => (one, Some(others)),
                _ => (text, None),
            };
            list.push(one.parse()?);
            rest = others;
        }
        Ok(list)
    }

    /// The selectors in the environment variable `RANVIL_DEVICE`, a [list](Self::parse_list); `None` if it is unset or empty.
    ///
    /// # Errors
    /// [`DeviceError::BadSelector`] if one of them names no device.
    pub fn list_from_env() -> Result<Option<Vec<Self>>, DeviceError> {
        match std::env::var_os("RANVIL_DEVICE") {
            Some(text) if !text.is_empty() => Self::parse_list(&text.to_string_lossy()).map(Some),
            _ => Ok(None),
        }
    }
}

/// A Vulkan device of this machine, as [`devices`](crate::devices) lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Position in the list; stable as long as the machine's drivers and devices are.
    pub index: usize,
    /// Name from the driver.
    pub name: String,
    /// What kind of hardware it is.
    pub kind: DeviceKind,
    /// PCI vendor identifier, or a Khronos one above 0xFFFF.
    pub vendor_id: u32,
    /// The vendor's name, if the identifier is a known one.
    pub vendor: Option<&'static str>,
    /// The vendor's identifier of the device.
    pub device_id: u32,
    /// The device's UUID: the same across processes and drivers' APIs.
    pub uuid: [u8; 16],
    /// Where it sits on the PCI bus, if the driver tells.
    pub pci: Option<PciAddress>,
    /// The driver's name.
    pub driver: String,
    /// The driver's version as its maker writes it.
    pub driver_version: String,
    /// Vulkan version: major, minor, patch.
    pub api_version: (u32, u32, u32),
    /// Invocations that run in lockstep.
    pub subgroup: SubgroupSizes,
    /// Bytes of memory local to the device.
    pub memory_bytes: u64,
    /// Whether it runs on the CPU; [`DeviceSelector::Auto`] never chooses such a device.
    pub software: bool,
    /// Whether this crate can use it, or else what it lacks.
    pub usable: Result<(), String>,
}

/// Sizes of a device's subgroups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SubgroupSizes {
    /// The smallest.
    pub min: u32,
    /// The largest.
    pub max: u32,
    /// What a shader gets that asks for none.
    pub default: u32,
}

/// What kind of hardware a Vulkan device is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A GPU with its own memory.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A GPU as a virtual machine sees it.
    Virtual,
    /// The CPU, through a software driver.
    Cpu,
    /// None of these.
    Other,
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Cpu => "cpu",
            Self::Other => "other",
        })
    }
}

/// A place on the PCI bus. Prints as `domain:bus:device.function`, in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "PCI's own terms")]
pub struct PciAddress {
    pub domain: u32,
    pub bus: u32,
    pub device: u32,
    pub function: u32,
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

impl FromStr for DeviceSelector {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let bad = || DeviceError::BadSelector(text.to_owned());
        if let Some((key, value)) = text.split_once('=') {
            return match key.to_ascii_lowercase().as_str() {
                "name" if !value.is_empty() => Ok(Self::Name(value.to_owned())),
                "uuid" => parse_uuid(value).map(Self::Uuid).ok_or_else(bad),
                "pci" => parse_pci(value).map(Self::Pci).ok_or_else(bad),
                _ => Err(bad()),
            };
        }
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            digits if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map(Self::Index).map_err(|_| bad())
            }
            _ => Err(bad()),
        }
    }
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|&b| b != b'-').collect();
    if digits.len() != 32 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

fn parse_pci(text: &str) -> Option<PciAddress> {
    let hex = |part: &str| {
        let plain = !part.is_empty() && part.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(part, 16).ok()).flatten()
    };
    let (address, function) = text.rsplit_once('.')?;
    let mut parts = address.rsplit(':');
    let device = hex(parts.next()?)?;
    let bus = hex(parts.next()?)?;
    let domain = parts.next().map_or(Some(0), hex)?;
    if parts.next().is_some() {
        return None;
    }
    Some(PciAddress { domain, bus, device, function: hex(function)? })
}

impl fmt::Display for DeviceSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Index(index) => write!(f, "{index}"),
            Self::Name(name) => write!(f, "name={name}"),
            Self::Uuid(uuid) => {
                f.write_str("uuid=")?;
                uuid.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::Pci(address) => write!(f, "pci={address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_parses_and_prints_back() {
        for text in ["auto", "cpu", "0", "17", "name=llvmpipe (LLVM 15)", "pci=0001:0a:1f.7"] {
            assert_eq!(text.parse::<DeviceSelector>().unwrap().to_string(), text);
        }
        let uuid: DeviceSelector = "uuid=6D657361-3235-2e30-2e37-2d320a000000".parse().unwrap();
        assert_eq!(uuid.to_string(), "uuid=6d65736132352e302e372d320a000000");
        let short: DeviceSelector = "pci=0a:00.0".parse().unwrap();
        assert_eq!(short.to_string(), "pci=0000:0a:00.0");
    }

    #[test]
    fn a_list_ends_with_a_name_and_its_commas() {
        use DeviceSelector::{Auto, Cpu, Index, Name};
        let list = |text: &str| DeviceSelector::parse_list(text).unwrap();
        assert_eq!(list("auto"), [Auto]);
        assert_eq!(list("cpu,3,0"), [Cpu, Index(3), Index(0)]);
        assert_eq!(
            list("1,NAME=llvmpipe (15, 256)"),
            [Index(1), Name("llvmpipe (15, 256)".into())]
        );
        for text in ["", ",", "0,", ",0", "0,,1", "0, 1", "0;1"] {
            assert!(DeviceSelector::parse_list(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "gpu",
            "-1",
            "name=",
            "uuid=12",
            "pci=1",
            "pci=+1:0.0",
            "0x1",
            "99999999999999999999999",
        ] {
            assert!(text.parse::<DeviceSelector>().is_err(), "{text:?} was accepted");
        }
    }
}
