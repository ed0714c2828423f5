//! The accepting side: a thread that accepts, and one for each connection that shakes hands.
//!
//! The accepting thread waits for nobody but the system: events are another thread's to tell, and
//! what cannot be served now is refused at once. Beyond the handshakes allowed at the same time a
//! newcomer takes the place of another, thread included. Without descriptors the thread waits and
//! goes on; what is connected does not notice.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::held::{ClaimRefused, ClaimRules};
use super::ownership::Lease;
use super::places::{Entered, Place, Stage};
use super::probe;
use super::reports::Refusal;
use super::runtime::PeerRuntime;
use super::session::{Session, hello_to};
use super::shared::{Handshake, Phase, Shared};
use super::{Direction, NodeEvent, RefusedReason};
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::link::threads;
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
            Ok((stream, addr)) => match admit(shared, Arc::new(stream), plain(addr)) {
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

/// Something that keeps connections from being served, reported once until it has passed.
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
            shared.reports.add(None, NodeEvent::Warning { detail: detail.to_owned() });
        }
    }

    /// 100 ms to 1 s: `accept` fails at once for as long as descriptors are missing.
    fn next_wait(&mut self) -> Duration {
        let wait = Duration::from_millis(100) * (1 << self.failures.min(4));
        self.failures += 1;
        wait.min(Duration::from_secs(1))
    }
}

