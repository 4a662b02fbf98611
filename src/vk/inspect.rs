//! What a driver's compiler makes of the kernels (VK_KHR_pipeline_executable_properties).

use ash::{khr::pipeline_executable_properties, vk};

use super::{
    Named,
    device::{Device, OpenOptions},
    pipeline::{Choice, Pipeline, Pipelines, runs},
};
use crate::{
    device::{DeviceInfo, DeviceSelector},
    error::DeviceError,
    kernel::{Form, KernelDesc},
};

/// What is to be compiled.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// A kernel.
    pub kernel: &'static KernelDesc,
    /// What its pipeline is made of.
    pub choice: Choice,
}

/// A candidate at one subgroup size.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compiled {
    /// The candidate's position in the list.
    pub candidate: usize,
    /// The subgroup size that the pipeline was made to have.
    pub subgroup: u32,
    /// What came out, or why the driver rejected the kernel.
    pub outcome: Result<Code, DeviceError>,
}

/// What a driver tells of its code.
#[derive(Debug)]
#[non_exhaustive]
pub struct Code {
    /// Figures by the driver's names.
    pub statistics: Vec<(String, u64)>,
    /// The code as text, in the last of the forms that the driver has it in; empty if it has none.
    pub text: String,
}

/// Compiles every candidate that the device can run, at every subgroup size that it can be made to have. A null device is
/// good enough.
///
/// # Errors
/// The device cannot be opened, or its driver tells nothing of its code.
pub fn compile(
    selector: &DeviceSelector,
    candidates: &[Candidate],
) -> Result<(DeviceInfo, Vec<Compiled>), DeviceError> {
    let options = OpenOptions { inspect_pipelines: true, ..OpenOptions::default() };
    let device = super::open_device(selector, options)?;
    let Some(functions) = &device.executables else {
        return Err(DeviceError::Unsupported {
            device: device.info.name.clone(),
            missing: "VK_KHR_pipeline_executable_properties".to_owned(),
        });
    };
    let default = device.info.subgroup.default;
    let sizes = [4, 8, 16, 32, 64].into_iter().filter(|&size| device.offer.runs_at(size, default));
    let mut pipelines = Pipelines::new(device.clone());
    let mut compiled = Vec::new();
    for subgroup in sizes {
        let fits = |variant: &crate::kernel::Variant| match variant.form {
            Form::Subgroup(size) => size == subgroup,
            Form::Any | Form::Shared => true,
        };
        for (candidate, Candidate { kernel, choice }) in candidates.iter().enumerate() {
            let variant = choice.variant;
            if !runs(variant, &device) || !fits(variant) {
                continue;
            }
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let outcome = pipelines
                .create(kernel, choice, Some(subgroup), flags)
                .and_then(|pipeline| inspect(&device, functions, pipeline));
            compiled.push(Compiled { candidate, subgroup, outcome });
        }
    }
    Ok((device.info.clone(), compiled))
}

/// What the driver tells of a pipeline's first (and only) executable. Destroys the pipeline.
fn inspect(
    device: &Device,
    functions: &pipeline_executable_properties::Device,
    pipeline: Pipeline,
) -> Result<Code, DeviceError> {
    let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline.raw).executable_index(0);
    let statistics = statistics(functions, &info);
    let text = text(functions, &info);
    // SAFETY: nothing has used the pipeline, and nothing will.
    unsafe { device.raw.destroy_pipeline(pipeline.raw, None) };
    Ok(Code { statistics: statistics?, text: text? })
}

fn statistics(
    functions: &pipeline_executable_properties::Device,
    info: &vk::PipelineExecutableInfoKHR<'_>,
) -> Result<Vec<(String, u64)>, DeviceError> {
    // SAFETY: the pipeline was created with statistics.
    let figures = unsafe { functions.get_pipeline_executable_statistics(info) }
        .named("vkGetPipelineExecutableStatisticsKHR")?;
    Ok(figures
        .iter()
        .map(|figure| {
            let name = figure.name_as_c_str().map_or(String::new(), |n| n.to_string_lossy().into());
            use vk::PipelineExecutableStatisticFormatKHR as F;
            // SAFETY: the format says which member of the union was written.
            let value = unsafe {
                match figure.format {
                    F::BOOL32 => figure.value.b32.into(),
                    F::INT64 => figure.value.i64.max(0) as u64,
                    F::FLOAT64 => figure.value.f64 as u64,
                    _ => figure.value.u64,
                }
            };
            (name, value)
        })
        .collect())
}

/// The last of the representations that are text: drivers list them from their input to their output.
fn text(
    functions: &pipeline_executable_properties::Device,
    info: &vk::PipelineExecutableInfoKHR<'_>,
) -> Result<String, DeviceError> {
    const CALL: &str = "vkGetPipelineExecutableInternalRepresentationsKHR";
    // SAFETY: the pipeline was created with internal representations.
    let found = unsafe { functions.get_pipeline_executable_internal_representations(info) };
    let mut found = found.named(CALL)?;
    let mut bytes: Vec<Vec<u8>> = found.iter().map(|one| vec![0; one.data_size]).collect();
    for (one, bytes) in found.iter_mut().zip(&mut bytes) {
        one.p_data = bytes.as_mut_ptr().cast();
    }
    let mut count = found.len() as u32;
    // SAFETY: as above; each representation points to as many bytes as the driver has asked for.
    unsafe {
        let call = functions.fp().get_pipeline_executable_internal_representations_khr;
        call(functions.device(), info, &mut count, found.as_mut_ptr())
    }
    .result()
    .named(CALL)?;
    let texts = found.iter().zip(bytes).filter(|(one, _)| one.is_text == vk::TRUE);
    let last = texts.map(|(_, bytes)| bytes).next_back().unwrap_or_default();
    let end = last.iter().position(|&byte| byte == 0).unwrap_or(last.len());
    Ok(String::from_utf8_lossy(&last[..end]).into_owned())
}
