//! The dialling side: one thread a peer that dials, shakes hands, reads, waits, and again.
//!
//! The addresses are tried in their order, each with the connect-timeout; a link that did not last
//! counts as an address that failed. While the peer is up by a connection of its own, nobody dials.
//!
//! A thread inside the system's `connect` cannot be woken. A node that stops lets go of
//! it, so it touches nothing of the node, the handler least of all, until its ownership says that
//! the node still runs.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::{self, Backoff};
use super::held::{HelloStart, Look, Next};
use super::limits::is_out_of_descriptors;
use super::ownership::HelloEnd;
use super::resolve::Resolver;
use super::runtime::PeerRuntime;
use super::session::{Session, hello_to};
use super::shared::{Phase, Shared};
use super::{DialFailedReason, Direction, NodeEvent};
use crate::config::{Address, Config, PeerConfig};
use crate::link;
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::protocol::{ByeCode, Hello, ProtocolError};

/// Keeps the peer connected until the node stops.
pub(super) fn dial_peer(shared: &Arc<Shared>, runtime: &Arc<PeerRuntime>) {
    if shared.wait_for(Phase::Running) != Phase::Running {
        return;
    }
    let limits = |peer: &PeerConfig| (peer.reconnect_time_min(), peer.reconnect_time_max());
    let (min, max) = limits(&runtime.config());
    let mut backoff = Backoff::new(min, max);
    let resolver = Resolver::default();
    let mut due = None;
    loop {
        let next = runtime.ownership.wait_dial(due);
        // What a reload has changed counts from here on.
        let dialler = Dialler { shared, runtime, resolver: &resolver, peer: runtime.config() };
        let (min, max) = limits(&dialler.peer);
        backoff.set_limits(min, max);
        match next {
            Next::Stop => return,
            Next::Wait { stable: true } => backoff.reset(),
            Next::Wait { stable: false } => {}
            Next::Dial => match dialler.dial_round() {
                Dialled::Failed { .. } | Dialled::Unstable => {}
                // The ownership knows when the link has ended, be it ours or the peer's.
                Dialled::Over => continue,
                Dialled::Stop => return,
            },
        }
        let wait = backoff.next_wait(backoff::random());
        due = Some(Instant::now() + wait);
        shared.report(Some(runtime), &NodeEvent::Retry { wait });
    }
}

struct Dialler<'a> {
    shared: &'a Arc<Shared>,
    runtime: &'a Arc<PeerRuntime>,
    resolver: &'a Resolver,
    peer: Arc<PeerConfig>,
}

/// What a dial came to.
#[derive(Debug)]
enum Dialled {
    /// No link.
    Failed { reason: DialFailedReason, detail: String },
    /// There was a link, and it did not last: the address counts as one that failed.
    Unstable,
    /// There was a link and it has ended, the peer has reached us, or it has other addresses now.
    Over,
    /// The node stops: the thread must end and touch nothing.
    Stop,
}

