//! The rules alone, in a struct of the host.
//!
//! The struct holds a mark and a [`Liveness`], which is plain values: it may be copied, and nothing
//! has to be freed. These functions use no thread, heap, lock or clock, and leave no details of a
//! failure behind, so that they may be called in a signal handler.

use std::ffi::c_int;

use super::fault::{E_INVALID, OK};
use super::guard::{self, Quiet};
use super::options::{PeerbeatOptions, read_options, settings};
use super::structs::PeerbeatLiveness;
use crate::liveness::{Action, Liveness, Time};

/// What the host's storage holds.
#[repr(C)]
struct Marked {
    /// Distinguishes storage that was initialised from storage that was not.
    mark: u64,
    rules: Liveness,
}

const _: () = assert!(size_of::<Marked>() <= size_of::<PeerbeatLiveness>());
const _: () = assert!(align_of::<Marked>() <= align_of::<PeerbeatLiveness>());
const _: () = assert!(!std::mem::needs_drop::<Liveness>());

/// The connection is established at `now_ns`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_init(
    liveness: *mut PeerbeatLiveness,
    options: *const PeerbeatOptions,
    now_ns: u64,
) -> c_int {
    guard::light(|| {
        if liveness.is_null() {
            return Quiet(E_INVALID);
        }
        // SAFETY: as the header says.
        let Ok(raw) = (unsafe { read_options(options) }) else { return Quiet(E_INVALID) };
        let Some(settings) = settings(&raw) else { return Quiet(E_INVALID) };
        let rules = Liveness::new(&settings, Time::from_nanos(now_ns));
        let place = liveness.cast::<Marked>();
        // SAFETY: not null, large enough and aligned: the assertions above.
        unsafe { place.write(Marked { mark: MARK, rules }) };
        Quiet(OK)
    })
}

/// The kernel took some of our bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_sent(
    liveness: *mut PeerbeatLiveness,
    now_ns: u64,
) -> c_int {
    guard::light(|| {
        // SAFETY: as the header says.
        let Some(rules) = (unsafe { rules(liveness) }) else { return Quiet(E_INVALID) };
        rules.handle_sent(Time::from_nanos(now_ns));
        Quiet(OK)
    })
}

/// Some of our bytes wait that the kernel did not take.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_pending(
    liveness: *mut PeerbeatLiveness,
    now_ns: u64,
) -> c_int {
    guard::light(|| {
        // SAFETY: as the header says.
        let Some(rules) = (unsafe { rules(liveness) }) else { return Quiet(E_INVALID) };
        rules.handle_pending(Time::from_nanos(now_ns));
        Quiet(OK)
    })
}

/// The kernel took a whole heartbeat from us.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_heartbeat_sent(
    liveness: *mut PeerbeatLiveness,
    value_ms: u32,
    now_ns: u64,
) -> c_int {
    guard::light(|| {
        // SAFETY: as the header says.
        let Some(rules) = (unsafe { rules(liveness) }) else { return Quiet(E_INVALID) };
        rules.handle_heartbeat_sent(value_ms, Time::from_nanos(now_ns));
        Quiet(OK)
    })
}

/// Bytes from the peer arrived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_received(
    liveness: *mut PeerbeatLiveness,
    now_ns: u64,
) -> c_int {
    guard::light(|| {
        // SAFETY: as the header says.
        let Some(rules) = (unsafe { rules(liveness) }) else { return Quiet(E_INVALID) };
        rules.handle_received(Time::from_nanos(now_ns));
        Quiet(OK)
    })
}

/// A heartbeat from the peer arrived.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_heartbeat_received(
    liveness: *mut PeerbeatLiveness,
    value_ms: u32,
    now_ns: u64,
) -> c_int {
    guard::light(|| {
        // SAFETY: as the header says.
        let Some(rules) = (unsafe { rules(liveness) }) else { return Quiet(E_INVALID) };
        rules.handle_received(Time::from_nanos(now_ns));
        rules.handle_heartbeat(value_ms, Time::from_nanos(now_ns));
        Quiet(OK)
    })
}

/// Asks what to do at `now_ns`: one of `PEERBEAT_NEXT_`, or a negative status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn peerbeat_liveness_next(
    liveness: *mut PeerbeatLiveness,
    now_ns: u64,
    deadline_ns: *mut u64,
    value_ms: *mut u32,
) -> c_int {
    guard::light(|| {
        if deadline_ns.is_null() {
            return Quiet(E_INVALID);
        }
        // SAFETY: as the header says.
        let Some(rules) = (unsafe { rules(liveness) }) else { return Quiet(E_INVALID) };
        let mut in_force = 0;
        let (next, deadline) = match rules.poll(Time::from_nanos(now_ns)) {
            Action::Wait { until } => (NEXT_NOTHING, until.as_nanos()),
            Action::SendHeartbeat { value_ms } => {
                in_force = value_ms;
                (NEXT_SEND_HEARTBEAT, now_ns)
            }
            Action::Late { .. } => (NEXT_LATE, now_ns),
            Action::Silent { .. } => (NEXT_SILENT, now_ns),
            Action::Stalled { .. } => (NEXT_STALLED, now_ns),
            Action::WriteStalled { .. } => (NEXT_WRITE_STALLED, now_ns),
        };
        if let (0, Some(value)) = (in_force, rules.heartbeat_timer().in_force()) {
            in_force = u32::try_from(value.as_millis()).unwrap_or(u32::MAX);
        }
        // SAFETY: not null, and the caller's promise.
        unsafe { deadline_ns.write(deadline) };
        if !value_ms.is_null() {
            // SAFETY: not null, and the caller's promise.
            unsafe { value_ms.write(in_force) };
        }
        Quiet(next)
    })
}

/// The rules in storage that was initialised.
///
/// # Safety
/// `liveness` is null or a `peerbeat_liveness` that no other thread uses meanwhile.
unsafe fn rules<'a>(liveness: *mut PeerbeatLiveness) -> Option<&'a mut Liveness> {
    if liveness.is_null() {
        return None;
    }
    // SAFETY: not null; the mark is a number at the beginning.
    let mark = unsafe { liveness.cast::<u64>().read() };
    if mark != MARK {
        return None;
    }
    // SAFETY: the mark says that `init` wrote it.
    let marked = unsafe { &mut *liveness.cast::<Marked>() };
    Some(&mut marked.rules)
}

/// `PEERBEAT_NEXT_NOTHING`.
pub const NEXT_NOTHING: c_int = 0;
/// `PEERBEAT_NEXT_SEND_HEARTBEAT`.
pub const NEXT_SEND_HEARTBEAT: c_int = 1;
/// `PEERBEAT_NEXT_LATE`.
pub const NEXT_LATE: c_int = 2;
/// `PEERBEAT_NEXT_SILENT`.
pub const NEXT_SILENT: c_int = 3;
/// `PEERBEAT_NEXT_STALLED`.
pub const NEXT_STALLED: c_int = 4;
/// `PEERBEAT_NEXT_WRITE_STALLED`.
pub const NEXT_WRITE_STALLED: c_int = 5;

/// "peerbeat" in ASCII.
const MARK: u64 = 0x7065_6572_6265_6174;
