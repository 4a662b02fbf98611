//! Threads between runs. A thread whose work has ended waits a while for other work under the same name, as starting one
//! takes as long as coding a small block, and its allocator's memory is cold.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread::{self, Builder, JoinHandle, ThreadId},
    time::Duration,
};

/// Threads that wait; others end at once.
const MOST: usize = 64;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// A thread's own handle, as soon as it is known.
type Own = Arc<Mutex<Option<JoinHandle<()>>>>;

/// Work for a thread.
pub(super) type Body = Box<dyn FnOnce() + Send>;

/// Those of the process.
pub(super) static THREADS: Threads = Threads::new(PATIENCE);

/// Threads that wait.
pub(super) struct Threads {
    /// How long.
    patience: Duration,
    /// The latest last: its caches are the warmest.
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    name: String,
    thread: ThreadId,
    /// A child of `fork` inherits this list, but not the threads.
    process: u32,
    inbox: mpsc::Sender<Work>,
    handle: Own,
}

struct Work {
    body: Body,
    /// Is dropped when the work has ended.
    ended: mpsc::Sender<()>,
}

/// A thread that works.
pub(crate) struct Kept {
    pub thread: ThreadId,
    ended: mpsc::Receiver<()>,
}

impl Kept {
    /// Waits for the end of the work. A panic has been printed and harms nobody else.
    pub fn join(self) {
        let _ = self.ended.recv();
    }
}

