//! The dialling side: one thread per peer that does what the plan says: it resolves, connects,
//! shakes hands, reads, waits, and repeats.
//!
//! A thread inside the system's `connect` cannot be woken. A node that stops abandons it, so it
//! touches nothing of the node, least of all the handler, until its ownership confirms that the
//! node still runs.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::conn::Conn;
use super::endpoint::Endpoint;
use super::event::Direction;
use super::held::{HelloEnd, HelloStart};
use super::plan::{DialFailure, DialPlan, DialStep};
use super::resolve::{Connector, Resolver};
use super::runtime::PeerRuntime;
use super::session::{About, Session, hello_to};
use super::shared::{Phase, Shared};
use super::transport::{AnyStream, Connected, Dial};
use super::turns::{Lease, Turns};
use crate::config::{Address, Config, PeerConfig};
use crate::link::Stream;
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::liveness::Time;
use crate::protocol::{ByeCode, Hello, ProtocolError};

/// Keeps the peer connected until the node stops.
pub(super) fn dial_peer(shared: &Arc<Shared>, runtime: &Arc<PeerRuntime>) {
    if shared.wait_for(Phase::Running) != Phase::Running {
        return;
    }
    let (resolver, connector) = (Resolver::default(), Connector::default());
    let dialler = Dialler { shared, runtime, resolver, connector };
    let mut plan = DialPlan::new(&runtime.config());
    loop {
        match dialler.wait(&mut plan) {
            DialStep::Stop => return,
            DialStep::Wait { .. } => {}
            DialStep::Report(event) => drop(shared.report(Some(runtime), &event)),
            DialStep::Resolve { address, deadline } => {
                let Some(found) = dialler.resolve(&address, deadline) else { return };
                let failed = |error| DialFailure::resolving(&error, &shared.limits);
                plan.handle_resolved(found.map_err(failed));
            }
            DialStep::Connect { address, addr, deadline } => {
                match dialler.dial(&address, addr.clone(), deadline) {
                    Dialled::Failed(failure) => plan.handle_failed(failure, shared.clock.now()),
                    Dialled::Ended { stable } => plan.handle_ended(stable, shared.clock.now()),
                    Dialled::Unmade(failure) => plan.handle_unmade(&addr, failure),
                    Dialled::Over => plan.handle_over(),
                    Dialled::Stop => return,
                };
            }
        }
    }
}

struct Dialler<'a> {
    shared: &'a Arc<Shared>,
    runtime: &'a Arc<PeerRuntime>,
    resolver: Resolver,
    connector: Connector,
}

/// The result of a dial.
#[derive(Debug)]
enum Dialled {
    /// No link.
    Failed(DialFailure),
    /// There was a link, and it has ended.
    Ended { stable: bool },
    /// The other side is there, but no link could be made.
    Unmade(DialFailure),
    /// The peer has reached us.
    Over,
    /// The node stops: the thread must end and touch nothing.
    Stop,
}

