//! What the threads of a node share: its peers, its handler, and whether it runs.
//!
//! The phase only goes forward. While the lock of the phase is held nothing is called, and nothing
//! waits except on its own condition variable; the handler is called with no lock held, guarded
//! against panics, and taken out once the node has ended, so that a handler that keeps handles on
//! its peers is freed all the same.
//!
//! Invariant: no connection is added to `handshakes` once the phase is `Stopping`.

use std::cell::Cell;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::conn::Conn;
use super::endpoint::Endpoint;
use super::places::{Entered, Place, Places, Stage};
use super::reports::{Refusal, Reports};
use super::runtime::PeerRuntime;
use super::{NodeEvent, NodeHandler, NodeOptions, Peer};
use crate::config::Config;
use crate::connection::QueueBudget;
use crate::guarded::guarded;
use crate::link::SystemLimits;
use crate::link::forked::Process;
use crate::link::threads;
use crate::recover::Recover;

/// What the threads of a node share.
pub(crate) struct Shared {
    /// Different for each node of the process.
    number: u64,
    /// The process that started it: a forked child has the handles, but none of the threads.
    creator: Process,
    pub(crate) options: NodeOptions,
    pub(crate) clock: Clock,
    pub(crate) limits: SystemLimits,
    /// What may wait in all of its links together.
    pub(super) queue_budget: QueueBudget,
    /// What it listens on.
    pub(super) endpoints: Vec<Endpoint>,
    /// Of these the TCP addresses.
    pub(super) local_addrs: Vec<SocketAddr>,
    /// One reload at a time; nothing waits for the handler while it is held.
    pub(super) reloading: Mutex<()>,
    /// Refusals of connections that belonged to no peer.
    pub(super) strangers: AtomicU64,
    /// Probes that were answered.
    pub(super) probes: AtomicU64,
    /// What a thread of its own reports.
    pub(crate) reports: Reports,
    handler: Mutex<Option<Arc<dyn NodeHandler>>>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Threads are being made; they wait.
    Starting,
    /// `Listening` is reported; the others wait.
    Announcing,
    Running,
    /// Nothing begins any more.
    Stopping,
    /// All threads but the supervisor are gone, `Stopped` has been reported.
    Ended,
    /// The supervisor is gone too.
    Joined,
}

struct State {
    phase: Phase,
    config: Arc<Config>,
    peers: Peers,
    /// Peers that reloads took out and whose end has not been reported, in their order.
    retired: Vec<Arc<PeerRuntime>>,
    /// The threads that dial, those of peers that are gone included until they have ended.
    diallers: Vec<Dialling>,
    /// Accepted connections whose handshake is under way.
    handshakes: Places<Conn>,
    /// Threads of accepted connections; those that have ended are taken out before one is added.
    workers: Vec<JoinHandle<()>>,
    supervisor: Option<JoinHandle<()>>,
}

/// The peers, in the order of the configuration.
pub(crate) type Peers = Arc<[Arc<PeerRuntime>]>;

/// A thread and the peer that it dials.
pub(super) type Dialling = (Arc<PeerRuntime>, JoinHandle<()>);

impl Shared {
    pub(crate) fn new(
        config: Config,
        options: NodeOptions,
        limits: SystemLimits,
        handler: Arc<dyn NodeHandler>,
        endpoints: Vec<Endpoint>,
        clock: Clock,
    ) -> Self {
        static NODES: AtomicU64 = AtomicU64::new(1);
        let queue_budget = QueueBudget::new(config.node_queue_bytes().value);
        let state = State {
            phase: Phase::Starting,
            peers: config
                .peers()
                .iter()
                .map(|peer| Arc::new(PeerRuntime::new(peer, &clock)))
                .collect(),
            config: Arc::new(config),
            retired: Vec::new(),
            diallers: Vec::new(),
            handshakes: Places::new(options.handshakes_max),
            workers: Vec::new(),
            supervisor: None,
        };
        Self {
            number: NODES.fetch_add(1, Ordering::Relaxed),
            creator: Process::current(),
            limits,
            queue_budget,
            options,
            local_addrs: endpoints.iter().filter_map(Endpoint::as_tcp).collect(),
            endpoints,
            reloading: Mutex::new(()),
            strangers: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            reports: Reports::new(&clock),
            clock,
            handler: Mutex::new(Some(handler)),
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.lock().config)
    }

