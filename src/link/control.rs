//! What a program sets and asks on a living link: values, numbers, its state.
//!
//! Nothing here decides anything: the rules are the connection's, the verdict is the reader's and
//! the sender's.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::handle::Link;
use super::stream::Stream;
use crate::connection::{DownReason, HeartbeatChange, Stats};
use crate::liveness::Time;
use crate::protocol::Framing;

/// How a link is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkState {
    /// Why it ends; `None` = it lives. The full account follows as [`Link::down`].
    pub reason: Option<DownReason>,
    /// For how long the peer has been silent.
    pub silence: Duration,
    /// For how long our own handler has held the reader, without a look at what arrives; zero if it
    /// does not.
    pub handler_held: Duration,
    /// The heartbeat-time in force for sending; `None` = there is none.
    pub heartbeat_time: Option<Duration>,
    /// The slack.
    pub slack: Duration,
    /// How long ago the kernel last accepted one of our bytes.
    pub last_sent_age: Duration,
    /// How long the link has been up.
    pub up: Duration,
}

impl<S: Stream, F: Framing> Link<S, F> {
    /// Sets the heartbeat-time of the living link, if `value` is smaller than the one in force.
    ///
    /// It is in force for sending and announced at once. The peer is held to it once it has
    /// announced a value that is not larger, which it does as soon as it hears; until then the old
    /// limit holds, or one of 10 s + slack if there was none. The reader reports
    /// [`LinkEvent::HeartbeatTime`](super::LinkEvent::HeartbeatTime) with cause `Local` at its next
    /// wake: when bytes arrive, at the latest before the old limit, or within 5 s.
    ///
    /// If the values were [given](crate::liveness::Settings::given) by the protocol, the peer does
    /// not hear of it, so that only our own sending follows.
    ///
    /// # Errors
    /// The reason for which the link has ended, of which there may be any, such as
    /// [`DownReason::Local`] after [`close`](Self::close). Nothing is changed then.
    #[doc(alias = "keepalive")]
    #[doc(alias = "interval")]
    pub fn set_heartbeat_time(&self, value: Duration) -> Result<HeartbeatChange, DownReason> {
        let shared = self.shared();
        let mut state = shared.lock();
        let changed = state.outgoing.set_heartbeat_time(value, shared.clock.now())?;
        if state.outgoing.has_changes() {
            shared.publish_changes();
        }
        shared.wake_sender(&mut state);
        Ok(changed)
    }

    /// Sets the slack of the living link: what we allow the peer. It is never sent.
    ///
    /// A larger one holds at once. A smaller one holds for what begins after this call: a silence
    /// from the next byte that arrives, a stuck write from the next byte that the kernel takes. So
    /// a peer that kept to the old limit is not killed for the new one, and one that is gone
    /// already is found out by the old one. What counts as a stall of our own follows the slack.
    ///
    /// # Errors
    /// The reason for which the link has ended, of which there may be any, such as
    /// [`DownReason::Local`] after [`close`](Self::close). Nothing is changed then.
    pub fn set_slack(&self, slack: Duration) -> Result<(), DownReason> {
        let shared = self.shared();
        let mut state = shared.lock();
        state.outgoing.set_slack(slack, shared.clock.now())?;
        shared.publish_changes();
        Ok(())
    }

    /// The slack that was set last, else the one of [`LinkOptions::liveness`](super::LinkOptions).
    pub fn slack(&self) -> Duration {
        self.shared().lock().outgoing.timer().slack()
    }

    /// How the link is doing now; once it has a reason to end, how it was then.
    pub fn state(&self) -> LinkState {
        let shared = self.shared();
        let received = Time::from_nanos(shared.last_received.load(Ordering::Relaxed));
        let held_since = Time::from_nanos(shared.hands_on_since.load(Ordering::Relaxed));
        let state = shared.lock();
        let clock = shared.clock.now();
        let (phase, timer) = (state.outgoing.phase(), state.outgoing.timer());
        let now = phase.ended_at().unwrap_or(clock);
        LinkState {
            reason: phase.reason().cloned(),
            silence: now.since(received),
            handler_held: clock.since(held_since),
            heartbeat_time: timer.in_force(),
            slack: timer.slack(),
            last_sent_age: now.since(timer.last_sent()),
            up: now.since(Time::ZERO),
        }
    }

    /// What went over the link so far, and how punctually. Histograms are summed up under the
    /// link's lock, which takes a few microseconds at most and no copy.
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let state = shared.lock();
        let received = &shared.received;
        Stats {
            messages_received: received.messages.load(Ordering::Relaxed),
            bytes_received: received.bytes.load(Ordering::Relaxed),
            heartbeats_received: received.heartbeats.load(Ordering::Relaxed),
            ..state.outgoing.stats(shared.clock.now())
        }
    }
}
