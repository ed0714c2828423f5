//! The guard around every function: a panic becomes a status, and cancellation is held back.
//!
//! A panic that reached C would abort the host. What was thrown is leaked, because dropping it
//! could panic again. The panic hook is left as the host has set it; the default one reports the
//! panic on stderr.

use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{null, null_mut};

use super::cancel::CancelHeld;
use super::fault::{E_PANIC, Fault, OK, keep};

/// Runs the body of a function and gives C its answer.
#[inline]
pub(super) fn guard<A: Answer>(body: impl FnOnce() -> A) -> A::C {
    let _held = CancelHeld::begin();
    light(body)
}

/// As [`guard`], for a body that waits for nothing: it may run in a signal's handler.
#[inline]
pub(super) fn light<A: Answer>(body: impl FnOnce() -> A) -> A::C {
    // What answers a failure is inside as well: it may use the heap.
    let answer = catch_unwind(AssertUnwindSafe(|| body().into_c()));
    answer.unwrap_or_else(|thrown| {
        std::mem::forget(thrown);
        A::panicked()
    })
}

/// What a body can return, and what replaces it after a panic.
pub(super) trait Answer {
    /// What C gets.
    type C;
    fn into_c(self) -> Self::C;
    fn panicked() -> Self::C;
}

/// A status; the details of a failure are kept for the thread.
impl Answer for Result<(), Fault> {
    type C = c_int;

    fn into_c(self) -> c_int {
        match self {
            Ok(()) => OK,
            Err(fault) => {
                let code = fault.code;
                keep(fault);
                code
            }
        }
    }

    fn panicked() -> c_int {
        let detail = "a mistake in peerbeat: please report what it wrote to stderr";
        keep(Fault::new(E_PANIC, detail));
        E_PANIC
    }
}

/// A number that is no failure, or a status with details.
impl Answer for Result<c_int, Fault> {
    type C = c_int;

    fn into_c(self) -> c_int {
        match self {
            Ok(number) => number,
            Err(fault) => Err::<(), _>(fault).into_c(),
        }
    }

    fn panicked() -> c_int {
        <Result<(), Fault>>::panicked()
    }
}

/// A status that leaves no details, which need the heap.
pub(super) struct Quiet(pub(super) c_int);

impl Answer for Quiet {
    type C = c_int;

    fn into_c(self) -> c_int {
        self.0
    }

    fn panicked() -> c_int {
        E_PANIC
    }
}

macro_rules! direct {
    ($($answer:ty = $panicked:expr,)*) => {
        $(impl Answer for $answer {
            type C = Self;

            fn into_c(self) -> Self {
                self
            }

            fn panicked() -> Self {
                $panicked
            }
        })*
    };
}

direct! {
    () = (),
    i32 = 0,
    usize = 0,
    *const c_char = null(),
    *mut c_void = null_mut(),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_status_with_details() {
        assert_eq!(guard(|| -> Result<(), Fault> { panic!("as if") }), E_PANIC);
        let mut buffer = [0_u8; 30];
        // SAFETY: the buffer is as long as it says.
        let length =
            unsafe { crate::ffi::peerbeat_last_error(buffer.as_mut_ptr().cast(), buffer.len()) };
        assert!(length > 30 && buffer.starts_with(b"a mistake in peerbeat"), "{buffer:?}");
        assert_eq!(guard(|| -> Quiet { panic!("as if") }), E_PANIC);
        assert_eq!(guard(|| -> usize { panic!("as if") }), 0);
    }

    #[test]
    fn what_panics_when_dropped_does_no_harm() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        assert_eq!(guard(|| -> Result<(), Fault> { std::panic::panic_any(Bomb) }), E_PANIC);
    }
}
