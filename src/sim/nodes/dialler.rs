//! The dialling side of one peer, in the place of its thread: it does what the plan says, on
//! connections of the net.
//!
//! Every decision is the node's: the plan chooses the address and the time, the ownership decides
//! who has the peer, and the handshake interprets the answer.

use std::io;
use std::sync::Arc;

use super::Ground;
use super::session::Linked;
use super::wire::Wire;
use crate::config::{Address, PeerConfig};
use crate::link::handshake::Side;
use crate::liveness::{Settings, Time};
use crate::node::driven::{
    About, Answer, Conn, DialFailure, DialPlan, DialStep, HelloStart, PeerRuntime, Session, Shared,
    check_answer, end_greeting, hello_to, too_late,
};
use crate::node::{Direction, Endpoint};
use crate::protocol::ByeCode;
use crate::sim::LinkId;
use crate::sim::end::RawInput;

/// The dialling side of one peer.
pub(super) struct Dialler {
    pub(super) runtime: Arc<PeerRuntime>,
    plan: DialPlan,
    at: At,
    /// When it is to be asked again.
    pub(super) next: Time,
}

enum At {
    Planning,
    Resolving {
        address: Address,
        deadline: Time,
    },
    /// Without a wire nothing answers.
    Connecting {
        wire: Option<Wire>,
        addr: Endpoint,
        deadline: Time,
    },
    Greeting(Box<Greets>),
    Linked(LinkId),
    Over,
}

/// A connection on which our HELLO is out.
struct Greets {
    wire: Wire,
    addr: Endpoint,
    deadline: Time,
    number: u64,
    peer: Arc<PeerConfig>,
    settings: Settings,
    /// What is left of it to be written, and what has been heard.
    left: Vec<u8>,
    heard: Vec<u8>,
}

