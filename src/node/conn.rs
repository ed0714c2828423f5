//! A connection whose handshake is under way: a socket, or a simulated connection.
//!
//! All that the rules do to it is to wake the threads that wait on it.

use std::fmt;
use std::net::Shutdown;
use std::sync::Arc;

use super::held::Greeted;
use super::transport::AnyStream;
use crate::link::{Socket, Stream, handshake};
use crate::protocol::ByeCode;

/// A handle on a connection that is not a link yet.
#[derive(Clone)]
pub(crate) enum Conn {
    /// One that was accepted, before its transport's handshake.
    Socket(Socket),
    /// One on which our HELLO is out.
    Stream(AnyStream),
    /// A simulated one.
    Virtual(Arc<dyn VirtualConn>),
}

/// A simulated connection.
pub(crate) trait VirtualConn: Send + Sync {
    /// Ends the reading side, as if the other side had ended its stream.
    fn interrupt(&self);
    /// Says goodbye without waiting for anything.
    fn refuse_at_once(&self, code: ByeCode, text: &str);
}

impl Conn {
    /// Says goodbye without waiting for anything.
    pub(super) fn refuse_at_once(&self, code: ByeCode, text: &str) {
        match self {
            Self::Socket(socket) => handshake::refuse_at_once(socket, code, text),
            Self::Stream(stream) => handshake::refuse_at_once(stream, code, text),
            Self::Virtual(conn) => conn.refuse_at_once(code, text),
        }
    }
}

impl Greeted for Conn {
    fn interrupt(&self) {
        match self {
            // Only reading ends: the thread that wakes may still have a BYE to write. Where the
            // socket is dead already, the thread is awake already.
            Self::Socket(socket) => drop(socket.shutdown(Shutdown::Read)),
            Self::Stream(stream) => drop(stream.shutdown(Shutdown::Read)),
            Self::Virtual(conn) => conn.interrupt(),
        }
    }
}

impl fmt::Debug for Conn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conn")
    }
}
