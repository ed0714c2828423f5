//! A smaller heartbeat-time, or another slack, for a living connection.
//!
//! Which value applies from when is a rule of liveness (H4). The sending half follows at once; the
//! receiving half takes over what was set when it is next driven, which is never later than the old
//! limit. Until it has, only that side may pass a verdict on silence.
//!
//! Invariant: a heartbeat-time in force only ever becomes smaller.

use std::time::Duration;

use super::fill::Crossing;
use crate::liveness::Time;

/// What became of a heartbeat-time that the program set on a living link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
#[non_exhaustive]
pub enum HeartbeatChange {
    /// It is in force, and announced to the peer if it was not in force before.
    InForce,
    /// It is larger than the one in force, or zero: the rule only ever lowers, so it has to wait
    /// for the next connection. Nothing has changed.
    NextConnection,
}

/// What the receiving half has to take over.
#[derive(Debug, Default)]
pub(crate) struct PendingChanges {
    /// A heartbeat-time that was set, what was in force before it, and when.
    pub(super) lowered: Option<Lowered>,
    /// The largest slack that was set, the last one, and when the first was set.
    pub(super) slack: Option<(Duration, Duration, Time)>,
    /// A stall of our own process that was found in a write.
    pub(super) stalled: Option<Duration>,
    /// The peer's heartbeats come, and it does not read: how old ours are that it should have read.
    pub(super) not_reading: Option<Duration>,
    /// The queue has become high or low.
    pub(super) crossing: Option<Crossing>,
}

/// Values that were set, as one. The first of them binds the peer too, once it has announced it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowered {
    pub(super) from: Option<Duration>,
    pub(super) first: Duration,
    pub(super) to: Duration,
    pub(super) at: Time,
}

impl PendingChanges {
    pub(super) fn is_empty(&self) -> bool {
        let Self { lowered, slack, stalled, not_reading, crossing } = self;
        let is_quiet = stalled.is_none() && not_reading.is_none() && crossing.is_none();
        is_quiet && lowered.is_none() && slack.is_none()
    }

    /// A heartbeat-time was set.
    pub(super) fn lower(&mut self, from: Option<Duration>, to: Duration, at: Time) {
        // What has not been taken over yet and this are one change.
        let first = self.lowered.unwrap_or(Lowered { from, first: to, to, at });
        self.lowered = Some(Lowered { to, ..first });
    }

    /// A slack was set.
    pub(super) fn set_slack(&mut self, slack: Duration, now: Time) {
        let (greatest, _, at) = self.slack.unwrap_or((slack, slack, now));
        self.slack = Some((greatest.max(slack), slack, at));
    }
}
