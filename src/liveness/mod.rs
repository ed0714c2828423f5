//! The rules: when to send a heartbeat, and after how much silence a peer is late or down.
//!
//! [`HeartbeatTimer`] decides for the sending side, [`SilenceTimer`] for the receiving one, and
//! [`Liveness`] is both for a host that has a loop of its own. They are values that are given what
//! happened and when, and asked what is due: nothing here does I/O, locks, or reads a clock, so
//! every rule is tested to the nanosecond.
//!
//! Words: *heartbeat-time*, what a side promises to send by; *slack*, what the receiver forgives;
//! *silence*, the time since the last byte from the peer; *limit* = heartbeat-time in force +
//! slack.
//!
//! Invariant: a value in force only ever becomes smaller while a connection lives, and lives no
//! longer than the connection: a new one starts from what was configured.

mod both;
mod heartbeat_timer;
mod limit;
mod promise;
mod silence_timer;
mod time;

use std::time::Duration;

pub use both::{Action, Liveness};
pub use heartbeat_timer::{DueHeartbeat, HeartbeatTimer};
pub use silence_timer::{Change, HeartbeatOutcome, SilenceTimer, Verdict};
pub use time::Time;

/// When heartbeats are sent (`heartbeat-mode`, PROTOCOL H3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Only when no byte was handed to the kernel for the heartbeat-time in force.
    #[default]
    Idle,
    /// One every heartbeat-time in force, data or not, as the Java applications do.
    Always,
}

/// What one side of a link is given before it starts.
///
/// ```
/// use peerbeat::liveness::Settings;
/// use std::time::Duration;
///
/// // Down 1.5 s after the last byte, if the peer does not ask for less.
/// let settings = Settings::default()
///     .heartbeat_time(Duration::from_secs(1))
///     .slack(Duration::from_millis(500));
/// # let _ = settings;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// What we promise to send by and expect of the peer; `None` (or zero) asks for nothing and
    /// takes what the peer says. Kept in whole milliseconds from 1 to 4294967295, as it travels.
    /// Default 5 s.
    #[doc(alias = "keepalive")]
    #[doc(alias = "interval")]
    #[doc(alias = "ping")]
    pub heartbeat_time: Option<Duration>,
    /// How late the peer may be before it is down; local, never sent. Default 2 s.
    #[doc(alias = "grace")]
    #[doc(alias = "tolerance")]
    pub slack: Duration,
    /// Whether data replaces heartbeats. Default [`Mode::Idle`].
    pub mode: Mode,
    /// The smallest heartbeat-time that a peer can talk us into, raised to whole milliseconds, at
    /// least 1. Default 0.1 s.
    pub heartbeat_time_min: Duration,
    /// The values of a protocol that settles them in its handshake and whose heartbeats carry none.
    /// With them `heartbeat_time` does not count and negotiation is off: nothing is announced and
    /// nothing adopted. Default `None`: one value, negotiated (H1, H2).
    pub given: Option<FixedIntervals>,
}

/// What the handshake of a foreign protocol settled: one value for each direction, which need not
/// be the same and either of which may be missing.
///
/// ```
/// use peerbeat::liveness::{Action, FixedIntervals, Liveness, Settings, Time};
/// use std::time::Duration;
///
/// // STOMP's `heart-beat:1000,0` met by `heart-beat:0,1000`: only we send.
/// let given = FixedIntervals { send: Some(Duration::from_secs(1)), expect: None };
/// let settings = Settings::default().given(Some(given));
/// let mut liveness = Liveness::new(&settings, Time::ZERO);
/// let due = Time::ZERO + Duration::from_secs(1);
/// assert_eq!(liveness.poll(Time::ZERO), Action::Wait { until: due }); // nothing is announced
/// assert!(matches!(liveness.poll(due), Action::SendHeartbeat { .. }));
/// assert_eq!(liveness.silence_timer().silent_at(), Time::NEVER);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FixedIntervals {
    /// What we promised to send by; `None` (or zero) = we send no heartbeats.
    pub send: Option<Duration>,
    /// What the peer promised to send by; `None` (or zero) = its silence has no limit.
    pub expect: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_time: Some(Duration::from_secs(5)),
            slack: Duration::from_secs(2),
            mode: Mode::Idle,
            heartbeat_time_min: Duration::from_millis(100),
            given: None,
        }
    }
}

