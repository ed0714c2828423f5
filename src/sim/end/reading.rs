//! The receiving half of an end, driven as a link's reader thread does: the socket before the
//! clock, heartbeats before messages, and nothing while the program holds the reader.
//!
//! It owns no rules: the connection decides what the bytes and the silence mean.

use std::io;
use std::time::Duration;

use super::{End, Phase, Wait, World};
use crate::connection::{self, DownReason, Incoming, Input, LinkEvent, Outgoing};
use crate::link::step;
use crate::liveness::Verdict;
use crate::protocol::{Bye, ByeCode, Frame, ProtocolError};
use crate::sim::record::{HandshakeFailure, SimEvent};
use crate::sim::wire::Piece;

/// A frame of a handshake, apart from the buffer it came in.
enum Greeting {
    Hello(Option<u32>),
    Bye(ByeCode, String),
    Other,
}

impl End {
    pub(super) fn read_turn(&mut self, world: &mut World<'_>) -> bool {
        if let Some((since, until)) = self.held {
            if world.now < until {
                return false;
            }
            self.release(world, world.now.since(since));
        }
        if self.phase == Phase::Greeting {
            return self.greeting_turn(world);
        }
        match self.outgoing.phase() {
            connection::Phase::Closing(_) if !self.outgoing.phase().hands_on() => {
                return self.drop_turn(world);
            }
            connection::Phase::Ended { .. } | connection::Phase::Down { .. } => return false,
            _ => {}
        }
        let mut message = None;
        let behind = self.incoming.poll_past_messages(|payload| {
            message = Some(payload.to_vec());
            false
        });
        match behind {
            None if message.is_some() => {
                self.received.messages += 1;
                self.tell(world, SimEvent::Message(message.unwrap_or_default()));
                self.hold(world, self.options.message_time);
            }
            Some(Input::Bye(bye)) => self.outgoing.handle_bye(&bye, world.now),
            Some(Input::Broken(error)) => self.refuse(world, error),
            Some(Input::Skipped | Input::Heartbeat(_)) => {}
            None => match world.inward.arrived.pop_front() {
                Some(piece) => self.handle_piece(world, piece),
                None if self.reader.fires <= world.now => self.handle_waited(world),
                None => return false,
            },
        }
        true
    }

    /// The program lets the reader go on.
    fn release(&mut self, world: &mut World<'_>, held: Duration) {
        self.held = None;
        let is_long = self.incoming.handle_held(held, world.now);
        self.reader = Wait::at_once(world.now);
        if is_long && self.outgoing.phase().hands_on() {
            self.tell(world, SimEvent::Event(LinkEvent::HandlerBusy { held }));
        }
    }

    fn greeting_turn(&mut self, world: &mut World<'_>) -> bool {
        let greeting = match self.greeter.poll_frame() {
            Ok(Some(Frame::Hello(hello))) => Greeting::Hello(hello.heartbeat_time_ms),
            Ok(Some(Frame::Bye(bye))) if self.dials => Greeting::Bye(bye.code, bye.text.to_owned()),
            Ok(Some(_)) => Greeting::Other,
            Ok(None) => return self.read_greeting(world),
            Err(error) => {
                self.fail(world, HandshakeFailure::Protocol(error));
                return true;
            }
        };
        match greeting {
            Greeting::Hello(value_ms) => self.establish(world, value_ms),
            Greeting::Bye(code, text) => self.fail(world, HandshakeFailure::Closed { code, text }),
            Greeting::Other => {
                let error = ProtocolError::Unexpected { frame: "a frame", allowed: "HELLO" };
                self.fail(world, HandshakeFailure::Protocol(error));
            }
        }
        true
    }

