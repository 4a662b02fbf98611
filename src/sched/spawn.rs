//! How threads are started: free ones, or those of a scope, which may borrow what outlives it.

use std::{
    io,
    sync::Arc,
    thread::{Builder, Scope, ScopedJoinHandle, ThreadId},
};

use super::kept::{Kept, THREADS};

type Body<'a> = Box<dyn FnOnce() + Send + 'a>;
type SpawnFn<'a> = dyn Fn(String, Body<'a>) -> io::Result<Handle<'a>> + Send + Sync + 'a;

/// Starts threads whose work may borrow what lives as long as `'a`.
#[derive(Clone)]
pub(crate) struct Spawner<'a>(Arc<SpawnFn<'a>>);

impl Spawner<'static> {
    /// Threads that belong to nobody but who joins them, and then wait for others' work.
    pub fn free() -> Self {
        Self(Arc::new(|name, body| THREADS.start(name, body).map(Handle::Free)))
    }
}

impl<'a> Spawner<'a> {
    /// Threads of a scope.
    pub fn scoped<'env>(scope: &'a Scope<'a, 'env>) -> Self {
        Self(Arc::new(move |name, body| {
            Builder::new().name(name).spawn_scoped(scope, body).map(Handle::Scoped)
        }))
    }

    /// Has a thread do something.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn spawn(&self, name: String, body: impl FnOnce() + Send + 'a) -> io::Result<Handle<'a>> {
        (self.0)(name, Box::new(body))
    }
}

/// A thread that works.
pub(crate) enum Handle<'a> {
    Free(Kept),
    Scoped(ScopedJoinHandle<'a, ()>),
}

impl Handle<'_> {
    pub fn id(&self) -> ThreadId {
        match self {
            Self::Free(thread) => thread.thread,
            Self::Scoped(thread) => thread.thread().id(),
        }
    }

    /// Waits for the end of its work. A panic has been printed and harms nobody else.
    pub fn join(self) {
        match self {
            Self::Free(thread) => thread.join(),
            Self::Scoped(thread) => drop(thread.join()),
        }
    }
}
