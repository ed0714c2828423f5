//! The accepting side: a thread that accepts, and one for each connection that shakes hands.
//!
//! The accepting thread waits only for the system: another thread reports events, and what cannot
//! be served now is refused at once. Beyond the handshakes allowed at the same time a newcomer
//! takes the place of another, thread included. Without descriptors the thread waits and tries
//! again; established links are not affected.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::admission::Admission;
use super::conn::Conn;
use super::endpoint::Endpoint;
use super::event::{Direction, NodeEvent, RefusedReason};
use super::held::Greeted;
use super::listen::Listening;
use super::places::{Entered, Place, Stage};
use super::probe;
use super::reports::Refusal;
use super::runtime::PeerRuntime;
use super::session::{About, Session, hello_to};
use super::shared::{Handshake, Phase, Shared};
use super::transport::Connected;
use super::turns::Lease;
use crate::link::handshake::{self, Greeting, HandshakeError};
use crate::link::{Socket, Stream, threads};
use crate::liveness::{Settings, Time};

/// Accepts connections until the node stops.
pub(super) fn accept_all(shared: &Arc<Shared>, listener: &Listening, here: &Endpoint) {
    if shared.wait_for(Phase::Running) != Phase::Running {
        return;
    }
    let mut trouble = ReportOnce::default();
    loop {
        let accepted = listener.accept(here);
        if shared.is_stopping() {
            return;
        }
        match accepted {
            Ok((socket, addr)) => match admit(shared, Conn::Socket(socket), addr) {
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

    /// 100 ms to 1 s: `accept` fails at once while there are no descriptors.
    fn next_wait(&mut self) -> Duration {
        let wait = Duration::from_millis(100) * (1 << self.failures.min(4));
        self.failures += 1;
        wait.min(Duration::from_secs(1))
    }
}

fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Gives the connection a place and a thread. `Err` = there is no thread left, and it was refused.
fn admit(shared: &Arc<Shared>, conn: Conn, addr: Endpoint) -> io::Result<()> {
    let Some(worker) = enter(shared, conn, addr) else { return Ok(()) };
    shared.join_ended_workers();
    match shared.spawn("pb-accepted", move |shared| serve_all(shared, worker)) {
        Ok(thread) => shared.add_worker(thread),
        Err(error) => {
            // Another one may have taken the place over meanwhile.
            if let Some(place) = shared.next_handshake(worker) {
                refuse_now(shared, &place.stream, place.addr, Refusal::no_thread());
                shared.leave_handshake(place.number);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Gives the connection a place, perhaps that of another, or refuses it. Returns the number of the
/// worker that it needs, if none serves it already.
pub(crate) fn enter(shared: &Shared, conn: Conn, addr: Endpoint) -> Option<u64> {
    match shared.enter_handshake(addr.clone(), conn.clone()) {
        Some(Entered::Free(worker)) => return Some(worker),
        // It is woken, and still has a BYE to write.
        Some(Entered::Instead { displaced, was_served: true }) => displaced.stream.interrupt(),
        Some(Entered::Instead { displaced, was_served: false }) => {
            refuse_now(shared, &displaced.stream, displaced.addr, Refusal::made_room(shared));
        }
        Some(Entered::Full) => refuse_now(shared, &conn, addr, Refusal::made_room(shared)),
        None => refuse_now(shared, &conn, addr, Refusal::shutting_down(None, "")),
    }
    None
}

/// Refuses without waiting for anything.
fn refuse_now(shared: &Shared, conn: &Conn, addr: Endpoint, refusal: Refusal) {
    // Over a transport of the program a BYE would have to wait for its handshake.
    let is_plain = shared.options.transport.is_plain();
    if let Some(code) = refusal.reason.bye_code().filter(|_| is_plain) {
        conn.refuse_at_once(code, &refusal.detail);
    }
    shared.refused(addr, refusal);
}

/// Serves the connections whose place this thread has, one after the other; a link ends the row.
fn serve_all(shared: &Arc<Shared>, worker: u64) {
    while let Some(place) = shared.next_handshake(worker) {
        let Place { number, addr, stream, .. } = place;
        let deadline = shared.clock.now() + shared.config().accept_wait();
        let handshake = Handshake::new(shared, number);
        if let Conn::Socket(socket) = stream {
            serve(shared, socket, addr, deadline, handshake);
        }
    }
}

/// Has the transport take a connection over, then serves it.
fn serve(
    shared: &Arc<Shared>,
    socket: Socket,
    addr: Endpoint,
    deadline: Time,
    handshake: Handshake,
) {
    // A socket that refuses still works, only less promptly.
    let _ = socket.set_nodelay(shared.config().tcp_nodelay());
    match shared.options.transport.accept(socket, shared.clock.instant(deadline)) {
        Ok(connected) => AcceptedSocket { connected, addr, deadline, handshake }.serve(shared),
        // There is nothing yet to say goodbye on.
        Err(error) => shared.refused(
            addr,
            match handshake.set_stage(Stage::Silent) {
                true => Refusal::not_secured(shared, &error),
                false => Refusal::made_room(shared),
            },
        ),
    }
}

/// A connection that has not yet said who it is.
struct AcceptedSocket {
    connected: Connected,
    addr: Endpoint,
    deadline: Time,
    handshake: Handshake,
}

impl AcceptedSocket {
    /// Shakes hands, then reads until the link ends.
    fn serve(self, shared: &Arc<Shared>) {
        let greeting = match self.receive(shared) {
            Ok(greeting) => greeting,
            Err(refusal) => return self.refuse(shared, refusal),
        };
        if greeting.probe {
            return match shared.options.answer_probes {
                true => self.answer_probe(shared, &greeting),
                false => self.refuse(shared, Refusal::unanswered(&greeting.name)),
            };
        }
        let admission = Admission::begin(shared, &greeting, self.proven(), self.deadline);
        let admitted = admission.and_then(|admission| admission.wait(shared, &greeting));
        let welcomed = admitted.and_then(|(runtime, lease)| {
            let settings = runtime.liveness();
            self.welcome(shared, &runtime, &greeting, &settings)?;
            Ok((runtime, lease, settings))
        });
        match welcomed {
            Ok((runtime, lease, settings)) => {
                let (addr, direction) = (self.addr.clone(), Direction::Accepted);
                let about = About { addr, direction, greeting, settings };
                self.go_up(shared, &runtime, lease, about);
            }
            Err(refusal) => self.refuse(shared, refusal),
        }
    }

    /// The name that the other side has proven.
    fn proven(&self) -> Option<&str> {
        self.connected.verified_name.as_deref()
    }

    /// Waits for HELLO; from then on the place is kept.
    fn receive(&self, shared: &Shared) -> Result<Greeting, Refusal> {
        let heard = || {
            let _lost = self.handshake.set_stage(Stage::Partial);
        };
        let by = shared.clock.instant(self.deadline);
        let received = handshake::receive_and_tell(&self.connected.stream, by, heard);
        if !self.handshake.set_stage(Stage::Deciding) {
            return Err(Refusal::made_room(shared));
        }
        let failed = |name: &str, error: HandshakeError| Refusal::failed(shared, name, &error);
        let mut greeting = received.map_err(|error| failed("", error))?;
        // A peer that gave this connection up has perhaps made a better one, which this one must
        // not replace.
        if greeting.received.is_empty()
            && handshake::is_abandoned(&self.connected.stream, &mut greeting)
        {
            return Err(failed(&greeting.name, HandshakeError::Eof));
        }
        Ok(greeting)
    }

    fn answer_probe(self, shared: &Shared, greeting: &Greeting) {
        shared.count_probe();
        // A program that asks is a stranger, and makes room as one that is refused does.
        self.handshake.set_stage(Stage::Leaving);
        probe::answer(&self.connected.stream, &shared.config(), greeting);
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
        let by = shared.clock.instant(self.deadline);
        handshake::welcome(&self.connected.stream, &hello, by).map_err(|error| {
            let failure = Refusal::failed(shared, &greeting.name, &error);
            Refusal { runtime: Some(Arc::clone(runtime)), ..failure }
        })
    }

    fn refuse(self, shared: &Arc<Shared>, refusal: Refusal) {
        if let Some(code) = refusal.reason.bye_code() {
            // One that has lost its place has a newcomer waiting for its thread.
            match self.handshake.set_stage(Stage::Leaving) {
                true => handshake::refuse(&self.connected.stream, code, &refusal.detail),
                false => handshake::refuse_at_once(&self.connected.stream, code, &refusal.detail),
            }
        }
        shared.refused(self.addr, refusal);
    }

    fn go_up(self, shared: &Arc<Shared>, runtime: &Arc<PeerRuntime>, lease: Lease, about: About) {
        let Self { connected, addr, handshake, .. } = self;
        drop(handshake);
        threads::rename(&format!("pb-r:{}", runtime.name()));
        let name = about.greeting.name.clone();
        let session = Session::new(shared, runtime, lease, about);
        if let Err(error) = session.run(connected.stream) {
            let detail = shared.limits.describe(&error);
            let (runtime, reason) = (Some(Arc::clone(runtime)), RefusedReason::TooMany);
            shared.refused(addr, Refusal { runtime, name, reason, detail });
        }
    }
}