    fn read_greeting(&mut self, world: &mut World<'_>) -> bool {
        match world.inward.arrived.pop_front() {
            Some(Piece::Syn | Piece::Made) => {}
            Some(Piece::Fin) => self.fail(world, HandshakeFailure::Eof),
            Some(Piece::Reset) => self.fail(world, HandshakeFailure::Io),
            Some(Piece::Bytes(bytes)) => {
                world.inward.handle_read(bytes.len(), world.path.is_cut);
                self.tell(world, SimEvent::Read { bytes: bytes.len() });
                let greeter = &mut self.greeter;
                fill(&bytes, |part| {
                    let spare = greeter.spare();
                    let count = spare.len().min(part.len());
                    spare[..count].copy_from_slice(&part[..count]);
                    greeter.handle_filled(count);
                    count
                });
            }
            None if self.reader.fires <= world.now => self.fail(world, HandshakeFailure::TooSlow),
            None => return false,
        }
        true
    }

    fn establish(&mut self, world: &mut World<'_>, value_ms: Option<u32>) {
        if !self.dials {
            self.greet(world);
        }
        let pending = self.greeter.pending().to_vec();
        self.greeter.discard();
        self.come_up(world, value_ms, &pending);
    }

    /// The handshake is done: the connection begins.
    pub(super) fn come_up(
        &mut self,
        world: &mut World<'_>,
        value_ms: Option<u32>,
        received: &[u8],
    ) {
        let (settings, now) = (&self.options.liveness, world.now);
        let queue_bytes = self.options.queue_bytes;
        self.outgoing = Outgoing::new(self.framing.clone(), settings, queue_bytes, now);
        self.incoming = Incoming::new(self.framing.clone(), settings, now);
        self.outgoing.set_trace(self.steps.trace());
        self.incoming.set_trace(self.steps.trace());
        self.phase = Phase::Up;
        (self.reader, self.sender) = (Wait::at_once(now), Wait::at_once(now));
        if let Some(value_ms) = value_ms {
            self.outgoing.handle_hello(value_ms, now);
            self.incoming.hear_hello(value_ms, now);
        }
        self.incoming.handle_read_before(received);
        self.hear(world);
    }

    fn handle_piece(&mut self, world: &mut World<'_>, piece: Piece) {
        match piece {
            Piece::Syn | Piece::Made => {}
            Piece::Fin => self.outgoing.handle_end_of_stream(world.now),
            Piece::Reset => {
                let reason = DownReason::io(&io::ErrorKind::ConnectionReset.into());
                self.outgoing.handle_read_failed(reason, world.now);
            }
            Piece::Bytes(bytes) => {
                world.inward.handle_read(bytes.len(), world.path.is_cut);
                self.received.bytes += bytes.len() as u64;
                if let Some(late) = self.incoming.handle_waited(self.reader.until, world.now) {
                    self.report_stall(world, late);
                }
                self.take_changes(world);
                let (now, incoming) = (world.now, &mut self.incoming);
                let (mut recovered, mut silence) = (None, None);
                fill(&bytes, |part| {
                    let spare = incoming.spare();
                    let count = spare.len().min(part.len());
                    spare[..count].copy_from_slice(&part[..count]);
                    let arrival = incoming.handle_received(count, now);
                    recovered = recovered.or(arrival.recovered);
                    silence = silence.or(arrival.silence);
                    count
                });
                self.reader = Wait::at_once(now);
                if let Some(silence) = silence {
                    self.outgoing.add_silence(silence);
                }
                let recovered = recovered.map(LinkEvent::recovered);
                self.tell_all(world, [recovered]);
                self.hear(world);
            }
        }
    }

    /// Processes the heartbeats in the bytes that have arrived, before any message of them is
    /// handed on.
    fn hear(&mut self, world: &mut World<'_>) {
        while let Some(heartbeat) = self.incoming.poll_heartbeat() {
            self.received.heartbeats += 1;
            let heard = self.outgoing.handle_heartbeat(&heartbeat, world.now);
            if heard.adopted {
                self.sender.fires = world.now;
            }
            self.incoming.hear(heartbeat.heartbeat_time_ms, world.now);
        }
    }

