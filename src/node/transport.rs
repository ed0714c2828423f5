//! How a node's connections are made: plain sockets, or whatever the program puts in their place.
//!
//! A [`Transport`] runs on the thread of the peer that is dialled, or of the connection that was
//! accepted, and may block there until the deadline. Its panics and errors, and those of its
//! streams, are a dial that failed, a connection that was refused or a link that ended, and nothing
//! else.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::guarded_stream::GuardedStream;
use crate::config::Address;
use crate::guarded::guarded;
use crate::link::{self, Link, Socket, Stream};

/// A stream of any kind, as the node's links have it.
pub(super) type AnyStream = Arc<dyn Stream>;
/// A link of a node.
pub(crate) type NodeLink = Link<AnyStream>;

/// Makes the connections of a node. Both methods have a default, which is a plain socket; a
/// transport for TLS wraps what they return.
///
/// A node calls it from many threads at once. The deadline is that of the whole connection, HELLO
/// included: a transport that waits must keep it, which [`Until`](crate::link::Until) does for
/// libraries that take `std`'s traits. When the node stops, or a connection that was accepted must
/// make room for another, reading from an accepted socket is ended, and with it such a wait; a
/// `connect` that waits goes on until its deadline, and the node does not wait for it.
///
/// ```
/// use peerbeat::link::Socket;
/// use peerbeat::node::{Connected, Dial, Transport};
/// use std::io;
///
/// /// Plain connections with a larger kernel buffer, and only from this machine.
/// struct Careful;
///
/// impl Transport for Careful {
///     fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
///         let socket = dial.connect()?;
///         // Here is the place for socket options, a proxy's handshake, TLS.
///         Ok(Connected::new(socket))
///     }
///
///     fn accept(&self, socket: Socket, _deadline: std::time::Instant) -> io::Result<Connected> {
///         match socket.as_tcp().map(|tcp| tcp.peer_addr()).transpose()? {
///             Some(addr) if !addr.ip().is_loopback() => Err(io::Error::other("not from here")),
///             _ => Ok(Connected::new(socket)),
///         }
///     }
/// }
/// ```
pub trait Transport: Send + Sync + 'static {
    /// Connects to one address of a peer.
    ///
    /// # Errors
    /// The dial has failed, and the kind chooses the [reason](super::DialFailedReason):
    /// [`io::ErrorKind::TimedOut`] is `timeout`, [`io::ErrorKind::UnexpectedEof`] is `eof`,
    /// [`io::ErrorKind::InvalidData`] is `protocol`, [`io::ErrorKind::BrokenPipe`],
    /// [`io::ErrorKind::ConnectionAborted`], [`io::ErrorKind::ConnectionReset`] and an exhausted
    /// limit of descriptors are `io`, all others are `connect`.
    fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        Ok(Connected::new(dial.connect()?))
    }

    /// Takes over a connection that was accepted.
    ///
    /// # Errors
    /// The connection is refused, and the kind chooses the [reason](super::RefusedReason):
    /// [`io::ErrorKind::TimedOut`] is `too-slow`, [`io::ErrorKind::UnexpectedEof`],
    /// [`io::ErrorKind::BrokenPipe`], [`io::ErrorKind::ConnectionAborted`] and
    /// [`io::ErrorKind::ConnectionReset`] are `gone`, all others are `protocol`.
    fn accept(&self, socket: Socket, deadline: Instant) -> io::Result<Connected> {
        let _ = deadline;
        Ok(Connected::new(socket))
    }

    /// Whether it resolves names itself, as a proxy may: then a dial has no
    /// [`addr`](Dial::addr), and one attempt is made for each configured address.
    fn resolves(&self) -> bool {
        false
    }
}

