//! Named peers: listen, dial, shake hands, fail over, reconnect, report.
//!
//! A [`Node`] runs the links of a [`Config`]: it dials the peers that have addresses, accepts those
//! that do not, and keeps at it. What happens is reported to one [`NodeHandler`], with the [`Peer`]
//! it is about; a peer's messages and the ups and downs around them come in order.
//!
//! One thread for each dialled peer, one for each accepted connection, one that accepts and one
//! that ends them all; each link has its sender besides. This module never decides liveness: the
//! link does.
//!
//! ```
//! use peerbeat::config::{Config, ConfigOptions};
//! use peerbeat::node::{Node, NodeEvent, NodeHandler, Peer};
//!
//! /// Sends everything back.
//! struct Echo;
//!
//! impl NodeHandler for Echo {
//!     fn on_message(&self, peer: &Peer, payload: &[u8]) {
//!         if let Err(error) = peer.try_send(payload) {
//!             eprintln!("{}: {error}", peer.name());
//!         }
//!     }
//!
//!     fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
//!         if let (Some(peer), NodeEvent::Down(down)) = (peer, event) {
//!             eprintln!("{} is down: {down}", peer.name());
//!         }
//!     }
//! }
//!
//! let text = "
//!     datasrc-name       echo
//!     datasrc-interface  127.0.0.1
//!     datasrc-port       auto
//!     add-peer
//!         remote-name     prices
//!         heartbeat-time  5
//!     end-peer";
//! let node = Node::start(Config::parse(text, &ConfigOptions::default())?, Echo)?;
//! println!("listening on {}", node.local_addrs()[0]);
//! node.shutdown();
//! node.join();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # While it runs
//!
//! [`Node::reload`] puts another configuration in force: what changed is applied, what did not is
//! not touched. [`Peer::set_heartbeat_time`] and [`Peer::set_slack`] change one value of one peer,
//! on its living link and on the next ones. [`Peer::stats`] and [`Node::stats`] are the numbers,
//! and [`Peer::explain`] says what to make of them:
//!
//! ```no_run
//! # fn tell(node: &peerbeat::node::Node) -> Option<()> {
//! println!("{}", node.peer("prices")?.explain()?);
//! // heartbeat-time 5s: the peer asked for it
//! //   configured 15s, the peer asked for 5s
//! // limit 7s = 5s + slack 2s
//! // the peer was late by 1.0ms (p50), 31.7ms (p99.9), 31.7ms (max) of 412
//! // we were late by 128.0µs (p50), 2.1ms (p99.9), 2.1ms (max) of 398
//! // longest silence 5.0s; smallest slack that would have done 81.7ms
//! // advice: the slack could be 500.0ms: no link would have been cut so far, and a peer that
//! // is gone be noticed after 5.5s
//! # Some(()) }
//! ```
//!
//! # Who is accepted
//!
//! A HELLO belongs to the first peer of the configuration that it matches and that is not
//! connected, else to the first that it matches. That one's link is then replaced, because the peer
//! should know best whether it still has one; with `datasrc-reject-new-peers` it stays, and the
//! newcomer is refused.
//!
//! # When both sides dial each other
//!
//! The link dialled by the side with the smaller name (bytes compared, then the id, then the label)
//! stays. That side decides alone: it refuses the other's dial while its own HELLO is out and for 2
//! s after; the other side takes what comes and gives its own dial up. With nothing to tell them
//! apart, each refuses while its own HELLO is out, so a collision costs both a dial but never a
//! link, and the jitter of the waits parts them.

mod accept;
mod admission;
mod backoff;
mod clock;
mod conn;
mod contest;
mod dial;
pub(crate) mod driven;
mod endpoint;
mod error;
mod event;
mod guarded_stream;
mod held;
mod listen;
mod numbers;
mod options;
mod ownership;
mod peer_link;
mod places;
mod plan;
mod probe;
mod publish;
mod reload;
mod reports;
mod resolve;
mod runtime;
mod session;
mod shared;
mod supervisor;
mod transport;
mod turns;
mod waiting;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Config, PeerConfig};
use crate::link::{SendError, SystemLimits};
use clock::Clock;
pub use endpoint::Endpoint;
pub use error::{ReloadError, StartError};
pub use event::{DialFailedReason, Direction, NodeEvent, RefusedReason};
use held::Held;
#[cfg(feature = "capi")]
pub(crate) use listen::listening_sockets;
pub use numbers::{DownCounts, NodeStats, PeerStats, Totals};
pub use options::NodeOptions;
use peer_link::PeerLink;
pub use publish::Published;
pub use reload::{PeerOutcome, Reload};
use runtime::PeerRuntime;
use shared::{Phase, Shared};
pub use transport::{Connected, Dial, Transport};
pub use waiting::PeerState;

