//! Which process this is, without a system call: a number that a fork moves.
//!
//! Process ids do not show it: the first process of a container and its child in a container of its
//! own are both 1. On Linux the number lies in a page that the kernel wipes in a child, however it
//! was made; elsewhere `fork` itself moves it.

use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::link::forked;

/// The page that holds the number, 0 in a child that has not looked yet; null if there is none.
static PAGE: AtomicPtr<AtomicU32> = AtomicPtr::new(std::ptr::null_mut());
/// The last number that was given.
static LAST: AtomicU32 = AtomicU32::new(1);

/// The number of this process; it differs from that of every process it descends from.
#[inline]
pub(super) fn generation() -> u32 {
    let page = PAGE.load(Ordering::Acquire);
    if page.is_null() {
        return LAST.load(Ordering::Relaxed);
    }
    // SAFETY: a page that is never given back.
    let number = unsafe { &*page };
    match number.load(Ordering::Relaxed) {
        0 => renew(number),
        known => known,
    }
}

/// Begins to count forks; what a handle remembers counts from here.
pub(super) fn begin() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let page = system::wiped_page();
        if page.is_null() {
            system::at_fork();
        } else {
            // SAFETY: a page of our own, all zero.
            unsafe { &*page }.store(LAST.load(Ordering::Relaxed), Ordering::Relaxed);
            PAGE.store(page, Ordering::Release);
        }
        forked::count_by(generation);
    });
}

#[cold]
fn renew(number: &AtomicU32) -> u32 {
    let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    match number.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => next,
        Err(other) => other,
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::{c_int, c_void};
    use std::ptr::null_mut;
    use std::sync::atomic::AtomicU32;

    pub(super) use super::unix::at_fork;

    unsafe extern "C" {
        fn mmap(
            at: *mut c_void,
            length: usize,
            protection: c_int,
            flags: c_int,
            fd: c_int,
            offset: isize,
        ) -> *mut c_void;
        fn madvise(at: *mut c_void, length: usize, advice: c_int) -> c_int;
        fn munmap(at: *mut c_void, length: usize) -> c_int;
    }

    /// A page of zeros that a child sees as zeros; null if the kernel has none (before 4.14).
    pub(super) fn wiped_page() -> *mut AtomicU32 {
        const PROT_READ_WRITE: c_int = 3;
        const MAP_PRIVATE_ANONYMOUS: c_int = 0x22;
        const MADV_WIPEONFORK: c_int = 18;
        // The least that can be asked for: the kernel rounds up to its page.
        const LENGTH: usize = 4096;
        // SAFETY: new memory, wherever the system likes.
        let page =
            unsafe { mmap(null_mut(), LENGTH, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0) };
        if page.addr() == usize::MAX {
            return null_mut();
        }
        // SAFETY: our own page.
        let refused = unsafe { madvise(page, LENGTH, MADV_WIPEONFORK) } != 0;
        // An emulator that takes any advice follows none.
        // SAFETY: as above; there is no such advice.
        let pretends = unsafe { madvise(page, LENGTH, -1) } == 0;
        if refused || pretends {
            // SAFETY: our own page, which nothing points to.
            unsafe { munmap(page, LENGTH) };
            return null_mut();
        }
        page.cast()
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
mod system {
    pub(super) use super::unix::at_fork;

    pub(super) fn wiped_page() -> *mut std::sync::atomic::AtomicU32 {
        std::ptr::null_mut()
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::c_int;
    use std::sync::atomic::Ordering;

    use crate::ffi::guard;

    type Hook = Option<unsafe extern "C" fn()>;

    unsafe extern "C" {
        fn pthread_atfork(before: Hook, parent: Hook, child: Hook) -> c_int;
    }

    unsafe extern "C" fn in_child() {
        guard::light(|| {
            super::LAST.fetch_add(1, Ordering::Relaxed);
        });
    }

    pub(super) fn at_fork() {
        // SAFETY: the function only moves a number.
        unsafe { pthread_atfork(None, None, Some(in_child)) };
    }
}

/// There is no `fork`.
#[cfg(not(unix))]
mod system {
    pub(super) fn wiped_page() -> *mut std::sync::atomic::AtomicU32 {
        std::ptr::null_mut()
    }

    pub(super) fn at_fork() {}
}