impl Dialler<'_> {
    /// Waits until the plan has something to do.
    fn wait(&self, plan: &mut DialPlan) -> DialStep {
        let clock = &self.shared.clock;
        self.runtime.turns.wait_for(|rules, now| {
            match plan.poll(rules, &self.runtime.config(), now, || clock.random()) {
                DialStep::Wait { until } => Err(until),
                step => Ok(step),
            }
        })
    }

    /// What an address resolves to; `None` = the node stops.
    fn resolve(&self, address: &Address, deadline: Time) -> Option<io::Result<Vec<Endpoint>>> {
        if let Address::Unix(path) = address {
            return Some(Ok(vec![Endpoint::Unix(path.as_path().into())]));
        }
        let options = &self.shared.options;
        match options.transport.resolves() {
            Ok(false) => {}
            Ok(true) => return Some(Ok(vec![Endpoint::Named(address.to_string().into())])),
            Err(error) => return Some(Err(error)),
        }
        let turns = &self.runtime.turns;
        let found = self.resolver.resolve(turns, address, deadline, options.stack_size)?;
        Some(found.map(|found| found.into_iter().map(Endpoint::from).collect()))
    }

    fn dial(&self, address: &Address, addr: Endpoint, deadline: Time) -> Dialled {
        let (turns, options) = (&self.runtime.turns, &self.shared.options);
        let unix = |path: &Path| {
            let connected = self.connector.connect(turns, path, deadline, options.stack_size);
            connected.unwrap_or_else(|| Err(io::Error::other("the node stops")))
        };
        let peer = self.runtime.config();
        let dial = Dial {
            peer: self.runtime.name(),
            remote_name: peer.remote_name(),
            address,
            addr: addr.as_tcp(),
            deadline: self.shared.clock.instant(deadline),
            unix: &unix,
        };
        match self.blocked(|| options.transport.connect(&dial)) {
            None => Dialled::Stop,
            Some(Err(error)) => {
                Dialled::Failed(DialFailure::connecting(&error, &self.shared.limits))
            }
            Some(Ok(connected)) => self.greet(connected, addr, deadline),
        }
    }

    fn greet(&self, connected: Connected, addr: Endpoint, deadline: Time) -> Dialled {
        let Connected { stream, verified_name } = connected;
        let (shared, turns) = (self.shared, &self.runtime.turns);
        // A socket that refuses still works, only less promptly.
        let _ = stream.set_nodelay(shared.config().tcp_nodelay());
        let number = match turns.begin_hello(Conn::Stream(Arc::clone(&stream))) {
            HelloStart::Go(number) => number,
            HelloStart::Taken => return Dialled::Over,
            HelloStart::Stop => return Dialled::Stop,
        };
        let (peer, settings) = (self.runtime.config(), self.runtime.liveness());
        let hello = hello_to(&peer, &settings);
        let by = shared.clock.instant(deadline);
        let answer = handshake::dial(&stream, &hello, by);
        let answer = answer.map_err(|error| DialFailure::greeting(&error)).and_then(|greeting| {
            let proven = verified_name.as_deref();
            let unwanted = match check_answer(&peer, &hello, &greeting) {
                Err(error) => Some((ByeCode::PROTOCOL, DialFailure::greeting(&error))),
                Ok(()) => unproven(proven, peer.remote_name(), &greeting)
                    .map(|detail| (ByeCode::UNKNOWN_PEER, DialFailure::unproven(detail))),
            };
            let Some((code, failure)) = unwanted else { return Ok(greeting) };
            // Best effort: what went wrong is reported in any case.
            let _ = handshake::write_bye(&stream, code, &failure.detail);
            Err(failure)
        });
        match end_greeting(turns, number, answer) {
            Answer::Stop => {
                // Best effort: a peer that does not get it sees the end of the stream.
                let _ = handshake::write_bye(&stream, ByeCode::SHUTTING_DOWN, "shutting down");
                Dialled::Stop
            }
            Answer::Welcome(lease, greeting) => {
                let direction = Direction::Dialled;
                let about = About { addr, direction, greeting, settings };
                self.read(stream, Session::new(shared, self.runtime, lease, about))
            }
            Answer::Failed(failure) => Dialled::Failed(failure),
            Answer::Over => Dialled::Over,
        }
    }

    fn read(&self, stream: AnyStream, session: Session) -> Dialled {
        match session.run(stream) {
            Ok(stable) => {
                if !stable {
                    self.runtime.turns.forget_lost();
                }
                Dialled::Ended { stable }
            }
            Err(error) => Dialled::Unmade(DialFailure::unmade(&error, &self.shared.limits)),
        }
    }

    /// Makes a call that nothing interrupts; `None` = the node stops.
    fn blocked<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        if !self.runtime.turns.enter_blocked() {
            return None;
        }
        let outcome = call();
        self.runtime.turns.leave_blocked().then_some(outcome)
    }
}

/// What is wrong with a HELLO, given the name that its sender has proven.
fn unproven(proven: Option<&str>, wanted: Option<&str>, greeting: &Greeting) -> Option<String> {
    let proven = proven?;
    let wanted = wanted.unwrap_or(proven);
    if greeting.name == proven && wanted == proven {
        return None;
    }
    let [said, wanted, proven] = [&greeting.name, wanted, proven].map(str::escape_debug);
    Some(format!("HELLO says \"{said}\", dialled is \"{wanted}\", proven is \"{proven}\""))
}

/// The result of the answer to our HELLO.
pub(crate) enum Answer {
    /// A link may be made.
    Welcome(Lease, Greeting),
    Failed(DialFailure),
    /// The peer has reached us.
    Over,
    /// The node stops.
    Stop,
}

/// Ends one of our greetings with its result.
pub(crate) fn end_greeting(
    turns: &Arc<Turns>,
    number: u64,
    answer: Result<Greeting, DialFailure>,
) -> Answer {
    match (turns.end_hello(number, answer.is_ok()), answer) {
        (HelloEnd::Stopped, _) => Answer::Stop,
        (HelloEnd::Ours(Some(lease)), Ok(greeting)) => Answer::Welcome(lease, greeting),
        (HelloEnd::Ours(_), Err(failure)) => Answer::Failed(failure),
        (HelloEnd::Abandoned | HelloEnd::Ours(None), _) => Answer::Over,
    }
}

/// Refuses an answer that is our own HELLO, when another peer was meant.
///
/// # Errors
/// [`HandshakeError::Protocol`].
pub(crate) fn check_answer(
    peer: &PeerConfig,
    hello: &Hello<'_>,
    answer: &Greeting,
) -> Result<(), HandshakeError> {
    let same = answer.name == hello.name
        && answer.label == hello.label
        && answer.id == hello.id
        && answer.always == hello.always
        && answer.heartbeat_time_ms == hello.heartbeat_time_ms;
    if !same || peer.remote_name() == Some(hello.name) {
        return Ok(());
    }
    let detail = "our own HELLO came back: what listens there echoes, or is this node";
    Err(HandshakeError::Protocol(ProtocolError::Foreign { detail: detail.to_owned() }))
}

/// The first peer with an address that this system cannot dial, and the address.
pub(super) fn not_dialled(config: &Config) -> Option<(String, String)> {
    let is_other = |address: &&Address| matches!(address, Address::Unix(_)) && !cfg!(unix);
    config.peers().iter().find_map(|peer| {
        let address = peer.addresses().iter().find(is_other)?;
        Some((peer.name().to_owned(), address.to_string()))
    })
}
