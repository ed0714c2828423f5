//! What a program sets on a living connection, and what the receiving half must take over of it.
//!
//! The rules are `liveness`'s; here is who learns of them.

use std::time::Duration;

use super::Outgoing;
use crate::connection::change::{HeartbeatChange, PendingChanges};
use crate::connection::down::DownReason;
use crate::connection::trace::Step;
use crate::liveness::Time;
use crate::protocol::Framing;

impl<F: Framing> Outgoing<F> {
    /// Sets the heartbeat-time at `now`, if it is smaller than the one in force.
    pub(crate) fn set_heartbeat_time(
        &mut self,
        value: Duration,
        now: Time,
    ) -> Result<HeartbeatChange, DownReason> {
        if let Some(reason) = self.phase.refusal() {
            return Err(reason.clone());
        }
        let held = self.timer.in_force();
        if self.timer.lower(value, now) {
            let to = self.timer.in_force().unwrap_or(value);
            self.set = Some(to);
            self.trace.add(now, || Step::ValueSet { value });
            if self.settings.negotiates() {
                self.changes.lower(held, to, now);
            }
            return Ok(HeartbeatChange::InForce);
        }
        match held {
            Some(held) if held.as_millis() == value.as_millis() => Ok(HeartbeatChange::InForce),
            _ => Ok(HeartbeatChange::NextConnection),
        }
    }

    /// Sets the slack at `now`.
    pub(crate) fn set_slack(&mut self, slack: Duration, now: Time) -> Result<(), DownReason> {
        if let Some(reason) = self.phase.refusal() {
            return Err(reason.clone());
        }
        self.timer.set_slack(slack, now);
        self.trace.add(now, || Step::SlackSet { slack });
        self.changes.set_slack(slack, now);
        Ok(())
    }

    /// Whether there is something for the receiving half to take over.
    pub(crate) fn has_changes(&self) -> bool {
        self.has_crossed() || !self.changes.is_empty()
    }

    /// Whether the queue has become high or low.
    #[inline]
    pub(crate) fn has_crossed(&self) -> bool {
        self.fill.has_crossed()
    }

    /// What the receiving half must take over.
    pub(crate) fn take_changes(&mut self) -> PendingChanges {
        self.changes.crossing = self.fill.take(self.pending());
        std::mem::take(&mut self.changes)
    }
}
