//! A smaller heartbeat-time for a living link.
//!
//! It is in force for sending at once, and announced at once (H1). The peer can be held to it only
//! after it had time to hear of it: one old limit after the kernel took the announcement. Until
//! then both verdicts, on silence and on a stuck write, go by the old limit, so that no change
//! kills a healthy peer (lesson 8). The sender thread records the instant; the reader takes it over
//! at its next wake, and its waits end before that instant.
//!
//! Invariant: a value in force only ever becomes smaller.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::{Shared, State};
use super::{DownReason, Link, Options, Stream};
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

/// A value of the program's on its way into force.
#[derive(Clone, Debug)]
pub(super) struct Lowering {
    /// What was in force before.
    pub(super) from: Option<Duration>,
    pub(super) value: Duration,
    /// The limit that holds until `until`; `None` = there was none.
    old_limit: Option<Duration>,
    /// When the peer can be held to the value; not known before the announcement is written.
    until: Option<Time>,
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Sets the heartbeat-time of the living link, where `value` is smaller than the one in force.
    ///
    /// It is in force for sending and announced at once. For receiving it is in force one old limit
    /// after the announcement was written, or as soon as the peer announces the same. The reader
    /// tells [`Event::HeartbeatTime`](super::Event::HeartbeatTime) with cause `Local` at its next
    /// wake: when bytes arrive, at the latest before the old limit. Where no heartbeat-time was in
    /// force the reader looks every 5 s, so that the first limit can be that much late. Where
    /// negotiation is off nothing tells the peer, and only our sending changes.
    ///
    /// Where the values were [given](crate::liveness::Settings::given) by the protocol, the peer
    /// does not hear of it, so that only our own sending follows.
    ///
    /// # Errors
    /// The reason, where the link has ended.
    pub fn set_heartbeat_time(&self, value: Duration) -> Result<HeartbeatChange, DownReason> {
        let shared = self.shared();
        let mut state = shared.lock();
        if let Some(reason) = state.reason.as_ref().or(state.broken.as_ref()) {
            return Err(reason.clone());
        }
        let held = state.pulse.in_force();
        let old_limit = state.limit(&shared.options, shared.clock.now());
        if state.pulse.lower(value) {
            if shared.options.liveness.given.is_some() {
                shared.wake_sender(&mut state);
                return Ok(HeartbeatChange::InForce);
            }
            let value = state.pulse.in_force().unwrap_or(value);
            // A change that has not been told yet and this one are told as one.
            let untold = |before: &Lowering| {
                before.until.is_none() || shared.lowered.load(Ordering::Relaxed)
            };
            let from = match state.lowering.as_ref().filter(|before| untold(before)) {
                Some(before) => before.from,
                None => held,
            };
            state.lowering = Some(Lowering { from, value, old_limit, until: None });
            shared.wake_sender(&mut state);
            return Ok(HeartbeatChange::InForce);
        }
        match held {
            Some(held) if held.as_millis() == value.as_millis() => Ok(HeartbeatChange::InForce),
            _ => Ok(HeartbeatChange::NextConnection),
        }
    }
}

impl<S: Stream, F: Framing> Shared<S, F> {
    /// Records that a heartbeat carrying `value` was written whole at `now`.
    pub(super) fn handle_announced(&self, state: &mut State<S>, value: Duration, now: Time) {
        let Some(lowering) = &mut state.lowering else { return };
        if lowering.until.is_none() && value <= lowering.value {
            let first = lowering.value.saturating_add(self.options.liveness.slack);
            lowering.until = Some(now + lowering.old_limit.unwrap_or(first));
            self.lowered.store(true, Ordering::Relaxed);
        }
    }

    /// The value that was announced since the last call, what was in force before it, and from when
    /// on the peer can be held to it. For the reader.
    pub(super) fn take_lowered(&self) -> Option<(Duration, Option<Duration>, Time)> {
        if !self.lowered.load(Ordering::Relaxed) {
            return None;
        }
        // Under the lock, where a value set in this moment asks whether the last one is told.
        let state = self.lock();
        self.lowered.store(false, Ordering::Relaxed);
        let lowering = state.lowering.as_ref()?;
        Some((lowering.value, lowering.from, lowering.until?))
    }
}

impl<S> State<S> {
    /// How long a write may be stuck at `now`; `None` without a value in force. Where the
    /// directions were given values of their own, the greater one counts.
    pub(super) fn limit(&self, options: &Options, now: Time) -> Option<Duration> {
        match &self.lowering {
            Some(Lowering { until, old_limit, .. }) if until.is_none_or(|until| now < until) => {
                *old_limit
            }
            _ => {
                let value = match options.liveness.given {
                    Some(given) => given.send.max(given.expect).filter(|value| !value.is_zero()),
                    None => self.pulse.in_force(),
                };
                Some(value?.saturating_add(options.liveness.slack))
            }
        }
    }
}
