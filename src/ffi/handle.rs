//! What every handle has: the process that made it, and how many threads are inside a call.
//!
//! A forked child has the handles of its parent but none of its threads: it gets an error and
//! touches nothing. Freeing wakes the threads that are inside and waits until they have left.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::callback;
use super::fault::{E_FORKED, E_OWN_THREAD, Fault};
use super::fork;
use super::pointer::is_null;
use crate::recover::Recover;

/// A handle of the host: a `T` with its home.
#[derive(Debug)]
pub(super) struct Handle<T> {
    /// The process that made it, as [`fork::generation`] numbers them.
    process: u32,
    callers: AtomicUsize,
    inner: T,
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call<'a, T>(&'a Handle<T>);

impl<T> Handle<T> {
    pub(super) fn new(inner: T) -> Self {
        fork::begin();
        Self { process: fork::generation(), callers: AtomicUsize::new(0), inner }
    }

    /// The handle as the host gets it.
    pub(super) fn into_raw<H: From<Self>>(self) -> *mut H {
        Box::into_raw(Box::new(H::from(self)))
    }

    /// Begins a call.
    pub(super) fn enter(&self) -> Result<Call<'_, T>, Fault> {
        self.check_caller()?;
        self.callers.fetch_add(1, Ordering::AcqRel);
        Ok(Call(self))
    }

    /// Waits until no call is under way, or until `deadline`; returns whether none is.
    pub(super) fn wait_alone(&self, deadline: Option<Instant>) -> bool {
        while self.callers.load(Ordering::Acquire) > 0 {
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Whether a call may begin on this thread.
    #[inline]
    pub(super) fn check_caller(&self) -> Result<(), Fault> {
        if self.is_of_parent() {
            return Err(Fault::new(E_FORKED, "it was made before the fork"));
        }
        check_thread()
    }

    /// Whether this is a forked child of the process that made it.
    #[inline]
    pub(super) fn is_of_parent(&self) -> bool {
        self.process != fork::generation()
    }

    /// The inside, without a call: for freeing, which waits for calls, and for what cannot change.
    pub(super) fn inner(&self) -> &T {
        &self.inner
    }
}

impl<T> Deref for Call<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.inner
    }
}

impl<T> Drop for Call<'_, T> {
    fn drop(&mut self) {
        self.0.callers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Whether this thread may use handles, or make one: not in a layer's function.
#[inline]
pub(super) fn check_thread() -> Result<(), Fault> {
    if callback::is_inside() {
        let detail = "a layer's function cannot use nodes, links or listeners";
        return Err(Fault::new(E_OWN_THREAD, detail));
    }
    Ok(())
}

/// Locks; what a thread that panicked has left is whole between its steps.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().recover()
}

/// A handle of the host.
///
/// # Safety
/// `pointer` is null or a handle that was not freed, for as long as `'a`.
pub(super) unsafe fn handle<'a, H>(pointer: *const H, name: &'static str) -> Result<&'a H, Fault> {
    // SAFETY: the caller's promise.
    unsafe { pointer.as_ref() }.ok_or_else(|| is_null(name))
}

/// Takes a handle back from the host.
///
/// # Safety
/// `pointer` came from [`Handle::into_raw`] and is not used after this.
pub(super) unsafe fn take<H>(pointer: *mut H) -> Box<H> {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(pointer) }
}
