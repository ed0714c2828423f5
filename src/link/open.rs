//! How a link of the native protocol begins: connect or accept, shake hands, start the threads.
//!
//! HELLO, timeouts and sizes come from [`LinkOptions`]; what arrives waits in an [`Inbox`], or goes
//! to a handler. A link over a foreign protocol is [started](Link::start_with) instead. Invariant:
//! nothing is left behind by a link that could not be opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::handle::{Link, LinkHandler};
use super::handshake::{self, HandshakeError};
use super::inbox::Inbox;
use super::options::LinkOptions;
use super::stream::Stream;
use super::threads;
use crate::protocol::Native;

/// Connects to the first address behind which a peer shakes hands, and starts a link.
///
/// Blocks up to [`LinkOptions::connect_timeout`] and [`LinkOptions::handshake_timeout`] for each
/// address, and in the system's resolver if the address is a name.
///
/// ```
/// use peerbeat::link::{self, LinkOptions, RecvError};
/// use std::net::TcpListener;
/// use std::thread;
/// use std::time::Duration;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let addr = listener.local_addr()?;
/// let hub = thread::spawn(move || {
///     let (stream, _) = listener.accept().expect("a connection");
///     let (link, inbox) = link::accept(stream, &LinkOptions::default()).expect("a greeting");
///     let message = inbox.recv(Some(Duration::from_secs(10))).expect("a message");
///     link.send(&message).expect("room");
///     link.close();
///     link.wait_down(Duration::from_secs(10));
/// });
///
/// let (link, inbox) = link::connect(addr, &LinkOptions::default())?;
/// link.send(b"tick")?;
/// assert_eq!(inbox.recv(Some(Duration::from_secs(10)))?, b"tick");
/// let Err(RecvError::Down(down)) = inbox.recv(None) else { panic!("the hub has closed") };
/// assert!(down.reason.is_orderly());
/// # hub.join().expect("the hub did not panic");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OpenError::Resolve`] if the name has no address; if none of the addresses gives a link, what
/// the last one came to: [`OpenError::Connect`] if it does not answer, [`OpenError::Handshake`] if
/// the other side refuses us or speaks another protocol; [`OpenError::Start`] if a thread cannot be
/// made.
#[doc(alias = "dial")]
pub fn connect(
    addr: impl ToSocketAddrs,
    options: &LinkOptions,
) -> Result<(Link, Inbox), OpenError> {
    let (stream, options) = dial_any(addr, options)?;
    start(stream, &options).map_err(OpenError::Start)
}

/// Connects as [`connect`] does, with a handler instead of an inbox: it gets every event as well.
///
/// ```
/// use peerbeat::link::{self, Link, LinkEvent, LinkOptions};
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let addr = listener.local_addr()?;
/// # let hub = std::thread::spawn(move || {
/// #     let (stream, _) = listener.accept().expect("a connection");
/// #     let (link, _inbox) = link::accept(stream, &LinkOptions::default()).expect("a greeting");
/// #     link.close();
/// #     link.wait_down(std::time::Duration::from_secs(10));
/// # });
///
/// let on_message = |_: &Link, message: &[u8]| println!("{} bytes", message.len());
/// let on_event = |_: &Link, event: &LinkEvent| println!("{event}");
/// let link = link::connect_with(addr, &LinkOptions::default(), (on_message, on_event))?;
/// # hub.join().expect("the hub did not panic");
/// # assert!(link.wait_down(std::time::Duration::from_secs(10)).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`OpenError::Resolve`], [`OpenError::Connect`], [`OpenError::Handshake`] and
/// [`OpenError::Start`], as for [`connect`].
pub fn connect_with(
    addr: impl ToSocketAddrs,
    options: &LinkOptions,
    handler: impl LinkHandler + Send + 'static,
) -> Result<Link, OpenError> {
    let (stream, options) = dial_any(addr, options)?;
    start_with(stream, &options, handler)
}

/// Waits for the HELLO on a connection that was accepted, answers it and starts a link.
///
/// Blocks up to [`LinkOptions::handshake_timeout`].
///
/// # Errors
/// [`OpenError::Handshake`] if the other side does not say HELLO in time, ends the stream or speaks
/// another protocol; [`OpenError::Start`] if a thread cannot be made or the stream refuses its
/// options.
pub fn accept<S: Stream>(stream: S, options: &LinkOptions) -> Result<(Link<S>, Inbox), OpenError> {
    open(stream, Role::Accept, options)
}

/// Shakes hands on a connected stream of any kind and starts a link on it. The stream is made
/// blocking.
///
/// Blocks up to [`LinkOptions::handshake_timeout`].
///
/// # Errors
/// [`OpenError::Handshake`] if the other side refuses us, does not say HELLO in time, ends the
/// stream or speaks another protocol; [`OpenError::Start`] if a thread cannot be made or the stream
/// refuses its options.
pub fn open<S: Stream>(
    stream: S,
    role: Role,
    options: &LinkOptions,
) -> Result<(Link<S>, Inbox), OpenError> {
    let options = greet(&stream, role, options).map_err(OpenError::Handshake)?;
    start(stream, &options).map_err(OpenError::Start)
}

