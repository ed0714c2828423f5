//! What a node is given besides its configuration.
//!
//! Every limit has a default, and nothing here changes while a node runs.

use std::time::Duration;

use super::transport::{Transport, TransportOption};
use crate::link::{Faults, LinkOptions};
use crate::protocol::FRAME_MAX;

/// What a node is given besides its configuration. All of it has defaults.
///
/// ```no_run
/// use peerbeat::config::{Config, ConfigOptions};
/// use peerbeat::node::{Node, NodeOptions, Peer};
/// use std::time::Duration;
///
/// let options = NodeOptions::default()
///     .send_timeout(Duration::from_secs(1))
///     .stack_size(1 << 20); // the handler needs more than 256 KiB
/// let config = Config::load("hub.conf", &ConfigOptions::default())?;
/// let node = Node::start_with(config, |_: &Peer, _: &[u8]| {}, options)?;
/// # drop(node);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeOptions {
    /// Handshakes of accepted connections that may be under way at once. When all places are
    /// taken, the oldest that has not sent a byte makes room for a newcomer, of the source address
    /// that holds most of them. Default 64.
    pub handshakes_max: usize,
    /// Whether a probe, which only asks who is there, is answered with name, label, id and
    /// heartbeat-time of the node; else it is refused like a stranger. Default yes.
    pub answer_probes: bool,
    /// The largest frame, type byte included, in bytes. Default 16 MiB.
    pub frame_max: usize,
    /// How long [`Peer::send`](super::Peer::send) waits for room. Default 10 s.
    pub send_timeout: Duration,
    /// How long an orderly close goes on while the kernel takes no byte and the peer does not end
    /// its stream. Default 2 s.
    pub close_timeout: Duration,
    /// The longest that an orderly close takes in all, however steadily the peer reads. Default
    /// 30 s.
    pub close_max: Duration,
    /// The stack of each thread, in bytes; the handler runs on them. Default 256 KiB.
    pub stack_size: usize,
    /// Switches with which a test breaks all of the node's links on purpose. Default none.
    pub faults: Option<Faults>,
    pub(super) transport: TransportOption,
}

impl NodeOptions {
    /// Has the node's connections made by `transport`. Default plain TCP and Unix sockets.
    #[must_use]
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = TransportOption::new(transport);
        self
    }
}

impl NodeOptions {
    setters! {
        handshakes_max: [usize],
        answer_probes: [bool],
        frame_max: [usize],
        send_timeout: [Duration],
        close_timeout: [Duration],
        close_max: [Duration],
        stack_size: [usize],
        faults: into [Option<Faults>],
    }
}

impl Default for NodeOptions {
    fn default() -> Self {
        let link = LinkOptions::default();
        Self {
            handshakes_max: 64,
            answer_probes: true,
            frame_max: FRAME_MAX,
            send_timeout: link.send_timeout,
            close_timeout: link.close_timeout,
            close_max: link.close_max,
            stack_size: link.stack_size,
            faults: link.faults,
            transport: TransportOption::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, PeerBuilder};

    /// The two modules do not import each other, so each says its defaults itself.
    #[test]
    fn configurations_and_links_have_the_same_defaults() {
        let config = Config::builder().peer(PeerBuilder::new("feed")).build().unwrap();
        let (peer, link) = (&config.peers()[0], LinkOptions::default());
        assert_eq!(peer.send_queue_bytes(), link.queue_bytes);
        assert_eq!(peer.connect_timeout(), link.connect_timeout);
        assert_eq!(config.accept_wait(), link.handshake_timeout);
        assert_eq!(peer.slack().value, link.liveness.slack);
        assert_eq!(peer.heartbeat_time().value, link.liveness.heartbeat_time);
    }
}
