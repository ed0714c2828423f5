//! A connected socket of the system, TCP or Unix, behind one type.
//!
//! Clones are handles on the same socket, so that a thread that must end a handshake can shut it
//! while another thread is at work on it. What a [`Stream`] needs passes straight through.

use std::io;
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::stream::Stream;

/// A connected TCP or Unix socket; clones are handles on the same one.
#[derive(Clone, Debug)]
pub struct Socket {
    kind: Arc<Kind>,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Socket {
    /// The TCP socket, to set options on it.
    pub fn as_tcp(&self) -> Option<&TcpStream> {
        match &*self.kind {
            Kind::Tcp(socket) => Some(socket),
            #[cfg(unix)]
            Kind::Unix(_) => None,
        }
    }

    /// The Unix socket.
    #[cfg(unix)]
    pub fn as_unix(&self) -> Option<&UnixStream> {
        match &*self.kind {
            Kind::Tcp(_) => None,
            Kind::Unix(socket) => Some(socket),
        }
    }

    fn stream(&self) -> &dyn Stream {
        match &*self.kind {
            Kind::Tcp(socket) => socket,
            #[cfg(unix)]
            Kind::Unix(socket) => socket,
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Self {
        Self { kind: Arc::new(Kind::Tcp(socket)) }
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Self {
        Self { kind: Arc::new(Kind::Unix(socket)) }
    }
}

impl Stream for Socket {
    fn can_peek(&self) -> bool {
        self.stream().can_peek()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream().read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn write_at_once(&self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write_at_once(bytes)
    }

    fn set_blocking(&self) -> io::Result<()> {
        self.stream().set_blocking()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream().set_nodelay(nodelay)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream().set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream().set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream().shutdown(how)
    }

    fn wait_readable(&self) -> io::Result<()> {
        self.stream().wait_readable()
    }

    fn is_readable(&self) -> io::Result<bool> {
        self.stream().is_readable()
    }
}
