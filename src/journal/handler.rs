//! A handler that writes the journal and then calls another one.
//!
//! The numbers of the peers are written by a thread of its own, which begins with the first event
//! that is about a peer and ends with the node's last one. It holds nothing that keeps a node
//! running.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::Journal;
use crate::node::{Node, NodeEvent, NodeHandler, Peer};
use crate::recover::Recover;

/// Writes every event to a [`Journal`], then calls the handler that it was made with.
///
/// ```
/// use peerbeat::journal::Journal;
/// use peerbeat::node::Peer;
/// use std::time::Duration;
///
/// let journal = Journal::to(std::io::sink(), "hub");
/// let handler = journal
///     .around(|peer: &Peer, payload: &[u8]| println!("{}: {payload:?}", peer.name()))
///     .show_data(true)
///     .stats_every(Some(Duration::from_secs(60)));
/// # let _ = handler;
/// ```
pub struct JournalHandler<H> {
    journal: Journal,
    handler: H,
    shows_data: bool,
    stats_every: Option<Duration>,
    timer: Arc<Timer>,
}

/// When the thread that writes the numbers ends.
#[derive(Default)]
struct Timer {
    state: Mutex<Phase>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    NotStarted,
    Running,
    Over,
}

impl<H: NodeHandler> JournalHandler<H> {
    pub(super) fn new(journal: Journal, handler: H) -> Self {
        let timer = Arc::new(Timer::default());
        Self { journal, handler, shows_data: false, stats_every: Some(STATS_EVERY), timer }
    }

    /// Whether a line is written for each message that arrives. Default: no.
    pub fn show_data(mut self, shows: bool) -> Self {
        self.shows_data = shows;
        self
    }

    /// How often the numbers of all peers are written, at most once a millisecond; `None` = never.
    /// Default: every 5 s.
    pub fn stats_every(mut self, every: Option<Duration>) -> Self {
        self.stats_every = every.map(|every| every.max(Duration::from_millis(1)));
        self
    }

    fn start_stats(&self, node: Node) {
        let Some(every) = self.stats_every else { return };
        let mut phase = self.timer.state.lock().recover();
        if *phase != Phase::NotStarted {
            return;
        }
        let (timer, journal) = (Arc::clone(&self.timer), self.journal.clone());
        let thread = thread::Builder::new().name("pb-journal".to_owned()).stack_size(STACK);
        // Out of threads: the next event tries again.
        if thread.spawn(move || timer.run(every, &node, &journal)).is_ok() {
            *phase = Phase::Running;
        }
    }
}

impl<H: NodeHandler> NodeHandler for JournalHandler<H> {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        if self.shows_data {
            self.journal.data(peer.name(), payload.len());
        }
        self.handler.on_message(peer, payload);
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.journal.event(peer.map(Peer::name), event);
        match peer {
            Some(peer) => self.start_stats(peer.node()),
            None if *event == NodeEvent::Stopped => self.timer.end(),
            None => {}
        }
        self.handler.on_event(peer, event);
    }
}

impl<H> Drop for JournalHandler<H> {
    fn drop(&mut self) {
        self.timer.end();
    }
}

impl<H> fmt::Debug for JournalHandler<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalHandler").field("journal", &self.journal).finish_non_exhaustive()
    }
}

impl Timer {
    fn end(&self) {
        *self.state.lock().recover() = Phase::Over;
        self.changed.notify_all();
    }

    fn run(&self, every: Duration, node: &Node, journal: &Journal) {
        let mut next = Instant::now() + every;
        let mut phase = self.state.lock().recover();
        while *phase != Phase::Over {
            let now = Instant::now();
            if now < next {
                let waited = self.changed.wait_timeout(phase, next - now);
                phase = waited.recover().0;
                continue;
            }
            drop(phase);
            for peer in node.peers() {
                journal.stats(&peer);
            }
            // Missed records are not made up for in a burst.
            next = (next + every).max(Instant::now());
            phase = self.state.lock().recover();
        }
    }
}

const STATS_EVERY: Duration = Duration::from_secs(5);
const STACK: usize = 256 << 10;
