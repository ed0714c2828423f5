//! The real rules, as the two kinds of hosts use them.
//!
//! A link has a thread for each half and asks [`HeartbeatTimer`] and [`SilenceTimer`] apart; a
//! host with a loop of its own asks [`Liveness`], which is both.

use std::time::Duration;

use crate::liveness::{HeartbeatOutcome, HeartbeatTimer, Liveness, SilenceTimer, Time};
use crate::sim::Options;

#[derive(Debug)]
pub(super) enum Rules {
    Threads { pulse: HeartbeatTimer, watch: SilenceTimer },
    Loop(Liveness),
}

impl Rules {
    pub(super) fn new(options: &Options, now: Time) -> Self {
        let settings = &options.liveness;
        match options.has_loop {
            true => Self::Loop(Liveness::new(settings, now)),
            false => {
                let (pulse, watch) =
                    (HeartbeatTimer::new(settings, now), SilenceTimer::new(settings, now));
                Self::Threads { pulse, watch }
            }
        }
    }

    pub(super) fn pulse(&self) -> &HeartbeatTimer {
        match self {
            Self::Threads { pulse, .. } => pulse,
            Self::Loop(liveness) => liveness.pulse(),
        }
    }

    pub(super) fn watch(&self) -> &SilenceTimer {
        match self {
            Self::Threads { watch, .. } => watch,
            Self::Loop(liveness) => liveness.watch(),
        }
    }

    pub(super) fn handle_sent(&mut self, now: Time) {
        match self {
            Self::Threads { pulse, .. } => pulse.handle_sent(now),
            Self::Loop(liveness) => liveness.handle_sent(now),
        }
    }

    pub(super) fn handle_heartbeat_sent(&mut self, value: Duration, now: Time) {
        match self {
            Self::Threads { pulse, .. } => pulse.handle_beat_sent(value, now),
            Self::Loop(liveness) => liveness.handle_heartbeat_sent(value.as_millis() as u32, now),
        }
    }

    /// Bytes were read by a wait that should have ended at `until`; returns how late that was,
    /// where it was a stall, and how long the silence was, where it had been late.
    pub(super) fn handle_received(
        &mut self,
        until: Time,
        now: Time,
    ) -> (Option<Duration>, Option<Duration>) {
        match self {
            Self::Threads { watch, .. } => {
                (watch.handle_waited(until, now), watch.handle_received(now))
            }
            Self::Loop(liveness) => (None, liveness.handle_received(now)),
        }
    }

    pub(super) fn handle_heartbeat(&mut self, value_ms: u32, now: Time) -> HeartbeatOutcome {
        match self {
            Self::Threads { pulse, watch } => {
                pulse.adopt(value_ms);
                watch.handle_heartbeat(value_ms, now)
            }
            Self::Loop(liveness) => liveness.handle_heartbeat(value_ms, now),
        }
    }

    pub(super) fn handle_held(&mut self, held: Duration) {
        if let Self::Threads { watch, .. } = self {
            watch.handle_held(held);
        }
    }
}