impl Dialler<'_> {
    /// Tries every address once; the last failure, where none led to a link that lasted.
    fn dial_round(&self) -> Dialled {
        let mut last = Dialled::Over;
        for address in self.peer.addresses() {
            if let Some(over) = self.look() {
                return over;
            }
            let addr = address.to_string();
            self.report(&NodeEvent::Dialling { addr: addr.clone() });
            last = self.dial_host(address);
            match &last {
                Dialled::Failed { reason, detail } => {
                    let (reason, detail) = (*reason, detail.clone());
                    self.report(&NodeEvent::DialFailed { addr, reason, detail });
                }
                Dialled::Unstable => {}
                Dialled::Over | Dialled::Stop => return last,
            }
        }
        last
    }

    /// Looks whether the round goes on: the peer may have come by itself, and a reload may have
    /// given it other addresses. `None` = it does.
    fn look(&self) -> Option<Dialled> {
        match self.runtime.ownership.look() {
            Look::Stop => Some(Dialled::Stop),
            Look::Over => Some(Dialled::Over),
            Look::GoOn => {
                let same = self.runtime.config().addresses() == self.peer.addresses();
                (!same).then_some(Dialled::Over)
            }
        }
    }

    /// Tries every address that the host's name stands for, and tells of all of them.
    fn dial_host(&self, address: &Address) -> Dialled {
        let timeout = self.peer.connect_timeout();
        let mut deadline = Instant::now() + timeout;
        let (ownership, stack_size) = (&self.runtime.ownership, self.shared.options.stack_size);
        let resolved = match self.resolver.resolve(ownership, address, deadline, stack_size) {
            None => return Dialled::Stop,
            Some(Ok(resolved)) => resolved,
            Some(Err(error)) => {
                let reason = match error.kind() {
                    io::ErrorKind::TimedOut => DialFailedReason::Timeout,
                    io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => DialFailedReason::Io,
                    _ => DialFailedReason::Resolve,
                };
                return Dialled::Failed { reason, detail: self.shared.limits.describe(&error) };
            }
        };
        let alone = resolved.len() == 1;
        let mut failures = Vec::new();
        let mut worst = DialFailedReason::Connect;
        for addr in resolved {
            if let Some(over) = self.look() {
                return over;
            }
            let dialled = self.dial(addr, deadline);
            // The first one has what the resolver has left of the time.
            deadline = Instant::now() + timeout;
            let (reason, detail) = match dialled {
                Dialled::Failed { reason, detail } => (reason, detail),
                Dialled::Unstable => continue,
                Dialled::Over | Dialled::Stop => return dialled,
            };
            failures.push(if alone { detail } else { format!("{addr}: {detail}") });
            if reason != DialFailedReason::Connect {
                worst = reason;
            }
            // Whoever answers in our protocol is the host that was meant; it would say it again.
            if reason == DialFailedReason::Refused {
                break;
            }
        }
        match failures.is_empty() {
            true => Dialled::Unstable,
            false => Dialled::Failed { reason: worst, detail: failures.join("; ") },
        }
    }

    fn dial(&self, addr: SocketAddr, deadline: Instant) -> Dialled {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = left.max(Duration::from_millis(1));
        let connected = self.blocked(|| link::dial(addr, timeout));
        match connected {
            None => Dialled::Stop,
            Some(Err(error)) => self.not_connected(&error),
            Some(Ok(stream)) => self.greet(Arc::new(stream), addr, deadline),
        }
    }

    fn not_connected(&self, error: &io::Error) -> Dialled {
        let reason = match error.kind() {
            io::ErrorKind::TimedOut => DialFailedReason::Timeout,
            _ if is_out_of_descriptors(error) => DialFailedReason::Io,
            _ => DialFailedReason::Connect,
        };
        Dialled::Failed { reason, detail: self.shared.limits.describe(error) }
    }

    fn greet(&self, stream: Arc<TcpStream>, addr: SocketAddr, deadline: Instant) -> Dialled {
        // A socket that refuses still works, only less promptly.
        let _ = stream.set_nodelay(self.shared.config().tcp_nodelay());
        let number = match self.runtime.ownership.begin_hello(Arc::clone(&stream)) {
            HelloStart::Go(number) => number,
            HelloStart::Taken => return Dialled::Over,
            HelloStart::Stop => return Dialled::Stop,
        };
        let settings = self.runtime.liveness();
        let hello = hello_to(&self.peer, &settings);
        let answer = handshake::dial(&stream, &hello, deadline);
        let answer = answer.and_then(|greeting| match self.is_own(&hello, &greeting) {
            false => Ok(greeting),
            true => {
                let detail = "our own HELLO came back: what listens there echoes, or is this node";
                let error = ProtocolError::Foreign { detail: detail.to_owned() };
                // Best effort: what went wrong is reported in any case.
                let _ = handshake::write_bye(&stream, ByeCode::PROTOCOL, detail);
                Err(HandshakeError::Protocol(error))
            }
        });
        match (self.runtime.ownership.end_hello(number, answer.is_ok()), answer) {
            (HelloEnd::Stopped, _) => {
                // Best effort: whoever does not hear it sees the end of the stream.
                let _ = handshake::write_bye(&stream, ByeCode::SHUTTING_DOWN, "shutting down");
                Dialled::Stop
            }
            (HelloEnd::Ours(Some(lease)), Ok(greeting)) => {
                let (shared, runtime, direction) = (self.shared, self.runtime, Direction::Dialled);
                let session =
                    Session { shared, runtime, lease, addr, direction, greeting, settings };
                self.read(stream, session)
            }
            (HelloEnd::Ours(_), Err(error)) => self.not_welcome(&error),
            (HelloEnd::Abandoned | HelloEnd::Ours(None), _) => Dialled::Over,
        }
    }

    /// Whether an answer is what we said ourselves, while somebody else was meant.
    fn is_own(&self, hello: &Hello<'_>, answer: &Greeting) -> bool {
        let same = answer.name == hello.name
            && answer.label == hello.label
            && answer.id == hello.id
            && answer.always == hello.always
            && answer.heartbeat_time_ms == hello.heartbeat_time_ms;
        same && self.peer.remote_name() != Some(hello.name)
    }

    fn not_welcome(&self, error: &HandshakeError) -> Dialled {
        let reason = match error {
            HandshakeError::TimedOut => DialFailedReason::Timeout,
            HandshakeError::Eof => DialFailedReason::Eof,
            HandshakeError::Refused { .. } => DialFailedReason::Refused,
            HandshakeError::Protocol(_) => DialFailedReason::Protocol,
            HandshakeError::Io(_) => DialFailedReason::Io,
        };
        Dialled::Failed { reason, detail: error.to_string() }
    }

    fn read(&self, stream: Arc<TcpStream>, session: Session<'_>) -> Dialled {
        let addr = session.addr;
        // The ownership has given its handle back; only a node that stops may still hold one.
        let stream = Arc::try_unwrap(stream).or_else(|shared| shared.try_clone());
        match stream.and_then(|stream| session.run(stream)) {
            Ok(true) => Dialled::Over,
            Ok(false) => {
                self.runtime.ownership.forget_lost();
                Dialled::Unstable
            }
            Err(error) => {
                let (reason, detail) = (DialFailedReason::Io, self.shared.limits.describe(&error));
                self.report(&NodeEvent::DialFailed { addr: addr.to_string(), reason, detail });
                // The lease that has ended brings the wait.
                Dialled::Over
            }
        }
    }

    /// Makes a call that nothing interrupts; `None` = the node stops.
    fn blocked<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        if !self.runtime.ownership.enter_blocked() {
            return None;
        }
        let outcome = call();
        self.runtime.ownership.leave_blocked().then_some(outcome)
    }

    fn report(&self, event: &NodeEvent) {
        self.shared.report(Some(self.runtime), event);
    }
}

/// The first peer with an address that is not dialled over TCP, and the address.
pub(super) fn not_tcp(config: &Config) -> Option<(String, String)> {
    let is_other = |address: &&Address| !matches!(address, Address::Tcp { .. });
    config.peers().iter().find_map(|peer| {
        let address = peer.addresses().iter().find(is_other)?;
        Some((peer.name().to_owned(), address.to_string()))
    })
}
