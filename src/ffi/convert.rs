//! Numbers for C: durations, counts, reasons.
//!
//! Types that C does not have become numbers here and nowhere else, so that the header and events
//! agree.

use std::ffi::c_int;
use std::time::Duration;

use super::pointer::copy_text;
use super::structs::{NONE, PeerbeatState, PeerbeatStats, PeerbeatTotals};
use crate::link::{Down, DownReason, LinkState, Stats};
use crate::node::PeerStats;

/// A duration for C; what no number holds is the largest.
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

/// How a link that lives is doing; between its end and the account of it, why it ends.
pub(super) fn link_state(now: &LinkState, is_late: bool) -> PeerbeatState {
    let mut state = PeerbeatState {
        state: match (&now.reason, is_late) {
            (Some(_), _) => STATE_DOWN,
            (None, true) => STATE_LATE,
            (None, false) => STATE_UP,
        },
        silent_ms: millis(now.silence),
        limit_ms: now.heartbeat_time.map_or(NONE, |time| millis(time + now.slack)),
        heartbeat_time_ms: now.heartbeat_time.map_or(NONE, millis),
        slack_ms: millis(now.slack),
        last_sent_age_ms: millis(now.last_sent_age),
        up_ms: millis(now.up),
        handler_held_ms: millis(now.handler_held),
        ..PeerbeatState::default()
    };
    if let Some(reason) = &now.reason {
        set_reason(&mut state, reason);
    }
    state
}

/// How a link has ended.
pub(super) fn account(down: &Down) -> PeerbeatState {
    let mut state = PeerbeatState {
        state: STATE_DOWN,
        silent_ms: millis(down.silence),
        limit_ms: down.limit.map_or(NONE, millis),
        heartbeat_time_ms: down.heartbeat_time.map_or(NONE, millis),
        slack_ms: millis(down.slack),
        last_sent_age_ms: millis(down.last_sent_age),
        up_ms: millis(down.up),
        unsent_frames: signed(down.unsent_frames),
        unsent_bytes: signed(down.unsent_bytes),
        unconfirmed_bytes: down.unconfirmed_bytes.map_or(NONE, signed),
        undelivered_frames: signed(down.undelivered_frames),
        ..PeerbeatState::default()
    };
    set_reason(&mut state, &down.reason);
    state
}

/// How a peer is doing that has never been connected.
pub(super) fn not_up_state() -> PeerbeatState {
    let mut state = PeerbeatState { state: STATE_DOWN, ..PeerbeatState::default() };
    set_detail(&mut state, "never connected so far");
    state
}

fn set_reason(state: &mut PeerbeatState, reason: &DownReason) {
    state.reason = reason_number(reason);
    state.bye_code = bye_code(reason);
    set_detail(state, &reason.to_string());
}

fn set_detail(state: &mut PeerbeatState, text: &str) {
    let room = state.detail.len();
    // SAFETY: the buffer is as long as it says.
    unsafe { copy_text(text, state.detail.as_mut_ptr(), room) };
}

/// Adds the totals of a peer; what is measured is that of its present link, or the largest.
pub(super) fn add_totals(all: &mut PeerbeatTotals, peer: &PeerStats) {
    let total = &peer.total;
    all.messages_accepted += total.messages_accepted;
    all.bytes_sent += total.bytes_sent;
    all.heartbeats_sent += total.heartbeats_sent;
    all.heartbeats_suppressed += total.heartbeats_suppressed;
    all.messages_received += total.messages_received;
    all.bytes_received += total.bytes_received;
    all.heartbeats_received += total.heartbeats_received;
    all.own_late += total.own_late;
    all.peer_late += total.peer_late;
    all.stalls += total.stalls;
    all.up_ms += u64::try_from(total.up.as_millis()).unwrap_or(u64::MAX);
    all.connects += peer.connects;
    all.dial_failures += peer.dial_failures;
    all.refusals += peer.refusals;
    let downs = &peer.downs;
    let counts = [
        0,
        downs.silent,
        downs.write_stalled,
        downs.closed,
        downs.eof,
        downs.io,
        downs.protocol,
        downs.replaced,
        downs.local,
    ];
    for (sum, count) in all.downs.iter_mut().zip(counts) {
        *sum += count;
    }
    let Some(link) = &peer.link else { return };
    all.peers_up += 1;
    all.queued_messages += link.queued_messages;
    all.queued_bytes += link.queued_bytes as u64;
    let own = &link.own_lateness;
    let theirs = &link.peer_lateness;
    for (place, measured, value) in [
        (&mut all.own_late_p50_us, own.count, own.p50),
        (&mut all.own_late_p999_us, own.count, own.p999),
        (&mut all.own_late_max_us, own.count, own.max),
        (&mut all.peer_late_p50_us, theirs.count, theirs.p50),
        (&mut all.peer_late_p999_us, theirs.count, theirs.p999),
        (&mut all.peer_late_max_us, theirs.count, theirs.max),
        (&mut all.largest_silence_us, theirs.count, link.largest_silence),
        (&mut all.round_trip_p50_us, link.round_trips.count, link.round_trips.p50),
        (&mut all.round_trip_p999_us, link.round_trips.count, link.round_trips.p999),
    ] {
        if measured > 0 {
            *place = (*place).max(i64::try_from(value.as_micros()).unwrap_or(i64::MAX));
        }
    }
}

/// `PEERBEAT_STATE_UP`.
pub const STATE_UP: c_int = 1;
/// `PEERBEAT_STATE_LATE`.
pub const STATE_LATE: c_int = 2;
/// `PEERBEAT_STATE_DOWN`.
pub const STATE_DOWN: c_int = 3;
