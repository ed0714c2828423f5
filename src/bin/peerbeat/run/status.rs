//! How many peers are up, for the service manager.
//!
//! It is notified of every change, and of nothing else.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use peerbeat::node::{NodeEvent, Peer};

use crate::notify::ServiceManager;

/// The peers that are up, and who wants to know.
pub(super) struct Status {
    manager: ServiceManager,
    peers: usize,
    up: Mutex<HashSet<String>>,
}

impl Status {
    pub(super) fn new(peers: usize) -> Self {
        Self { manager: ServiceManager::from_env(), peers, up: Mutex::default() }
    }

    /// The node runs.
    pub(super) fn ready(&self) {
        self.manager.tell("READY=1");
        self.tell_up(self.up.lock().unwrap_or_else(PoisonError::into_inner).len());
    }

    /// The node is about to stop.
    pub(super) fn stopping(&self) {
        self.manager.tell("STOPPING=1");
    }

    pub(super) fn handle(&self, peer: Option<&Peer>, event: &NodeEvent) {
        let Some(peer) = peer else { return };
        let mut up = self.up.lock().unwrap_or_else(PoisonError::into_inner);
        let is_changed = match event {
            NodeEvent::Up { .. } => up.insert(peer.name().to_owned()),
            NodeEvent::Down(_) => up.remove(peer.name()),
            _ => false,
        };
        if is_changed {
            self.tell_up(up.len());
        }
    }

    fn tell_up(&self, up: usize) {
        self.manager.tell(&format!("STATUS={up} of {} up", self.peers));
    }
}
