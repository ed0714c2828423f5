//! The numbers of a link, for those who run it.
//!
//! Nothing here decides anything. What is counted a message is counted where messages were counted
//! before; what is measured is measured once a write, once a read or once a heartbeat, so that
//! sending and receiving are no slower for it. Histograms are summed up under the link's lock,
//! which takes a few microseconds at most and no copy.
//!
//! Invariant: a number only ever grows while a link lives, but for what says "now".

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::State;
use super::{Histogram, Link, Percentiles, Stream};
use crate::liveness::{Mode, Time};
use crate::protocol::Framing;

/// What went over a link so far, and how punctually.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages accepted for sending.
    pub messages_accepted: u64,
    /// Bytes that the kernel accepted, heartbeats included.
    pub bytes_sent: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Heartbeats that data made needless (H3): the whole heartbeat-times from a heartbeat of ours
    /// to the last data behind it. With `heartbeat-mode always` there are none.
    pub heartbeats_suppressed: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Bytes received, heartbeats included.
    pub bytes_received: u64,
    /// Heartbeats received.
    pub heartbeats_received: u64,
    /// Messages that wait to be sent and of which nothing has been written, now.
    pub queued_messages: u64,
    /// Bytes that wait to be sent, now.
    pub queued_bytes: usize,
    /// The last round trip that heartbeats measured.
    pub round_trip: Option<Duration>,
    /// The shortest one.
    pub round_trip_min: Option<Duration>,
    /// All of them.
    pub round_trips: Percentiles,
    /// How late our heartbeats were: written minus due. Data that went out in the place of one that
    /// was due already counts alike, announcements of a new value do not (lesson 56).
    pub own_lateness: Percentiles,
    /// How many of those were later than half our slack: a peer that forgives as much as we do has
    /// called us late.
    pub own_late: u64,
    /// How much later than it promised the peer was heard: its silence minus the heartbeat-time in
    /// force, zero in time. Of silences that lasted half the heartbeat-time or longer: what is
    /// shorter is traffic. While our own handler held the reader, or we were stopped, nothing is
    /// measured.
    pub peer_lateness: Percentiles,
    /// The longest silence of the peer's that has ended, measured likewise.
    pub largest_silence: Duration,
    /// How often we ourselves were stopped or starved (lesson 33).
    pub stalls: u64,
    /// For how long beyond what was asked, at the most.
    pub longest_stall: Duration,
    /// How long the link has been up.
    pub up: Duration,
}

/// What is measured rather than counted; under the link's lock.
#[derive(Debug, Default)]
pub(super) struct Measures {
    pub(super) round_trips: Histogram,
    pub(super) own_lateness: Histogram,
    pub(super) peer_lateness: Histogram,
    pub(super) round_trip_min: Option<Duration>,
    pub(super) suppressed: u64,
    pub(super) own_late: u64,
    pub(super) largest_silence: Duration,
    pub(super) stalls: u64,
    pub(super) longest_stall: Duration,
    stalled_until: Time,
}

impl Measures {
    pub(super) fn add_round_trip(&mut self, time: Duration) {
        self.round_trips.record(time);
        self.round_trip_min = Some(self.round_trip_min.map_or(time, |least| least.min(time)));
    }

    /// Counts a stall that ended at `now`, and returns whether it is a new one: both threads of a
    /// link wake from the same.
    pub(super) fn add_stall(&mut self, late: Duration, now: Time) -> bool {
        let is_new = self.stalls == 0 || now - late >= self.stalled_until;
        self.stalled_until = self.stalled_until.max(now);
        if is_new {
            self.stalls += 1;
        }
        self.longest_stall = self.longest_stall.max(late);
        is_new
    }

    /// Records that something went out `late` where a heartbeat was due.
    fn add_own(&mut self, late: Duration, slack: Duration) {
        self.own_lateness.record(late);
        self.own_late += u64::from(late > slack / 2);
    }
}

impl<S> State<S> {
    /// Moves the sending clock to `now`, when data was written, and measures where that was late.
    pub(super) fn handle_data_sent(&mut self, mode: Mode, now: Time) {
        let late = self.pulse.lateness(now).filter(|late| !late.is_zero() && mode == Mode::Idle);
        if let Some(late) = late {
            self.measures.add_own(late, self.pulse.slack());
        }
        self.pulse.handle_sent(now);
    }

    /// Measures a heartbeat whose last byte was written at `now`, before any clock moves.
    pub(super) fn measure_beat(&mut self, now: Time) {
        self.measures.suppressed += self.pulse.suppressed();
        if let Some(late) = self.pulse.lateness(now) {
            self.measures.add_own(late, self.pulse.slack());
        }
    }
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// What went over the link so far, and how punctually.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let state = shared.lock();
        let now = match state.reason {
            Some(_) => state.ended_at,
            None => shared.clock.now(),
        };
        let (measures, received) = (&state.measures, &shared.received);
        Stats {
            messages_received: received.messages.load(Ordering::Relaxed),
            bytes_received: received.bytes.load(Ordering::Relaxed),
            heartbeats_received: received.heartbeats.load(Ordering::Relaxed),
            heartbeats_suppressed: measures.suppressed + state.pulse.suppressed(),
            queued_messages: state.queued_messages,
            queued_bytes: state.pending(),
            round_trip_min: measures.round_trip_min,
            round_trips: measures.round_trips.spread(),
            own_lateness: measures.own_lateness.spread(),
            own_late: measures.own_late,
            peer_lateness: measures.peer_lateness.spread(),
            largest_silence: measures.largest_silence,
            stalls: measures.stalls,
            longest_stall: measures.longest_stall,
            up: now.since(Time::ZERO),
            ..state.stats
        }
    }
}
