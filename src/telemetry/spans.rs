//! Spans of the crate `tracing`: nothing without the feature of that name. They do not depend on a [`Telemetry`]
//! handle: an application's subscriber sees them.
//!
//! [`Telemetry`]: super::Telemetry

use super::Piece;

#[cfg(feature = "tracing")]
mod emitted {
    use tracing::{Span, debug_span, info_span};

    use super::Piece;

    /// The span of a run, under which those of its threads are.
    #[derive(Clone)]
    pub(crate) struct RunSpan(Span);

    impl RunSpan {
        pub fn new(what: &'static str) -> Self {
            Self(info_span!(target: "ranvil", "run", what))
        }

        /// Does a piece of work, on the present thread.
        pub fn piece<T>(&self, piece: &Piece, work: impl FnOnce() -> T) -> T {
            let Piece { name, block, bytes, .. } = *piece;
            let parent = &self.0;
            debug_span!(target: "ranvil", parent: parent, "stage", name, block, bytes)
                .in_scope(work)
        }

        /// A batch, as long as the value lives.
        pub fn batch(&self, device: &str, blocks: usize) -> BatchSpan {
            let parent = &self.0;
            BatchSpan(debug_span!(target: "ranvil", parent: parent, "batch", device, blocks))
        }
    }

    #[expect(dead_code, reason = "kept until the batch has arrived")]
    pub(crate) struct BatchSpan(Span);
}

#[cfg(not(feature = "tracing"))]
mod absent {
    use super::Piece;

    #[derive(Clone)]
    pub(crate) struct RunSpan;

    pub(crate) struct BatchSpan;

    impl RunSpan {
        #[inline]
        pub fn new(_what: &'static str) -> Self {
            Self
        }

        #[inline]
        pub fn piece<T>(&self, _piece: &Piece, work: impl FnOnce() -> T) -> T {
            work()
        }

        #[inline]
        pub fn batch(&self, _device: &str, _blocks: usize) -> BatchSpan {
            BatchSpan
        }
    }
}

#[cfg(not(feature = "tracing"))]
pub(crate) use absent::{BatchSpan, RunSpan};
#[cfg(feature = "tracing")]
pub(crate) use emitted::{BatchSpan, RunSpan};
