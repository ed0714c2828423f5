//! The clock: where `Instant::now` begins.
//!
//! One origin a link, so that the rules below see plain numbers; monotonic, never the time of day
//!.

use std::time::Instant;

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

    #[inline]
    pub(super) fn now(&self) -> Time {
        Time::between(self.0, Instant::now())
    }
}
