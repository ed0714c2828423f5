//! The clock of a link: `Instant::now` as plain numbers.
//!
//! Each link has its own origin, so that the rules below see plain numbers. The clock is monotonic,
//! never the time of day.

use std::time::{Duration, Instant};

use crate::liveness::Time;

/// The monotonic clock of one link, counted from its establishment.
///
/// On Linux and macOS it stops while the machine is suspended; a peer's silence does not grow in
/// that time, and the first thing after it is a look at the socket.
#[derive(Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The machine's clock at `time`.
    #[inline]
    pub(super) fn instant(&self, time: Time) -> Instant {
        self.0 + Duration::from_nanos(time.as_nanos())
    }

    #[inline]
    pub(super) fn now(&self) -> Time {
        Time::between(self.0, Instant::now())
    }
}
