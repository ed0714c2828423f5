//! What a node reports to its handler: the life of its peers, with reasons and numbers.
//!
//! Values only; nothing here decides. The stable words are the ones that JSON, C and the README
//! use.

use std::fmt;
use std::time::Duration;

use super::endpoint::Endpoint;
use crate::link::{Down, Level, LinkEvent};
use crate::protocol::{ByeCode, Escaped};
use crate::text::{Measured, More};

/// Something that happened to a node or one of its peers. Displays as one line of text, in which
/// text from peers is escaped.
///
/// Events of one peer arrive in order, with its messages between them; a peer starts down without
/// an event, only what was [`Up`](Self::Up) goes [`Down`](Self::Down), and each exactly once.
///
/// ```
/// use peerbeat::link::LinkEvent;
/// use peerbeat::node::{NodeEvent, Peer};
///
/// fn on_event(peer: Option<&Peer>, event: &NodeEvent) {
///     match event {
///         NodeEvent::Up { addr, direction, .. } => println!("{direction} {addr}"),
///         NodeEvent::Down(down) if !down.reason.is_orderly() => eprintln!("lost: {down}"),
///         NodeEvent::Link(LinkEvent::QueueHigh { .. }) => println!("send less"),
///         // There may be more in later versions; each has words and a level.
///         other => println!("{}: {}: {other}", other.level(), peer.map_or("-", Peer::name)),
///     }
/// }
/// # let _ = on_event;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// The node listens; reported once for each address, before everything else, and for no peer.
    /// Like every event it comes on a thread of the node: `Node::start` may have returned.
    Listening {
        /// Where, with the real port.
        addr: Endpoint,
    },
    /// A dial begins.
    Dialling {
        /// Where to, as configured: `host:port`.
        addr: String,
    },
    /// The peer is connected and has identified itself.
    Up {
        /// The other end of the connection.
        addr: Endpoint,
        /// Who dialled.
        direction: Direction,
        /// The name in its HELLO.
        remote_name: String,
        /// The label in its HELLO.
        remote_label: String,
    },
    /// Something happened on the peer's living link: it is late, its heartbeat-time changed and so
    /// on. Never the link's end, which is [`Down`](Self::Down).
    Link(LinkEvent),
    /// The link to the peer ended.
    Down(Down),
    /// A connection to us was refused; reported for the peer if it is known, else for none.
    Refused {
        /// Where it came from.
        addr: Endpoint,
        /// The name in its HELLO; empty if none arrived. Shown escaped.
        name: String,
        /// Why.
        reason: RefusedReason,
        /// The details in words.
        detail: String,
        /// How many refusals of its source this represents: beyond ten in ten seconds at most one a
        /// second is reported, the latest.
        count: u64,
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
    /// Something that a person should look at while everything goes on: another name than the one
    /// dialled, descriptors or threads that ran out.
    Warning {
        /// What, in words, with advice.
        detail: String,
    },
    /// The node has stopped; the last event of all, and of no peer.
    Stopped,
}

impl NodeEvent {
    /// The stable word for what happened, the one that the journal uses.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Listening { .. } => "listening",
            Self::Dialling { .. } => "dialling",
            Self::Up { .. } => "up",
            Self::Link(event) => event.as_str(),
            Self::Down(_) => "down",
            Self::Refused { .. } => "refused",
            Self::DialFailed { .. } => "dial-failed",
            Self::Retry { .. } => "retry",
            Self::Warning { .. } => "warning",
            Self::Stopped => "stopped",
        }
    }

    /// The level at which a log should report it.
    pub fn level(&self) -> Level {
        match self {
            Self::Dialling { .. } | Self::Retry { .. } => Level::Debug,
            Self::Listening { .. } | Self::Up { .. } | Self::Stopped => Level::Info,
            Self::Link(event) => event.level(),
            Self::Down(down) if down.reason.is_orderly() => Level::Info,
            Self::Down(_) => Level::Error,
            Self::Refused { .. } | Self::DialFailed { .. } | Self::Warning { .. } => Level::Warn,
        }
    }
}

impl fmt::Display for NodeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { addr } => write!(f, "listening on {addr}"),
            Self::Dialling { addr } => write!(f, "dialling {}", Escaped(addr)),
            Self::Up { addr, direction, remote_name, remote_label } => {
                write!(f, "up: {direction} {addr}, remote name \"{}\"", Escaped(remote_name))?;
                match &**remote_label {
                    "" => Ok(()),
                    label => write!(f, ", label \"{}\"", Escaped(label)),
                }
            }
            Self::Link(event) => write!(f, "{event}"),
            Self::Down(down) => write!(f, "down: {down}"),
            Self::Refused { addr, name, reason, detail, count } => {
                let (name, detail) = (Escaped(name), Escaped(detail));
                write!(f, "refused: connection from {addr}, name \"{name}\": {reason}: {detail}")?;
                write!(f, "{}", More(*count))
            }
            Self::DialFailed { addr, reason, detail } => {
                write!(f, "dial failed: {}: {reason}: {}", Escaped(addr), Escaped(detail))
            }
            Self::Retry { wait } => write!(f, "retry: next dial in {}", Measured(*wait)),
            Self::Warning { detail } => write!(f, "warning: {}", Escaped(detail)),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// Who dialled. Displays as its [word](Self::as_str).
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

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a connection to us was refused. Displays as its [word](Self::as_str).
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
    /// Its HELLO has another name than the one that it has proven to the
    /// [transport](super::Transport) (BYE 1).
    Name,
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
            Self::Name => "name",
        }
    }

    /// The code of the BYE that reports it; `None` if no one is there to receive it.
    pub fn bye_code(self) -> Option<ByeCode> {
        Some(match self {
            Self::UnknownPeer | Self::Name => ByeCode::UNKNOWN_PEER,
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

impl fmt::Display for RefusedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a dial failed. Displays as its [word](Self::as_str).
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
    /// The other side has proven another name to the [transport](super::Transport) than the one in
    /// its HELLO, or than the peer's `remote-name`.
    Name,
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
            Self::Name => "name",
        }
    }
}

impl fmt::Display for DialFailedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn text_from_peers_is_escaped() {
        let addr = Endpoint::from(SocketAddr::from(([127, 0, 0, 1], 25000)));
        let up = NodeEvent::Up {
            addr: addr.clone(),
            direction: Direction::Accepted,
            remote_name: "a\n".to_owned(),
            remote_label: "\u{7f}".to_owned(),
        };
        let shown = "up: accepted 127.0.0.1:25000, remote name \"a\\n\", label \"\\u{7f}\"";
        assert_eq!(up.to_string(), shown);
        let refused = NodeEvent::Refused {
            addr,
            name: "\u{1b}".to_owned(),
            reason: RefusedReason::TooSlow,
            detail: "\u{7}".to_owned(),
            count: 3,
        };
        let shown = "refused: connection from 127.0.0.1:25000, name \"\\u{1b}\": too-slow: \\u{7} \
                     (and 2 more)";
        assert_eq!(refused.to_string(), shown);
    }

    #[test]
    fn a_link_that_was_closed_on_purpose_is_no_error() {
        let late = LinkEvent::Late { silence: Duration::from_secs(1), count: 1 };
        assert_eq!(NodeEvent::Link(late).level(), Level::Warn);
        assert_eq!(NodeEvent::Retry { wait: Duration::ZERO }.level(), Level::Debug);
        assert!(Level::Debug < Level::Error);
    }
}
