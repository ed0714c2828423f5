//! What must hold of every node, judged from what its handler was given.
//!
//! The records may come from the simulator or from real threads, as long as each is written before
//! its handler is called and no two of one peer at once. The checker asks none of the node's
//! code.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::seen::{NodeRecord, Seen};
use crate::config::Config;
use crate::liveness::Time;
use crate::node::NodeEvent;
use crate::node::driven::STABLE_WITHOUT_LIMIT;

/// An invariant of every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NodeInvariant {
    /// Each `up` and each `down` of a peer comes once and in order, whatever connections there
    /// were.
    UpThenDown,
    /// Messages, and what happens on a living link, come between its `up` and its `down`.
    MessagesBetween,
    /// The wait between dials is between zero and a ceiling that doubles from the least to the
    /// largest, and begins from the least only after a link that was stable.
    WaitsWithinBounds,
    /// No dial begins before the wait is over, unless the peer came, or the program asked for it.
    WaitsAreKept,
    /// `stopped` is the last of all, and no peer is up then.
    StoppedIsLast,
}

/// An invariant broken: which, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeViolation {
    /// Which invariant.
    pub invariant: NodeInvariant,
    /// The record that broke it.
    pub record: NodeRecord,
    /// What was found, and what was allowed.
    pub detail: String,
}

impl fmt::Display for NodeViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken by {}: {}", self.invariant, self.record, self.detail)
    }
}

impl Error for NodeViolation {}

/// The checker of the invariants of nodes, from their beginning.
///
/// ```
/// use peerbeat::config::Config;
/// use peerbeat::node::Peer;
/// use peerbeat::sim::{NodeInvariants, Nodes, secs};
///
/// let mut nodes = Nodes::new(1);
/// let config = Config::builder().name("alone").build()?;
/// nodes.start("alone", config, |_: &Peer, _: &[u8]| {})?;
/// nodes.run_until(secs(60.0));
/// NodeInvariants::new().judge_all(&nodes.records())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct NodeInvariants {
    peers: BTreeMap<(usize, u64, String), Account>,
    stopped: BTreeSet<(usize, u64)>,
    /// Least and largest wait, by node and peer.
    limits: BTreeMap<(usize, String), (Duration, Duration)>,
}

/// What is known of a peer.
#[derive(Debug, Default)]
struct Account {
    is_up: bool,
    /// The largest wait that may come next.
    ceiling: Option<Duration>,
    /// The next dial must not begin before.
    not_before: Time,
    /// The program has asked for it.
    is_hurried: bool,
}

impl NodeInvariants {
    /// A checker that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records which waits between dials a node is configured with, from now on: at its start, and
    /// before a reload. Waits of peers that it does not know are not judged.
    pub fn configure(&mut self, node: usize, config: &Config) {
        for peer in config.peers() {
            let min = peer.reconnect_time_min().max(Duration::from_millis(1));
            let limits = (min, peer.reconnect_time_max().max(min));
            let before = self.limits.insert((node, peer.name().to_owned()), limits);
            if before.is_some_and(|before| before != limits) {
                self.hurry(node, peer.name());
                // What has been reached stays, between other limits.
                for account in self.accounts(node, peer.name()) {
                    account.ceiling = Some(limits.1);
                }
            }
        }
    }

    /// Records that the program asked for the next dial now, or ended a pause, or that the peer was
    /// taken out and brought back: its wait is not judged.
    pub fn hurry(&mut self, node: usize, peer: &str) {
        for account in self.accounts(node, peer) {
            account.is_hurried = true;
        }
    }

    fn accounts(&mut self, node: usize, peer: &str) -> impl Iterator<Item = &mut Account> {
        let is_it = move |key: &(usize, u64, String)| key.0 == node && key.2 == peer;
        self.peers.iter_mut().filter(move |(key, _)| is_it(key)).map(|(_, account)| account)
    }