/// A dial of one address.
#[non_exhaustive]
pub struct Dial<'a> {
    /// The peer's name in the configuration.
    pub peer: &'a str,
    /// The name that the peer is to have, if the configuration says one (`remote-name`).
    pub remote_name: Option<&'a str>,
    /// The address as configured: a TLS client verifies its host name.
    pub address: &'a Address,
    /// What it was resolved to; `None` of a Unix socket, or if the transport
    /// [resolves](Transport::resolves) names.
    pub addr: Option<SocketAddr>,
    /// When the dial, HELLO included, has failed.
    pub deadline: Instant,
    pub(super) unix: &'a dyn Fn(&Path) -> io::Result<Socket>,
}

impl Dial<'_> {
    /// Makes the plain connection that a node without a transport makes.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`] at the deadline; [`io::ErrorKind::ConnectionRefused`] if nothing
    /// listens there; [`io::ErrorKind::Unsupported`] if the transport
    /// [resolves](Transport::resolves) names, so that there is no address to connect to; others as
    /// the system gives them.
    pub fn connect(&self) -> io::Result<Socket> {
        match (self.address, self.addr) {
            (Address::Unix(path), _) => (self.unix)(path),
            (Address::Tcp { .. }, Some(addr)) => {
                let left = self.deadline.saturating_duration_since(Instant::now());
                Ok(link::dial(addr, left.max(Duration::from_millis(1)))?.into())
            }
            (Address::Tcp { .. }, None) => {
                let unresolved = "the transport resolves names, so it must connect itself";
                Err(io::Error::new(io::ErrorKind::Unsupported, unresolved))
            }
        }
    }
}

impl fmt::Debug for Dial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, address, addr, .. } = self;
        f.debug_struct("Dial")
            .field("peer", peer)
            .field("address", address)
            .field("addr", addr)
            .finish_non_exhaustive()
    }
}

/// A connection that a [`Transport`] has made, and what it knows of the other side.
pub struct Connected {
    pub(super) stream: AnyStream,
    pub(super) verified_name: Option<String>,
}

impl Connected {
    /// A connection over `stream`, of whose other side nothing is proven.
    pub fn new(stream: impl Stream) -> Self {
        Self { stream: Arc::new(GuardedStream::new(stream)), verified_name: None }
    }

    fn plain(socket: Socket) -> Self {
        Self { stream: Arc::new(socket), verified_name: None }
    }

    /// States that the other side has proven this name, such as by a certificate: a HELLO with
    /// another name is refused, and so is a peer whose `remote-name` is another.
    #[must_use]
    pub fn verified_name(mut self, name: impl Into<String>) -> Self {
        self.verified_name = Some(name.into());
        self
    }
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("verified_name", &self.verified_name)
            .finish_non_exhaustive()
    }
}

/// The transport of a node's options.
#[derive(Clone, Default)]
pub(super) struct TransportOption(Option<Arc<dyn Transport>>);

impl TransportOption {
    pub(super) fn new(transport: impl Transport) -> Self {
        Self(Some(Arc::new(transport)))
    }

    /// Whether connections are plain sockets.
    pub(super) fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn resolves(&self) -> io::Result<bool> {
        match &self.0 {
            None => Ok(false),
            Some(transport) => call(|| Ok(transport.resolves())),
        }
    }

    pub(super) fn connect(&self, dial: &Dial<'_>) -> io::Result<Connected> {
        match &self.0 {
            None => Ok(Connected::plain(dial.connect()?)),
            Some(transport) => call(|| transport.connect(dial)),
        }
    }

    pub(super) fn accept(&self, socket: Socket, deadline: Instant) -> io::Result<Connected> {
        match &self.0 {
            None => Ok(Connected::plain(socket)),
            Some(transport) => call(|| transport.accept(socket, deadline)),
        }
    }
}

/// Calls user code.
fn call<T>(transport: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    guarded(transport).unwrap_or_else(|| Err(io::Error::other("the transport panicked")))
}

impl fmt::Debug for TransportOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_plain() { "plain" } else { "the program's" })
    }
}

impl PartialEq for TransportOption {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for TransportOption {}
