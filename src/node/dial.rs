//! The dialling side: one thread a peer that does what the plan says: it resolves, connects, shakes
//! hands, reads, waits, and again.
//!
//! A thread inside the system's `connect` cannot be woken. A node that stops lets go of it, so it
//! touches nothing of the node, the handler least of all, until its ownership says that the node
//! still runs.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use super::conn::Conn;
use super::event::Direction;
use super::held::{HelloEnd, HelloStart};
use super::plan::{DialFailure, DialPlan, DialStep};
use super::resolve::Resolver;
use super::runtime::PeerRuntime;
use super::session::{About, Session, hello_to};
use super::shared::{Phase, Shared};
use crate::config::{Address, Config, PeerConfig};
use crate::link;
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::liveness::Time;
use crate::protocol::{ByeCode, Hello, ProtocolError};

/// Keeps the peer connected until the node stops.
pub(super) fn dial_peer(shared: &Arc<Shared>, runtime: &Arc<PeerRuntime>) {
    if shared.wait_for(Phase::Running) != Phase::Running {
        return;
    }
    let dialler = Dialler { shared, runtime };
    let mut plan = DialPlan::new(&runtime.config());
    let resolver = Resolver::default();
    loop {
        match dialler.wait(&mut plan) {
            DialStep::Stop => return,
            DialStep::Wait { .. } => {}
            DialStep::Report(event) => drop(shared.report(Some(runtime), &event)),
            DialStep::Resolve { address, deadline } => {
                let stack_size = shared.options.stack_size;
                let found = resolver.resolve(&runtime.turns, &address, deadline, stack_size);
                let Some(found) = found else { return };
                let failed = |error| DialFailure::resolving(&error, &shared.limits);
                plan.handle_resolved(found.map_err(failed));
            }
            DialStep::Connect { addr, deadline } => {
                match dialler.dial(addr, deadline) {
                    Dialled::Failed(failure) => plan.handle_failed(failure, shared.clock.now()),
                    Dialled::Ended { stable } => plan.handle_ended(stable, shared.clock.now()),
                    Dialled::Unmade(failure) => plan.handle_unmade(addr, failure),
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
}

/// What a dial came to.
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

    fn dial(&self, addr: SocketAddr, deadline: Time) -> Dialled {
        let timeout = self.shared.clock.until(deadline).max(Duration::from_millis(1));
        let connected = self.blocked(|| link::dial(addr, timeout));
        match connected {
            None => Dialled::Stop,
            Some(Err(error)) => {
                Dialled::Failed(DialFailure::connecting(&error, &self.shared.limits))
            }
            Some(Ok(stream)) => self.greet(Arc::new(stream), addr, deadline),
        }
    }

    fn greet(&self, stream: Arc<TcpStream>, addr: SocketAddr, deadline: Time) -> Dialled {
        let (shared, turns) = (self.shared, &self.runtime.turns);
        // A socket that refuses still works, only less promptly.
        let _ = stream.set_nodelay(shared.config().tcp_nodelay());
        let number = match turns.begin_hello(Conn::Socket(Arc::clone(&stream))) {
            HelloStart::Go(number) => number,
            HelloStart::Taken => return Dialled::Over,
            HelloStart::Stop => return Dialled::Stop,
        };
        let (peer, settings) = (self.runtime.config(), self.runtime.liveness());
        let hello = hello_to(&peer, &settings);
        let by = shared.clock.instant(deadline);
        let answer = handshake::dial(&stream, &hello, by).and_then(|greeting| {
            check_answer(&peer, &hello, &greeting).inspect_err(|error| {
                // Best effort: what went wrong is reported in any case.
                let _ = handshake::write_bye(&stream, ByeCode::PROTOCOL, &error.to_string());
            })?;
            Ok(greeting)
        });
        match (turns.end_hello(number, answer.is_ok()), answer) {
            (HelloEnd::Stopped, _) => {
                // Best effort: whoever does not hear it sees the end of the stream.
                let _ = handshake::write_bye(&stream, ByeCode::SHUTTING_DOWN, "shutting down");
                Dialled::Stop
            }
            (HelloEnd::Ours(Some(lease)), Ok(greeting)) => {
                let direction = Direction::Dialled;
                let about = About { addr, direction, greeting, settings };
                self.read(stream, Session::new(shared, self.runtime, lease, about))
            }
            (HelloEnd::Ours(_), Err(error)) => Dialled::Failed(DialFailure::greeting(&error)),
            (HelloEnd::Abandoned | HelloEnd::Ours(None), _) => Dialled::Over,
        }
    }

    fn read(&self, stream: Arc<TcpStream>, session: Session) -> Dialled {
        // The ownership has given its handle back; only a node that stops may still hold one.
        let stream = Arc::try_unwrap(stream).or_else(|shared| shared.try_clone());
        match stream.and_then(|stream| session.run(stream)) {
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

/// Refuses an answer that is what we said ourselves, while somebody else was meant.
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

/// The first peer with an address that is not dialled over TCP, and the address.
pub(super) fn not_tcp(config: &Config) -> Option<(String, String)> {
    let is_other = |address: &&Address| !matches!(address, Address::Tcp { .. });
    config.peers().iter().find_map(|peer| {
        let address = peer.addresses().iter().find(is_other)?;
        Some((peer.name().to_owned(), address.to_string()))
    })
}
