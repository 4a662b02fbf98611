//! An open device: its queues and what the kernels may use on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use ash::{ext, khr, vk};

use super::{
    Named,
    clock::{Calibration, DeviceClock},
    import::HostMemory,
    instance::{Instance, Messages},
    probe::{Found, Offer},
    quirks::Workarounds,
};
use crate::{device::DeviceInfo, error::DeviceError};

/// How many devices this process has opened, and how many of them it has closed again.
static OPENED: AtomicUsize = AtomicUsize::new(0);
static CLOSED: AtomicUsize = AtomicUsize::new(0);

/// How long a driver is asked whether a device has finished.
const UNSETTLED: Duration = Duration::from_secs(10);

/// How a device is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct OpenOptions {
    /// Forces a form of the kernels.
    pub form: Option<ForcedForm>,
    /// Does what is done on a discrete GPU: stages every buffer and copies in submissions of their own, for tests
    /// on devices that have one memory and one queue.
    pub as_discrete: bool,
    /// With validation on, also instruments the kernels and checks each access (GPU-assisted validation). Drivers then compile
    /// for longer, and lavapipe finds little of it in its cache.
    pub instrumented: bool,
    /// For inspecting compiled pipelines: enables their statistics, and takes a null device too.
    pub inspect_pipelines: bool,
}

impl OpenOptions {
    /// What the environment says; the rest as by default.
    pub fn from_env() -> Result<Self, DeviceError> {
        Ok(Self { form: ForcedForm::from_env()?, ..Self::default() })
    }
}

/// A form of the kernels, as `RANVIL_KERNEL_FORM` forces it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ForcedForm {
    Shared,
    Subgroup,
}

impl ForcedForm {
    /// What `RANVIL_KERNEL_FORM` says, if anything.
    fn from_env() -> Result<Option<Self>, DeviceError> {
        match std::env::var("RANVIL_KERNEL_FORM").as_deref() {
            Ok("shared") => Ok(Some(Self::Shared)),
            Ok("subgroup") => Ok(Some(Self::Subgroup)),
            Err(std::env::VarError::NotPresent) | Ok("") => Ok(None),
            _ => Err(DeviceError::Unsupported {
                device: "RANVIL_KERNEL_FORM".to_owned(),
                missing: "a known value: it must be shared or subgroup".to_owned(),
            }),
        }
    }
}

