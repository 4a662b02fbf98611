//! A slot: buffers that persist, and one recording at a time in flight over them.
//!
//! With transfer queues a run is three submissions, chained by the slot's timeline semaphore: copy up, compute, copy
//! down. While one slot computes, others copy. Without them it is one submission. A slot never waits for another:
//! each has its own buffers.
//!
//! The host reaches the buffers through [`Window`]s, which other threads may hold. While one is alive nothing is
//! submitted, and while something is in flight none is made.

use std::sync::Arc;

use ash::vk;

use super::{
    Named,
    commands::{Commands, begin},
    device::Device,
    doorbell::{self, Target},
    encoder::{self, Descriptors},
    memory::{Buffer, Memory},
    pipeline::Pipelines,
    span::{Piece, Stopwatch},
    timing::Timestamps,
    transfer::{self, Transfer, Transfers},
    window::{self, Window},
};
use crate::{
    engine::accel::Span,
    error::DeviceError,
    kernel::{BufferDesc, BufferId, Recording, Role},
};

/// A buffer of a slot, and the staging buffer through which the host fills or reads it, if it cannot directly.
struct SlotBuffer {
    role: Role,
    device: Arc<Buffer>,
    staging: Option<Arc<Buffer>>,
}

impl SlotBuffer {
    fn host(&self) -> &Arc<Buffer> {
        self.staging.as_ref().unwrap_or(&self.device)
    }
}

/// Else a copy would be left out.
const NOT_STAGED: &str = "only what is staged is copied elsewhere instead";

/// A part of a Download buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub buffer: BufferId,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

pub(crate) struct Slot {
    buffers: Vec<SlotBuffer>,
    commands: Commands,
    descriptors: Descriptors,
    pub timestamps: Option<Timestamps>,
    stopwatch: Option<Stopwatch>,
    timeline: vk::Semaphore,
    /// The value that the timeline has once all submissions so far have finished.
    value: u64,
    /// All submissions are known to have finished.
    settled: bool,
    memory: Arc<Memory>,
}

