//! The structs of the header, field by field; a test holds each offset to what C says.
//!
//! They have no padding, so that no uninitialised byte reaches the host. Fields
//! are only ever added at the end, in place of `reserved` ones first.

use std::ffi::{c_char, c_void};
use std::ptr::{null, null_mut};

use super::pointer::SizedStruct;

/// `peerbeat_peer`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatPeer {
    pub struct_size: u32,
    pub heartbeat_mode: i32,
    pub name: *const c_char,
    pub addresses: *const c_char,
    pub heartbeat_time_ms: i64,
    pub slack_ms: i64,
    pub heartbeat_time_min_ms: i64,
    pub connect_timeout_ms: i64,
    pub reconnect_time_min_ms: i64,
    pub reconnect_time_max_ms: i64,
    pub send_queue_bytes: u64,
}

/// `peerbeat_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct PeerbeatStats {
    pub struct_size: u32,
    pub links: u32,
    pub messages_accepted: u64,
    pub bytes_sent: u64,
    pub heartbeats_sent: u64,
    pub messages_received: u64,
    pub bytes_received: u64,
    pub heartbeats_received: u64,
    pub queued_bytes: u64,
    pub round_trip_us: i64,
    pub inbox_messages: u64,
    pub inbox_bytes: u64,
    pub held_ms: u64,
    pub local_blocked: u32,
    pub reserved: u32,
}

/// `peerbeat_event`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatEvent {
    pub struct_size: u32,
    pub kind: i32,
    pub peer: *const c_char,
    pub text: *const c_char,
    pub addr: *const c_char,
    pub remote_name: *const c_char,
    pub remote_label: *const c_char,
    pub reason_word: *const c_char,
    pub reason: i32,
    pub direction: i32,
    pub cause: i32,
    pub bye_code: i32,
    pub silent_ms: i64,
    pub limit_ms: i64,
    pub heartbeat_time_ms: i64,
    pub slack_ms: i64,
    pub last_sent_age_ms: i64,
    pub unsent_frames: i64,
    pub unsent_bytes: i64,
    pub up_ms: i64,
    pub from_ms: i64,
    pub to_ms: i64,
    pub late_ms: i64,
    pub asked_ms: i64,
    pub floor_ms: i64,
    pub wait_ms: i64,
    pub line: *const c_char,
    pub peer_user_data: *mut c_void,
    pub data: *const c_void,
    pub data_len: u64,
    pub held_ms: i64,
    pub behind_ms: i64,
    pub unconfirmed_bytes: i64,
    pub undelivered_frames: i64,
    pub count: i64,
}

/// `peerbeat_state`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatState {
    pub struct_size: u32,
    pub state: i32,
    pub reason: i32,
    pub bye_code: i32,
    pub silent_ms: i64,
    pub limit_ms: i64,
    pub heartbeat_time_ms: i64,
    pub slack_ms: i64,
    pub last_sent_age_ms: i64,
    pub up_ms: i64,
    pub unsent_frames: i64,
    pub unsent_bytes: i64,
    pub detail: [c_char; 256],
    pub unconfirmed_bytes: i64,
    pub undelivered_frames: i64,
    pub handler_held_ms: i64,
}

/// `peerbeat_totals`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatTotals {
    pub struct_size: u32,
    pub peers_up: u32,
    pub messages_accepted: u64,
    pub bytes_sent: u64,
    pub heartbeats_sent: u64,
    pub heartbeats_suppressed: u64,
    pub messages_received: u64,
    pub bytes_received: u64,
    pub heartbeats_received: u64,
    pub queued_messages: u64,
    pub queued_bytes: u64,
    pub connects: u64,
    pub dial_failures: u64,
    pub refusals: u64,
    pub downs: [u64; 9],
    pub own_late: u64,
    pub stalls: u64,
    pub up_ms: u64,
    pub own_late_p50_us: i64,
    pub own_late_p999_us: i64,
    pub own_late_max_us: i64,
    pub peer_late_p50_us: i64,
    pub peer_late_p999_us: i64,
    pub peer_late_max_us: i64,
    pub largest_silence_us: i64,
    pub round_trip_p50_us: i64,
    pub round_trip_p999_us: i64,
    pub peer_late: u64,
}

