//! The sending half: when a heartbeat is due, and which value it carries.
//!
//! Owned by the sending side of a link. It moves only when the kernel accepts bytes: never for what
//! was received, queued or attempted. Deadlines are computed from the last byte, not found by
//! polling, so no gap is longer than was promised, and a stall costs one heartbeat, not a burst of
//! them.

use std::time::Duration;

use super::limit::Limit;
use super::promise::Promise;
use super::{Mode, Settings, Time, whole_millis};

/// Decides when we must send, and when the peer has stopped reading what we send.
///
/// ```
/// use peerbeat::liveness::{HeartbeatTimer, Settings, Time};
/// use std::time::Duration;
///
/// let settings = Settings::default().heartbeat_time(Duration::from_secs(1));
/// let mut timer = HeartbeatTimer::new(&settings, Time::ZERO);
/// let first = timer.poll(Time::ZERO).expect("the value is announced at once");
/// timer.handle_heartbeat_sent(Duration::from_millis(first.value_ms().into()), Time::ZERO);
///
/// let sent = Time::ZERO + Duration::from_millis(400);
/// timer.handle_sent(sent); // the kernel took bytes of data
/// assert_eq!(timer.due(), sent + Duration::from_secs(1));
/// let due = timer.poll(timer.due()).expect("nothing else was sent");
/// assert_eq!(due.value_ms(), 1000);
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "keepalive")]
#[doc(alias = "ping")]
pub struct HeartbeatTimer {
    /// The slack in it is the one that was set last.
    settings: Settings,
    promise: Promise,
    /// Of the pending write; of no meaning while there is none.
    limit: Limit,
    /// Since when bytes wait of which the kernel has taken none.
    pending_since: Option<Time>,
    last_sent: Time,
    last_beat: Time,
    /// The value that the last heartbeat carried: an announcement is due while it differs from the
    /// value in force (H1).
    announced: Option<Duration>,
    /// No announcement before this instant: a peer that lowers its value with every heartbeat must
    /// not make us answer each one.
    announce_from: Time,
}

/// A heartbeat that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueHeartbeat {
    /// The value it must carry.
    pub value: Duration,
    /// It is due even if data is on its way: it carries a new value (H1), or the mode is
    /// [`Mode::Always`]. One that only fills an idle line yields to data.
    pub even_busy: bool,
}

impl DueHeartbeat {
    /// The value in the unit of the wire.
    pub fn value_ms(&self) -> u32 {
        u32::try_from(self.value.as_millis()).unwrap_or(u32::MAX)
    }
}

impl HeartbeatTimer {
    /// Starts with the link's establishment at `now`; if a heartbeat-time is configured, its
    /// announcement is due at once (H1).
    pub fn new(settings: &Settings, now: Time) -> Self {
        let promise = match settings.given {
            None => Promise::new(settings.sends_by()),
            // Which of the two the peer keeps while it does not read is not known.
            Some(_) => {
                let promised = settings.sends_by().max(settings.expects_by());
                Promise::fixed(settings.sends_by(), promised)
            }
        };
        Self {
            settings: *settings,
            limit: Limit::new(now, promise.promised(), settings.slack),
            promise,
            pending_since: None,
            last_sent: now,
            last_beat: now,
            announced: None,
            announce_from: now,
        }
    }

    /// Records that the kernel accepted bytes at `now`, parts of a frame included.
    /// [`handle_pending`](Self::handle_pending) follows if it did not take all.
    #[inline]
    pub fn handle_sent(&mut self, now: Time) {
        self.last_sent = self.last_sent.max(now);
        self.pending_since = None;
    }

    /// Records that bytes wait at `now` which the kernel has not taken: from then on it has the
    /// limit for the next one. Of no effect while bytes wait already.
    #[inline]
    pub fn handle_pending(&mut self, now: Time) {
        if self.pending_since.is_none() {
            self.pending_since = Some(now);
            self.limit.begin(now, self.promise.promised(), self.settings.slack);
        }
    }

    /// Records that nothing waits any more, without a byte having moved: what waited was dropped.
    pub fn handle_dropped(&mut self) {
        self.pending_since = None;
    }

    /// Records that a wait in a pending write, which should have ended at `until`, ended at `now`.
    ///
    /// If that is later than [`Settings::stall_tolerance`] allows we were stopped ourselves: the
    /// peer gets one more slack, once a pending write, and the lateness is returned to be reported.
    pub fn handle_write_waited(&mut self, until: Time, now: Time) -> Option<Duration> {
        let slack = self.limit.parts().map_or(self.settings.slack, |parts| parts.slack);
        let late = now.since(until);
        let is_stall = late > (Settings { slack, ..self.settings }).stall_tolerance();
        if self.pending_since.is_none() || !is_stall {
            return None;
        }
        self.limit.grant(now, slack);
        Some(late)
    }

    /// When the pending write has been stuck for the limit that it began with, or a larger one
    /// that came into force since; [`Time::NEVER`] if nothing is pending, or without a limit.
    #[inline]
    pub fn stalled_at(&self) -> Time {
        if self.pending_since.is_some() { self.limit.reached_at() } else { Time::NEVER }
    }

