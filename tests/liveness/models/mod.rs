//! The rules by definition: models that keep everything that happened and compute from that.
//!
//! Each half has its own, and both together are a third. They are run with steps that a property
//! draws or a fuzzer makes from bytes, so only std is used here, and a difference panics. Nothing
//! here uses the code that it judges.

mod both;
mod limit;
mod receiver;
mod sender;

use std::time::Duration;

use peerbeat::liveness::Settings;

pub(crate) use both::{Do, run_both};
pub(crate) use receiver::{Hear, run_watch};
pub(crate) use sender::{Send, run_pulse};

const NS: Duration = Duration::from_nanos(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Whole milliseconds from 1, or nothing for zero.
fn travels(value: Duration) -> Option<Duration> {
    let millis = value.as_millis().min(u32::MAX.into()) as u64;
    (value > Duration::ZERO).then(|| ms(millis.max(1)))
}

fn floor(settings: &Settings) -> Duration {
    let mut floor = ms(settings.heartbeat_time_min.as_millis() as u64);
    if floor < settings.heartbeat_time_min {
        floor += ms(1);
    }
    floor.max(ms(1))
}

fn raise(settings: &Settings, received: u32) -> Option<Duration> {
    let is_taken = received > 0 && settings.given.is_none();
    is_taken.then(|| ms(received.into()).max(floor(settings)))
}
