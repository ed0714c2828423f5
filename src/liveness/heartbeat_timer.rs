//! The sending half: when a heartbeat is due, and which value it carries.
//!
//! Owned by the sending side of a link. It moves only on what the kernel accepted: never on what
//! was received, queued or attempted (lesson 14). Deadlines are computed from the last byte and
//! never sampled, so no gap is longer than was promised (lesson 9), and a stall costs one
//! heartbeat, not a burst of them (lesson 12).

use std::time::Duration;

use super::{Mode, Settings, Time, whole_millis};

/// Decides when we must send.
#[derive(Clone, Debug)]
pub struct HeartbeatTimer {
    settings: Settings,
    in_force: Option<Duration>,
    last_sent: Time,
    last_beat: Time,
    /// The value that the last heartbeat carried: an announcement is due while it differs from the
    /// value in force (H1).
    announced: Option<Duration>,
    /// No announcement before this instant: a peer that lowers its value with every heartbeat must
    /// not make us answer each one (lesson 1).
    announce_from: Time,
}

/// A heartbeat that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueHeartbeat {
    /// The value it must carry.
    pub value: Duration,
    /// It is due also where data is on its way: it tells the peer a new value (H1), or the mode is
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
    /// Starts with the link's establishment at `now`; where a heartbeat-time is configured, its
    /// announcement is due at once (H1).
    pub fn new(settings: &Settings, now: Time) -> Self {
        Self {
            settings: *settings,
            in_force: settings.sends_by(),
            last_sent: now,
            last_beat: now,
            announced: None,
            announce_from: now,
        }
    }

    /// Records that the kernel accepted bytes at `now`, parts of a frame included (lesson 15).
    #[inline]
    pub fn handle_sent(&mut self, now: Time) {
        self.last_sent = self.last_sent.max(now);
    }

    /// Records that the kernel accepted the last byte of a heartbeat carrying `value` at `now`.
    pub fn handle_beat_sent(&mut self, value: Duration, now: Time) {
        self.handle_sent(now);
        self.last_beat = self.last_beat.max(now);
        if self.announced.is_some_and(|before| before != value) {
            self.announce_from = now + self.settings.floor();
        }
        self.announced = Some(value);
    }

    /// Takes over a value that the peer sent (H2) and says whether ours changed.
    pub fn adopt(&mut self, received_ms: u32) -> bool {
        let Some(raised) = self.settings.raised(received_ms) else { return false };
        self.lower(raised)
    }

    /// Lowers the value in force to `value`, where it is undefined or greater, and says whether it
    /// changed. The rule only ever lowers: a greater one, and zero, which asks for nothing, wait
    /// for the next connection. Kept in whole milliseconds, as it travels.
    pub fn lower(&mut self, value: Duration) -> bool {
        let Some(value) = whole_millis(value) else { return false };
        let lowers = self.in_force.is_none_or(|held| value < held);
        if lowers {
            self.in_force = Some(value);
        }
        lowers
    }

    /// The heartbeat that is due at `now`, if one is. It stays due until
    /// [`handle_beat_sent`](Self::handle_beat_sent) or, for one that fills an idle line,
    /// [`handle_sent`](Self::handle_sent).
    pub fn poll(&self, now: Time) -> Option<DueHeartbeat> {
        let value = self.in_force?;
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
        let Some(in_force) = self.in_force else { return Time::NEVER };
        (self.clocked_from() + in_force).min(self.announce_at().unwrap_or(Time::NEVER))
    }

    /// How much later than promised bytes are that go out at `now` (lesson 56); zero in time.
    /// `None` where nothing is promised: without a value in force, or while it has not been
    /// announced.
    #[inline]
    pub fn lateness(&self, now: Time) -> Option<Duration> {
        let promised = self.in_force.filter(|value| self.announced == Some(*value))?;
        Some(now.since(self.clocked_from() + promised))
    }

    /// How many heartbeats data has made needless since the last one (H3): the whole
    /// heartbeat-times from that one to the last byte that was sent. None with [`Mode::Always`].
    pub fn suppressed(&self) -> u64 {
        let (Some(value), Mode::Idle) = (self.in_force, self.settings.mode) else { return 0 };
        let busy = self.last_sent.since(self.last_beat).as_nanos() / value.as_nanos().max(1);
        u64::try_from(busy).unwrap_or(u64::MAX)
    }

    /// The heartbeat-time in force.
    pub fn in_force(&self) -> Option<Duration> {
        self.in_force
    }

    /// When the kernel last accepted a byte; the start of the link where it never did.
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
        let differs = self.settings.negotiates() && self.in_force != self.announced;
        differs.then_some(self.announce_from)
    }
}
