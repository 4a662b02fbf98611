//! Ctrl-C: cancels the work, and makes sure that no partial output stays even where the work hangs in a system call.

use std::{
    fs,
    path::PathBuf,
    process,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use ranvil::CancelToken;

use crate::report::INTERRUPTED;

/// How long the work may take to notice the cancellation. A read from a silent pipe never does.
const GRACE: Duration = Duration::from_millis(500);

/// Shared by the handler and the run.
#[derive(Clone, Default)]
pub struct Interrupt {
    token: CancelToken,
    partial: Arc<Mutex<Option<PathBuf>>>,
}

/// The name of the temporary file that exists now. While it is locked, the handler does not end the process.
pub type Partial<'a> = MutexGuard<'a, Option<PathBuf>>;

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

    pub fn partial(&self) -> Partial<'_> {
        self.partial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if Ctrl-C was pressed.
    pub fn check(&self) -> ranvil::Result<()> {
        if self.token.is_cancelled() { Err(ranvil::Error::Cancelled) } else { Ok(()) }
    }

    /// Runs on the handler's own thread. Normally the run ends the process within the grace time.
    fn on_signal(&self) {
        self.token.cancel();
        thread::sleep(GRACE);
        let partial = self.partial();
        if let Some(path) = partial.as_deref() {
            let _ = fs::remove_file(path);
        }
        process::exit(INTERRUPTED.into());
    }
}
