//! Typed errors. Every failure names the block and the byte offset where it was found, where there is one.

use std::io;

use crate::format::PipelineId;

/// What a fallible operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading the source or writing the target failed.
    #[error(transparent)]
    Io(io::Error),
    /// The input does not begin with a ranvil frame.
    #[error(
        "not a ranvil frame: byte {offset} holds {found:02x?} where the magic number should be"
    )]
    NotAFrame {
        /// Position of the magic number, in bytes from the start of the input.
        offset: u64,
        /// The bytes found there.
        found: [u8; 4],
    },
    /// The frame needs a version of the format that this build does not read.
    #[error(
        "format version {0} is not supported by this build (it reads version 1): update ranvil"
    )]
    UnsupportedVersion(u8),
    /// The frame was written by a pipeline that this build does not have.
    #[error("pipeline {0} is not supported by this build: update ranvil")]
    UnsupportedPipeline(PipelineId),
    /// A structure of the frame is damaged.
    #[error("corrupt frame at byte {offset}: {reason}")]
    CorruptFrame {
        /// Position of the damaged structure, in bytes from the start of the input.
        offset: u64,
        /// What is wrong with it.
        reason: FrameFault,
    },
    /// A block is damaged.
    #[error("corrupt block {block} at byte {offset}: {reason}")]
    CorruptBlock {
        /// Number of the block in its frame, from 0.
        block: u64,
        /// Position of the block's header, in bytes from the start of the input.
        offset: u64,
        /// What is wrong with it.
        reason: BlockFault,
    },
    /// The input ends inside a frame.
    #[error("truncated input: it ends at byte {offset}, inside {inside}")]
    Truncated {
        /// Length of the input in bytes.
        offset: u64,
        /// The structure that is cut off.
        inside: &'static str,
    },
    /// An option is outside what is supported.
    #[error("invalid option {name}: {reason}")]
    InvalidOption {
        /// Name of the option.
        name: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The memory limit does not hold even one block in flight.
    #[error(
        "{needed} bytes are needed but the memory limit is {limit} bytes: raise the limit or change the block size"
    )]
    MemoryLimit {
        /// Bytes that the operation needs.
        needed: u64,
        /// Bytes that the options allow.
        limit: u64,
    },
    /// The system has no memory for the result.
    #[error("no memory for a result of {needed} bytes: decompress it as a stream")]
    OutOfMemory {
        /// Size of the result so far.
        needed: u64,
    },
    /// The raw content is larger than the options allow.
    #[error(
        "the decompressed content exceeds the output limit of {limit} bytes: raise it if you trust the source"
    )]
    OutputLimit {
        /// The limit in bytes of raw content.
        limit: u64,
    },
    /// The chosen device does not exist or cannot run the kernels.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The operation was cancelled through its [`CancelToken`](crate::CancelToken).
    #[error("cancelled")]
    Cancelled,
    /// A worker panicked; the message is the panic's.
    #[error("internal error: {0}; please report it")]
    Internal(String),
}

/// What can be wrong with a frame's own structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The frame header's checksum does not match.
    #[error("the frame header's checksum does not match")]
    HeaderChecksum,
    /// A flag or a reserved byte that version 1 does not define is set.
    #[error("a reserved flag or byte of the frame header is set")]
    Reserved,
    /// The block size exponent is out of range.
    #[error("the block size is out of range")]
    BlockSize,
    /// The segment size exponent is out of range.
    #[error("the segment size is out of range")]
    SegmentSize,
    /// The content is longer or shorter than the header says.
    #[error("the content's length is not what the frame says")]
    ContentSize,
    /// The end mark's checksum over all block headers does not match.
    #[error("the checksum over all block headers does not match")]
    Seal,
    /// The end mark or the footer is malformed.
    #[error("the end mark or the footer is malformed")]
    End,
    /// The index does not match the blocks or its checksum.
    #[error("the index does not match")]
    Index,
}

/// What can be wrong with a block. The discriminant is the status word that kernels report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[repr(u32)]
pub enum BlockFault {
    /// The block header's check bits do not match.
    #[error("the block header's check bits do not match")]
    HeaderCheck = 1,
    /// The kind of block is unknown.
    #[error("unknown kind of block")]
    Kind = 2,
    /// The raw or coded size is out of range.
    #[error("a size in the block header is out of range")]
    Size = 3,
    /// The coding table is malformed.
    #[error("the coding table is malformed")]
    Table = 4,
    /// The lengths of the segments do not add up to the coded size.
    #[error("the segment lengths do not match the coded size")]
    SegmentSizes = 5,
    /// A segment's words were not used up exactly, or what precedes them cannot be: its states, the padding behind them, its gap.
    #[error(
        "a segment's words are too few or too many, or the states, padding or gap before them are malformed"
    )]
    Stream = 6,
    /// A lane's final state is impossible.
    #[error("a lane's final state is impossible")]
    FinalState = 7,
    /// The CRC-32C of the decoded bytes does not match.
    #[error("the checksum of the decoded bytes does not match")]
    Checksum = 8,
    /// Padding is not zero.
    #[error("the padding is not zero")]
    Padding = 9,
    /// The streams of an LZ block are not used up exactly by its sequences, or these do not add up to the raw size.
    #[error("the sequences do not match their streams or the raw size")]
    Sequences = 10,
    /// A match of an LZ block begins before the block.
    #[error("a match begins before the block")]
    Match = 11,
    /// The counts or the directory of an LZ block are inconsistent.
    #[error("the counts or the directory of the block's streams are inconsistent")]
    Directory = 12,
}

