//! The sending half of an end, driven as a link's sender thread does: what is due is taken, written
//! as far as the kernel has room, and given back.
//!
//! It owns no rules: the connection decides what is due, what is stuck and what was not sent.

use std::io;
use std::time::Duration;

use super::{End, Phase, Wait, World};
use crate::connection::{self, Close, DownReason, HeartbeatChange, LinkEvent, SendError};
use crate::link::step;
use crate::liveness::{Mode, Time};
use crate::protocol::{Bye, ByeCode, Hello, ProtocolError};
use crate::sim::record::{HandshakeFailure, SimEvent};
use crate::sim::wire::Piece;

impl End {
    /// Takes a message of the program.
    pub(in crate::sim) fn send(
        &mut self,
        world: &mut World<'_>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.room(payload.len())?;
        self.outgoing.queue(payload)?;
        self.tell(world, SimEvent::Sent(payload.to_vec()));
        self.sender.fires = world.now;
        Ok(())
    }

    /// Closes in order: what was accepted, then BYE 0; what arrives is handed on or dropped.
    pub(in crate::sim) fn close(&mut self, world: &mut World<'_>, hands_on: bool) {
        let options = &self.options;
        let (timeout, max) = (options.close_timeout, options.close_max);
        let close = Close::in_order(hands_on, timeout, max);
        let reason = DownReason::Local { detail: String::new() };
        self.begin_close(world, reason, &Bye { code: ByeCode::CLOSE, text: "" }, close);
    }

    pub(super) fn begin_close(
        &mut self,
        world: &mut World<'_>,
        reason: DownReason,
        bye: &Bye<'_>,
        close: Close,
    ) {
        if self.phase == Phase::Up && self.outgoing.close(reason, Some(bye), close, world.now) {
            self.sender = Wait::at_once(world.now);
            self.reader = Wait::at_once(world.now);
            self.settle(world);
        }
    }

    pub(in crate::sim) fn set_heartbeat_time(
        &mut self,
        world: &mut World<'_>,
        value: Duration,
    ) -> Result<HeartbeatChange, DownReason> {
        let change = self.outgoing.set_heartbeat_time(value, world.now)?;
        self.take_steps(world);
        self.sender.fires = world.now;
        if self.incoming.timer().limit().is_none() {
            // The reader waits without end, and has one now.
            self.reader = Wait::at_once(world.now);
        }
        Ok(change)
    }

    pub(in crate::sim) fn set_slack(
        &mut self,
        world: &mut World<'_>,
        slack: Duration,
    ) -> Result<(), DownReason> {
        self.outgoing.set_slack(slack, world.now)?;
        self.take_steps(world);
        Ok(())
    }

    pub(super) fn refuse(&mut self, world: &mut World<'_>, error: ProtocolError) {
        let text = error.to_string();
        let bye = Bye { code: ByeCode::PROTOCOL, text: &text };
        self.begin_close(world, DownReason::Protocol(error), &bye, Close::goodbye());
    }

    pub(super) fn send_turn(&mut self, world: &mut World<'_>) -> bool {
        let waits = !self.hello.is_empty() || (self.outgoing.pending() > 0 && !self.is_shut);
        let writes = waits && self.phase != Phase::Over && self.can_write(world);
        if !writes && self.sender.fires > world.now {
            return false;
        }
        if !self.hello.is_empty() {
            self.write_hello(world);
            return true;
        }
        if self.phase == Phase::Greeting {
            self.sender = Wait::NEVER;
            return true;
        }
        let Some(buffer) = self.outgoing.poll_transmit(world.now, true, false) else {
            self.rest(world);
            return true;
        };
        if is_reset(world) {
            let reason = DownReason::io(&io::ErrorKind::ConnectionReset.into());
            self.outgoing.handle_write_failed(buffer, reason, None, world.now);
            self.sender = Wait::NEVER;
            return true;
        }
        let count = world.out.write(buffer.rest(), world.path, world.rng, world.now);
        self.outgoing.handle_written(buffer, count, world.now);
        if count == 0 {
            self.handle_stuck(world);
        } else {
            self.stuck = false;
            self.sender = Wait::at_once(world.now);
        }
        true
    }

    fn can_write(&self, world: &World<'_>) -> bool {
        let is_sending =
            matches!(self.outgoing.phase(), connection::Phase::Up | connection::Phase::Closing(_));
        let is_sending = is_sending && !self.outgoing.has_failed();
        is_sending && (world.out.room > 0 || (is_reset(world) && self.hello.is_empty()))
    }

    /// Nothing is to be written: waits for what comes next.
    fn rest(&mut self, world: &mut World<'_>) {
        if self.outgoing.is_out() && !std::mem::replace(&mut self.is_shut, true) {
            world.out.push(Piece::Fin, world.path, world.rng, world.now);
        }
        self.outgoing.handle_timeout(world.now);
        let until = match self.outgoing.phase() {
            connection::Phase::Up => self.outgoing.timer().due(),
            _ => self.outgoing.closes_at(),
        };
        self.sender = self.wait(until, world.rng);
    }

    /// Decides about a write of which the kernel took nothing: wait longer, or `write-stalled`.
    fn handle_stuck(&mut self, world: &mut World<'_>) {
        let now = world.now;
        let waited = std::mem::replace(&mut self.stuck, true);
        let until = if waited { self.sender.until } else { Time::NEVER };
        if let Some(late) = self.outgoing.handle_write_waited(until, now) {
            self.tell(world, SimEvent::Event(LinkEvent::Stalled { late }));
        }
        if self.outgoing.handle_timeout(now) {
            return;
        }
        let until = self.outgoing.timer().stalled_at().min(self.outgoing.closes_at());
        if until == Time::NEVER {
            self.sender = Wait::NEVER;
            return;
        }
        let limit = self.outgoing.timer().limit().unwrap_or_default();
        let longest = (limit / 8).clamp(SHORTEST_WRITE, LONGEST_WRITE);
        self.sender = self.wait(now + step(until.since(now)).min(longest), world.rng);
    }

    pub(super) fn greet(&mut self, world: &mut World<'_>) {
        let settings = &self.options.liveness;
        let hello = Hello {
            name: &self.name,
            always: settings.mode == Mode::Always,
            heartbeat_time_ms: self.options.says_value.then(|| settings.configured_ms()),
            ..Hello::default()
        };
        let mut bytes = Vec::new();
        if let Err(error) = hello.encode(&mut bytes) {
            return self.fail(world, HandshakeFailure::Protocol(error));
        }
        self.tell(world, SimEvent::Queued { bytes: bytes.len(), heartbeat: None });
        self.hello = bytes;
        self.sender = Wait::at_once(world.now);
    }

    fn write_hello(&mut self, world: &mut World<'_>) {
        let count = world.out.write(&self.hello, world.path, world.rng, world.now);
        self.hello.drain(..count);
        self.sender = if count == 0 { Wait::NEVER } else { Wait::at_once(world.now) };
        if count > 0 {
            self.tell(world, SimEvent::Wrote { bytes: count });
        }
    }
}

/// Whether our kernel knows that the peer's has no such connection.
fn is_reset(world: &World<'_>) -> bool {
    world.inward.arrived.iter().any(|piece| matches!(piece, Piece::Reset))
}

const SHORTEST_WRITE: Duration = Duration::from_millis(10);
const LONGEST_WRITE: Duration = Duration::from_millis(250);