/// A socket that takes IPv4 and IPv6 alike shows IPv4 addresses in the guise of IPv6. All else
/// stays: an address of one link says nothing without its scope.
fn plain(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => addr,
        },
        SocketAddr::V4(_) => addr,
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Gives the connection a place and a thread. `Err` = there is no thread left, and it was refused.
fn admit(shared: &Arc<Shared>, stream: Arc<TcpStream>, addr: SocketAddr) -> io::Result<()> {
    let worker = match shared.enter_handshake(addr, Arc::clone(&stream)) {
        Some(Entered::Free(worker)) => worker,
        Some(Entered::Instead { displaced, was_served: true }) => {
            // Only reading ends: its thread still has a BYE to write.
            let _ = displaced.stream.shutdown(std::net::Shutdown::Read);
            return Ok(());
        }
        Some(Entered::Instead { displaced, was_served: false }) => {
            refuse_now(shared, &displaced.stream, displaced.addr, made_room(shared));
            return Ok(());
        }
        Some(Entered::Full) => {
            refuse_now(shared, &stream, addr, made_room(shared));
            return Ok(());
        }
        None => {
            refuse_now(shared, &stream, addr, shutting_down(None, ""));
            return Ok(());
        }
    };
    shared.join_ended_workers();
    match shared.spawn("pb-accepted", move |shared| serve_all(shared, worker)) {
        Ok(thread) => shared.add_worker(thread),
        Err(error) => {
            // Another one may have taken the place over meanwhile.
            if let Some(place) = shared.next_handshake(worker) {
                let detail = "no thread left".to_owned();
                let (reason, name) = (RefusedReason::TooMany, String::new());
                let refusal = Refusal { runtime: None, name, reason, detail };
                refuse_now(shared, &place.stream, place.addr, refusal);
                shared.leave_handshake(place.number);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Refuses without waiting for anything.
fn refuse_now(shared: &Shared, stream: &TcpStream, addr: SocketAddr, refusal: Refusal) {
    if let Some(code) = refusal.reason.bye_code() {
        handshake::refuse_at_once(stream, code, &refusal.detail);
    }
    shared.refused(addr, refusal);
}

fn made_room(shared: &Shared) -> Refusal {
    let detail = format!("{} handshakes are under way", shared.options.handshakes_max);
    let (reason, name) = (RefusedReason::TooMany, String::new());
    Refusal { runtime: None, name, reason, detail }
}

fn shutting_down(runtime: Option<Arc<PeerRuntime>>, name: &str) -> Refusal {
    let (reason, detail) = (RefusedReason::ShuttingDown, "shutting down".to_owned());
    Refusal { runtime, name: name.to_owned(), reason, detail }
}

fn unanswered(name: String) -> Refusal {
    let (reason, detail) = (RefusedReason::UnknownPeer, "probes are not answered here".to_owned());
    Refusal { runtime: None, name, reason, detail }
}

/// Serves the connections whose place this thread has, one after the other; a link ends the row.
fn serve_all(shared: &Arc<Shared>, worker: u64) {
    while let Some(place) = shared.next_handshake(worker) {
        let Place { number, addr, stream, .. } = place;
        let deadline = Instant::now() + shared.config().accept_wait();
        let handshake = Handshake::new(shared, number);
        AcceptedSocket { stream, addr, deadline, handshake }.serve(shared);
    }
}

/// A connection that has not yet said who it is.
struct AcceptedSocket {
    stream: Arc<TcpStream>,
    addr: SocketAddr,
    deadline: Instant,
    handshake: Handshake,
}

impl AcceptedSocket {
    /// Shakes hands, then reads until the link ends.
    fn serve(self, shared: &Arc<Shared>) {
        // A socket that refuses still works, only less promptly.
        let _ = self.stream.set_nodelay(shared.config().tcp_nodelay());
        let greeting = match self.receive(shared) {
            Ok(greeting) => greeting,
            Err(refusal) => return self.refuse(shared, refusal),
        };
        if greeting.probe {
            return match shared.options.answer_probes {
                true => self.answer_probe(shared, &greeting),
                false => self.refuse(shared, unanswered(greeting.name)),
            };
        }
        // The peers of now: a reload may have come since the connection was accepted.
        let (config, peers) = (shared.config(), shared.peers());
        let claim = Claim { shared, peers: &peers, reject_new: config.reject_new_peers() };
        let welcomed = claim.peer(&greeting, self.deadline).and_then(|(runtime, lease)| {
            let settings = runtime.liveness();
            self.welcome(shared, runtime, &greeting, &settings)?;
            Ok((runtime, lease, settings))
        });
        match welcomed {
            Ok((runtime, lease, settings)) => {
                let (addr, direction) = (self.addr, Direction::Accepted);
                let session =
                    Session { shared, runtime, lease, addr, direction, greeting, settings };
                self.go_up(session);
            }
            Err(refusal) => self.refuse(shared, refusal),
        }
    }

    /// Waits for HELLO; from then on the place is kept.
    fn receive(&self, shared: &Shared) -> Result<Greeting, Refusal> {
        let heard = || {
            let _lost = self.handshake.set_stage(Stage::Partial);
        };
        let received = handshake::receive_and_tell(&self.stream, self.deadline, heard);
        if !self.handshake.set_stage(Stage::Deciding) {
            return Err(made_room(shared));
        }
        let failed = |name: &str, error: HandshakeError| self.failure(shared, name, error);
        let mut greeting = received.map_err(|error| failed("", error))?;
        // A peer that gave this connection up has perhaps made a better one, which this one must
        // not replace.
        if greeting.received.is_empty() && handshake::is_abandoned(&*self.stream, &mut greeting) {
            return Err(failed(&greeting.name, HandshakeError::Eof));
        }
        Ok(greeting)
    }

    fn answer_probe(self, shared: &Shared, greeting: &Greeting) {
        shared.count_probe();
        // Whoever asks is a stranger, and makes room as one that is refused does.
        self.handshake.set_stage(Stage::Leaving);
        probe::answer(&self.stream, &shared.config(), greeting);
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
        if let Some(code) = refusal.reason.bye_code() {
            // One that has lost its place has a newcomer waiting for its thread.
            match self.handshake.set_stage(Stage::Leaving) {
                true => handshake::refuse(&self.stream, code, &refusal.detail),
                false => handshake::refuse_at_once(&self.stream, code, &refusal.detail),
            }
        }
        shared.refused(self.addr, refusal);
    }

    fn go_up(self, session: Session<'_>) {
        let Self { stream, addr, handshake, .. } = self;
        drop(handshake);
        let (shared, runtime) = (session.shared, session.runtime);
        threads::rename(&format!("pb-r:{}", runtime.name()));
        let name = session.greeting.name.clone();
        // Only a node that stops holds another handle on the stream now, and not for long.
        let stream = Arc::try_unwrap(stream).or_else(|shared| shared.try_clone());
        if let Err(error) = stream.and_then(|stream| session.run(stream)) {
            let detail = shared.limits.describe(&error);
            shared.reports.add(None, NodeEvent::Warning { detail: detail.clone() });
            let (runtime, reason) = (Some(Arc::clone(runtime)), RefusedReason::TooMany);
            shared.refused(addr, Refusal { runtime, name, reason, detail });
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
            Err(ClaimRefused::Paused) => {
                let reason = RefusedReason::ShuttingDown;
                Err(refusal(Some(Arc::clone(runtime)), reason, "this peer is paused".to_owned()))
            }
            // A reload has taken it out meanwhile.
            Err(ClaimRefused::Stopping) if !self.shared.is_stopping() => Err(unknown()),
            Err(ClaimRefused::Stopping) => Err(shutting_down(Some(Arc::clone(runtime)), name)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_but_for_ipv4_in_the_guise_of_ipv6() {
        for (addr, shown) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
            ("[fe80::1%7]:1", "[fe80::1%7]:1"),
            ("[::1]:1", "[::1]:1"),
        ] {
            let addr: SocketAddr = addr.parse().expect("an address");
            assert_eq!(plain(addr).to_string(), shown);
        }
    }
}