    /// Judges records in their order.
    ///
    /// # Errors
    /// The first [`NodeInvariant`] that was broken, such as [`NodeInvariant::UpThenDown`] or
    /// [`NodeInvariant::WaitsAreKept`].
    pub fn judge_all(&mut self, records: &[NodeRecord]) -> Result<(), Box<NodeViolation>> {
        records.iter().try_for_each(|record| self.judge(record))
    }

    /// Judges one record.
    ///
    /// # Errors
    /// The [`NodeInvariant`] that was broken, such as [`NodeInvariant::UpThenDown`] or
    /// [`NodeInvariant::WaitsAreKept`].
    pub fn judge(&mut self, record: &NodeRecord) -> Result<(), Box<NodeViolation>> {
        self.judge_one(record).map_err(|(invariant, detail)| {
            Box::new(NodeViolation { invariant, record: record.clone(), detail })
        })
    }

    fn judge_one(&mut self, record: &NodeRecord) -> Result<(), (NodeInvariant, String)> {
        let life = (record.node, record.life);
        if self.stopped.contains(&life) {
            return Err((NodeInvariant::StoppedIsLast, "the node had stopped".to_owned()));
        }
        let Some(peer) = &record.peer else {
            if record.seen.is("stopped") {
                self.stopped.insert(life);
                let up = self
                    .peers
                    .iter()
                    .find(|(key, account)| (key.0, key.1) == life && account.is_up);
                if let Some(((.., name), _)) = up {
                    return Err((NodeInvariant::StoppedIsLast, format!("{name} is still up")));
                }
            }
            return Ok(());
        };
        let limits = self.limits.get(&(record.node, peer.clone())).copied();
        let account = self.peers.entry((record.node, record.life, peer.clone())).or_default();
        account.judge(record.at, &record.seen, limits)
    }
}

impl Account {
    fn judge(
        &mut self,
        at: Time,
        seen: &Seen,
        limits: Option<(Duration, Duration)>,
    ) -> Result<(), (NodeInvariant, String)> {
        let broken = |invariant, detail: &str| Err((invariant, detail.to_owned()));
        let event = match seen {
            Seen::Message(_) if self.is_up => return Ok(()),
            Seen::Message(_) => return broken(NodeInvariant::MessagesBetween, "it is down"),
            Seen::Event(event) => event,
        };
        match event {
            NodeEvent::Up { .. } if self.is_up => {
                return broken(NodeInvariant::UpThenDown, "it was up");
            }
            NodeEvent::Up { .. } => (self.is_up, self.is_hurried) = (true, false),
            NodeEvent::Link(_) if !self.is_up => {
                return broken(NodeInvariant::MessagesBetween, "it is down");
            }
            NodeEvent::Down(_) if !self.is_up => {
                return broken(NodeInvariant::UpThenDown, "it was not up");
            }
            NodeEvent::Down(down) => {
                self.is_up = false;
                self.not_before = Time::ZERO;
                if down.up >= down.limit.unwrap_or(STABLE_WITHOUT_LIMIT) {
                    self.ceiling = None;
                }
            }
            NodeEvent::Retry { wait } => {
                self.not_before = at + *wait;
                return self.judge_wait(*wait, limits);
            }
            NodeEvent::Dialling { .. } => {
                let not_before = std::mem::take(&mut self.not_before);
                // It counts for this dial, early or not.
                let is_hurried = std::mem::take(&mut self.is_hurried);
                if at < not_before && !is_hurried {
                    let detail = format!("not before {not_before:?}");
                    return Err((NodeInvariant::WaitsAreKept, detail));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn judge_wait(
        &mut self,
        wait: Duration,
        limits: Option<(Duration, Duration)>,
    ) -> Result<(), (NodeInvariant, String)> {
        let Some((min, max)) = limits else { return Ok(()) };
        let ceiling = self.ceiling.unwrap_or(min).clamp(min, max);
        self.ceiling = Some(ceiling.saturating_mul(2).min(max));
        if wait <= ceiling {
            return Ok(());
        }
        let detail = format!("a wait of {wait:?}, at most {ceiling:?}");
        Err((NodeInvariant::WaitsWithinBounds, detail))
    }
}