impl Slot {
    pub fn new(memory: &Arc<Memory>) -> Result<Self, DeviceError> {
        let device = &memory.device;
        let mut slot = Self {
            buffers: Vec::new(),
            commands: Commands::null(),
            descriptors: Descriptors::new(),
            timestamps: None,
            stopwatch: None,
            timeline: create_timeline(device)?,
            value: 0,
            settled: true,
            memory: Arc::clone(memory),
        };
        slot.commands.create(device)?;
        Ok(slot)
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    pub fn device(&self) -> &Arc<Device> {
        &self.memory.device
    }

    /// Whether it has buffers for this, but too small ones.
    pub fn is_too_small(&self, buffers: &[BufferDesc]) -> bool {
        self.is_for(buffers) && !self.holds(buffers)
    }

    fn is_for(&self, buffers: &[BufferDesc]) -> bool {
        self.buffers.len() == buffers.len()
            && self.buffers.iter().zip(buffers).all(|(old, new)| old.role == new.role)
    }

    fn holds(&self, buffers: &[BufferDesc]) -> bool {
        self.buffers.iter().zip(buffers).all(|(old, new)| old.device.size >= new.size)
    }

    /// Makes the buffers at least as large as described. Keeps those that are. The slot is idle.
    pub fn reserve(&mut self, buffers: &[BufferDesc]) -> Result<(), DeviceError> {
        self.assert_settled();
        if self.is_for(buffers) && self.holds(buffers) {
            return Ok(());
        }
        // The old ones go first, so that the two never exist together.
        self.buffers.clear();
        for desc in buffers {
            let (device, staging) = self.memory.buffer(desc.name, desc.size.max(4), desc.role)?;
            let (device, staging) = (Arc::new(device), staging.map(Arc::new));
            self.buffers.push(SlotBuffer { role: desc.role, device, staging });
        }
        Ok(())
    }

    /// Bytes of its buffers that the host sees.
    pub fn host_bytes(&self) -> u64 {
        let seen = self.buffers.iter().filter(|buffer| buffer.role != Role::Device);
        seen.map(|buffer| buffer.host().size).sum()
    }

    /// Gives its buffers back. The slot is idle.
    pub fn release(&mut self) {
        self.assert_settled();
        self.buffers.clear();
    }

    /// Whether the next runs tell their [`spans`](Self::spans). The slot is idle.
    pub fn measure(&mut self, spans: bool) -> Result<(), DeviceError> {
        self.assert_settled();
        if spans != self.stopwatch.is_some() {
            self.stopwatch = if spans { Some(Stopwatch::new(self.device())?) } else { None };
        }
        Ok(())
    }

    /// What the device did when since [`run`](Self::run); nothing unless it is [measured](Self::measure). All of it has
    /// finished.
    pub fn spans(&self) -> Result<Vec<Span>, DeviceError> {
        self.assert_settled();
        self.stopwatch.as_ref().map_or(Ok(Vec::new()), Stopwatch::spans)
    }

    /// An Upload buffer, to be filled before a run. The slot is idle.
    pub fn upload(&mut self, buffer: BufferId) -> Window {
        self.window(buffer, &[Role::Upload])
    }

    /// A Download or Report buffer, to be read after a run has finished.
    pub fn download(&mut self, buffer: BufferId) -> Window {
        self.window(buffer, &[Role::Download, Role::Report])
    }

    fn window(&mut self, buffer: BufferId, roles: &[Role]) -> Window {
        self.assert_settled();
        let slot = &mut self.buffers[buffer.0 as usize];
        let fits = roles.contains(&slot.role);
        assert!(fits, "the host fills Upload buffers, and reads Download and Report buffers");
        // SAFETY: nothing that the slot has submitted is unfinished, and no other slot uses its buffers; `submit` refuses
        // to start anything while a window is alive.
        unsafe { Window::whole(slot.staging.as_mut().unwrap_or(&mut slot.device)) }
    }

    /// Whether no window of a buffer is alive.
    pub fn is_sole(&self) -> bool {
        self.buffers.iter().all(|slot| window::is_sole(slot.host()))
    }

    fn assert_settled(&self) {
        assert!(self.settled, "the device may be using the slot");
    }

    /// Starts a recording: its Upload buffers go up, its commands run, and those Download buffers come down that
    /// `eager` names, as `transfers` say where they name a buffer, which stay until it has finished. The slot is idle and its
    /// buffers have been [reserved](Self::reserve).
    pub fn run(
        &mut self,
        pipelines: &mut Pipelines,
        recording: &Recording,
        eager: &[BufferId],
        transfers: &[&Transfers],
    ) -> Result<(), DeviceError> {
        self.assert_settled();
        let device = Arc::clone(self.device());
        self.commands.reset(&device)?;
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.restart();
        }
        let parts: Vec<Part> = eager
            .iter()
            .map(|&buffer| Part {
                buffer,
                offset: 0,
                size: recording.buffers[buffer.0 as usize].size,
            })
            .collect();
        let stages_up = self.stages(Role::Upload);
        let stages_down = self.stages(Role::Download) && !parts.is_empty();
        let (compute, upload, download) =
            (self.commands.compute, self.commands.upload, self.commands.download);

        if let (Some(transfer), true) = (device.transfer, stages_up) {
            begin(&device, upload)?;
            self.record_upload(upload, recording, transfers);
            self.submit(transfer.upload, upload)?;
        }
        begin(&device, compute)?;
        if device.transfer.is_none() && stages_up {
            self.record_upload(compute, recording, transfers);
            encoder::barrier(&device, compute);
        }
        self.record_kernels(compute, pipelines, recording)?;
        if device.transfer.is_none() && stages_down {
            encoder::barrier(&device, compute);
            self.record_download(compute, &parts, transfers, Piece::Download);
        }
        encoder::host_barrier(&device, compute, true);
        self.submit(device.compute.raw, compute)?;
        if let (Some(transfer), true) = (device.transfer, stages_down) {
            begin(&device, download)?;
            self.record_download(download, &parts, transfers, Piece::Download);
            encoder::host_barrier(&device, download, false);
            self.submit(transfer.download, download)?;
        }
        Ok(())
    }

