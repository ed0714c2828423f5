//! How a link is doing now, while it lives and between its end and the account of it.
//!
//! For programs that ask instead of being told. Nothing here decides anything: the verdict is the
//! reader's and the sender's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{DownReason, Link, Stream};
use crate::liveness::Time;
use crate::protocol::Framing;

/// How a link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkState {
    /// Why it ends; `None` = it lives. The full account follows as [`Link::down`].
    pub reason: Option<DownReason>,
    /// For how long the peer has been silent.
    pub silence: Duration,
    /// The heartbeat-time in force for sending; `None` = there is none.
    pub heartbeat_time: Option<Duration>,
    /// The slack.
    pub slack: Duration,
    /// How long ago the kernel last accepted a byte of ours.
    pub last_sent_age: Duration,
    /// How long the link has been up.
    pub up: Duration,
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// How the link is doing now; once it has a reason to end, how it was then.
    pub fn state(&self) -> LinkState {
        let shared = self.shared();
        let received = Time::from_nanos(shared.last_received.load(Ordering::Relaxed));
        let state = shared.lock();
        let now = match state.reason {
            Some(_) => state.ended_at,
            None => shared.clock.now(),
        };
        LinkState {
            reason: state.reason.clone(),
            silence: now.since(received),
            heartbeat_time: state.pulse.in_force(),
            slack: state.pulse.slack(),
            last_sent_age: now.since(state.pulse.last_sent()),
            up: now.since(Time::ZERO),
        }
    }
}
