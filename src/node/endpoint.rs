//! Where a connection comes from or goes to, as events show it.
//!
//! Values only.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// One end of a connection, or where a node listens. Displays as `127.0.0.1:25000`,
/// `[::1]:25000`, `unix:/run/hub.sock` or, of a name that the [transport](super::Transport) itself
/// resolves, `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Endpoint {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// A Unix socket. A program that connects to one has no address of its own: a connection that
    /// was accepted shows the path that it came in by.
    Unix(Arc<Path>),
    /// A host and port that the transport resolved.
    Named(Arc<str>),
}

impl Endpoint {
    /// The address of TCP.
    pub fn as_tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) => Some(*addr),
            Self::Unix(_) | Self::Named(_) => None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "{addr}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Named(name) => f.write_str(name),
        }
    }
}
