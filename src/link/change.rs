//! A smaller heartbeat-time, or another slack, for a living link.
//!
//! What holds from when on is a rule of liveness (H4). The sending half follows at once, under the
//! lock; the reader owns the other half and takes over what was set at its next wake, which is
//! never later than the old limit. Until it has, the sender thread leaves every verdict to it.
//!
//! Invariant: a heartbeat-time in force only ever becomes smaller.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::handle::Link;
use super::shared::Shared;
use super::stream::Stream;
use crate::connection::DownReason;
use crate::liveness::Time;
use crate::protocol::Framing;

/// What became of a heartbeat-time that the program set on a living link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum HeartbeatChange {
    /// It is in force, and announced to the peer if it was not in force before.
    InForce,
    /// It is larger than the one in force, or zero: the rule only ever lowers, so it has to wait
    /// for the next connection. Nothing has changed.
    NextConnection,
}

/// What the reader has to take over.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// A heartbeat-time that was set, what was in force before it, and when.
    pub(super) lowered: Option<Lowered>,
    /// The greatest slack that was set, the last one, and when the first was set.
    pub(super) slack: Option<(Duration, Duration, Time)>,
    /// A stall of ours that the sender thread found.
    pub(super) stalled: Option<Duration>,
}

/// Values that were set, as one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lowered {
    pub(super) from: Option<Duration>,
    pub(super) to: Duration,
    pub(super) at: Time,
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Sets the heartbeat-time of the living link, if `value` is smaller than the one in force.
    ///
    /// It is in force for sending and announced at once. The peer is held to it once it has
    /// announced a value that is not greater, which it does as soon as it hears; until then the old
    /// limit holds, or one of 10 s + slack if there was none. The reader reports
    /// [`Event::HeartbeatTime`](crate::connection::Event::HeartbeatTime) with cause `Local` at its
    /// next wake: when bytes arrive, at the latest before the old limit, or within 5 s.
    ///
    /// If the values were [given](crate::liveness::Settings::given) by the protocol, the peer does
    /// not hear of it, so that only our own sending follows.
    ///
    /// # Errors
    /// The reason, if the link has ended.
    pub fn set_heartbeat_time(&self, value: Duration) -> Result<HeartbeatChange, DownReason> {
        let shared = self.shared();
        let mut state = shared.lock();
        if let Some(reason) = state.reason.as_ref().or(state.broken.as_ref()) {
            return Err(reason.clone());
        }
        let now = shared.clock.now();
        let held = state.pulse.in_force();
        if state.pulse.lower(value, now) {
            if shared.options.liveness.negotiates() {
                let to = state.pulse.in_force().unwrap_or(value);
                state.set = Some(to);
                // What the reader has not taken over yet and this are one change.
                let first = state.changes.lowered.unwrap_or(Lowered { from: held, to, at: now });
                state.changes.lowered = Some(Lowered { to, ..first });
                shared.changed_by_program.store(true, Ordering::Release);
            }
            shared.wake_sender(&mut state);
            return Ok(HeartbeatChange::InForce);
        }
        match held {
            Some(held) if held.as_millis() == value.as_millis() => Ok(HeartbeatChange::InForce),
            _ => Ok(HeartbeatChange::NextConnection),
        }
    }

    /// Sets the slack of the living link: what we allow the peer. It is never sent.
    ///
    /// A greater one holds at once. A smaller one holds for what begins after this call: a silence
    /// from the next byte that arrives, a stuck write from the next byte that the kernel takes. So
    /// a peer that kept to the old limit is not killed for the new one, and one that is gone
    /// already is found out by the old one. What counts as a stall of our own follows the slack.
    ///
    /// # Errors
    /// The reason, if the link has ended.
    pub fn set_slack(&self, slack: Duration) -> Result<(), DownReason> {
        let shared = self.shared();
        let mut state = shared.lock();
        if let Some(reason) = state.reason.as_ref().or(state.broken.as_ref()) {
            return Err(reason.clone());
        }
        let now = shared.clock.now();
        state.pulse.set_slack(slack, now);
        let (greatest, _, at) = state.changes.slack.unwrap_or((slack, slack, now));
        state.changes.slack = Some((greatest.max(slack), slack, at));
        shared.changed_by_program.store(true, Ordering::Release);
        Ok(())
    }

    /// The slack that was set last, else the one of [`Options::liveness`](super::Options).
    pub fn slack(&self) -> Duration {
        self.shared().lock().pulse.slack()
    }
}

impl<S: Stream, F: Framing> Shared<S, F> {
    /// What was set since the last call. For the reader.
    pub(super) fn take_changes(&self) -> Option<Changes> {
        let flag = &self.changed_by_program;
        if !flag.load(Ordering::Relaxed) || !flag.swap(false, Ordering::Acquire) {
            return None;
        }
        Some(std::mem::take(&mut self.lock().changes))
    }
}
