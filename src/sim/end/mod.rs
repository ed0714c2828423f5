//! One end of a connection, as a link is: the reader's timed reads, the sender, the handshake
//! before and the leave-taking after.
//!
//! It drives the real decoder and the real rules in the order in which the link's two threads do:
//! the socket before the clock, heartbeats only at edges between frames, a stuck write with a limit
//! of its own. It decides nothing about liveness itself.
//!
//! Invariant: every end that was up goes down once, with the first reason it had.

mod sending;

use std::collections::VecDeque;
use std::time::Duration;

use super::wire::{Path, Piece, Pipe};
use super::{Down, DownReason, Host, LinkId, Options, Rng, Seen, What};
use crate::liveness::{HeartbeatTimer, SilenceTimer, Time, Verdict};
use crate::protocol::{ByeCode, Decoder, Frame, Native, ProtocolError};

/// What an end may touch while it works.
pub(super) struct World<'a> {
    pub(super) now: Time,
    pub(super) link: LinkId,
    pub(super) rng: &'a mut Rng,
    /// From us, and the path it takes.
    pub(super) out: &'a mut Pipe,
    pub(super) path: &'a mut Path,
    /// To us.
    pub(super) inward: &'a mut Pipe,
    pub(super) log: &'a mut Vec<Seen>,
}

/// How far a connection is, for one end.
#[derive(Debug, PartialEq)]
pub(super) enum Phase {
    /// The kernel may know of it, the program does not.
    Unknown,
    /// HELLO is expected.
    Greeting,
    Up,
    /// A goodbye is under way; the reason stands.
    Leaving {
        reason: DownReason,
        ended_at: Time,
    },
    Over,
}

/// A wait: when it should end, and when it will.
#[derive(Clone, Copy, Debug)]
struct Wait {
    until: Time,
    fires: Time,
}

impl Wait {
    const NEVER: Self = Self { until: Time::NEVER, fires: Time::NEVER };

    /// Something happened: look now.
    fn at_once(now: Time) -> Self {
        Self { until: Time::NEVER, fires: now }
    }
}

/// A frame that waits to be written.
#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Hello,
    Data,
    Beat(Duration),
    Bye,
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: Host,
    pub(super) peer: Host,
    pub(super) phase: Phase,
    name: String,
    dials: bool,
    options: Options,
    decoder: Decoder<Native>,
    pulse: HeartbeatTimer,
    watch: SilenceTimer,
    up_at: Time,
    out: VecDeque<Outgoing>,
    /// Bytes of the front frame that the kernel has taken.
    written: usize,
    beat_waits: bool,
    /// The sender waits for room.
    stuck: bool,
    unsent: (u64, u64),
    reader: Wait,
    sender: Wait,
    /// The program holds the reader: since when, until when.
    held: Option<(Time, Time)>,
}

impl End {
    pub(super) fn new(
        host: Host,
        peer: Host,
        name: &str,
        dials: bool,
        options: &Options,
        now: Time,
    ) -> Self {
        Self {
            host,
            peer,
            phase: Phase::Unknown,
            name: name.to_owned(),
            dials,
            options: *options,
            decoder: Decoder::new(Native::with_frame_max(options.frame_max)),
            pulse: HeartbeatTimer::new(&options.liveness, now),
            watch: SilenceTimer::new(&options.liveness, now),
            up_at: now,
            out: VecDeque::new(),
            written: 0,
            beat_waits: false,
            stuck: false,
            unsent: (0, 0),
            reader: Wait::NEVER,
            sender: Wait::NEVER,
            held: None,
        }
    }

    /// Dialled, or accepted: the handshake begins.
    pub(super) fn open(&mut self, world: &mut World<'_>) {
        self.phase = Phase::Greeting;
        self.tell(world, What::Opened { peer: self.peer });
        let until = world.now + self.options.handshake;
        self.reader = self.wait(until, world.rng);
        if self.dials {
            world.out.push(Piece::Syn, world.path, world.rng, world.now);
            self.greet(world);
        }
    }

    /// When something is to be done here, if nothing arrives before.
    pub(super) fn next(&self) -> Time {
        let reads = self.held.map_or(self.reader.fires, |(_, until)| until);
        match self.phase {
            Phase::Greeting | Phase::Up => reads.min(self.sender.fires),
            Phase::Leaving { .. } => self.sender.fires,
            Phase::Unknown | Phase::Over => Time::NEVER,
        }
    }

    /// Does one thing that can be done now, and says whether there was one.
    pub(super) fn turn(&mut self, world: &mut World<'_>) -> bool {
        match self.phase {
            Phase::Over => false,
            Phase::Unknown => match world.inward.arrived.pop_front() {
                Some(Piece::Syn) => {
                    self.open(world);
                    true
                }
                Some(_) => true,
                None => false,
            },
            Phase::Greeting | Phase::Up => self.read_turn(world) || self.send_turn(world),
            Phase::Leaving { .. } => self.drain(world) || self.send_turn(world),
        }
    }

