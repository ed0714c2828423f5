//! One message to many peers.
//!
//! It is encoded once; every link gets a copy of the bytes. Nothing here waits for a peer, so one
//! that does not keep up holds up no other.

use std::sync::Arc;

use super::{Node, Peer};
use crate::connection::{DownReason, SendError};
use crate::protocol::{Framing, Native};

/// What became of a message to many peers, none of which was waited for.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Published {
    /// How many have accepted it: it was written to the kernel, or queued.
    pub sent: usize,
    /// Those that had no room for it: they do not keep up.
    pub full: Vec<Peer>,
    /// Those whose link is ending.
    pub down: Vec<(Peer, DownReason)>,
    /// Those that are not connected.
    pub not_connected: Vec<Peer>,
    /// Those of another node, whose frames cannot carry it.
    pub unfit: Vec<Peer>,
}

impl Published {
    /// Whether every peer that is connected has accepted it.
    pub fn reached_all_connected(&self) -> bool {
        self.full.is_empty() && self.down.is_empty() && self.unfit.is_empty()
    }
}

impl Node {
    /// Sends a message to all peers that are connected, as [`Peer::try_send`] would to each: no
    /// peer is waited for. Messages of one thread arrive in order, whichever call sends them.
    ///
    /// ```no_run
    /// # fn tick(node: &peerbeat::node::Node) -> Result<(), peerbeat::link::SendError> {
    /// let published = node.publish(b"EURUSD 1.0871")?;
    /// for peer in &published.full {
    ///     // The program decides what such a peer gets later; here: nothing, it is closed.
    ///     peer.close();
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`SendError::Unfit`] if no frame can carry it; no peer has got it then.
    pub fn publish(&self, payload: &[u8]) -> Result<Published, SendError> {
        self.send_to(self.peers().iter(), payload)
    }

    /// Sends a message to these peers, which may be of several nodes, as
    /// [`publish`](Self::publish) does to all of this one.
    ///
    /// # Errors
    /// [`SendError::Unfit`] if no frame of this node can carry it; no peer has got it then.
    pub fn send_to_all(&self, peers: &[Peer], payload: &[u8]) -> Result<Published, SendError> {
        self.send_to(peers.iter(), payload)
    }

    fn send_to<'a>(
        &self,
        peers: impl Iterator<Item = &'a Peer>,
        payload: &[u8],
    ) -> Result<Published, SendError> {
        let framing = Native::with_frame_max(self.shared.options.frame_max);
        let mut frame = Vec::with_capacity(payload.len() + HEAD_BYTES);
        framing.encode_data(payload, &mut frame).map_err(SendError::Unfit)?;
        let mut published = Published::default();
        for peer in peers {
            // Another node may have another limit of what a frame carries.
            let is_own = Arc::ptr_eq(&peer.shared, &self.shared);
            let sent = peer.link().and_then(|link| match is_own {
                true => link.try_send_frame(&frame, payload),
                false => link.try_send(payload),
            });
            match sent {
                Ok(()) => published.sent += 1,
                Err(SendError::Down(reason)) => published.down.push((peer.clone(), reason)),
                Err(SendError::NotConnected) => published.not_connected.push(peer.clone()),
                Err(SendError::Unfit(_)) => published.unfit.push(peer.clone()),
                Err(_) => published.full.push(peer.clone()),
            }
        }
        Ok(published)
    }
}

/// What a frame of the native protocol has besides its payload.
const HEAD_BYTES: usize = 5;
