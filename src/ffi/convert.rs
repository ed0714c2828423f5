//! Numbers for C: durations, counts, reasons.
//!
//! What C has no type for becomes a number here and nowhere else, so that the header and events
//! agree.

use std::ffi::c_int;
use std::time::Duration;

use super::structs::PeerbeatStats;
use crate::link::{DownReason, Stats};

/// A duration for C; what no number holds is the greatest.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A count for C, as `millis`.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Adds the numbers of one link.
pub(super) fn add_stats(all: &mut PeerbeatStats, link: &Stats) {
    all.links += 1;
    all.messages_accepted += link.messages_accepted;
    all.bytes_sent += link.bytes_sent;
    all.heartbeats_sent += link.heartbeats_sent;
    all.messages_received += link.messages_received;
    all.bytes_received += link.bytes_received;
    all.heartbeats_received += link.heartbeats_received;
    all.queued_bytes += link.queued_bytes as u64;
    if let Some(time) = link.round_trip {
        all.round_trip_us = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    }
}

/// `PEERBEAT_DOWN_`.
pub(super) fn reason_number(reason: &DownReason) -> c_int {
    match reason {
        DownReason::Silent => 1,
        DownReason::WriteStalled { .. } => 2,
        DownReason::Closed { .. } => 3,
        DownReason::Eof => 4,
        DownReason::Io { .. } => 5,
        DownReason::Protocol(_) => 6,
        DownReason::Replaced => 7,
        DownReason::Local { .. } => 8,
    }
}

pub(super) fn bye_code(reason: &DownReason) -> c_int {
    match reason {
        DownReason::Closed { code, .. } => code.0.into(),
        _ => -1,
    }
}

/// A `timeout_ms` of the header; less than zero is no limit.
pub(super) fn timeout(timeout_ms: c_int) -> Option<Duration> {
    u64::try_from(timeout_ms).ok().map(Duration::from_millis)
}
