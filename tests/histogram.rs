//! The histogram against the exact quantiles of what it was given.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use peerbeat::link::{Histogram, Percentiles};
use proptest::collection::vec;
use proptest::prelude::*;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// By definition: the least value that so many of 1000 do not exceed.
fn exact(values: &[Duration], per_mille: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    sorted[(sorted.len() * per_mille).div_ceil(1000).max(1) - 1]
}

/// Never below the true value, above it by at most a sixteenth and 1 µs.
fn check(values: &[Duration], shown: Duration, per_mille: usize) -> Result<(), TestCaseError> {
    let exact = exact(values, per_mille);
    prop_assert!(shown >= exact, "{shown:?} of {exact:?}");
    prop_assert!(shown <= exact + exact / 16 + micros(1), "{shown:?} of {exact:?}");
    Ok(())
}

#[test]
fn an_empty_one_shows_zeros() {
    assert_eq!(Histogram::default().percentiles(), Percentiles::default());
    assert_eq!(Histogram::default().quantile(1000), Duration::ZERO);
}

#[test]
fn one_value_is_all_of_its_quantiles() {
    for nanos in [0, 1, 999, 1000, 15_999, 16_000, 16_001, 5_000_000_000] {
        let value = Duration::from_nanos(nanos);
        let mut histogram = Histogram::default();
        histogram.record(value);
        let percentiles = histogram.percentiles();
        let all = [percentiles.p50, percentiles.p99, percentiles.p999, percentiles.max];
        assert_eq!((all, percentiles.count), ([value; 4], 1), "{value:?}");
    }
}

#[test]
fn what_is_beyond_the_range_counts_and_its_greatest_is_kept() {
    let mut histogram = Histogram::default();
    for value in [Duration::MAX, micros(1 << 37), micros(u64::MAX), micros(1)] {
        histogram.record(value);
    }
    assert_eq!((histogram.quantile(250), histogram.quantile(1000)), (micros(2), Duration::MAX));
    assert_eq!(histogram.percentiles().max, Duration::MAX);
}

#[test]
fn an_empty_one_is_small() {
    assert!(size_of::<Histogram>() <= 64, "{} bytes", size_of::<Histogram>());
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 300 })
    })]

    #[test]
    fn quantiles_are_those_of_the_sorted_values_within_a_sixteenth(
        values in vec((0u32..37, any::<u64>()), 1..400),
    ) {
        let scaled = |(power, random): &(u32, u64)| {
            Duration::from_nanos(random % (1000 << power))
        };
        let values: Vec<Duration> = values.iter().map(scaled).collect();
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        for per_mille in [0, 1, 250, 500, 990, 999, 1000] {
            check(&values, histogram.quantile(per_mille as u64), per_mille)?;
        }
        let percentiles = histogram.percentiles();
        prop_assert_eq!(percentiles.count, values.len() as u64);
        prop_assert_eq!(Some(percentiles.max), values.iter().max().copied());
        check(&values, percentiles.p50, 500)?;
        check(&values, percentiles.p999, 999)?;
    }

    #[test]
    fn two_added_are_one_that_was_given_both(
        left in vec(any::<u32>(), 0..100),
        right in vec(any::<u32>(), 0..100),
    ) {
        let of = |values: &[u32]| {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(micros((*value).into())));
            histogram
        };
        let mut sum = of(&left);
        sum.add(&of(&right));
        prop_assert_eq!(sum, of(&[left, right].concat()));
    }
}