    /// The program holds the reader for `time`.
    pub(super) fn hold(&mut self, world: &mut World<'_>, time: Duration) {
        let until = world.now + time;
        if self.phase != Phase::Up || time.is_zero() {
            return;
        }
        match &mut self.held {
            Some(held) => held.1 = held.1.max(until),
            None => {
                self.held = Some((world.now, until));
                self.tell(world, What::Held);
            }
        }
    }

    /// From now on the program takes so long for a message, the one in hand included.
    pub(super) fn set_message_time(&mut self, time: Duration, now: Time) {
        self.options.message_time = time;
        if let Some((_, until)) = &mut self.held {
            *until = (*until).min(now + time);
        }
    }

    /// The process is gone; the kernel ends the stream, unless it is gone too.
    pub(super) fn die(&mut self, world: &mut World<'_>, kernel_lives: bool) {
        if kernel_lives && self.phase != Phase::Over {
            world.out.push(Piece::Fin, world.path, world.rng, world.now);
        }
        self.phase = Phase::Over;
    }

    fn read_turn(&mut self, world: &mut World<'_>) -> bool {
        if let Some((since, until)) = self.held {
            if world.now < until {
                return false;
            }
            self.held = None;
            self.watch.handle_held(world.now.since(since));
            self.reader = Wait::at_once(world.now);
            self.tell(world, What::Released);
        }
        match self.decoder.poll_frame() {
            Ok(Some(frame)) => {
                let frame = Received::from(frame);
                self.handle_frame(world, frame);
            }
            Err(error) => self.refuse(world, error),
            Ok(None) => match world.inward.arrived.pop_front() {
                Some(piece) => self.handle_piece(world, piece),
                None if self.reader.fires <= world.now => self.handle_waited(world),
                None => return false,
            },
        }
        true
    }

