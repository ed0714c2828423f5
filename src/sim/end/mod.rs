//! One end of a connection: it drives the [connection](crate::connection) that a link drives, with
//! the handshake before it.
//!
//! What is here is what the simulator adds: waits that end as late as a clock is coarse, readers
//! that a program holds, a kernel with room for so many bytes. The order is that of a link's two
//! threads: the socket before the clock, heartbeats heard before messages. It decides nothing.
//!
//! Invariant: every end that was up goes down once, with the first reason it had.

mod asked;
mod raw;
mod reading;
mod sending;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use super::op::SimOptions;
use super::record::{HandshakeFailure, Host, LinkId, Record, SimEvent};
use super::rng::Rng;
use super::wire::{Path, Piece, Pipe};
use crate::connection::{self, DownReason, Incoming, LinkEvent, Outgoing};
use crate::liveness::Time;
use crate::protocol::{Decoder, Native};

pub(super) use raw::RawInput;

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
    pub(super) log: &'a mut Vec<Record>,
}

/// How far a connection is, for one end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// The kernel may know of it, the program does not.
    Unknown,
    /// The handshake is a node's: the end hands raw bytes on and decides nothing.
    Raw,
    /// HELLO is expected.
    Greeting,
    /// The connection is established: it knows how far it is.
    Up,
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

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: Host,
    pub(super) peer: Host,
    pub(super) phase: Phase,
    name: String,
    dials: bool,
    options: SimOptions,
    framing: Arc<Native>,
    /// Of the handshake.
    greeter: Decoder<Arc<Native>>,
    outgoing: Outgoing<Native>,
    incoming: Incoming<Native>,
    /// What is left of our HELLO to be written.
    hello: Vec<u8>,
    /// The sender waits for room.
    stuck: bool,
    /// Our direction is shut.
    is_shut: bool,
    /// What went over it before it was a node's link.
    raw: raw::Raw,
    received: asked::Received,
    /// What the connection recorded and is not in the log yet.
    steps: steps::Steps,
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
        options: &SimOptions,
        now: Time,
    ) -> Self {
        let framing = Arc::new(Native::with_frame_max(options.frame_max));
        let settings = &options.liveness;
        Self {
            host,
            peer,
            phase: Phase::Unknown,
            name: name.to_owned(),
            dials,
            options: *options,
            greeter: Decoder::new(Arc::clone(&framing)),
            outgoing: Outgoing::new(Arc::clone(&framing), settings, options.queue_bytes, now),
            incoming: Incoming::new(Arc::clone(&framing), settings, now),
            framing,
            hello: Vec::new(),
            stuck: false,
            is_shut: false,
            raw: raw::Raw::default(),
            received: asked::Received::default(),
            steps: steps::Steps::default(),
            reader: Wait::NEVER,
            sender: Wait::NEVER,
            held: None,
        }
    }

    /// Whether the program has a living link here.
    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up && matches!(self.outgoing.phase(), connection::Phase::Up)
    }

    /// Dialled, or accepted: the handshake begins.
    pub(super) fn open(&mut self, world: &mut World<'_>) {
        self.phase = Phase::Greeting;
        self.tell(world, SimEvent::Opened { peer: self.peer });
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
            Phase::Unknown | Phase::Raw | Phase::Over => Time::NEVER,
        }
    }

    /// Does one thing that can be done now, and returns whether there was one.
    pub(super) fn turn(&mut self, world: &mut World<'_>) -> bool {
        match self.phase {
            Phase::Raw | Phase::Over => false,
            Phase::Unknown => match world.inward.arrived.pop_front() {
                Some(Piece::Syn) => {
                    self.open(world);
                    true
                }
                Some(_) => true,
                None => false,
            },
            Phase::Greeting | Phase::Up => {
                let worked = self.read_turn(world) || self.send_turn(world);
                self.settle(world);
                worked
            }
        }
    }

    /// The program holds the reader for `time`.
    pub(super) fn hold(&mut self, world: &mut World<'_>, time: Duration) {
        let until = world.now + time;
        if self.phase != Phase::Up || !self.outgoing.phase().hands_on() || time.is_zero() {
            return;
        }
        match &mut self.held {
            Some(held) => held.1 = held.1.max(until),
            None => {
                self.held = Some((world.now, until));
                self.incoming.handle_hold(world.now);
                self.take_steps(world);
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
            self.shut_both(world);
        }
        self.phase = Phase::Over;
    }

    /// Does what the phase of the connection asks for, after anything that may have changed it.
    fn settle(&mut self, world: &mut World<'_>) {
        self.take_steps(world);
        if self.phase != Phase::Up {
            return;
        }
        if matches!(self.outgoing.phase(), connection::Phase::Ended { .. }) {
            self.sender = Wait::NEVER;
            if self.held.is_none() {
                self.finish(world);
            }
        }
    }

    /// Draws up the account, once the reader is back.
    fn finish(&mut self, world: &mut World<'_>) {
        self.drop_rest(world);
        self.shut_both(world);
        self.phase = Phase::Over;
        let changes = self.outgoing.take_changes();
        self.incoming.apply(changes, world.now);
        let ended_at = self.outgoing.phase().ended_at().unwrap_or(world.now);
        let report = self.incoming.report(ended_at);
        let down = self.outgoing.report(report, world.now);
        self.tell(world, SimEvent::Down { peer: self.peer, down });
    }

    /// Shuts both directions and closes the socket: with bytes unread that is a reset, which
    /// destroys what is still under way from here.
    fn shut_both(&mut self, world: &mut World<'_>) {
        let unread = world.inward.arrived.iter().any(|piece| matches!(piece, Piece::Bytes(_)));
        if unread {
            world.out.reset(world.path, world.rng, world.now);
        } else if !self.is_shut {
            world.out.push(Piece::Fin, world.path, world.rng, world.now);
        }
        self.is_shut = true;
    }

    /// Ends the handshake: there is no link.
    fn fail(&mut self, world: &mut World<'_>, reason: HandshakeFailure) {
        self.phase = Phase::Over;
        self.shut_both(world);
        let peer = self.peer;
        self.tell(
            world,
            match self.dials {
                true => SimEvent::DialFailed { peer, reason },
                false => SimEvent::Refused { reason },
            },
        );
    }

    /// Ends the connection abruptly (H5).
    fn end(&mut self, world: &World<'_>, reason: DownReason) {
        self.outgoing.end(reason, world.now);
    }

    /// Takes over what was set since the last time.
    fn take_changes(&mut self, world: &mut World<'_>) {
        if self.outgoing.has_changes() {
            let changes = self.outgoing.take_changes();
            self.incoming.apply(changes, world.now);
        }
    }

    /// A wait until `until` that ends up to the clock's granularity late.
    fn wait(&self, until: Time, rng: &mut Rng) -> Wait {
        Wait { until, fires: until + rng.duration(self.options.granularity) }
    }

    /// Moves what the connection recorded into the log.
    fn take_steps(&self, world: &mut World<'_>) {
        let (host, link) = (self.host, Some(world.link));
        let records = self.steps.take().into_iter();
        let event = |step| SimEvent::of(step, self.peer);
        let record = |(at, step)| Record { at, host, link, event: event(step) };
        world.log.extend(records.map(record));
    }

    fn tell_all(&self, world: &mut World<'_>, events: impl IntoIterator<Item = Option<LinkEvent>>) {
        for event in events.into_iter().flatten() {
            self.tell(world, SimEvent::Event(event));
        }
    }

    fn tell(&self, world: &mut World<'_>, event: SimEvent) {
        self.take_steps(world);
        let (at, host, link) = (world.now, self.host, Some(world.link));
        world.log.push(Record { at, host, link, event });
    }
}
