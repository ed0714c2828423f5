//! The words of a status, and the details of a failure, for C.
//!
//! The codes and the store of details are in `fault`, which is below the guard, because the guard
//! itself returns codes.

use std::ffi::{c_char, c_int};

use super::fault::{last, last_errno, words};
use super::guard::{self, guard};
use super::pointer::copy_text;

/// The words for a status code; static, never null.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_strerror(code: c_int) -> *const c_char {
    guard::light(|| words(code).as_ptr())
}

/// Copies the details of this thread's last failure and returns their whole length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_last_error(buf: *mut c_char, cap: usize) -> usize {
    guard(|| {
        let detail = last();
        // SAFETY: the caller's buffer, as the header says.
        unsafe { copy_text(&detail, buf, cap) };
        detail.len()
    })
}

/// The system's error number of this thread's last failure.
#[unsafe(no_mangle)]
pub extern "C" fn peerbeat_last_errno() -> c_int {
    guard(last_errno)
}
