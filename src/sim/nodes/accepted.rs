//! The accepting side, in the place of its threads: connections that a kernel has accepted, from
//! their HELLO to their link.
//!
//! The node decides who has a place, which peer a HELLO belongs to, and why it is refused.

use std::sync::Arc;

use super::Ground;
use super::session::Linked;
use super::wire::Wire;
use crate::link::handshake::{Greeting, HandshakeError, LINGER, Side};
use crate::liveness::{Settings, Time};
use crate::node::driven::{
    About, Admission, Handshake, Lease, PeerRuntime, Refusal, Session, Shared, Stage, VirtualConn,
    hello_to,
};
use crate::node::{Direction, Endpoint};
use crate::sim::LinkId;
use crate::sim::end::RawInput;

/// What serves the connections of one place, one after the other.
pub(super) struct Worker {
    number: u64,
    serves: Option<Accepted>,
    /// It serves nothing any more but its link.
    linked: Option<LinkId>,
    is_over: bool,
    /// When it is to be asked again.
    pub(super) next: Time,
}

/// A connection whose handshake is under way.
struct Accepted {
    wire: Wire,
    addr: Endpoint,
    deadline: Time,
    handshake: Handshake,
    at: At,
}

enum At {
    /// What has been heard of its HELLO.
    Receiving(Vec<u8>),
    Claiming(Admission, Greeting),
    Welcoming(Box<Welcome>),
    /// It may read why until then.
    Leaving(Refusal, Time),
    Over,
}

struct Welcome {
    left: Vec<u8>,
    runtime: Arc<PeerRuntime>,
    lease: Lease,
    greeting: Greeting,
    settings: Settings,
}

/// What a turn of a connection came to.
enum Turned {
    On(At),
    Waits(At, Time),
    Up(Linked),
}

impl Worker {
    pub(super) fn new(number: u64) -> Self {
        Self { number, serves: None, linked: None, is_over: false, next: Time::ZERO }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Does all that can be done now; a link that comes up is returned.
    pub(super) fn turn(
        &mut self,
        shared: &Arc<Shared>,
        ground: &Ground<'_>,
        wires: &mut Vec<(Endpoint, Wire)>,
    ) -> Option<Linked> {
        self.next = Time::NEVER;
        if self.linked.is_some() {
            return None;
        }
        loop {
            let Some(accepted) = &mut self.serves else {
                let place = shared.next_handshake(self.number);
                let found = place.and_then(|place| {
                    let index = wires.iter().position(|(addr, _)| *addr == place.addr)?;
                    Some((place.number, wires.swap_remove(index)))
                });
                let Some((number, (addr, wire))) = found else {
                    self.is_over = true;
                    return None;
                };
                let deadline = ground.now + shared.config().accept_wait();
                let handshake = Handshake::new(shared, number);
                let at = At::Receiving(Vec::new());
                self.serves = Some(Accepted { wire, addr, deadline, handshake, at });
                continue;
            };
            match accepted.turn(shared, ground) {
                Turned::On(At::Over) => self.serves = None,
                Turned::On(at) => accepted.at = at,
                Turned::Waits(at, until) => {
                    (accepted.at, self.next) = (at, until);
                    return None;
                }
                Turned::Up(linked) => {
                    (self.linked, self.serves) = (Some(linked.link()), None);
                    return Some(linked);
                }
            }
        }
    }

    /// Its link has ended.
    pub(super) fn handle_down(&mut self, link: LinkId) {
        self.is_over |= self.linked == Some(link);
    }
}

impl Accepted {
    fn turn(&mut self, shared: &Arc<Shared>, ground: &Ground<'_>) -> Turned {
        match std::mem::replace(&mut self.at, At::Over) {
            At::Receiving(heard) => self.receive(shared, heard, ground.now),
            At::Claiming(mut admission, greeting) => match admission.poll(shared, &greeting) {
                None => Turned::Waits(At::Claiming(admission, greeting), self.deadline),
                Some(Err(refusal)) => self.refuse(shared, refusal, ground.now),
                Some(Ok((runtime, lease))) => {
                    let settings = runtime.liveness();
                    let mut left = Vec::new();
                    // The configuration holds no name that does not fit.
                    let _fits = hello_to(&runtime.config(), &settings).encode(&mut left);
                    let welcome = Welcome { left, runtime, lease, greeting, settings };
                    Turned::On(At::Welcoming(Box::new(welcome)))
                }
            },
            At::Welcoming(welcome) => self.welcome(shared, welcome, ground.now),
            At::Leaving(refusal, until) => self.leave(shared, refusal, until, ground.now),
            At::Over => Turned::On(At::Over),
        }
    }

