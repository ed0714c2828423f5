//! The rules: when to send a heartbeat, when silence is late, when it kills.
//!
//! [`Pulse`] decides for the sending side, [`Watch`] for the receiving one, and [`Liveness`] is
//! both for a host that has a loop of its own. They are values that are told what happened and
//! when, and asked what is due: nothing here does I/O, locks, or reads a clock, so every rule is
//! tested to the nanosecond (lesson 57).
//!
//! Words: *heartbeat-time*, what a side promises to send by; *slack*, what the receiver forgives;
//! *silence*, the time since the last byte from the peer; *limit* = heartbeat-time in force +
//! slack.
//!
//! Invariant: a value in force only ever becomes smaller while a connection lives, and lives no
//! longer than the connection: a new one starts from what was configured.

mod both;
mod pulse;
mod time;
mod watch;

use std::time::Duration;

pub use both::{Action, Liveness};
pub use pulse::{Beat, Pulse};
pub use time::Time;
pub use watch::{Adopted, Heard, Verdict, Watch};

/// When heartbeats are sent (`heartbeat-mode`, PROTOCOL H3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Only when no byte was handed to the kernel for the heartbeat-time in force.
    #[default]
    Idle,
    /// One every heartbeat-time in force, data or not, as the Java applications do.
    Always,
}

/// What one side of a link is told before it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What we promise to send by and expect of the peer; `None` (or zero) asks for nothing and
    /// takes what the peer says. Kept in whole milliseconds from 1 to 4294967295, as it travels.
    /// Default 5 s.
    pub heartbeat_time: Option<Duration>,
    /// What we forgive a late peer; local, never sent. Default 2 s.
    pub slack: Duration,
    /// Whether data stands in for heartbeats. Default [`Mode::Idle`].
    pub mode: Mode,
    /// The smallest heartbeat-time that a peer can talk us into, raised to whole milliseconds, at
    /// least 1. Default 0.1 s.
    pub heartbeat_time_min: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat_time: Some(Duration::from_secs(5)),
            slack: Duration::from_secs(2),
            mode: Mode::Idle,
            heartbeat_time_min: Duration::from_millis(100),
        }
    }
}

impl Settings {
    /// How much later than asked a wait may end before it counts as a stall of our own: half the
    /// slack or 250 ms, whichever is greater (lesson 33).
    pub fn stall_tolerance(&self) -> Duration {
        (self.slack / 2).max(Duration::from_millis(250))
    }

    /// The configured heartbeat-time as it travels: whole milliseconds, `None` for zero.
    fn configured(&self) -> Option<Duration> {
        self.heartbeat_time.and_then(whole_millis)
    }

    /// What a received value becomes here: raised to the floor, `None` for zero (H2).
    fn raised(&self, received_ms: u32) -> Option<Duration> {
        let received = Duration::from_millis(received_ms.into());
        (received_ms > 0).then(|| received.max(self.floor()))
    }

    /// The floor as it travels: raised to whole milliseconds, at least 1. With a fraction the value
    /// in force here would be another than the one that the peer is told, and never announced; with
    /// none at all a hostile peer would get an answer to every heartbeat.
    fn floor(&self) -> Duration {
        let millis = self.heartbeat_time_min.as_nanos().div_ceil(1_000_000);
        Duration::from_millis(millis.clamp(1, u32::MAX.into()) as u64)
    }
}

/// Cuts a heartbeat-time to what the wire can carry, so that both ends hold the very same value.
fn whole_millis(value: Duration) -> Option<Duration> {
    if value.is_zero() {
        return None;
    }
    Some(Duration::from_millis(value.as_millis().clamp(1, u32::MAX.into()) as u64))
}
