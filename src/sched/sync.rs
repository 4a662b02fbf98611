//! What [`sleep`](super::sleep) is built of: the standard library. tools/models puts loom's types in its place.

pub(super) use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
