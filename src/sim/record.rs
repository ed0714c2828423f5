//! What a run leaves behind: every thing that a side saw, with its exact virtual time.
//!
//! The words are the link's. Most of it is what a program sees too; the rest, for which
//! [`SimEvent::is_raw`] is true, happened in kernels and processes, and is what the invariants are
//! judged by. It owns nothing but the record.

use std::fmt;
use std::time::Duration;

use crate::connection::{Down, DownReason, LinkEvent, Step};
use crate::liveness::Time;
use crate::protocol::{ByeCode, ProtocolError};

/// One of the hosts of a [`Net`](super::Net): a machine with one program on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub(super) usize);

/// One connection; never used twice in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(super) u64);

/// Something that one side saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// When.
    pub at: Time,
    /// Who.
    pub host: Host,
    /// On which connection; `None` = it concerns the whole host.
    pub link: Option<LinkId>,
    /// What.
    pub event: SimEvent,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link.map_or(String::new(), |link| format!(" link {}", link.0));
        write!(f, "{:>14.6} host {}{link}: ", self.at.as_nanos() as f64 / 1e9, self.host.0)?;
        match &self.event {
            SimEvent::Message(bytes) => write!(f, "Message of {} bytes", bytes.len()),
            SimEvent::Sent(bytes) => write!(f, "Sent {} bytes", bytes.len()),
            event => write!(f, "{event:?}"),
        }
    }
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SimEvent {
    /// The link is established for this side.
    Up {
        /// With whom.
        peer: Host,
    },
    /// A message arrived.
    Message(Vec<u8>),
    /// One of our messages was accepted: written or queued.
    Sent(Vec<u8>),
    /// The kernel took the last byte of one of our heartbeats.
    HeartbeatSent {
        /// The value it carries.
        value: Duration,
    },
    /// A heartbeat from the peer was read.
    HeartbeatReceived {
        /// The value it carries.
        value: Duration,
    },
    /// Something happened on the living link, as a link reports it.
    Event(LinkEvent),
    /// The link has ended.
    Down {
        /// With whom it was.
        peer: Host,
        /// The account of its end, as a link gives it.
        down: Down,
    },
    /// A connection that we dialled did not become a link.
    DialFailed {
        /// The peer that was dialled.
        peer: Host,
        /// Why.
        reason: HandshakeFailure,
    },
    /// A connection that we accepted did not become a link.
    Refused {
        /// Why.
        reason: HandshakeFailure,
    },
    /// A timer that the program set went off.
    Timer(u64),
    /// The program has started again.
    Started,
    /// The process was stopped, as by SIGSTOP. Raw.
    Stopped,
    /// The process goes on. Raw.
    Resumed,
    /// The process is dead; its connections are gone. Raw.
    Died,
    /// A connection begins for this side: dialled, or accepted. Raw.
    Opened {
        /// With whom.
        peer: Host,
    },
    /// One of our frames waits to be written. Raw.
    Queued {
        /// Its bytes.
        bytes: usize,
        /// For a heartbeat, the value it carries.
        heartbeat: Option<Duration>,
    },
    /// Our kernel took bytes. Raw.
    Wrote {
        /// How many.
        bytes: usize,
    },
    /// Bytes reached our kernel. Raw.
    Arrived {
        /// How many.
        bytes: usize,
    },
    /// Bytes were read from our kernel. Raw.
    Read {
        /// How many.
        bytes: usize,
    },
    /// The end of the peer's stream was read, or its reset. Raw.
    EndRead,
    /// The end has begun, and is reported once a goodbye is through, or the handler back. Raw.
    Ending {
        /// The first reason, which stays.
        reason: DownReason,
    },
    /// A close begins whose limits are not those of the link: a drain, or a goodbye. Raw.
    CloseWithin {
        /// How long the kernel may take no byte.
        timeout: Duration,
        /// How long it may take in all.
        max: Duration,
    },
    /// The peer's HELLO said what heartbeat-time it is configured with; zero = none. Raw.
    HelloReceived {
        /// The value.
        value: Duration,
    },
    /// The program set a heartbeat-time on the living link. Raw.
    ValueSet {
        /// The value.
        value: Duration,
    },
    /// The program set a slack on the living link. Raw.
    SlackSet {
        /// The slack.
        slack: Duration,
    },
    /// One of our writes failed: nothing is sent any more. Raw.
    WriteFailed,
    /// The program holds the reader: nothing is read. Raw.
    Held,
    /// The program lets the reader go on. Raw.
    Released,
    /// A byte on its way to us was changed. Raw.
    Corrupted,
}

impl SimEvent {
    /// A step of a connection with `peer`.
    pub(super) fn of(step: Step, peer: Host) -> Self {
        match step {
            Step::Up => Self::Up { peer },
            Step::Queued { bytes, heartbeat } => Self::Queued { bytes, heartbeat },
            Step::Wrote { bytes } => Self::Wrote { bytes },
            Step::HeartbeatSent { value } => Self::HeartbeatSent { value },
            Step::WriteFailed => Self::WriteFailed,
            Step::HelloReceived { value } => Self::HelloReceived { value },
            Step::HeartbeatReceived { value } => Self::HeartbeatReceived { value },
            Step::Read { bytes } => Self::Read { bytes },
            Step::EndRead => Self::EndRead,
            Step::Held => Self::Held,
            Step::Released => Self::Released,
            Step::ValueSet { value } => Self::ValueSet { value },
            Step::SlackSet { slack } => Self::SlackSet { slack },
            Step::CloseWithin { timeout, max } => Self::CloseWithin { timeout, max },
            Step::Ending { reason } => Self::Ending { reason },
            Step::Event(event) => Self::Event(event),
        }
    }

    /// Whether it happened in a kernel or to a process, unseen by the program.
    pub fn is_raw(&self) -> bool {
        matches!(
            self,
            Self::Stopped
                | Self::Resumed
                | Self::Died
                | Self::Opened { .. }
                | Self::Queued { .. }
                | Self::Wrote { .. }
                | Self::Arrived { .. }
                | Self::Read { .. }
                | Self::EndRead
                | Self::WriteFailed
                | Self::Ending { .. }
                | Self::CloseWithin { .. }
                | Self::HelloReceived { .. }
                | Self::ValueSet { .. }
                | Self::SlackSet { .. }
                | Self::Held
                | Self::Released
                | Self::Corrupted
        )
    }
}

/// Why a connection did not become a link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// It took too long.
    TooSlow,
    /// The peer said goodbye.
    Closed {
        /// Its code.
        code: ByeCode,
        /// Its words.
        text: String,
    },
    /// The stream ended.
    Eof,
    /// The connection was reset, or no program listens.
    Io,
    /// The peer's bytes break the protocol.
    Protocol(ProtocolError),
}
