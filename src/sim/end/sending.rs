//! The sending half of an end: frames that wait, heartbeats between them, stuck writes, goodbyes.
//!
//! It mirrors the link's sender thread. Frames leave whole and in order, a heartbeat goes in at the
//! next edge between frames, and every partial write moves the sending clock.

use std::time::Duration;

use super::{End, Kind, Outgoing, Phase, Wait, World, step};
use crate::liveness::{Mode, Time};
use crate::protocol::{Bye, ByeCode, Framing, Heartbeat, Hello, Native, ProtocolError, Timing};
use crate::sim::{DownReason, SendError, What};

impl End {
    /// Takes a message of the program's.
    pub(in crate::sim) fn send(
        &mut self,
        world: &mut World<'_>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        if self.phase != Phase::Up {
            return Err(SendError::NotConnected);
        }
        let pending = self.pending();
        if pending > 0 && pending.saturating_add(payload.len()) > self.options.queue_bytes {
            return Err(SendError::Full);
        }
        let mut bytes = Vec::new();
        let framing = Native::with_frame_max(self.options.frame_max);
        framing.encode_data(payload, &mut bytes).map_err(SendError::Unfit)?;
        self.tell(world, What::Sent(payload.to_vec()));
        let last = self.out.len();
        self.queue(world, last, bytes, Kind::Data);
        Ok(())
    }

    /// Closes in order: what was accepted, then BYE 0.
    pub(in crate::sim) fn close(&mut self, world: &mut World<'_>) {
        if self.phase == Phase::Up {
            self.leave(world, DownReason::Local, &Bye { code: ByeCode::CLOSE, text: "" }, true);
        }
    }

    pub(super) fn send_turn(&mut self, world: &mut World<'_>) -> bool {
        let writes = !self.out.is_empty() && world.out.room > 0;
        if !writes && self.sender.fires > world.now {
            return false;
        }
        let has_turn = self.phase == Phase::Up && !self.beat_waits;
        let beat = has_turn.then(|| self.pulse.poll(world.now)).flatten();
        if let Some(beat) = beat.filter(|beat| beat.even_busy || self.out.is_empty()) {
            self.queue_beat(world, beat.value);
        }
        let Some(front) = self.out.front() else {
            match self.phase {
                Phase::Leaving { .. } => self.left(world),
                Phase::Up => self.sender = self.wait(self.pulse.due(), world.rng),
                _ => self.sender = Wait::NEVER,
            }
            return true;
        };
        match world.out.write(&front.bytes[self.written..], world.path, world.rng, world.now) {
            0 => self.handle_stuck(world),
            count => self.handle_written(world, count),
        }
        true
    }

    fn handle_written(&mut self, world: &mut World<'_>, count: usize) {
        let now = world.now;
        self.tell(world, What::Wrote { bytes: count });
        self.stuck = false;
        self.sender = Wait::at_once(now);
        self.written += count;
        self.pulse.handle_sent(now);
        let whole = self.out.front().is_some_and(|front| self.written == front.bytes.len());
        if let Some(frame) = whole.then(|| self.out.pop_front()).flatten() {
            self.written = 0;
            if let Kind::Beat(value) = frame.kind {
                self.beat_waits = false;
                self.pulse.handle_beat_sent(value, now);
                self.tell(world, What::HeartbeatSent { value });
            }
        }
        if !self.out.is_empty() {
            self.pulse.handle_pending(now);
        }
    }

    /// Decides about a write of which the kernel took nothing: wait longer, or `write-stalled`.
    fn handle_stuck(&mut self, world: &mut World<'_>) {
        let now = world.now;
        let waited = std::mem::replace(&mut self.stuck, true);
        match self.phase {
            Phase::Leaving { ended_at, .. } if now >= ended_at + LEAVE => return self.left(world),
            Phase::Leaving { ended_at, .. } => {
                self.sender = self.wait(ended_at + LEAVE, world.rng);
                return;
            }
            _ => {}
        }
        let until = self.sender.until;
        let late = waited.then(|| self.pulse.handle_write_waited(until, now)).flatten();
        if let Some(late) = late {
            self.tell(world, What::Stalled { late });
        }
        if let Some(pending) = self.pulse.stalled(now) {
            return self.end(world, DownReason::WriteStalled { pending });
        }
        let stalled_at = self.pulse.stalled_at();
        if stalled_at == Time::NEVER {
            self.sender = Wait::NEVER;
            return;
        }
        let limit = self.pulse.limit().unwrap_or_default();
        let longest = (limit / 8).clamp(SHORTEST_WRITE, LONGEST_WRITE);
        self.sender = self.wait(now + step(stalled_at.since(now), longest), world.rng);
    }

    pub(super) fn queue_beat(&mut self, world: &mut World<'_>, value: Duration) {
        let sent_us = world.now.as_nanos() / 1000 + 1;
        let timing = Some(Timing { sent_us, ..Timing::default() });
        let mut bytes = Vec::with_capacity(33);
        let heartbeat_time_ms = value.as_millis() as u32;
        Heartbeat { heartbeat_time_ms, timing }.encode(&mut bytes);
        let edge = match self.out.front() {
            Some(front) => usize::from(self.written > 0 || front.kind == Kind::Hello),
            None => 0,
        };
        self.beat_waits = true;
        self.queue(world, edge, bytes, Kind::Beat(value));
    }

    fn queue(&mut self, world: &mut World<'_>, at: usize, bytes: Vec<u8>, kind: Kind) {
        let heartbeat = if let Kind::Beat(value) = kind { Some(value) } else { None };
        self.tell(world, What::Queued { bytes: bytes.len(), heartbeat });
        if self.out.is_empty() {
            self.pulse.handle_pending(world.now);
            self.sender = Wait { fires: world.now, ..self.sender };
        }
        self.out.insert(at, Outgoing { bytes, kind });
    }

    pub(super) fn greet(&mut self, world: &mut World<'_>) {
        let mut bytes = Vec::new();
        let always = self.options.liveness.mode == Mode::Always;
        let hello = Hello { name: &self.name, always, ..Hello::default() };
        if let Err(error) = hello.encode(&mut bytes) {
            return self.end(world, DownReason::Protocol(error));
        }
        self.queue(world, 0, bytes, Kind::Hello);
    }

    pub(super) fn refuse(&mut self, world: &mut World<'_>, error: ProtocolError) {
        let text = error.to_string();
        let bye = Bye { code: ByeCode::PROTOCOL, text: &text };
        self.leave(world, DownReason::Protocol(error), &bye, false);
    }

    /// Ends with a goodbye; what was accepted goes out before it, or is dropped and counted.
    fn leave(&mut self, world: &mut World<'_>, reason: DownReason, bye: &Bye<'_>, flush: bool) {
        if self.phase == Phase::Greeting {
            return self.end(world, reason);
        }
        let keep = if flush { self.out.len() } else { usize::from(self.written > 0) };
        for dropped in self.out.split_off(keep.min(self.out.len())) {
            self.count_unsent(&dropped, 0);
        }
        self.tell(world, What::Leaving { reason: reason.clone() });
        self.phase = Phase::Leaving { reason, ended_at: world.now };
        let mut bytes = Vec::new();
        bye.encode(&mut bytes);
        let last = self.out.len();
        self.queue(world, last, bytes, Kind::Bye);
        self.sender = Wait::at_once(world.now);
    }

    /// The goodbye is written, or its time is over.
    pub(super) fn left(&mut self, world: &mut World<'_>) {
        if let Phase::Leaving { reason, ended_at } = std::mem::replace(&mut self.phase, Phase::Over)
        {
            self.report(world, reason, ended_at);
        }
    }

    pub(super) fn count_unsent(&mut self, frame: &Outgoing, written: usize) {
        if frame.kind == Kind::Data {
            self.unsent.0 += 1;
            self.unsent.1 += (frame.bytes.len() - written) as u64;
        }
    }

    fn pending(&self) -> usize {
        self.out.iter().map(|frame| frame.bytes.len()).sum::<usize>() - self.written
    }
}

const SHORTEST_WRITE: Duration = Duration::from_millis(10);
const LONGEST_WRITE: Duration = Duration::from_millis(250);
/// How long a goodbye may take.
const LEAVE: Duration = Duration::from_millis(50);