/// What a node calls.
///
/// Messages and the events of a link come on the thread that reads it, one at a time and in order.
/// What concerns no link, such as a dial that failed or a stranger who was refused, comes on other
/// threads of the node and may come at the same time. No lock is held during a call: all of the
/// node may be used from inside, [`Node::shutdown`] included.
///
/// While a call lasts, that link is not read: the silence does not count against its peer, which
/// feels the back-pressure. A panic ends the link with
/// [`DownReason::Local`](crate::link::DownReason::Local); the node goes on. The handler is dropped
/// right after [`NodeEvent::Stopped`].
///
/// ```
/// use peerbeat::node::{NodeEvent, NodeHandler, Peer};
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// /// Called from many threads at once, so what changes is atomic or locked.
/// #[derive(Default)]
/// struct Feed {
///     ticks: AtomicU64,
/// }
///
/// impl NodeHandler for Feed {
///     fn on_message(&self, _peer: &Peer, _payload: &[u8]) {
///         self.ticks.fetch_add(1, Ordering::Relaxed);
///     }
///
///     fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
///         eprintln!("{}: {}: {event}", event.level(), peer.map_or("-", Peer::name));
///     }
/// }
/// # let _ = Feed::default();
/// ```
pub trait NodeHandler: Send + Sync + 'static {
    /// A message from the peer arrived; the bytes are valid during the call.
    fn on_message(&self, peer: &Peer, payload: &[u8]);
    /// Something happened; `peer` is `None` if the event is about no peer of the configuration.
    fn on_event(&self, _peer: Option<&Peer>, _event: &NodeEvent) {}
}

/// A closure is a handler that takes messages and lets events pass.
impl<M: Fn(&Peer, &[u8]) + Send + Sync + 'static> NodeHandler for M {
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        self(peer, payload);
    }
}

/// Two closures are a handler: one takes messages, the other events.
impl<M, E> NodeHandler for (M, E)
where
    M: Fn(&Peer, &[u8]) + Send + Sync + 'static,
    E: Fn(Option<&Peer>, &NodeEvent) + Send + Sync + 'static,
{
    fn on_message(&self, peer: &Peer, payload: &[u8]) {
        (self.0)(peer, payload);
    }

    fn on_event(&self, peer: Option<&Peer>, event: &NodeEvent) {
        (self.1)(peer, event);
    }
}

/// A handle on a running node; clones are handles on the same one.
///
/// When the last handle that came from [`Node::start`] is dropped, the node is shut down and waited
/// for; on one of its own threads, in a handler, it is only shut down. Handles from [`Peer::node`]
/// do not keep it running. A forked child may drop its copies, and nothing happens to the parent's
/// node.
///
/// ```
/// use peerbeat::config::{Config, PeerBuilder, Port};
/// use peerbeat::node::{Node, Peer};
/// use std::time::Duration;
///
/// let loopback = || Config::builder().interface("127.0.0.1");
/// let hub = loopback().name("hub").port(Port::Auto).peer(PeerBuilder::new("feed")).build()?;
/// let on_message = |peer: &Peer, payload: &[u8]| {
///     println!("{} bytes from {}", payload.len(), peer.name());
/// };
/// let hub = Node::start(hub, on_message)?;
///
/// let port = hub.local_addrs()[0].port();
/// let feed = loopback().name("feed").peer(PeerBuilder::new("hub").addr("127.0.0.1", port));
/// let feed = Node::start(feed.build()?, |_: &Peer, _: &[u8]| {})?;
/// assert!(feed.wait_up(Some(Duration::from_secs(10))));
/// feed.peer("hub").expect("it is configured").send(b"EURUSD 1.0871")?;
/// assert!(feed.drain(Duration::from_secs(10)), "the hub has read all");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "the node stops when its last handle is dropped"]
pub struct Node {
    shared: Arc<Shared>,
    /// Stops the node with the last clone; handles given to handlers have none.
    _owner: Option<Arc<Owner>>,
}

