//! The receiving half: when the peer's silence is late, and when it kills.
//!
//! Owned by the reading side of a link. Silence is counted from the last byte *read*, and only
//! while somebody was there to read it: the time for which our own handler held the reader is not
//! the peer's (lesson 32), and neither is the time for which our process was stopped (lesson 33).
//! Attempts to read move nothing (lesson 28), and nothing is counted over a lifetime (lesson 27).
//!
//! Invariant: a verdict is never passed before the limit, to the nanosecond.

use std::time::Duration;

use super::{Settings, Time, whole_millis};

/// Decides when the peer is late, and when it is gone.
#[derive(Clone, Debug)]
pub struct SilenceTimer {
    settings: Settings,
    in_force: Option<Duration>,
    received: Option<Duration>,
    /// A smaller limit of our own making that waits until the peer had time to hear of it.
    shorter: Option<(Duration, Time)>,
    /// A smaller slack, for the silences that begin from now on.
    smaller_slack: Option<Duration>,
    last_received: Time,
    /// For how long of this silence our own handler held the reader.
    held: Duration,
    /// No verdict before this instant: we were stopped and are catching up. One a silence.
    grace: Option<Time>,
    late: bool,
    clamp_reported: bool,
    flood: Flood,
}

/// What [`SilenceTimer::poll`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All is well; ask again at `next` if nothing arrives before, [`Time::NEVER`] = no need.
    Wait {
        /// The next instant at which the answer changes by time alone.
        next: Time,
    },
    /// Silence has passed the heartbeat-time in force and half the slack. Said once a silence.
    Late {
        /// How long the peer has been silent.
        silence: Duration,
    },
    /// Silence has reached the limit: the peer is gone (H4).
    Silent {
        /// How long the peer has been silent.
        silence: Duration,
        /// The limit it reached.
        limit: Duration,
    },
}

/// What a heartbeat of the peer's changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartbeatOutcome {
    /// The value in force changed.
    pub adopted: Option<Change>,
    /// The peer asked for less than our floor and got the floor; said once a connection.
    pub clamped: Option<Duration>,
    /// The peer sends more than ten heartbeats a floor interval; said once a connection, never a
    /// reason to kill (lesson 7).
    pub flooding: bool,
}

/// A change of the heartbeat-time in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What was in force before; `None` = nothing.
    pub from: Option<Duration>,
    /// What is in force now.
    pub to: Duration,
}

impl SilenceTimer {
    /// Starts with the link's establishment at `now`; silence counts from there.
    pub fn new(settings: &Settings, now: Time) -> Self {
        Self {
            settings: *settings,
            in_force: settings.expects_by(),
            received: None,
            shorter: None,
            smaller_slack: None,
            last_received: now,
            held: Duration::ZERO,
            grace: None,
            late: false,
            clamp_reported: false,
            flood: Flood { since: now, count: 0, allowed: FLOOD, reported: false },
        }
    }

    /// Records that bytes from the peer arrived at `now`, and returns how long the silence was
    /// where it had been reported as late.
    ///
    /// Data, heartbeats and parts of either count alike (H4): silence is measured from the last
    /// byte, so a large frame on a slow link is life (lesson 25).
    #[inline]
    pub fn handle_received(&mut self, now: Time) -> Option<Duration> {
        let silence = now.since(self.last_received);
        self.last_received = self.last_received.max(now);
        self.held = Duration::ZERO;
        self.grace = None;
        self.settings.slack = self.smaller_slack.take().unwrap_or(self.settings.slack);
        std::mem::take(&mut self.late).then_some(silence)
    }

    /// Records that our own handler held the reader for `held` since the last byte: nobody was
    /// there to read, so that time is not the peer's silence (lesson 32).
    #[inline]
    pub fn handle_held(&mut self, held: Duration) {
        self.held = self.held.saturating_add(held);
        // Nor does it use up the grace after a stall.
        self.grace = self.grace.map(|grace| grace + held);
    }

    /// Records the value of a heartbeat that arrived at `now` (H2).
    pub fn handle_heartbeat(&mut self, received_ms: u32, now: Time) -> HeartbeatOutcome {
        let flooding = self.flood.count(now, self.settings.floor());
        let mut heard = HeartbeatOutcome { flooding, ..HeartbeatOutcome::default() };
        let Some(raised) = self.settings.raised(received_ms) else { return heard };
        let asked = Duration::from_millis(received_ms.into());
        self.received = Some(asked);
        let asks_for_less = self.in_force.is_none_or(|held| asked < held);
        if asked < raised && asks_for_less && !self.clamp_reported {
            self.clamp_reported = true;
            heard.clamped = Some(asked);
        }
        if self.in_force.is_none_or(|held| raised < held) {
            let from = self.in_force.replace(raised);
            heard.adopted = Some(Change { from, to: raised });
        }
        heard
    }

