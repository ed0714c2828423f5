//! The receiving half: after how much silence the peer is late, and after how much it is down.
//!
//! Owned by the reading side of a link. Silence is counted from the last byte *read*, and only
//! while this side was able to read it: the time for which our own handler held the reader does not
//! count, and neither does the time for which our process was stopped. Attempts to read change
//! nothing, and nothing is counted over a lifetime.
//!
//! Invariant: a verdict is never passed before the limit, to the nanosecond.

use std::time::Duration;

use super::limit::Limit;
use super::promise::Promise;
use super::{Settings, Time};

/// Decides when the peer is late, and when it is gone.
///
/// ```
/// use peerbeat::liveness::{Settings, SilenceTimer, Time, Verdict};
/// use std::time::Duration;
///
/// let settings = Settings::default().heartbeat_time(Duration::from_secs(1));
/// let mut timer = SilenceTimer::new(&settings, Time::ZERO);
/// let heard = Time::ZERO + Duration::from_millis(400);
/// timer.handle_received(heard);
/// assert_eq!(timer.silent_at(), heard + Duration::from_secs(3)); // 1 s and 2 s of slack
/// assert!(matches!(timer.poll(heard + Duration::from_secs(2)), Verdict::Late { .. }));
/// assert!(matches!(timer.poll(timer.silent_at()), Verdict::Silent { .. }));
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "timeout")]
#[doc(alias = "idle")]
pub struct SilenceTimer {
    /// The slack in it is the one that was set last.
    settings: Settings,
    promise: Promise,
    limit: Limit,
    received: Option<Duration>,
    last_received: Time,
    /// For how long of this silence our own handler held the reader.
    held: Duration,
    late: bool,
    clamp_reported: bool,
    flood: Flood,
}

/// What [`SilenceTimer::poll`] returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a verdict that is not looked at protects from nothing"]
pub enum Verdict {
    /// All is well; ask again at `next` if nothing arrives before, [`Time::NEVER`] = no need.
    Wait {
        /// The next instant at which the answer changes by time alone.
        next: Time,
    },
    /// Silence has passed the heartbeat-time in force and half the slack. Reported once per
    /// silence.
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

/// What a heartbeat from the peer changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartbeatOutcome {
    /// The value in force changed.
    pub adopted: Option<Change>,
    /// The peer asked for less than our floor and got the floor; reported once per connection.
    pub clamped: Option<Duration>,
    /// The peer sends more than ten heartbeats a floor interval; reported once per connection,
    /// never a reason to kill.
    pub flooding: bool,
}

/// A change of the heartbeat-time in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The value in force before; `None` = none.
    pub from: Option<Duration>,
    /// The value in force now.
    pub to: Duration,
}

impl SilenceTimer {
    /// Starts with the link's establishment at `now`; silence counts from there.
    pub fn new(settings: &Settings, now: Time) -> Self {
        let promise = match settings.negotiates() {
            true => Promise::new(settings.expects_by()),
            false => Promise::fixed(settings.expects_by(), settings.expects_by()),
        };
        Self {
            settings: *settings,
            limit: Limit::new(now, promise.promised(), settings.slack),
            promise,
            received: None,
            last_received: now,
            held: Duration::ZERO,
            late: false,
            clamp_reported: false,
            flood: Flood { since: now, count: 0, allowed: HEARTBEATS_MAX, reported: false },
        }
    }

    /// Records that bytes from the peer arrived at `now`, and returns how long the silence was if
    /// it had been reported as late.
    ///
    /// Data, heartbeats and parts of either count alike (H4): silence is measured from the last
    /// byte, so a large frame on a slow link is life.
    #[inline]
    pub fn handle_received(&mut self, now: Time) -> Option<Duration> {
        let silence = now.since(self.last_received);
        self.last_received = self.last_received.max(now);
        self.held = Duration::ZERO;
        self.limit.begin(self.last_received, self.promise.promised(), self.settings.slack);
        std::mem::take(&mut self.late).then_some(silence)
    }

    /// Records that our own handler held the reader for `held` since the last byte: nothing was
    /// there to read, so that time is not the peer's silence.
    #[inline]
    pub fn handle_held(&mut self, held: Duration) {
        self.held = self.held.saturating_add(held);
        self.limit.postpone(held);
    }

    /// Records the value of a heartbeat that arrived at `now` (H2), after
    /// [`handle_received`](Self::handle_received) for its bytes.
    pub fn handle_heartbeat(&mut self, received_ms: u32, now: Time) -> HeartbeatOutcome {
        let flooding = self.flood.count(now, self.settings.floor());
        HeartbeatOutcome { flooding, ..self.handle_announced(received_ms, now) }
    }

    /// Records the value that the peer announced in its HELLO, which is taken as a heartbeat that
    /// arrives with it would be.
    pub fn handle_announced(&mut self, received_ms: u32, now: Time) -> HeartbeatOutcome {
        let mut outcome = HeartbeatOutcome::default();
        let Some(raised) = self.settings.raised(received_ms) else { return outcome };
        let asked = Duration::from_millis(received_ms.into());
        self.received = Some(asked);
        let from = self.in_force();
        if asked < raised && from.is_none_or(|held| asked < held) && !self.clamp_reported {
            self.clamp_reported = true;
            outcome.clamped = Some(asked);
        }
        if self.promise.adopt(asked, raised) {
            outcome.adopted = Some(Change { from, to: raised });
        }
        self.limit.replace(now, self.promise.promised(), self.settings.slack);
        outcome
    }

