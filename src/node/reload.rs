//! Another configuration for a running node.
//!
//! All that can fail is done first: then the configuration is put in its place, and what changed is
//! applied. Peers are compared by name and value; the place of a value in the files does not count.
//!
//! Invariant: a reload that fails has changed nothing, and one that succeeds touches no link of a
//! peer that is still there, but for a smaller heartbeat-time and the slack, which need no
//! reconnection.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::Node;
use super::clock::Clock;
use super::dial;
use super::error::ReloadError;
use super::runtime::PeerRuntime;
use super::shared::{Dialling, Peers, Shared, join_all};
use super::supervisor::spawn_dialler;
use crate::config::{Config, PeerConfig, Port};
use crate::recover::Recover;

/// The result of a reload. Displays as one line per peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reload {
    /// The peers by name: those of the new configuration in its order, then those that are gone.
    pub peers: Vec<(String, PeerOutcome)>,
    /// The items of the node itself that changed; they count for connections from now on.
    pub node: Vec<&'static str>,
}

/// What became of a peer. Items have the names of the configuration; `addr` means `port` too.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerOutcome {
    /// Nothing about it changed; it was not touched.
    Unchanged,
    /// Something changed; its link stays.
    Changed {
        /// Items that are in force on its living link.
        applied: Vec<&'static str>,
        /// Items that wait for its next connection, or its next dial.
        next_connection: Vec<&'static str>,
    },
    /// It is gone: its link is closed in order, and it is neither dialled nor accepted any more.
    Closed,
    /// It is new: it is dialled or accepted from now on.
    Started,
}

impl Node {
    /// Puts another configuration in force, without a reconnection that is not needed.
    ///
    /// Peers are the same if their [names](super::Peer::name) are. Of one that is still there a
    /// smaller heartbeat-time and any slack act on its living link as
    /// [`Peer::set_heartbeat_time`](super::Peer::set_heartbeat_time) and
    /// [`Peer::set_slack`](super::Peer::set_slack) do, all else from its next connection or dial
    /// on; what did not change is not touched, and keeps what the program has set. Returns when all
    /// is begun: links that are closed report their end later. May be called from handlers.
    ///
    /// # Errors
    /// [`ReloadError::Listen`] if `datasrc-port` or `datasrc-interface` differ, which take a new
    /// node; [`ReloadError::Thread`] if there is no thread left; [`ReloadError::Address`] for a
    /// Unix socket on a system that cannot dial one; [`ReloadError::NotRunning`] if the node stops
    /// or has stopped. Nothing is changed then.
    pub fn reload(&self, config: Config) -> Result<Reload, ReloadError> {
        let shared = &self.shared;
        let _one_at_a_time = shared.reloading.lock().recover();
        if shared.is_forked() || shared.is_stopping() {
            return Err(ReloadError::NotRunning);
        }
        let before = shared.config();
        refuse_other_sockets(&before, &config)?;
        if let Some((peer, addr)) = dial::not_dialled(&config) {
            return Err(ReloadError::Address { peer, addr });
        }
        let old = shared.peers();
        let plan = Plan::new(&old, &shared.retired(), &config, &shared.clock);
        let threads = plan
            .spawn(shared)
            .map_err(|error| ReloadError::Thread { advice: error.to_string(), error })?;
        let node = node_items(&before, &config);
        if let Err(threads) = shared.publish(config, plan.peers(), &plan.gone, threads) {
            plan.give_up(shared, threads);
            return Err(ReloadError::NotRunning);
        }
        // At once: what waits is not touched.
        shared.queue_budget.set_bytes(shared.config().node_queue_bytes().value);
        Ok(Reload { peers: plan.apply(), node })
    }
}

/// What is to be done.
struct Plan {
    /// The peers of the new configuration; `false` = new.
    peers: Vec<(Arc<PeerRuntime>, bool, PeerConfig)>,
    gone: Vec<Arc<PeerRuntime>>,
}

