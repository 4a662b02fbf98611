//! Compute pipelines: the variant of a kernel that fits the device, created once for each specialisation.

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use ash::vk;

use super::{Named, device::Device};
use crate::{
    error::DeviceError,
    kernel::{
        self, Form, KernelDesc, Variant,
        plan::{COMPACT_ID, TABLE_LOG_ID, UNIT_ID},
    },
};

/// A kernel's name, the address of its module, which tells variants of the same name apart, specialisation constants, and
/// whether it is checked.
type Key = (&'static str, usize, Vec<(u32, u32)>, bool);

/// The specialisation constant that is the workgroup size in x.
const WORKGROUP_ID: u32 = 0;

/// More segments than any block has.
const MANY_SEGMENTS: u32 = 1 << 16;

/// What a kernel's pipeline is made of, for tools that try what the device layer would not choose.
#[derive(Clone, Debug)]
pub struct Choice {
    /// A variant of this kernel, or of one with the same interface.
    pub variant: &'static Variant,
    /// Specialisation constants by identifier, in place of the plan's and of the workgroup size.
    pub spec: Vec<(u32, u32)>,
    /// Leaves it to the driver whether accesses are checked against the ends of buffers, also where the product's are not.
    pub checked: bool,
}

/// Whether a kernel's accesses of buffers need no check against their ends. Those of decode kernels are within them whatever
/// they decode (`kernels/README.md`, "Hostile input"), and of the arithmetic of their loops a twentieth goes into checks.
fn keeps_within(kernel: &KernelDesc) -> bool {
    kernel.name.starts_with("decode_")
}

/// Every pipeline of a device that has been used so far.
pub(crate) struct Pipelines {
    /// Kernels of tools, beside the library's own.
    foreign: Vec<&'static KernelDesc>,
    forced: HashMap<&'static str, Choice>,
    layouts: HashMap<&'static str, Layout>,
    pipelines: HashMap<Key, Pipeline>,
    device: Arc<Device>,
}

/// A kernel ready to be dispatched.
#[derive(Clone, Copy)]
pub(crate) struct Pipeline {
    pub raw: vk::Pipeline,
    pub layout: Layout,
    pub kernel: &'static KernelDesc,
}

#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub pipeline: vk::PipelineLayout,
    pub set: vk::DescriptorSetLayout,
}

impl Pipelines {
    pub fn new(device: Arc<Device>) -> Self {
        Self {
            foreign: Vec::new(),
            forced: HashMap::new(),
            layouts: HashMap::new(),
            pipelines: HashMap::new(),
            device,
        }
    }

    /// How many have been made.
    pub fn made(&self) -> usize {
        self.pipelines.len()
    }

    /// Lets recordings name these kernels too.
    pub fn add(&mut self, kernels: &'static [KernelDesc]) {
        self.foreign.extend(kernels);
    }

    /// Makes the kernel's next pipelines of this, or again of what suits the device.
    pub fn force(&mut self, kernel: &'static str, choice: Option<Choice>) {
        match choice {
            Some(choice) => self.forced.insert(kernel, choice),
            None => self.forced.remove(kernel),
        };
    }

