//! SIGINT and SIGTERM ask for the end; a second one ends the process at once.
//!
//! The one place of the command with `unsafe`: the standard library cannot install a handler. The
//! handler counts and, the second time, leaves by `_exit`; both are async-signal-safe. Code that
//! waits for the end asks [`is_asked`] again and again. As process 1 of a container the handler is
//! what makes the kernel deliver the signals at all.

use std::sync::atomic::{AtomicU32, Ordering};

/// How often the end was asked for.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// Whether a signal has asked for the end since [`catch`].
pub(crate) fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed) > 0
}

/// Catches SIGINT and SIGTERM from now on, and lets a read of the terminal fail in the background
/// rather than stop the process.
#[cfg(unix)]
pub(crate) fn catch() {
    for (signal, action) in [
        (SIGINT, ask as *const () as usize),
        (SIGTERM, ask as *const () as usize),
        (SIGTTIN, SIG_IGN),
    ] {
        // SAFETY: `signal` is the C library's; the action is a function of the type that it wants,
        // which does only what is allowed in a handler, or SIG_IGN.
        unsafe { signal_c(signal, action) };
    }
}

/// There are no such signals here: the console's ctrl-C ends the process.
#[cfg(not(unix))]
pub(crate) fn catch() {}

#[cfg(unix)]
extern "C" fn ask(signal: i32) {
    if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
        // SAFETY: `_exit` is async-signal-safe and does not return.
        unsafe { exit_c(128 + signal) };
    }
}

#[cfg(unix)]
unsafe extern "C" {
    #[link_name = "signal"]
    fn signal_c(signal: i32, action: usize) -> usize;
    #[link_name = "_exit"]
    fn exit_c(code: i32) -> !;
}

#[cfg(unix)]
const SIGINT: i32 = 2;
#[cfg(unix)]
const SIGTERM: i32 = 15;
/// The same number on Linux, macOS and the BSDs.
#[cfg(unix)]
const SIGTTIN: i32 = 21;
/// `SIG_IGN`, on all of them.
#[cfg(unix)]
const SIG_IGN: usize = 1;
