//! Work for threads that wait which may borrow what outlives a scope, as in [`std::thread::scope`]. Threads of that one are
//! new each time and end with it: sixteen took 300 us to start and 500 to end (docs/DECISIONS.md, "What a run begins and ends with").
#![allow(unsafe_code)]

use std::{
    io,
    marker::PhantomData,
    mem::transmute,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::kept::{Body, Kept, Threads};

/// Where work may be begun that ends before `'scope` does.
pub(crate) struct Scope<'scope, 'env: 'scope> {
    threads: &'static Threads,
    works: Arc<Works>,
    /// Neither lifetime may be shortened or lengthened, as with the standard library's scopes.
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

/// How many works have not ended.
#[derive(Default)]
struct Works {
    count: Mutex<usize>,
    none: Condvar,
}

/// One of them.
struct Ticket(Arc<Works>);

/// Calls `f` with a scope, and returns when all work that was begun in it has ended and let go of what it held. Unlike the standard
/// library's it does not pass panics of the work on: the thread has printed them.
pub(super) fn scope<'env, T>(
    threads: &'static Threads,
    f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
) -> T {
    let works = Arc::new(Works::default());
    // Work may hold a reference to it: it has to be dropped behind the wait.
    let scope = Scope { threads, works: Arc::clone(&works), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    works.wait();
    result.unwrap_or_else(|panic| resume_unwind(panic))
}

impl<'scope> Scope<'scope, '_> {
    /// Has a thread of this name do the work.
    ///
    /// # Errors
    /// The system refuses a new one.
    pub fn start(
        &'scope self,
        name: String,
        body: Box<dyn FnOnce() + Send + 'scope>,
    ) -> io::Result<Kept> {
        let ticket = Ticket::of(&self.works);
        // SAFETY: only the lifetime changes. The body, and all that it holds, is gone before its ticket is, called or not, and
        // whether it panics or not (see below). Only `scope` makes a `Scope`, and it returns, or goes on unwinding, when there are no
        // tickets. What a body may borrow lives that long: as `f` takes a scope of any `'scope`, that is either what outlives
        // `'env`, and so that call, or the `Scope` itself, which is dropped behind the wait for tickets.
        let body = unsafe { transmute::<Box<dyn FnOnce() + Send + 'scope>, Body>(body) };
        let work = Ticketed { body, ticket };
        self.threads.start(name, Box::new(move || work.call()))
    }
}

/// Fields are dropped in this order.
struct Ticketed {
    body: Body,
    ticket: Ticket,
}

impl Ticketed {
    fn call(self) {
        let Self { body, ticket } = self;
        // Calling the body consumes it. A panic of it, which the thread catches, drops the ticket as well, behind it.
        let _ticket = ticket;
        body();
    }
}

impl Works {
    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there are none.
    fn wait(&self) {
        let some = |count: &mut usize| *count > 0;
        drop(self.none.wait_while(self.count(), some).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Ticket {
    fn of(works: &Arc<Works>) -> Self {
        *works.count() += 1;
        Self(Arc::clone(works))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut count = self.0.count();
        *count -= 1;
        if *count == 0 {
            self.0.none.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering::Relaxed},
            mpsc,
        },
        thread,
        time::Duration,
    };

    use super::*;

    fn in_scope<'env, T>(f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T) -> T {
        static OWN: Threads = Threads::new(Duration::from_secs(3600));
        scope(&OWN, f)
    }

    /// Counts when it is dropped, after a while.
    struct Slow<'a>(&'a AtomicUsize);

    impl Drop for Slow<'_> {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(20));
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn a_scope_ends_behind_its_work_and_what_that_holds() {
        let dropped = AtomicUsize::new(0);
        in_scope(|scope| {
            for number in 0..3 {
                let slow = Slow(&dropped);
                let body = move || {
                    let _slow = slow;
                    assert!(number != 1, "a panic is no harm");
                };
                scope.start(format!("scope-{number}"), Box::new(body)).unwrap();
            }
        });
        assert_eq!(dropped.load(Relaxed), 3);
    }

    #[test]
    fn a_scope_that_panics_waits_as_well() {
        let dropped = AtomicUsize::new(0);
        let (begun, begins) = mpsc::channel();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            in_scope(|scope| {
                let slow = Slow(&dropped);
                let body = move || {
                    begun.send(()).unwrap();
                    drop(slow);
                };
                scope.start("scope-a".to_owned(), Box::new(body)).unwrap();
                begins.recv().unwrap();
                panic!("in the scope");
            })
        }));
        assert_eq!(*panic.unwrap_err().downcast::<&str>().unwrap(), "in the scope");
        assert_eq!(dropped.load(Relaxed), 1);
    }

    #[test]
    fn work_may_begin_work_and_write_what_it_borrows() {
        let mut numbers = [0; 8];
        let result = in_scope(|scope| {
            for (index, number) in numbers.iter_mut().enumerate() {
                let again = move || {
                    let write = Box::new(move || *number = index + 1);
                    scope.start(format!("scope-b{index}"), write).unwrap();
                };
                scope.start(format!("scope-a{index}"), Box::new(again)).unwrap();
            }
            "result"
        });
        assert_eq!((result, numbers), ("result", [1, 2, 3, 4, 5, 6, 7, 8]));
    }

    #[test]
    fn the_next_scope_has_the_same_threads() {
        let id = || {
            in_scope(|scope| {
                let kept = scope.start("scope-c".to_owned(), Box::new(|| {})).unwrap();
                let id = kept.thread;
                kept.join(); // Then it has lined up.
                id
            })
        };
        let first = id();
        assert_eq!([id(), id()], [first; 2]);
    }

    #[test]
    fn a_body_that_is_not_called_is_gone_before_its_ticket() {
        let works = Arc::new(Works::default());
        struct Counts(Arc<Works>);
        impl Drop for Counts {
            fn drop(&mut self) {
                assert_eq!(*self.0.count(), 1);
            }
        }
        let counts = Counts(Arc::clone(&works));
        let ticket = Ticket::of(&works);
        drop(Ticketed { body: Box::new(move || drop(counts)), ticket });
        assert_eq!(*works.count(), 0);
    }
}
