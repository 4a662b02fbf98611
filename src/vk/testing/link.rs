//! What the link between host and device carries.

use std::time::{Duration, Instant};

use super::Gpu;
use crate::{
    error::DeviceError,
    kernel::{BufferDesc, BufferId, Recording, Role},
    vk::submit::Slot,
};

/// Bytes per second of copies between staging buffers and the device's memory.
#[derive(Clone, Copy, Debug)]
pub struct LinkRates {
    /// To the device, with nothing on its way back.
    pub up: f64,
    /// From the device, with nothing on its way there.
    pub down: f64,
    /// Both at once.
    pub both: (f64, f64),
    /// The host reads staging through its caches.
    pub cached: bool,
}

/// Copies in flight in each direction.
const SLOTS: usize = 3;
/// How long a measurement takes.
const MEASURED: Duration = Duration::from_millis(300);

impl Gpu {
    /// Measures copies of `size` bytes each; `None` if host and device share their memory.
    pub fn link_rates(&mut self, size: u64) -> Result<Option<LinkRates>, DeviceError> {
        let mut up = self.lane("up", size, Role::Upload)?;
        let mut down = self.lane("down", size, Role::Download)?;
        if !(up.is_staged() && down.is_staged()) {
            return Ok(None);
        }
        let alone = |lane: &mut Lane, gpu: &mut Self| {
            gpu.keep_busy(&mut [lane])?;
            gpu.keep_busy(&mut [lane])
        };
        let (up_alone, down_alone) = (alone(&mut up, self)?[0], alone(&mut down, self)?[0]);
        let both = self.keep_busy(&mut [&mut up, &mut down])?;
        let cached = down.slots[0].is_cached();
        Ok(Some(LinkRates { up: up_alone, down: down_alone, both: (both[0], both[1]), cached }))
    }

    fn lane(&self, name: &'static str, size: u64, role: Role) -> Result<Lane, DeviceError> {
        let recording =
            Recording { buffers: vec![BufferDesc { name, size, role }], commands: Vec::new() };
        let slots = (0..SLOTS).map(|_| {
            let mut slot = Slot::new(self.accelerator.memory())?;
            slot.reserve(&recording.buffers)?;
            Ok(slot)
        });
        let slots = slots.collect::<Result<_, DeviceError>>()?;
        let eager = if role == Role::Download { vec![BufferId(0)] } else { Vec::new() };
        Ok(Lane { recording, eager, slots })
    }

    /// Has each lane copy all the time; its rate in bytes per second.
    fn keep_busy(&mut self, lanes: &mut [&mut Lane]) -> Result<Vec<f64>, DeviceError> {
        let start = Instant::now();
        let mut copies = vec![0_u32; lanes.len()];
        let mut ends = vec![Duration::ZERO; lanes.len()];
        while start.elapsed() < MEASURED {
            for (lane, copies) in lanes.iter_mut().zip(&mut copies) {
                for slot in &mut lane.slots {
                    if slot.finished()? {
                        slot.run(self.accelerator.pipelines(), &lane.recording, &lane.eager, &[])?;
                        *copies += 1;
                    }
                }
            }
        }
        for (lane, end) in lanes.iter_mut().zip(&mut ends) {
            lane.slots.iter_mut().try_for_each(Slot::wait)?;
            *end = start.elapsed();
        }
        let rate = |((lane, copies), end): ((&&mut Lane, u32), &Duration)| {
            f64::from(copies) * lane.recording.buffers[0].size as f64 / end.as_secs_f64()
        };
        Ok(lanes.iter().zip(copies).zip(&ends).map(rate).collect())
    }
}

/// Slots that copy in one direction.
struct Lane {
    recording: Recording,
    eager: Vec<BufferId>,
    slots: Vec<Slot>,
}

impl Lane {
    fn is_staged(&self) -> bool {
        self.slots[0].is_staged()
    }
}
