//! peerbeat tells a program, within a promised time, that the peer at the other end of a TCP
//! connection is gone, also when the operating system does not say so: a pulled cable, a frozen
//! host, a firewall that forgot the flow.
//!
//! It exchanges heartbeats as Caplin DataSource applications do, in plain blocking threads, with no
//! dependency but std. Both ends meet at the smaller heartbeat-time, configuring one side is
//! enough, any byte counts as life, and a peer is down after heartbeat-time + slack: never a
//! nanosecond earlier, and on an idle machine within a millisecond after it.
//!
//! # Where to begin
//!
//! | you have | use |
//! |---|---|
//! | a configuration of named peers | [`node::Node`]: listens, dials, fails over, reconnects, reports |
//! | one connected stream | [`link::Link`], with the [native](protocol::Native) or your own [`Framing`](protocol::Framing) |
//! | sockets and a loop of your own | [`liveness::Liveness`]: the rules alone, as a value that is told the time |
//!
//! The [guide] takes an existing adapter from std to peerbeat and says which of these fits whom.
//!
//! ```
//! use peerbeat::link::{Link, Options};
//! use peerbeat::protocol::Native;
//! use std::net::{TcpListener, TcpStream};
//! use std::time::Duration;
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let ours = TcpStream::connect(listener.local_addr()?)?;
//! let (theirs, _) = listener.accept()?;
//!
//! let print = |_: &Link, message: &[u8]| println!("{} bytes", message.len());
//! let there = Link::start_with(theirs, Native::default(), &Options::default(), print)?;
//! let here = Link::start_with(ours, Native::default(), &Options::default(), print)?;
//! here.send(b"tick")?;
//!
//! here.close();
//! let down = there.wait_down(Duration::from_secs(10)).expect("the peer has said goodbye");
//! assert_eq!(down.reason.as_str(), "closed");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The rooms
//!
//! ```text
//! bytes -> protocol -> liveness -> connection -> link -> node -> ffi, bin
//!          no clock    time is a   one link as   two     named    strangers
//!          no socket   value       a value       threads peers
//!
//! config feeds node        sim: connections on a virtual clock
//! ```
//!
//! A room imports only from its left. [`protocol`] holds the wire format whole, so that another
//! implementation can be written from it; [`liveness`] the rules; [`config`] the file format.
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
pub mod journal;
pub mod link;
pub mod liveness;
pub mod node;
pub mod protocol;
pub mod sim;
pub mod text;

#[doc = include_str!("guide.md")]
pub mod guide {}

/// The README's examples are compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
