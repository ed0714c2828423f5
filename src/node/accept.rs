//! The accepting side: a thread that accepts, and one for each connection that shakes hands.
//!
//! The accepting thread waits for nobody but the system. What it cannot serve now it refuses at
//! once: beyond the handshakes allowed at the same time, and where no thread is left. Without
//! descriptors it waits and goes on; what is connected does not notice.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ownership::{ClaimRefused, ClaimRules, Lease};
use super::runtime::PeerRuntime;
use super::session::{Session, hello_to};
use super::shared::{Handshake, NoHandshake, Phase, Shared};
use super::{Direction, Event, RefusedReason};
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::liveness::Settings;

/// Accepts connections until the node stops.
pub(super) fn accept_all(shared: &Arc<Shared>, listener: &TcpListener) {
    if shared.wait_for(Phase::Running) != Phase::Running {
        return;
    }
    let mut trouble = ReportOnce::default();
    loop {
        let accepted = listener.accept();
        if shared.is_stopping() {
            return;
        }
        match accepted {
            Ok((stream, addr)) => match admit(shared, stream, plain(addr)) {
                Ok(()) => trouble.end(),
                Err(error) => trouble.report(shared, &error.to_string()),
            },
            // The other side gave up while it waited, or a signal came.
            Err(e) if is_passing(&e) => {}
            Err(error) => {
                trouble.report(shared, &format!("accepting: {}", shared.limits.describe(&error)));
                if shared.sleep(trouble.next_wait()) {
                    return;
                }
            }
        }
    }
}

/// Something that keeps connections from being served, told once until it has passed.
#[derive(Debug, Default)]
struct ReportOnce {
    failures: u32,
    reported: bool,
}

impl ReportOnce {
    fn end(&mut self) {
        *self = Self::default();
    }

    fn report(&mut self, shared: &Arc<Shared>, detail: &str) {
        if !self.reported {
            self.reported = true;
            shared.report(None, &Event::Warning { detail: detail.to_owned() });
        }
    }

    /// 100 ms to 1 s: `accept` fails at once for as long as descriptors are missing.
    fn next_wait(&mut self) -> Duration {
        let wait = Duration::from_millis(100) * (1 << self.failures.min(4));
        self.failures += 1;
        wait.min(Duration::from_secs(1))
    }
}

/// A socket that takes IPv4 and IPv6 alike shows IPv4 addresses in the guise of IPv6.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Gives the connection a thread. `Err` = there is none left, and it was refused.
fn admit(shared: &Arc<Shared>, stream: TcpStream, addr: SocketAddr) -> io::Result<()> {
    let stream = Arc::new(stream);
    let refuse_now = |reason: RefusedReason, detail: &str| {
        if let Some(code) = reason.bye_code() {
            handshake::refuse_at_once(&stream, code, detail);
        }
        let (name, detail) = (String::new(), detail.to_owned());
        shared.report(None, &Event::Refused { addr, name, reason, detail });
    };
    let handshake = match shared.begin_handshake(Arc::clone(&stream)) {
        Ok(handshake) => handshake,
        Err(NoHandshake::Stopping) => {
            refuse_now(RefusedReason::ShuttingDown, "shutting down");
            return Ok(());
        }
        Err(NoHandshake::TooMany) => {
            let most = shared.options.handshakes_max;
            refuse_now(RefusedReason::TooMany, &format!("{most} handshakes are under way"));
            return Ok(());
        }
    };
    shared.join_ended_workers();
    let socket = AcceptedSocket {
        stream: Arc::clone(&stream),
        addr,
        deadline: Instant::now() + shared.config().accept_wait(),
        handshake,
    };
    match shared.spawn("pb-accepted", move |shared| socket.serve(shared)) {
        Ok(worker) => shared.add_worker(worker),
        Err(error) => {
            refuse_now(RefusedReason::TooMany, "no thread left");
            return Err(error);
        }
    }
    Ok(())
}

/// A connection that has not yet said who it is.
struct AcceptedSocket {
    stream: Arc<TcpStream>,
    addr: SocketAddr,
    deadline: Instant,
    handshake: Handshake,
}

/// Why a connection was turned away.
struct Refusal {
    /// The peer, where it is known.
    runtime: Option<Arc<PeerRuntime>>,
    name: String,
    reason: RefusedReason,
    detail: String,
}

impl AcceptedSocket {
    /// Shakes hands, then reads until the link ends.
    fn serve(self, shared: &Arc<Shared>) {
        // A socket that refuses still works, only less promptly.
        let _ = self.stream.set_nodelay(shared.config().tcp_nodelay());
        let received = self.receive(shared);
        // The peers of now: a reload may have come since the connection was accepted.
        let (config, peers) = (shared.config(), shared.peers());
        let welcomed = received.and_then(|greeting| {
            let claim = Claim { shared, peers: &peers, reject_new: config.reject_new_peers() };
            let (runtime, lease) = claim.peer(&greeting, self.deadline)?;
            let settings = runtime.liveness();
            self.welcome(shared, runtime, &greeting, &settings)?;
            Ok((runtime, lease, greeting, settings))
        });
        match welcomed {
            Ok((runtime, lease, greeting, settings)) => {
                let (addr, direction) = (self.addr, Direction::Accepted);
                self.go_up(Session { shared, runtime, lease, addr, direction, greeting, settings });
            }
            Err(refusal) => self.refuse(shared, refusal),
        }
    }

    fn receive(&self, shared: &Shared) -> Result<Greeting, Refusal> {
        let failed = |name: &str, error: HandshakeError| self.failure(shared, name, error);
        let greeting =
            handshake::receive(&self.stream, self.deadline).map_err(|error| failed("", error))?;
        // A peer that gave this connection up has perhaps made a better one, which this one must
        // not replace.
        if greeting.received.is_empty() && handshake::is_abandoned(&self.stream) {
            return Err(failed(&greeting.name, HandshakeError::Eof));
        }
        Ok(greeting)
    }

