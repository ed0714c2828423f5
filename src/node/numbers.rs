//! What a program sets on a running peer, and the numbers of peers and nodes.
//!
//! Counters change where events are reported, so the two never disagree. Totals run over all links
//! that a peer had since the node started, the present one included.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Node, Peer};
use crate::link::{DownReason, Explanation, HeartbeatChange, Stats};

/// What went over all links of a peer, or of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Messages accepted for sending.
    pub messages_accepted: u64,
    /// Bytes that the kernel accepted, heartbeats included.
    pub bytes_sent: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Heartbeats that data made needless.
    pub heartbeats_suppressed: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Bytes received, heartbeats included.
    pub bytes_received: u64,
    /// Heartbeats received.
    pub heartbeats_received: u64,
    /// Our heartbeats that were later than half the slack.
    pub own_late: u64,
    /// How often the peer's silence was late.
    pub peer_late: u64,
    /// How often we ourselves were stopped.
    pub stalls: u64,
    /// How long the links were up, all together.
    pub up: Duration,
}

/// How often links ended, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the reasons, explained there")]
#[non_exhaustive]
pub struct DownCounts {
    pub silent: u64,
    pub write_stalled: u64,
    pub closed: u64,
    pub eof: u64,
    pub io: u64,
    pub protocol: u64,
    pub replaced: u64,
    pub local: u64,
}

/// The numbers of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerStats {
    /// Those of its present link; `None` while it is not connected.
    pub link: Option<Stats>,
    /// What went over all of its links.
    pub total: Totals,
    /// How often it came up.
    pub connects: u64,
    /// How often and why it went down.
    pub downs: DownCounts,
    /// Dials that failed, one for each address that was tried.
    pub dial_failures: u64,
    /// Connections of its own that were refused.
    pub refusals: u64,
}

/// The numbers of a node: the sums over its peers of now.
///
/// ```no_run
/// # fn show(node: &peerbeat::node::Node) {
/// let stats = node.stats();
/// println!("{} of {} peers are connected", stats.peers_up, stats.peers);
/// for (reason, count) in stats.downs.by_reason() {
///     println!("down for {reason}: {count} times");
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStats {
    /// Its peers.
    pub peers: usize,
    /// Those that are connected.
    pub peers_up: usize,
    /// What went over all links.
    pub total: Totals,
    /// Messages and bytes that wait to be sent, now.
    pub queued: (u64, usize),
    /// How often peers came up.
    pub connects: u64,
    /// How often and why they went down.
    pub downs: DownCounts,
    /// Dials that failed.
    pub dial_failures: u64,
    /// Connections that were refused, those of strangers included.
    pub refusals: u64,
    /// Probes that were answered.
    pub probes: u64,
}

impl Totals {
    pub(super) fn add(&mut self, link: &Stats) {
        self.sum(&Self {
            messages_accepted: link.messages_accepted,
            bytes_sent: link.bytes_sent,
            heartbeats_sent: link.heartbeats_sent,
            heartbeats_suppressed: link.heartbeats_suppressed,
            messages_received: link.messages_received,
            bytes_received: link.bytes_received,
            heartbeats_received: link.heartbeats_received,
            own_late: link.own_late,
            peer_late: link.peer_late,
            stalls: link.stalls,
            up: link.up,
        });
    }

    fn sum(&mut self, other: &Self) {
        self.messages_accepted += other.messages_accepted;
        self.bytes_sent += other.bytes_sent;
        self.heartbeats_sent += other.heartbeats_sent;
        self.heartbeats_suppressed += other.heartbeats_suppressed;
        self.messages_received += other.messages_received;
        self.bytes_received += other.bytes_received;
        self.heartbeats_received += other.heartbeats_received;
        self.own_late += other.own_late;
        self.peer_late += other.peer_late;
        self.stalls += other.stalls;
        self.up += other.up;
    }
}

impl DownCounts {
    /// Each reason's [word](DownReason::as_str) and how often it was the reason.
    pub fn by_reason(&self) -> [(&'static str, u64); 8] {
        [
            ("silent", self.silent),
            ("write-stalled", self.write_stalled),
            ("closed", self.closed),
            ("eof", self.eof),
            ("io", self.io),
            ("protocol", self.protocol),
            ("replaced", self.replaced),
            ("local", self.local),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    pub(super) fn add(&mut self, reason: &DownReason) {
        *match reason {
            DownReason::Silent => &mut self.silent,
            DownReason::WriteStalled { .. } => &mut self.write_stalled,
            DownReason::Closed { .. } => &mut self.closed,
            DownReason::Eof => &mut self.eof,
            DownReason::Io { .. } => &mut self.io,
            DownReason::Protocol(_) => &mut self.protocol,
            DownReason::Replaced => &mut self.replaced,
            DownReason::Local { .. } => &mut self.local,
        } += 1;
    }

    fn sum(&mut self, other: &Self) {
        self.silent += other.silent;
        self.write_stalled += other.write_stalled;
        self.closed += other.closed;
        self.eof += other.eof;
        self.io += other.io;
        self.protocol += other.protocol;
        self.replaced += other.replaced;
        self.local += other.local;
    }
}

impl Peer {
    /// Sets the heartbeat-time, on the living link as
    /// [`Link::set_heartbeat_time`](crate::link::Link::set_heartbeat_time) does, and on the next
    /// ones, until a [reload](Node::reload) brings another value of the file's.
    /// Zero asks for nothing from the next connection on.
    pub fn set_heartbeat_time(&self, value: Duration) -> HeartbeatChange {
        match self.runtime.set_heartbeat_time(value) {
            true => HeartbeatChange::InForce,
            false => HeartbeatChange::NextConnection,
        }
    }

    /// Sets the slack, on the living link as [`Link::set_slack`](crate::link::Link::set_slack)
    /// does, and on the next ones, until a [reload](Node::reload) brings another value of the
    /// file's.
    pub fn set_slack(&self, slack: Duration) -> HeartbeatChange {
        match self.runtime.set_slack(slack) {
            true => HeartbeatChange::InForce,
            false => HeartbeatChange::NextConnection,
        }
    }

    /// Its numbers since the node started, or since a reload brought it.
    pub fn stats(&self) -> PeerStats {
        self.runtime.stats()
    }

    /// Explains which values are in force and why, and whether they fit what was measured; `None`
    /// while it is not connected.
    pub fn explain(&self) -> Option<Explanation> {
        self.link().ok()?.explain()
    }
}

impl Node {
    /// The sums over its peers, and the strangers it refused.
    pub fn stats(&self) -> NodeStats {
        let peers = self.shared.peers();
        let refusals = self.shared.strangers.load(Ordering::Relaxed);
        let probes = self.shared.probes.load(Ordering::Relaxed);
        let mut all = NodeStats { peers: peers.len(), refusals, probes, ..NodeStats::default() };
        for peer in peers.iter().map(|runtime| runtime.stats()) {
            if let Some(link) = &peer.link {
                all.peers_up += 1;
                all.queued.0 += link.queued_messages;
                all.queued.1 += link.queued_bytes;
            }
            all.total.sum(&peer.total);
            all.connects += peer.connects;
            all.downs.sum(&peer.downs);
            all.dial_failures += peer.dial_failures;
            all.refusals += peer.refusals;
        }
        all
    }
}
