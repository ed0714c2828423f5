//! The rules of heartbeats on a virtual clock, exact to the nanosecond (lesson 57).
//!
//! Nothing here sleeps: each test states what happened when, and asks one nanosecond before, at and
//! after the instant that the rule names.

use std::time::Duration;

use peerbeat::liveness::{Mode, Settings, Time};

#[path = "liveness/heartbeat_timer.rs"]
mod heartbeat_timer;
#[path = "liveness/host.rs"]
mod host;
#[path = "liveness/laws.rs"]
mod laws;
#[path = "liveness/line.rs"]
mod line;
#[path = "liveness/models/mod.rs"]
mod models;
#[path = "liveness/negotiation.rs"]
mod negotiation;
#[path = "liveness/numbers.rs"]
mod numbers;
#[path = "liveness/pairs.rs"]
mod pairs;
#[path = "liveness/properties.rs"]
mod properties;
#[path = "liveness/silence_timer.rs"]
mod silence_timer;
#[path = "liveness/slack.rs"]
mod slack;
#[path = "liveness/stall.rs"]
mod stall;

const NS: Duration = Duration::from_nanos(1);

/// The boundaries of everything that a peer can say.
const EDGES: [u32; 21] = [
    1,
    2,
    9,
    10,
    99,
    100,
    101,
    999,
    1000,
    4999,
    5000,
    5001,
    65_535,
    65_536,
    86_400_000,
    (1 << 31) - 1,
    1 << 31,
    (1 << 31) + 1,
    u32::MAX - 1,
    u32::MAX,
    0,
];

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The instant so many milliseconds after the start.
fn at(millis: u64) -> Time {
    Time::ZERO + ms(millis)
}

/// Heartbeat-time and slack in milliseconds, floor 100 ms, mode idle; 0 = no heartbeat-time.
fn settings(heartbeat_time: u64, slack: u64) -> Settings {
    Settings::default()
        .heartbeat_time((heartbeat_time > 0).then(|| ms(heartbeat_time)))
        .slack(ms(slack))
        .mode(Mode::Idle)
        .heartbeat_time_min(ms(100))
        .given(None)
}

fn always(heartbeat_time: u64, slack: u64) -> Settings {
    settings(heartbeat_time, slack).mode(Mode::Always)
}

/// A small generator of numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
