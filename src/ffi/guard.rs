//! The guard around every function: a panic becomes a status.
//!
//! A panic that reached C would abort the host. What was thrown is leaked, because dropping it
//! could panic again. The panic hook is left alone: it tells of the mistake on stderr, as the host
//! has it.

use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::status::{E_PANIC, Fault, OK, keep};

/// Runs a body; keeps the details of its failure for the thread.
pub(super) fn status(body: impl FnOnce() -> Result<(), Fault>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => OK,
        Ok(Err(fault)) => {
            keep(fault.detail);
            fault.code
        }
        Err(thrown) => {
            std::mem::forget(thrown);
            keep("a mistake in peerbeat: please report what it wrote to stderr".to_owned());
            E_PANIC
        }
    }
}

/// Runs a body that returns something else than a status; `failed` stands for a panic.
pub(super) fn value<T>(failed: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|thrown| {
        std::mem::forget(thrown);
        failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_with_details() {
        assert_eq!(status(|| panic!("as if")), E_PANIC);
        let mut buffer = [0; 30];
        // SAFETY: the buffer is as long as it says.
        let length =
            unsafe { crate::ffi::peerbeat_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
        assert!(length > 30 && buffer.starts_with(b"a mistake in peerbeat"), "{buffer:?}");
        assert_eq!(value(7, || panic!("as if")), 7);
    }

    #[test]
    fn what_panics_when_dropped_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(status(|| std::panic::panic_any(Bomb)), E_PANIC);
    }
}
