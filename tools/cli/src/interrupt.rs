//! Ctrl-C: cancels the work, and makes sure that no partial output stays even where the work hangs in a system call.

use std::{
    fs, io,
    path::PathBuf,
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use ranvil::CancelToken;
use tempfile::NamedTempFile;

use crate::report::INTERRUPTED;

/// How long the work may take to notice the cancellation. A read from a silent pipe never does.
const GRACE: Duration = Duration::from_millis(500);

/// How long the last step may take: it may write to a pipe that nobody reads.
const LAST_STEP: Duration = Duration::from_secs(5);

/// Shared by the handler and the run.
#[derive(Clone, Default)]
pub struct Interrupt {
    token: CancelToken,
    /// The temporary files that exist now. While they are locked, the handler does not end the process.
    unfinished: Arc<Mutex<Vec<PathBuf>>>,
    /// What is to be done before the handler ends the process.
    last: Arc<Mutex<Option<LastStep>>>,
}

type LastStep = Box<dyn FnOnce() + Send>;

/// A temporary file that the handler removes, until this is dropped.
pub struct Unfinished {
    interrupt: Interrupt,
    path: PathBuf,
}

impl Interrupt {
    /// Handles Ctrl-C, and on Unix SIGTERM and SIGHUP, from here on.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn install() -> Result<Self> {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        ctrlc::set_handler(move || handler.on_signal()).context("cannot handle Ctrl-C")?;
        #[cfg(unix)]
        {
            // By default SIGXFSZ kills the process; handled, the write fails with EFBIG instead.
            let ignored = Arc::new(std::sync::atomic::AtomicBool::new(false));
            signal_hook::flag::register(signal_hook::consts::SIGXFSZ, ignored)
                .context("cannot handle SIGXFSZ")?;
        }
        Ok(interrupt)
    }

    /// The token that the library's operations hold.
    pub fn token(&self) -> CancelToken {
        self.token.clone()
    }

    /// Creates a temporary file that the handler knows from the first moment.
    pub fn create(
        &self,
        create: impl FnOnce() -> io::Result<NamedTempFile>,
    ) -> io::Result<(NamedTempFile, Unfinished)> {
        let mut unfinished = self.unfinished();
        let file = create()?;
        let path = file.path().to_owned();
        unfinished.push(path.clone());
        Ok((file, Unfinished { interrupt: self.clone(), path }))
    }

    /// Has the handler do this before it ends a process that does not end by itself.
    pub fn before_exit(&self, step: impl FnOnce() + Send + 'static) {
        *self.last() = Some(Box::new(step));
    }

    fn last(&self) -> MutexGuard<'_, Option<LastStep>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unfinished(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if Ctrl-C was pressed.
    pub fn check(&self) -> ranvil::Result<()> {
        if self.token.is_cancelled() { Err(ranvil::Error::Cancelled) } else { Ok(()) }
    }

    /// Runs on the handler's own thread. Normally the run ends the process within the grace time.
    fn on_signal(&self) {
        self.token.cancel();
        thread::sleep(GRACE);
        if let Some(step) = self.last().take() {
            let (done, wait) = mpsc::channel();
            // Where the system refuses a thread, it is left out: nothing else bounds its time.
            let _ = thread::Builder::new().spawn(move || {
                step();
                let _ = done.send(()); // The process may be over.
            });
            let _ = wait.recv_timeout(LAST_STEP);
        }
        let unfinished = self.unfinished();
        for path in unfinished.iter() {
            let _ = fs::remove_file(path);
        }
        process::exit(INTERRUPTED.into());
    }
}

impl Unfinished {
    /// Does the last step. The handler does not come in between.
    pub fn end<T>(self, step: impl FnOnce() -> T) -> T {
        let mut unfinished = self.interrupt.unfinished();
        let done = step();
        unfinished.retain(|path| *path != self.path);
        done
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.interrupt.unfinished().retain(|path| *path != self.path);
    }
}
