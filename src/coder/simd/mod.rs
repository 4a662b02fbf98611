//! Coders on tiles with vector instructions. A value of [`Avx2`] or [`Avx512`] is the proof that the processor has the
//! instructions: there is no other way to make one than to ask it.
#![allow(unsafe_code)]
// A loop over lanes or segments indexes several arrays at once.
#![allow(clippy::needless_range_loop)]

mod avx2;
mod avx512;

pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;
