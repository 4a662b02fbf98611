//! Which devices there are, and which stages they may do.

use std::{sync::mpsc, thread};

use crate::{
    Assignment, DeviceSelector, Options, Pipeline,
    engine::accel::Idle,
    error::{DeviceError, Error, Result},
    vk,
};

/// Work for the CPU of less than so many seconds does not repay starting a device, which takes some tenths of one.
const WORTH_OPENING: f64 = 2.0;
/// Raw bytes a second beyond which the CPU is left alone: through one caller's thread a device brought no more than twice
/// this, and sharing with it costs the workers something (docs/DECISIONS.md, "Beside the CPU").
const FAST_ENOUGH: f64 = 1e9;

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
    /// The best hardware, once the content turns out to be large: what opens it.
    Later(Opener),
    Open(Vec<Idle>),
}

/// Opens a device whose staging takes at most so many bytes, if there is one.
pub(super) type Opener = Box<dyn FnOnce(u64) -> Option<Idle> + Send>;

impl Route {
    /// The entropy stage is anybody's, and the device is opened so if it is worth it.
    #[cfg(test)]
    pub fn later(open: Opener) -> Self {
        let devices = Devices::Later(open);
        Self { devices, stages: [None; 2], entropy: Assignment::Auto }
    }

    /// CPU workers only.
    #[cfg(test)]
    pub fn cpu() -> Self {
        Self { devices: Devices::None, stages: [None; 2], entropy: Assignment::Cpu }
    }

    /// These devices, and the entropy stage as said; for tests.
    pub fn open(devices: Vec<Idle>, entropy: Assignment) -> Self {
        Self { devices: Devices::Open(devices), stages: [None; 2], entropy }
    }

    /// What the options and the environment say. Explicit devices are opened.
    ///
    /// # Errors
    /// The environment's choice cannot be parsed, a device cannot be opened, or the options contradict each other.
    pub fn choose(options: &Options) -> Result<Self> {
        let named = match &options.devices {
            Some(named) => named.clone(),
            None => DeviceSelector::list_from_env()?.unwrap_or_default(),
        };
        let (mut route, devices) = Self::without_devices(options, named)?;
        if !devices.is_empty() {
            // Half of the memory for staging: a block in flight needs its buffers on this side as well.
            let budget = options.memory_limit / 2 / devices.len() as u64;
            let open = devices.iter().map(|selector| open(selector, budget));
            route.devices = Devices::Open(open.collect::<Result<_, _>>()?);
        }
        Ok(route)
    }

    /// The route, and the devices that are to be opened for it.
    fn without_devices(
        options: &Options,
        mut named: Vec<DeviceSelector>,
    ) -> Result<(Self, Vec<DeviceSelector>)> {
        let stages = [options.stage0, options.stage1];
        let strict = stages.contains(&Some(Assignment::Gpu));
        if named.is_empty() {
            named.push(DeviceSelector::Auto);
        }
        let auto = named.contains(&DeviceSelector::Auto);
        if auto && named.len() > 1 {
            return Err(conflict("device", "auto chooses among all devices: name it alone"));
        }
        let cpu = named.contains(&DeviceSelector::Cpu);
        named.retain(|selector| *selector != DeviceSelector::Cpu);
        if strict && named.is_empty() {
            return Err(conflict("stage", "none can go to a GPU with the device cpu"));
        }
        if auto && !strict {
            named.clear();
        }
        let entropy = match (auto, cpu, named.is_empty()) {
            (true, ..) | (_, true, false) => Assignment::Auto,
            (_, _, true) => Assignment::Cpu,
            (false, false, false) => Assignment::Gpu,
        };
        let later = auto && !strict && stages != [Some(Assignment::Cpu); 2];
        let devices = if later { Devices::Later(Box::new(best_hardware)) } else { Devices::None };
        Ok((Self { devices, stages, entropy }, named))
    }

    /// Whether the options contradict each other, for frames of a pipeline. Opens nothing and asks no environment.
    ///
    /// # Errors
    /// As [`choose`](Self::choose) and [`entropy`](Self::entropy), but for those of devices.
    pub fn check(options: &Options, pipeline: Pipeline) -> Result<()> {
        let named = options.devices.clone().unwrap_or_default();
        Self::without_devices(options, named)?.0.entropy(pipeline).map(drop)
    }

    /// Who does the entropy stage of a pipeline's blocks.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the model is assigned to a device.
    pub fn entropy(&self, pipeline: Pipeline) -> Result<Assignment> {
        let place = usize::from(pipeline.model().is_some());
        let stages = if pipeline == Pipeline::Stored { 0 } else { place + 1 };
        if let Some(stage) = (stages..2).find(|&stage| self.stages[stage] == Some(Assignment::Gpu))
        {
            let reason = format!("the pipeline {pipeline} has none to go to a GPU");
            return Err(conflict(["stage 0", "stage 1"][stage], &reason));
        }
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
    if done == 0 || seconds < 0.1 {
        return false; // Nothing is known of the CPU.
    }
    let rate = done as f64 / seconds;
    rate < FAST_ENOUGH && remaining as f64 / rate > WORTH_OPENING
}

/// A device that is being opened on a thread of its own.
pub(super) struct Opening {
    pub result: mpsc::Receiver<Option<Idle>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Opening {
    /// Its staging takes at most `budget` bytes.
    pub fn begin(open: Opener, budget: u64) -> Option<Self> {
        let (sender, result) = mpsc::channel();
        let work = move || {
            let _ = sender.send(open(budget)); // If the engine is gone, the device is parked.
        };
        let thread = thread::Builder::new().name("ranvil-open".to_owned()).spawn(work).ok()?;
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

/// The device that `Auto` may use: hardware, never a software implementation.
fn best_hardware(budget: u64) -> Option<Idle> {
    open(&DeviceSelector::Auto, budget)
        .inspect_err(|error| log::debug!("no device beside the CPU: {error}"))
        .ok()
}

fn open(selector: &DeviceSelector, budget: u64) -> Result<Idle, DeviceError> {
    vk::open(selector, budget).map(Idle::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_worth_opening_where_the_cpu_has_work_for_two_seconds_more_and_is_not_fast() {
        const MB: u64 = 1_000_000;
        for (remaining, done, seconds, expected) in [
            (201, 100, 1.0, true),
            (200, 100, 1.0, false),
            (11, 1, 0.2, true),
            (9, 1, 0.2, false), // 1.8 seconds.
            (1_000_000, 0, 1.0, false),
            (1_000_000, 1, 0.09, false),
            (1_000_000, 999, 1.0, true),
            (1_000_000, 1000, 1.0, false),
            (0, 1, 1000.0, false),
        ] {
            let found = worth_opening(remaining * MB, done * MB, seconds);
            assert_eq!(found, expected, "{remaining} MB after {done} in {seconds} s");
        }
    }
}