    /// Runs a recording over what the buffers hold: nothing goes up or down. The slot is idle.
    pub fn rerun(
        &mut self,
        pipelines: &mut Pipelines,
        recording: &Recording,
    ) -> Result<(), DeviceError> {
        self.assert_settled();
        let device = Arc::clone(self.device());
        self.commands.reset(&device)?;
        let compute = self.commands.compute;
        begin(&device, compute)?;
        self.record_kernels(compute, pipelines, recording)?;
        encoder::host_barrier(&device, compute, true);
        self.submit(device.compute.raw, compute)
    }

    /// Brings parts of Download buffers down after a run has finished; at once if the host sees them anyway.
    pub fn fetch(&mut self, parts: &[Part]) -> Result<(), DeviceError> {
        self.assert_settled();
        if parts.iter().all(|part| self.buffers[part.buffer.0 as usize].staging.is_none()) {
            return Ok(());
        }
        let device = Arc::clone(self.device());
        let commands = self.commands.fetch;
        begin(&device, commands)?;
        self.record_download(commands, parts, &[], Piece::Fetch);
        encoder::host_barrier(&device, commands, false);
        let queue = device.transfer.map_or(device.compute.raw, |transfer| transfer.download);
        self.submit(queue, commands)
    }

    /// What the timeline shows once everything submitted has finished.
    pub fn target(&self) -> Target {
        (self.timeline, self.value)
    }

    /// Whether everything submitted has finished.
    pub fn finished(&mut self) -> Result<bool, DeviceError> {
        if !self.settled {
            self.settled = doorbell::reached(self.device(), self.timeline, self.value)?;
        }
        Ok(self.settled)
    }

    /// Waits until everything submitted has finished.
    pub fn wait(&mut self) -> Result<(), DeviceError> {
        let (semaphores, values) = ([self.timeline], [self.value]);
        let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
        // SAFETY: the semaphore belongs to the device and is a timeline.
        unsafe { self.device().raw.wait_semaphores(&wait, u64::MAX) }.named("vkWaitSemaphores")?;
        // On a lost device a wait may succeed although the work will never be done.
        if self.finished()? { Ok(()) } else { Err(DeviceError::Lost) }
    }

    /// Whether the host reaches a buffer through staging.
    pub fn is_staged(&self) -> bool {
        self.buffers.iter().any(|slot| slot.staging.is_some())
    }

    /// Whether the host reads the first buffer through its caches.
    pub fn is_cached(&self) -> bool {
        self.buffers.first().is_some_and(|slot| slot.host().is_cached())
    }

    fn stages(&self, role: Role) -> bool {
        self.buffers.iter().any(|slot| slot.role == role && slot.staging.is_some())
    }

