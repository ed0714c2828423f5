//! Why a connection did not accept a message.
//!
//! Each error states whether anything was accepted; nothing here decides.

use std::error::Error;
use std::fmt;

use super::down::DownReason;
use crate::protocol::ProtocolError;

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// There is no room now; nothing was taken.
    Full,
    /// There was no room for the whole send timeout; nothing was taken.
    TimedOut,
    /// No frame can carry it.
    Unfit(ProtocolError),
    /// The link is down.
    Down(DownReason),
    /// The peer is not connected, and was not since the node started or its last link ended.
    NotConnected,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the link's send queue is full"),
            Self::TimedOut => f.write_str("the link's send queue stayed full for the send timeout"),
            Self::Unfit(error) => write!(f, "the message cannot be sent: {error}"),
            Self::Down(reason) => write!(f, "the link is down: {reason}"),
            Self::NotConnected => f.write_str("the peer is not connected"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unfit(error) => Some(error),
            _ => None,
        }
    }
}
