//! The numbers of a connection, for those who run it.
//!
//! Nothing here decides anything. Messages are counted where they were counted anyway, and
//! measurements are made once per write, read or heartbeat, so that sending and receiving are no
//! slower.
//!
//! Invariant: a number only ever grows while a connection lives, except those that are documented
//! as "now".

use std::time::Duration;

use super::histogram::{Histogram, Percentiles};
use crate::liveness::Time;

/// What went over a link so far, and how punctually.
///
/// ```no_run
/// # fn show(link: &peerbeat::link::Link) {
/// let stats = link.stats();
/// println!("{} messages, {} bytes wait", stats.messages_accepted, stats.queued_bytes);
/// println!("round trip: {:?}, p99 {:?}", stats.round_trip, stats.round_trips.p99);
/// println!("the peer's heartbeats were late by up to {:?}", stats.peer_lateness.max);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Messages accepted for sending.
    pub messages_accepted: u64,
    /// Bytes that the kernel accepted, heartbeats included.
    pub bytes_sent: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Heartbeats that data made needless (H3): the whole heartbeat-times from one of our
    /// heartbeats to the last data behind it. With `heartbeat-mode always` there are none.
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
    /// was due already counts alike, announcements of a new value do not.
    pub own_lateness: Percentiles,
    /// How many of those were later than half our slack: a peer with the same slack has called us
    /// late.
    pub own_late: u64,
    /// How much later than it promised the peer was heard: its silence minus the heartbeat-time in
    /// force, zero in time. Of silences that lasted half the heartbeat-time or longer: what is
    /// shorter is traffic. While our own handler held the reader, or we were stopped, nothing is
    /// measured.
    pub peer_lateness: Percentiles,
    /// How many of its silences were late ([`LinkEvent::Late`](super::LinkEvent::Late)): past the
    /// heartbeat-time in force and half our slack.
    pub peer_late: u64,
    /// The longest silence of the peer that has ended, measured in the same way.
    pub largest_silence: Duration,
    /// How often we ourselves were stopped or starved.
    pub stalls: u64,
    /// The longest time beyond what was asked.
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
    pub(super) peer_late: u64,
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

    /// Records that something went out `late` after a heartbeat was due.
    pub(super) fn add_own(&mut self, late: Duration, slack: Duration) {
        self.own_lateness.record(late);
        self.own_late += u64::from(late > slack / 2);
    }

    /// Records a silence of the peer that has ended.
    pub(super) fn add_silence(&mut self, silence: Silence) {
        self.largest_silence = silence.largest;
        if let Some(late) = silence.late {
            self.peer_lateness.record(late);
        }
    }

    /// What was counted, with what was measured.
    pub(super) fn stats(&self, counted: Stats) -> Stats {
        Stats {
            round_trip_min: self.round_trip_min,
            round_trips: self.round_trips.percentiles(),
            own_lateness: self.own_lateness.percentiles(),
            own_late: self.own_late,
            peer_lateness: self.peer_lateness.percentiles(),
            peer_late: self.peer_late,
            largest_silence: self.largest_silence,
            stalls: self.stalls,
            longest_stall: self.longest_stall,
            ..counted
        }
    }
}

/// What is measured of a silence that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// The longest of all so far.
    pub(crate) largest: Duration,
    /// How much longer than promised it was, if it was long enough to matter.
    pub(crate) late: Option<Duration>,
}