/// Shakes hands as [`open`] does, with a handler instead of an inbox: it gets every event as well.
///
/// # Errors
/// [`OpenError::Handshake`] and [`OpenError::Start`].
pub fn open_with<S: Stream>(
    stream: S,
    role: Role,
    options: &LinkOptions,
    handler: impl LinkHandler<S> + Send + 'static,
) -> Result<Link<S>, OpenError> {
    let options = greet(&stream, role, options).map_err(OpenError::Handshake)?;
    start_with(stream, &options, handler)
}

/// Which side of the handshake we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We say HELLO first.
    Dial,
    /// We answer the other side's HELLO.
    Accept,
    /// There is no handshake: both sides know each other already.
    NoHandshake,
}

/// Why a link was not opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// The name has no address, or could not be resolved.
    Resolve(io::Error),
    /// No address answered in time.
    Connect {
        /// The last one that was tried.
        addr: SocketAddr,
        /// Why it could not be reached.
        error: io::Error,
    },
    /// The other side does not want us or does not speak our protocol.
    Handshake(HandshakeError),
    /// A thread could not be made, or the socket refused its options. The text names the system's
    /// limit that is in the way.
    Start(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(error) => write!(f, "cannot resolve the address: {error}"),
            Self::Connect { addr, error } => write!(f, "cannot connect to {addr}: {error}"),
            Self::Handshake(error) => write!(f, "the handshake failed: {error}"),
            Self::Start(error) => write!(f, "cannot start the link: {error}"),
        }
    }
}

impl Error for OpenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Resolve(error) | Self::Connect { error, .. } | Self::Start(error) => error,
            Self::Handshake(error) => error,
        })
    }
}

/// Shakes hands in a role, and returns the options of the link that follows.
fn greet<S: Stream>(
    stream: &S,
    role: Role,
    options: &LinkOptions,
) -> Result<LinkOptions, HandshakeError> {
    // Not every stream knows it, and it only saves time.
    let _unknown = stream.set_nodelay(options.tcp_nodelay);
    let deadline = Instant::now() + options.handshake_timeout;
    let greeting = match role {
        Role::Dial => handshake::dial(stream, &options.hello(), deadline)?,
        Role::Accept => handshake::accept(stream, &options.hello(), deadline)?,
        Role::NoHandshake => return Ok(options.clone()),
    };
    Ok(options.clone().greeted(greeting))
}

fn start_with<S: Stream>(
    stream: S,
    options: &LinkOptions,
    handler: impl LinkHandler<S> + Send + 'static,
) -> Result<Link<S>, OpenError> {
    let framing = Native::with_frame_max(options.frame_max);
    Link::start_with(stream, framing, options, handler).map_err(OpenError::Start)
}

fn start<S: Stream>(stream: S, options: &LinkOptions) -> io::Result<(Link<S>, Inbox)> {
    let framing = Native::with_frame_max(options.frame_max);
    let (link, reader) = Link::establish(stream, framing, options)?;
    let inbox = Inbox::new(options.inbox_bytes);
    let (mut filled, reader) = (inbox.clone(), Box::new(reader));
    let name = format!("pb-r:{}", options.name);
    threads::spawn(&name, options.stack_size, move || {
        if let (_, Err(_mistake_of_ours)) = reader.run_to_end(&mut filled) {
            // Wakes those who wait for messages.
            filled.close();
        }
    })?;
    Ok((link, inbox))
}

/// Connects to the first of the addresses behind which a peer shakes hands; returns the stream,
/// and what its link is made with.
///
/// # Errors
/// [`OpenError::Resolve`], and of the last address [`OpenError::Connect`] or
/// [`OpenError::Handshake`].
fn dial_any(
    addrs: impl ToSocketAddrs,
    options: &LinkOptions,
) -> Result<(TcpStream, LinkOptions), OpenError> {
    let mut last = None;
    for addr in addrs.to_socket_addrs().map_err(OpenError::Resolve)? {
        let dialled = dial(addr, options.connect_timeout);
        let dialled = dialled.map_err(|error| OpenError::Connect { addr, error });
        let greeted = dialled.and_then(|stream| {
            let options = greet(&stream, Role::Dial, options).map_err(OpenError::Handshake)?;
            Ok((stream, options))
        });
        match greeted {
            Ok(greeted) => return Ok(greeted),
            Err(error) => last = Some(error),
        }
    }
    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    Err(last.unwrap_or_else(|| OpenError::Resolve(no_address())))
}

/// Connects to one address. Every dial of the library is made here.
///
/// Without a listener, TCP may connect a port of the ephemeral range with itself, even by way of an
/// unspecified address (`0.0.0.0`): a connection whose two ends are one is refused.
///
/// # Errors
/// Why there is no connection.
pub(crate) fn dial(addr: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, timeout)?;
    if stream.local_addr()? == stream.peer_addr()? {
        let refused = io::ErrorKind::ConnectionRefused;
        return Err(io::Error::new(refused, "nothing listens there"));
    }
    Ok(stream)
}
