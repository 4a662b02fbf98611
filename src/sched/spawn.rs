//! How threads are started: free ones, or those of a scope, which may borrow what outlives it.

use std::{
    io,
    sync::Arc,
    thread::{Builder, JoinHandle, Scope, ScopedJoinHandle, ThreadId},
};

type Body<'a> = Box<dyn FnOnce() + Send + 'a>;
type SpawnFn<'a> = dyn Fn(Builder, Body<'a>) -> io::Result<Handle<'a>> + Send + Sync + 'a;

/// Starts threads whose work may borrow what lives as long as `'a`.
#[derive(Clone)]
pub(crate) struct Spawner<'a>(Arc<SpawnFn<'a>>);

impl Spawner<'static> {
    /// Threads that belong to nobody but who joins them.
    pub fn free() -> Self {
        Self(Arc::new(|builder, body| builder.spawn(body).map(Handle::Free)))
    }
}

impl<'a> Spawner<'a> {
    /// Threads of a scope.
    pub fn scoped<'env>(scope: &'a Scope<'a, 'env>) -> Self {
        Self(Arc::new(move |builder, body| builder.spawn_scoped(scope, body).map(Handle::Scoped)))
    }

    /// Starts a thread.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn spawn(&self, name: String, body: impl FnOnce() + Send + 'a) -> io::Result<Handle<'a>> {
        (self.0)(Builder::new().name(name), Box::new(body))
    }
}

/// A thread that runs.
pub(crate) enum Handle<'a> {
    Free(JoinHandle<()>),
    Scoped(ScopedJoinHandle<'a, ()>),
}

impl Handle<'_> {
    pub fn id(&self) -> ThreadId {
        match self {
            Self::Free(thread) => thread.thread().id(),
            Self::Scoped(thread) => thread.thread().id(),
        }
    }

    /// Waits for its end. A panic has been printed and harms nobody else.
    pub fn join(self) {
        let _ = match self {
            Self::Free(thread) => thread.join(),
            Self::Scoped(thread) => thread.join(),
        };
    }
}
