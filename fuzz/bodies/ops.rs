//! Whatever happens, the heartbeat rules do what the models of the property tests predict.
//!
//! The input selects one half or both, then the settings, then the steps: a byte for each step and
//! its arguments. A step that the input cuts short is dropped.

use std::time::Duration;

use peerbeat::liveness::{FixedIntervals, Mode, Settings};

#[path = "../../tests/liveness/models/mod.rs"]
mod models;

use models::{Do, Hear, Send};

/// Runs one input; what breaks a promise panics.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes(data);
    let Some((which, settings)) = bytes.byte().zip(bytes.settings()) else { return };
    match which % 3 {
        0 => models::run_pulse(settings, steps(|| bytes.send())),
        1 => models::run_watch(settings, steps(|| bytes.hear())),
        _ => models::run_both(settings, steps(|| bytes.host())),
    }
}

fn steps<T>(next: impl FnMut() -> Option<T>) -> Vec<T> {
    std::iter::from_fn(next).take(STEPS_MAX).collect()
}

/// What is left of the input.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from(u16::from_be_bytes([self.byte()?, self.byte()?])))
    }

    /// From a nanosecond to two hours.
    fn time(&mut self) -> Option<Duration> {
        let unit = [1, 1000, 1_000_000, 100_000_000][usize::from(self.byte()? % 4)];
        Some(Duration::from_nanos(self.number()? * unit))
    }

    /// A heartbeat-time as a peer says it.
    fn value(&mut self) -> Option<u32> {
        let high = self.byte()?;
        let low = self.number()? as u32;
        Some(if high < 200 { low } else { u32::from(high) << 24 | low })
    }

    fn maybe(&mut self) -> Option<Option<Duration>> {
        let time = self.time()?;
        Some((time != Duration::from_nanos(1)).then_some(time))
    }

    fn settings(&mut self) -> Option<Settings> {
        let flags = self.byte()?;
        Some(
            Settings::default()
                .heartbeat_time(self.maybe()?)
                .slack(self.time()?)
                .mode(if flags & 1 == 0 { Mode::Idle } else { Mode::Always })
                .heartbeat_time_min(self.time()?)
                .given(match flags & 2 {
                    0 => None,
                    _ => Some(FixedIntervals { send: self.maybe()?, expect: self.maybe()? }),
                }),
        )
    }

    fn send(&mut self) -> Option<Send> {
        Some(match self.byte()? % 10 {
            0 => Send::Pass(self.time()?),
            1 => Send::PassToDue(self.byte()? as i8),
            2 => Send::Bytes,
            3 => Send::Beat,
            4 => Send::Stale(self.value()?),
            5 => Send::Adopt(self.value()?),
            6 => Send::Lower(self.time()?),
            7 => Send::Slack(self.time()?),
            8 => Send::Pending,
            _ => Send::Waited(self.time()?),
        })
    }

    fn hear(&mut self) -> Option<Hear> {
        Some(match self.byte()? % 8 {
            0 => Hear::Pass(self.time()?),
            1 => Hear::PassToNext(self.byte()? as i8),
            2 => Hear::Bytes,
            3 => Hear::Heartbeat(self.value()?),
            4 => Hear::Held(self.time()?),
            5 => Hear::Waited(self.time()?),
            6 => Hear::Lower(self.time()?),
            _ => Hear::Slack(self.time()?),
        })
    }

    fn host(&mut self) -> Option<Do> {
        Some(match self.byte()? % 9 {
            0 => Do::Pass(self.time()?),
            1 => Do::PassToNext(self.byte()? as i8),
            2 => Do::Sent,
            3 => Do::BeatSent,
            4 => Do::Received,
            5 => Do::Heartbeat(self.value()?),
            6 => Do::Lower(self.time()?),
            7 => Do::Pending,
            _ => Do::Slack(self.time()?),
        })
    }
}

/// The models look at all that happened at every step.
const STEPS_MAX: usize = 100;