/// A handle on one configured peer of a node; it does not keep the node running. It stays valid
/// when a [reload](Node::reload) changes the peer; of one that was taken out it says for good that
/// it is not connected, even if another reload brings one of that name.
///
/// ```no_run
/// # use peerbeat::node::Node;
/// # use std::time::Duration;
/// # fn ask(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
/// let prices = node.peer("prices").expect("it is configured");
/// if prices.wait_up(Some(Duration::from_secs(10))) {
///     prices.send(b"subscribe")?;
/// }
/// let state = prices.state();
/// match (&state.link, &state.last_down) {
///     (Some(link), _) => println!("silent for {:?}", link.silence),
///     (None, Some(down)) => println!("not connected: {down}"),
///     (None, None) => println!("never connected; dials {:?}", state.dialling),
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Peer {
    shared: Arc<Shared>,
    runtime: Arc<PeerRuntime>,
}

impl Node {
    /// Starts the links of a configuration. Returns once it listens; peers connect in the
    /// background.
    ///
    /// # Errors
    /// [`StartError::Listen`] if an address cannot be listened on, [`StartError::Thread`] if there
    /// is no thread left, [`StartError::Address`] for a Unix socket on a system that cannot dial
    /// one. Nothing of the node runs then.
    pub fn start(config: Config, handler: impl NodeHandler) -> Result<Self, StartError> {
        Self::start_with(config, handler, NodeOptions::default())
    }

    /// Starts like [`start`](Self::start), with options.
    ///
    /// # Errors
    /// [`StartError::Listen`], [`StartError::Thread`] and [`StartError::Address`], as from
    /// [`start`](Self::start).
    pub fn start_with(
        config: Config,
        handler: impl NodeHandler,
        options: NodeOptions,
    ) -> Result<Self, StartError> {
        if let Some((peer, addr)) = dial::not_dialled(&config) {
            return Err(StartError::Address { peer, addr });
        }
        let limits = SystemLimits::read();
        let listeners = listen::listen(&config, &limits)?;
        let endpoints = listeners.iter().map(|listener| listener.addr.clone()).collect();
        let shared =
            Shared::new(config, options, limits, Arc::new(handler), endpoints, Clock::start());
        let shared = Arc::new(shared);
        supervisor::start(&shared, listeners).map_err(|error| {
            let advice = error.to_string();
            StartError::Thread { error, advice }
        })?;
        let owner = Arc::new(Owner { shared: Arc::clone(&shared) });
        Ok(Self { shared, _owner: Some(owner) })
    }

    /// The peers, in the order of the configuration.
    pub fn peers(&self) -> Vec<Peer> {
        self.shared.peers().iter().map(|runtime| Peer::new(&self.shared, runtime)).collect()
    }

    /// The peer with this [name](Peer::name).
    pub fn peer(&self, name: &str) -> Option<Peer> {
        let peers = self.shared.peers();
        let runtime = peers.iter().find(|runtime| runtime.name() == name)?;
        Some(Peer::new(&self.shared, runtime))
    }

    /// The configuration it runs: that of the last [`reload`](Self::reload), else of its start.
    pub fn config(&self) -> Arc<Config> {
        self.shared.config()
    }

    /// The TCP addresses it listens on, with the real port.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.local_addrs
    }

    /// All that it listens on, Unix sockets included.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.shared.endpoints
    }

    /// Begins the stop: every link is closed in order, no peer is dialled or accepted any more. A
    /// close ends once the peer has read all and ended its stream; see
    /// [`NodeOptions::close_timeout`] and [`close_max`](NodeOptions::close_max) for how long that
    /// may take.
    ///
    /// Returns at once. May be called again, and from any thread, handlers included.
    pub fn shutdown(&self) {
        if !self.shared.is_forked() {
            self.shared.advance(Phase::Stopping);
        }
    }

    /// Waits until the node has ended, once [`shutdown`](Self::shutdown): every
    /// event is delivered, [`NodeEvent::Stopped`] last, and every thread is gone. Only a thread
    /// that is blocked in the system's `connect` or resolver is left to itself; it ends when that
    /// returns, and calls nothing.
    ///
    /// Returns `false` at once from a handler, which the node itself waits for, and in a forked
    /// child, in which none of its threads exist.
    pub fn join(&self) -> bool {
        if self.shared.is_own_thread() || self.shared.is_forked() {
            return false;
        }
        self.shared.join();
        true
    }
}

