//! What a driver's compiler makes of the kernels (VK_KHR_pipeline_executable_properties).

use ash::vk;

use super::{
    Named,
    device::{Device, OpenOptions},
    pipeline::{Pipeline, Pipelines, runs},
};
use crate::{
    device::DeviceSelector,
    error::DeviceError,
    kernel::{self, Form},
};

/// One kernel variant at one subgroup size.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compiled {
    /// Name of the kernel.
    pub kernel: &'static str,
    /// Name of its variant.
    pub variant: &'static str,
    /// The subgroup size that the pipeline was made to have.
    pub subgroup: u32,
    /// The driver's figures by the driver's names, or why it rejected the kernel.
    pub statistics: Result<Vec<(String, u64)>, DeviceError>,
}

/// Compiles every variant of every kernel that the device can run, at every subgroup size that it can be made to
/// have. A null device is good enough.
pub fn compile_all(selector: &DeviceSelector) -> Result<Vec<Compiled>, DeviceError> {
    let options = OpenOptions { inspect_pipelines: true, ..OpenOptions::default() };
    let device = super::open_device(selector, options)?;
    if device.executables.is_none() {
        return Err(DeviceError::Unsupported {
            device: device.info.name.clone(),
            missing: "VK_KHR_pipeline_executable_properties".to_owned(),
        });
    }
    let default = device.info.subgroup.default;
    let sizes = [4, 8, 16, 32, 64].into_iter().filter(|&size| device.offer.runs_at(size, default));
    let mut pipelines = Pipelines::new(device.clone());
    let mut compiled = Vec::new();
    for subgroup in sizes {
        for kernel in kernel::ALL {
            let variants = kernel.variants.iter().filter(|variant| {
                runs(variant, &device)
                    && match variant.form {
                        Form::Subgroup(size) => size == subgroup,
                        Form::Any | Form::Shared => true,
                    }
            });
            for variant in variants {
                let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR;
                let statistics = pipelines
                    .create(kernel, variant, &[], Some(subgroup), flags)
                    .and_then(|pipeline| statistics(&device, pipeline));
                let (kernel, variant) = (kernel.name, variant.name);
                compiled.push(Compiled { kernel, variant, subgroup, statistics });
            }
        }
    }
    Ok(compiled)
}

/// The figures of a pipeline's first (and only) executable. Destroys the pipeline.
fn statistics(device: &Device, pipeline: Pipeline) -> Result<Vec<(String, u64)>, DeviceError> {
    let functions = device.executables.as_ref().expect("the caller has checked");
    let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline.raw).executable_index(0);
    // SAFETY: the pipeline was created with statistics and is destroyed after its only use.
    let figures = unsafe {
        let figures = functions.get_pipeline_executable_statistics(&info);
        device.raw.destroy_pipeline(pipeline.raw, None);
        figures
    }
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
