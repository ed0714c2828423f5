//! How long to wait before the next dial.
//!
//! The wait is drawn evenly from zero to a ceiling, the first one too, so that a thousand clients
//! of a restarted server do not all come back at once. The ceiling doubles from one failed round to
//! the next and resets only after a link that lasted, so a peer that accepts and closes does not
//! cause a storm. Nothing here reads a clock or draws a number by itself.
//!
//! Invariant: `min <= ceiling <= max`.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use crate::link::Down;

/// The delay between the dials of one peer.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
}

impl Backoff {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        // Zero would never grow by doubling, and dial in a spin.
        let min = min.max(Duration::from_millis(1));
        Self { min, max: max.max(min), ceiling: min }
    }

    /// The wait after a failed round or a lost link. `random` spans all of u64, and so the wait
    /// all from zero to the ceiling, both included.
    pub(super) fn next_wait(&mut self, random: u64) -> Duration {
        let wait = scale(self.ceiling, random);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        wait
    }

    /// Sets other limits; what has been reached between them stays.
    pub(super) fn set_limits(&mut self, min: Duration, max: Duration) {
        let fresh = Self::new(min, max);
        let ceiling = self.ceiling.clamp(fresh.min, fresh.max);
        *self = Self { ceiling, ..fresh };
    }

    /// Records that a link lived long enough to be called stable.
    pub(super) fn reset(&mut self) {
        self.ceiling = self.min;
    }
}

/// Whether a link that ended had lived long enough that the next dial begins from the least wait:
/// for its limit of silence, or [`STABLE_WITHOUT_LIMIT`] if it had none.
pub(super) fn was_stable(down: &Down) -> bool {
    down.up >= down.limit.unwrap_or(STABLE_WITHOUT_LIMIT)
}

/// A number from the only source of entropy in std: the keys of its hash maps.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0_u64)
}

/// `random` of 0 gives zero, of `u64::MAX` all of `whole`, and everything between in proportion.
fn scale(whole: Duration, random: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let part = ((u128::from(nanos) + 1) * u128::from(random)) >> 64;
    // At most `nanos`: (n + 1) * (2^64 - 1) / 2^64 < n + 1.
    Duration::from_nanos(part as u64)
}

/// How long a link without a limit of silence lives until it is stable.
pub(crate) const STABLE_WITHOUT_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::DownReason;

    const MIN: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(30);

    fn down(up: Duration, limit: Option<Duration>) -> Down {
        Down {
            reason: DownReason::Eof,
            silence: Duration::ZERO,
            limit,
            heartbeat_time: None,
            slack: Duration::ZERO,
            last_sent_age: Duration::ZERO,
            unsent_frames: 0,
            unsent_bytes: 0,
            unconfirmed_bytes: Some(0),
            undelivered_frames: 0,
            up,
        }
    }

    // lesson 49
    #[test]
    fn the_ceiling_doubles_from_min_to_max_and_stays_there() {
        let mut backoff = Backoff::new(MIN, MAX);
        let waits: Vec<_> = (0..9).map(|_| backoff.next_wait(u64::MAX).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
    }

    // lesson 49: jitter is drawn after the cap, from all of it, and for the first wait as well
    #[test]
    fn the_wait_spans_zero_to_the_ceiling() {
        let draw = |random| Backoff::new(MIN, MAX).next_wait(random);
        assert_eq!(draw(0), Duration::ZERO);
        assert_eq!(draw(1 << 63), MIN / 2);
        assert_eq!(draw(u64::MAX), MIN);

        let mut capped = Backoff::new(MIN, MAX);
        for _ in 0..20 {
            capped.next_wait(0);
        }
        assert_eq!(capped.next_wait(1 << 62), MAX / 4);
    }

    // lesson 49: 200 clients, no tenth of the span above 3 times the mean
    #[test]
    fn two_hundred_clients_spread_out() {
        let mut bins = [0; 10];
        for _ in 0..200 {
            let wait = Backoff::new(MIN, MAX).next_wait(random());
            bins[(wait.as_nanos() * 10 / (MIN.as_nanos() + 1)) as usize] += 1;
        }
        assert!(bins.iter().all(|&bin| bin < 60), "{bins:?}");
    }

    #[test]
    fn a_reset_begins_from_min() {
        let mut backoff = Backoff::new(MIN, MAX);
        for _ in 0..5 {
            backoff.next_wait(7);
        }
        backoff.reset();
        assert_eq!(backoff.next_wait(u64::MAX), MIN);
        assert_eq!(backoff.next_wait(u64::MAX), MIN * 2);
    }

    #[test]
    fn zero_and_crossed_limits_are_made_sane() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert_eq!(backoff.next_wait(u64::MAX), Duration::from_millis(1));
        let mut crossed = Backoff::new(MAX, MIN);
        assert_eq!(crossed.next_wait(u64::MAX), MAX);
        assert_eq!(crossed.next_wait(u64::MAX), MAX);
        let mut endless = Backoff::new(MIN, Duration::MAX);
        for _ in 0..200 {
            assert!(endless.next_wait(u64::MAX) >= MIN);
        }
    }

    // lesson 49: reset only after a stable period
    #[test]
    fn a_link_is_stable_from_the_very_nanosecond_of_its_limit() {
        let limit = Duration::from_secs(7);
        let nano = Duration::from_nanos(1);
        assert!(!was_stable(&down(limit - nano, Some(limit))));
        assert!(was_stable(&down(limit, Some(limit))));
        assert!(!was_stable(&down(STABLE_WITHOUT_LIMIT - nano, None)));
        assert!(was_stable(&down(STABLE_WITHOUT_LIMIT, None)));
    }
}