impl Peer {
    fn new(shared: &Arc<Shared>, runtime: &Arc<PeerRuntime>) -> Self {
        Self { shared: Arc::clone(shared), runtime: Arc::clone(runtime) }
    }

    /// Its name in the configuration, different for each peer.
    pub fn name(&self) -> &str {
        self.runtime.name()
    }

    /// Its configuration; for a peer that was removed, the last one.
    pub fn config(&self) -> Arc<PeerConfig> {
        self.runtime.config()
    }

    /// Whether it is connected: from [`NodeEvent::Up`] until its link dies, which
    /// [`NodeEvent::Down`] tells.
    pub fn is_up(&self) -> bool {
        self.link().is_ok_and(|link| link.is_up())
    }

    /// The heartbeat-time in force for sending, while it is connected and has one.
    pub fn heartbeat_time(&self) -> Option<Duration> {
        self.link().ok()?.heartbeat_time()
    }

    /// Sends a message; waits for room up to [`NodeOptions::send_timeout`].
    ///
    /// # Errors
    /// [`SendError::NotConnected`] if there is no link, [`SendError::Down`] if it is ending;
    /// [`SendError::TimedOut`] after the wait; [`SendError::Unfit`] for a message that no frame can
    /// carry; [`SendError::Full`] at once in a handler of this peer, which must not wait. A message
    /// that was accepted may still be lost with the link, and is then counted in
    /// [`NodeEvent::Down`].
    pub fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.link()?.send(payload)
    }

    /// Sends a message; waits for room up to `timeout`.
    ///
    /// # Errors
    /// [`SendError::NotConnected`] if there is no link, [`SendError::Down`] if it is ending;
    /// [`SendError::TimedOut`] after the wait; [`SendError::Unfit`] for a message that no frame can
    /// carry; [`SendError::Full`] at once in a handler of this peer, which must not wait.
    pub fn send_timeout(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        self.link()?.send_timeout(payload, timeout)
    }

    /// Sends a message if there is room now.
    ///
    /// # Errors
    /// [`SendError::Full`] if there is no room now, [`SendError::NotConnected`] if there is no
    /// link, [`SendError::Down`] if it is ending; [`SendError::Unfit`] for a message that no frame
    /// can carry.
    pub fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        self.link()?.try_send(payload)
    }

    /// Waits for room as [`Link::wait_room`](crate::link::Link::wait_room) does.
    ///
    /// # Errors
    /// [`SendError::NotConnected`] if there is no link, [`SendError::Down`] if it ends;
    /// [`SendError::TimedOut`] after the wait; [`SendError::Full`] at once in a handler of this
    /// peer.
    pub fn wait_room(&self, length: usize, timeout: Duration) -> Result<(), SendError> {
        self.link()?.wait_room(length, timeout)
    }

    /// Closes the link in order, if there is one; a dialled peer is dialled again after its
    /// wait.
    pub fn close(&self) {
        if let Ok(link) = self.link() {
            link.close();
        }
    }

    /// Dials now rather than after what is left of the wait between dials, which begins again
    /// if this dial fails as well. Returns whether a dial begins or is under way; it does not if
    /// the peer is connected or has no address.
    pub fn dial_now(&self) -> bool {
        self.runtime.turns.dial_now()
    }

    /// Closes the link as [`close`](Self::close) does, hands on what arrives meanwhile, and waits
    /// up to `timeout` for the end. Returns whether the peer has ended its side, and so has read
    /// all that was accepted; `false` if there is no link.
    ///
    /// In a handler of this peer it does not wait, because nothing is read meanwhile.
    pub fn drain(&self, timeout: Duration) -> bool {
        self.link().is_ok_and(|link| link.drain(timeout))
    }

    /// The node it belongs to; the handle does not keep it running.
    pub fn node(&self) -> Node {
        Node { shared: Arc::clone(&self.shared), _owner: None }
    }

    pub(crate) fn link(&self) -> Result<PeerLink, SendError> {
        self.runtime.turns.link().ok_or(SendError::NotConnected)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("local_addrs", &self.local_addrs()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("name", &self.name()).finish_non_exhaustive()
    }
}

/// Ends the node when the last of the user's handles goes.
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let node = Node { shared: Arc::clone(&self.shared), _owner: None };
        node.shutdown();
        node.join();
    }
}
