//! What the handlers of nodes were given, in order, each with its exact virtual time.
//!
//! It is recorded before the handler is called, so what a handler does comes behind it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::liveness::Time;
use crate::node::driven::VirtualClock;
use crate::node::{NodeEvent, NodeHandler, Peer};
use crate::recover::Recover;

/// Something that the handler of a node was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// When.
    pub at: Time,
    /// Which node: the number of its host, counted from zero.
    pub node: usize,
    /// Which of its lives: it begins another when its dead process starts again.
    pub life: u64,
    /// The name of the peer that it is about; `None` = of no peer.
    pub peer: Option<String>,
    /// What.
    pub seen: Seen,
}

/// What a handler is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A message from the peer.
    Message(Vec<u8>),
    /// An event.
    Event(NodeEvent),
}

impl Seen {
    /// Whether it is the event with this [word](NodeEvent::as_str).
    pub fn is(&self, word: &str) -> bool {
        matches!(self, Self::Event(event) if event.as_str() == word)
    }
}

impl fmt::Display for NodeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.as_nanos() as f64 / 1e9;
        write!(f, "{at:>14.6} node {}.{}", self.node, self.life)?;
        if let Some(peer) = &self.peer {
            write!(f, " {}", peer.escape_debug())?;
        }
        match &self.seen {
            Seen::Message(bytes) => write!(f, ": message of {} bytes", bytes.len()),
            Seen::Event(event) => write!(f, ": {event}"),
        }
    }
}

/// The records of all nodes.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<NodeRecord>>>);

impl Log {
    /// None of our code panics while it is locked, so the data behind a poisoned lock is whole.
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<NodeRecord>> {
        self.0.lock().recover()
    }
}

/// The user's handler, and a record of what it is given.
pub(super) struct Recorder {
    pub(super) handler: Arc<dyn NodeHandler>,
    pub(super) log: Log,
    pub(super) clock: Arc<dyn VirtualClock>,
    pub(super) node: usize,
    pub(super) life: u64,
}

impl Recorder {
    fn record(&self, peer: Option<&Peer>, seen: Seen) {
        let peer = peer.map(|peer| peer.name().to_owned());
        let (at, node, life) = (self.clock.now(), self.node, self.life);
        self.log.lock().push(NodeRecord { at, node, life, peer, seen });
    }
}

impl NodeHandler for Recorder {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self.record(Some(peer), Seen::Message(payload.to_vec()));
        self.handler.on_message(peer, payload);
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        self.record(peer, Seen::Event(event.clone()));
        self.handler.on_event(peer, event);
    }
}