    /// Records that a wait that should have ended at `until` ended at `now`; told before the bytes
    /// that it brought, if any.
    ///
    /// Where that is later than [`Settings::stall_tolerance`] allows we were stopped ourselves: the
    /// peer gets one more slack, once a silence, and the lateness is returned to be reported.
    #[inline]
    pub fn handle_waited(&mut self, until: Time, now: Time) -> Option<Duration> {
        let late = now.since(until);
        if late <= self.settings.stall_tolerance() {
            return None;
        }
        // The verdict that stands is the one of the limit in force by now.
        self.take_shorter(now);
        // A short stall early in a silence leaves the verdict where it is, and must not use up what
        // a long one later on will need.
        let grace = now + self.settings.slack;
        if self.grace.is_none() && grace > self.silent_at() {
            self.grace = Some(grace);
        }
        Some(late)
    }

    /// Lowers what we expect of the peer to `value` from the instant `from` on: one old limit after
    /// the announcement was written, when the peer can be held to it. Greater values change
    /// nothing, nor does zero. Of two that wait, the smaller one stays, with its own instant: until
    /// then the peer has the benefit of the old limit. Where negotiation is off nothing tells the
    /// peer, so nothing changes.
    pub fn lower_from(&mut self, value: Duration, from: Time) {
        if !self.settings.negotiates() {
            return;
        }
        let Some(value) = whole_millis(value) else { return };
        if self.shorter.is_none_or(|(waiting, _)| value < waiting) {
            self.shorter = Some((value, from));
        }
    }

    /// Sets the slack while connected. A greater one holds at once; a smaller one from the next
    /// byte that arrives: a silence is never judged by less than it began with, so no change kills
    /// a healthy peer (lesson 8), and a dead one is gone by the old limit. Where several are set in
    /// one silence, the last one is for the next. [`Settings::stall_tolerance`] follows the slack.
    pub fn set_slack(&mut self, slack: Duration) {
        self.smaller_slack = Some(slack).filter(|slack| *slack < self.settings.slack);
        self.settings.slack = self.settings.slack.max(slack);
    }

    /// Says what silence means at `now`. Bytes that the kernel holds must have been read first.
    #[inline]
    pub fn poll(&mut self, now: Time) -> Verdict {
        let takes_over = self.take_shorter(now);
        let (Some(in_force), Some(limit)) = (self.in_force, self.limit()) else {
            return Verdict::Wait { next: takes_over };
        };
        let silence = now.since(self.last_received);
        let silent_at = self.silent_at();
        if now >= silent_at {
            return Verdict::Silent { silence, limit };
        }
        let late_at = self.counted_from() + in_force + self.settings.slack / 2;
        if now >= late_at && !self.late {
            self.late = true;
            return Verdict::Late { silence };
        }
        let next = if self.late { silent_at } else { silent_at.min(late_at) };
        Verdict::Wait { next: next.min(takes_over) }
    }

    /// The instant at which silence reaches the limit if nothing arrives; [`Time::NEVER`] without a
    /// limit.
    #[inline]
    pub fn silent_at(&self) -> Time {
        let Some(limit) = self.limit() else { return Time::NEVER };
        (self.counted_from() + limit).max(self.grace.unwrap_or(Time::ZERO))
    }

    /// Heartbeat-time in force + slack; `None` before there is a value.
    #[inline]
    pub fn limit(&self) -> Option<Duration> {
        Some(self.in_force?.saturating_add(self.settings.slack))
    }

    /// The slack by which the present silence is judged.
    pub fn slack(&self) -> Duration {
        self.settings.slack
    }

    /// How long the peer has been silent at `now` while somebody was there to hear it: what the
    /// limit is compared with.
    #[inline]
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.counted_from())
    }

    /// The heartbeat-time in force.
    pub fn in_force(&self) -> Option<Duration> {
        self.in_force
    }

    /// What the peer last asked for, as it came.
    pub fn received(&self) -> Option<Duration> {
        self.received
    }

    /// When the last byte arrived; the start of the link where none did.
    pub fn last_received(&self) -> Time {
        self.last_received
    }

    #[inline]
    fn counted_from(&self) -> Time {
        self.last_received + self.held
    }

    /// Puts a waiting shorter value in force once its time has come, else says when it comes.
    #[inline]
    fn take_shorter(&mut self, now: Time) -> Time {
        match self.shorter {
            Some((_, from)) if now < from => from,
            Some((value, _)) => {
                self.shorter = None;
                self.in_force = Some(self.in_force.map_or(value, |held| held.min(value)));
                Time::NEVER
            }
            None => Time::NEVER,
        }
    }
}

/// Counts heartbeats in windows of one floor interval.
#[derive(Clone, Debug)]
struct Flood {
    since: Time,
    count: u32,
    /// How many this window may hold.
    allowed: u32,
    reported: bool,
}

impl Flood {
    /// Counts one and says whether this is the one to report.
    fn count(&mut self, now: Time, window: Duration) -> bool {
        let windows = now.since(self.since).as_nanos() / window.as_nanos();
        if windows > 0 {
            (self.since, self.count) = (now, 0);
            // After a pause, what the peer sent in good order meanwhile may come all at once: we
            // were stopped, or our handler slept.
            self.allowed = FLOOD.saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX));
        }
        self.count = self.count.saturating_add(1);
        let first = self.count > self.allowed && !self.reported;
        self.reported |= first;
        first
    }
}

/// Heartbeats a floor interval that nobody who keeps the rules sends.
const FLOOD: u32 = 10;
