//! The limits that every kernel keeps, so that it runs on the least capable device that the library supports.

use rspirv::spirv::Capability;

use crate::{
    Error, Result,
    reflect::Facts,
    source::{Declared, Form},
};

/// `maxComputeWorkGroupInvocations` of SwiftShader.
const MAX_INVOCATIONS: u32 = 256;
/// The same of every device with subgroups of 32 or 64 that has the extensions of special variants.
const MAX_SPECIAL_INVOCATIONS: u32 = 1024;
/// `maxComputeSharedMemorySize` of SwiftShader and lavapipe.
const MAX_SHARED_BYTES: u32 = 32 << 10;

/// Checks the limits at the default specialisation.
pub fn check(place: &str, declared: &Declared, spirv: &[u32], facts: &Facts) -> Result<()> {
    let &Declared { form, storage16, int64, int16, int8, dot, khr_ballot, .. } = declared;
    let fail = |what: String| Err(Error(format!("{place}: {what}")));
    let version = spirv.get(1).copied().unwrap_or(0);
    if !(0x0001_0300..=0x0001_0500).contains(&version) {
        return fail(format!("SPIR-V version {version:#010x} is not 1.3 to 1.5"));
    }
    let invocations: u32 = facts.workgroup.iter().product();
    let most = if khr_ballot { MAX_SPECIAL_INVOCATIONS } else { MAX_INVOCATIONS };
    if invocations > most {
        return fail(format!("{invocations} invocations are more than {most}"));
    }
    if facts.shared_bytes > MAX_SHARED_BYTES {
        return fail(format!(
            "{} bytes of shared memory are more than {MAX_SHARED_BYTES}",
            facts.shared_bytes
        ));
    }
    if let Form::Subgroup(size) = form
        && (!invocations.is_multiple_of(size) || facts.workgroup[0] != invocations)
    {
        return fail(format!("{invocations} invocations are not whole subgroups of {size}"));
    }
    for &capability in &facts.capabilities {
        let allowed = match capability {
            Capability::Shader => true,
            Capability::GroupNonUniform | Capability::GroupNonUniformBallot => {
                matches!(form, Form::Subgroup(_))
            }
            Capability::StorageBuffer16BitAccess => storage16,
            Capability::Int64 => int64,
            Capability::Int16 => int16,
            Capability::Int8 => int8,
            Capability::DotProduct | Capability::DotProductInput4x8BitPacked => dot,
            Capability::SubgroupBallotKHR => khr_ballot,
            _ => false,
        };
        if !allowed {
            return fail(format!("the capability {capability:?} is not declared for this variant"));
        }
    }
    Ok(())
}
