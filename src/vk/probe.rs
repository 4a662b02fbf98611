//! Asks a physical device what it is and what it offers, without opening it.

use ash::{amd, ext, khr, nv, vk};

use super::{
    Named,
    clock::Calibration,
    import,
    instance::{API_VERSION, Instance, offers},
    quirks::{Facts, Workarounds, workarounds},
};
use crate::{
    device::{DeviceInfo, DeviceKind, PciAddress, SubgroupSizes},
    error::DeviceError,
    kernel::{self, Form, KernelDesc, Variant},
};

/// A physical device and all that is known of it.
pub(crate) struct Found {
    pub physical: vk::PhysicalDevice,
    pub info: DeviceInfo,
    pub offer: Offer,
}

const NVIDIA: u32 = 0x10DE;

/// What a device offers to the kernels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Offer {
    pub limits: vk::PhysicalDeviceLimits,
    /// The largest allocation in bytes.
    pub max_allocation: u64,
    /// Subgroup operations in compute shaders.
    pub subgroup_operations: vk::SubgroupFeatureFlags,
    /// Subgroup sizes that a pipeline can demand, if any.
    pub size_control: Option<SizeControl>,
    /// Storage buffers of 16-bit words.
    pub storage16: bool,
    /// Integers of 64 bits.
    pub int64: bool,
    /// Integers of 16 bits.
    pub int16: bool,
    /// Integers of 8 bits.
    pub int8: bool,
    /// Dot products of four bytes, and kernels are to have them.
    pub dot: bool,
    /// What plans choose by constants because it was faster on NVIDIA's devices: compact tables, words counted in bytes.
    pub nvidia_forms: bool,
    /// Ballots of `SPV_KHR_shader_ballot`.
    pub khr_ballot: bool,
    /// A pipeline can say whether its accesses are checked against the ends of buffers.
    pub pipeline_robustness: bool,
    /// The device is a translation layer and says so; the extension must then be enabled.
    pub portability_subset: bool,
    /// Pipelines can be asked for their compiled code's statistics.
    pub executable_properties: bool,
    /// The host can reset queries.
    pub host_query_reset: bool,
    /// The host can read the clock of the device's timestamps.
    pub calibrated_timestamps: Option<Calibration>,
    /// The alignment of host memory that the device can import, if it can.
    pub host_imports: Option<u64>,
    /// Subgroups that the whole device holds at once, if it tells.
    pub resident_subgroups: Option<u32>,
    pub workarounds: Workarounds,
    pub reasons: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SizeControl {
    pub min: u32,
    pub max: u32,
    /// The most subgroups of a workgroup whose size is demanded.
    pub workgroup_subgroups: u32,
    /// Full subgroups can be demanded too.
    pub full: bool,
}

impl Offer {
    /// Whether kernels can be made to run in subgroups of this size; `default` is the device's own.
    pub fn runs_at(&self, size: u32, default: u32) -> bool {
        let Some(control) = &self.size_control else { return size == default };
        let form = Form::Subgroup(size);
        let able = |kernel: &KernelDesc| {
            let mut own = kernel.variants.iter().filter(|variant| variant.form == form).peekable();
            own.peek().is_none() || own.any(|variant| self.holds(variant))
        };
        (control.min..=control.max).contains(&size) && kernel::ALL.iter().all(able)
    }

    /// Whether a workgroup of the variant has no more subgroups than one whose subgroup size is demanded can have.
    pub fn holds(&self, variant: &Variant) -> bool {
        match (variant.form, &self.size_control) {
            (Form::Subgroup(size), Some(control)) => {
                variant.workgroup[0] / size <= control.workgroup_subgroups
            }
            _ => true,
        }
    }
}

/// Every device of the instance, in the loader's order.
pub(super) fn enumerate(instance: &Instance) -> Result<Vec<Found>, DeviceError> {
    // SAFETY: the instance is valid as long as it is borrowed.
    let physical = match unsafe { instance.raw.enumerate_physical_devices() } {
        // What loaders say when every driver is one for hardware that is not there.
        Err(vk::Result::ERROR_INITIALIZATION_FAILED) => Vec::new(),
        physical => physical.named("vkEnumeratePhysicalDevices")?,
    };
    let found = physical.into_iter().enumerate();
    Ok(found.map(|(index, device)| probe(instance, index, device)).collect())
}

