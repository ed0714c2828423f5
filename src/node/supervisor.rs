//! The start of a node's threads, and the one that ends them all.
//!
//! Everything waits until all threads exist, so a start that fails leaves nothing behind. At the
//! end every thread is woken, links first, then joined; the one exception is a thread inside the
//! system's resolver or `connect`, which nothing can wake. Then `Stopped` is reported, and the
//! handler freed.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::NodeEvent;
use super::accept::accept_all;
use super::dial::dial_peer;
use super::held::Greeted;
use super::listen::{Listener, Waker};
use super::runtime::PeerRuntime;
use super::shared::{Dialling, Phase, Shared, join_all};
use crate::guarded::guarded;

/// The threads that live as long as the node.
struct Threads {
    accepting: Vec<JoinHandle<()>>,
    wakers: Vec<Waker>,
    /// Reports only that the last accepting thread is gone.
    accepting_over: Receiver<()>,
    /// Reports what the accepting threads have no time to report; none if nothing is accepted.
    reporting: Option<JoinHandle<()>>,
    /// With the peer that each dials; the node's once all of them are made.
    dialling: Vec<Dialling>,
}

/// Makes the threads and lets them run.
///
/// # Errors
/// If one cannot be made; those that could have been joined again.
pub(super) fn start(shared: &Arc<Shared>, listeners: Vec<Listener>) -> io::Result<()> {
    let (threads_sender, threads_receiver) = mpsc::sync_channel(1);
    let supervisor = shared.spawn("pb-node", move |shared| {
        // Nothing is sent if the start failed.
        if let Ok(threads) = threads_receiver.recv() {
            supervise(shared, threads);
        }
    })?;
    let (over_sender, accepting_over) = mpsc::sync_channel(0);
    let mut threads = Threads {
        accepting: Vec::new(),
        wakers: Vec::new(),
        accepting_over,
        reporting: None,
        dialling: Vec::new(),
    };
    match threads.spawn(shared, listeners, over_sender) {
        Ok(()) => {
            shared.set_supervisor(supervisor);
            shared.add_diallers(std::mem::take(&mut threads.dialling));
            // It waits for nothing else, so it is there.
            let _ = threads_sender.send(threads);
            Ok(())
        }
        Err(error) => {
            shared.advance(Phase::Stopping);
            join_all(threads.accepting);
            shared.reports.close();
            join_all(threads.reporting);
            join_all(threads.dialling.into_iter().map(|(_, thread)| thread));
            drop(threads_sender);
            join_all([supervisor]);
            Err(error)
        }
    }
}

impl Threads {
    fn spawn(
        &mut self,
        shared: &Arc<Shared>,
        listeners: Vec<Listener>,
        over: SyncSender<()>,
    ) -> io::Result<()> {
        if !listeners.is_empty() {
            self.reporting = Some(shared.spawn("pb-reports", Shared::tell_reports)?);
        }
        for Listener { socket, waker, addr } in listeners {
            let over = over.clone();
            let thread = shared.spawn("pb-accept", move |shared| {
                accept_all(shared, &socket, &addr);
                drop(over);
            })?;
            self.accepting.push(thread);
            self.wakers.push(waker);
        }
        for runtime in shared.peers().iter().filter(|runtime| runtime.is_dialled()) {
            self.dialling.push((Arc::clone(runtime), spawn_dialler(shared, runtime)?));
        }
        Ok(())
    }

    /// Waits until no thread accepts any more.
    fn join_accepting(&mut self) {
        for waker in &self.wakers {
            waker.shut();
        }
        while let Err(RecvTimeoutError::Timeout) =
            self.accepting_over.recv_timeout(SHUTDOWN_WAKE_MAX)
        {
            self.wakers.iter().for_each(Waker::knock);
        }
        join_all(self.accepting.drain(..));
        self.wakers.clear();
    }
}

/// Makes the thread that dials a peer.
///
/// # Errors
/// If there is none left.
pub(super) fn spawn_dialler(
    shared: &Arc<Shared>,
    runtime: &Arc<PeerRuntime>,
) -> io::Result<JoinHandle<()>> {
    let (name, peer) = (format!("pb-r:{}", runtime.name()), Arc::clone(runtime));
    let thread = shared.spawn(&name, move |shared| dial_peer(shared, &peer))?;
    runtime.set_has_dialler();
    Ok(thread)
}

fn supervise(shared: &Arc<Shared>, mut threads: Threads) {
    announce(shared);
    shared.wait_for(Phase::Stopping);

    begin_stop(shared);
    threads.join_accepting();
    join_all(shared.take_workers());
    shared.reports.close();
    join_all(threads.reporting.take());
    let grace = shared.clock.now() + BLOCKED_GRACE;
    for (runtime, thread) in shared.take_diallers() {
        if runtime.turns.wait_unblocked(grace) {
            join_all([thread]);
        }
    }
    end(shared);
}

/// Reports where the node listens, and lets all begin.
pub(crate) fn announce(shared: &Arc<Shared>) {
    shared.advance(Phase::Announcing);
    for addr in &shared.endpoints {
        shared.report(None, &NodeEvent::Listening { addr: addr.clone() });
    }
    shared.advance(Phase::Running);
}

/// Closes every link in order and wakes every handshake; nothing begins any more.
pub(crate) fn begin_stop(shared: &Shared) {
    for link in shared.peers().iter().filter_map(|runtime| runtime.turns.stop()) {
        link.close();
    }
    for conn in shared.handshakes() {
        // The one that wakes still has a BYE to write.
        conn.interrupt();
    }
}

/// Reports the end, once nothing else is left to report, and frees the handler.
pub(crate) fn end(shared: &Arc<Shared>) {
    shared.report(None, &NodeEvent::Stopped);
    let handler = shared.take_handler();
    guarded(|| drop(handler));
    shared.advance(Phase::Ended);
}

/// How long the shutdown of a listening socket may take to wake its thread.
const SHUTDOWN_WAKE_MAX: Duration = Duration::from_millis(100);
/// How long a stop waits for a connection that may just be coming about.
const BLOCKED_GRACE: Duration = Duration::from_millis(20);