impl Dialler {
    pub(super) fn new(runtime: &Arc<PeerRuntime>) -> Self {
        let plan = DialPlan::new(&runtime.config());
        Self { runtime: Arc::clone(runtime), plan, at: At::Planning, next: Time::ZERO }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.at, At::Over)
    }

    /// Does all that can be done now; a link that comes up is returned.
    pub(super) fn turn(&mut self, shared: &Arc<Shared>, ground: &Ground<'_>) -> Option<Linked> {
        self.next = Time::NEVER;
        loop {
            let turned = match std::mem::replace(&mut self.at, At::Over) {
                At::Planning => self.plan(shared, ground),
                At::Resolving { address, deadline } => {
                    self.resolve(shared, ground, address, deadline)
                }
                At::Connecting { wire, addr, deadline } => {
                    self.connect(shared, ground, wire, addr, deadline)
                }
                At::Greeting(greets) => match self.greet(shared, ground, greets) {
                    Ok(linked) => return Some(linked),
                    Err(turned) => turned,
                },
                rests => Err(rests),
            };
            match turned {
                Ok(at) => self.at = at,
                Err(at) => {
                    self.at = at;
                    return None;
                }
            }
        }
    }

    /// Its link has ended.
    pub(super) fn handle_down(&mut self, link: LinkId, stable: bool, now: Time) -> bool {
        if !matches!(self.at, At::Linked(ours) if ours == link) {
            return false;
        }
        if !stable {
            self.runtime.turns.forget_lost();
        }
        self.plan.handle_ended(stable, now);
        (self.at, self.next) = (At::Planning, now);
        true
    }

    /// `Err` = it waits there.
    fn plan(&mut self, shared: &Arc<Shared>, ground: &Ground<'_>) -> Result<At, At> {
        let turns = &self.runtime.turns;
        match turns.poll_plan(&mut self.plan, &self.runtime.config()) {
            DialStep::Stop => return Err(At::Over),
            DialStep::Wait { until } => {
                self.next = until;
                return Err(At::Planning);
            }
            DialStep::Report(event) => drop(shared.report(Some(&self.runtime), &event)),
            DialStep::Resolve { address, deadline } => {
                return Ok(At::Resolving { address, deadline });
            }
            DialStep::Connect { addr, deadline, .. } => {
                if !turns.enter_blocked() {
                    return Err(At::Over);
                }
                match ground.dial(&addr) {
                    Ok(wire) => return Ok(At::Connecting { wire, addr, deadline }),
                    Err(error) => self.fail(&error.into(), shared, ground.now),
                }
            }
        }
        Ok(At::Planning)
    }

    fn resolve(
        &mut self,
        shared: &Shared,
        ground: &Ground<'_>,
        address: Address,
        deadline: Time,
    ) -> Result<At, At> {
        if self.runtime.turns.is_stopping() {
            return Err(At::Over);
        }
        let found = match ground.resolve(&address) {
            Some(found) => found,
            None if ground.now >= deadline => Err(too_late(&address)),
            None => {
                self.next = deadline;
                return Err(At::Resolving { address, deadline });
            }
        };
        let failed = |error| DialFailure::resolving(&error, &shared.limits);
        self.plan.handle_resolved(found.map_err(failed));
        Ok(At::Planning)
    }

    fn connect(
        &mut self,
        shared: &Shared,
        ground: &Ground<'_>,
        wire: Option<Wire>,
        addr: Endpoint,
        deadline: Time,
    ) -> Result<At, At> {
        let turns = &self.runtime.turns;
        let close = || wire.iter().for_each(Wire::close);
        let failure = match wire.as_ref().and_then(Wire::read) {
            _ if turns.is_stopping() => {
                close();
                turns.leave_blocked();
                return Err(At::Over);
            }
            Some(RawInput::Made) => {
                turns.leave_blocked();
                return self.begin_hello(wire, addr, deadline);
            }
            Some(_) => io::ErrorKind::ConnectionRefused,
            None if ground.now >= deadline => io::ErrorKind::TimedOut,
            None => {
                self.next = deadline;
                return Err(At::Connecting { wire, addr, deadline });
            }
        };
        close();
        self.fail(&failure.into(), shared, ground.now);
        Ok(At::Planning)
    }

    /// The connection was not made.
    fn fail(&mut self, error: &io::Error, shared: &Shared, now: Time) {
        self.runtime.turns.leave_blocked();
        self.plan.handle_failed(DialFailure::connecting(error, &shared.limits), now);
    }

    fn begin_hello(
        &mut self,
        wire: Option<Wire>,
        addr: Endpoint,
        deadline: Time,
    ) -> Result<At, At> {
        let Some(wire) = wire else { return Ok(At::Planning) };
        let number = match self.runtime.turns.begin_hello(Conn::Virtual(Arc::new(wire.clone()))) {
            HelloStart::Go(number) => number,
            HelloStart::Taken => {
                wire.close();
                self.plan.handle_over();
                return Ok(At::Planning);
            }
            HelloStart::Stop => {
                wire.close();
                return Err(At::Over);
            }
        };
        let (peer, settings) = (self.runtime.config(), self.runtime.liveness());
        let (mut left, heard) = (Vec::new(), Vec::new());
        // The configuration holds no name that does not fit.
        let _fits = hello_to(&peer, &settings).encode(&mut left);
        let greets = Greets { wire, addr, deadline, number, peer, settings, left, heard };
        Ok(At::Greeting(Box::new(greets)))
    }

    fn greet(
        &mut self,
        shared: &Arc<Shared>,
        ground: &Ground<'_>,
        mut greets: Box<Greets>,
    ) -> Result<Linked, Result<At, At>> {
        let Greets { wire, left, heard, deadline, .. } = &mut *greets;
        wire.write(left);
        let Some(answer) = wire.hear(heard, Side::Dials, *deadline, ground.now) else {
            self.next = greets.deadline;
            return Err(Err(At::Greeting(greets)));
        };
        let Greets { wire, addr, number, peer, settings, .. } = *greets;
        let answer = answer.and_then(|greeting| {
            check_answer(&peer, &hello_to(&peer, &settings), &greeting).map(|()| greeting)
        });
        if let Some((code, error)) =
            answer.as_ref().err().and_then(|error| Some((error.bye_code()?, error)))
        {
            wire.write_bye(code, &error.to_string());
        }
        let answer = answer.map_err(|error| DialFailure::greeting(&error));
        match end_greeting(&self.runtime.turns, number, answer) {
            Answer::Welcome(lease, greeting) => {
                let direction = Direction::Dialled;
                let about = About { addr, direction, greeting, settings };
                self.at = At::Linked(wire.link);
                return Ok(Linked::new(Session::new(shared, &self.runtime, lease, about), wire));
            }
            Answer::Stop => {
                wire.write_bye(ByeCode::SHUTTING_DOWN, "shutting down");
                wire.close();
                return Err(Err(At::Over));
            }
            Answer::Failed(failure) => self.plan.handle_failed(failure, ground.now),
            Answer::Over => self.plan.handle_over(),
        }
        wire.close();
        Err(Ok(At::Planning))
    }
}