impl Settings {
    setters! {
        heartbeat_time: into [Option<Duration>],
        slack: [Duration],
        mode: [Mode],
        heartbeat_time_min: [Duration],
        given: into [Option<FixedIntervals>],
    }

    /// How much later than asked a wait may end before it counts as a stall of our own: half the
    /// slack or 250 ms, whichever is greater.
    pub fn stall_tolerance(&self) -> Duration {
        (self.slack / 2).max(Duration::from_millis(250))
    }

    /// The same settings for heartbeats that carry no value: `heartbeat_time` becomes the value of
    /// both directions, if none were given.
    pub fn without_negotiation(mut self) -> Self {
        let both = FixedIntervals { send: self.heartbeat_time, expect: self.heartbeat_time };
        self.given = Some(self.given.unwrap_or(both));
        self
    }

    /// Whether the heartbeat-time travels in heartbeats.
    pub fn negotiates(&self) -> bool {
        self.given.is_none()
    }

    /// The configured heartbeat-time as HELLO carries it, in milliseconds; 0 = none.
    pub fn configured_ms(&self) -> u32 {
        let value = self.heartbeat_time.filter(|_| self.negotiates()).and_then(whole_millis);
        value.map_or(0, |value| u32::try_from(value.as_millis()).unwrap_or(u32::MAX))
    }

    /// What we start to send by: whole milliseconds, as it travels; `None` for zero.
    fn sends_by(&self) -> Option<Duration> {
        self.given.map_or(self.heartbeat_time, |given| given.send).and_then(whole_millis)
    }

    /// What we start to expect of the peer.
    fn expects_by(&self) -> Option<Duration> {
        self.given.map_or(self.heartbeat_time, |given| given.expect).and_then(whole_millis)
    }

    /// What a received value becomes here: raised to the floor, `None` for one that is not to be
    /// adopted: zero, or any value if negotiation is off (H2).
    fn raised(&self, received_ms: u32) -> Option<Duration> {
        let received = Duration::from_millis(received_ms.into());
        (received_ms > 0 && self.negotiates()).then(|| received.max(self.floor()))
    }

    /// A value of our own as it travels; `None` if it is zero, or negotiation is off.
    fn travels(&self, value: Duration) -> Option<Duration> {
        whole_millis(value).filter(|_| self.negotiates())
    }

    /// The floor as it travels: raised to whole milliseconds, at least 1. With a fraction the value
    /// in force here would differ from the one that the peer knows, and never be announced; with
    /// none at all a hostile peer would get an answer to every heartbeat.
    fn floor(&self) -> Duration {
        let millis = self.heartbeat_time_min.as_nanos().div_ceil(1_000_000);
        Duration::from_millis(millis.clamp(1, u32::MAX.into()) as u64)
    }
}

/// The heartbeat-times in force on both sides of a link once each has heard the other (H2): the
/// first is that of `a`. `None` = that side never has one, and never finds the other silent.
///
/// ```
/// use peerbeat::liveness::{Settings, agree};
/// use std::time::Duration;
///
/// let seconds = |n| Some(Duration::from_secs(n));
/// let a = Settings::default().heartbeat_time(None);
/// let b = Settings::default().heartbeat_time(seconds(3));
/// assert_eq!(agree(&a, &b), (seconds(3), seconds(3)));
/// ```
pub fn agree(a: &Settings, b: &Settings) -> (Option<Duration>, Option<Duration>) {
    let mut a = HeartbeatTimer::new(a, Time::ZERO);
    let mut b = HeartbeatTimer::new(b, Time::ZERO);
    // Values only ever become smaller, and none that is new is heard twice, so this ends.
    while b.adopt(a.value_ms(), Time::ZERO) | a.adopt(b.value_ms(), Time::ZERO) {}
    (a.in_force(), b.in_force())
}

/// Cuts a heartbeat-time to what the wire can carry, so that both ends hold the very same value.
fn whole_millis(value: Duration) -> Option<Duration> {
    if value.is_zero() {
        return None;
    }
    Some(Duration::from_millis(value.as_millis().clamp(1, u32::MAX.into()) as u64))
}