/// A device that cannot be asked is not usable; the others still are.
fn probe(instance: &Instance, index: usize, physical: vk::PhysicalDevice) -> Found {
    // SAFETY: the device comes from this instance.
    let base = unsafe { instance.raw.get_physical_device_properties(physical) };
    let mut info = basic_info(index, &base);
    info.memory_bytes = local_memory(instance, physical);
    if base.api_version < API_VERSION {
        let (major, minor, _) = info.api_version;
        info.usable = Err(format!("Vulkan 1.2 (its driver has {major}.{minor})"));
        return Found { physical, info, offer: Offer::default() };
    }
    // SAFETY: as above.
    let extensions = unsafe { instance.raw.enumerate_device_extension_properties(physical) };
    let extensions = match extensions.named("vkEnumerateDeviceExtensionProperties") {
        Ok(extensions) => extensions,
        Err(error) => {
            info.usable = Err(format!("a driver that answers ({error})"));
            return Found { physical, info, offer: Offer::default() };
        }
    };
    let offer = probe_properties(instance, physical, &extensions, &mut info);
    info.usable = missing(&offer).map_or(Ok(()), Err);
    Found { physical, info, offer }
}

/// Fills in what the extended properties tell, and collects the device's offer.
fn probe_properties(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    extensions: &[vk::ExtensionProperties],
    info: &mut DeviceInfo,
) -> Offer {
    let has = |name| offers(extensions, name);
    let mut vulkan11 = vk::PhysicalDeviceVulkan11Properties::default();
    let mut driver = vk::PhysicalDeviceDriverProperties::default();
    let mut pci = vk::PhysicalDevicePCIBusInfoPropertiesEXT::default();
    let mut sizes = vk::PhysicalDeviceSubgroupSizeControlPropertiesEXT::default();
    let mut dots = vk::PhysicalDeviceShaderIntegerDotProductProperties::default();
    let mut multiprocessors = vk::PhysicalDeviceShaderSMBuiltinsPropertiesNV::default();
    let mut amd = vk::PhysicalDeviceShaderCorePropertiesAMD::default();
    let mut host = vk::PhysicalDeviceExternalMemoryHostPropertiesEXT::default();
    let mut properties =
        vk::PhysicalDeviceProperties2::default().push_next(&mut vulkan11).push_next(&mut driver);
    if has(ext::pci_bus_info::NAME) {
        properties = properties.push_next(&mut pci);
    }
    if has(ext::subgroup_size_control::NAME) {
        properties = properties.push_next(&mut sizes);
    }
    if has(khr::shader_integer_dot_product::NAME) {
        properties = properties.push_next(&mut dots);
    }
    if has(nv::shader_sm_builtins::NAME) {
        properties = properties.push_next(&mut multiprocessors);
    }
    if has(amd::shader_core_properties::NAME) {
        properties = properties.push_next(&mut amd);
    }
    if has(ext::external_memory_host::NAME) {
        properties = properties.push_next(&mut host);
    }
    // SAFETY: the device has Vulkan 1.2, and each structure of the chain is of 1.2 or of an extension it offers.
    unsafe { instance.raw.get_physical_device_properties2(physical, &mut properties) };
    let limits = properties.properties.limits;

    let mut vulkan11_features = vk::PhysicalDeviceVulkan11Features::default();
    let mut vulkan12_features = vk::PhysicalDeviceVulkan12Features::default();
    let mut size_features = vk::PhysicalDeviceSubgroupSizeControlFeaturesEXT::default();
    let mut dot = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default();
    let mut robustness = vk::PhysicalDevicePipelineRobustnessFeaturesEXT::default();
    let mut features = vk::PhysicalDeviceFeatures2::default()
        .push_next(&mut vulkan11_features)
        .push_next(&mut vulkan12_features);
    if has(ext::subgroup_size_control::NAME) {
        features = features.push_next(&mut size_features);
    }
    if has(khr::shader_integer_dot_product::NAME) {
        features = features.push_next(&mut dot);
    }
    if has(ext::pipeline_robustness::NAME) {
        features = features.push_next(&mut robustness);
    }
    // SAFETY: as above.
    unsafe { instance.raw.get_physical_device_features2(physical, &mut features) };
    let int64 = features.features.shader_int64 == vk::TRUE;
    let int16 = features.features.shader_int16 == vk::TRUE;

    let compute = vk::ShaderStageFlags::COMPUTE;
    let default = vulkan11.subgroup_size;
    let control = (size_features.subgroup_size_control == vk::TRUE
        && sizes.required_subgroup_size_stages.contains(compute))
    .then_some(SizeControl {
        min: sizes.min_subgroup_size,
        max: sizes.max_subgroup_size,
        workgroup_subgroups: sizes.max_compute_workgroup_subgroups,
        full: size_features.compute_full_subgroups == vk::TRUE,
    });
    let (min, max) = match sizes.min_subgroup_size {
        0 => guessed_sizes(info.vendor_id, default),
        min => (min, sizes.max_subgroup_size),
    };
    info.subgroup = SubgroupSizes { min, max, default };
    info.uuid = vulkan11.device_uuid;
    info.pci = has(ext::pci_bus_info::NAME).then_some(PciAddress {
        domain: pci.pci_domain,
        bus: pci.pci_bus,
        device: pci.pci_device,
        function: pci.pci_function,
    });
    info.driver = text(driver.driver_name_as_c_str());
    let version = text(driver.driver_info_as_c_str());
    if !version.is_empty() {
        info.driver_version = version;
    }
    info.software |=
        [vk::DriverId::MESA_LLVMPIPE, vk::DriverId::GOOGLE_SWIFTSHADER].contains(&driver.driver_id);

    let (workarounds, reasons) = workarounds(&Facts {
        name: &info.name,
        driver: driver.driver_id,
        driver_version: &info.driver_version,
        subgroup_min: min,
        subgroup_max: max,
        subgroup_default: default,
        subgroup_control: control.is_some(),
    });
    let nvidia = driver.driver_id == vk::DriverId::NVIDIA_PROPRIETARY;
    let dots_gain =
        nvidia && dots.integer_dot_product4x8_bit_packed_unsigned_accelerated == vk::TRUE;
    let null = workarounds.contains(Workarounds::NULL_DEVICE);
    Offer {
        limits,
        max_allocation: vulkan11.max_memory_allocation_size,
        subgroup_operations: if vulkan11.subgroup_supported_stages.contains(compute) {
            vulkan11.subgroup_supported_operations
        } else {
            vk::SubgroupFeatureFlags::empty()
        },
        size_control: control,
        storage16: vulkan11_features.storage_buffer16_bit_access == vk::TRUE,
        int64,
        int16,
        int8: vulkan12_features.shader_int8 == vk::TRUE,
        // As with `nvidia_forms`; and a device that only compiles tells what they would be.
        dot: dot.shader_integer_dot_product == vk::TRUE && (dots_gain || info.software || null),
        // Measured with NVIDIA's driver only. Software devices show that they are right.
        nvidia_forms: nvidia || info.software,
        khr_ballot: has(ext::shader_subgroup_ballot::NAME),
        pipeline_robustness: robustness.pipeline_robustness == vk::TRUE,
        portability_subset: has(khr::portability_subset::NAME),
        executable_properties: has(khr::pipeline_executable_properties::NAME),
        host_query_reset: vulkan12_features.host_query_reset == vk::TRUE,
        calibrated_timestamps: [
            (khr::calibrated_timestamps::NAME, Calibration::Khr),
            (ext::calibrated_timestamps::NAME, Calibration::Ext),
        ]
        .into_iter()
        .find_map(|(name, calibration)| has(name).then_some(calibration)),
        host_imports: has(ext::external_memory_host::NAME)
            .then(|| import::alignment(&instance.raw, physical, &host))
            .flatten(),
        resident_subgroups: resident_subgroups(&multiprocessors, &amd),
        workarounds,
        reasons,
    }
}

