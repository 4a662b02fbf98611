//! Standard streams that were closed when the process began (`>&-` in a shell), or an output that is only for reading.
//!
//! Before `main`, Rust's standard library opens `/dev/null` in place of a closed one, lest a file get its number. From
//! then on it looks like what daemons put there on purpose: what is written would be lost without a word, and what is
//! read would be empty. It also takes what is written to an output that is only for reading as written. So they are looked at
//! earlier, where C's constructors run. Work that does not use them goes on.

use std::io;

/// Fails if standard input was closed.
pub fn check_stdin() -> io::Result<()> {
    check(0)
}

/// Fails if standard output was closed or only for reading.
pub fn check_stdout() -> io::Result<()> {
    check(1)
}

/// Fails if standard error was closed or only for reading.
pub fn check_stderr() -> io::Result<()> {
    check(2)
}

#[cfg(unix)]
fn check(stream: usize) -> io::Result<()> {
    match at_start::CLOSED[stream].load(std::sync::atomic::Ordering::Relaxed) {
        true => Err(io::Error::from_raw_os_error(libc::EBADF)),
        false => Ok(()),
    }
}

/// Elsewhere the standard library opens nothing.
#[cfg(not(unix))]
fn check(_: usize) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
#[allow(unsafe_code)]
mod at_start {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    /// Standard input, output and error.
    pub static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

    // SAFETY: the section is an array of pointers to functions of C, which the C library calls once, before `main` and on
    // the only thread. `look` is one; where it is given arguments, C's calling convention lets it leave them alone. It
    // needs nothing that the standard library sets up, and it does not panic.
    #[used]
    #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
    #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
    static CONSTRUCTOR: extern "C" fn() = look;

    extern "C" fn look() {
        for (stream, closed) in (0..).zip(&CLOSED) {
            // SAFETY: F_GETFL takes no argument and changes nothing; a number that is not open is what it may be asked about.
            let flags = unsafe { libc::fcntl(stream, libc::F_GETFL) };
            let unfit = stream >= 1 && flags & libc::O_ACCMODE == libc::O_RDONLY;
            closed.store(flags == -1 || unfit, Relaxed);
        }
    }
}
