//! Guards calls of the user's code, direct or indirect: a panic ends only that call.
//!
//! The caller decides what follows, such as a link that ends or a transport that failed.

use std::mem;
use std::panic::{self, AssertUnwindSafe};

/// Calls code that may panic; `None` = it has. The panic hook has reported the panic.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    let payload = match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(outcome) => return Some(outcome),
        Err(payload) => payload,
    };
    // What was thrown may panic again when it is dropped.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(second);
    }
    None
}
