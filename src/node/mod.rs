//! Named peers: listen, dial, shake hands, fail over, reconnect, report.
#![allow(missing_docs, unused_variables)]

mod event;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Config;
use crate::link::SendError;
pub use event::{DialFailedReason, Direction, Event, RefusedReason};

/// What a node calls; runs on the threads of the peer it is about and may call everything, close
/// included.
pub trait Handler: Send + Sync + 'static {
    /// A message of the peer's arrived; the bytes are valid during the call.
    fn on_message(&self, peer: &Peer, payload: &[u8]);
    /// Something happened; `peer` is `None` where the event is about no peer of the configuration.
    fn on_event(&self, _peer: Option<&Peer>, _event: &Event) {}
}

/// A handle on a running node; clones are handles on the same one.
#[derive(Clone)]
pub struct Node {}

/// A handle on one configured peer of a node.
#[derive(Clone)]
pub struct Peer {}

/// Why a node did not start: nothing of it runs.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// listening failed
    Listen { addr: String, error: io::Error },
    /// a thread could not be made
    Thread { error: io::Error },
}

impl Node {
    pub fn start(config: Config, handler: impl Handler) -> Result<Node, StartError> {
        todo!()
    }
    pub fn peers(&self) -> Vec<Peer> {
        todo!()
    }
    pub fn peer(&self, name: &str) -> Option<Peer> {
        todo!()
    }
    /// the addresses listened on, with real ports
    pub fn local_addrs(&self) -> &[SocketAddr] {
        todo!()
    }
    /// Begins the stop: every link is closed in order, no more dials. Returns at once. May repeat, from any thread, handlers included.
    pub fn shutdown(&self) {
        todo!()
    }
    /// Waits until all has ended (after `shutdown`), last event `Stopped` delivered. From a handler: returns at once (false).
    pub fn join(&self) -> bool {
        todo!()
    }
}

impl Peer {
    pub fn name(&self) -> &str {
        todo!()
    }
    pub fn is_up(&self) -> bool {
        todo!()
    }
    pub fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        todo!()
    }
    pub fn send_timeout(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        todo!()
    }
    pub fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        todo!()
    }
    /// Closes the link in order; a dialled peer is dialled again after its wait.
    pub fn close(&self) {
        todo!()
    }
    pub fn node(&self) -> Node {
        todo!()
    }
}
