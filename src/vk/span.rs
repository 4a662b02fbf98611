//! When a slot's work began and ended, on the host's clock.

use std::sync::Arc;

use ash::vk;

use super::{Named, clock::Moment, device::Device};
use crate::{
    engine::accel::{Queue, Span},
    error::DeviceError,
    telemetry::clock,
};

/// A piece of a slot's work, in the order in which they follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    Upload,
    Compute,
    /// What comes down in any case.
    Download,
    /// What comes down once its size is known.
    Fetch,
}

impl Piece {
    const COUNT: u32 = 4;

    fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Compute => "kernels",
            Self::Download => "download",
            Self::Fetch => "fetch",
        }
    }

    fn queue(self) -> Queue {
        match self {
            Self::Upload => Queue::Upload,
            Self::Compute => Queue::Compute,
            Self::Download | Self::Fetch => Queue::Download,
        }
    }
}

/// Two timestamps for each piece.
///
/// A piece's times are placed by reading the device's clock beside the host's. Where the driver has no such call, the
/// last piece is taken to end when its end was noticed; where the queue has no timestamps either, the whole batch is one
/// span from its submission to its arrival.
pub(crate) struct Stopwatch {
    /// Null if the host cannot reset it.
    pool: vk::QueryPool,
    /// The pieces with timestamps.
    pieces: Vec<Piece>,
    /// When the host was about to submit the first of them.
    submitted: u64,
    device: Arc<Device>,
}

impl Stopwatch {
    pub fn new(device: &Arc<Device>) -> Result<Self, DeviceError> {
        let create = vk::QueryPoolCreateInfo::default()
            .query_type(vk::QueryType::TIMESTAMP)
            .query_count(2 * Piece::COUNT);
        let pool = if device.offer.host_query_reset && device.compute.timestamp_bits > 0 {
            // SAFETY: a valid description.
            unsafe { device.raw.create_query_pool(&create, None) }.named("vkCreateQueryPool")?
        } else {
            vk::QueryPool::null()
        };
        Ok(Self { pool, pieces: Vec::new(), submitted: clock(), device: Arc::clone(device) })
    }

    /// Forgets what was recorded. The slot is idle.
    pub fn restart(&mut self) {
        self.pieces.clear();
        self.submitted = clock();
        if self.pool != vk::QueryPool::null() {
            // SAFETY: the feature is enabled wherever there is a pool, and nothing in flight uses it.
            unsafe { self.device.raw.reset_query_pool(self.pool, 0, 2 * Piece::COUNT) };
        }
    }

    /// A piece begins when all before it on the queue has ended.
    pub fn begin(&mut self, commands: vk::CommandBuffer, piece: Piece) {
        if self.has_timestamps(piece) {
            self.pieces.push(piece);
            self.write(commands, 2 * piece as u32);
        }
    }

    pub fn end(&mut self, commands: vk::CommandBuffer, piece: Piece) {
        if self.has_timestamps(piece) {
            self.write(commands, 2 * piece as u32 + 1);
        }
    }

    fn has_timestamps(&self, piece: Piece) -> bool {
        let transfer = self.device.transfer.filter(|_| piece != Piece::Compute);
        let bits =
            transfer.map_or(self.device.compute.timestamp_bits, |transfer| transfer.timestamp_bits);
        self.pool != vk::QueryPool::null() && bits > 0
    }

    fn write(&self, commands: vk::CommandBuffer, query: u32) {
        let stage = vk::PipelineStageFlags::BOTTOM_OF_PIPE;
        // SAFETY: the command buffer is being recorded for a queue with timestamps; the query has been reset.
        unsafe { self.device.raw.cmd_write_timestamp(commands, stage, self.pool, query) };
    }

    /// What was recorded. All of it has finished.
    pub fn spans(&self) -> Result<Vec<Span>, DeviceError> {
        let arrived = clock();
        let ticks = self.pieces.iter().map(|&piece| Ok((piece, self.ticks(piece)?)));
        let ticks: Vec<(Piece, [u64; 2])> = ticks.collect::<Result<_, DeviceError>>()?;
        let Some(&(_, [_, last])) = ticks.last() else {
            let (name, queue) = (Piece::Compute.name(), Queue::Compute);
            return Ok(vec![Span { name, queue, begin: self.submitted, end: arrived }]);
        };
        let now = self.device.clock.as_ref().and_then(|clock| clock.now());
        let now = now.unwrap_or(Moment { ticks: last, host: arrived });
        let place = |ticks| self.device.before(now, ticks).clamp(self.submitted, arrived);
        let span = |&(piece, [begin, end]): &(Piece, [u64; 2])| Span {
            name: piece.name(),
            queue: piece.queue(),
            begin: place(begin),
            end: place(end),
        };
        Ok(ticks.iter().map(span).collect())
    }

    fn ticks(&self, piece: Piece) -> Result<[u64; 2], DeviceError> {
        let mut ticks = [0; 2];
        let first = 2 * piece as u32;
        // SAFETY: the queries were written by work that has finished.
        unsafe {
            let flags = vk::QueryResultFlags::TYPE_64;
            self.device.raw.get_query_pool_results(self.pool, first, &mut ticks, flags)
        }
        .named("vkGetQueryPoolResults")?;
        Ok(ticks)
    }
}

impl Device {
    /// The host's time at which the device's clock showed `ticks`.
    fn before(&self, now: Moment, ticks: u64) -> u64 {
        // A family that only copies may have no timestamps.
        let transfer = self.transfer.map(|transfer| transfer.timestamp_bits);
        let transfer = transfer.filter(|&bits| bits > 0).unwrap_or(64);
        let bits = self.compute.timestamp_bits.min(transfer).clamp(1, 64);
        let unused = 64 - bits;
        let ago = ((now.ticks.wrapping_sub(ticks) << unused) as i64) >> unused;
        let period = f64::from(self.offer.limits.timestamp_period);
        now.host.saturating_add_signed(-((ago as f64 * period) as i64))
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        // SAFETY: the pool belongs to the device or is null, and the slot that owns it is idle.
        unsafe { self.device.raw.destroy_query_pool(self.pool, None) };
    }
}
