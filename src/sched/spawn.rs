//! How work is begun: by itself, or in a scope, where it may borrow what outlives that.

use std::{io, sync::Arc};

use super::{
    kept::{Kept, THREADS},
    scope::Scope,
};

type Body<'a> = Box<dyn FnOnce() + Send + 'a>;
type SpawnFn<'a> = dyn Fn(String, Body<'a>) -> io::Result<Kept> + Send + Sync + 'a;

/// Has threads work that may borrow what lives as long as `'a`.
#[derive(Clone)]
pub(crate) struct Spawner<'a>(Arc<SpawnFn<'a>>);

impl Spawner<'static> {
    /// Work that belongs to nobody but who joins it.
    pub fn free() -> Self {
        Self(Arc::new(|name, body| THREADS.start(name, body)))
    }
}

impl<'a> Spawner<'a> {
    /// Work that ends before the scope does.
    pub fn scoped<'env>(scope: &'a Scope<'a, 'env>) -> Self {
        Self(Arc::new(move |name, body| scope.start(name, body)))
    }

    /// Has a thread do something.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn spawn(&self, name: String, body: impl FnOnce() + Send + 'a) -> io::Result<Kept> {
        (self.0)(name, Box::new(body))
    }
}