impl Threads {
    pub const fn new(patience: Duration) -> Self {
        Self { patience, waiting: Mutex::new(Vec::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a thread of this name do the work: one that waits, or a new one.
    ///
    /// # Errors
    /// The system refuses a new one.
    pub fn start(&'static self, name: String, body: Body) -> io::Result<Kept> {
        let (ended, end) = mpsc::channel();
        let mut work = Work { body, ended };
        while let Some(Waiting { thread, inbox, .. }) = self.take(&name) {
            match inbox.send(work) {
                Ok(()) => return Ok(Kept { thread, ended: end }),
                Err(mpsc::SendError(refused)) => work = refused,
            }
        }
        let handle = Own::default();
        let (own_name, own_handle) = (name.clone(), Arc::clone(&handle));
        let serve = move || self.serve(&own_name, &own_handle, work);
        let started = Builder::new().name(name).spawn(serve)?;
        let thread = started.thread().id();
        *handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(Kept { thread, ended: end })
    }

    fn take(&self, name: &str) -> Option<Waiting> {
        let (mut waiting, process) = (self.lock(), process::id());
        waiting.retain(|thread| thread.process == process);
        let place = waiting.iter().rposition(|thread| thread.name == name)?;
        Some(waiting.remove(place))
    }

    /// A thread's life.
    fn serve(&self, name: &str, handle: &Own, mut work: Work) {
        loop {
            let Work { body, ended } = work;
            let _ = catch_unwind(AssertUnwindSafe(body));
            let inbox = self.line_up(name, handle);
            drop(ended); // Whoever waits for it may well need a thread next.
            let Some(next) = inbox.and_then(|inbox| self.wait(&inbox)) else { return };
            work = next;
        }
    }

    /// Joins those that wait, unless they are too many.
    fn line_up(&self, name: &str, handle: &Own) -> Option<mpsc::Receiver<Work>> {
        let mut waiting = self.lock();
        (waiting.len() < MOST).then(|| {
            let (sender, inbox) = mpsc::channel();
            waiting.push(Waiting {
                name: name.to_owned(),
                thread: thread::current().id(),
                process: process::id(),
                inbox: sender,
                handle: Arc::clone(handle),
            });
            inbox
        })
    }

    /// `None` if nothing came, or those that wait were [released](Self::release).
    fn wait(&self, inbox: &mpsc::Receiver<Work>) -> Option<Work> {
        inbox.recv_timeout(self.patience).ok().or_else(|| {
            let own = thread::current().id();
            self.lock().retain(|thread| thread.thread != own);
            // Whoever took it from the list just before sends, or has sent.
            inbox.recv().ok()
        })
    }

    /// Ends those that wait, and waits for that: what graphics drivers keep for each thread goes with it, which had better not
    /// happen while the process ends.
    pub fn release(&self) {
        let all = std::mem::take(&mut *self.lock());
        for Waiting { inbox, handle, process, .. } in all {
            drop(inbox);
            let handle = handle.lock().unwrap_or_else(PoisonError::into_inner).take();
            let there = handle.filter(|_| process == process::id());
            there.map(JoinHandle::join);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    /// Threads of a test's own, which wait for as long as it takes.
    fn threads() -> &'static Threads {
        patient(Duration::from_secs(3600))
    }

    fn patient(patience: Duration) -> &'static Threads {
        Box::leak(Box::new(Threads::new(patience)))
    }

    /// Does it on a thread of this name, and says on which.
    fn run(
        threads: &'static Threads,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> ThreadId {
        let thread = threads.start(name.to_owned(), Box::new(body)).unwrap();
        let id = thread.thread;
        thread.join();
        id
    }

    #[test]
    fn work_of_the_same_name_is_done_by_the_same_thread() {
        let threads = threads();
        let own = |name: &'static str| {
            run(threads, name, move || assert_eq!(thread::current().name(), Some(name)))
        };
        let first = own("a");
        assert_ne!(own("b"), first);
        assert_eq!([own("a"), own("a")], [first; 2]);
        threads.release();
        assert_ne!(own("a"), first);
    }

    #[test]
    fn a_thread_that_is_at_work_gets_nothing_else() {
        let threads = threads();
        let (release, released) = mpsc::channel::<()>();
        let busy = move || assert!(released.recv().is_err(), "it is released by dropping");
        let busy = threads.start("a".to_owned(), Box::new(busy)).unwrap();
        assert_ne!(run(threads, "a", || {}), busy.thread);
        drop(release);
        busy.join();
    }

    #[test]
    fn a_thread_survives_a_panic() {
        let threads = threads();
        let first = run(threads, "a", || panic!("and that is no harm"));
        assert_eq!(run(threads, "a", || {}), first);
    }

    #[test]
    fn what_the_work_holds_is_gone_when_it_is_joined() {
        let (threads, held) = (threads(), Arc::new(()));
        for _ in 0..100 {
            let own = Arc::clone(&held);
            run(threads, "a", move || drop(own));
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    #[test]
    fn no_more_wait_than_may() {
        let (threads, barrier) = (threads(), Arc::new(Barrier::new(MOST + 3)));
        let works = (0..MOST + 3).map(|_| {
            let barrier = Arc::clone(&barrier);
            let meet = move || {
                barrier.wait();
            };
            threads.start("a".to_owned(), Box::new(meet)).unwrap()
        });
        works.collect::<Vec<_>>().into_iter().for_each(Kept::join);
        assert_eq!(threads.lock().len(), MOST);
        threads.release();
    }

    #[test]
    fn threads_of_another_process_are_not_waited_for() {
        let threads = threads();
        let (inbox, unread) = mpsc::channel();
        let (name, thread, handle) = ("a".to_owned(), thread::current().id(), Own::default());
        threads.lock().push(Waiting { name, thread, process: process::id() ^ 1, inbox, handle });
        assert_ne!(run(threads, "a", || {}), thread);
        assert!(unread.try_recv().is_err());
    }

    #[test]
    fn a_thread_does_not_wait_for_ever() {
        let threads = patient(Duration::from_millis(1));
        let first = run(threads, "a", || {});
        while !threads.lock().is_empty() {
            thread::yield_now();
        }
        assert_ne!(run(threads, "a", || {}), first);
    }

    #[test]
    fn a_thread_that_has_ended_is_replaced() {
        let threads = threads();
        let (inbox, gone) = mpsc::channel();
        drop(gone);
        let (name, thread, handle) = ("a".to_owned(), thread::current().id(), Own::default());
        threads.lock().push(Waiting { name, thread, process: process::id(), inbox, handle });
        assert_ne!(run(threads, "a", || {}), thread);
    }
}