    pub(crate) fn peers(&self) -> Peers {
        Arc::clone(&self.lock().peers)
    }

    /// Puts another configuration in the place of the one that runs, with the threads made for it;
    /// gives them back when the node stops.
    pub(super) fn publish(
        &self,
        config: Config,
        peers: Peers,
        gone: &[Arc<PeerRuntime>],
        diallers: Vec<Dialling>,
    ) -> Result<(), Vec<Dialling>> {
        let config = Arc::new(config);
        let mut state = self.lock();
        if state.phase >= Phase::Stopping {
            return Err(diallers);
        }
        let all = mem::take(&mut state.diallers);
        let (ended, mut running): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, thread)| thread.is_finished());
        running.extend(diallers);
        state.diallers = running;
        let before = (mem::replace(&mut state.config, config), ended);
        state.peers = peers;
        let retired = mem::take(&mut state.retired);
        let (over, kept): (Vec<_>, _) = retired.into_iter().partition(|peer| peer.turns.is_over());
        state.retired = kept;
        // Those of now may still be claimed until they are stopped: they are looked at next time.
        state.retired.extend_from_slice(gone);
        drop(state);
        self.clock.wake();
        drop(over);
        join_all(before.1.into_iter().map(|(_, thread)| thread));
        Ok(())
    }

    /// The peers that reloads took out and that may still report their end, in their order.
    pub(super) fn retired(&self) -> Vec<Arc<PeerRuntime>> {
        self.lock().retired.clone()
    }

    pub(super) fn add_diallers(&self, diallers: Vec<Dialling>) {
        self.lock().diallers.extend(diallers);
    }

    pub(super) fn take_diallers(&self) -> Vec<Dialling> {
        mem::take(&mut self.lock().diallers)
    }

    /// Spawns one of the node's threads; it does nothing before the node is `Running`.
    pub(super) fn spawn(
        self: &Arc<Self>,
        name: &str,
        body: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(self);
        threads::spawn(name, self.options.stack_size, move || {
            OWN_NODE.set(shared.number);
            body(&shared);
        })
    }

    /// Whether the calling thread is one of this node's, such as in a handler.
    pub(super) fn is_own_thread(&self) -> bool {
        OWN_NODE.get() == self.number || self.clock.is_virtual()
    }

    /// Whether this is a forked child of the process that started the node: it may only drop its
    /// copies. Locks may be held by threads that do not exist here.
    pub(super) fn is_forked(&self) -> bool {
        self.creator.is_parent()
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.phase() >= Phase::Stopping
    }

    /// Moves the phase forward; never back.
    pub(crate) fn advance(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = state.phase.max(phase);
        drop(state);
        self.changed.notify_all();
        self.clock.wake();
    }

    /// Waits until the phase is `phase` or later and returns what it is.
    pub(super) fn wait_for(&self, phase: Phase) -> Phase {
        let mut state = self.lock();
        while state.phase < phase {
            state = self.changed.wait(state).recover();
        }
        state.phase
    }

    /// Waits for `time` or until the node stops; `true` = it stops.
    pub(super) fn sleep(&self, time: Duration) -> bool {
        let deadline = self.clock.now() + time;
        let mut state = self.lock();
        while state.phase < Phase::Stopping {
            let left = self.clock.until(deadline);
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.recover().0;
        }
        true
    }

    /// The handler, until the node has ended.
    pub(crate) fn handler(&self) -> Option<Arc<dyn NodeHandler>> {
        self.handler.lock().recover().clone()
    }

    /// Takes the handler out for good.
    pub(crate) fn take_handler(&self) -> Option<Arc<dyn NodeHandler>> {
        self.handler.lock().recover().take()
    }

    /// Counts and reports an event of a peer, or of none. `false` = the handler panicked.
    pub(crate) fn report(
        self: &Arc<Self>,
        runtime: Option<&Arc<PeerRuntime>>,
        event: &NodeEvent,
    ) -> bool {
        if let Some(runtime) = runtime {
            runtime.count(event);
        }
        self.tell(runtime, event)
    }

    /// Calls the handler. `false` = it panicked.
    pub(crate) fn tell(
        self: &Arc<Self>,
        runtime: Option<&Arc<PeerRuntime>>,
        event: &NodeEvent,
    ) -> bool {
        let Some(handler) = self.handler() else { return true };
        let peer = runtime.map(|runtime| Peer::new(self, runtime));
        guarded(|| handler.on_event(peer.as_ref(), event)).is_some()
    }

    /// Counts a refused connection, and leaves it to the reports thread.
    pub(crate) fn refused(&self, addr: Endpoint, refusal: Refusal) {
        match &refusal.runtime {
            Some(runtime) => runtime.count_refusal(),
            None => {
                self.strangers.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.reports.add_refusal(addr, refusal);
    }

    pub(crate) fn count_probe(&self) {
        self.probes.fetch_add(1, Ordering::Relaxed);
    }

    /// Reports what was left to it until the reports are closed.
    pub(super) fn tell_reports(self: &Arc<Self>) {
        while let Some((runtime, event)) = self.reports.next() {
            self.tell(runtime.as_ref(), &event);
        }
    }

    /// Gives an accepted connection a place; `None` = the node stops.
    pub(super) fn enter_handshake(&self, addr: Endpoint, stream: Conn) -> Option<Entered<Conn>> {
        let mut state = self.lock();
        (state.phase < Phase::Stopping)
            .then(|| state.handshakes.enter(addr, stream, Instant::now()))
    }

    /// The next connection that a thread serves.
    pub(crate) fn next_handshake(&self, worker: u64) -> Option<Place<Conn>> {
        self.lock().handshakes.next(worker)
    }

    /// Gives a place back.
    pub(crate) fn leave_handshake(&self, number: u64) {
        let place = self.lock().handshakes.leave(number);
        // Outside the lock: it may be the last handle, and closing is I/O.
        drop(place);
    }

    /// Keeps the thread of an accepted connection for the end.
    pub(super) fn add_worker(&self, worker: JoinHandle<()>) {
        self.lock().workers.push(worker);
    }

    /// Joins the threads of accepted connections that have ended: their stacks are kept until then,
    /// and may be what the next thread lacks.
    pub(super) fn join_ended_workers(&self) {
        let mut state = self.lock();
        let (ended, running): (Vec<_>, Vec<_>) =
            mem::take(&mut state.workers).into_iter().partition(JoinHandle::is_finished);
        state.workers = running;
        drop(state);
        join_all(ended);
    }

    /// The connections whose handshake is under way.
    pub(super) fn handshakes(&self) -> Vec<Conn> {
        self.lock().handshakes.streams()
    }

    pub(super) fn take_workers(&self) -> Vec<JoinHandle<()>> {
        mem::take(&mut self.lock().workers)
    }

    pub(super) fn set_supervisor(&self, supervisor: JoinHandle<()>) {
        self.lock().supervisor = Some(supervisor);
    }

    /// Waits until the node has ended and its last thread is gone.
    pub(super) fn join(&self) {
        self.wait_for(Phase::Ended);
        let supervisor = self.lock().supervisor.take();
        if let Some(supervisor) = supervisor {
            join_all([supervisor]);
            self.advance(Phase::Joined);
        }
        self.wait_for(Phase::Joined);
    }

    /// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().recover()
    }
}

/// A handshake under way; gives its place back when dropped.
pub(crate) struct Handshake {
    shared: Arc<Shared>,
    number: u64,
}

impl Handshake {
    pub(crate) fn new(shared: &Arc<Shared>, number: u64) -> Self {
        Self { shared: Arc::clone(shared), number }
    }

    /// Records how far it has come; `false` = it has lost its place.
    pub(crate) fn set_stage(&self, stage: Stage) -> bool {
        self.shared.lock().handshakes.set_stage(self.number, stage)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.shared.leave_handshake(self.number);
    }
}

/// Joins our threads. They guard the user's code, so a panic in one is a mistake of our own
/// that the panic hook has reported; what can still be ended in order is.
pub(super) fn join_all(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        let _ = thread.join();
    }
}

thread_local! {
    /// The number of the node that the thread belongs to; 0 = to none.
    static OWN_NODE: Cell<u64> = const { Cell::new(0) };
}