impl BlockFault {
    /// The fault that a kernel's status word stands for; `None` for 0 (no fault) and unknown words.
    pub fn from_status(word: u32) -> Option<Self> {
        use BlockFault::*;
        [
            HeaderCheck,
            Kind,
            Size,
            Table,
            SegmentSizes,
            Stream,
            FinalState,
            Checksum,
            Padding,
            Sequences,
            Match,
            Directory,
        ]
        .into_iter()
        .find(|&fault| fault as u32 == word)
    }
}

/// Why a Vulkan device cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no Vulkan loader on this machine.
    #[error(
        "no Vulkan loader found ({0}): install your GPU's driver (Debian: libvulkan1), or use --device cpu"
    )]
    NoLoader(String),
    /// There is a loader, but no driver that works.
    #[error(
        "no Vulkan driver found: install your GPU's driver (Debian: mesa-vulkan-drivers), or use --device cpu"
    )]
    NoDriver,
    /// No device matches the selector.
    #[error("no Vulkan device matches {selector:?}; {available}")]
    NotFound {
        /// The selector as the user wrote it.
        selector: String,
        /// The devices that exist, readable.
        available: String,
    },
    /// More than one device matches the selector.
    #[error("{selector:?} matches more than one Vulkan device; {available}")]
    Ambiguous {
        /// The selector as the user wrote it.
        selector: String,
        /// The devices that match, readable.
        available: String,
    },
    /// The selector could not be parsed.
    #[error("{0:?} is no device: use cpu, auto, an index, name=…, uuid=… or pci=…")]
    BadSelector(String),
    /// The device lacks something that the kernels need.
    #[error("{device} lacks {missing}")]
    Unsupported {
        /// Name of the device.
        device: String,
        /// The feature, extension or limit that is missing.
        missing: String,
    },
    /// A Vulkan call failed.
    #[error("{call} failed: {result}")]
    Vulkan {
        /// The Vulkan function.
        call: &'static str,
        /// The `VkResult`, readable.
        result: String,
    },
    /// The Khronos validation layer was asked for (`RANVIL_VALIDATION`) and is missing, or it complained.
    #[error("Vulkan validation: {0}")]
    Validation(String),
    /// The device was lost while it worked.
    #[error("the Vulkan device was lost")]
    Lost,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io(_) => {
                let Error::Io(inner) = error else { unreachable!("matched above") };
                return inner;
            }
            Error::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Error::NotAFrame { .. }
            | Error::CorruptFrame { .. }
            | Error::CorruptBlock { .. }
            | Error::OutputLimit { .. } => io::ErrorKind::InvalidData,
            Error::UnsupportedVersion(_) | Error::UnsupportedPipeline(_) => {
                io::ErrorKind::Unsupported
            }
            Error::InvalidOption { .. } => io::ErrorKind::InvalidInput,
            Error::MemoryLimit { .. } | Error::OutOfMemory { .. } => io::ErrorKind::OutOfMemory,
            // Not `Interrupted`: `io::copy` and others would try again for ever.
            Error::Device(_) | Error::Internal(_) | Error::Cancelled => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// The typed error inside an [`io::Error`] that a `Read` or `Write` adapter of this crate returned; any other
/// becomes [`Error::Io`]. So `?` loses nothing on the way from one to the other and back.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Error::Io)
    }
}

impl Error {
    /// The same as `From`, for `map_err`.
    pub fn from_io(error: io::Error) -> Self {
        error.into()
    }

    /// The same error once more, for an adapter that failed and is used again.
    pub(crate) fn again(&self) -> Self {
        use Error::*;
        match self {
            Io(error) => Io(io::Error::new(error.kind(), error.to_string())),
            NotAFrame { offset, found } => NotAFrame { offset: *offset, found: *found },
            UnsupportedVersion(version) => UnsupportedVersion(*version),
            UnsupportedPipeline(id) => UnsupportedPipeline(*id),
            CorruptFrame { offset, reason } => CorruptFrame { offset: *offset, reason: *reason },
            CorruptBlock { block, offset, reason } => {
                CorruptBlock { block: *block, offset: *offset, reason: *reason }
            }
            Truncated { offset, inside } => Truncated { offset: *offset, inside },
            InvalidOption { name, reason } => InvalidOption { name, reason: reason.clone() },
            MemoryLimit { needed, limit } => MemoryLimit { needed: *needed, limit: *limit },
            OutOfMemory { needed } => OutOfMemory { needed: *needed },
            OutputLimit { limit } => OutputLimit { limit: *limit },
            Device(error) => Device(error.clone()),
            Cancelled => Cancelled,
            Internal(message) => Internal(message.clone()),
        }
    }
}
