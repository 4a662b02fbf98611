//! [`Model::split`] and [`Model::rebuild`] once more for each set of vector instructions: the same code, compiled for it.
#![allow(unsafe_code)]

use super::{Model, Sequence, lz77, lzseq, streams::*};
use crate::{error::BlockFault, options::Simd};

#[inline(always)]
fn split(model: Model, raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
    match model {
        Model::Lz77 => lz77::split(raw, sequences, streams),
        Model::LzSeq => lzseq::split(raw, sequences, streams),
    }
}

#[inline(always)]
fn rebuild(model: Model, streams: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
    match model {
        Model::Lz77 => lz77::rebuild(streams, raw),
        Model::LzSeq => lzseq::rebuild(streams, raw),
    }
}

/// A set of instructions. A value is the proof that the processor has it: there is no other way to make one than to ask
/// through [`new`](Self::new) or [`best`](Self::best) (or, in tests, `all`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Instructions(Set);

#[derive(Clone, Copy, Debug)]
enum Set {
    Baseline,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Instructions {
    /// The best that the processor has.
    pub fn best() -> Self {
        Self::new(Simd::Auto)
    }

    /// The best of those up to `most` that the processor has.
    pub fn new(most: Simd) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if matches!(most, Simd::Auto | Simd::Avx512) && has_avx512() {
                return Self(Set::Avx512);
            }
            if matches!(most, Simd::Auto | Simd::Avx512 | Simd::Avx2) && has_avx2() {
                return Self(Set::Avx2);
            }
        }
        let _ = most;
        Self(Set::Baseline)
    }

    /// All that the processor has.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self(Set::Baseline)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(has_avx2().then_some(Self(Set::Avx2)));
            all.extend(has_avx512().then_some(Self(Set::Avx512)));
        }
        all
    }

    pub fn split(self, model: Model, raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
        match self.0 {
            Set::Baseline => split(model, raw, sequences, streams),
            // SAFETY: the value is the proof.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::split_avx2(model, raw, sequences, streams) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { x86::split_avx512(model, raw, sequences, streams) },
        }
    }

    pub fn rebuild(
        self,
        model: Model,
        streams: View<'_>,
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        match self.0 {
            Set::Baseline => rebuild(model, streams, raw),
            // SAFETY: the value is the proof.
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => unsafe { x86::rebuild_avx2(model, streams, raw) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => unsafe { x86::rebuild_avx512(model, streams, raw) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    has_avx2()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512cd")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{BlockFault, Model, Sequence, Streams, View};

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    pub fn split_avx2(model: Model, raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
        super::split(model, raw, sequences, streams);
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
    pub fn split_avx512(model: Model, raw: &[u8], sequences: &[Sequence], streams: &mut Streams) {
        super::split(model, raw, sequences, streams);
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    pub fn rebuild_avx2(model: Model, streams: View<'_>, raw: &mut [u8]) -> Result<(), BlockFault> {
        super::rebuild(model, streams, raw)
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
    pub fn rebuild_avx512(
        model: Model,
        streams: View<'_>,
        raw: &mut [u8],
    ) -> Result<(), BlockFault> {
        super::rebuild(model, streams, raw)
    }
}