    /// The kernel of this name.
    ///
    /// # Panics
    /// If there is none: recordings name kernels of this build.
    pub fn kernel(&self, name: &str) -> &'static KernelDesc {
        let foreign = || self.foreign.iter().copied().find(|kernel| kernel.name == name);
        kernel::find(name).or_else(foreign).unwrap_or_else(|| panic!("no kernel {name}"))
    }

    /// The kernel's pipeline with these specialisation constants, and workgroups for so many segments.
    pub fn get(
        &mut self,
        name: &'static str,
        spec: &[(u32, u32)],
        segments: Option<u32>,
    ) -> Result<Pipeline, DeviceError> {
        let kernel = self.kernel(name);
        let forced = self.forced.get(name);
        let variant = match forced {
            Some(choice) => choice.variant,
            None => choose_variant(kernel, &self.device)?,
        };
        // Software drivers compile for seconds and run one workgroup at a time: two sizes are enough for them, and a
        // smaller table, which leaves room for more workgroups, is of no use.
        let software = self.device.info.software;
        let special = self.device.offer.nvidia_forms;
        let of_use = |(id, _): &(u32, u32)| match *id {
            TABLE_LOG_ID => !software,
            COMPACT_ID => special && variant.capabilities.contains(&"Int8"),
            UNIT_ID => special,
            _ => true,
        };
        let segments = segments.map(|segments| match segments {
            2.. if software => MANY_SEGMENTS,
            segments => segments,
        });
        let workgroup = segments.map(|segments| (WORKGROUP_ID, variant.workgroup_for(segments)));
        let own = forced.map_or(&[][..], |choice| &choice.spec);
        let planned = spec.iter().copied().filter(of_use).chain(workgroup);
        let planned = planned.filter(|(id, _)| own.iter().all(|(own, _)| own != id));
        let spec: Vec<_> = planned.chain(own.iter().copied()).collect();
        let checked = forced.is_some_and(|choice| choice.checked);
        let key = (name, variant.spirv.as_ptr().addr(), spec, checked);
        if let Some(&pipeline) = self.pipelines.get(&key) {
            return Ok(pipeline);
        }
        let subgroup = match variant.form {
            Form::Subgroup(size) => Some(size),
            Form::Any | Form::Shared => None,
        };
        let flags = vk::PipelineCreateFlags::empty();
        let choice = Choice { variant, spec: key.2.clone(), checked };
        let pipeline = self.create(kernel, &choice, subgroup, flags)?;
        self.pipelines.insert(key, pipeline);
        Ok(pipeline)
    }

    /// Creates a pipeline of any variant, at a subgroup size if one is given; the caller destroys it.
    pub fn create(
        &mut self,
        kernel: &'static KernelDesc,
        choice: &Choice,
        subgroup: Option<u32>,
        flags: vk::PipelineCreateFlags,
    ) -> Result<Pipeline, DeviceError> {
        let Choice { variant, spec, checked } = choice;
        log::debug!("creating the pipeline {}, {}, {spec:?}", kernel.name, variant.name);
        let layout = self.layout(kernel)?;
        let device = &self.device;
        let module = vk::ShaderModuleCreateInfo::default().code(variant.spirv);
        // SAFETY: the code was validated when it was compiled, and the variant was chosen for this device.
        let module = unsafe { device.raw.create_shader_module(&module, None) }
            .named("vkCreateShaderModule")?;
        let (entries, data) = specialisation(spec);
        let specialisation = vk::SpecializationInfo::default().map_entries(&entries).data(&data);
        let mut size = vk::PipelineShaderStageRequiredSubgroupSizeCreateInfoEXT::default();
        let mut stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main")
            .specialization_info(&specialisation);
        if let (Some(subgroup), Some(control)) = (subgroup, device.offer.size_control) {
            size = size.required_subgroup_size(subgroup);
            stage = stage.push_next(&mut size);
            if control.full && variant.workgroup[0].is_multiple_of(subgroup) {
                stage = stage.flags(vk::PipelineShaderStageCreateFlags::REQUIRE_FULL_SUBGROUPS_EXT);
            }
        }
        let mut unchecked = vk::PipelineRobustnessCreateInfoEXT::default()
            .storage_buffers(vk::PipelineRobustnessBufferBehaviorEXT::DISABLED);
        let mut create = vk::ComputePipelineCreateInfo::default()
            .flags(flags)
            .stage(stage)
            .layout(layout.pipeline);
        if device.offer.pipeline_robustness && keeps_within(kernel) && !checked {
            create = create.push_next(&mut unchecked);
        }
        // SAFETY: module and layout belong to this device, and what `create` points to outlives the call.
        let created = unsafe {
            let created =
                device.raw.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            device.raw.destroy_shader_module(module, None);
            created
        };
        let raw = created.map_err(|(_, result)| result).named("vkCreateComputePipelines")?[0];
        Ok(Pipeline { raw, layout, kernel })
    }

    fn layout(&mut self, kernel: &'static KernelDesc) -> Result<Layout, DeviceError> {
        if let Some(&layout) = self.layouts.get(kernel.name) {
            return Ok(layout);
        }
        let bindings: Vec<_> = kernel
            .bindings
            .iter()
            .map(|binding| {
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding.binding)
                    .descriptor_type(vk::DescriptorType::STORAGE_BUFFER)
                    .descriptor_count(1)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let create = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: a valid description; what it points to outlives the call.
        let set = unsafe { self.device.raw.create_descriptor_set_layout(&create, None) }
            .named("vkCreateDescriptorSetLayout")?;
        let sets = [set];
        let push = [vk::PushConstantRange::default()
            .stage_flags(vk::ShaderStageFlags::COMPUTE)
            .size(kernel.push_bytes)];
        let mut create = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
        if kernel.push_bytes > 0 {
            create = create.push_constant_ranges(&push);
        }
        // SAFETY: as above; the set layout is destroyed at once if this fails.
        let pipeline = unsafe {
            self.device.raw.create_pipeline_layout(&create, None).inspect_err(|_| {
                self.device.raw.destroy_descriptor_set_layout(set, None);
            })
        }
        .named("vkCreatePipelineLayout")?;
        let layout = Layout { pipeline, set };
        self.layouts.insert(kernel.name, layout);
        Ok(layout)
    }
}