/// A logical device. Its queues are used by one thread at a time: whoever owns the executor.
pub(crate) struct Device {
    pub raw: ash::Device,
    pub info: DeviceInfo,
    pub offer: Offer,
    pub memory: vk::PhysicalDeviceMemoryProperties,
    pub compute: ComputeQueue,
    /// Queues that copy while the compute queue computes, if there are any.
    pub transfer: Option<TransferQueues>,
    /// The subgroup size that kernels run at; `None` means their shared-memory form.
    pub subgroup: Option<u32>,
    /// Statistics of pipelines, if they were asked for.
    pub executables: Option<khr::pipeline_executable_properties::Device>,
    /// The clock of its timestamps, if the host can read it.
    pub clock: Option<DeviceClock>,
    /// For importing the host's memory, if it can.
    pub host_memory: Option<HostMemory>,
    /// Shared by all imports of it.
    pub imports: Arc<()>,
    /// Shared by all batches that have it reach the host's memory.
    pub reaching: Arc<()>,
    as_discrete: bool,
    pub physical: vk::PhysicalDevice,
    pub instance: Instance,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ComputeQueue {
    pub raw: vk::Queue,
    pub family: u32,
    /// Valid bits of a timestamp; 0 if the queue has none.
    pub timestamp_bits: u32,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct TransferQueues {
    pub family: u32,
    pub upload: vk::Queue,
    /// The same as `upload` if the family has but one queue.
    pub download: vk::Queue,
    /// Valid bits of a timestamp; 0 if the queues have none.
    pub timestamp_bits: u32,
}

impl Device {
    pub fn open(
        instance: Instance,
        found: Found,
        options: OpenOptions,
    ) -> Result<Arc<Self>, DeviceError> {
        let Found { physical, info, offer } = found;
        let null = offer.workarounds.contains(Workarounds::NULL_DEVICE);
        if let Err(missing) = &info.usable
            && !(options.inspect_pipelines && null)
        {
            return Err(unsupported(&info, missing.clone()));
        }
        if offer.workarounds.contains(Workarounds::WARN) {
            log::warn!("{} ({}): {}", info.name, info.driver_version, offer.reasons.join("; "));
        }
        let subgroup = choose_subgroup(&info, &offer, options.form)?;
        let families = Families::choose(&instance, physical, &info)?;
        let raw = create(&instance, physical, &offer, &families, options)?;
        // SAFETY: the queues were asked for when the device was created; the instance is valid.
        let (queue, memory) = unsafe {
            (
                |family, index| raw.get_device_queue(family, index),
                instance.raw.get_physical_device_memory_properties(physical),
            )
        };
        let compute = ComputeQueue {
            raw: queue(families.compute, 0),
            family: families.compute,
            timestamp_bits: families.timestamp_bits,
        };
        let transfer = families.transfer.map(|transfer| TransferQueues {
            family: transfer.family,
            upload: queue(transfer.family, 0),
            download: queue(transfer.family, transfer.queues - 1),
            timestamp_bits: transfer.timestamp_bits,
        });
        let stand_in = TransferQueues {
            family: compute.family,
            upload: compute.raw,
            download: compute.raw,
            timestamp_bits: compute.timestamp_bits,
        };
        let transfer = transfer.or(options.as_discrete.then_some(stand_in));
        let executables = (options.inspect_pipelines && offer.executable_properties)
            .then(|| khr::pipeline_executable_properties::Device::new(&instance.raw, &raw));
        let clock = DeviceClock::new(&instance, physical, &raw, &offer);
        let imports = offer.host_imports;
        let host_memory = imports.map(|alignment| HostMemory::new(&instance.raw, &raw, alignment));
        OPENED.fetch_add(1, Relaxed);
        log::debug!("opened {} with subgroups of {subgroup:?}, transfer {transfer:?}", info.name);
        Ok(Arc::new(Self {
            raw,
            info,
            offer,
            memory,
            compute,
            transfer,
            subgroup,
            executables,
            clock,
            host_memory,
            imports: Arc::new(()),
            reaching: Arc::new(()),
            as_discrete: options.as_discrete,
            physical,
            instance,
        }))
    }

    /// How many devices this process has opened, and how many of them are open.
    pub fn counts() -> (usize, usize) {
        let closed = CLOSED.load(Relaxed);
        let opened = OPENED.load(Relaxed);
        (opened, opened - closed)
    }

    /// Where the validation layer's messages arrive, if it is on.
    pub fn messages(&self) -> Option<&Arc<Messages>> {
        self.instance.messages()
    }

    /// The families whose queues share every buffer; one if there is no transfer queue.
    pub fn families(&self) -> Vec<u32> {
        let transfer = self.transfer.map(|transfer| transfer.family);
        let transfer = transfer.filter(|&family| family != self.compute.family);
        std::iter::once(self.compute.family).chain(transfer).collect()
    }

    /// Whether memory is one: the host writes to and reads from what kernels use.
    pub fn unified_memory(&self) -> bool {
        let heaps = self.memory.memory_heaps_as_slice();
        !self.as_discrete
            && heaps.iter().all(|heap| heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL))
    }

    /// Whether it has memory and queues of its own, so that what comes from the host or goes there is copied over a link.
    pub fn has_link(&self) -> bool {
        self.transfer.is_some() && !self.unified_memory()
    }

    /// Whether it copies from and to memory of the host's by itself.
    pub fn reaches_host_memory(&self) -> bool {
        self.host_memory.is_some() && self.has_link()
    }

    /// The best of these memory types for memory of the host's that it reads and writes: coherent, and cached if there is one.
    pub fn coherent_type(&self, types: u32) -> Option<u32> {
        use vk::MemoryPropertyFlags as M;
        let coherent = M::HOST_VISIBLE | M::HOST_COHERENT;
        let all = (0..).zip(self.memory.memory_types_as_slice());
        let fit = all.filter(|(index, memory_type)| {
            types & (1 << index) != 0 && memory_type.property_flags.contains(coherent)
        });
        fit.max_by_key(|(_, memory_type)| memory_type.property_flags.contains(M::HOST_CACHED))
            .map(|(index, _)| index)
    }

    /// The most bytes that a buffer for kernels can have.
    pub fn max_buffer(&self) -> u64 {
        u64::from(self.offer.limits.max_storage_buffer_range).min(self.offer.max_allocation)
    }

    /// Waits until the device does nothing: until then it may be at memory of the caller's, whom nothing but this keeps from it.
    /// Where the driver does not say so however often it is asked, the process ends.
    pub fn settle(&self) {
        let begin = Instant::now();
        loop {
            match self.wait_idle() {
                // Of a lost device the driver has taken down all that it had to do.
                Ok(()) | Err(DeviceError::Lost) => return,
                Err(error) if Arc::strong_count(&self.reaching) == 1 => {
                    log::error!("{}: {error}", self.info.name);
                    return;
                }
                Err(error) if begin.elapsed() > UNSETTLED => {
                    log::error!("{} may be writing to memory for ever: {error}", self.info.name);
                    std::process::abort();
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Waits until the device does nothing. Not for the hot path.
    ///
    /// # Errors
    /// The device is lost, and does nothing either.
    pub fn wait_idle(&self) -> Result<(), DeviceError> {
        // SAFETY: the caller's thread is the only one that submits.
        unsafe { self.raw.device_wait_idle() }.named("vkDeviceWaitIdle")
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: everything created from the device holds it in an `Arc`, so it is gone by now; what submits work
        // has waited for it.
        unsafe { self.raw.destroy_device(None) };
        CLOSED.fetch_add(1, Relaxed);
    }
}

fn unsupported(info: &DeviceInfo, missing: String) -> DeviceError {
    DeviceError::Unsupported { device: info.name.clone(), missing }
}

/// The subgroup size for the kernels: one lane per invocation first, then two segments side by side, then
/// several lanes per invocation.
fn choose_subgroup(
    info: &DeviceInfo,
    offer: &Offer,
    forced: Option<ForcedForm>,
) -> Result<Option<u32>, DeviceError> {
    const PREFERRED: [u32; 5] = [32, 64, 16, 8, 4];
    let needed = vk::SubgroupFeatureFlags::BASIC | vk::SubgroupFeatureFlags::BALLOT;
    let size = PREFERRED.into_iter().find(|&size| offer.runs_at(size, info.subgroup.default));
    let shared = !offer.subgroup_operations.contains(needed)
        || offer.workarounds.contains(Workarounds::SHARED_FORM);
    match (forced, size) {
        (Some(ForcedForm::Shared), _) => Ok(None),
        (Some(ForcedForm::Subgroup), Some(size)) if !shared => Ok(Some(size)),
        (Some(ForcedForm::Subgroup), _) => Err(unsupported(
            info,
            "subgroup ballots at a known size, which RANVIL_KERNEL_FORM=subgroup asks for"
                .to_owned(),
        )),
        (None, size) => Ok(size.filter(|_| !shared)),
    }
}

/// Queue families, by index.
struct Families {
    compute: u32,
    timestamp_bits: u32,
    transfer: Option<TransferFamily>,
}

/// A family that only copies.
struct TransferFamily {
    family: u32,
    /// How many of its queues to take.
    queues: u32,
    timestamp_bits: u32,
}

impl Families {
    /// Prefers a compute family without graphics, whose work runs beside a desktop's.
    fn choose(
        instance: &Instance,
        physical: vk::PhysicalDevice,
        info: &DeviceInfo,
    ) -> Result<Self, DeviceError> {
        use vk::QueueFlags as Q;
        // SAFETY: the physical device comes from this instance.
        let families =
            unsafe { instance.raw.get_physical_device_queue_family_properties(physical) };
        let families = || (0_u32..).zip(&families).filter(|(_, family)| family.queue_count > 0);
        let compute = families()
            .filter(|(_, family)| family.queue_flags.contains(Q::COMPUTE))
            .min_by_key(|(_, family)| {
                (family.timestamp_valid_bits == 0, family.queue_flags.contains(Q::GRAPHICS))
            });
        let Some((compute, properties)) = compute else {
            return Err(unsupported(info, "a compute queue".to_owned()));
        };
        let transfer = families()
            .filter(|(_, family)| {
                family.queue_flags.contains(Q::TRANSFER)
                    && !family.queue_flags.intersects(Q::GRAPHICS | Q::COMPUTE)
            })
            // Families that also decode video copy more slowly.
            .min_by_key(|(_, family)| family.queue_flags.as_raw().count_ones());
        Ok(Self {
            compute,
            timestamp_bits: properties.timestamp_valid_bits,
            transfer: transfer.map(|(index, family)| TransferFamily {
                family: index,
                queues: family.queue_count.min(2),
                timestamp_bits: family.timestamp_valid_bits,
            }),
        })
    }
}

fn create(
    instance: &Instance,
    physical: vk::PhysicalDevice,
    offer: &Offer,
    families: &Families,
    options: OpenOptions,
) -> Result<ash::Device, DeviceError> {
    let priorities = [1.0; 2];
    let mut queues = vec![
        vk::DeviceQueueCreateInfo::default()
            .queue_family_index(families.compute)
            .queue_priorities(&priorities[..1]),
    ];
    if let Some(transfer) = &families.transfer {
        queues.push(
            vk::DeviceQueueCreateInfo::default()
                .queue_family_index(transfer.family)
                .queue_priorities(&priorities[..transfer.queues as usize]),
        );
    }

    let mut extensions = Vec::new();
    let mut vulkan11 =
        vk::PhysicalDeviceVulkan11Features::default().storage_buffer16_bit_access(offer.storage16);
    let mut vulkan12 = vk::PhysicalDeviceVulkan12Features::default()
        .timeline_semaphore(true)
        .host_query_reset(offer.host_query_reset)
        .shader_int8(offer.int8);
    let mut control = vk::PhysicalDeviceSubgroupSizeControlFeaturesEXT::default();
    let mut robustness =
        vk::PhysicalDevicePipelineRobustnessFeaturesEXT::default().pipeline_robustness(true);
    let mut dot = vk::PhysicalDeviceShaderIntegerDotProductFeatures::default()
        .shader_integer_dot_product(true);
    let mut executables = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default()
        .pipeline_executable_info(true);
    let features =
        vk::PhysicalDeviceFeatures::default().shader_int64(offer.int64).shader_int16(offer.int16);
    let mut create = vk::DeviceCreateInfo::default()
        .queue_create_infos(&queues)
        .enabled_features(&features)
        .push_next(&mut vulkan11)
        .push_next(&mut vulkan12);
    if let Some(size_control) = offer.size_control {
        extensions.push(ext::subgroup_size_control::NAME.as_ptr());
        control = control.subgroup_size_control(true).compute_full_subgroups(size_control.full);
        create = create.push_next(&mut control);
    }
    match offer.calibrated_timestamps {
        Some(Calibration::Khr) => extensions.push(khr::calibrated_timestamps::NAME.as_ptr()),
        Some(Calibration::Ext) => extensions.push(ext::calibrated_timestamps::NAME.as_ptr()),
        None => {}
    }
    if offer.host_imports.is_some() {
        extensions.push(ext::external_memory_host::NAME.as_ptr());
    }
    if offer.khr_ballot {
        extensions.push(ext::shader_subgroup_ballot::NAME.as_ptr());
    }
    if offer.dot {
        extensions.push(khr::shader_integer_dot_product::NAME.as_ptr());
        create = create.push_next(&mut dot);
    }
    if offer.pipeline_robustness {
        extensions.push(ext::pipeline_robustness::NAME.as_ptr());
        create = create.push_next(&mut robustness);
    }
    if offer.portability_subset {
        extensions.push(khr::portability_subset::NAME.as_ptr());
    }
    if options.inspect_pipelines && offer.executable_properties {
        extensions.push(khr::pipeline_executable_properties::NAME.as_ptr());
        create = create.push_next(&mut executables);
    }
    let create = create.enabled_extension_names(&extensions);
    // SAFETY: the physical device comes from this instance; it offers each queue, feature and extension named,
    // timeline semaphores being part of Vulkan 1.2; what `create` points to outlives the call.
    unsafe { instance.raw.create_device(physical, &create, None) }.named("vkCreateDevice")
}
