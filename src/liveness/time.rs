//! A point on a monotonic clock, as a plain number.
//!
//! The rules never read a clock; the owner of one chooses its origin and passes readings in. One
//! u64 fits an atomic and a C struct, and a test can write it down.

use std::ops::{Add, Sub};
use std::time::{Duration, Instant};

/// Nanoseconds since an origin that the owner of the clock chose; good for 584 years.
///
/// It must come from a monotonic clock: wall clocks are stepped, and links die of it.
///
/// ```
/// use peerbeat::liveness::Time;
/// use std::time::{Duration, Instant};
///
/// let origin = Instant::now(); // chosen once
/// let now = Time::between(origin, Instant::now());
/// let later = now + Duration::from_millis(250);
/// assert_eq!(later.since(now), Duration::from_millis(250));
/// assert_eq!(now.since(later), Duration::ZERO); // never negative
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// Later than anything: "never".
    pub const NEVER: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The reading `now` of std's monotonic clock, counted from `origin`.
    pub fn between(origin: Instant, now: Instant) -> Self {
        Self::ZERO + now.saturating_duration_since(origin)
    }

    /// How long ago `earlier` was; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// Stops at [`Time::NEVER`].
    fn add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    /// Stops at [`Time::ZERO`].
    fn sub(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(nanos))
    }
}
