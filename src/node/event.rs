//! What a node tells its handler: the life of its peers, with reasons and numbers.
//!
//! Values only; nothing here decides. The stable words are the ones that JSON, C and the README
//! use.

use std::net::SocketAddr;
use std::time::Duration;

use crate::link::{self, Cause, Down};
use crate::protocol::ByeCode;

/// Something that happened to a node or one of its peers.
///
/// Events of one peer arrive in order, with its messages between them; a peer starts down without
/// an event, only what was [`Up`](Self::Up) goes [`Down`](Self::Down), and each exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The node listens; said once an address, before all else, and of no peer.
    Listening {
        /// Where, with the real port.
        addr: SocketAddr,
    },
    /// A dial begins.
    Dialling {
        /// Where to, as configured: `host:port`.
        addr: String,
    },
    /// The peer is connected and has said who it is.
    Up {
        /// The other end of the connection.
        addr: SocketAddr,
        /// Who dialled.
        direction: Direction,
        /// The name in its HELLO.
        remote_name: String,
        /// The label in its HELLO.
        remote_label: String,
    },
    /// The heartbeat-time in force changed.
    HeartbeatTime {
        /// What was in force before; `None` = nothing.
        from: Option<Duration>,
        /// What is in force now.
        to: Duration,
        /// Who caused it.
        cause: Cause,
    },
    /// Silence has passed the heartbeat-time in force and half the slack.
    Late {
        /// How long the peer has been silent.
        silence: Duration,
    },
    /// The silence that was late has ended.
    Recovered {
        /// How long it was.
        silence: Duration,
    },
    /// Our own process was stopped or starved; the peer got one more slack.
    Stalled {
        /// How much later than asked a wait ended.
        late: Duration,
    },
    /// The peer asked for a heartbeat-time under our floor and got the floor.
    Clamped {
        /// What it asked for.
        asked: Duration,
        /// What it got.
        floor: Duration,
    },
    /// The link to the peer ended.
    Down(Down),
    /// A connection to us was refused; said of the peer where it is known, else of none.
    Refused {
        /// Where it came from.
        addr: SocketAddr,
        /// The name in its HELLO; empty where none arrived. Shown escaped.
        name: String,
        /// Why.
        reason: RefusedReason,
        /// The details in words.
        detail: String,
    },
    /// A dial failed, handshake included.
    DialFailed {
        /// Where to, as configured: `host:port`.
        addr: String,
        /// Why.
        reason: DialFailedReason,
        /// The details in words.
        detail: String,
    },
    /// All addresses were tried, or the link was lost: the next dial begins after this wait.
    Retry {
        /// How long it is.
        wait: Duration,
    },
    /// Something that a person should look at while all goes on: another name than the one dialled,
    /// a peer that floods us with heartbeats, descriptors or threads that ran out.
    Warning {
        /// What, in words, with advice.
        detail: String,
    },
    /// The node has stopped; the last event of all, and of no peer.
    Stopped,
}

/// Who dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// We dialled the peer.
    Dialled,
    /// The peer dialled us.
    Accepted,
}

impl Direction {
    /// The direction in one stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dialled => "dialled",
            Self::Accepted => "accepted",
        }
    }
}

/// Why a connection to us was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedReason {
    /// No peer of the configuration matches its HELLO (BYE 1).
    UnknownPeer,
    /// The peer is connected already (BYE 2).
    AlreadyConnected,
    /// It speaks another version (BYE 3).
    Version,
    /// Its bytes break the protocol (BYE 4).
    Protocol,
    /// Its HELLO was not there in time (BYE 5).
    TooSlow,
    /// We are shutting down (BYE 6).
    ShuttingDown,
    /// Too many handshakes are under way, or we are out of threads or descriptors (BYE 7).
    TooMany,
    /// It ended the connection, or the socket failed, before its HELLO was there.
    Gone,
}

impl RefusedReason {
    /// The reason in one stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPeer => "unknown-peer",
            Self::AlreadyConnected => "already-connected",
            Self::Version => "version",
            Self::Protocol => "protocol",
            Self::TooSlow => "too-slow",
            Self::ShuttingDown => "shutting-down",
            Self::TooMany => "too-many",
            Self::Gone => "gone",
        }
    }

    /// The code of the BYE that tells it; `None` where nobody is there to be told.
    pub fn bye_code(self) -> Option<ByeCode> {
        Some(match self {
            Self::UnknownPeer => ByeCode::UNKNOWN_PEER,
            Self::AlreadyConnected => ByeCode::ALREADY_CONNECTED,
            Self::Version => ByeCode::VERSION,
            Self::Protocol => ByeCode::PROTOCOL,
            Self::TooSlow => ByeCode::TOO_SLOW,
            Self::ShuttingDown => ByeCode::SHUTTING_DOWN,
            Self::TooMany => ByeCode::TOO_MANY,
            Self::Gone => return None,
        })
    }
}

/// Why a dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DialFailedReason {
    /// The host's name has no address.
    Resolve,
    /// The connection was not made: refused, unreachable.
    Connect,
    /// Connection or handshake took longer than the connect-timeout.
    Timeout,
    /// The other side said goodbye instead of welcome.
    Refused,
    /// The other side's bytes break the protocol.
    Protocol,
    /// The other side closed the connection before its HELLO was there.
    Eof,
    /// A reset or another error of the socket, or no thread or descriptor left.
    Io,
}

impl DialFailedReason {
    /// The reason in one stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Protocol => "protocol",
            Self::Eof => "eof",
            Self::Io => "io",
        }
    }
}

impl From<link::Event> for Event {
    fn from(event: link::Event) -> Self {
        match event {
            link::Event::HeartbeatTime { from, to, cause } => {
                Self::HeartbeatTime { from, to, cause }
            }
            link::Event::Late { silence } => Self::Late { silence },
            link::Event::Recovered { silence } => Self::Recovered { silence },
            link::Event::Stalled { late } => Self::Stalled { late },
            link::Event::Clamped { asked, floor } => Self::Clamped { asked, floor },
            link::Event::Flooding => Self::Warning {
                detail:
                    "the peer sends more than ten heartbeats a floor interval; it is kept, but \
                         something is wrong with its timer"
                        .to_owned(),
            },
        }
    }
}