impl Plan {
    fn new(old: &Peers, retired: &[Arc<PeerRuntime>], config: &Config, clock: &Clock) -> Self {
        let known = |name: &str| old.iter().find(|runtime| runtime.name() == name).cloned();
        let peers: Vec<_> = config
            .peers()
            .iter()
            .map(|peer| match known(peer.name()) {
                Some(runtime) => (runtime, true, peer.clone()),
                None => {
                    let runtime = Arc::new(PeerRuntime::new(peer, clock));
                    runtime.turns.set_dialled(false);
                    // The newest of the name; it waits for those before it in its turn.
                    let before = retired.iter().rev().find(|other| other.name() == peer.name());
                    if let Some(before) = before {
                        before.turns.precede(&runtime.turns);
                    }
                    (runtime, false, peer.clone())
                }
            })
            .collect();
        let stays = |runtime: &&Arc<PeerRuntime>| {
            peers.iter().any(|(other, ..)| Arc::ptr_eq(other, runtime))
        };
        let gone = old.iter().filter(|runtime| !stays(runtime)).cloned().collect();
        Self { peers, gone }
    }

    fn peers(&self) -> Peers {
        self.peers.iter().map(|(runtime, ..)| Arc::clone(runtime)).collect()
    }

    /// Makes the threads that will be needed; they wait until their peer may be dialled.
    fn spawn(&self, shared: &Arc<Shared>) -> io::Result<Vec<Dialling>> {
        let mut threads = Vec::new();
        for (runtime, _, peer) in &self.peers {
            // The driver of a node without threads finds its peers by itself.
            if peer.addresses().is_empty() || runtime.has_dialler() || shared.clock.is_virtual() {
                continue;
            }
            match spawn_dialler(shared, runtime) {
                Ok(thread) => threads.push((Arc::clone(runtime), thread)),
                Err(error) => {
                    self.give_up(shared, threads);
                    return Err(error);
                }
            }
        }
        Ok(threads)
    }

    /// Ends the threads of peers that will not be. Those of peers that are there have nothing to do
    /// and wait. On a thread of the node's own nothing is waited for: they end by themselves.
    fn give_up(&self, shared: &Shared, threads: Vec<Dialling>) {
        for (runtime, known, _) in &self.peers {
            if !known {
                runtime.turns.stop();
            }
        }
        let is_new = |runtime: &Arc<PeerRuntime>| {
            self.peers.iter().any(|(other, known, _)| !known && Arc::ptr_eq(other, runtime))
        };
        let own = shared.is_own_thread();
        let (ended, kept): (Vec<_>, Vec<_>) =
            threads.into_iter().partition(|(runtime, _)| !own && is_new(runtime));
        join_all(ended.into_iter().map(|(_, thread)| thread));
        shared.add_diallers(kept);
    }

    fn apply(self) -> Vec<(String, PeerOutcome)> {
        for link in self.gone.iter().filter_map(|runtime| runtime.turns.stop()) {
            link.close();
        }
        let mut outcomes = Vec::new();
        for (runtime, known, peer) in self.peers {
            let dials = !peer.addresses().is_empty();
            let outcome = match known {
                true => change(&runtime, peer),
                false => PeerOutcome::Started,
            };
            runtime.turns.set_dialled(dials);
            outcomes.push((runtime.name().to_owned(), outcome));
        }
        let closed = |runtime: Arc<PeerRuntime>| (runtime.name().to_owned(), PeerOutcome::Closed);
        outcomes.extend(self.gone.into_iter().map(closed));
        outcomes
    }
}

