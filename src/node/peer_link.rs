//! The link of a peer: one with threads, or a simulated one. Both have the same connection inside;
//! nothing here decides.
//!
//! Calls that wait on a link with threads do not wait on a simulated one: there every call behaves
//! as in the link's own handler.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::held::Held;
use super::transport::NodeLink;
use crate::connection::{DownReason, HeartbeatChange, SendError, Stats};
use crate::link::{Explanation, LinkState};
use crate::protocol::{Bye, ByeCode};

/// A handle on a link; clones are handles on the same one.
#[derive(Clone)]
pub(crate) enum PeerLink {
    /// Driven by two threads.
    Threads(NodeLink),
    /// Driven by a simulator.
    Virtual(Arc<dyn VirtualLink>),
}

/// A simulated link. No call waits.
pub(crate) trait VirtualLink: Send + Sync {
    /// Accepts a message, or is [`SendError::Full`].
    fn send(&self, payload: &[u8]) -> Result<(), SendError>;
    /// Whether a message of this length would be accepted.
    fn room(&self, length: usize) -> Result<(), SendError>;
    /// Closes in order; `timeout` = and hands on what arrives meanwhile, for so long.
    fn close(&self, drains: Option<Duration>);
    /// Ends for a reason.
    fn end(&self, reason: DownReason, bye: Option<&Bye<'_>>);
    /// Whether it lives.
    fn is_up(&self) -> bool;
    /// Whether the peer's end of stream was seen.
    fn saw_end(&self) -> bool;
    /// The heartbeat-time in force for sending.
    fn heartbeat_time(&self) -> Option<Duration>;
    fn set_heartbeat_time(&self, value: Duration) -> Result<HeartbeatChange, DownReason>;
    fn set_slack(&self, slack: Duration) -> Result<(), DownReason>;
    /// `None` once nothing of it is there any more.
    fn state(&self) -> Option<LinkState>;
    fn stats(&self) -> Stats;
    /// As `state`.
    fn explain(&self) -> Option<Explanation>;
}

impl PeerLink {
    pub(super) fn send(&self, payload: &[u8]) -> Result<(), SendError> {
        match self {
            Self::Threads(link) => link.send(payload),
            Self::Virtual(link) => link.send(payload),
        }
    }

    pub(super) fn send_timeout(&self, payload: &[u8], timeout: Duration) -> Result<(), SendError> {
        match self {
            Self::Threads(link) => link.send_timeout(payload, timeout),
            Self::Virtual(link) => link.send(payload),
        }
    }

    pub(super) fn try_send(&self, payload: &[u8]) -> Result<(), SendError> {
        match self {
            Self::Threads(link) => link.try_send(payload),
            Self::Virtual(link) => link.send(payload),
        }
    }

    /// Sends `payload`, whose frame is `frame`.
    pub(super) fn try_send_frame(&self, frame: &[u8], payload: &[u8]) -> Result<(), SendError> {
        match self {
            Self::Threads(link) => link.try_send_frame(frame),
            Self::Virtual(link) => link.send(payload),
        }
    }

    pub(super) fn wait_room(&self, length: usize, timeout: Duration) -> Result<(), SendError> {
        match self {
            Self::Threads(link) => link.wait_room(length, timeout),
            Self::Virtual(link) => link.room(length),
        }
    }

    pub(super) fn close(&self) {
        match self {
            Self::Threads(link) => link.close(),
            Self::Virtual(link) => link.close(None),
        }
    }

    pub(super) fn begin_drain(&self, timeout: Duration) {
        match self {
            Self::Threads(link) => link.begin_drain(timeout),
            Self::Virtual(link) => link.close(Some(timeout)),
        }
    }

    pub(super) fn drain(&self, timeout: Duration) -> bool {
        self.begin_drain(timeout);
        self.wait_drained(timeout)
    }

    pub(super) fn wait_drained(&self, timeout: Duration) -> bool {
        match self {
            Self::Threads(link) => link.wait_drained(timeout),
            Self::Virtual(link) => link.saw_end(),
        }
    }

    /// Whether the peer has ended its side, and so has read all.
    pub(super) fn saw_end(&self) -> bool {
        match self {
            Self::Threads(link) => link.saw_end(),
            Self::Virtual(link) => link.saw_end(),
        }
    }

    pub(super) fn end(&self, reason: DownReason, bye: Option<&Bye<'_>>) {
        match self {
            Self::Threads(link) => link.end(reason, bye),
            Self::Virtual(link) => link.end(reason, bye),
        }
    }

    pub(super) fn heartbeat_time(&self) -> Option<Duration> {
        match self {
            Self::Threads(link) => link.heartbeat_time(),
            Self::Virtual(link) => link.heartbeat_time(),
        }
    }

    pub(super) fn set_heartbeat_time(
        &self,
        value: Duration,
    ) -> Result<HeartbeatChange, DownReason> {
        match self {
            Self::Threads(link) => link.set_heartbeat_time(value),
            Self::Virtual(link) => link.set_heartbeat_time(value),
        }
    }

    pub(super) fn set_slack(&self, slack: Duration) -> Result<(), DownReason> {
        match self {
            Self::Threads(link) => link.set_slack(slack),
            Self::Virtual(link) => link.set_slack(slack),
        }
    }

    pub(crate) fn state(&self) -> Option<LinkState> {
        match self {
            Self::Threads(link) => Some(link.state()),
            Self::Virtual(link) => link.state(),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        match self {
            Self::Threads(link) => link.stats(),
            Self::Virtual(link) => link.stats(),
        }
    }

    pub(super) fn explain(&self) -> Option<Explanation> {
        match self {
            Self::Threads(link) => Some(link.explain()),
            Self::Virtual(link) => link.explain(),
        }
    }
}

impl Held for PeerLink {
    fn is_up(&self) -> bool {
        match self {
            Self::Threads(link) => link.is_up(),
            Self::Virtual(link) => link.is_up(),
        }
    }

    fn replace(&self) {
        let bye = Bye { code: ByeCode::CLOSE, text: "replaced by a newer connection" };
        self.end(DownReason::Replaced, Some(&bye));
    }
}

impl fmt::Debug for PeerLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerLink")
    }
}