    /// For how long the kernel has taken nothing of the pending write, once that has reached the
    /// limit at `now`: the peer has stopped reading (H4). The socket must have been tried first.
    pub fn stalled(&self, now: Time) -> Option<Duration> {
        self.pending_since.filter(|_| now >= self.stalled_at()).map(|since| now.since(since))
    }

    /// For how long the kernel has taken nothing of a pending write; zero if nothing is pending.
    pub fn pending(&self, now: Time) -> Duration {
        self.pending_since.map_or(Duration::ZERO, |since| now.since(since))
    }

    /// Records that the kernel accepted the last byte of a heartbeat carrying `value` at `now`.
    pub fn handle_heartbeat_sent(&mut self, value: Duration, now: Time) {
        self.handle_sent(now);
        self.last_beat = self.last_beat.max(now);
        if self.announced.is_some_and(|before| before != value) {
            self.announce_from = now + self.settings.floor();
        }
        self.announced = Some(value);
    }

    /// Takes over a value that the peer announced (H2) at `now`; returns whether ours changed.
    pub fn adopt(&mut self, received_ms: u32, now: Time) -> bool {
        let Some(raised) = self.settings.raised(received_ms) else { return false };
        let lowers = self.promise.adopt(Duration::from_millis(received_ms.into()), raised);
        self.limit.change(now, self.promise.promised(), self.settings.slack);
        lowers
    }

    /// Lowers the value in force to `value` at `now`, if it is undefined or greater; returns
    /// whether it changed. The rule only ever lowers: a larger one, and zero, which asks for
    /// nothing, wait for the next connection. Kept in whole milliseconds, as it travels.
    pub fn lower(&mut self, value: Duration, now: Time) -> bool {
        let Some(value) = whole_millis(value) else { return false };
        let lowers = self.promise.lower(value);
        self.limit.change(now, self.promise.promised(), self.settings.slack);
        lowers
    }

    /// Sets the slack at `now`: a larger one holds at once, a smaller one for the next write.
    pub fn set_slack(&mut self, slack: Duration, now: Time) {
        self.settings.slack = slack;
        self.limit.change(now, self.promise.promised(), slack);
    }

    /// The slack that was set last.
    pub fn slack(&self) -> Duration {
        self.settings.slack
    }

    /// The promise of the peer: the heartbeat-time in force, unless this side lowered that one and
    /// the peer has not announced it yet; for values that were given, the larger one.
    pub fn promise(&self) -> Option<Duration> {
        self.promise.promised()
    }

    /// The limit as it is in force now: what a write that begins now is judged by. `None` without a
    /// value.
    pub fn limit(&self) -> Option<Duration> {
        Some(self.promise.promised()?.saturating_add(self.settings.slack))
    }

    /// The heartbeat that is due at `now`, if one is. It stays due until
    /// [`handle_heartbeat_sent`](Self::handle_heartbeat_sent) or, for one that fills an idle line,
    /// [`handle_sent`](Self::handle_sent).
    pub fn poll(&self, now: Time) -> Option<DueHeartbeat> {
        let value = self.in_force()?;
        if now < self.due() {
            return None;
        }
        let announces = self.announce_at().is_some_and(|at| at <= now);
        let even_busy = announces || self.settings.mode == Mode::Always;
        Some(DueHeartbeat { value, even_busy })
    }

    /// When the next heartbeat is due if nothing is sent before, exactly; [`Time::NEVER`] without a
    /// value in force.
    #[inline]
    pub fn due(&self) -> Time {
        let Some(in_force) = self.in_force() else { return Time::NEVER };
        (self.clocked_from() + in_force).min(self.announce_at().unwrap_or(Time::NEVER))
    }

    /// How much later than promised bytes are that go out at `now`; zero in time.
    /// `None` if nothing is promised: without a value in force, or while it has not been
    /// announced.
    #[inline]
    pub fn lateness(&self, now: Time) -> Option<Duration> {
        let promised = self.in_force().filter(|value| self.announced == Some(*value))?;
        Some(now.since(self.clocked_from() + promised))
    }

    /// How many heartbeats data has made needless since the last one (H3): the whole
    /// heartbeat-times from that one to the last byte that was sent. None with [`Mode::Always`].
    pub fn suppressed(&self) -> u64 {
        let (Some(value), Mode::Idle) = (self.in_force(), self.settings.mode) else { return 0 };
        let busy = self.last_sent.since(self.last_beat).as_nanos() / value.as_nanos().max(1);
        u64::try_from(busy).unwrap_or(u64::MAX)
    }

    /// The heartbeat-time in force.
    #[inline]
    pub fn in_force(&self) -> Option<Duration> {
        self.promise.in_force()
    }

    /// The heartbeat-time in force as heartbeats carry it, in milliseconds; 0 = none.
    pub(super) fn value_ms(&self) -> u32 {
        let value = self.in_force().map(|value| DueHeartbeat { value, even_busy: true });
        value.map_or(0, |beat| beat.value_ms())
    }

    /// When the kernel last accepted a byte; the start of the link if it never did.
    pub fn last_sent(&self) -> Time {
        self.last_sent
    }

    fn clocked_from(&self) -> Time {
        match self.settings.mode {
            Mode::Idle => self.last_sent,
            Mode::Always => self.last_beat,
        }
    }

    fn announce_at(&self) -> Option<Time> {
        let differs = self.settings.negotiates() && self.in_force() != self.announced;
        differs.then_some(self.announce_from)
    }
}
