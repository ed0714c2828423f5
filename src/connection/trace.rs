//! What the two halves of a connection see and do, step by step, for the invariants of
//! [`sim`](crate::sim): they judge real and simulated links alike.
//!
//! Without a trace this costs one comparison per write and per read, and nothing per message. A
//! step carries the time that the half was given, so what is decided and what is recorded never
//! differ. Invariant: a step is recorded after what led to it and before what follows from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::down::DownReason;
use super::event::LinkEvent;
use crate::liveness::Time;

/// Something that a half saw or did.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// The connection is established: its time counts from here.
    Up,
    /// One of our frames waits to be written, with the value that it carries if it is a heartbeat.
    Queued {
        bytes: usize,
        heartbeat: Option<Duration>,
    },
    /// The kernel took bytes.
    Wrote {
        bytes: usize,
    },
    /// One of our heartbeats is out whole.
    HeartbeatSent {
        value: Duration,
    },
    /// A write failed: nothing is sent any more.
    WriteFailed,
    /// The peer's HELLO said this; zero = none.
    HelloReceived {
        value: Duration,
    },
    HeartbeatReceived {
        value: Duration,
    },
    /// Bytes were read, and the heartbeats among them heard.
    Read {
        bytes: usize,
    },
    /// The end of the peer's stream was read, or reading failed.
    EndRead,
    /// The program holds the reading side.
    Held,
    /// It lets it go on.
    Released,
    /// The program set a heartbeat-time, smaller than the one in force.
    ValueSet {
        value: Duration,
    },
    SlackSet {
        slack: Duration,
    },
    /// A close begins, with its limits.
    CloseWithin {
        timeout: Duration,
        max: Duration,
    },
    /// The end begins.
    Ending {
        reason: DownReason,
    },
    /// There is something to report.
    Event(LinkEvent),
}

/// Where the steps of a connection go, if anywhere. It may be called with a link's lock held.
#[derive(Clone, Default)]
pub(crate) struct Trace(Option<Arc<dyn Fn(Time, Step) + Send + Sync>>);

impl Trace {
    pub(crate) fn to(sink: impl Fn(Time, Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sink)))
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(crate) fn add(&self, at: Time, step: impl FnOnce() -> Step) {
        if let Some(sink) = &self.0 {
            sink(at, step());
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "on" } else { "off" })
    }
}

/// Two are the same if they lead to the same place.
impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (ours, theirs) => ours.is_none() && theirs.is_none(),
        }
    }
}

impl Eq for Trace {}
