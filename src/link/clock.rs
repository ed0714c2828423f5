//! The clock of a link: `Instant::now` as plain numbers.
//!
//! Each link has its own origin, so that the rules below see plain numbers. What several links
//! share counts from one origin of the process. The clock is monotonic, never the time of day.

use std::sync::LazyLock;
use std::time::Instant;

use crate::liveness::Time;

/// The monotonic clock of one link, counted from its establishment.
///
/// On Linux and macOS it stops while the machine is suspended; a peer's silence does not grow in
/// that time, and the first thing after it is a look at the socket.
#[derive(Debug)]
pub(super) struct Clock {
    /// By the common clock.
    started: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { started: common_now().as_nanos() }
    }

    #[inline]
    pub(super) fn now(&self) -> Time {
        Time::from_nanos(common_now().as_nanos().saturating_sub(self.started))
    }

    /// A time of this clock, by the common one.
    #[inline]
    pub(super) fn common(&self, time: Time) -> Time {
        Time::from_nanos(time.as_nanos() + self.started)
    }
}

/// The clock of all links of the process.
#[inline]
pub(super) fn common_now() -> Time {
    Time::between(*ORIGIN, Instant::now())
}

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_different_ages_agree_on_the_common_clock() {
        let old = Clock::start();
        while old.now() == Time::ZERO {}
        for clock in [old, Clock::start()] {
            let before = common_now();
            let time = clock.common(clock.now());
            assert!(before <= time && time <= common_now());
        }
    }
}
