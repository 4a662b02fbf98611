//! Which devices there are, and which stages they may do.

use std::{sync::mpsc, thread};

use crate::{
    Assignment, DeviceSelector, Options, Pipeline,
    engine::accel::Accelerator,
    error::{DeviceError, Error, Result},
    vk,
};

/// Work for the CPU of less than so many seconds does not repay starting a device, which takes some tenths of one.
const WORTH_OPENING: f64 = 2.0;
/// Raw bytes that the CPU is taken to do in a second before it has been measured.
const ASSUMED_RATE: f64 = 512e6;

/// Where the stages of blocks go.
pub(crate) struct Route {
    pub devices: Devices,
    /// What the options say of each stage.
    stages: [Option<Assignment>; 2],
    /// Where the entropy stage goes if they say nothing.
    entropy: Assignment,
}

/// The devices of a run.
pub(crate) enum Devices {
    None,
    /// The best hardware, once the content turns out to be large.
    Later,
    Open(Vec<Box<dyn Accelerator>>),
}

impl Route {
    /// CPU workers only.
    #[cfg(test)]
    pub fn cpu() -> Self {
        Self { devices: Devices::None, stages: [None; 2], entropy: Assignment::Cpu }
    }

    /// These devices, and the entropy stage as said.
    #[cfg(test)]
    pub fn open(devices: Vec<Box<dyn Accelerator>>, entropy: Assignment) -> Self {
        Self { devices: Devices::Open(devices), stages: [None; 2], entropy }
    }

    /// What the options and the environment say. Explicit devices are opened.
    ///
    /// # Errors
    /// The environment's choice cannot be parsed, a device cannot be opened, or the options contradict each other.
    pub fn choose(options: &Options) -> Result<Self> {
        let stages = [options.stage0, options.stage1];
        let strict = stages.contains(&Some(Assignment::Gpu));
        let named = match &options.devices {
            Some(named) => named.clone(),
            None => DeviceSelector::list_from_env()?.unwrap_or_default(),
        };
        let cpu = named.contains(&DeviceSelector::Cpu);
        let mut explicit: Vec<_> =
            named.into_iter().filter(|selector| *selector != DeviceSelector::Cpu).collect();
        let auto = explicit.contains(&DeviceSelector::Auto) || (explicit.is_empty() && !cpu);
        if auto && explicit.len() > 1 {
            return Err(conflict("device", "auto chooses among all devices: name it alone"));
        }
        if strict && explicit.is_empty() && cpu {
            return Err(conflict("stage", "a stage cannot go to a GPU with the device cpu"));
        }
        if auto && !strict {
            let devices =
                if stages == [Some(Assignment::Cpu); 2] { Devices::None } else { Devices::Later };
            return Ok(Self { devices, stages, entropy: Assignment::Auto });
        }
        if auto {
            explicit = vec![DeviceSelector::Auto];
        }
        if explicit.is_empty() {
            return Ok(Self { devices: Devices::None, stages, entropy: Assignment::Cpu });
        }
        // Half of the memory for staging: a block in flight needs its buffers on this side as well.
        let budget = options.memory_limit / 2 / explicit.len() as u64;
        let open = explicit.iter().map(|selector| open(selector, budget));
        let devices = Devices::Open(open.collect::<Result<_, _>>()?);
        let entropy = if cpu || auto { Assignment::Auto } else { Assignment::Gpu };
        Ok(Self { devices, stages, entropy })
    }

    /// Who does the entropy stage of a pipeline's blocks.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the model is assigned to a device.
    pub fn entropy(&self, pipeline: Pipeline) -> Result<Assignment> {
        let place = usize::from(pipeline.model().is_some());
        if place == 1 && self.stages[0] == Some(Assignment::Gpu) {
            return Err(conflict(
                "stage 0",
                &format!(
                    "it is the model in the pipeline {pipeline}, and models have no kernels: assign it to the CPU"
                ),
            ));
        }
        Ok(self.stages[place].unwrap_or(self.entropy))
    }
}

fn conflict(name: &'static str, reason: &str) -> Error {
    Error::InvalidOption { name, reason: reason.to_owned() }
}

/// Whether the CPU has work for so long that a device repays its start: `remaining` raw bytes, of which it did `done` in
/// the first `seconds`.
pub(super) fn worth_opening(remaining: u64, done: u64, seconds: f64) -> bool {
    let rate = if seconds > 0.1 && done > 0 { done as f64 / seconds } else { ASSUMED_RATE };
    remaining as f64 / rate > WORTH_OPENING
}

/// A device that is being opened on a thread of its own.
pub(super) struct Opening {
    pub result: mpsc::Receiver<Option<Box<dyn Accelerator>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Opening {
    /// The device that `Auto` may use: hardware, never a software implementation. Its staging takes at most `budget`
    /// bytes.
    pub fn begin(budget: u64) -> Option<Self> {
        let (sender, result) = mpsc::channel();
        let open = move || {
            let device = open(&DeviceSelector::Auto, budget)
                .inspect_err(|error| log::debug!("no device beside the CPU: {error}"));
            let _ = sender.send(device.ok()); // The engine may be gone.
        };
        let thread = thread::Builder::new().name("ranvil-open".to_owned()).spawn(open).ok()?;
        Some(Self { result, thread: Some(thread) })
    }
}

impl Drop for Opening {
    /// Waits: a process must not end while a driver starts.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(selector: &DeviceSelector, budget: u64) -> Result<Box<dyn Accelerator>, DeviceError> {
    vk::open(selector, budget).map(|device| Box::new(device) as _)
}
