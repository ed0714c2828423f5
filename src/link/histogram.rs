//! A histogram of durations that takes fixed memory and forgets nothing.
//!
//! Log-linear: below 16 µs a bucket is one microsecond wide, above that every power of two is cut
//! into 16 buckets, up to 38 hours; longer ones count in the last bucket, and the greatest is kept
//! exactly. No heap, and recording is a handful of instructions. Nothing here reads a clock.
//!
//! Invariant: a quantile is never below the true one, and above it by at most a sixteenth and 1 µs.

use std::fmt;
use std::time::Duration;

/// Counts durations.
///
/// ```
/// use peerbeat::link::Histogram;
/// use std::time::Duration;
///
/// let mut histogram = Histogram::default();
/// (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
/// let spread = histogram.spread();
/// assert_eq!((spread.count, spread.max), (1000, Duration::from_secs(1)));
/// assert!((Duration::from_millis(500)..=Duration::from_millis(532)).contains(&spread.p50));
/// assert!(spread.p999 >= Duration::from_millis(999));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: [u32; BUCKETS],
    count: u64,
    max: Duration,
}

/// What a histogram comes to. All zero where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// Half of them were no greater.
    pub p50: Duration,
    /// 99 of 100 were no greater.
    pub p99: Duration,
    /// 999 of 1000 were no greater.
    pub p999: Duration,
    /// The greatest, exactly.
    pub max: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, value: Duration) {
        let bucket = &mut self.counts[bucket(value)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Counts all that `other` counted.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The least value of which at least `per_mille` of 1000 are no greater, rounded up to the end
    /// of its bucket; zero where nothing was counted.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let counted: u64 = self.counts.iter().map(|count| u64::from(*count)).sum();
        let rank = u128::from(counted) * u128::from(per_mille.min(1000));
        let rank = rank.div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if seen >= rank {
                return end_of(index).map_or(self.max, |end| end.min(self.max));
            }
        }
        self.max
    }

    /// What it comes to.
    pub fn spread(&self) -> Spread {
        Spread {
            count: self.count,
            p50: self.quantile(500),
            p99: self.quantile(990),
            p999: self.quantile(999),
            max: self.max,
        }
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spread().fmt(f)
    }
}

fn bucket(value: Duration) -> usize {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    if micros < PARTS {
        return micros as usize;
    }
    let power = u64::from(micros.ilog2());
    let part = (micros >> (power - PART_BITS)) - PARTS;
    let index = PARTS + (power - PART_BITS) * PARTS + part;
    (index as usize).min(BUCKETS - 1)
}

/// The end of a bucket, itself not in it; `None` for the last one, which has none.
fn end_of(index: usize) -> Option<Duration> {
    let index = index as u64;
    if index + 1 == BUCKETS as u64 {
        return None;
    }
    let next = index + 1;
    let micros = match next.checked_sub(PARTS) {
        None => next,
        Some(above) => (PARTS + above % PARTS) << (above / PARTS),
    };
    Some(Duration::from_micros(micros))
}

/// Each power of two is cut into so many.
const PARTS: u64 = 1 << PART_BITS;
const PART_BITS: u64 = 4;
/// 2^37 µs are 38 hours.
const POWERS: u64 = 37 - PART_BITS;
const BUCKETS: usize = (PARTS + POWERS * PARTS) as usize;
