//! What the invariants say about an end: whether it was time for it, whether its account is true,
//! and whether all that was lost is counted.
//!
//! It judges from the [account](super::account) that was kept of the record, and keeps nothing.

use std::time::Duration;

use super::Invariant;
use super::account::{Account, Judged, STOPS_KEPT, broken};
use crate::connection::{Down, DownReason};
use crate::liveness::Time;

impl Account {
    /// Both ends are down: what the peer did not receive from us is counted, here or there.
    pub(super) fn judge_loss(&self, other: &Self) -> Judged {
        let (Some(ours), Some(theirs)) = (&self.down, &other.down) else { return Ok(()) };
        if other.corrupted {
            return Ok(());
        }
        let lost = self.sent.len() as u64;
        let (unsent, undelivered) = (ours.unsent_frames, theirs.undelivered_frames);
        if unsent + undelivered > lost {
            let detail = format!("{unsent} unsent, {undelivered} not handed on, of {lost} lost");
            return broken(Invariant::NothingLost, detail);
        }
        // In order: arrived there and not handed on, under way, not sent.
        let between = self.sent.iter().skip(undelivered as usize);
        let between = between.take((lost - unsent - undelivered) as usize);
        let bytes: u64 = between.map(|message| message.len() as u64 + 5).sum();
        // A changed echo may have confirmed what was not read. And a peer that gives up by itself
        // while our goodbye is on its way looks like one that answers it.
        let is_answer = matches!(theirs.reason, DownReason::Closed { .. });
        let looks_read = self.saw_end == Some(true) && !is_answer;
        let reported = ours.unconfirmed_bytes.filter(|_| !self.corrupted && !looks_read);
        if reported.is_some_and(|unconfirmed| bytes > unconfirmed) {
            let detail = format!("{bytes} bytes lost under way, {reported:?} unconfirmed");
            return broken(Invariant::NothingLost, detail);
        }
        Ok(())
    }

    pub(super) fn handle_end_read(&mut self) {
        self.saw_end = Some(self.pending == 0 && self.wrote_ending > 0);
    }

    /// The queue was reported as high or low.
    pub(super) fn judge_fill(&mut self, is_high: bool) -> Judged {
        if std::mem::replace(&mut self.is_high, is_high) == is_high {
            return broken(Invariant::QueueAlternates, format!("twice the same: high {is_high}"));
        }
        Ok(())
    }

    /// When a close is given up, at the earliest.
    fn closes_at(&self) -> Time {
        let (timeout, max) = self.close;
        (self.last_wrote.max(self.ended_at) + timeout).min(self.ended_at + max)
    }

    /// The end has come: is its account true?
    pub(super) fn judge_account(&self, at: Time, down: &Down) -> Judged {
        let ended_at = if self.reason.is_some() { self.ended_at } else { at };
        let silence = ended_at.since(self.last_read);
        let (limit, value) = (self.silence.limit, self.in_force);
        if (down.limit, down.heartbeat_time, down.silence) != (limit, value, silence) {
            let detail = format!(
                "its account is not of this link: limit {:?}, heartbeat-time {:?}, silence {:?}; \
                 in force were {limit:?} and {value:?}, and the silence was {silence:?}",
                down.limit, down.heartbeat_time, down.silence
            );
            return broken(Invariant::NothingLeaks, detail);
        }
        let (bytes, messages) = (self.pending + self.wrote_ending, self.sent.len() as u64);
        if down.unsent_bytes > bytes || down.unsent_frames > messages {
            let detail = format!(
                "{} messages of {} bytes reported as unsent; {messages} messages and {bytes} bytes \
                 are missing",
                down.unsent_frames, down.unsent_bytes
            );
            return broken(Invariant::NothingLost, detail);
        }
        let is_close = matches!(&down.reason, DownReason::Local { .. });
        // What is still handed on is watched as well: a peer that is silent for the limit is gone.
        let until = self.closes_at().min(self.silence.reached_at());
        if is_close && self.saw_end.is_none() && at < until {
            let detail = format!("given up at {at:?}, not before {until:?}");
            return broken(Invariant::OrderlyClose, detail);
        }
        Ok(())
    }

    /// The end has come: was it time for a death?
    pub(super) fn judge_death(&self, at: Time, reason: &DownReason) -> Judged {
        let running = match reason {
            DownReason::Silent => self.silence,
            DownReason::WriteStalled { .. } => self.stuck,
            DownReason::Protocol(_) if !self.corrupted => {
                return broken(Invariant::NoFalseDeath, "good bytes refused");
            }
            _ => return Ok(()),
        };
        let silent = *reason == DownReason::Silent;
        if running.limit.is_none() {
            return broken(Invariant::NoFalseDeath, "dead of a limit while none is in force");
        }
        if silent && self.unread > 0 {
            return broken(Invariant::NoFalseDeath, "dead with bytes unread");
        }
        if !silent && self.pending == 0 {
            return broken(Invariant::NoFalseDeath, "stuck with nothing to write");
        }
        let dead_at = running.reached_at();
        if at < dead_at {
            return broken(Invariant::NoFalseDeath, format!("dead at {at:?}, before {dead_at:?}"));
        }
        let tolerance = self.settings.slack.div_f64(2.0).max(Duration::from_millis(250));
        let began = if silent { self.last_read } else { self.moved };
        let mut long =
            self.stops.iter().filter(|stop| stop.0 >= began && stop.1.since(stop.0) > tolerance);
        let Some((from, until, slack)) = long.next() else { return Ok(()) };
        let counts = (!self.was_held || !silent) && self.stops.len() < STOPS_KEPT;
        let over_it = *from <= dead_at && *until > dead_at + tolerance + self.granularity;
        // A slack that is set later does not change what was granted.
        if counts && over_it && at < *until + self.settings.slack.min(*slack) {
            return broken(
                Invariant::NoFalseDeath,
                format!("dead after our own stop until {until:?}"),
            );
        }
        Ok(())
    }
}
