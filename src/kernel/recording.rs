//! A sequence of kernels over named buffers, as plain data. The Vulkan layer turns it into a command buffer; the
//! twins replay it on the CPU.

/// A buffer of a [`Recording`], by its position in [`Recording::buffers`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BufferId(pub u32);

/// Where a buffer lives and who fills it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// Written by the host before the recording runs.
    Upload,
    /// Only kernels touch it.
    Device,
    /// Read by the host after the recording has run.
    Download,
    /// The same, of a few words a block that kernels write once and do not read: they write to the host's memory, and nothing has to be copied.
    Report,
}

/// A buffer's size and role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BufferDesc {
    /// A name for diagnostics and for tests that compare buffers.
    pub name: &'static str,
    /// Bytes; a multiple of 4.
    pub size: u64,
    /// Where it lives.
    pub role: Role,
}

/// A range of a buffer bound to a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The buffer.
    pub buffer: BufferId,
    /// First byte; a multiple of 256 (the largest alignment that Vulkan lets a device demand).
    pub offset: u64,
    /// Length in bytes.
    pub size: u64,
}

/// One step.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Runs a kernel over `groups` workgroups (at most 65,535).
    Dispatch {
        /// The kernel's name, a key into the generated table.
        kernel: &'static str,
        /// One binding for each of the kernel's storage buffers, in binding order.
        bindings: Vec<Binding>,
        /// Push constants.
        push: Vec<u8>,
        /// Specialisation constants by identifier, beyond those that the device layer sets itself. Kernels do the same
        /// without them, in more memory.
        spec: Vec<(u32, u32)>,
        /// For kernels that code segments: the most segments that a workgroup has work for, so that it is no larger
        /// than that.
        segments: Option<u32>,
        /// Workgroups in x.
        groups: u32,
    },
    /// Copies bytes from one buffer to another.
    Copy {
        /// Source.
        from: Binding,
        /// First byte of the target.
        to: (BufferId, u64),
    },
    /// Fills a range with a word.
    Fill {
        /// The range.
        range: Binding,
        /// The word.
        value: u32,
    },
}

/// Buffers and the steps over them. Steps run as if one after the other: the executor places the barriers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Recording {
    /// The buffers.
    pub buffers: Vec<BufferDesc>,
    /// The steps.
    pub commands: Vec<Command>,
}
