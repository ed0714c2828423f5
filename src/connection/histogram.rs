//! A histogram of durations that takes bounded memory and forgets nothing.
//!
//! Log-linear: below 16 µs a bucket is one microsecond wide, above that every power of two is cut
//! into 16 buckets, up to 38 hours; longer ones count in the last bucket, and the largest is kept
//! exactly. A power takes its 68 bytes when it is first met: most links see only a few of them,
//! and there are thousands of links. Recording is a handful of instructions. Nothing here reads a
//! clock.
//!
//! Invariant: a quantile is never below the true one, and above it by at most a sixteenth and 1 µs.

use std::fmt;
use std::time::Duration;

/// Counts durations.
///
/// ```
/// use peerbeat::connection::Histogram;
/// use std::time::Duration;
///
/// let mut histogram = Histogram::default();
/// (1..=1000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
/// let percentiles = histogram.percentiles();
/// assert_eq!((percentiles.count, percentiles.max), (1000, Duration::from_secs(1)));
/// assert!((Duration::from_millis(500)..=Duration::from_millis(532)).contains(&percentiles.p50));
/// assert!(percentiles.p999 >= Duration::from_millis(999));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// The powers that were met, in order, each with the counts of its parts.
    powers: Vec<(u8, [u32; PARTS])>,
    count: u64,
    max: Duration,
}

/// A summary of a histogram. All zero if nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Percentiles {
    /// How many were measured.
    pub count: u64,
    /// Half of them were no larger.
    pub p50: Duration,
    /// 99 of 100 were no larger.
    pub p99: Duration,
    /// 999 of 1000 were no larger.
    pub p999: Duration,
    /// The largest, exactly.
    pub max: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, value: Duration) {
        let (power, part) = bucket(value);
        let count = &mut self.parts(power)[part];
        *count = count.saturating_add(1);
        self.count += 1;
        self.max = self.max.max(value);
    }

    /// Counts all that `other` counted.
    pub fn add(&mut self, other: &Self) {
        for (power, parts) in &other.powers {
            for (count, more) in self.parts(*power).iter_mut().zip(parts) {
                *count = count.saturating_add(*more);
            }
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The least value of which at least `per_mille` of 1000 are no larger, rounded up to the end
    /// of its bucket; zero if nothing was counted.
    pub fn quantile(&self, per_mille: u64) -> Duration {
        let counted: u64 = self.counts().map(|(_, count)| count).sum();
        let rank = u128::from(counted) * u128::from(per_mille.min(1000));
        let rank = rank.div_ceil(1000).max(1);
        let mut seen = 0;
        for ((power, part), count) in self.counts() {
            seen += u128::from(count);
            if seen >= rank {
                return end_of(power, part).map_or(self.max, |end| end.min(self.max));
            }
        }
        self.max
    }

    /// The counts of a power, all zero when it is met for the first time.
    fn parts(&mut self, power: u8) -> &mut [u32; PARTS] {
        let place = self.powers.binary_search_by_key(&power, |(power, _)| *power);
        let index = place.unwrap_or_else(|index| {
            self.powers.insert(index, (power, [0; PARTS]));
            index
        });
        &mut self.powers[index].1
    }

    /// The buckets of the powers that were met, in order, each with its count.
    fn counts(&self) -> impl Iterator<Item = ((u8, usize), u64)> {
        let parts = self.powers.iter().flat_map(|(power, parts)| {
            parts.iter().enumerate().map(move |(part, count)| ((*power, part), *count))
        });
        parts.map(|(bucket, count)| (bucket, count.into()))
    }

    /// What it comes to.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.count,
            p50: self.quantile(500),
            p99: self.quantile(990),
            p999: self.quantile(999),
            max: self.max,
        }
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percentiles().fmt(f)
    }
}

/// Which power a value belongs to, and which part of it: the first "power" is all below 16 µs.
fn bucket(value: Duration) -> (u8, usize) {
    let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
    let power = (micros.max(1).ilog2() + 1).saturating_sub(PART_BITS) as u8;
    if power > LAST {
        return (LAST, PARTS - 1);
    }
    (power, (micros >> power.saturating_sub(1)) as usize % PARTS)
}

/// The end of a bucket, itself not in it; `None` for the last one, which has none.
fn end_of(power: u8, part: usize) -> Option<Duration> {
    if (power, part) == (LAST, PARTS - 1) {
        return None;
    }
    let begins = if power == 0 { part } else { part + PARTS };
    Some(Duration::from_micros((begins as u64 + 1) << power.saturating_sub(1)))
}

/// Each power of two is cut into so many.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 4;
/// 2^37 µs are 38 hours.
const LAST: u8 = 37 - PART_BITS as u8;
