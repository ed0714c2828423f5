//! What a run leaves behind: every thing that a side saw, with its exact virtual time.
//!
//! The words are the link's. Most of it is what a program sees too; the rest, which
//! [`What::is_raw`] tells apart, happened in kernels and processes, and is what the laws are judged
//! by. It owns nothing but the record.

use std::fmt;
use std::time::Duration;

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
pub struct Seen {
    /// When.
    pub at: Time,
    /// Who.
    pub host: Host,
    /// On which connection; `None` = it concerns the whole host.
    pub link: Option<LinkId>,
    /// What.
    pub what: What,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = self.link.map_or(String::new(), |link| format!(" link {}", link.0));
        write!(f, "{:>14.6} host {}{link}: ", self.at.as_nanos() as f64 / 1e9, self.host.0)?;
        match &self.what {
            What::Message(bytes) => write!(f, "Message of {} bytes", bytes.len()),
            What::Sent(bytes) => write!(f, "Sent {} bytes", bytes.len()),
            what => write!(f, "{what:?}"),
        }
    }
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// The link is established for this side.
    Up {
        /// With whom.
        peer: Host,
    },
    /// A message arrived.
    Message(Vec<u8>),
    /// A message of ours was accepted: written or queued.
    Sent(Vec<u8>),
    /// The kernel took the last byte of a heartbeat of ours.
    HeartbeatSent {
        /// The value it carries.
        value: Duration,
    },
    /// A heartbeat of the peer's was read.
    HeartbeatReceived {
        /// The value it carries.
        value: Duration,
    },
    /// The heartbeat-time in force changed (H2).
    HeartbeatTime {
        /// What was in force before; `None` = nothing.
        from: Option<Duration>,
        /// What is in force now.
        to: Duration,
    },
    /// The peer asked for a heartbeat-time under our floor and got the floor.
    Clamped {
        /// What it asked for.
        asked: Duration,
    },
    /// The peer sends more than ten heartbeats a floor interval.
    Flooding,
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
    /// Our own process was stopped; the peer got one more slack.
    Stalled {
        /// How much later than asked a wait ended.
        late: Duration,
    },
    /// The link has ended.
    Down(Down),
    /// A connection that we dialled did not become a link.
    DialFailed {
        /// The peer that was dialled.
        peer: Host,
        /// Why.
        reason: DownReason,
    },
    /// A connection that we accepted did not become a link.
    Refused {
        /// Why.
        reason: DownReason,
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
    /// A frame of ours waits to be written. Raw.
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
    /// The end has begun and a goodbye is under way. Raw.
    Leaving {
        /// The first reason, which stays.
        reason: DownReason,
    },
    /// The program holds the reader: nothing is read. Raw.
    Held,
    /// The program lets the reader go on. Raw.
    Released,
    /// A byte on its way to us was changed. Raw.
    Corrupted,
}

impl What {
    /// Whether it happened in a kernel or to a process, where the program does not see it.
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
                | Self::Leaving { .. }
                | Self::Held
                | Self::Released
                | Self::Corrupted
        )
    }
}

/// The end of a link: why, and the numbers that show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// The other side.
    pub peer: Host,
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
    /// Messages that were accepted and not handed to the kernel whole.
    pub unsent_frames: u64,
    /// Their bytes on the wire.
    pub unsent_bytes: u64,
    /// How long the link had been up.
    pub up: Duration,
}

/// Why a link ended, or did not begin. Of several reasons the first one stays.
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
        /// Its words.
        text: String,
    },
    /// The stream ended without a goodbye.
    Eof,
    /// The connection was reset, or nobody listens.
    Io,
    /// The peer's bytes break the protocol.
    Protocol(ProtocolError),
    /// The handshake took too long.
    TooSlow,
    /// We closed it.
    Local,
}

impl DownReason {
    /// The reason in one stable word, the same as the link's.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::WriteStalled { .. } => "write-stalled",
            Self::Closed { .. } => "closed",
            Self::Eof => "eof",
            Self::Io => "io",
            Self::Protocol(_) => "protocol",
            Self::TooSlow => "handshake",
            Self::Local => "local",
        }
    }
}