impl Default for PeerbeatTotals {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            peers_up: 0,
            messages_accepted: 0,
            bytes_sent: 0,
            heartbeats_sent: 0,
            heartbeats_suppressed: 0,
            messages_received: 0,
            bytes_received: 0,
            heartbeats_received: 0,
            queued_messages: 0,
            queued_bytes: 0,
            connects: 0,
            dial_failures: 0,
            refusals: 0,
            downs: [0; 9],
            own_late: 0,
            stalls: 0,
            up_ms: 0,
            own_late_p50_us: NONE,
            own_late_p999_us: NONE,
            own_late_max_us: NONE,
            peer_late_p50_us: NONE,
            peer_late_p999_us: NONE,
            peer_late_max_us: NONE,
            largest_silence_us: NONE,
            round_trip_p50_us: NONE,
            round_trip_p999_us: NONE,
            peer_late: 0,
        }
    }
}

/// `peerbeat_bytes`: a message among several.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PeerbeatBytes {
    pub data: *const u8,
    pub len: usize,
}

/// `peerbeat_liveness`: room for a [`Liveness`](crate::liveness::Liveness).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PeerbeatLiveness {
    /// Not for the host.
    pub opaque: [u64; 96],
}

impl Default for PeerbeatLiveness {
    fn default() -> Self {
        Self { opaque: [0; 96] }
    }
}

impl Default for PeerbeatPeer {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            heartbeat_mode: 0,
            name: c"".as_ptr(),
            addresses: c"".as_ptr(),
            heartbeat_time_ms: NONE,
            slack_ms: 0,
            heartbeat_time_min_ms: 0,
            connect_timeout_ms: 0,
            reconnect_time_min_ms: 0,
            reconnect_time_max_ms: 0,
            send_queue_bytes: 0,
        }
    }
}

impl Default for PeerbeatEvent {
    fn default() -> Self {
        let empty = c"".as_ptr();
        Self {
            struct_size: size_of::<Self>() as u32,
            kind: 0,
            peer: empty,
            text: empty,
            addr: empty,
            remote_name: empty,
            remote_label: empty,
            reason_word: empty,
            reason: 0,
            direction: 0,
            cause: 0,
            bye_code: -1,
            silent_ms: NONE,
            limit_ms: NONE,
            heartbeat_time_ms: NONE,
            slack_ms: NONE,
            last_sent_age_ms: NONE,
            unsent_frames: NONE,
            unsent_bytes: NONE,
            up_ms: NONE,
            from_ms: NONE,
            to_ms: NONE,
            late_ms: NONE,
            asked_ms: NONE,
            floor_ms: NONE,
            wait_ms: NONE,
            line: empty,
            peer_user_data: null_mut(),
            data: null(),
            data_len: 0,
            held_ms: NONE,
            behind_ms: NONE,
            unconfirmed_bytes: NONE,
            undelivered_frames: NONE,
            count: NONE,
        }
    }
}

impl Default for PeerbeatState {
    fn default() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            state: 0,
            reason: 0,
            bye_code: -1,
            silent_ms: 0,
            limit_ms: NONE,
            heartbeat_time_ms: NONE,
            slack_ms: 0,
            last_sent_age_ms: 0,
            up_ms: 0,
            unsent_frames: 0,
            unsent_bytes: 0,
            detail: [0; 256],
            unconfirmed_bytes: NONE,
            undelivered_frames: 0,
            handler_held_ms: 0,
        }
    }
}

// SAFETY: `repr(C)`, the size first, numbers and pointers.
unsafe impl SizedStruct for PeerbeatPeer {}
// SAFETY: as above.
unsafe impl SizedStruct for PeerbeatStats {}
// SAFETY: as above.
unsafe impl SizedStruct for PeerbeatState {}
// SAFETY: as above.
unsafe impl SizedStruct for PeerbeatTotals {}
// SAFETY: as above.
unsafe impl SizedStruct for PeerbeatEvent {}

/// What means "no number".
pub(super) const NONE: i64 = -1;
