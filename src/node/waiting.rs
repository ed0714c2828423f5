//! What a program can wait for, query and pause on a peer.
//!
//! Nothing here decides about a connection: ownership does, and the link's own rules.

use std::time::Duration;

use super::endpoint::Endpoint;
use super::shared::Shared;
use super::{Direction, Node, Peer};
use crate::link::{Down, LinkState};
use crate::liveness::Time;

/// How a peer is doing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerState {
    /// Its link: silence, heartbeat-time in force and so on; `None` while it is not connected.
    pub link: Option<LinkState>,
    /// The other end of its connection.
    pub addr: Option<Endpoint>,
    /// Who dialled.
    pub direction: Option<Direction>,
    /// For how long it has been connected, or not; `None` if it never was.
    pub since: Option<Duration>,
    /// The address that is being dialled, as configured: `host:port`.
    pub dialling: Option<String>,
    /// How its last link ended.
    pub last_down: Option<Down>,
    /// Whether the program has [paused](Peer::pause) it.
    pub is_paused: bool,
}

impl PeerState {
    /// Whether it is connected.
    pub fn is_up(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.reason.is_none())
    }
}

impl Peer {
    /// Waits up to `timeout` until it is connected, `None` = without limit, and returns whether it
    /// is. Returns early if the node stops or a reload takes the peer out; in a handler of the node
    /// it does not wait.
    #[doc(alias = "wait_connected")]
    pub fn wait_up(&self, timeout: Option<Duration>) -> bool {
        let timeout = if self.shared.is_own_thread() { Some(Duration::ZERO) } else { timeout };
        self.runtime.turns.wait_up(deadline(&self.shared, timeout))
    }

    /// How it is doing now: its link with the silence, what it is connected to, or how its last
    /// link ended.
    pub fn state(&self) -> PeerState {
        let link = self.runtime.turns.link();
        let shown = self.runtime.shown();
        let (addr, direction) = shown.connection.unzip();
        PeerState {
            link: link.and_then(|link| link.state()),
            addr,
            direction,
            since: shown.since.map(|since| self.shared.clock.now().since(since)),
            dialling: shown.dialling,
            last_down: shown.last_down,
            is_paused: self.runtime.turns.is_paused(),
        }
    }

    /// Closes the link in order and keeps the peer from being connected until it is
    /// [resumed](Self::resume): it is not dialled, and a connection of its own is refused as
    /// `shutting-down`. A dial under way is given up once the system lets go of it. Returns at
    /// once.
    pub fn pause(&self) {
        if let Some(link) = self.runtime.turns.pause() {
            link.close();
        }
    }

    /// Ends a [pause](Self::pause). A peer that has addresses is dialled at once.
    pub fn resume(&self) {
        self.runtime.turns.resume();
    }
}

impl Node {
    /// Waits up to `timeout` until every peer of the configuration is connected, `None` = without
    /// limit, and returns whether all of them are. Returns early if the node stops; in a handler of
    /// the node it does not wait.
    pub fn wait_up(&self, timeout: Option<Duration>) -> bool {
        let deadline = deadline(&self.shared, timeout);
        let left = || timeout.map(|_| self.shared.clock.until(deadline));
        let peers = self.peers();
        // One that went down again while another was waited for is waited for again.
        loop {
            if !peers.iter().all(|peer| peer.wait_up(left())) {
                return false;
            }
            if peers.iter().all(Peer::is_up) {
                return true;
            }
        }
    }
}

impl Node {
    /// Stops in order, and loses nothing that can be delivered: [drains](Peer::drain) the links of
    /// all peers side by side, connects with no peer meanwhile, and then begins the stop as
    /// [`shutdown`](Self::shutdown) does. Waits up to `timeout` in all, and returns whether every
    /// peer that was connected has ended its side, and so has read all that was accepted.
    ///
    /// In a handler it does not wait, because nothing of that peer is read meanwhile; the links are
    /// given the time anyway. In a forked child it does nothing.
    pub fn drain(&self, timeout: Duration) -> bool {
        if self.shared.is_forked() {
            return false;
        }
        let until = deadline(&self.shared, Some(timeout));
        let left = || self.shared.clock.until(until);
        let waits = !self.shared.is_own_thread();
        let links: Vec<_> =
            self.shared.peers().iter().filter_map(|peer| peer.turns.pause()).collect();
        for link in &links {
            link.begin_drain(left());
        }
        let mut all = true;
        for link in &links {
            all &= if waits { link.wait_drained(left()) } else { link.saw_end() };
        }
        self.shutdown();
        all
    }
}

/// When a wait that begins now is over; never without a limit.
fn deadline(shared: &Shared, timeout: Option<Duration>) -> Time {
    timeout.map_or(Time::NEVER, |timeout| shared.clock.now() + timeout)
}