    fn handle_piece(&mut self, world: &mut World<'_>, piece: Piece) {
        match piece {
            Piece::Syn => {}
            Piece::Fin => self.end(world, DownReason::Eof),
            Piece::Reset => self.end(world, DownReason::Io),
            Piece::Bytes(bytes) => {
                world.inward.handle_read(bytes.len(), world.path.is_cut);
                self.tell(world, What::Read { bytes: bytes.len() });
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let spare = self.decoder.spare();
                    let (part, later) = rest.split_at(spare.len().min(rest.len()));
                    spare[..part.len()].copy_from_slice(part);
                    self.decoder.handle_filled(part.len());
                    rest = later;
                }
                if self.phase == Phase::Up {
                    let late = self.watch.handle_waited(self.reader.until, world.now);
                    let silence = self.watch.handle_received(world.now);
                    self.reader = Wait::at_once(world.now);
                    if let Some(late) = late {
                        self.tell(world, What::Stalled { late });
                    }
                    if let Some(silence) = silence {
                        self.tell(world, What::Recovered { silence });
                    }
                }
            }
        }
    }

    /// The reader's wait has ended and brought nothing: what does the silence mean?
    fn handle_waited(&mut self, world: &mut World<'_>) {
        if self.phase == Phase::Greeting {
            return self.end(world, DownReason::TooSlow);
        }
        let waited = std::mem::replace(&mut self.reader, Wait::at_once(world.now));
        if let Some(late) = self.watch.handle_waited(waited.until, world.now) {
            return self.tell(world, What::Stalled { late });
        }
        match self.watch.poll(world.now) {
            Verdict::Late { silence } => self.tell(world, What::Late { silence }),
            Verdict::Silent { .. } => self.end(world, DownReason::Silent),
            Verdict::Wait { next } => {
                let until = world.now + step(next.since(world.now), LONGEST_READ);
                self.reader = self.wait(until, world.rng);
            }
        }
    }

    fn handle_frame(&mut self, world: &mut World<'_>, frame: Received) {
        let allowed = match (&self.phase, frame) {
            (Phase::Greeting, Received::Hello) => return self.establish(world),
            (Phase::Greeting, Received::Bye(code, text)) if self.dials => {
                return self.end(world, DownReason::Closed { code, text });
            }
            (Phase::Greeting, _) => "HELLO",
            (_, Received::Data(payload)) => {
                self.tell(world, What::Message(payload));
                return self.hold(world, self.options.message_time);
            }
            (_, Received::Heartbeat(value_ms)) => return self.handle_heartbeat(world, value_ms),
            (_, Received::Unknown) => return,
            (_, Received::Bye(code, text)) => {
                return self.end(world, DownReason::Closed { code, text });
            }
            (_, Received::Hello) => "DATA, HEARTBEAT or BYE",
        };
        self.refuse(world, ProtocolError::Unexpected { frame: "a frame", allowed });
    }

    fn establish(&mut self, world: &mut World<'_>) {
        if !self.dials {
            self.greet(world);
        }
        self.phase = Phase::Up;
        self.up_at = world.now;
        self.pulse = HeartbeatTimer::new(&self.options.liveness, world.now);
        self.watch = SilenceTimer::new(&self.options.liveness, world.now);
        self.reader = Wait::at_once(world.now);
        self.sender = Wait::at_once(world.now);
        self.tell(world, What::Up { peer: self.peer });
    }

    fn handle_heartbeat(&mut self, world: &mut World<'_>, value_ms: u32) {
        let value = Duration::from_millis(value_ms.into());
        self.tell(world, What::HeartbeatReceived { value });
        self.pulse.adopt(value_ms, world.now);
        let heard = self.watch.handle_heartbeat(value_ms, world.now);
        if let Some(asked) = heard.clamped {
            self.tell(world, What::Clamped { asked });
        }
        if let Some(change) = heard.adopted {
            self.sender = Wait { fires: world.now, ..self.sender };
            self.tell(world, What::HeartbeatTime { from: change.from, to: change.to });
        }
        if heard.flooding {
            self.tell(world, What::Flooding);
        }
    }

    /// Reads and drops while the goodbye is under way.
    fn drain(&mut self, world: &mut World<'_>) -> bool {
        match world.inward.arrived.pop_front() {
            Some(Piece::Bytes(bytes)) => {
                world.inward.handle_read(bytes.len(), world.path.is_cut);
                self.tell(world, What::Read { bytes: bytes.len() });
            }
            Some(Piece::Fin | Piece::Reset) => self.left(world),
            Some(Piece::Syn) => {}
            None => return false,
        }
        true
    }

    /// Ends abruptly (H5): both directions are shut.
    fn end(&mut self, world: &mut World<'_>, reason: DownReason) {
        let was = std::mem::replace(&mut self.phase, Phase::Over);
        match was {
            Phase::Up => self.report(world, reason, world.now),
            Phase::Greeting => {
                world.out.push(Piece::Fin, world.path, world.rng, world.now);
                let peer = self.peer;
                self.tell(
                    world,
                    match self.dials {
                        true => What::DialFailed { peer, reason },
                        false => What::Refused { reason },
                    },
                );
            }
            was => self.phase = was,
        }
    }

    fn report(&mut self, world: &mut World<'_>, reason: DownReason, ended_at: Time) {
        for (index, frame) in std::mem::take(&mut self.out).iter().enumerate() {
            let written = if index == 0 { self.written } else { 0 };
            self.count_unsent(frame, written);
        }
        world.out.push(Piece::Fin, world.path, world.rng, world.now);
        let down = Down {
            peer: self.peer,
            reason,
            silence: ended_at.since(self.watch.last_received()),
            limit: self.watch.limit(),
            heartbeat_time: self.watch.in_force(),
            slack: self.options.liveness.slack,
            last_sent_age: ended_at.since(self.pulse.last_sent()),
            unsent_frames: self.unsent.0,
            unsent_bytes: self.unsent.1,
            up: ended_at.since(self.up_at),
        };
        self.tell(world, What::Down(down));
    }

    /// A wait until `until` that ends up to the clock's granularity late.
    fn wait(&self, until: Time, rng: &mut Rng) -> Wait {
        Wait { until, fires: until + rng.duration(self.options.granularity) }
    }

    fn tell(&self, world: &mut World<'_>, what: What) {
        let (at, host, link) = (world.now, self.host, Some(world.link));
        world.log.push(Seen { at, host, link, what });
    }
}

/// A frame, apart from the buffer it came in.
enum Received {
    Data(Vec<u8>),
    Heartbeat(u32),
    Hello,
    Bye(ByeCode, String),
    Unknown,
}

impl From<Frame<'_>> for Received {
    fn from(frame: Frame<'_>) -> Self {
        match frame {
            Frame::Data(payload) => Self::Data(payload.to_vec()),
            Frame::Heartbeat(heartbeat) => Self::Heartbeat(heartbeat.heartbeat_time_ms),
            Frame::Hello(_) => Self::Hello,
            Frame::Bye(bye) => Self::Bye(bye.code, bye.text.to_owned()),
            Frame::Unknown { .. } => Self::Unknown,
        }
    }
}

/// How long to wait of what is left, in steps as the link waits.
fn step(left: Duration, longest: Duration) -> Duration {
    if left <= LAST_STRETCH { left } else { (left / 8 * 7).min(longest) }
}

/// Shorter waits are made in one go.
const LAST_STRETCH: Duration = Duration::from_millis(64);
const LONGEST_READ: Duration = Duration::from_secs(30);