    fn receive(&mut self, shared: &Arc<Shared>, mut heard: Vec<u8>, now: Time) -> Turned {
        let Some(received) = self.wire.hear(&mut heard, Side::Accepts, self.deadline, now) else {
            if !heard.is_empty() {
                self.handshake.set_stage(Stage::Partial);
            }
            return Turned::Waits(At::Receiving(heard), self.deadline);
        };
        if !self.handshake.set_stage(Stage::Deciding) {
            return self.refuse(shared, Refusal::made_room(shared), now);
        }
        let mut greeting = match received {
            Ok(greeting) => greeting,
            Err(error) => return self.refuse(shared, Refusal::failed(shared, "", &error), now),
        };
        // A peer that gave this connection up has perhaps made a better one.
        match greeting.received.is_empty().then(|| self.wire.read()).flatten() {
            Some(RawInput::End | RawInput::Reset) => {
                let refusal = Refusal::failed(shared, &greeting.name, &HandshakeError::Eof);
                return self.refuse(shared, refusal, now);
            }
            Some(RawInput::Bytes(bytes)) => greeting.received.extend_from_slice(&bytes),
            Some(RawInput::Made) | None => {}
        }
        // No host of a simulator asks who is there.
        if greeting.probe {
            return self.refuse(shared, Refusal::unanswered(&greeting.name), now);
        }
        match Admission::begin(shared, &greeting, None, self.deadline) {
            Ok(admission) => Turned::On(At::Claiming(admission, greeting)),
            Err(refusal) => self.refuse(shared, refusal, now),
        }
    }

    fn welcome(&mut self, shared: &Arc<Shared>, mut welcome: Box<Welcome>, now: Time) -> Turned {
        self.wire.write(&mut welcome.left);
        if !welcome.left.is_empty() {
            if now < self.deadline {
                return Turned::Waits(At::Welcoming(welcome), self.deadline);
            }
            let Welcome { runtime, greeting, .. } = *welcome;
            let failure = Refusal::failed(shared, &greeting.name, &HandshakeError::TimedOut);
            return self.refuse(shared, Refusal { runtime: Some(runtime), ..failure }, now);
        }
        let Welcome { runtime, lease, greeting, settings, .. } = *welcome;
        let about =
            About { addr: self.addr.clone(), direction: Direction::Accepted, greeting, settings };
        let session = Session::new(shared, &runtime, lease, about);
        Turned::Up(Linked::new(session, self.wire.clone()))
    }

    fn refuse(&mut self, shared: &Shared, refusal: Refusal, now: Time) -> Turned {
        if let Some(code) = refusal.reason.bye_code() {
            // One that has lost its place has a newcomer waiting.
            if self.handshake.set_stage(Stage::Leaving) {
                self.wire.write_bye(code, &refusal.detail);
                self.wire.shut();
                return Turned::On(At::Leaving(refusal, now + LINGER));
            }
            self.wire.refuse_at_once(code, &refusal.detail);
        }
        self.wire.close();
        shared.refused(self.addr.clone(), refusal);
        Turned::On(At::Over)
    }

    fn leave(&mut self, shared: &Shared, refusal: Refusal, until: Time, now: Time) -> Turned {
        loop {
            match self.wire.read() {
                Some(RawInput::Made | RawInput::Bytes(_)) => {}
                None if now < until => return Turned::Waits(At::Leaving(refusal, until), until),
                None | Some(RawInput::End | RawInput::Reset) => break,
            }
        }
        self.wire.close();
        shared.refused(self.addr.clone(), refusal);
        Turned::On(At::Over)
    }
}