/// Sizes that a driver without size control may pick: Intel's compiles to 8, 16 or 32 as it sees fit, and Qualcomm's
/// hardware runs a shader 64 or 128 wide.
fn guessed_sizes(vendor: u32, default: u32) -> (u32, u32) {
    const INTEL: u32 = 0x8086;
    const QUALCOMM: u32 = 0x5143;
    match vendor {
        INTEL => (8, 32),
        QUALCOMM => (64, 128),
        _ => (default, default),
    }
}

/// Both structures are zero where the device does not offer them.
fn resident_subgroups(
    nvidia: &vk::PhysicalDeviceShaderSMBuiltinsPropertiesNV<'_>,
    amd: &vk::PhysicalDeviceShaderCorePropertiesAMD<'_>,
) -> Option<u32> {
    let nvidia = nvidia.shader_sm_count.saturating_mul(nvidia.shader_warps_per_sm);
    let amd = [
        amd.shader_engine_count,
        amd.shader_arrays_per_engine_count,
        amd.compute_units_per_shader_array,
        amd.simd_per_compute_unit,
        amd.wavefronts_per_simd,
    ]
    .into_iter()
    .fold(1, u32::saturating_mul);
    Some(nvidia.max(amd)).filter(|&count| count > 0)
}

/// The first thing that the kernels need and the device lacks.
fn missing(offer: &Offer) -> Option<String> {
    let limits = &offer.limits;
    let buffers = kernel::ALL.iter().map(|kernel| kernel.bindings.len() as u32).max().unwrap_or(0);
    let needs = [
        (
            "invocations in a workgroup",
            limits.max_compute_work_group_invocations,
            least(|variant| variant.workgroup.iter().product()),
        ),
        (
            "invocations in a workgroup's x",
            limits.max_compute_work_group_size[0],
            least(|variant| variant.workgroup[0]),
        ),
        (
            "bytes of shared memory",
            limits.max_compute_shared_memory_size,
            least(|variant| variant.shared_bytes),
        ),
        ("storage buffers in a stage", limits.max_per_stage_descriptor_storage_buffers, buffers),
        ("storage buffers in a descriptor set", limits.max_descriptor_set_storage_buffers, buffers),
    ];
    if offer.workarounds.contains(Workarounds::NULL_DEVICE) {
        return Some("hardware (it is a null device that runs nothing)".to_owned());
    }
    needs.into_iter().find_map(|(what, has, needed)| {
        (has < needed).then(|| format!("{what}: {needed} are needed, it has {has}"))
    })
}