    fn begin_piece(&mut self, commands: vk::CommandBuffer, piece: Piece) {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.begin(commands, piece);
        }
    }

    fn end_piece(&mut self, commands: vk::CommandBuffer, piece: Piece) {
        if let Some(stopwatch) = &mut self.stopwatch {
            stopwatch.end(commands, piece);
        }
    }

    fn record_upload(
        &mut self,
        commands: vk::CommandBuffer,
        recording: &Recording,
        transfers: &[&Transfers],
    ) {
        self.begin_piece(commands, Piece::Upload);
        for ((slot, desc), number) in self.buffers.iter().zip(&recording.buffers).zip(0..) {
            let transfers = transfer::of(transfers, BufferId(number));
            assert!(transfers.is_none() || slot.staging.is_some(), "{NOT_STAGED}");
            let (Role::Upload, Some(staging)) = (slot.role, &slot.staging) else { continue };
            let Some(transfers) = transfers else {
                encoder::copy(self.device(), commands, staging, 0, &slot.device, 0, desc.size);
                continue;
            };
            for &Transfer { offset, size, ref stretch } in transfers.copies() {
                let (device, to) = (self.device(), &slot.device);
                match stretch {
                    Some(stretch) => encoder::take_in(device, commands, stretch, to, offset),
                    None => encoder::copy(device, commands, staging, offset, to, offset, size),
                }
            }
        }
        self.end_piece(commands, Piece::Upload);
    }

    fn record_kernels(
        &mut self,
        commands: vk::CommandBuffer,
        pipelines: &mut Pipelines,
        recording: &Recording,
    ) -> Result<(), DeviceError> {
        self.begin_piece(commands, Piece::Compute);
        let buffers: Vec<&Buffer> = self.buffers.iter().map(|slot| &*slot.device).collect();
        encoder::encode(
            &self.memory.device,
            commands,
            recording,
            &buffers,
            pipelines,
            &mut self.descriptors,
            self.timestamps.as_mut(),
        )?;
        self.end_piece(commands, Piece::Compute);
        Ok(())
    }

    fn record_download(
        &mut self,
        commands: vk::CommandBuffer,
        parts: &[Part],
        transfers: &[&Transfers],
        piece: Piece,
    ) {
        self.begin_piece(commands, piece);
        for part in parts {
            let slot = &self.buffers[part.buffer.0 as usize];
            let transfers = transfer::of(transfers, part.buffer);
            assert!(transfers.is_none() || slot.staging.is_some(), "{NOT_STAGED}");
            let (Role::Download, Some(staging)) = (slot.role, &slot.staging) else { continue };
            let (device, from) = (self.device(), &slot.device);
            let Some(transfers) = transfers else {
                let &Part { offset, size, .. } = part;
                encoder::copy(device, commands, from, offset, staging, offset, size);
                continue;
            };
            for &Transfer { offset, size, ref stretch } in transfers.copies() {
                match stretch {
                    Some(stretch) => encoder::bring_out(device, commands, from, offset, stretch),
                    None => encoder::copy(device, commands, from, offset, staging, offset, size),
                }
            }
        }
        self.end_piece(commands, piece);
    }

    /// Ends a command buffer and submits it behind everything that the slot has submitted.
    ///
    /// # Panics
    /// If a window of a buffer is alive.
    fn submit(&mut self, queue: vk::Queue, commands: vk::CommandBuffer) -> Result<(), DeviceError> {
        assert!(self.is_sole(), "the host may be using the slot");
        let (after, done) = ([self.value], [self.value + 1]);
        let (semaphores, buffers) = ([self.timeline], [commands]);
        let stages = [vk::PipelineStageFlags::ALL_COMMANDS];
        let mut values = vk::TimelineSemaphoreSubmitInfo::default()
            .wait_semaphore_values(&after)
            .signal_semaphore_values(&done);
        let submit = vk::SubmitInfo::default()
            .wait_semaphores(&semaphores)
            .wait_dst_stage_mask(&stages)
            .command_buffers(&buffers)
            .signal_semaphores(&semaphores)
            .push_next(&mut values);
        // From here on the device may use the buffers, also after an error.
        self.settled = false;
        let device = &self.memory.device.raw;
        // SAFETY: the command buffer was being recorded; this thread is the queue's only user; what `submit` points
        // to outlives the call; buffers and pipelines outlive the work, since the slot's owner waits for it first.
        unsafe {
            device.end_command_buffer(commands).named("vkEndCommandBuffer")?;
            device.queue_submit(queue, &[submit], vk::Fence::null()).named("vkQueueSubmit")?;
        }
        self.value += 1;
        Ok(())
    }
}

/// A timeline semaphore at 0.
pub(crate) fn create_timeline(device: &Device) -> Result<vk::Semaphore, DeviceError> {
    let mut kind = vk::SemaphoreTypeCreateInfo::default()
        .semaphore_type(vk::SemaphoreType::TIMELINE)
        .initial_value(0);
    let create = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
    // SAFETY: a valid description; timeline semaphores are enabled.
    unsafe { device.raw.create_semaphore(&create, None) }.named("vkCreateSemaphore")
}

impl Drop for Slot {
    fn drop(&mut self) {
        let device = Arc::clone(self.device());
        // After a failure work may still be in flight; waiting for none costs nothing.
        if !matches!(self.finished(), Ok(true)) {
            device.settle();
        }
        self.stopwatch = None;
        self.descriptors.destroy(&device);
        self.commands.destroy(&device);
        // SAFETY: it belongs to the device, which has finished with it; what waited for it is the slot's owner.
        unsafe { device.raw.destroy_semaphore(self.timeline, None) };
    }
}