    /// Records that a wait that should have ended at `until` ended at `now`, before the bytes that
    /// it brought, if any.
    ///
    /// If that is later than [`Settings::stall_tolerance`] allows we were stopped ourselves: the
    /// peer gets one more slack, once a silence, and the lateness is returned to be reported.
    #[inline]
    pub fn handle_waited(&mut self, until: Time, now: Time) -> Option<Duration> {
        let late = now.since(until);
        let slack = self.slack();
        if late <= (Settings { slack, ..self.settings }).stall_tolerance() {
            return None;
        }
        self.limit.grant(now, slack);
        Some(late)
    }

    /// Lowers the heartbeat-time in force on this side's own account, at `now`; returns whether it
    /// changed. Greater values change nothing, nor does zero.
    ///
    /// The peer is held to it once it has announced a value that is not larger. Until then the old
    /// promise holds, or 10 s if there was none, counted from now (H4). If negotiation is off
    /// the peer does not learn of it, so nothing changes.
    pub fn lower(&mut self, value: Duration, now: Time) -> bool {
        let Some(value) = self.settings.travels(value) else { return false };
        let lowers = self.promise.lower(value);
        self.limit.change(now, self.promise.promised(), self.settings.slack);
        lowers
    }

    /// Sets the slack while connected, at `now`. A larger one holds at once; a smaller one from
    /// the next byte that arrives: a silence is never judged by less than it began with, so no
    /// change kills a healthy peer, and a dead one is gone by the old limit. Of several
    /// that are set in one silence, the last one is for the next. [`Settings::stall_tolerance`]
    /// follows the slack.
    pub fn set_slack(&mut self, slack: Duration, now: Time) {
        self.settings.slack = slack;
        self.limit.change(now, self.promise.promised(), slack);
    }

    /// Returns what the silence means at `now`. Bytes that the kernel holds must have been read
    /// first.
    #[inline]
    pub fn poll(&mut self, now: Time) -> Verdict {
        let Some(parts) = self.limit.parts() else { return Verdict::Wait { next: Time::NEVER } };
        let silence = now.since(self.last_received);
        let silent_at = self.silent_at();
        if now >= silent_at {
            return Verdict::Silent { silence, limit: parts.sum() };
        }
        let late_at = self.limit.counts_from() + parts.promise + parts.slack / 2;
        if now >= late_at && !self.late {
            self.late = true;
            return Verdict::Late { silence };
        }
        Verdict::Wait { next: if self.late { silent_at } else { silent_at.min(late_at) } }
    }

    /// The instant at which silence reaches the limit if nothing arrives; [`Time::NEVER`] without a
    /// limit.
    #[inline]
    pub fn silent_at(&self) -> Time {
        self.limit.reached_at()
    }

    /// The limit by which the present silence is judged: promise + slack; `None` before there is a
    /// value.
    #[inline]
    pub fn limit(&self) -> Option<Duration> {
        Some(self.limit.parts()?.sum())
    }

    /// The promise of the peer in the present silence: the heartbeat-time in force, unless this
    /// side lowered that one and the peer has not announced it yet.
    pub fn promise(&self) -> Option<Duration> {
        Some(self.limit.parts()?.promise)
    }

    /// The slack by which the present silence is judged.
    #[inline]
    pub fn slack(&self) -> Duration {
        self.limit.parts().map_or(self.settings.slack, |parts| parts.slack)
    }

    /// How long the peer has been silent at `now` while this side was able to hear it: what the
    /// limit is compared with.
    #[inline]
    pub fn silence(&self, now: Time) -> Duration {
        now.since(self.last_received + self.held)
    }

    /// The heartbeat-time in force.
    pub fn in_force(&self) -> Option<Duration> {
        self.promise.in_force()
    }

    /// The value that the peer last asked for, as received.
    pub fn received(&self) -> Option<Duration> {
        self.received
    }

    /// When the last byte arrived; the start of the link if none did.
    pub fn last_received(&self) -> Time {
        self.last_received
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
    /// Counts one; returns true if this is the one to report.
    fn count(&mut self, now: Time, window: Duration) -> bool {
        let windows = now.since(self.since).as_nanos() / window.as_nanos();
        if windows > 0 {
            // After a pause, what the peer sent in good order meanwhile may come all at once: we
            // were stopped, or our handler slept. It may also come in several reads, so half of
            // what a long pause allowed and did not use is kept.
            let left = match self.allowed > 2 * HEARTBEATS_MAX {
                true => self.allowed.saturating_sub(self.count).min(self.allowed / 2),
                false => 0,
            };
            let windows = u32::try_from(windows).unwrap_or(u32::MAX);
            self.allowed = HEARTBEATS_MAX.saturating_mul(windows).saturating_add(left);
            (self.since, self.count) = (now, 0);
        }
        self.count = self.count.saturating_add(1);
        let first = self.count > self.allowed && !self.reported;
        self.reported |= first;
        first
    }
}

/// More heartbeats a floor interval than a peer that keeps the rules ever sends.
const HEARTBEATS_MAX: u32 = 10;