/// What kernels take at least: the most that any takes in its form without subgroup operations.
fn least(takes: fn(&Variant) -> u32) -> u32 {
    let variants = kernel::ALL.iter().flat_map(|kernel| kernel.variants);
    let plain = variants.filter(|variant| !matches!(variant.form, Form::Subgroup(_)));
    plain.map(takes).max().unwrap_or(0)
}

fn basic_info(index: usize, base: &vk::PhysicalDeviceProperties) -> DeviceInfo {
    let kind = match base.device_type {
        vk::PhysicalDeviceType::DISCRETE_GPU => DeviceKind::Discrete,
        vk::PhysicalDeviceType::INTEGRATED_GPU => DeviceKind::Integrated,
        vk::PhysicalDeviceType::VIRTUAL_GPU => DeviceKind::Virtual,
        vk::PhysicalDeviceType::CPU => DeviceKind::Cpu,
        _ => DeviceKind::Other,
    };
    let version = base.api_version;
    DeviceInfo {
        index,
        name: text(base.device_name_as_c_str()),
        kind,
        vendor_id: base.vendor_id,
        vendor: vendor_name(base.vendor_id),
        device_id: base.device_id,
        uuid: [0; 16],
        pci: None,
        driver: String::new(),
        driver_version: dotted(base.driver_version),
        api_version: (
            vk::api_version_major(version),
            vk::api_version_minor(version),
            vk::api_version_patch(version),
        ),
        subgroup: SubgroupSizes { min: 0, max: 0, default: 0 },
        memory_bytes: 0,
        software: kind == DeviceKind::Cpu,
        usable: Ok(()),
    }
}

