//! What a node's program asks of its link, and does to it.
//!
//! The methods are those of a link; the connection decides what they do.

use std::time::Duration;

use super::{End, Phase, Wait, World};
use crate::connection::{Close, DownReason, SendError, Stats};
use crate::link::{Explanation, LinkState};
use crate::liveness::Time;
use crate::protocol::{Bye, ByeCode};

/// What was received on a link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Received {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) heartbeats: u64,
}

impl End {
    /// Whether a message of this length would be accepted.
    pub(in crate::sim) fn room(&mut self, length: usize) -> Result<(), SendError> {
        if self.phase != Phase::Up {
            return Err(SendError::NotConnected);
        }
        if let Some(reason) = self.outgoing.phase().refusal() {
            return Err(SendError::Down(reason.clone()));
        }
        if self.outgoing.has_room(length) { Ok(()) } else { Err(SendError::Full) }
    }

    /// Closes in order within `time`, and hands on what arrives meanwhile.
    pub(in crate::sim) fn drain(&mut self, world: &mut World<'_>, time: Duration) {
        let reason = DownReason::Local { detail: String::new() };
        self.begin_close(
            world,
            reason,
            &Bye { code: ByeCode::CLOSE, text: "" },
            Close::in_order(true, time, time),
        );
    }

    /// Ends for a reason; what was accepted and not written is counted.
    pub(in crate::sim) fn end_for(
        &mut self,
        world: &mut World<'_>,
        reason: DownReason,
        bye: Option<&Bye<'_>>,
    ) {
        if let Some(bye) = bye {
            return self.begin_close(world, reason, bye, Close::goodbye());
        }
        if self.phase == Phase::Up {
            self.end(world, reason);
            (self.sender, self.reader) = (Wait::at_once(world.now), Wait::at_once(world.now));
            self.settle(world);
        }
    }

    pub(in crate::sim) fn saw_end(&self) -> bool {
        self.outgoing.saw_end()
    }

    pub(in crate::sim) fn heartbeat_time(&self) -> Option<Duration> {
        self.outgoing.timer().in_force()
    }

    pub(in crate::sim) fn state(&self, now: Time) -> LinkState {
        let (phase, timer) = (self.outgoing.phase(), self.outgoing.timer());
        let stats = self.outgoing.stats(now);
        let at = phase.ended_at().unwrap_or(now);
        LinkState {
            reason: phase.reason().cloned(),
            silence: at.since(self.incoming.timer().last_received()),
            handler_held: self.held.map_or(Duration::ZERO, |(since, _)| now.since(since)),
            heartbeat_time: timer.in_force(),
            slack: timer.slack(),
            last_sent_age: at.since(timer.last_sent()),
            up: stats.up,
        }
    }

    pub(in crate::sim) fn stats(&self, now: Time) -> Stats {
        let Received { messages, bytes, heartbeats } = self.received;
        Stats {
            messages_received: messages,
            bytes_received: bytes,
            heartbeats_received: heartbeats,
            ..self.outgoing.stats(now)
        }
    }

    pub(in crate::sim) fn explain(&self, now: Time) -> Explanation {
        Explanation::new(&self.options.liveness, &self.outgoing, &self.stats(now))
    }
}
