//! How large a thread's stack must be for its code to get the size that was asked for.
//!
//! glibc takes the thread-local variables of the program and its libraries out of the stack that a
//! thread is given: 200 KiB of `__thread` variables in a host would leave nothing of 256 KiB.

/// The stack to ask the system for, so that `bytes` of it are left.
pub(super) fn with_thread_locals(bytes: usize) -> usize {
    bytes.saturating_add(system::thread_locals())
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use std::ffi::{c_char, c_int, c_void};

    use crate::ffi::guard;

    /// The beginning of `struct dl_phdr_info`.
    #[repr(C)]
    struct Loaded {
        base: usize,
        name: *const c_char,
        headers: *const Header,
        count: u16,
    }

    /// `ElfW(Phdr)`.
    #[cfg(target_pointer_width = "64")]
    #[repr(C)]
    struct Header {
        kind: u32,
        flags: u32,
        offset: usize,
        at: usize,
        physical: usize,
        in_file: usize,
        in_memory: usize,
        align: usize,
    }

    #[cfg(target_pointer_width = "32")]
    #[repr(C)]
    struct Header {
        kind: u32,
        offset: usize,
        at: usize,
        physical: usize,
        in_file: usize,
        in_memory: usize,
        flags: u32,
        align: usize,
    }

    type Visit = unsafe extern "C" fn(*const Loaded, usize, *mut c_void) -> c_int;

    unsafe extern "C" {
        fn dl_iterate_phdr(visit: Visit, data: *mut c_void) -> c_int;
    }

    unsafe extern "C" fn add(loaded: *const Loaded, _size: usize, total: *mut c_void) -> c_int {
        guard::light(|| {
            const PT_TLS: u32 = 7;
            // SAFETY: owned by the system, valid during the call.
            let loaded = unsafe { &*loaded };
            // SAFETY: as many headers as it says; there is at least one.
            let headers =
                unsafe { std::slice::from_raw_parts(loaded.headers, loaded.count.into()) };
            // SAFETY: the number that `thread_locals` passed.
            let total = unsafe { &mut *total.cast::<usize>() };
            for header in headers.iter().filter(|header| header.kind == PT_TLS) {
                *total = total.saturating_add(header.in_memory).saturating_add(header.align);
            }
            0
        })
    }

    /// What all thread-local variables take, those of libraries loaded later included: these are
    /// elsewhere, and counting them only reserves addresses.
    pub(super) fn thread_locals() -> usize {
        let mut total = 0_usize;
        // SAFETY: the function fits, and the number outlives the call.
        unsafe { dl_iterate_phdr(add, (&raw mut total).cast()) };
        total
    }
}

/// Elsewhere they are not taken out of the stack, or there is no way to ask.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod system {
    pub(super) fn thread_locals() -> usize {
        0
    }
}