impl Drop for Pipelines {
    fn drop(&mut self) {
        let device = &self.device.raw;
        // SAFETY: all of these belong to the device, and the executor that owns them waits for its work first.
        unsafe {
            for pipeline in self.pipelines.values() {
                device.destroy_pipeline(pipeline.raw, None);
            }
            for layout in self.layouts.values() {
                device.destroy_pipeline_layout(layout.pipeline, None);
                device.destroy_descriptor_set_layout(layout.set, None);
            }
        }
    }
}

/// The best variant that the device can run: at its subgroup size before without subgroups, then the one that uses most of
/// what the device offers.
pub(crate) fn choose_variant(
    kernel: &'static KernelDesc,
    device: &Device,
) -> Result<&'static Variant, DeviceError> {
    let rank = |variant: &&Variant| {
        let form = match variant.form {
            Form::Subgroup(_) => 0,
            Form::Any => 1,
            Form::Shared => 2,
        };
        (form, Reverse(variant.capabilities.len()))
    };
    let fits = |variant: &&Variant| {
        runs(variant, device)
            && match variant.form {
                Form::Subgroup(size) => device.subgroup == Some(size),
                Form::Any | Form::Shared => true,
            }
    };
    kernel.variants.iter().filter(fits).min_by_key(rank).ok_or_else(|| DeviceError::Unsupported {
        device: device.info.name.clone(),
        missing: format!("what any variant of the kernel {} needs", kernel.name),
    })
}

/// Whether the device has the limits and features that the variant uses, its subgroup size apart.
pub(crate) fn runs(variant: &Variant, device: &Device) -> bool {
    let offer = &device.offer;
    let limits = &offer.limits;
    let invocations: u32 = variant.workgroup.iter().product();
    let offered = |capability: &&str| match *capability {
        "Shader" => true,
        "GroupNonUniform" => offer.subgroup_operations.contains(vk::SubgroupFeatureFlags::BASIC),
        "GroupNonUniformBallot" => {
            offer.subgroup_operations.contains(vk::SubgroupFeatureFlags::BALLOT)
        }
        "StorageBuffer16BitAccess" => offer.storage16,
        "Int64" => offer.int64,
        "Int16" => offer.int16,
        "Int8" => offer.int8,
        "DotProduct" | "DotProductInput4x8BitPacked" => offer.dot,
        "SubgroupBallotKHR" => offer.khr_ballot,
        // Whoever adds one to a kernel enables its feature in `device` and adds it here.
        _ => false,
    };
    variant.capabilities.iter().all(offered)
        && variant.shared_bytes <= limits.max_compute_shared_memory_size
        && invocations <= limits.max_compute_work_group_invocations
        && variant.workgroup[0] <= limits.max_compute_work_group_size[0]
        && offer.holds(variant)
}

fn specialisation(spec: &[(u32, u32)]) -> (Vec<vk::SpecializationMapEntry>, Vec<u8>) {
    let entries = spec.iter().enumerate().map(|(index, &(id, _))| vk::SpecializationMapEntry {
        constant_id: id,
        offset: 4 * index as u32,
        size: 4,
    });
    (entries.collect(), spec.iter().flat_map(|(_, value)| value.to_ne_bytes()).collect())
}
