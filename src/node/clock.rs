//! Where a node's time and chance come from: from the system, or from a simulator.
//!
//! The rules take both as values. Time counts from an origin of the node's own, and never is the
//! time of day.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff;
use crate::liveness::Time;

/// A clock and a source of chance; clones show the same.
#[derive(Clone)]
pub(crate) enum Clock {
    /// The system's.
    System(Instant),
    /// A simulator's: nothing waits on it.
    Virtual(Arc<dyn VirtualClock>),
}

/// What a simulator gives a node.
pub(crate) trait VirtualClock: Send + Sync {
    /// The virtual time.
    fn now(&self) -> Time;
    /// A number that spans all of u64.
    fn random(&self) -> u64;
    /// Something has changed: the node is asked again what to do.
    fn wake(&self);
}

impl Clock {
    /// The system clock, from now on.
    pub(super) fn start() -> Self {
        Self::System(Instant::now())
    }

    pub(crate) fn now(&self) -> Time {
        match self {
            Self::System(origin) => Time::between(*origin, Instant::now()),
            Self::Virtual(clock) => clock.now(),
        }
    }

    pub(super) fn random(&self) -> u64 {
        match self {
            Self::System(_) => backoff::random(),
            Self::Virtual(clock) => clock.random(),
        }
    }

    /// Something has changed that threads are woken for by other means.
    pub(super) fn wake(&self) {
        if let Self::Virtual(clock) = self {
            clock.wake();
        }
    }

    pub(super) fn is_virtual(&self) -> bool {
        matches!(self, Self::Virtual(_))
    }

    /// How long it is until then.
    pub(super) fn until(&self, then: Time) -> Duration {
        then.since(self.now())
    }

    /// The system's reading at `then`, at most some years from now.
    pub(super) fn instant(&self, then: Time) -> Instant {
        Instant::now() + self.until(then).min(CLOCK_MAX)
    }
}

/// What every clock of a system can show.
const CLOCK_MAX: Duration = Duration::from_secs(3600 * 24 * 365);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.now())
    }
}
