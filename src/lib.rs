//! peerbeat tells a program, within a guaranteed time, that the peer on the other end of a TCP
//! connection is gone, even when the operating system reports nothing: a pulled cable, a frozen
//! host, a firewall that forgot the flow.
//!
//! It uses the heartbeat rules of Caplin DataSource, in plain blocking threads, with no dependency
//! but std. Both ends meet at the smaller heartbeat-time, so configuring one side is enough; any
//! byte counts as life; and a peer is down after heartbeat-time + slack, the *limit* (elsewhere
//! called timeout): never a nanosecond earlier, and on an idle machine mostly within half a
//! millisecond after.
//!
//! ```
//! use peerbeat::config::{Config, ConfigOptions};
//! use peerbeat::node::{Node, NodeEvent, Peer};
//!
//! let text = "
//!     datasrc-name       hub
//!     datasrc-interface  127.0.0.1
//!     datasrc-port       auto
//!     add-peer
//!         remote-name     feed
//!         heartbeat-time  1
//!         heartbeat-slack-time 0.5
//!     end-peer";
//! let on_message = |peer: &Peer, payload: &[u8]| {
//!     println!("{} bytes from {}", payload.len(), peer.name());
//! };
//! let on_event = |peer: Option<&Peer>, event: &NodeEvent| {
//!     eprintln!("{}: {}: {event}", event.level(), peer.map_or("-", Peer::name));
//! };
//! let config = Config::parse(text, &ConfigOptions::default())?;
//! let node = Node::start(config, (on_message, on_event))?;
//! // A peer called `feed` may connect now. Without a byte from it for 1.5 s:
//! // error: feed: down: silent: no byte arrived within the limit; silent for 1.5001 s, ...
//! # drop(node);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to begin
//!
//! | you have | use |
//! |---|---|
//! | a configuration of named peers | [`node::Node`]: listens, dials, fails over, reconnects, reports |
//! | one connection | [`link::connect`] and [`link::accept`]; with a protocol of your own, [`link::Link`] and [`Framing`](protocol::Framing) |
//! | sockets and a loop of your own | [`connection::Connection`]: a whole link as a value that takes the time; [`liveness::Liveness`]: the rules alone |
//! | code to test | [`sim`], nodes and links on a virtual clock; [`cable::Cable`], a TCP connection that you can pull |
//! | a log of what happened | [`journal`]: events as text or as JSON |
//!
//! The [guide] takes an existing adapter from std to peerbeat and says which of these fits whom;
//! [moving] an estate that has DataSource's configuration files. [operating] lists the items of the
//! configuration and the commands; [testing] shows how to test your failover; [encrypting] puts
//! TLS on links; the [changelog] says what changed.
//!
//! # The modules
//!
//! ```text
//! bytes -> protocol -> liveness -> connection -> link -> node -> ffi, bin
//!          no clock    time is a   one link as   two     named    strangers
//!          no socket   value       a value       threads peers
//!
//! config feeds node        sim: connections and nodes on a virtual clock
//! ```
//!
//! A module imports only from its left. [`protocol`] holds the wire format whole, so that another
//! implementation can be written from it; [`liveness`] the rules; [`config`] the file format.
//!
//! # Which thread calls what
//!
//! | who calls | what | on which thread | may it block? |
//! |---|---|---|---|
//! | peerbeat | [`node::NodeHandler::on_message`] and the events of a link | the one that reads that link | yes: that peer then feels back-pressure, its silence does not count, heartbeats go on |
//! | peerbeat | [`node::NodeHandler::on_event`] without a link: a failed dial, a stranger | the dialling, accepting or supervising one | yes, but it holds up those dials, accepts or the end |
//! | peerbeat | [`link::LinkHandler`] | the one that runs the [`Reader`](link::Reader), one call at a time | yes, as above |
//! | peerbeat | [`node::Transport`] | the peer's dialling thread, or that of the accepted connection | yes, until the deadline it is given |
//! | peerbeat | [`protocol::Framing`], [`link::Layer`] | the one that reads or sends, with the link or the layer locked | no: they only transform bytes |
//! | you | `send`, `send_timeout`, `send_all`, `wait_room` | any; in a handler of that link they never wait | up to the timeout, for room in the queue |
//! | you | `try_send`, `publish`, `send_to_all`, [`link::Batch`], `close`, `shutdown`, `pause`, `resume`, `dial_now`, `reload`, `state`, `stats`, `explain`, setters | any, handlers included | no |
//! | you | `recv`, `borrow`, `wait_up`, `wait_down`, `drain`, `join`, dropping the last [`Node`](node::Node) | any; in a handler they do not wait, but for an inbox | up to the timeout; `join` until all threads are gone |
//! | you | [`link::connect`], [`link::accept`], [`link::open`] | any | up to the timeouts in the options, and in the resolver |
//! | you | all of [`connection`], [`liveness`], [`protocol`] and [`sim`] | the one that owns the value | no |
//!
//! A panic in a handler ends that link as `local` and nothing else.
//!
//! # What holds everywhere
//!
//! - Nothing that a peer or a file says can make the library panic, hang or allocate without bound.
//! - Every end has one [reason](link::DownReason) and the numbers that show it; what was accepted
//!   and not sent is counted.
//! - No lock is held while your code is called, and your code may call everything, close included.
//! - No thread outlives its link. Nothing process-wide is touched: no signal, no hook.
//! - After `fork` a child may drop its copies, which then neither join the parent's threads nor
//!   shut its connections; it must not send.

#![cfg_attr(not(feature = "capi"), forbid(unsafe_code))]

#[macro_use]
mod setters;

pub mod cable;
pub mod config;
pub mod connection;
#[cfg(feature = "capi")]
#[doc(hidden)]
#[allow(unsafe_code)]
pub mod ffi;
mod guarded;
pub mod journal;
pub mod link;
pub mod liveness;
pub mod node;
pub mod protocol;
mod recover;
pub mod sim;
pub mod text;

#[doc = include_str!("guide.md")]
pub mod guide {}

#[doc = include_str!("changelog.md")]
pub mod changelog {}

#[doc = include_str!("moving.md")]
pub mod moving {}

#[doc = include_str!("operating.md")]
pub mod operating {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("encrypting.md")]
pub mod encrypting {}

#[doc = include_str!("publishing.md")]
pub mod publishing {}

/// The README's examples are compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
