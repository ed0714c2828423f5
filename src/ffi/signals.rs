//! Signals are left to the host's threads: the threads that we make block them.
//!
//! A thread inherits the mask of the one that makes it, so a call that makes threads blocks while
//! it does, and restores the host's mask. Signals that a thread raises by its own fault, and the
//! profiler's, are not blocked.

/// Blocks signals on the calling thread until it is dropped.
#[derive(Debug)]
pub(super) struct SignalsBlocked {
    #[cfg(unix)]
    before: system::Set,
}

#[cfg(unix)]
mod system {
    use std::ffi::c_int;
    use std::ptr::null_mut;

    /// `sigset_t`: that of Linux is the largest of all systems.
    #[repr(C, align(8))]
    #[derive(Clone, Copy, Debug)]
    pub(super) struct Set([u64; 16]);

    unsafe extern "C" {
        fn sigfillset(set: *mut Set) -> c_int;
        fn sigdelset(set: *mut Set, signal: c_int) -> c_int;
        fn pthread_sigmask(how: c_int, set: *const Set, before: *mut Set) -> c_int;
    }

    const IS_LINUX: bool = cfg!(any(target_os = "linux", target_os = "android"));
    const SIG_SETMASK: c_int = if IS_LINUX { 2 } else { 3 };
    /// `SIGILL`, `SIGTRAP`, `SIGABRT`, `SIGFPE`, `SIGSEGV`, `SIGPROF`, `SIGBUS`, `SIGSYS`.
    const LEFT: [c_int; 8] =
        [4, 5, 6, 8, 11, 27, if IS_LINUX { 7 } else { 10 }, if IS_LINUX { 31 } else { 12 }];

    pub(super) fn block() -> Set {
        let mut all = Set([0; 16]);
        // SAFETY: room for the set.
        unsafe { sigfillset(&raw mut all) };
        for signal in LEFT {
            // SAFETY: a set that was filled.
            unsafe { sigdelset(&raw mut all, signal) };
        }
        let mut before = Set([0; 16]);
        // SAFETY: two sets.
        unsafe { pthread_sigmask(SIG_SETMASK, &raw const all, &raw mut before) };
        before
    }

    pub(super) fn restore(before: &Set) {
        // SAFETY: a set that the system filled.
        unsafe { pthread_sigmask(SIG_SETMASK, before, null_mut()) };
    }
}

impl SignalsBlocked {
    pub(super) fn begin() -> Self {
        Self {
            #[cfg(unix)]
            before: system::block(),
        }
    }
}

impl Drop for SignalsBlocked {
    fn drop(&mut self) {
        #[cfg(unix)]
        system::restore(&self.before);
    }
}
