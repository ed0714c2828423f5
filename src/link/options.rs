//! What a link is told before it starts, and what sending can refuse.
//!
//! Every limit has a default, and nothing here changes while a link lives. A refusal says whether
//! anything was taken.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::{DownReason, Faults};
use crate::liveness::Settings;
use crate::protocol::ProtocolError;

/// The settings of one link. All have defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Heartbeat-time, slack, mode and floor.
    pub liveness: Settings,
    /// Bytes that may wait to be sent. A message larger than this is accepted only while nothing
    /// waits, a heartbeat of ours included. Default 8 MiB.
    pub queue_bytes: usize,
    /// How long [`send`](super::Link::send) waits for room. Default 10 s.
    pub send_timeout: Duration,
    /// How long [`close`](super::Link::close) gives what was accepted to be written. Default 50 ms.
    pub close_timeout: Duration,
    /// The stack of each of the link's threads, in bytes; only what is touched takes memory. A
    /// handler that needs more asks for it here. Default 256 KiB.
    pub stack_size: usize,
    /// What the link's threads are called after: `pb-s:NAME` sends, `pb-r:NAME` reads. Default
    /// empty.
    pub name: String,
    /// Switches with which a test breaks the link on purpose. Default none.
    pub faults: Option<Faults>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            liveness: Settings::default(),
            queue_bytes: 8 << 20,
            send_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_millis(50),
            stack_size: 256 << 10,
            name: String::new(),
            faults: None,
        }
    }
}

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
