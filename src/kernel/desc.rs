//! Descriptors of the kernels. The table itself is generated from the SPIR-V by `build.rs`, so that host and
//! kernels cannot disagree.

/// A kernel and its compiled variants.
#[derive(Debug)]
pub struct KernelDesc {
    /// The name of its `.comp` file.
    pub name: &'static str,
    /// Storage buffers: descriptor set 0, binding `i` at position `i`.
    pub bindings: &'static [BindingDesc],
    /// Size of the push constants in bytes.
    pub push_bytes: u32,
    /// Specialisation constants.
    pub spec: &'static [SpecDesc],
    /// The same kernel for different devices. Every variant computes the same.
    pub variants: &'static [Variant],
}

/// A storage buffer of a kernel.
#[derive(Debug)]
pub struct BindingDesc {
    /// Its name in the kernel's source.
    pub name: &'static str,
    /// Its number.
    pub binding: u32,
    /// Whether the kernel may write to it.
    pub writes: bool,
}

/// A specialisation constant.
#[derive(Debug)]
pub struct SpecDesc {
    /// Its identifier.
    pub id: u32,
    /// Its name in the kernel's source; `WORKGROUP` is the workgroup size in x.
    pub name: &'static str,
}

/// One compiled form of a kernel.
#[derive(Debug)]
pub struct Variant {
    /// Its name, for diagnostics.
    pub name: &'static str,
    /// What it demands of subgroups.
    pub form: Form,
    /// Whether it needs the feature `storageBuffer16BitAccess`.
    pub storage16: bool,
    /// Segments that a group of its invocations works on at once.
    pub streams: u32,
    /// Workgroup size, where no specialisation constant changes it.
    pub workgroup: [u32; 3],
    /// Shared memory in bytes at the default specialisation.
    pub shared_bytes: u32,
    /// Names of the SPIR-V capabilities that it declares.
    pub capabilities: &'static [&'static str],
    /// The module.
    pub spirv: &'static [u32],
}

/// How a variant's invocations know of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Without subgroup operations; the only form of its kernel.
    Any,
    /// With ballots, in subgroups of exactly this size: 4, 8, 16, 32 or 64.
    Subgroup(u32),
    /// Without subgroup operations, for devices that lack them.
    Shared,
}

impl Variant {
    /// The size in x of workgroups that have work for so many segments, at most the variant's own: less than half of
    /// the invocations are without a segment. (A power of two, so that few pipelines serve all blocks.)
    pub fn workgroup_for(&self, segments: u32) -> u32 {
        // `kernels/shared/lanes.glsl`: the invocations over which the lanes of a segment are spread.
        let (group, subgroup) = match self.form {
            Form::Any => return self.workgroup[0],
            Form::Subgroup(size) => (size.min(32), size),
            Form::Shared => (4, 4),
        };
        let groups = segments.max(1).div_ceil(self.streams).next_power_of_two();
        (groups * group).max(subgroup).min(self.workgroup[0])
    }
}