/// Gives a peer that is still there its new values.
fn change(runtime: &PeerRuntime, peer: PeerConfig) -> PeerOutcome {
    let changed = peer_items(&runtime.config(), &peer);
    // Even if nothing changed: its place in the files may have.
    let (heartbeat_time, slack) = runtime.set_config(peer);
    if changed.is_empty() {
        return PeerOutcome::Unchanged;
    }
    let is_applied = |item: &&str| match *item {
        "heartbeat-time" => heartbeat_time,
        "heartbeat-slack-time" => slack,
        _ => false,
    };
    let (applied, next_connection) = changed.into_iter().partition(is_applied);
    PeerOutcome::Changed { applied, next_connection }
}

fn peer_items(old: &PeerConfig, new: &PeerConfig) -> Vec<&'static str> {
    differing(&[
        ("heartbeat-time", old.heartbeat_time().value != new.heartbeat_time().value),
        ("heartbeat-slack-time", old.slack().value != new.slack().value),
        ("heartbeat-mode", old.mode().value != new.mode().value),
        ("heartbeat-time-min", old.heartbeat_time_min().value != new.heartbeat_time_min().value),
        ("addr", old.addresses() != new.addresses()),
        ("remote-name", old.remote_name() != new.remote_name()),
        ("remote-label", old.remote_label() != new.remote_label()),
        ("remote-id", old.remote_id() != new.remote_id()),
        ("local-name", old.local_name() != new.local_name()),
        ("local-label", old.local_label() != new.local_label()),
        ("local-id", old.local_id() != new.local_id()),
        ("connect-timeout", old.connect_timeout() != new.connect_timeout()),
        ("send-queue-bytes", old.send_queue_bytes() != new.send_queue_bytes()),
        ("reconnect-time-min", old.reconnect_time_min() != new.reconnect_time_min()),
        ("reconnect-time-max", old.reconnect_time_max() != new.reconnect_time_max()),
    ])
}

fn node_items(old: &Config, new: &Config) -> Vec<&'static str> {
    differing(&[
        ("datasrc-reject-new-peers", old.reject_new_peers() != new.reject_new_peers()),
        ("datasrc-tcp-nodelay-off", old.tcp_nodelay() != new.tcp_nodelay()),
        ("peer-accept-wait-time", old.accept_wait() != new.accept_wait()),
    ])
}

fn differing(items: &[(&'static str, bool)]) -> Vec<&'static str> {
    items.iter().filter(|(_, differs)| *differs).map(|(item, _)| *item).collect()
}

/// A listening socket cannot be moved without a moment in which no peer can connect.
fn refuse_other_sockets(old: &Config, new: &Config) -> Result<(), ReloadError> {
    let port = |config: &Config| match config.port() {
        None => "0".to_owned(),
        Some(Port::Auto) => "auto".to_owned(),
        Some(Port::Fixed(port)) => port.to_string(),
    };
    let interfaces = |config: &Config| match config.interfaces() {
        [] => "all".to_owned(),
        some => some.join(" "),
    };
    let items = [
        ("datasrc-port", port(old), port(new)),
        ("datasrc-interface", interfaces(old), interfaces(new)),
    ];
    match items.into_iter().find(|(_, old, new)| old != new) {
        Some((item, running, asked)) => Err(ReloadError::Listen { item, running, asked }),
        None => Ok(()),
    }
}

impl fmt::Display for PeerOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::Changed { applied, next_connection } if next_connection.is_empty() => {
                write!(f, "applied {}", applied.join(", "))
            }
            Self::Changed { applied, next_connection } if applied.is_empty() => {
                write!(f, "from the next connection on {}", next_connection.join(", "))
            }
            Self::Changed { applied, next_connection } => write!(
                f,
                "applied {}; from the next connection on {}",
                applied.join(", "),
                next_connection.join(", ")
            ),
            Self::Closed => f.write_str("closed"),
            Self::Started => f.write_str("started"),
        }
    }
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.node.is_empty() {
            writeln!(f, "for new connections: {}", self.node.join(", "))?;
        }
        for (name, outcome) in &self.peers {
            writeln!(f, "{}: {outcome}", name.escape_debug())?;
        }
        Ok(())
    }
}
