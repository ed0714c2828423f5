//! Calls of the user's code: a panic in one ends nothing but that call.
//!
//! What comes of it is for the caller to say: a link that ends, a transport that failed. Nothing is
//! locked while such a call lasts.

use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Calls code of the user's; `false` = it panicked. The panic hook has reported the panic.
pub(super) fn guarded(call: impl FnOnce()) -> bool {
    let Err(payload) = panic::catch_unwind(AssertUnwindSafe(call)) else { return true };
    // What was thrown may panic again when it is dropped.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
    false
}
