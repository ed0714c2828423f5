//! Holds back thread cancellation: no function here is a cancellation point.
//!
//! `pthread_cancel` unwinds the thread at its next cancellation point, usually a wait, and
//! unwinding through Rust aborts the process. Held back, it takes effect at the host's next
//! cancellation point after the call.

/// Holds cancellation of the calling thread back until it is dropped.
#[derive(Debug)]
pub(super) struct CancelHeld {
    #[cfg(any(target_os = "linux", target_vendor = "apple", target_os = "freebsd"))]
    before: std::ffi::c_int,
}

#[cfg(any(target_os = "linux", target_vendor = "apple", target_os = "freebsd"))]
mod system {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }

    /// `PTHREAD_CANCEL_DISABLE`.
    pub(super) const DISABLE: c_int = if cfg!(target_vendor = "apple") { 0 } else { 1 };

    pub(super) fn set(state: c_int) -> c_int {
        let mut before = DISABLE;
        // SAFETY: a state that the system defines, and a place for the one before.
        unsafe { pthread_setcancelstate(state, &raw mut before) };
        before
    }
}

impl CancelHeld {
    #[cfg(any(target_os = "linux", target_vendor = "apple", target_os = "freebsd"))]
    pub(super) fn begin() -> Self {
        Self { before: system::set(system::DISABLE) }
    }

    /// Other systems have no cancellation, or none that is known here.
    #[cfg(not(any(target_os = "linux", target_vendor = "apple", target_os = "freebsd")))]
    pub(super) fn begin() -> Self {
        Self {}
    }
}

impl Drop for CancelHeld {
    fn drop(&mut self) {
        #[cfg(any(target_os = "linux", target_vendor = "apple", target_os = "freebsd"))]
        if self.before != system::DISABLE {
            system::set(self.before);
        }
    }
}

/// Makes the calling thread, which belongs to peerbeat, one that cannot be cancelled.
pub(super) fn never_here() {
    std::mem::forget(CancelHeld::begin());
}