    /// Both threads of a link wake from the same stall, and it is reported once.
    fn report_stall(&mut self, world: &mut World<'_>, late: Duration) {
        if self.outgoing.add_stall(late, world.now) {
            self.tell(world, SimEvent::Event(LinkEvent::Stalled { late }));
        }
    }

    /// The reader's wait has ended and brought nothing: what does the silence mean?
    fn handle_waited(&mut self, world: &mut World<'_>) {
        self.take_changes(world);
        let waited = std::mem::replace(&mut self.reader, Wait::at_once(world.now));
        if let Some(late) = self.incoming.handle_waited(waited.until, world.now) {
            return self.report_stall(world, late);
        }
        match self.incoming.poll_verdict(world.now) {
            Verdict::Late { silence } => {
                self.outgoing.add_peer_late();
                self.tell(world, SimEvent::Event(LinkEvent::late(silence)))
            }
            Verdict::Silent { .. } => self.end(world, DownReason::Silent),
            Verdict::Wait { next } => {
                let until = world.now + step(next.since(world.now)).min(LONGEST_READ);
                self.reader = self.wait(until, world.rng);
            }
        }
    }

    /// Reads and drops while a close is under way.
    fn drop_turn(&mut self, world: &mut World<'_>) -> bool {
        match world.inward.arrived.pop_front() {
            Some(Piece::Bytes(bytes)) => self.drop_bytes(world, &bytes),
            Some(Piece::Fin) => self.outgoing.handle_end_of_stream(world.now),
            Some(Piece::Reset) => self.outgoing.handle_read_failed(DownReason::Eof, world.now),
            Some(Piece::Syn | Piece::Made) => {}
            None => {
                // What had arrived before the close began.
                self.reader = Wait::NEVER;
                self.drop_messages(world);
                return false;
            }
        }
        true
    }

    /// What has arrived and is not handed on any more is counted, if this side ended the link.
    pub(super) fn drop_rest(&mut self, world: &mut World<'_>) {
        self.drop_messages(world);
        let counts = matches!(
            self.outgoing.phase().reason(),
            Some(DownReason::WriteStalled { .. } | DownReason::Local { .. } | DownReason::Replaced)
        );
        while counts && matches!(world.inward.arrived.front(), Some(Piece::Bytes(_))) {
            if let Some(Piece::Bytes(bytes)) = world.inward.arrived.pop_front() {
                self.drop_bytes(world, &bytes);
            }
        }
    }

    fn drop_bytes(&mut self, world: &mut World<'_>, bytes: &[u8]) {
        world.inward.handle_read(bytes.len(), world.path.is_cut);
        // First, so that a smaller slack holds for the silence that begins here.
        let changes = self.outgoing.take_changes();
        self.incoming.apply(changes, world.now);
        let (now, incoming) = (world.now, &mut self.incoming);
        fill(bytes, |part| {
            let spare = incoming.spare();
            let count = spare.len().min(part.len());
            spare[..count].copy_from_slice(&part[..count]);
            incoming.handle_received(count, now);
            count
        });
        self.hear(world);
        self.drop_messages(world);
    }

    fn drop_messages(&mut self, world: &World<'_>) {
        while let Some(input) = self.incoming.drop_messages() {
            match input {
                Input::Bye(Bye { code, text }) => {
                    self.outgoing.handle_bye(&Bye { code, text }, world.now);
                }
                Input::Broken(_) => break,
                Input::Heartbeat(_) | Input::Skipped => {}
            }
        }
    }
}

/// Gives `bytes` to `take` until it has taken all.
fn fill(mut bytes: &[u8], mut take: impl FnMut(&[u8]) -> usize) {
    while !bytes.is_empty() {
        let count = take(bytes);
        bytes = &bytes[count..];
    }
}

const LONGEST_READ: Duration = Duration::from_secs(30);
