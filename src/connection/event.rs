//! What a connection reports: changes while it lives, why it takes no message, and the one account
//! of its end.
//!
//! Values only; nothing here decides. Every end has one reason, the first one, and the numbers that
//! show it (lesson 54).

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::protocol::{ByeCode, ProtocolError};

/// Something that happened on a living link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The heartbeat-time in force changed; both directions follow it.
    HeartbeatTime {
        /// What was in force before; `None` = nothing.
        from: Option<Duration>,
        /// What is in force now.
        to: Duration,
        /// Who caused it.
        cause: Cause,
    },
    /// Silence has passed the heartbeat-time in force and half the slack. Once a silence.
    Late {
        /// How long the peer has been silent.
        silence: Duration,
    },
    /// The silence that was late has ended.
    Recovered {
        /// How long it was.
        silence: Duration,
    },
    /// Our own process was stopped or starved: a wait ended much later than asked. The peer got one
    /// more slack.
    Stalled {
        /// How much later.
        late: Duration,
    },
    /// The peer asked for a heartbeat-time under our floor and got the floor. Once a connection.
    Clamped {
        /// What it asked for.
        asked: Duration,
        /// What it got.
        floor: Duration,
    },
    /// The peer sends more than ten heartbeats a floor interval. Once a connection; it is not
    /// killed for it.
    Flooding,
}

/// Who changed a heartbeat-time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The peer sent a smaller value (H2).
    Peer,
    /// The program set a smaller value.
    Local,
}

/// The end of a link: why, and the numbers that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Why.
    pub reason: DownReason,
    /// How long the peer had been silent.
    pub silence: Duration,
    /// The limit of silence; `None` = there was none.
    pub limit: Option<Duration>,
    /// The heartbeat-time in force; `None` = there was none.
    pub heartbeat_time: Option<Duration>,
    /// The slack.
    pub slack: Duration,
    /// How long ago the kernel had last accepted a byte of ours.
    pub last_sent_age: Duration,
    /// Messages that were accepted and not handed to the kernel whole. Those that were being
    /// written when a foreign stream or framing panicked are not among them: the reason says that.
    pub unsent_frames: u64,
    /// Their bytes on the wire that were not handed to the kernel.
    pub unsent_bytes: u64,
    /// How long the link had been up.
    pub up: Duration,
}

/// Why a link ended. Of several, the first one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// No byte arrived for the limit.
    Silent,
    /// The peer stopped reading: the kernel accepted no byte of a pending write for the limit.
    WriteStalled {
        /// For how long it accepted none.
        pending: Duration,
    },
    /// The peer said goodbye.
    Closed {
        /// Its code.
        code: ByeCode,
        /// Its words; shown escaped.
        text: String,
    },
    /// The stream ended without a goodbye: the peer's process died, or somebody cut the connection.
    Eof,
    /// A reset or another error of the socket.
    Io {
        /// Its kind.
        kind: io::ErrorKind,
        /// The system's words.
        message: String,
    },
    /// The peer's bytes break the protocol.
    Protocol(ProtocolError),
    /// The peer connected again; the new link took over.
    Replaced,
    /// We closed it.
    Local {
        /// What for; empty where the program just closed it.
        detail: String,
    },
}

impl DownReason {
    /// The reason in one stable word, as JSON and the README have it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::WriteStalled { .. } => "write-stalled",
            Self::Closed { .. } => "closed",
            Self::Eof => "eof",
            Self::Io { .. } => "io",
            Self::Protocol(_) => "protocol",
            Self::Replaced => "replaced",
            Self::Local { .. } => "local",
        }
    }

    pub(crate) fn io(error: &io::Error) -> Self {
        Self::Io { kind: error.kind(), message: error.to_string() }
    }
}

impl Error for DownReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

/// The reason in words. Text of the peer's is escaped.
impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("no byte arrived for the limit"),
            Self::WriteStalled { pending } => {
                write!(f, "the peer stopped reading: nothing accepted for {pending:.1?}")
            }
            Self::Closed { code, text } if text.is_empty() => write!(f, "{code}"),
            Self::Closed { code, text } => write!(f, "{code}: {}", text.escape_debug()),
            Self::Eof => f.write_str("the stream ended without a goodbye"),
            Self::Io { message, .. } => f.write_str(message),
            Self::Protocol(error) => write!(f, "{error}"),
            Self::Replaced => f.write_str("the peer connected again; the new link took over"),
            Self::Local { detail } if detail.is_empty() => f.write_str("closed by this side"),
            Self::Local { detail } => f.write_str(detail),
        }
    }
}

impl fmt::Display for Down {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason.as_str(), self.reason)
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