    fn welcome(
        &self,
        shared: &Shared,
        runtime: &Arc<PeerRuntime>,
        greeting: &Greeting,
        settings: &Settings,
    ) -> Result<(), Refusal> {
        let peer = runtime.config();
        let hello = hello_to(&peer, settings);
        handshake::welcome(&self.stream, &hello, self.deadline).map_err(|error| {
            let failure = self.failure(shared, &greeting.name, error);
            Refusal { runtime: Some(Arc::clone(runtime)), ..failure }
        })
    }

    fn failure(&self, shared: &Shared, name: &str, error: HandshakeError) -> Refusal {
        let reason = match &error {
            // Our own end of the reading side looks the same.
            HandshakeError::Eof | HandshakeError::Io(_) if shared.is_stopping() => {
                RefusedReason::ShuttingDown
            }
            HandshakeError::Eof | HandshakeError::Io(_) => RefusedReason::Gone,
            HandshakeError::TimedOut => RefusedReason::TooSlow,
            _ if error.bye_code() == RefusedReason::Version.bye_code() => RefusedReason::Version,
            _ => RefusedReason::Protocol,
        };
        let detail = match reason {
            RefusedReason::ShuttingDown => "shutting down".to_owned(),
            _ => error.to_string(),
        };
        Refusal { runtime: None, name: name.to_owned(), reason, detail }
    }

    fn refuse(self, shared: &Arc<Shared>, refusal: Refusal) {
        let Refusal { runtime, name, reason, detail } = refusal;
        if let Some(code) = reason.bye_code() {
            handshake::refuse(&self.stream, code, &detail);
        }
        let Self { stream, addr, handshake, .. } = self;
        drop(stream);
        // Its place stays taken while it is told: with a handler that hangs, a flood of strangers
        // would otherwise leave a thread each.
        shared.report(runtime.as_ref(), &Event::Refused { addr, name, reason, detail });
        drop(handshake);
    }

    fn go_up(self, session: Session<'_>) {
        let Self { stream, addr, handshake, .. } = self;
        drop(handshake);
        let (shared, runtime) = (session.shared, session.runtime);
        let name = session.greeting.name.clone();
        // Only a node that stops holds another handle on the stream now, and not for long.
        let stream = Arc::try_unwrap(stream).or_else(|shared| shared.try_clone());
        if let Err(error) = stream.and_then(|stream| session.run(stream)) {
            let detail = shared.limits.describe(&error);
            shared.report(None, &Event::Warning { detail: detail.clone() });
            let reason = RefusedReason::TooMany;
            shared.report(Some(runtime), &Event::Refused { addr, name, reason, detail });
        }
    }
}

/// What decides about a HELLO.
struct Claim<'a> {
    shared: &'a Shared,
    peers: &'a [Arc<PeerRuntime>],
    reject_new: bool,
}

impl<'a> Claim<'a> {
    /// Finds the peer that a HELLO belongs to, of those that match: a free one first, then the one
    /// that it matches in the strongest way, then the first. If none is free, the link of the one
    /// that is found ends.
    fn peer(
        &self,
        greeting: &Greeting,
        deadline: Instant,
    ) -> Result<(&'a Arc<PeerRuntime>, Lease<'a>), Refusal> {
        let Greeting { name, label, id, .. } = greeting;
        let refusal =
            |runtime, reason, detail| Refusal { runtime, name: name.clone(), reason, detail };
        let unknown = || {
            let (name, label) = (name.escape_debug(), label.escape_debug());
            let detail = format!(
                "no peer here goes by the label \"{label}\", the id {id} or the name \"{name}\""
            );
            refusal(None, RefusedReason::UnknownPeer, detail)
        };
        let recognise = |runtime: &'a Arc<PeerRuntime>| {
            Some((runtime.config().recognise(name, label, *id)?, runtime))
        };
        let mut matching: Vec<_> = self.peers.iter().filter_map(recognise).collect();
        matching.sort_by_key(|(by, _)| *by);
        let (_, first) = *matching.first().ok_or_else(unknown)?;
        let free = matching.iter().find_map(|(_, runtime)| {
            let claimed = runtime.ownership.claim_if_free(self.terms(runtime, greeting))?;
            Some((*runtime, claimed))
        });
        let (runtime, claimed) = free.unwrap_or_else(|| {
            (first, first.ownership.claim(self.terms(first, greeting), deadline))
        });
        match claimed {
            Ok(lease) => Ok((runtime, lease)),
            Err(ClaimRefused::Connected(why)) => {
                let reason = RefusedReason::AlreadyConnected;
                Err(refusal(Some(Arc::clone(runtime)), reason, why.to_owned()))
            }
            // A reload has taken it out meanwhile.
            Err(ClaimRefused::Stopping) if !self.shared.is_stopping() => Err(unknown()),
            Err(ClaimRefused::Stopping) => {
                let reason = RefusedReason::ShuttingDown;
                Err(refusal(Some(Arc::clone(runtime)), reason, "shutting down".to_owned()))
            }
        }
    }

    fn terms(&self, runtime: &PeerRuntime, greeting: &Greeting) -> ClaimRules {
        let peer = runtime.config();
        let ours = (peer.local_name(), peer.local_id(), peer.local_label());
        let theirs = (greeting.name.as_str(), greeting.id, greeting.label.as_str());
        ClaimRules {
            // Both sides see the same two triples, so at most one of two that differ says yes.
            ours_first: !peer.addresses().is_empty() && ours <= theirs,
            reject_new: self.reject_new,
        }
    }
}