/// A version in Vulkan's own packing; drivers with another one have a version text as well.
fn dotted(version: u32) -> String {
    let (major, minor) = (vk::api_version_major(version), vk::api_version_minor(version));
    format!("{major}.{minor}.{}", vk::api_version_patch(version))
}

fn local_memory(instance: &Instance, physical: vk::PhysicalDevice) -> u64 {
    // SAFETY: the device comes from this instance.
    let memory = unsafe { instance.raw.get_physical_device_memory_properties(physical) };
    let heaps = memory.memory_heaps_as_slice().iter();
    heaps
        .filter(|heap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
        .map(|heap| heap.size)
        .max()
        .unwrap_or(0)
}

fn text(field: Result<&std::ffi::CStr, std::ffi::FromBytesUntilNulError>) -> String {
    field.map_or(String::new(), |text| text.to_string_lossy().into_owned())
}

fn vendor_name(id: u32) -> Option<&'static str> {
    Some(match id {
        0x1002 | 0x1022 => "AMD",
        0x1010 => "Imagination",
        0x106B => "Apple",
        NVIDIA => "NVIDIA",
        0x13B5 => "Arm",
        0x1414 => "Microsoft",
        0x144D => "Samsung",
        0x14E4 => "Broadcom",
        0x1AE0 => "Google",
        0x1AF4 => "Red Hat",
        0x5143 => "Qualcomm",
        0x8086 => "Intel",
        0x10005 => "Mesa",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_must_be_able_to_bind_and_run_every_kernel() {
        // The kernels that encode bind as many.
        const BUFFERS: u32 = 8;
        let limits = vk::PhysicalDeviceLimits {
            max_compute_work_group_invocations: 256,
            max_compute_work_group_size: [256, 1, 1],
            max_compute_shared_memory_size: 32 << 10,
            max_per_stage_descriptor_storage_buffers: BUFFERS,
            max_descriptor_set_storage_buffers: 24,
            ..Default::default()
        };
        let missing = |limits| missing(&Offer { limits, ..Offer::default() });
        assert_eq!(missing(limits), None);
        let less = vk::PhysicalDeviceLimits {
            max_per_stage_descriptor_storage_buffers: BUFFERS - 1,
            ..limits
        };
        let text = missing(less).unwrap();
        assert!(text.contains("storage buffers in a stage: 8 are needed, it has 7"), "{text}");
        let less = vk::PhysicalDeviceLimits { max_compute_shared_memory_size: 8 << 10, ..limits };
        assert!(missing(less).unwrap().contains("shared memory"));
        let less = vk::PhysicalDeviceLimits { max_compute_work_group_invocations: 128, ..limits };
        assert!(missing(less).unwrap().contains("invocations in a workgroup: 256"));
    }

    #[test]
    fn a_subgroup_size_is_in_range_and_fills_workgroups() {
        let control = SizeControl { min: 8, max: 64, workgroup_subgroups: 8, full: true };
        let offer = Offer { size_control: Some(control), ..Offer::default() };
        let sizes = |offer: &Offer| -> Vec<u32> {
            [4, 8, 16, 32, 64, 128].into_iter().filter(|&size| offer.runs_at(size, 16)).collect()
        };
        // Workgroups have 16 subgroups of 8 or 16, 8 of 32 (the larger ones are not for every device) and 4 of 64.
        assert_eq!(sizes(&offer), [32, 64]);
        let control = SizeControl { workgroup_subgroups: 16, ..control };
        assert_eq!(sizes(&Offer { size_control: Some(control), ..offer }), [8, 16, 32, 64]);
        assert_eq!(sizes(&Offer::default()), [16]);
    }
}
