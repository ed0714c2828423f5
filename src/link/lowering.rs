//! A smaller heartbeat-time, or another slack, for a living link.
//!
//! The heartbeat-time is in force for sending at once, and announced at once (H1). The peer can be
//! held to it only after it had time to hear of it: one old limit after the kernel took the
//! announcement. Until then both verdicts, on silence and on a stuck write, go by the old one. The
//! slack is ours alone: a greater one holds at once, a smaller one for what begins after it was
//! set. So no change kills a healthy peer (lesson 8).
//!
//! The reader owns the watch and takes over what was set at its next wake, which is never later
//! than the old limit; until it has, the sender thread leaves every verdict to it.
//!
//! Invariant: a heartbeat-time in force only ever becomes smaller.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::shared::{Shared, State};
use super::{DownReason, Link, Options, Stream};
use crate::liveness::{Settings, Time};
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
    /// The value whose limit holds until `until`; `None` = there was no limit.
    old_value: Option<Duration>,
    /// When the peer can be held to the value; not known before the announcement is written.
    until: Option<Time>,
    /// The reader has taken it over.
    told: bool,
}

/// What the reader has to take over.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// A heartbeat-time that was announced, what was in force before it, and from when on the peer
    /// can be held to it.
    pub(super) lowered: Option<(Duration, Option<Duration>, Time)>,
    /// The greatest slack that was set, and the last one.
    pub(super) slack: Option<(Duration, Duration)>,
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
        let old_value = state.judged_by(&shared.options, shared.clock.now());
        if state.pulse.lower(value) {
            if shared.options.liveness.given.is_some() {
                shared.wake_sender(&mut state);
                return Ok(HeartbeatChange::InForce);
            }
            let value = state.pulse.in_force().unwrap_or(value);
            // A change that has not been told yet and this one are told as one.
            let from = match state.lowering.as_ref().filter(|before| !before.told) {
                Some(before) => before.from,
                None => held,
            };
            state.lowering = Some(Lowering { from, value, old_value, until: None, told: false });
            shared.wake_sender(&mut state);
            return Ok(HeartbeatChange::InForce);
        }
        match held {
            Some(held) if held.as_millis() == value.as_millis() => Ok(HeartbeatChange::InForce),
            _ => Ok(HeartbeatChange::NextConnection),
        }
    }

    /// Sets the slack of the living link: what we forgive the peer. It is never sent.
    ///
    /// A greater one holds at once. A smaller one holds for what begins after this call: a silence
    /// from the next byte that arrives, a stuck write once one old limit has passed. So a peer that
    /// kept to the old limit is not killed for the new one, and one that is gone already is found
    /// out by the old one. What counts as a stall of our own follows the slack.
    ///
    /// # Errors
    /// The reason, where the link has ended.
    pub fn set_slack(&self, slack: Duration) -> Result<(), DownReason> {
        let shared = self.shared();
        let mut state = shared.lock();
        if let Some(reason) = state.reason.as_ref().or(state.broken.as_ref()) {
            return Err(reason.clone());
        }
        let now = shared.clock.now();
        let old = state.slack_at(now);
        state.old_slack = (slack < old).then(|| {
            let limit = state.limit(&shared.options, now);
            (old, now + limit.unwrap_or(old))
        });
        state.untold_slack = state.untold_slack.max(Some(slack));
        state.slack = slack;
        shared.untold.store(true, Ordering::Release);
        Ok(())
    }

    /// The slack that was set last, else the one of [`Options::liveness`].
    pub fn slack(&self) -> Duration {
        self.shared().lock().slack
    }
}

impl<S: Stream, F: Framing> Shared<S, F> {
    /// Records that a heartbeat carrying `value` was written whole at `now`.
    pub(super) fn handle_announced(&self, state: &mut State<S>, value: Duration, now: Time) {
        let slack = state.slack_at(now);
        let Some(lowering) = &mut state.lowering else { return };
        if lowering.until.is_none() && value <= lowering.value {
            let old_value = lowering.old_value.unwrap_or(lowering.value);
            lowering.until = Some(now + old_value.saturating_add(slack));
            self.untold.store(true, Ordering::Release);
        }
    }

    /// What the program has set since the last call. For the reader.
    pub(super) fn take_changes(&self) -> Option<Changes> {
        if !self.untold.load(Ordering::Relaxed) || !self.untold.swap(false, Ordering::Acquire) {
            return None;
        }
        let mut state = self.lock();
        let last = state.slack;
        let slack = state.untold_slack.take().map(|greatest| (greatest, last));
        let lowered = state.lowering.as_mut().filter(|lowering| !lowering.told);
        let lowered = lowered.and_then(|lowering| {
            let until = lowering.until?;
            lowering.told = true;
            Some((lowering.value, lowering.from, until))
        });
        Some(Changes { lowered, slack })
    }
}

impl<S> State<S> {
    /// How long a write may be stuck at `now`; `None` without a value in force.
    pub(super) fn limit(&self, options: &Options, now: Time) -> Option<Duration> {
        Some(self.judged_by(options, now)?.saturating_add(self.slack_at(now)))
    }

    /// The slack by which a stuck write is judged at `now`.
    pub(super) fn slack_at(&self, now: Time) -> Duration {
        match self.old_slack {
            Some((old, until)) if now < until => old,
            _ => self.slack,
        }
    }

    /// How late a wait of ours may end before it counts as a stall.
    pub(super) fn stall_tolerance(&self, options: &Options) -> Duration {
        Settings { slack: self.slack, ..options.liveness }.stall_tolerance()
    }

    /// The heartbeat-time by which a stuck write is judged at `now`. Where the directions were
    /// given values of their own, the greater one counts.
    pub(super) fn judged_by(&self, options: &Options, now: Time) -> Option<Duration> {
        match &self.lowering {
            Some(Lowering { until, old_value, .. }) if until.is_none_or(|until| now < until) => {
                *old_value
            }
            _ => match options.liveness.given {
                Some(given) => given.send.max(given.expect).filter(|value| !value.is_zero()),
                None => self.pulse.in_force(),
            },
        }
    }
}
