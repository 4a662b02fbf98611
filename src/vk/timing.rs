//! Timestamps after commands of a recording.

use std::{sync::Arc, time::Duration};

use ash::vk;

use super::{Named, device::Device};
use crate::{error::DeviceError, kernel::Command};

/// How long one command, or a number of them, took on the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CommandTime {
    /// The (last) kernel's name, or `copy` or `fill`.
    pub name: &'static str,
    /// From the end of the command before it to its own end.
    pub time: Duration,
}

/// A pool of timestamps for one slot.
pub(crate) struct Timestamps {
    pool: vk::QueryPool,
    capacity: u32,
    /// A timestamp follows each so many commands.
    every: usize,
    /// Commands since the last timestamp.
    passed: usize,
    names: Vec<&'static str>,
    device: Arc<Device>,
}

impl Timestamps {
    /// Room for recordings of `commands` commands, with a timestamp after each `every` of them; `None` if the queue has
    /// no timestamps.
    pub fn new(
        device: &Arc<Device>,
        commands: usize,
        every: usize,
    ) -> Result<Option<Self>, DeviceError> {
        if device.compute.timestamp_bits == 0 {
            return Ok(None);
        }
        let capacity = (commands / every) as u32 + 1;
        let create = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::TIMESTAMP)
            .query_count(capacity);
        // SAFETY: a valid description.
        let pool =
            unsafe { device.raw.create_query_pool(&create, None) }.named("vkCreateQueryPool")?;
        Ok(Some(Self {
            pool,
            capacity,
            every,
            passed: 0,
            names: Vec::new(),
            device: Arc::clone(device),
        }))
    }

    /// Resets the pool and takes the first timestamp.
    pub(super) fn begin(&mut self, commands: vk::CommandBuffer, count: usize) {
        assert!(count / self.every < self.capacity as usize, "more commands than timestamps");
        self.names.clear();
        self.passed = 0;
        // SAFETY: the pool belongs to the device and is not in use: the slot is idle.
        unsafe { self.device.raw.cmd_reset_query_pool(commands, self.pool, 0, self.capacity) };
        self.write(commands, 0);
    }

    pub(super) fn mark(&mut self, commands: vk::CommandBuffer, command: &Command) {
        self.passed += 1;
        if self.passed < self.every {
            return;
        }
        self.passed = 0;
        self.names.push(match command {
            Command::Dispatch { kernel, .. } => kernel,
            Command::Copy { .. } => "copy",
            Command::Fill { .. } => "fill",
        });
        self.write(commands, self.names.len() as u32);
    }

    fn write(&self, commands: vk::CommandBuffer, index: u32) {
        let stage = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
        // SAFETY: the command buffer is being recorded on a queue with timestamps; the query was reset.
        unsafe { self.device.raw.cmd_write_timestamp(commands, stage, self.pool, index) };
    }

    /// The times of the last recording, which has finished.
    pub fn read(&self) -> Result<Vec<CommandTime>, DeviceError> {
        let mut ticks = vec![0_u64; self.names.len() + 1];
        let flags = vk::QueryResultFlags::TYPE_64 | vk::QueryResultFlags::WAIT;
        // SAFETY: the queries were written by a recording that has finished.
        unsafe { self.device.raw.get_query_pool_results(self.pool, 0, &mut ticks, flags) }
            .named("vkGetQueryPoolResults")?;
        let bits = self.device.compute.timestamp_bits;
        let mask = u64::MAX >> (64 - bits.min(64));
        let period = f64::from(self.device.offer.limits.timestamp_period);
        let time = |from: u64, to: u64| {
            let nanoseconds = (to.wrapping_sub(from) & mask) as f64 * period;
            Duration::from_nanos(nanoseconds as u64)
        };
        let pairs = self.names.iter().zip(ticks.windows(2));
        Ok(pairs.map(|(&name, t)| CommandTime { name, time: time(t[0], t[1]) }).collect())
    }
}

impl Drop for Timestamps {
    fn drop(&mut self) {
        // SAFETY: the pool belongs to the device, and the slot that owns it is idle.
        unsafe { self.device.raw.destroy_query_pool(self.pool, None) };
    }
}
